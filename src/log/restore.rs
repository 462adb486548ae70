//! The parts of a log that was durable when its node stopped. Each is checked against the others.

use crate::log::damaged::Damaged;
use crate::log::memberships::Memberships;
use crate::log::tail::Tail;
use crate::log::term_runs::TermRuns;
use crate::types::{DamagedEntry, Entry, EntryId, Index, Restored, SnapshotMeta, Term};

/// Returns the terms of the entries, and the base before them.
pub(crate) fn runs(restored: &Restored) -> Result<TermRuns, &'static str> {
    let base = restored.base;
    let mut runs = TermRuns::new(base);
    if restored.last < base.index {
        return Err("last is before the base");
    }
    if (base.index == Index::ZERO) != (base.term == Term::ZERO) {
        return Err("the base has an index without a term, or a term without an index");
    }
    if restored.last > Index::MAX {
        return Err("last exceeds the maximum index");
    }
    let mut starts = restored.runs.iter().peekable();
    if starts.peek().map_or(restored.last, |start| start.index.previous()) > base.index {
        let last = starts.peek().map_or(restored.last, |start| start.index.previous());
        runs.extend(base.term, last);
    }
    while let Some(start) = starts.next() {
        let last = starts.peek().map_or(restored.last, |next| next.index.previous());
        if start.index != runs.last().index.next() || start.term <= runs.last().term {
            return Err("runs do not ascend from the base");
        }
        if last < start.index || last > restored.last {
            return Err("runs do not end at last");
        }
        runs.extend(start.term, last);
    }
    if base == EntryId::ZERO && runs.term_at(Index(1)) == Some(Term::ZERO) {
        return Err("runs leave the first entry without a term");
    }
    Ok(runs)
}

/// Returns the last entries, which are in memory from the start.
pub(crate) fn tail(restored: &Restored, runs: &TermRuns) -> Result<Tail, &'static str> {
    let first = restored.tail.first().map_or(restored.last.next(), |entry| entry.id.index);
    if first <= runs.base().index {
        return Err("tail begins at or before the base");
    }
    let mut tail = Tail::new(first);
    let mut next = first;
    for entry in &restored.tail {
        if entry.id.index != next || runs.term_at(next) != Some(entry.id.term) {
            return Err("tail differs from runs");
        }
        tail.push(entry.clone());
        next = next.next();
    }
    if next != restored.last.next() {
        return Err("tail does not end at last");
    }
    Ok(tail)
}

/// Returns the memberships that the node knows.
pub(crate) fn memberships(restored: &Restored) -> Result<Memberships, &'static str> {
    let SnapshotMeta { last, membership, .. } = &restored.snapshot;
    let mut memberships = Memberships::new(last.index, membership.clone());
    for (index, membership) in &restored.memberships {
        if *index <= memberships.last().0 || *index > restored.last {
            return Err("memberships do not ascend from the snapshot to the log's last");
        }
        memberships.push(*index, membership.clone());
    }
    let first = restored.tail.first().map_or(restored.last.next(), |entry| entry.id.index);
    let first = first.max(last.index.next());
    let listed = restored.memberships.iter().filter(|(index, _)| *index >= first);
    let tail = restored.tail.iter().filter(|entry| entry.id.index >= first);
    if !tail.filter_map(Entry::membership).eq(listed.cloned()) {
        return Err("memberships differ from tail");
    }
    Ok(memberships)
}

/// Returns the damaged entries, none of which is in memory.
pub(crate) fn damaged(
    restored: &Restored,
    runs: &TermRuns,
    tail: &Tail,
) -> Result<Damaged, &'static str> {
    let mut before = runs.base().index;
    for DamagedEntry { id, .. } in &restored.damaged {
        if id.index <= before || runs.term_at(id.index) != Some(id.term) {
            return Err("damaged entries do not ascend from the base, or differ from runs");
        }
        before = id.index;
    }
    if !restored.damaged.is_empty() && before >= tail.first() {
        return Err("the tail has a damaged entry");
    }
    Ok(Damaged::restored(&restored.damaged, restored.snapshot.last.index))
}
