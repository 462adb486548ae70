//! Read conflicts: the entries that a follower's read under a read lease must wait for.

use std::time::Duration;

use crate::log::Log;
use crate::machine::{ConflictTest, Request};
use crate::types::{Entry, Index, Instant, Payload};

/// The maximum number of bytes of queries and entries that are tested in each [`PERIOD`]. The tests
/// run on the thread of the consensus algorithm, which must not miss its heartbeats while clients
/// send many reads and the state machine is many entries behind.
const TESTED_BYTES_MAX: usize = 512 << 10;
/// The period after which the bytes are counted from zero again.
const PERIOD: Duration = Duration::from_millis(10);

/// The search for the entries that conflict with reads.
#[derive(Clone, Debug)]
pub(crate) struct ReadConflicts {
    test: ConflictTest,
    /// The bytes that may still be tested in the current period, and the time when the period
    /// began.
    bytes_left: usize,
    since: Instant,
}

/// Whether an entry may change the answer to a query.
enum Conflict<'a> {
    No,
    Yes,
    /// The state machine's test decides about this command.
    Tested(&'a [u8]),
}

impl ReadConflicts {
    pub(crate) fn new(test: ConflictTest) -> ReadConflicts {
        ReadConflicts { test, bytes_left: TESTED_BYTES_MAX, since: Instant::ZERO }
    }

    /// Returns the index of the last unapplied entry that may change the answer to `query`. Entries
    /// that are not in memory are assumed to change it, and so are those that the limit of the
    /// period leaves untested. The result may be an applied index, for which no read waits.
    pub(crate) fn last(&mut self, now: Instant, log: &Log, query: &[u8]) -> Index {
        if now >= self.since.after(PERIOD) {
            (self.bytes_left, self.since) = (TESTED_BYTES_MAX, now);
        }
        let mut test = None;
        for entry in log.in_memory_after(log.applied()).rev() {
            assert!(entry.id.index > log.applied(), "no read waits for an applied entry");
            if !self.spend(entry.bytes()) {
                return entry.id.index;
            }
            match conflict(entry) {
                Conflict::No => {}
                Conflict::Yes => return entry.id.index,
                Conflict::Tested(command) => {
                    if test.is_none() && !self.spend(query.len()) {
                        return entry.id.index;
                    }
                    if test.get_or_insert_with(|| self.test.prepare(query))(command) {
                        return entry.id.index;
                    }
                }
            }
        }
        log.tail_first().previous()
    }

    /// Subtracts `bytes` from those that may still be tested in this period. Returns false if too
    /// few are left.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(0);
        assert!(self.bytes_left <= TESTED_BYTES_MAX, "the tests of a period are bounded");
        left.is_some()
    }
}

