//! Tests of the version of the rules.

use super::*;

/// A state machine that counts commands by version 0, and their bytes from version 1 on. Version 2
/// doubles the state where it begins.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counter {
    max: u32,
    version: u32,
    count: u64,
    /// The last executed index, for a state machine with durable state.
    applied: Option<Index>,
    /// The indices at which the version was raised.
    raised_at: Vec<u64>,
}

impl StateMachine for Counter {
    fn version_max(&self) -> u32 {
        self.max
    }

    fn set_version(&mut self, index: Index, version: u32) {
        assert!((self.version + 1..=self.max).contains(&version), "it is raised within the build");
        if version >= 2 {
            self.count *= 2;
        }
        self.version = version;
        self.raised_at.push(index.0);
        self.executed(index);
    }

    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.count += if self.version == 0 { 1 } else { command.len() as u64 };
        self.executed(index);
        self.count.to_string().into_bytes()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.count.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        snapshot.read_exact(&mut count)?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }

    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.version = version;
        self.restore(snapshot)
    }

    fn applied(&self) -> Option<Index> {
        self.applied
    }
}

impl Counter {
    fn executed(&mut self, index: Index) {
        if let Some(applied) = &mut self.applied {
            assert!(*applied < index, "a durable state machine gets each command once");
            *applied = index;
        }
    }
}

fn build(max: u32) -> Machine<Counter> {
    Machine::new(Counter { max, ..Counter::default() })
}

fn user(version: u32) -> MachineVersion {
    MachineVersion { user: version, ..MachineVersion::FIRST }
}

fn raise(version: u32) -> Request<'static> {
    Request::RaiseVersion(user(version))
}

const THREE_BYTES: Request<'_> = Request::Plain(b"abc");

fn outcomes(machine: &mut Machine<Counter>, entries: &[Entry]) -> Vec<Outcome> {
    machine.apply(entries).into_iter().map(|(_, outcome)| outcome).collect()
}

fn snapshot_of(machine: &Machine<Counter>) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.snapshot().expect("it is caught up").read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_rules_change_at_the_entry_that_raises_the_version() {
    let mut machine = build(2);
    let requests = [THREE_BYTES, raise(1), THREE_BYTES, raise(2), THREE_BYTES];
    let expected = ["1", "", "4", "", "11"].map(reply);
    assert_eq!(outcomes(&mut machine, &log(1, &requests)), expected);
    assert_eq!(machine.user().raised_at, [2, 4]);
    assert_eq!((machine.version(), machine.usage().version), (user(2), user(2)));
}

#[test]
fn a_version_that_is_not_higher_changes_nothing() {
    let mut machine = build(5);
    machine.apply(&log(1, &[raise(3)]));
    for (index, version) in (2..).zip([0, 1, 3]) {
        let reason = MachineRejectReason::VersionNotHigher { current: user(3) };
        let outcome = outcomes(&mut machine, &log(index, &[raise(version)]));
        assert_eq!(outcome, [Outcome::Rejected(reason)]);
    }
    let lower_library = Request::RaiseVersion(MachineVersion { user: 4, library: 0 });
    assert_eq!(outcomes(&mut machine, &log(5, &[lower_library])), [reply("")]);
    assert_eq!(machine.version(), user(4), "only the higher part rises");
    assert_eq!(machine.user().raised_at, [1, 5]);
}

#[test]
fn only_an_administrator_raises_the_version() {
    let mut machine = build(1);
    let by_client = log_of(Proposer::Client("app"), 1, &[raise(1), raise(9)]);
    assert_eq!(
        by_client.iter().map(|entry| machine.requires(entry)).collect::<Vec<_>>(),
        [None; 2]
    );
    let rejected = Outcome::Rejected(MachineRejectReason::NotAdministrator);
    assert_eq!(outcomes(&mut machine, &by_client), [rejected.clone(), rejected]);
    assert_eq!(machine.version(), MachineVersion::FIRST);
}

#[test]
fn an_entry_beyond_the_build_is_named_and_never_applied() {
    let mut machine = build(1);
    machine.apply(&log(1, &[THREE_BYTES]));
    let beyond = [
        (raise(2), user(2)),
        (raise(u32::MAX), user(u32::MAX)),
        (
            Request::RaiseVersion(MachineVersion { user: 0, library: 2 }),
            MachineVersion { user: 0, library: 2 },
        ),
    ];
    for (request, required) in beyond {
        let entry = &log(2, &[request])[0];
        assert_eq!(machine.requires(entry), Some(required));
        let mut other = machine.clone();
        let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            other.apply(std::slice::from_ref(entry));
        }));
        assert!(applied.is_err(), "{required} is applied");
    }
    assert_eq!(machine.requires(&log(2, &[raise(1)])[0]), None);
    assert_eq!(machine.requires(&entry(2, Payload::Noop)), None);
    assert_eq!(machine.apply(&log(2, &[raise(1)])).len(), 1, "the machine is still usable");
}

