//! A reference state machine, which follows the committed log without faults.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::slice;
use std::sync::Arc;

use quorate::machine::{Digest, Machine, Outcome, Request, Sequence, SessionId, StateMachine};
use quorate::types::{Entry, EntryId, Index, Payload};

use crate::workload::contract::Workload;
use crate::workload::erased::{AnyMachine, AnyWorkload};
use crate::workload::request::unmark;
use crate::workload::rules::Rules;

/// A state machine that follows the committed log and checks it: the workload checks each reply,
/// and no session request may be applied twice or get two different replies.
#[derive(Clone, Debug)]
pub struct ReferenceMachine {
    machine: Machine<CheckedMachine>,
    /// The first reply of every session request, kept for the whole run.
    replies: BTreeMap<(SessionId, Sequence), Arc<[u8]>>,
}

/// The user's machine, checked by the workload.
#[derive(Clone, Debug)]
struct CheckedMachine {
    machine: AnyMachine,
    rules: Rules,
    workload: AnyWorkload,
    /// The number of commands applied so far.
    executed: u64,
    /// The first violation that the workload reported.
    wrong: Option<String>,
}

/// A node's state machine and its digests, for the checks.
#[derive(Clone, Copy, Debug)]
pub struct MachineView<'a> {
    /// The last entry that it has applied.
    pub applied: EntryId,
    /// The digest of its state; `None` if the machine cannot compute one.
    pub digest: Option<Digest>,
    /// The rolling hash over all applied entries and their outcomes; `None` if it is unknown.
    pub results: Option<Digest>,
    /// The user's state machine inside it.
    pub machine: &'a AnyMachine,
}

/// A violation that a [`ReferenceMachine`] finds, described in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceMismatch {
    /// The workload reports a violation.
    Workload(String),
    /// A session request was applied twice, or got two different replies.
    Session(String),
    /// The same log led to another state, reply or answer.
    Diverged(String),
}

impl ReferenceMachine {
    /// Returns the machine of `workload` before the first entry.
    #[must_use]
    pub fn new(workload: &AnyWorkload) -> ReferenceMachine {
        let (machine, workload) = (workload.machine(), workload.clone());
        let rules = Rules::default();
        let watched = CheckedMachine { machine, rules, workload, executed: 0, wrong: None };
        ReferenceMachine { machine: Machine::new(watched), replies: BTreeMap::new() }
    }

    /// Applies committed entries, except those that it has applied before; returns the outcome of
    /// each command. Every command must carry a mark, as from [`mark`].
    ///
    /// [`mark`]: crate::workload::request::mark
    ///
    /// # Errors
    /// The first violation.
    ///
    /// # Panics
    /// If the first new entry does not follow the last applied one.
    pub fn follow(
        &mut self,
        entries: &[Entry],
    ) -> Result<Vec<(Index, Outcome)>, ReferenceMismatch> {
        let known = self.applied().index;
        let mut outcomes = Vec::new();
        for entry in entries.iter().filter(|entry| entry.id.index > known) {
            let before = self.machine.user().executed;
            let outcome = self.machine.apply(slice::from_ref(entry)).pop();
            if let Some(wrong) = &self.machine.user().wrong {
                return Err(ReferenceMismatch::Workload(format!("entry {}: {wrong}", entry.id)));
            }
            let is_executed = self.machine.user().executed > before;
            if let (Some(request), Some((_, Outcome::Reply(reply)))) = (request_of(entry), &outcome)
            {
                self.check_session_reply(request, is_executed, reply)?;
            }
            outcomes.extend(outcome);
        }
        Ok(outcomes)
    }

    /// Compares the machine with a node's machine that has applied the same entries.
    ///
    /// # Errors
    /// The difference between the two, or the workload's finding about the state.
    ///
    /// # Panics
    /// If the last entries that the two machines have applied differ.
    pub fn compare(&self, view: MachineView<'_>) -> Result<(), ReferenceMismatch> {
        assert_eq!(view.applied, self.applied(), "only states at one entry are compared");
        if let Some(found) = view.digest {
            let workload = &self.machine.user().workload;
            workload.check_state(view.machine).map_err(ReferenceMismatch::Workload)?;
            let expected = self.machine.digest().expect("a state in memory can be read");
            if Some(found) != expected {
                let applied = self.applied();
                let wrong = format!("the same log led to another state at {applied}");
                return Err(ReferenceMismatch::Diverged(wrong));
            }
        }
        match (view.results, self.results()) {
            (Some(found), Some(expected)) if found != expected => Err(ReferenceMismatch::Diverged(
                format!("the same log led to other replies through {}", self.applied()),
            )),
            _ => Ok(()),
        }
    }

