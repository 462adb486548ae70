//! The state machine trait that a user implements.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::machine::digest::Digest;
use crate::types::{Index, QuotaUsage};

/// A test of whether a command may change the answer to a query. A false positive delays reads; a
/// false negative gives stale answers.
#[derive(Clone)]
pub struct ConflictTest(Arc<Prepare>);

type Prepare = dyn for<'q> Fn(&'q [u8]) -> Test<'q> + Send + Sync;
type Test<'q> = Box<dyn Fn(&[u8]) -> bool + 'q>;

impl ConflictTest {
    /// Returns a test from a function that takes a query and returns the test of one command. That
    /// way, the query is decoded once, and not for each command. Both must be deterministic, like
    /// the state machine itself, and fast, because they run on the thread of the consensus
    /// algorithm.
    ///
    /// ```
    /// use quorate::machine::ConflictTest;
    ///
    /// // A query is a key, and a command is a key, an equals sign and a value.
    /// let test = ConflictTest::new(|query| {
    ///     Box::new(move |command| command.split(|byte| *byte == b'=').next() == Some(query))
    /// });
    /// assert!(test.may_change(b"a", b"a=1"));
    /// assert!(!test.may_change(b"a", b"b=1"));
    /// ```
    pub fn new<P>(prepare: P) -> ConflictTest
    where
        P: for<'q> Fn(&'q [u8]) -> Box<dyn Fn(&[u8]) -> bool + 'q> + Send + Sync + 'static,
    {
        ConflictTest(Arc::new(prepare))
    }

    /// Returns the test of whether a command may change the answer to `query`.
    #[must_use]
    pub fn prepare<'q>(&self, query: &'q [u8]) -> Test<'q> {
        (self.0)(query)
    }

    /// Returns true if `command` may change the answer to `query`.
    #[must_use]
    pub fn may_change(&self, query: &[u8], command: &[u8]) -> bool {
        self.prepare(query)(command)
    }
}

impl Default for ConflictTest {
    /// Returns the test that assumes that every command may change every answer.
    fn default() -> ConflictTest {
        ConflictTest::new(|_| Box::new(|_| true))
    }
}

impl fmt::Debug for ConflictTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConflictTest")
    }
}

/// A user's state machine. Every node has one and applies the same commands to it in the same
/// order: all of them must reach the same state and give the same replies.
pub trait StateMachine {
    /// Applies one command and returns the reply to its proposer.
    ///
    /// It must be deterministic: it depends on the state and the arguments only, and uses no clock,
    /// no entropy and no iteration order of a hash map. It cannot fail: a rejected command is a
    /// reply. `index` increases from call to call, with gaps.
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8>;