fn conflict(entry: &Entry) -> Conflict<'_> {
    let Payload::Command(command) = &entry.payload else { return Conflict::No };
    match Request::in_log(command).map(|(_, request)| request) {
        Some(Request::Plain(command) | Request::InSession { command, .. }) => {
            Conflict::Tested(command)
        }
        // The test knows neither admin commands nor what a new version does to the state.
        Some(Request::Admin(_) | Request::RaiseVersion(_)) => Conflict::Yes,
        Some(Request::Register { .. } | Request::SetBounds(_)) | None => Conflict::No,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use std::io::{self, Read};

    use super::*;
    use crate::machine::{
        Machine, Nonce, Proposer, Sequence, SessionId, SessionLimits, StateMachine,
    };
    use crate::types::{
        EntryId, HardState, MachineVersion, Membership, NodeId, Restored, SessionBounds,
        SnapshotMeta, Term,
    };

    /// Returns a log in which each of the commands is an unapplied entry.
    fn log(commands: impl IntoIterator<Item = Vec<u8>>) -> Log {
        let commands: Vec<_> = commands.into_iter().collect();
        log_of(&commands.iter().map(|command| Request::Plain(command)).collect::<Vec<_>>())
    }

    /// Returns a log in which each of the requests is an unapplied entry.
    fn log_of(requests: &[Request<'_>]) -> Log {
        let entry = |(index, request): (u64, &Request<'_>)| {
            let command = request.encode_for(Proposer::Unnamed);
            let id = EntryId::new(Term(1), Index(index));
            Entry { id, payload: Payload::Command(command) }
        };
        let entries = (1..).zip(requests).map(entry).collect();
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, Membership::new([NodeId(1)]));
        let state = HardState::new(Term(1), None);
        let restored = Restored::with_log(state, Index::ZERO, snapshot, entries);
        Log::new(&restored).expect("it is consistent")
    }

    /// The number of prepared queries, and of tested commands.
    #[derive(Clone, Default)]
    struct Calls(Arc<[AtomicUsize; 2]>);

    impl Calls {
        /// Returns a search whose test, for commands that equal the query, counts its calls.
        fn counted(&self) -> ReadConflicts {
            let calls = Arc::clone(&self.0);
            ReadConflicts::new(ConflictTest::new(move |query| {
                calls[0].fetch_add(1, Ordering::Relaxed);
                let calls = Arc::clone(&calls);
                Box::new(move |command| {
                    calls[1].fetch_add(1, Ordering::Relaxed);
                    command == query
                })
            }))
        }

        fn take(&self) -> [usize; 2] {
            [0, 1].map(|place| self.0[place].swap(0, Ordering::Relaxed))
        }
    }

    /// A state machine whose state is the number of calls that change it.
    struct Changes(u8);

    impl StateMachine for Changes {
        fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
            self.0 += 1;
            Vec::new()
        }

        fn administer(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
            self.apply(index, command)
        }

        fn query(&self, _: &[u8]) -> Vec<u8> {
            vec![self.0]
        }

        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(io::empty())
        }

        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }

        fn version_max(&self) -> u32 {
            1
        }

        fn set_version(&mut self, index: Index, _: u32) {
            self.apply(index, b"");
        }
    }

    #[test]
    fn a_read_waits_for_each_request_that_changes_the_state() {
        let (session, sequence) = (SessionId(Index(1)), Sequence::FIRST);
        let requests = [
            Request::Register { nonce: Nonce(7), limits: SessionLimits::default() },
            Request::Plain(b"a"),
            Request::InSession { session, sequence, acknowledged: sequence, command: b"b" },
            Request::SetBounds(SessionBounds::default()),
            Request::Admin(b"c"),
            Request::RaiseVersion(MachineVersion { user: 1, ..MachineVersion::FIRST }),
        ];
        let mut machine = Machine::new(Changes(0));
        let mut changed = 0;
        for (through, log) in (1..).map(|count| (count, log_of(&requests[..count]))).take(6) {
            let before = machine.query(b"");
            let entry = log.in_memory_after(Index(through as u64 - 1)).next().expect("it is there");
            machine.apply_entry(entry);
            let changes = machine.query(b"") != before;
            changed += u32::from(changes);
            let found = ReadConflicts::new(ConflictTest::default()).last(Instant::ZERO, &log, b"");
            let waits = found == Index(through as u64);
            assert_eq!(waits, changes, "{:?}", requests[through - 1]);
        }
        assert_eq!(changed, 4, "a command in each of its forms, and a new version");
    }

    #[test]
    fn the_search_ends_at_the_last_conflict_and_prepares_the_query_once() {
        let (calls, at) = (Calls::default(), Instant::ZERO);
        let mut conflicts = calls.counted();
        let mut log = log((0..100).map(|number| vec![number % 10]));
        assert_eq!(conflicts.last(at, &log, &[7]), Index(98));
        assert_eq!(calls.take(), [1, 3], "commands 9, 8 and 7 are tested");
        assert_eq!(conflicts.last(at, &log, &[10]), Index::ZERO);
        assert_eq!(calls.take(), [1, 100]);
        log.evict(log.tail_bytes() / 2);
        let on_disk = log.tail_first().previous();
        assert!(on_disk > Index::ZERO, "some entries are on the disk only");
        assert_eq!(conflicts.last(at, &log, &[10]), on_disk, "they may conflict");
        calls.take();
        let empty = self::log([]);
        assert_eq!(conflicts.last(at, &empty, &[7]), Index::ZERO);
        assert_eq!(calls.take(), [0, 0], "there is no command to test");
    }

    #[test]
    fn many_reads_behind_many_entries_take_bounded_time() {
        let (calls, at) = (Calls::default(), Instant::ZERO);
        let mut conflicts = calls.counted();
        let (entries, query) = (4096, vec![7; 1 << 10]);
        let log = log((0..entries).map(|_| vec![9; 32]));
        let found: Vec<Index> = (0..256).map(|_| conflicts.last(at, &log, &query)).collect();
        assert_eq!(found[0], Index::ZERO, "one search is within the limit");
        assert_eq!(found[255], Index(entries), "every entry is assumed to conflict");
        let [prepared, tested] = calls.take();
        assert!(prepared * query.len() <= TESTED_BYTES_MAX, "{prepared} queries");
        assert!(tested * Entry::OVERHEAD_BYTES <= TESTED_BYTES_MAX, "{tested} commands");
        let later = at.after(PERIOD);
        assert_eq!(conflicts.last(later, &log, &query), Index::ZERO, "a new period");
        let found: Vec<Index> = (0..256).map(|_| conflicts.last(later, &log, &query)).collect();
        assert_eq!(found[255], Index(entries), "it is bounded, too");
    }
}