    /// Checks the answer to a query of a node's machine that has applied the same entries.
    ///
    /// # Errors
    /// The violation in the answer.
    pub fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), ReferenceMismatch> {
        let workload = &self.machine.user().workload;
        workload.check_answer(query, answer).map_err(ReferenceMismatch::Workload)?;
        if self.machine.query(query) != answer {
            let applied = self.applied();
            let wrong = format!("the same state at {applied} gives a different answer");
            return Err(ReferenceMismatch::Diverged(wrong));
        }
        Ok(())
    }

    /// Returns the rolling hash over all applied entries and their outcomes.
    #[must_use]
    pub fn results(&self) -> Option<Digest> {
        self.machine.results()
    }

    /// Returns the last entry applied.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.machine.applied()
    }

    fn check_session_reply(
        &mut self,
        request: (SessionId, Sequence),
        is_executed: bool,
        reply: &Arc<[u8]>,
    ) -> Result<(), ReferenceMismatch> {
        let (session, sequence) = request;
        let name = || format!("request {} of session {session}", sequence.0);
        let first = self.replies.get(&request);
        match (first, is_executed) {
            (None, true) => {
                self.replies.insert(request, Arc::clone(reply));
                Ok(())
            }
            (Some(_), true) => {
                Err(ReferenceMismatch::Session(format!("{} was applied twice", name())))
            }
            (Some(first), false) if first == reply => Ok(()),
            (_, false) => Err(ReferenceMismatch::Session(format!(
                "{} got a reply that is not its first one",
                name()
            ))),
        }
    }
}

/// Returns the session request in an entry, if there is one.
fn request_of(entry: &Entry) -> Option<(SessionId, Sequence)> {
    let Payload::Command(command) = &entry.payload else { return None };
    match Request::in_log(command)? {
        (_, Request::InSession { session, sequence, .. }) => Some((session, sequence)),
        _ => None,
    }
}

