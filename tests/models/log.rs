//! Model test of the log in memory: any sequence of operations on the log and on a plain vector
//! gives the same results.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use quorate::log::{AppendCheck, Log, Slice};
use quorate::types::{
    Command, DamagedEntry, Entry, EntryId, HardState, Index, Membership, Payload, Restored,
    SnapshotMeta, Term,
};

/// One operation on a log. Numbers are taken modulo the number of choices.
#[derive(Clone, Debug)]
enum Operation {
    /// Appends an entry or several, `terms` terms after the last one; `bytes` decides their number
    /// and their size.
    Append {
        terms: u64,
        bytes: usize,
    },
    Truncate {
        last: u64,
    },
    Persist {
        index: u64,
    },
    Commit {
        index: u64,
    },
    /// Passes the next entries to the state machine.
    BeginApply {
        entries_max: usize,
        bytes_max: usize,
    },
    Apply {
        index: u64,
    },
    Evict {
        bytes_max: usize,
    },
    Read {
        first: u64,
        last: u64,
        entries_max: usize,
        bytes_max: usize,
    },
    /// Compares a leader's entries with the log: `known` entries of the log, then `news` entries of
    /// a new term.
    CheckAppend {
        first: u64,
        known: u64,
        news: u64,
    },
    FindConflict {
        index: u64,
        term: u64,
    },
    /// Takes a snapshot of the applied entries, or of a part of them.
    Snapshot {
        index: u64,
    },
    /// Compacts the entries that the snapshot covers, or a part of them.
    Compact {
        base: u64,
    },
    /// Installs a snapshot beyond the commit index, and makes it durable or not.
    Reset {
        beyond: u64,
        durable: bool,
    },
    /// The disk loses the content of an entry.
    Damage {
        index: u64,
    },
    /// The disk gets back the content of the first damaged entry at or after `index`.
    Repair {
        index: u64,
    },
    /// Restarts from the disk, with the last `tail` entries in memory.
    Restart {
        tail: u64,
    },
}

fn operations() -> impl Strategy<Value = Operation> {
    let small = 0_u64..40;
    let entries_max = 1_usize..6;
    let bytes_max = 1_usize..300;
    prop_oneof![
        8 => (0_u64..3, 0_usize..60)
            .prop_map(|(terms, bytes)| Operation::Append { terms: terms / 2, bytes }),
        1 => small.clone().prop_map(|last| Operation::Truncate { last }),
        4 => small.clone().prop_map(|index| Operation::Persist { index }),
        3 => small.clone().prop_map(|index| Operation::Commit { index }),
        3 => (entries_max.clone(), bytes_max.clone())
            .prop_map(|(entries_max, bytes_max)| Operation::BeginApply { entries_max, bytes_max }),
        3 => small.clone().prop_map(|index| Operation::Apply { index }),
        3 => bytes_max.clone().prop_map(|bytes_max| Operation::Evict { bytes_max }),
        4 => (small.clone(), small.clone(), entries_max, bytes_max).prop_map(
            |(first, last, entries_max, bytes_max)| Operation::Read {
                first, last, entries_max, bytes_max
            }
        ),
        4 => (small.clone(), 0_u64..4, 0_u64..3)
            .prop_map(|(first, known, news)| Operation::CheckAppend { first, known, news }),
        4 => (small.clone(), 0_u64..12)
            .prop_map(|(index, term)| Operation::FindConflict { index, term }),
        1 => small.clone().prop_map(|index| Operation::Snapshot { index }),
        1 => small.clone().prop_map(|base| Operation::Compact { base }),
        1 => (1_u64..9, any::<bool>())
            .prop_map(|(beyond, durable)| Operation::Reset { beyond, durable }),
        1 => small.clone().prop_map(|index| Operation::Damage { index }),
        1 => small.clone().prop_map(|index| Operation::Repair { index }),
        1 => small.prop_map(|tail| Operation::Restart { tail }),
    ]
}

