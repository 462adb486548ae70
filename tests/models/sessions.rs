//! Client sessions against a model that keeps the list of all requests: with any repetition,
//! reordering, dropped reply or restore, outcomes match the model and no request executes twice.

mod model;

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index as Pick;

use quorate::machine::{
    Call, ClientSession, Machine, Nonce, Outcome, Proposer, Request, Sequence, SessionEvent,
    SessionId, SessionLimits, StateMachine,
};
use quorate::types::{
    Command, Entry, EntryId, Index, MachineVersion, Payload, SessionBounds, Term,
};

use self::model::{Model, reply_of, reply_to_admin, request_of};

/// A state machine that keeps every command. The reply is the number of earlier commands, followed
/// by the command; from version 1 on, both follow the version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger {
    commands: Vec<Vec<u8>>,
    applied: Index,
    version: u32,
    is_durable: bool,
}

const VERSION_MAX: u32 = 3;

impl StateMachine for Ledger {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        assert!(self.applied < index, "each entry is applied once");
        self.applied = index;
        let reply = reply_of(self.version, self.commands.len(), command);
        self.commands.push(command.to_vec());
        reply
    }

    fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        reply_to_admin(&self.apply(index, command))
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.commands.concat()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let mut bytes = self.applied.0.to_le_bytes().to_vec();
        for command in &self.commands {
            bytes.push(u8::try_from(command.len()).unwrap());
            bytes.extend(command);
        }
        Box::new(Cursor::new(bytes))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let (applied, mut rest) = bytes.split_first_chunk().expect("the snapshot is complete");
        self.applied = Index(u64::from_le_bytes(*applied));
        self.commands.clear();
        while let [length, after @ ..] = rest {
            let (command, after) = after.split_at(*length as usize);
            self.commands.push(command.to_vec());
            rest = after;
        }
        Ok(())
    }

    fn version_max(&self) -> u32 {
        VERSION_MAX
    }

    fn set_version(&mut self, index: Index, version: u32) {
        assert!(self.applied < index, "each entry is applied once");
        assert!(self.version < version, "the version rises");
        (self.applied, self.version) = (index, version);
    }

    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.version = version;
        self.restore(snapshot)
    }

    fn applied(&self) -> Option<Index> {
        self.is_durable.then_some(self.applied)
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() }
}

/// One random operation. A [`Pick`] selects one of the choices that exist when it is carried out.
#[derive(Clone, Debug)]
enum Operation {
    Noop,
    InvalidCommand(Vec<u8>),
    Plain(u8),
    Admin {
        by: usize,
        command: Vec<u8>,
    },
    RaiseVersion {
        by: usize,
        version: u32,
    },
    SetBounds {
        by: usize,
        bounds: SessionBounds,
    },
    Register {
        by: usize,
        nonce: u8,
        limits: SessionLimits,
    },
    /// A request in one of the sessions so far, or in an unknown one.
    Request {
        by: usize,
        session: Pick,
        sequence: u64,
        acknowledged: u64,
        length: usize,
    },
    /// A copy of an earlier command.
    Repeat(Pick),
    /// A restore of the machine from its current snapshot.
    Restore,
    /// A snapshot that is kept for a later restart.
    TakeSnapshot,
    /// A restart of the machine from the kept snapshot, and the log after it.
    Restart,
}

fn limits() -> impl Strategy<Value = SessionLimits> {
    (1u32..6, 0u32..24)
        .prop_map(|(window, replies_bytes_max)| SessionLimits { window, replies_bytes_max })
}

