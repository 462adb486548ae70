//! Requests, their proposers and admin commands, as the log has them, and the snapshot of a
//! machine.

use std::io::{self, Cursor, Read};

use quorate::machine::{
    Machine, Nonce, Proposer, Quota, QuotaCommand, Request, Sequence, SessionId, SessionLimits,
    StateMachine,
};
use quorate::types::{Entry, EntryId, Index, MachineVersion, Payload, SessionBounds, Term};

use crate::draw::Draw;
use crate::fixtures::Fixtures;

fn requests() -> Vec<(&'static str, Request<'static>)> {
    let (nonce, limits) = (Nonce(0x0102_0304_0506_0708), SessionLimits::default());
    let in_session = Request::InSession {
        session: SessionId(Index(258)),
        sequence: Sequence(772),
        acknowledged: Sequence(3),
        command: b"set x 1",
    };
    vec![
        ("plain", Request::Plain(b"set x 1")),
        ("register", Request::Register { nonce, limits }),
        ("in-session", in_session),
        ("set-bounds", Request::SetBounds(SessionBounds::DEFAULT)),
        ("admin", Request::Admin(b"order")),
        ("raise-version", Request::RaiseVersion(MachineVersion { user: 258, library: 1 })),
    ]
}

const PROPOSERS: [(&str, Proposer<'_>); 3] = [
    ("unnamed", Proposer::Unnamed),
    ("client", Proposer::Client("alice")),
    ("admin", Proposer::Admin("root.1")),
];

#[test]
fn the_fixtures_of_commands_are_written_and_read() {
    let mut fixtures = Fixtures::of("command", 2);
    for (name, request) in requests() {
        fixtures.value(name, &request.encode(), |kept| {
            assert_eq!(Request::decode(kept), Some(request));
        });
        for (role, proposer) in PROPOSERS {
            fixtures.value(&format!("{name}-of-{role}"), &request.encode_for(proposer), |kept| {
                assert_eq!(Request::in_log(kept), Some((proposer, request)));
            });
        }
    }
    for command in [QuotaCommand::SetBytes(1 << 30), QuotaCommand::ClearAlarm] {
        let name = format!("quota-command-of-{} bytes", command.encode().len()).replace(' ', "-");
        fixtures.value(&name, &command.encode(), |kept| {
            assert_eq!(QuotaCommand::decode(kept), Some(command));
        });
    }
    fixtures.value("quota", &Quota::default().encode(), |kept| {
        let bytes = kept.try_into().expect("a quota has a fixed size");
        assert_eq!(Quota::decode(bytes, 0), Some(Quota::default()));
    });
    let mut draw = Draw(1);
    for number in 0..64 {
        let command = draw.bytes(100);
        let request = drawn(&mut draw, &command);
        fixtures.hash(&format!("drawn-{number}"), &request.encode());
    }
    fixtures.finish();
}

fn drawn<'a>(draw: &mut Draw, command: &'a [u8]) -> Request<'a> {
    let sequence = 1 + draw.below(1 << 40);
    match draw.below(3) {
        0 => Request::Plain(command),
        1 => Request::Register {
            nonce: Nonce(u128::from(draw.number())),
            limits: SessionLimits { window: 1 + draw.below(1 << 10) as u32, ..Default::default() },
        },
        _ => Request::InSession {
            session: SessionId(Index(draw.below(1 << 62))),
            sequence: Sequence(sequence),
            acknowledged: Sequence(1 + draw.below(sequence)),
            command,
        },
    }
}

/// A state machine that keeps the text of all commands.
#[derive(Debug, Default)]
struct Notes(Vec<u8>);

impl StateMachine for Notes {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0.extend(command);
        self.0.len().to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.clone()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.clone()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        snapshot.read_to_end(&mut self.0).map(|_| ())
    }
}

/// Returns a machine that has applied these payloads.
fn machine(payloads: Vec<Payload>) -> Machine<Notes> {
    let mut machine = Machine::new(Notes::default());
    let entry = |(index, payload)| Entry { id: EntryId::new(Term(2), Index(index)), payload };
    machine.apply(&(1..).zip(payloads).map(entry).collect::<Vec<_>>());
    machine
}

/// Registers a session for each proposer and executes `count` commands, some of them a second time.
fn payloads(count: u64) -> Vec<Payload> {
    let register = |nonce| Request::Register { nonce: Nonce(nonce), limits: Default::default() };
    let mut payloads = vec![Payload::Noop];
    for (nonce, (_, proposer)) in (1..).zip(PROPOSERS) {
        payloads.push(Payload::Command(register(nonce).encode_for(proposer)));
    }
    for number in 0..count {
        let owner = number % 3;
        let sequence = Sequence(1 + number / 4);
        let acknowledged = Sequence(1 + number / 8);
        let session = SessionId(Index(2 + owner));
        let command = b"abc";
        let request = Request::InSession { session, sequence, acknowledged, command };
        let (_, proposer) = PROPOSERS[owner as usize];
        payloads.push(Payload::Command(request.encode_for(proposer)));
    }
    payloads
}

fn snapshot_of(machine: &Machine<Notes>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut view = machine.snapshot().expect("its sessions are caught up");
    view.read_to_end(&mut bytes).expect("memory can be read");
    bytes
}

#[test]
fn the_fixtures_of_machines_are_written_and_read() {
    let mut fixtures = Fixtures::of("machine", 2);
    for count in [0, 9] {
        let machine = machine(payloads(count));
        fixtures.value(&format!("commands-{count}"), &snapshot_of(&machine), |kept| {
            let mut restored = Machine::new(Notes::default());
            restored.restore(machine.applied(), &mut &kept[..]).expect("it is a snapshot");
            assert_eq!(restored.user().0, machine.user().0);
            assert_eq!(restored.results(), machine.results());
            assert_eq!(snapshot_of(&restored), snapshot_of(&machine));
        });
    }
    for count in (0..64).map(|number| number * 5) {
        fixtures.hash(&format!("drawn-{count}"), &snapshot_of(&machine(payloads(count))));
    }
    fixtures.finish();
}