/// The log as a vector of all entries after the base, and its indices.
struct Model {
    base: EntryId,
    snapshot: EntryId,
    entries: Vec<Entry>,
    durable: u64,
    committed: u64,
    applying: u64,
    applied: u64,
    machine_is_durable: bool,
    /// Each damaged entry, and whether it is a membership that the log started without.
    damaged: BTreeMap<u64, bool>,
    /// The index of the first entry that may be in memory after the evictions.
    hot_from: u64,
    /// Distinguishes entries of equal ids in different histories.
    serial: u64,
}

impl Model {
    fn new(base: EntryId, machine_is_durable: bool) -> Model {
        let index = base.index.0;
        Model {
            base,
            snapshot: base,
            entries: Vec::new(),
            durable: index,
            committed: index,
            applying: index,
            applied: index,
            machine_is_durable,
            damaged: BTreeMap::new(),
            hot_from: index + 1,
            serial: 0,
        }
    }

    fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    fn at(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.base.index.0 + 1)? as usize)
    }

    fn term_at(&self, index: u64) -> Option<Term> {
        if index == self.base.index.0 {
            return Some(self.base.term);
        }
        self.at(index).map(|entry| entry.id.term)
    }

    /// Returns the entries `first..=last` within the bounds, but at least one.
    fn read(&self, first: u64, last: u64, entries_max: usize, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let mut taken: Vec<Entry> = Vec::new();
        for entry in (first..=last.min(self.last().index.0)).filter_map(|index| self.at(index)) {
            bytes += entry.bytes();
            if taken.len() == entries_max || (bytes > bytes_max && !taken.is_empty()) {
                break;
            }
            taken.push(entry.clone());
        }
        taken
    }

    fn id_at(&self, index: u64) -> EntryId {
        EntryId::new(self.term_at(index).expect("the log has the index"), Index(index))
    }

    fn restored(&self, tail: u64) -> Restored {
        let base = SnapshotMeta::empty(self.base, Membership::default());
        let durable = (self.durable - self.base.index.0) as usize;
        let entries = self.entries[..durable].to_vec();
        let committed = Index(self.committed);
        let mut restored = Restored::with_log(HardState::default(), committed, base, entries);
        restored.snapshot.last = self.snapshot;
        restored.damaged = self.damaged.keys().map(|index| self.damaged_entry(*index)).collect();
        let intact = self.durable - self.damaged.keys().last().unwrap_or(&self.base.index.0);
        let dropped = restored.tail.len().saturating_sub(tail.min(intact) as usize);
        restored.tail.drain(..dropped);
        restored.applied = Index(self.applied.min(self.durable));
        restored.machine.is_durable = self.machine_is_durable;
        restored
    }

    fn damaged_entry(&self, index: u64) -> DamagedEntry {
        DamagedEntry { id: self.id_at(index), is_membership: index.is_multiple_of(3) }
    }

    /// Drops the entries up to `base`.
    fn forget(&mut self, base: EntryId) {
        self.entries.retain(|entry| entry.id.index > base.index);
        self.base = base;
        self.damaged.retain(|index, _| *index > base.index.0);
        self.hot_from = self.hot_from.max(base.index.0 + 1);
    }

    /// Returns the first damaged entry from `index` on.
    fn damaged_from(&self, index: u64) -> Option<u64> {
        self.damaged.range(index..).next().map(|(index, _)| *index)
    }

    /// Checks the damaged entries, and the last index that may be acknowledged.
    fn check_damage(&self, log: &Log) {
        for index in 0..self.last().index.0 + 3 {
            let is_unknown = self.damaged.get(&index);
            assert_eq!(log.is_damaged(Index(index)), is_unknown.is_some());
            assert_eq!(log.is_unknown_membership(Index(index)), is_unknown == Some(&true));
            let next = self.damaged_from(index + 1);
            assert_eq!(log.first_damaged_after(Index(index)), next.map(Index));
        }
        assert_eq!(log.has_unknown_membership(), self.damaged.values().any(|unknown| *unknown));
        let needed = self.damaged_from(self.snapshot.index.0 + 1);
        let intact = needed.map_or(self.durable, |first| self.durable.min(first - 1));
        assert_eq!(log.intact(), Index(intact));
        assert_eq!(log.damaged_entries(), self.damaged.len());
    }

    /// Checks all indices and terms of the log.
    fn check(&self, log: &Log) {
        log.assert_invariants();
        let ends = (log.base(), log.snapshot(), log.last());
        assert_eq!(ends, (self.base, self.snapshot, self.last()));
        let restores = self.applying < self.snapshot.index.0 && self.applying == self.applied;
        assert_eq!(log.may_restore(), restores && self.snapshot.index.0 <= self.durable);
        assert_eq!(log.finished(), Index(self.applied.min(self.durable)));
        let indices = [log.applied(), log.applying(), log.committed(), log.durable()];
        let expected = [self.applied, self.applying, self.committed, self.durable];
        assert_eq!(indices, expected.map(Index));
        for index in 0..self.last().index.0 + 3 {
            assert_eq!(log.term_at(Index(index)), self.term_at(index), "the term at {index}");
        }
        for entry in &self.entries {
            assert!(log.has(entry.id));
            assert!(!log.has(EntryId::new(entry.id.term.next(), entry.id.index)));
        }
        assert_eq!(log.tail_first(), Index(self.hot_from));
        let hot = self.entries.iter().filter(|entry| entry.id.index.0 >= self.hot_from);
        assert_eq!(log.tail_bytes(), hot.clone().map(Entry::bytes).sum::<usize>());
        let unapplied = hot.filter(|entry| entry.id.index.0 > self.applied);
        assert!(log.in_memory_after(log.applied()).eq(unapplied));
        self.check_damage(log);
    }
}

