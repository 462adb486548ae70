//! The one thing a user writes: the state that every node keeps, and what a command does to it.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::machine::digest::Digest;
use crate::types::Index;

/// Tells whether carrying out a command may change the answer to a query. A yes too many costs
/// time; a no too many gives answers that are old.
#[derive(Clone)]
pub struct ConflictTest(Arc<Test>);

type Test = dyn Fn(&[u8], &[u8]) -> bool + Send + Sync;

impl ConflictTest {
    /// A test that is given the query, and then the command. Like the machine itself it depends on
    /// nothing but these.
    pub fn new(test: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static) -> ConflictTest {
        ConflictTest(Arc::new(test))
    }

    /// Whether carrying out `command` may change the answer to `query`.
    #[must_use]
    pub fn may_change(&self, query: &[u8], command: &[u8]) -> bool {
        (self.0)(query, command)
    }
}

impl Default for ConflictTest {
    /// Every command may change every answer.
    fn default() -> ConflictTest {
        ConflictTest::new(|_, _| true)
    }
}

impl fmt::Debug for ConflictTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConflictTest")
    }
}

/// A user's state machine. Every node has one, gives it the same commands in the same order, and
/// counts on getting the same state and the same replies.
pub trait StateMachine {
    /// Carries out one command and returns the reply for whoever proposed it.
    ///
    /// It must be deterministic: no clock, no entropy, no order of a hash map, nothing but the
    /// state and the arguments. It cannot fail; what a command may not do is a reply.
    /// `index` grows from call to call, with gaps.
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8>;

    /// Answers a query from the state alone, without changing it.
    fn query(&self, query: &[u8]) -> Vec<u8>;

    /// A reader of the state as it is now. It may be read long after and on another thread, while
    /// commands go on being applied; it never holds a large state in one buffer. Equal states
    /// should give equal bytes: then [`StateMachine::digest`] needs no writing.
    fn snapshot(&self) -> Box<dyn Read + Send>;

    /// Forgets the state and starts over from the bytes of a [`StateMachine::snapshot`], perhaps
    /// another node's, which `snapshot` ends with. After an error the state does not matter: what
    /// follows is another `restore` or nothing.
    ///
    /// # Errors
    /// What reading failed with, or [`io::ErrorKind::InvalidData`] for bytes that are no snapshot.
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()>;

    /// Tells which commands may change the answer to a query, for reads that a follower answers by
    /// itself: they wait for those commands alone. Without a better test every command may.
    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::default()
    }

    /// The index of the last command in the state, for a machine whose state survives a restart
    /// by itself: it is never given a command up to there again. One that lives in memory leaves
    /// this as it is.
    fn applied(&self) -> Index {
        Index::ZERO
    }

    /// Names the state: equal states have equal digests, on every node.
    ///
    /// # Errors
    /// What reading the snapshot failed with.
    fn digest(&self) -> io::Result<Digest> {
        Digest::of(&mut self.snapshot())
    }
}