impl StateMachine for CheckedMachine {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let command = unmark(command).map_or(command, |(command, _)| command);
        let reply = self.machine.apply(index, command);
        self.rules.apply(index);
        self.executed += 1;
        let wrong = self.workload.check_reply(command, &reply).err();
        self.wrong = self.wrong.take().or(wrong);
        reply
    }

    fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let reply = self.machine.administer(index, command);
        let wrong = self.workload.check_admin_command(command, &reply).err();
        self.wrong = self.wrong.take().or(wrong);
        reply
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.machine.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        self.machine.snapshot()
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.machine.restore(snapshot)
    }

    fn digest(&self) -> io::Result<Digest> {
        Ok(self.rules.digest(self.machine.digest()?))
    }

    /// The reference follows every version that the log reaches.
    fn version_max(&self) -> u32 {
        u32::MAX
    }

    fn set_version(&mut self, _: Index, version: u32) {
        self.rules.set_version(version);
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::{Nonce, Proposer, SessionLimits};
    use quorate::types::{Command, Term};

    use super::*;
    use crate::values::choice::Draw;
    use crate::workload::kv::{Kv, Operation, Reply};
    use crate::workload::request::{OpId, mark};

    const PUT: Operation<'_> = Operation::Put { key: b"k", value: b"v" };
    const GET: Operation<'_> = Operation::Get { key: b"k" };

    fn log(first: u64, commands: Vec<Command>) -> Vec<Entry> {
        let payloads = commands.into_iter().map(Payload::Command);
        (first..)
            .zip(payloads)
            .map(|(index, payload)| Entry { id: EntryId::new(Term(1), Index(index)), payload })
            .collect()
    }

    fn ask(sequence: u64, operation: Operation<'_>) -> Command {
        let command = &mark(operation.encode(), OpId(sequence), 0);
        let (session, acknowledged) = (SessionId(Index(1)), Sequence(1));
        let sequence = Sequence(sequence);
        Request::InSession { session, sequence, acknowledged, command }
            .encode_for(Proposer::Unnamed)
    }

    fn plain(operation: Operation<'_>) -> Command {
        Request::Plain(&mark(operation.encode(), OpId(7), 0)).encode_for(Proposer::Unnamed)
    }

    /// A node's machine without the marks of the commands.
    #[derive(Clone)]
    struct Unmarked(AnyMachine);

    impl StateMachine for Unmarked {
        fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
            self.0.apply(index, unmark(command).expect("it is marked").0)
        }
        fn query(&self, query: &[u8]) -> Vec<u8> {
            self.0.query(query)
        }
        fn snapshot(&self) -> Box<dyn Read + Send> {
            self.0.snapshot()
        }
        fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
            self.0.restore(snapshot)
        }
    }

    fn node(entries: &[Entry]) -> (Machine<Unmarked>, Vec<(Index, Outcome)>) {
        let mut node = Machine::new(Unmarked(AnyWorkload::new(Kv::default()).machine()));
        let outcomes = node.apply(entries);
        (node, outcomes)
    }

    fn look(node: &Machine<Unmarked>) -> MachineView<'_> {
        let digest = node.digest().expect("it is in memory");
        let (applied, results) = (node.applied(), node.results());
        MachineView { applied, digest, results, machine: &node.user().0 }
    }

    fn mismatch_text(wrong: Result<(), ReferenceMismatch>) -> String {
        match wrong.expect_err("something is wrong") {
            ReferenceMismatch::Workload(wrong)
            | ReferenceMismatch::Session(wrong)
            | ReferenceMismatch::Diverged(wrong) => wrong,
        }
    }

    fn requests() -> Vec<Entry> {
        let limits = SessionLimits::default();
        let register = Request::Register { nonce: Nonce(1), limits }.encode_for(Proposer::Unnamed);
        log(1, vec![register, ask(1, PUT), ask(2, GET), ask(1, PUT)])
    }

    #[test]
    fn the_reference_equals_a_machine_with_the_same_log() {
        let workload = AnyWorkload::new(Kv::default());
        let mut reference = ReferenceMachine::new(&workload);
        let (node, outcomes) = node(&requests());
        assert_eq!(reference.follow(&requests()[..2]).map(|found| found.len()), Ok(2));
        assert_eq!(reference.follow(&requests()), Ok(outcomes[2..].to_vec()), "each once");
        assert_eq!(reference.compare(look(&node)), Ok(()));
        let query = GET.encode();
        assert_eq!(reference.check_answer(&query, &node.query(&query)), Ok(()));
        assert!(reference.check_answer(&query, &Reply::Absent.encode()).is_err());
    }

    #[test]
    fn a_different_state_or_reply_is_reported() {
        let workload = AnyWorkload::new(Kv::default());
        let mut reference = ReferenceMachine::new(&workload);
        reference.follow(&requests()).unwrap();
        let delete = ask(1, Operation::Delete { key: b"k" });
        let mut other = requests();
        other[1].payload = Payload::Command(delete);
        let (found, _) = node(&other);
        assert!(mismatch_text(reference.compare(look(&found))).contains("keys"));
        // The same state, and a session with an additional reply.
        let mut outside = requests();
        outside[2].payload = Payload::Command(plain(GET));
        let (found, _) = node(&outside);
        assert!(mismatch_text(reference.compare(look(&found))).contains("another state"));
        // The same state altogether, but one reply less.
        let mut odd = log(1, vec![plain(PUT); 2]);
        let mut reference = ReferenceMachine::new(&workload);
        reference.follow(&odd).unwrap();
        odd[1].payload = Payload::Noop;
        let (found, _) = node(&odd);
        assert!(mismatch_text(reference.compare(look(&found))).contains("other replies"));
    }

    #[test]
    fn a_session_request_has_one_reply() {
        let mut reference = ReferenceMachine::new(&AnyWorkload::new(Kv::default()));
        let request = (SessionId(Index(1)), Sequence(1));
        let [first, second] = [b"a", b"b"].map(|bytes| Arc::from(&bytes[..]));
        assert_eq!(reference.check_session_reply(request, true, &first), Ok(()));
        assert_eq!(reference.check_session_reply(request, false, &first), Ok(()));
        assert!(
            mismatch_text(reference.check_session_reply(request, true, &first)).contains("twice")
        );
        assert!(
            mismatch_text(reference.check_session_reply(request, false, &second))
                .contains("not its first")
        );
        let unknown = (SessionId(Index(1)), Sequence(2));
        assert!(
            mismatch_text(reference.check_session_reply(unknown, false, &first))
                .contains("not its first")
        );
    }

    /// A workload that rejects every reply of its key-value store.
    #[derive(Clone)]
    struct RejectingWorkload;

    impl Workload for RejectingWorkload {
        type Machine = AnyMachine;

        fn machine(&self) -> AnyMachine {
            AnyWorkload::new(Kv::default()).machine()
        }

        fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
            Kv::default().command(op, draw)
        }

        fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
            Kv::default().query(op, draw)
        }

        fn check_reply(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
            Err("doubtful".to_owned())
        }
    }

    #[test]
    fn a_violation_names_its_entry() {
        let mut reference = ReferenceMachine::new(&AnyWorkload::new(RejectingWorkload));
        assert_eq!(
            reference.follow(&requests()),
            Err(ReferenceMismatch::Workload("entry 2@t1: doubtful".to_owned()))
        );
    }
}