/// Performs one operation on both, and compares the results.
fn perform(log: &mut Log, model: &mut Model, operation: &Operation) {
    match *operation {
        Operation::Append { terms, bytes } => append(log, model, terms, bytes),
        Operation::Truncate { last } => {
            let last = within(last, model.committed, model.last().index.0);
            log.truncate(Index(last));
            model.entries.truncate((last - model.base.index.0) as usize);
            model.durable = model.durable.min(last);
            model.damaged.retain(|index, _| *index <= last);
            model.hot_from = model.hot_from.min(last + 1);
        }
        Operation::Persist { index } => {
            let low = model.base.index.0.min(model.durable);
            let index = within(index, low, model.last().index.0);
            // The installation of a snapshot becomes durable as a whole.
            let index = if index < model.base.index.0 { model.durable } else { index };
            log.persisted(Index(index));
            model.durable = model.durable.max(index);
        }
        Operation::Commit { index } => {
            let index = within(index, model.snapshot.index.0, model.last().index.0);
            log.commit(Index(index));
            model.committed = model.committed.max(index);
        }
        Operation::BeginApply { entries_max, bytes_max } => {
            begin_apply(log, model, entries_max, bytes_max);
        }
        Operation::Apply { index } => {
            let index = within(index, model.applied, model.applying);
            log.mark_applied(Index(index));
            model.applied = index;
        }
        Operation::Evict { bytes_max } => {
            log.evict(bytes_max);
            let mut bytes: usize = hot_bytes(model);
            while bytes > bytes_max && model.hot_from <= model.durable {
                bytes -= model.at(model.hot_from).map_or(0, Entry::bytes);
                model.hot_from += 1;
            }
        }
        Operation::Read { first, last, entries_max, bytes_max } => {
            let end = model.last().index.0 + 1;
            let first = within(first, model.base.index.0 + 1, end);
            let last = within(last, first, end + 1);
            let slice = log.slice(Index(first), Index(last), entries_max, bytes_max);
            check_slice(model, &slice, first, last, entries_max, bytes_max);
        }
        Operation::CheckAppend { first, known, news } => {
            check_append(log, model, first, known, news)
        }
        Operation::FindConflict { index, term } => find_conflict(log, model, index, Term(term)),
        Operation::Snapshot { .. } | Operation::Compact { .. } | Operation::Reset { .. } => {
            compact(log, model, operation);
        }
        Operation::Damage { index } => damage(log, model, index),
        Operation::Repair { index } => repair(log, model, index),
        // Until a restore, the disk has the previous log or a restored snapshot, not this log.
        Operation::Restart { .. } if model.applied < model.snapshot.index.0 => {}
        Operation::Restart { tail } => restart(log, model, tail),
    }
}