/// The clients that propose, by number. The last two are administrators.
const PROPOSERS: [Proposer<'_>; 4] =
    [Proposer::Client("a"), Proposer::Client("b"), Proposer::Admin("a"), Proposer::Unnamed];

fn bounds() -> impl Strategy<Value = SessionBounds> {
    let sessions = (1u32..4, 0u32..3);
    let requests = (3u32..6, 0u32..4, 0u32..8);
    let bytes = (16u32..30, 0u64..20, 0u64..40);
    (sessions, requests, bytes).prop_map(|(sessions, requests, bytes)| {
        let (sessions_per_principal_max, more_sessions) = sessions;
        let (window_max, more_of_principal, more_requests) = requests;
        let (replies_bytes_per_session_max, more_bytes_of_principal, more_bytes) = bytes;
        let requests_per_principal_max = window_max + more_of_principal;
        let of_principal = u64::from(replies_bytes_per_session_max) + more_bytes_of_principal;
        SessionBounds {
            sessions_max: sessions_per_principal_max + more_sessions,
            sessions_per_principal_max,
            window_max,
            requests_per_principal_max,
            requests_max: requests_per_principal_max + more_requests,
            replies_bytes_per_session_max,
            replies_bytes_per_principal_max: of_principal,
            replies_bytes_max: of_principal + more_bytes,
        }
    })
}

fn set_bounds() -> impl Strategy<Value = Operation> {
    (0..PROPOSERS.len(), bounds()).prop_map(|(by, bounds)| Operation::SetBounds { by, bounds })
}

/// Returns some operations. The first sets small bounds, often as an administrator.
fn operations() -> impl Strategy<Value = Vec<Operation>> {
    (set_bounds(), vec(operation(), 1..120))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect())
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => Just(Operation::Noop),
        1 => vec(any::<u8>(), 0..40).prop_map(Operation::InvalidCommand),
        1 => any::<u8>().prop_map(Operation::Plain),
        1 => set_bounds(),
        1 => (0..PROPOSERS.len(), vec(any::<u8>(), 0..12))
            .prop_map(|(by, command)| Operation::Admin { by, command }),
        1 => (0..PROPOSERS.len(), 0..=VERSION_MAX)
            .prop_map(|(by, version)| Operation::RaiseVersion { by, version }),
        4 => (0..PROPOSERS.len(), 0u8..6, limits())
            .prop_map(|(by, nonce, limits)| Operation::Register { by, nonce, limits }),
        14 => (0..PROPOSERS.len(), any::<Pick>(), 1u64..9, 0u64..6, 0usize..12).prop_map(
            |(by, session, sequence, behind, length)| {
                let acknowledged = sequence.saturating_sub(behind).max(1);
                Operation::Request { by, session, sequence, acknowledged, length }
            }
        ),
        5 => any::<Pick>().prop_map(Operation::Repeat),
        1 => Just(Operation::Restore),
        1 => Just(Operation::TakeSnapshot),
        1 => Just(Operation::Restart),
    ]
}

/// Returns the next payload of the log, if the operation appends one.
fn payload(operation: &Operation, log: &[Entry]) -> Option<Payload> {
    let command = match operation {
        Operation::Noop => return Some(Payload::Noop),
        Operation::InvalidCommand(bytes) => Command::from(bytes.clone()),
        Operation::Plain(byte) => Request::Plain(&[*byte]).encode_for(Proposer::Unnamed),
        Operation::Admin { by, command } => Request::Admin(command).encode_for(PROPOSERS[*by]),
        Operation::SetBounds { by, bounds } => {
            Request::SetBounds(*bounds).encode_for(PROPOSERS[*by])
        }
        Operation::RaiseVersion { by, version } => {
            let version = MachineVersion { user: *version, ..MachineVersion::FIRST };
            Request::RaiseVersion(version).encode_for(PROPOSERS[*by])
        }
        Operation::Register { by, nonce, limits } => {
            let nonce = Nonce(u128::from(*nonce));
            Request::Register { nonce, limits: *limits }.encode_for(PROPOSERS[*by])
        }
        Operation::Request { by, session, sequence, acknowledged, length } => {
            let mut ids = registrations(log);
            ids.push(Index(1000));
            let session = SessionId(*session.get(&ids));
            let (sequence, acknowledged) = (Sequence(*sequence), Sequence(*acknowledged));
            let mut command = format!("{session}{sequence};").into_bytes();
            command.resize(command.len() + length, b'x');
            Request::InSession { session, sequence, acknowledged, command: &command }
                .encode_for(PROPOSERS[*by])
        }
        Operation::Repeat(pick) if !log.is_empty() => return Some(pick.get(log).payload.clone()),
        _ => return None,
    };
    Some(Payload::Command(command))
}

