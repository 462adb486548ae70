//! What every node's machine should be: one that follows the log by itself and meets no fault.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::slice;
use std::sync::Arc;

use quorate::machine::{Digest, Machine, Outcome, Request, Sequence, SessionId, StateMachine};
use quorate::types::{Entry, EntryId, Index, Payload};

use crate::observe::Look;
use crate::request::unmark;
use crate::workload::contract::Workload;
use crate::workload::erased::{AnyMachine, AnyWorkload};

/// A machine that follows the committed log, and looks at everything it does: the workload checks
/// each reply, and no request of a session is carried out twice or answered in two ways.
#[derive(Clone, Debug)]
pub struct Reference {
    machine: Machine<Watched>,
    /// The first reply of every request that a session has carried out, kept for ever.
    replies: BTreeMap<(SessionId, Sequence), Arc<[u8]>>,
}

/// The user's machine, with the workload looking on.
#[derive(Clone, Debug)]
struct Watched {
    machine: AnyMachine,
    workload: AnyWorkload,
    /// How many commands were carried out.
    executed: u64,
    /// The first thing that was wrong.
    wrong: Option<String>,
}

/// What a [`Reference`] finds wrong, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The workload says so.
    Workload(String),
    /// A request of a session was carried out twice, or answered in two ways.
    Session(String),
    /// The same log led to something else.
    Otherwise(String),
}

impl Reference {
    /// The machine of `workload` before the first entry.
    #[must_use]
    pub fn new(workload: &AnyWorkload) -> Reference {
        let (machine, workload) = (workload.machine(), workload.clone());
        let watched = Watched { machine, workload, executed: 0, wrong: None };
        Reference { machine: Machine::new(watched), replies: BTreeMap::new() }
    }

    /// Follows committed entries, save those that it has followed before; returns what came of
    /// each command. Commands are marked as [`mark`] does it.
    ///
    /// [`mark`]: crate::request::mark
    ///
    /// # Errors
    /// What was wrong first, in a sentence.
    ///
    /// # Panics
    /// If there is a gap before the entries.
    pub fn follow(&mut self, entries: &[Entry]) -> Result<Vec<(Index, Outcome)>, Wrong> {
        let known = self.applied().index;
        let mut outcomes = Vec::new();
        for entry in entries.iter().filter(|entry| entry.id.index > known) {
            let before = self.machine.user().executed;
            let outcome = self.machine.apply(slice::from_ref(entry)).pop();
            if let Some(wrong) = &self.machine.user().wrong {
                return Err(Wrong::Workload(format!("entry {}: {wrong}", entry.id)));
            }
            let is_executed = self.machine.user().executed > before;
            if let (Some(request), Some((_, Outcome::Reply(reply)))) = (request_of(entry), &outcome)
            {
                self.note(request, is_executed, reply)?;
            }
            outcomes.extend(outcome);
        }
        Ok(outcomes)
    }

    /// Compares a node's machine that has applied exactly as much.
    ///
    /// # Errors
    /// How the two differ, or what the workload finds wrong with the state.
    ///
    /// # Panics
    /// If the node's machine has applied more or less.
    pub fn compare(&self, look: Look<'_>) -> Result<(), Wrong> {
        assert_eq!(look.applied, self.applied(), "only states at one entry are compared");
        if let Some(found) = look.digest {
            let workload = &self.machine.user().workload;
            workload.check_state(look.machine).map_err(Wrong::Workload)?;
            let expected = self.machine.digest().expect("a state in memory can be read");
            if Some(found) != expected {
                let applied = self.applied();
                let wrong = format!("the same log led to another state at {applied}");
                return Err(Wrong::Otherwise(wrong));
            }
        }
        match (look.results, self.results()) {
            (Some(found), Some(expected)) if found != expected => Err(Wrong::Otherwise(format!(
                "the same log led to other replies through {}",
                self.applied()
            ))),
            _ => Ok(()),
        }
    }

    /// Looks at the answer to a query of a node's machine that had applied exactly as much.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), Wrong> {
        let workload = &self.machine.user().workload;
        workload.check_answer(query, answer).map_err(Wrong::Workload)?;
        if self.machine.query(query) != answer {
            let applied = self.applied();
            let wrong = format!("the same state at {applied} answers otherwise");
            return Err(Wrong::Otherwise(wrong));
        }
        Ok(())
    }

    /// The rolling hash over what came of every entry followed.
    #[must_use]
    pub fn results(&self) -> Option<Digest> {
        self.machine.results()
    }

    /// The last entry followed.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.machine.applied()
    }

    fn note(
        &mut self,
        request: (SessionId, Sequence),
        is_executed: bool,
        reply: &Arc<[u8]>,
    ) -> Result<(), Wrong> {
        let (session, sequence) = request;
        let first = self.replies.get(&request);
        match (first, is_executed) {
            (None, true) => {
                self.replies.insert(request, Arc::clone(reply));
                Ok(())
            }
            (Some(_), true) => {
                Err(Wrong::Session(format!("{session}{sequence} was carried out twice")))
            }
            (Some(first), false) if first == reply => Ok(()),
            (_, false) => {
                Err(Wrong::Session(format!("{session}{sequence} got a reply that is not its own")))
            }
        }
    }
}