    /// Executes an administrator's command and returns the reply, by the rules of
    /// [`StateMachine::apply`]. [`Machine`](crate::machine::Machine) has already rejected those of
    /// other clients. By default the state machine ignores the command.
    fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let _ = (index, command);
        Vec::new()
    }

    /// Returns the quota of the state, for reports and metrics, if it has one.
    fn quota(&self) -> Option<QuotaUsage> {
        None
    }

    /// Answers a query from the state alone, without changing it.
    fn query(&self, query: &[u8]) -> Vec<u8>;

    /// Returns a reader of the current state. It is read later and on another thread, while further
    /// commands are applied. It should not copy a large state into one buffer. Equal states should
    /// give equal bytes, so that the default [`StateMachine::digest`] is correct.
    fn snapshot(&self) -> Box<dyn Read + Send>;

    /// Replaces the state with that in the bytes of a [`StateMachine::snapshot`], perhaps written
    /// by another node. Reads up to the end of the reader. After an error the state may be invalid:
    /// only another `restore` may follow.
    ///
    /// # Errors
    /// The error of reading, or [`io::ErrorKind::InvalidData`] for bytes that are not a snapshot.
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()>;

    /// Returns the highest version of the rules of [`StateMachine::apply`] that this build has: it
    /// can apply commands by this version and by every earlier one. A new cluster begins with
    /// version 0.
    ///
    /// # Changing how commands are applied
    /// All nodes must apply one command by the same rules, but a running cluster gets a new build
    /// node by node. So a build that changes the effect of a command keeps the old rules, adds the
    /// new ones under the next version, and follows the version of the log:
    ///
    /// ```
    /// # use std::io::{self, Cursor, Read};
    /// # use quorate::machine::StateMachine;
    /// # use quorate::types::Index;
    /// #[derive(Default)]
    /// struct Counter {
    ///     version: u32,
    ///     count: u64,
    /// }
    ///
    /// impl StateMachine for Counter {
    ///     fn version_max(&self) -> u32 {
    ///         1
    ///     }
    ///     fn set_version(&mut self, _: Index, version: u32) {
    ///         self.version = version;
    ///     }
    ///     fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
    ///         // Version 0 counts commands, version 1 their bytes.
    ///         self.count += if self.version == 0 { 1 } else { command.len() as u64 };
    ///         self.count.to_le_bytes().to_vec()
    ///     }
    ///     fn restore_version(&mut self, version: u32, from: &mut dyn Read) -> io::Result<()> {
    ///         self.version = version;
    ///         self.restore(from)
    ///     }
    /// #   fn query(&self, _: &[u8]) -> Vec<u8> {
    /// #       self.count.to_le_bytes().to_vec()
    /// #   }
    /// #   fn snapshot(&self) -> Box<dyn Read + Send> {
    /// #       Box::new(Cursor::new(self.count.to_le_bytes()))
    /// #   }
    /// #   fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
    /// #       let mut count = [0; 8];
    /// #       from.read_exact(&mut count)?;
    /// #       self.count = u64::from_le_bytes(count);
    /// #       Ok(())
    /// #   }
    /// }
    /// ```
    ///
    /// Once every node runs the new build, an administrator raises the version with
    /// [`Request::RaiseVersion`](crate::machine::Request::RaiseVersion), which is a command of the
    /// log. The leader rejects it while a member cannot apply the version. Before the raise, each
    /// node can go back to the old build; afterwards, a node with the old build stops applying
    /// entries, logs an error, and keeps voting. `docs/OPERATIONS.md` has the steps.
    ///
    /// The effect and the reply of a command or of an admin command follow the version, and so do
    /// the bytes of a snapshot. A build at an old version writes snapshots that the old build can
    /// read. Queries need not follow the version.
    fn version_max(&self) -> u32 {
        0
    }

    /// Raises the version of the rules, at this entry of the log: all later commands are applied by
    /// `version`, which is higher than before and at most [`StateMachine::version_max`]. The state
    /// may be changed here, by the rules of [`StateMachine::apply`]. A state machine with durable
    /// state of its own keeps the version in it, and counts this entry in
    /// [`StateMachine::applied`].
    fn set_version(&mut self, index: Index, version: u32) {
        let _ = (index, version);
    }

    /// Restores the state like [`StateMachine::restore`], from bytes that a state machine at
    /// `version` wrote, and follows that version from then on. The version may be lower than the
    /// previous one. A state machine with more than one version must implement this method: by
    /// default it fails for every version above 0.
    ///
    /// # Errors
    /// Those of [`StateMachine::restore`].
    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        if version > 0 {
            let text = "the state machine has versions, and must implement `restore_version`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        self.restore(snapshot)
    }

    /// Returns the test for conflicts between commands and queries. A read that a follower answers
    /// under a read lease waits only for commands that may change its answer. By default every
    /// command may.
    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::default()
    }

    /// Returns the index of the last applied command, admin command or raise of the version, for a
    /// state machine with durable state of its own; 0 before the first one. Commands at or before
    /// that index are not applied to it again. Each later command waits until it is durable in this
    /// node's log, so that a crash leaves no state ahead of the log. A state machine in memory
    /// keeps the default of `None`, and gets every command as soon as it is committed.
    fn applied(&self) -> Option<Index> {
        None
    }

    /// Returns a digest of the state. Equal states have equal digests on every node.
    ///
    /// # Errors
    /// The error of reading the snapshot.
    fn digest(&self) -> io::Result<Digest> {
        Digest::of(&mut self.snapshot())
    }
}