fn request_in(entry: &Entry) -> Option<(SessionId, Sequence)> {
    match request_of(entry)? {
        Request::InSession { session, sequence, .. } => Some((session, sequence)),
        _ => None,
    }
}

fn registrations(log: &[Entry]) -> Vec<Index> {
    let registers = |entry: &&Entry| matches!(request_of(entry), Some(Request::Register { .. }));
    log.iter().filter(registers).map(|entry| entry.id.index).collect()
}

fn bytes_of(machine: &Machine<Ledger>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frozen = machine.snapshot().expect("the machine is caught up");
    frozen.read_to_end(&mut bytes).expect("memory can be read");
    bytes
}

fn restored(user: Ledger, last: EntryId, bytes: &[u8]) -> Machine<Ledger> {
    let mut machine = Machine::new(user);
    machine.restore(last, &mut &bytes[..]).expect("the snapshot is valid");
    machine
}

/// A run of operations on a machine, which is sometimes restored or restarted.
struct Run {
    log: Vec<Entry>,
    machine: Machine<Ledger>,
    outcomes: Vec<(Index, Outcome)>,
    kept: Option<(EntryId, Vec<u8>)>,
}

impl Run {
    fn new(is_durable: bool) -> Run {
        let machine = Machine::new(Ledger { is_durable, ..Ledger::default() });
        Run { log: Vec::new(), machine, outcomes: Vec::new(), kept: None }
    }