/// Restarts the log with `tail` entries in memory. It drops the damage that its snapshot covers.
fn restart(log: &mut Log, model: &mut Model, tail: u64) {
    let restored = model.restored(tail);
    *log = Log::new(&restored).expect("the durable state is consistent");
    model.entries.truncate((model.durable - model.base.index.0) as usize);
    model.committed = model.committed.min(model.durable);
    model.applied = model.applied.min(model.durable);
    model.applying = model.applied;
    model.hot_from = model.durable + 1 - restored.tail.len() as u64;
    if let Some((base, _)) = model.damaged.range(..=model.snapshot.index.0).next_back() {
        model.forget(model.id_at(*base));
    }
    for (index, is_unknown) in &mut model.damaged {
        *is_unknown = index.is_multiple_of(3);
    }
}

fn find_conflict(log: &Log, model: &Model, index: u64, term: Term) {
    let candidates = (0..=index).rev().filter_map(|index| model.at(index));
    let found = candidates.map(|entry| entry.id).find(|id| id.term <= term);
    let expected = found.unwrap_or(model.base);
    assert_eq!(log.find_conflict_by_term(Index(index), term), expected);
}

fn damage(log: &mut Log, model: &mut Model, index: u64) {
    let index = within(index, model.base.index.0, model.durable.max(model.base.index.0));
    let id = model.id_at(index);
    log.mark_damaged(id);
    log.mark_damaged(EntryId::new(id.term.next(), id.index));
    if index > model.base.index.0 {
        model.damaged.entry(index).or_insert(false);
    }
}

fn repair(log: &mut Log, model: &mut Model, index: u64) {
    let id = model.id_at(model.damaged_from(index).unwrap_or(model.base.index.0));
    let content = Membership::default();
    log.mark_repaired(EntryId::new(id.term.next(), id.index), Some(&content));
    model.check_damage(log);
    log.mark_repaired(id, None);
    if model.damaged.get(&id.index.0) == Some(&true) {
        model.check_damage(log);
        log.mark_repaired(id, Some(&content));
        assert!(log.membership_index() >= id.index);
    }
    model.damaged.remove(&id.index.0);
}

/// Performs the operations of snapshots.
fn compact(log: &mut Log, model: &mut Model, operation: &Operation) {
    match *operation {
        Operation::Snapshot { index } if model.applied >= model.snapshot.index.0 => {
            let last = model.applied.min(model.durable);
            let index = within(index, model.snapshot.index.0, last);
            model.snapshot = model.id_at(index);
            log.take_snapshot(model.snapshot);
        }
        Operation::Compact { base } => {
            let base = within(base, model.base.index.0, model.snapshot.index.0);
            log.compact(Index(base));
            model.forget(model.id_at(base));
        }
        Operation::Reset { beyond, durable } => {
            let index = Index(model.committed + beyond);
            let term = model.term_at(index.0).unwrap_or(model.last().term).next();
            let last = EntryId::new(term, index);
            log.reset(&SnapshotMeta::empty(last, Membership::default()));
            (model.durable, model.committed) = (model.durable.min(model.committed), index.0);
            model.snapshot = last;
            model.entries.clear();
            model.damaged.clear();
            model.forget(last);
            model.hot_from = index.0 + 1;
            if durable {
                log.persisted(index);
                model.durable = index.0;
            }
        }
        _ => {}
    }
}

/// Returns a number from `low` to `high`, both included.
fn within(number: u64, low: u64, high: u64) -> u64 {
    low + number % (high - low + 1)
}

fn hot_bytes(model: &Model) -> usize {
    let hot = model.entries.iter().filter(|entry| entry.id.index.0 >= model.hot_from);
    hot.map(Entry::bytes).sum()
}

/// Appends one entry, or several at once, not all of which are of one term.
fn append(log: &mut Log, model: &mut Model, terms: u64, bytes: usize) {
    let mut entries: Vec<Entry> = Vec::new();
    for place in 0..=bytes as u64 % 4 {
        let last = entries.last().map_or(model.last(), |entry| entry.id);
        let later = if place == 0 { terms } else { place % 2 };
        let term = Term((last.term.0 + later).max(1));
        model.serial += 1;
        let mut command = model.serial.to_le_bytes().to_vec();
        command.resize(8 + bytes, 0);
        let payload = Payload::Command(Command::from(command));
        entries.push(Entry { id: EntryId::new(term, last.index.next()), payload });
    }
    match &entries[..] {
        [entry] => log.append(entry.clone()),
        several => log.append_all(several.to_vec().into()),
    }
    model.entries.extend(entries);
}