/// The request of a session that an entry holds, if it holds one.
fn request_of(entry: &Entry) -> Option<(SessionId, Sequence)> {
    let Payload::Command(command) = &entry.payload else { return None };
    match Request::decode(command)? {
        Request::InSession { session, sequence, .. } => Some((session, sequence)),
        Request::Plain(_) | Request::Register { .. } => None,
    }
}

impl StateMachine for Watched {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        let command = unmark(command).map_or(command, |(command, _)| command);
        let reply = self.machine.apply(index, command);
        self.executed += 1;
        let wrong = self.workload.check_reply(command, &reply).err();
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
        self.machine.digest()
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::{Nonce, SessionLimits};
    use quorate::types::{Command, Term};

    use super::*;
    use crate::choice::Draw;
    use crate::request::{OpId, mark};
    use crate::workload::kv::{Kv, Operation, Reply};

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
        Request::InSession { session, sequence, acknowledged, command }.encode()
    }

    fn plain(operation: Operation<'_>) -> Command {
        Request::Plain(&mark(operation.encode(), OpId(7), 0)).encode()
    }

    /// A node's machine, which is not shown the marks.
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

    fn look(node: &Machine<Unmarked>) -> Look<'_> {
        let digest = node.digest().expect("it is in memory");
        let (applied, results) = (node.applied(), node.results());
        Look { applied, digest, results, machine: &node.user().0 }
    }

    fn said(wrong: Result<(), Wrong>) -> String {
        match wrong.expect_err("something is wrong") {
            Wrong::Workload(wrong) | Wrong::Session(wrong) | Wrong::Otherwise(wrong) => wrong,
        }
    }

    fn requests() -> Vec<Entry> {
        let limits = SessionLimits::default();
        let register = Request::Register { nonce: Nonce(1), limits }.encode();
        log(1, vec![register, ask(1, PUT), ask(2, GET), ask(1, PUT)])
    }

    #[test]
    fn it_equals_every_machine_that_applied_the_same() {
        let workload = AnyWorkload::new(Kv::default());
        let mut reference = Reference::new(&workload);
        let (node, outcomes) = node(&requests());
        assert_eq!(reference.follow(&requests()[..2]).map(|found| found.len()), Ok(2));
        assert_eq!(reference.follow(&requests()), Ok(outcomes[2..].to_vec()), "each once");
        assert_eq!(reference.compare(look(&node)), Ok(()));
        let query = GET.encode();
        assert_eq!(reference.check_answer(&query, &node.query(&query)), Ok(()));
        assert!(reference.check_answer(&query, &Reply::Absent.encode()).is_err());
    }

    #[test]
    fn another_state_or_another_reply_is_told() {
        let workload = AnyWorkload::new(Kv::default());
        let mut reference = Reference::new(&workload);
        reference.follow(&requests()).unwrap();
        let delete = ask(1, Operation::Delete { key: b"k" });
        let mut other = requests();
        other[1].payload = Payload::Command(delete);
        let (found, _) = node(&other);
        assert!(said(reference.compare(look(&found))).contains("keys"));
        // The same state, and a session that knows more.
        let mut outside = requests();
        outside[2].payload = Payload::Command(plain(GET));
        let (found, _) = node(&outside);
        assert!(said(reference.compare(look(&found))).contains("another state"));
        // The same state altogether, but one reply less.
        let mut odd = log(1, vec![plain(PUT); 2]);
        let mut reference = Reference::new(&workload);
        reference.follow(&odd).unwrap();
        odd[1].payload = Payload::Noop;
        let (found, _) = node(&odd);
        assert!(said(reference.compare(look(&found))).contains("other replies"));
    }

    #[test]
    fn a_request_is_noted_once_and_with_one_reply() {
        let mut reference = Reference::new(&AnyWorkload::new(Kv::default()));
        let request = (SessionId(Index(1)), Sequence(1));
        let [first, second] = [b"a", b"b"].map(|bytes| Arc::from(&bytes[..]));
        assert_eq!(reference.note(request, true, &first), Ok(()));
        assert_eq!(reference.note(request, false, &first), Ok(()));
        assert!(said(reference.note(request, true, &first)).contains("twice"));
        assert!(said(reference.note(request, false, &second)).contains("not its own"));
        let unknown = (SessionId(Index(1)), Sequence(2));
        assert!(said(reference.note(unknown, false, &first)).contains("not its own"));
    }

    /// A key-value store that the workload never believes.
    #[derive(Clone)]
    struct Doubting;

    impl Workload for Doubting {
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
    fn what_the_workload_finds_wrong_is_told_with_its_entry() {
        let mut reference = Reference::new(&AnyWorkload::new(Doubting));
        assert_eq!(
            reference.follow(&requests()),
            Err(Wrong::Workload("entry 2@t1: doubtful".to_owned()))
        );
    }
}