    fn step(&mut self, operation: &Operation) {
        if let Some(payload) = payload(operation, &self.log) {
            let index = self.machine.applied().index.next();
            let entry = Entry { id: EntryId::new(Term(1 + index.0 / 7), index), payload };
            self.outcomes.extend(self.machine.apply(std::slice::from_ref(&entry)));
            self.log.push(entry);
        }
        let is_durable = self.machine.user().is_durable;
        let fresh = Ledger { is_durable, ..Ledger::default() };
        match operation {
            Operation::Restore => {
                let bytes = bytes_of(&self.machine);
                self.machine = restored(fresh, self.machine.applied(), &bytes);
                assert_eq!(bytes_of(&self.machine), bytes);
            }
            Operation::TakeSnapshot => {
                self.kept = Some((self.machine.applied(), bytes_of(&self.machine)))
            }
            Operation::Restart => {
                let user = if is_durable { self.machine.user().clone() } else { fresh };
                let expected = self.machine.digest().expect("memory can be read");
                self.machine = match &self.kept {
                    Some((last, bytes)) => restored(user, *last, bytes),
                    None => Machine::new(user),
                };
                let again = &self.log[self.machine.applied().index.0 as usize..];
                let outcomes = self.machine.apply(again);
                if !is_durable {
                    assert!(
                        self.outcomes.ends_with(&outcomes),
                        "the same log has the same outcomes"
                    );
                }
                assert_eq!(self.machine.digest().expect("memory can be read"), expected);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_machine_matches_the_model(
        operations in operations(),
        batch in 1usize..9,
    ) {
        let mut run = Run::new(false);
        operations.iter().for_each(|operation| run.step(operation));
        let model = Model::of(&run.log);
        prop_assert_eq!(&run.outcomes, &model.outcomes);

        let requests: Vec<_> = model.executed.iter().filter_map(|executed| executed.0).collect();
        let distinct: BTreeSet<_> = requests.iter().collect();
        prop_assert_eq!(requests.len(), distinct.len(), "a request is executed once");
        prop_assert_eq!(run.machine.user().commands.len(), model.executed.len());

        // The bytes are the same for any split into batches, and without the restores.
        let mut other = Machine::new(Ledger::default());
        run.log.chunks(batch).for_each(|entries| { other.apply(entries); });
        prop_assert_eq!(bytes_of(&run.machine), bytes_of(&other));
        prop_assert_eq!(run.machine.results(), other.results());
    }

    #[test]
    fn a_durable_state_machine_decides_like_the_others(
        operations in operations(),
    ) {
        let mut run = Run::new(true);
        operations.iter().for_each(|operation| run.step(operation));
        let model = Model::of(&run.log);
        prop_assert_eq!(run.outcomes.len(), model.outcomes.len());
        for (found, expected) in run.outcomes.iter().zip(&model.outcomes) {
            // A reply may be unknown here, or may not have displaced another; all other outcomes
            // are as on every node.
            let is_unknown = match (&found.1, &expected.1) {
                (Outcome::SessionExpired, Outcome::Reply(_)) => true,
                (Outcome::Reply(reply), Outcome::SessionExpired) => {
                    let request = request_in(&run.log[found.0.0 as usize - 1]);
                    model.executed.iter().any(|(other, first)| {
                        request.is_some() && *other == request && **first == **reply
                    })
                }
                _ => false,
            };
            prop_assert!(found == expected || is_unknown, "{:?} {:?}", found, expected);
        }
        let mut other = Machine::new(Ledger::default());
        other.apply(&run.log);
        prop_assert_eq!(&run.machine.user().commands, &other.user().commands);
        prop_assert_eq!(run.machine.digest().unwrap(), other.digest().unwrap());
        if run.machine.results().is_some() {
            prop_assert_eq!(run.machine.results(), other.results());
        }
    }
}

/// One step of a network between a client and the log.
#[derive(Clone, Debug)]
enum Step {
    Submit,
    /// The client sends one of its calls, perhaps again.
    Send(Pick),
    /// One of all copies sent so far is appended to the log.
    Propose(Pick),
    /// One of all outcomes so far arrives at the client.
    DeliverOutcome(Pick),
    /// Another client registers a session.
    RegisterOther,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Submit),
        8 => any::<Pick>().prop_map(Step::Send),
        8 => any::<Pick>().prop_map(Step::Propose),
        8 => any::<Pick>().prop_map(Step::DeliverOutcome),
        1 => Just(Step::RegisterOther),
    ]
}

/// A client, the log, and the messages between them, which may be delayed and duplicated, but are
/// never lost for good.
struct Network {
    client: ClientSession,
    machine: Machine<Ledger>,
    sent: Vec<(Call, Command)>,
    outcomes: Vec<(Call, Outcome)>,
    replied: Vec<(Sequence, Arc<[u8]>)>,
    lost: Vec<Sequence>,
    submitted: u64,
    opened: Option<SessionId>,
}

impl Network {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit => {
                let command = (self.submitted + 1).to_le_bytes();
                if let Some(call) = self.client.submit(&command) {
                    self.submitted += 1;
                    let sequence = Sequence(self.submitted);
                    assert!(matches!(call, Call::Request(_, given) if given == sequence));
                }
            }
            Step::Send(pick) => {
                let calls: Vec<Call> = self.client.calls().collect();
                if !calls.is_empty() {
                    let call = *pick.get(&calls);
                    let command = self.client.command(call).expect("a call has a command");
                    self.sent.push((call, command));
                }
            }
            Step::Propose(pick) if !self.sent.is_empty() => {
                let (call, command) = pick.get(&self.sent).clone();
                if let Some(outcome) = self.propose(command) {
                    self.outcomes.push((call, outcome));
                }
            }
            Step::DeliverOutcome(pick) if !self.outcomes.is_empty() => {
                let (call, outcome) = pick.get(&self.outcomes).clone();
                match self.client.on_outcome(call, &outcome) {
                    SessionEvent::Reply(sequence, reply) => self.replied.push((sequence, reply)),
                    SessionEvent::Ended(lost) => self.lost.extend(lost),
                    SessionEvent::Opened(session) => self.opened = Some(session),
                    SessionEvent::Ignored => {}
                }
            }
            Step::RegisterOther => {
                let nonce = Nonce(u128::from(self.machine.applied().index.0) + 100);
                self.propose(Request::Register { nonce, limits: LIMITS }.encode());
            }
            Step::Propose(_) | Step::DeliverOutcome(_) => {}
        }
    }

    fn propose(&mut self, command: Command) -> Option<Outcome> {
        let id = EntryId::new(Term(1), self.machine.applied().index.next());
        let payload = Payload::Command(Proposer::Client("a").stamp(&command));
        let outcomes = self.machine.apply(&[Entry { id, payload }]);
        outcomes.into_iter().next().map(|(_, outcome)| outcome)
    }
}