fn begin_apply(log: &mut Log, model: &mut Model, entries_max: usize, bytes_max: usize) {
    if log.may_restore() {
        log.begin_restore();
        model.applying = model.snapshot.index.0;
        return;
    }
    let durable = if model.machine_is_durable { model.durable } else { model.committed };
    let last = model.committed.min(durable);
    assert_eq!(log.applicable(), Index(last));
    let Some((first, last_to_apply)) = log.next_to_apply() else {
        let busy = model.applying > model.applied || model.applied < model.snapshot.index.0;
        assert!(busy || model.applied >= last, "nothing is left to apply");
        return;
    };
    assert_eq!(model.applying, model.applied, "one batch at a time");
    assert_eq!((first.0, last_to_apply.0), (model.applied + 1, last));
    let slice = log.slice(first, last_to_apply, entries_max, bytes_max);
    check_slice(model, &slice, first.0, last, entries_max, bytes_max);
    let handed = match slice {
        Slice::Hot { entries, .. } => entries.last().expect("a batch is not empty").id.index,
        Slice::Cold { last } => last,
        Slice::Damaged => return,
    };
    log.begin_apply(handed);
    model.applying = handed.0;
}

/// Checks that entries in memory are returned within the bounds, and that the others are named for
/// a fetch.
fn check_slice(
    model: &Model,
    slice: &Slice,
    first: u64,
    last: u64,
    entries_max: usize,
    bytes_max: usize,
) {
    match slice {
        Slice::Hot { entries, bytes } => {
            assert_eq!(*bytes, entries.iter().map(Entry::bytes).sum::<usize>());
            assert!(first >= model.hot_from || first > last.min(model.last().index.0));
            assert_eq!(entries[..], model.read(first, last, entries_max, bytes_max)[..]);
        }
        Slice::Cold { last: asked } => {
            assert!(
                first < model.hot_from && first <= model.durable,
                "the entries are on the disk only"
            );
            assert!(first > model.base.index.0, "the disk still has the entries");
            let most = last.min(model.hot_from - 1).min(first + entries_max as u64 - 1);
            let damaged = model.damaged_from(first);
            assert_eq!(asked.0, damaged.map_or(most, |index| most.min(index - 1)));
        }
        Slice::Damaged => {
            assert!(first < model.hot_from && model.damaged.contains_key(&first));
        }
    }
}

/// Checks a leader's entries after one that the log has: some known ones, then new ones of a term
/// that the log does not have.
fn check_append(log: &Log, model: &Model, first: u64, known: u64, news: u64) {
    let first = within(first, model.base.index.0 + 1, model.last().index.0 + 1);
    let mut sent: Vec<Entry> =
        (first..first + known).filter_map(|index| model.at(index).cloned()).collect();
    let term = model.last().term.next();
    for _ in 0..news {
        let index = Index(first + sent.len() as u64);
        sent.push(Entry { id: EntryId::new(term, index), payload: Payload::Noop });
    }
    let differs = sent.iter().find(|entry| model.at(entry.id.index.0) != Some(*entry));
    let expected = match differs.map(|entry| entry.id.index) {
        None => AppendCheck::AllPresent,
        Some(index) if index.0 <= model.committed => AppendCheck::ConflictsWithCommitted,
        Some(index) => AppendCheck::MissingFrom(index),
    };
    assert_eq!(log.check_append(&sent), expected);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_log_behaves_like_a_vector_with_indices(
        base in prop_oneof![Just(EntryId::ZERO), Just(EntryId::new(Term(2), Index(5)))],
        machine_is_durable in any::<bool>(),
        operations in vec(operations(), 1..120),
    ) {
        let mut model = Model::new(base, machine_is_durable);
        let mut log = Log::new(&model.restored(0)).expect("an empty log is consistent");
        model.check(&log);
        for operation in &operations {
            perform(&mut log, &mut model, operation);
            model.check(&log);
        }
    }
}