#[test]
fn a_snapshot_says_by_which_rules_it_was_written() {
    let mut first = build(2);
    first.apply(&log(1, &[THREE_BYTES, raise(1), THREE_BYTES]));
    let bytes = snapshot_of(&first);
    let mut newer = build(9);
    newer.restore(first.applied(), &mut &bytes[..]).unwrap();
    assert_eq!((newer.version(), newer.user().version), (user(1), 1));
    assert!(newer.user().raised_at.is_empty(), "a restore raises no version");
    let next = log(4, &[THREE_BYTES]);
    assert_eq!(outcomes(&mut newer, &next), outcomes(&mut first, &next));
    assert_eq!(newer.digest().unwrap(), first.digest().unwrap());
    assert_eq!(newer.results(), first.results());
}

#[test]
fn a_build_that_is_too_old_for_a_snapshot_stays_as_it_was() {
    let mut first = build(2);
    first.apply(&log(1, &[raise(2), THREE_BYTES]));
    let bytes = snapshot_of(&first);
    let mut old = build(1);
    old.apply(&log(1, &[THREE_BYTES]));
    let before = format!("{old:?}");
    let error = old.restore(first.applied(), &mut &bytes[..]).unwrap_err();
    let (required, max) = (user(2), user(1));
    assert!(
        matches!(&error, RestoreError::BuildTooOld { required: found, max: own }
            if (*found, *own) == (required, max)),
        "{error}"
    );
    assert!(error.to_string().contains("install the newer build"), "{error}");
    assert_eq!(format!("{old:?}"), before);
    assert_eq!(old.apply(&log(2, &[THREE_BYTES])).len(), 1, "the machine is still usable");
}

#[test]
fn a_restore_may_lead_back_to_an_earlier_version() {
    let mut machine = build(1);
    machine.apply(&log(1, &[THREE_BYTES]));
    let (early, bytes) = (machine.applied(), snapshot_of(&machine));
    let rest = log(2, &[raise(1), THREE_BYTES]);
    let expected = outcomes(&mut machine, &rest);
    machine.restore(early, &mut &bytes[..]).unwrap();
    assert_eq!((machine.version(), machine.user().version), (MachineVersion::FIRST, 0));
    assert_eq!(outcomes(&mut machine, &rest), expected);
}

#[test]
fn the_version_is_a_part_of_the_digest() {
    let (mut one, mut other) = (build(1), build(1));
    one.apply(&log(1, &[raise(1)]));
    other.apply(&log(1, &[raise(0)]));
    other.user = one.user.clone();
    assert_ne!(one.digest().unwrap(), other.digest().unwrap());
}

#[test]
fn a_durable_state_machine_is_not_raised_twice() {
    let entries = log(1, &[THREE_BYTES, raise(1), THREE_BYTES, THREE_BYTES]);
    let mut machine = build(1);
    machine.apply(&entries);
    for executed in [1, 2, 3] {
        let (mut before, mut again) = (build(1), build(1));
        before.user.applied = Some(Index::ZERO);
        before.apply(&entries[..executed]);
        again = Machine { user_start: Index(executed as u64), user: before.user, ..again };
        again.apply(&entries);
        assert_eq!(again.version(), user(1), "{executed}");
        assert_eq!((again.user().count, again.user().version), (7, 1), "{executed}");
        assert_eq!(again.user().raised_at, [2], "{executed}");
    }
}

#[test]
fn a_state_machine_without_restore_version_rejects_a_later_version() {
    /// A state machine that has a version, but cannot restore it.
    struct Forgetful(Counter);
    impl StateMachine for Forgetful {
        fn version_max(&self) -> u32 {
            1
        }
        fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
            self.0.apply(index, command)
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
    let mut machine = build(1);
    machine.apply(&log(1, &[raise(1)]));
    let bytes = snapshot_of(&machine);
    let error = Machine::new(Forgetful(Counter::default()))
        .restore(machine.applied(), &mut &bytes[..])
        .unwrap_err();
    assert!(error.to_string().contains("must implement `restore_version`"), "{error}");
}

#[test]
fn a_snapshot_of_an_impossible_version_is_invalid() {
    let mut machine = build(1);
    machine.apply(&log(1, &[THREE_BYTES]));
    let mut bytes = snapshot_of(&machine);
    // The version of the library follows the magic bytes, the format, a term and two indices, the
    // results and the version of the user.
    let place = 8 + 4 + 3 * 8 + 17 + 4;
    assert_eq!(bytes[place..place + 4], [1, 0, 0, 0]);
    bytes[place] = 0;
    let error = build(1).restore(machine.applied(), &mut &bytes[..]).unwrap_err();
    assert!(error.to_string().contains("the version of the rules is invalid"), "{error}");
}