const LIMITS: SessionLimits = SessionLimits { window: 4, replies_bytes_max: 1000 };
/// The bounds under which the client's session expires once three others are opened after its last
/// use.
const BOUNDS: SessionBounds =
    SessionBounds { sessions_per_principal_max: 3, ..SessionBounds::DEFAULT };

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_client_gets_the_reply_of_the_only_execution_of_its_request(
        steps in vec(step(), 1..200),
    ) {
        let mut network = Network {
            client: ClientSession::new(Nonce(1), LIMITS),
            machine: Machine::new(Ledger::default()),
            sent: Vec::new(),
            outcomes: Vec::new(),
            replied: Vec::new(),
            lost: Vec::new(),
            submitted: 0,
            opened: None,
        };
        let first = Entry {
            id: EntryId::new(Term(1), Index(1)),
            payload: Payload::Command(Request::SetBounds(BOUNDS).encode_for(Proposer::Unnamed)),
        };
        network.machine.apply(&[first]);
        steps.iter().for_each(|step| network.step(step));

        let commands = &network.machine.user().commands;
        for (sequence, reply) in &network.replied {
            let command = sequence.0.to_le_bytes();
            let places: Vec<usize> =
                (0..commands.len()).filter(|place| commands[*place] == command).collect();
            prop_assert_eq!(places.len(), 1, "{} was executed once", sequence);
            prop_assert_eq!(&reply[..], &reply_of(0, places[0], &command)[..]);
        }
        let distinct: BTreeSet<_> = commands.iter().collect();
        prop_assert_eq!(distinct.len(), commands.len(), "no command was executed twice");
        let ended: BTreeSet<Sequence> =
            network.replied.iter().map(|reply| reply.0).chain(network.lost.clone()).collect();
        prop_assert_eq!(ended.len(), network.replied.len() + network.lost.len(), "each ends once");
        let calls = network.client.calls();
        let pending = calls.filter(|call| matches!(call, Call::Request(..))).count();
        if network.client.is_ended() {
            prop_assert_eq!(ended.len() as u64, network.submitted);
            // A sequence number beyond any window: an open session would report it.
            let session = network.opened.expect("only an open session expires");
            let (sequence, acknowledged) = (Sequence(1000), Sequence(1));
            let probe = Request::InSession { session, sequence, acknowledged, command: b"" };
            prop_assert_eq!(network.propose(probe.encode()), Some(Outcome::SessionExpired));
        } else if network.opened.is_some() {
            prop_assert_eq!(network.client.id(), network.opened);
            prop_assert_eq!((ended.len() + pending) as u64, network.submitted);
        }
        let mut outcomes = network.outcomes.iter().map(|(_, outcome)| outcome);
        prop_assert!(outcomes.all(|outcome| *outcome != Outcome::OutsideWindow));
    }
}
