//! Random operations on a store, compared with the model.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate::storage::{Event, Storage};
use quorate::types::WriteId;
use quorate::types::{Command, Entry, EntryId, HardState, Index, NodeId, Payload, Term, Write};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use super::host::{Host, formatted, membership_entry, snapshot};
use super::model::Model;

/// An operation on a store; its numbers are scaled to what is possible.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Truncates the last `cut` entries, and appends entries of these sizes in a term that is
    /// `terms` later. A size with the remainder 7 modulo 8 becomes a membership.
    Append {
        cut: u64,
        sizes: Vec<u16>,
        terms: u64,
    },
    Vote(u64),
    Install(u64),
    Snapshot(u64),
    Compact(u64),
    Fetch(u64, u64),
    /// Executes this many disk operations.
    Work(usize),
    /// Executes all disk operations; then crashes, or shuts down cleanly.
    Restart {
        closes: bool,
    },
    /// Crashes at once; the number decides which unsynced changes survive.
    Crash(u64),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = proptest::collection::vec(prop_oneof![0_u16..60, 0_u16..4096], 0..12);
    let append = (prop_oneof![4 => Just(0_u64), 1 => 0_u64..30], sizes, 0_u64..2);
    let step = prop_oneof![
        12 => append.prop_map(|(cut, sizes, terms)| Step::Append { cut, sizes, terms }),
        2 => (1_u64..4).prop_map(Step::Vote),
        1 => (1_u64..20).prop_map(Step::Install),
        2 => any::<u64>().prop_map(Step::Snapshot),
        2 => any::<u64>().prop_map(Step::Compact),
        3 => (any::<u64>(), any::<u64>()).prop_map(|(first, last)| Step::Fetch(first, last)),
        6 => (0_usize..20).prop_map(Step::Work),
        2 => any::<bool>().prop_map(|closes| Step::Restart { closes }),
        2 => any::<u64>().prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A store, and the states that it must pass through.
pub(super) struct StoreAndModel {
    pub(super) host: Host,
    /// The state after each write since the start; the first is what the start recovered.
    states: Vec<Model>,
    writes: Vec<Write>,
    /// The number of the last write before the start.
    before: u64,
    /// Whether a crash has lost entries. In Raft no other entry gets the term and index of a lost
    /// one.
    has_lost: bool,
}

impl StoreAndModel {
    pub(super) fn new() -> StoreAndModel {
        let (mut host, _) = Host::open(formatted()).expect("a formatted directory opens");
        host.act(Storage::start);
        StoreAndModel {
            host,
            states: vec![Model::new()],
            writes: Vec::new(),
            before: 0,
            has_lost: false,
        }
    }

    pub(super) fn model(&self) -> &Model {
        self.states.last().expect("there is a first state")
    }

    fn persist(&mut self, write: Write) {
        self.states.push(self.model().after(&write));
        self.writes.push(write.clone());
        self.host.persist(write);
    }

    fn write(&self) -> Write {
        let id = WriteId(self.before + self.writes.len() as u64 + 1);
        Write { id, hard_state: None, committed: Index(0), install: None, entries: [].into() }
    }

    /// Returns a term `later` terms ahead, and the hard state if that changes it.
    fn term(&self, later: u64) -> (Term, Option<HardState>) {
        let term = Term(self.model().hard_state.term.0 + later);
        let vote = Some(NodeId(1 + later % 3));
        (term, (later > 0).then_some(HardState::new(term, vote)))
    }

    fn append(&mut self, cut: u64, sizes: &[u16], terms: u64) {
        let model = self.model();
        let floor = model.snapshot.last.index.max(self.host.storage.snapshot().last.index);
        let last = Index(model.last().index.0.saturating_sub(cut)).max(floor);
        // A write in the place of entries has a later term, as in Raft.
        let replaces = last < model.last().index || self.has_lost;
        let (term, hard_state) = self.term(if replaces { 1 } else { terms });
        let entry = |(place, bytes): (usize, &u16)| {
            let id = EntryId::new(term, Index(last.0 + 1 + place as u64));
            if bytes % 8 == 7 {
                return membership_entry(term.0, id.index.0);
            }
            let text = format!("{id} ").repeat(usize::from(*bytes));
            let command = Command::from(text.as_bytes()[..usize::from(*bytes)].to_vec());
            Entry { id, payload: Payload::Command(command) }
        };
        let entries = sizes.iter().enumerate().map(entry).collect();
        self.persist(Write { hard_state, entries, ..self.write() });
    }

    /// Returns the number of writes since the start that are durable if `id` is the last of them.
    pub(super) fn reported(&self, id: WriteId) -> usize {
        (id.0.max(self.before) - self.before) as usize
    }

    /// Returns the first state that has this log among the states after `writes` writes or more,
    /// the last of which may be partial. `last` is the last entry of the log, and `base` the entry
    /// before its first.
    pub(super) fn state_of(
        &self,
        (last, base): (EntryId, EntryId),
        entries: &[Entry],
        writes: usize,
    ) -> Option<Model> {
        let parts = self.states[writes..].iter().zip(&self.writes[writes..]);
        let mut possible = vec![self.states[writes].clone()];
        possible.extend(parts.flat_map(|(state, write)| state.during(write)));
        possible
            .into_iter()
            .find(|state| state.last() == last && state.entries_after(base.index) == entries)
    }

    fn restart(&mut self, disk: SimDisk) {
        let (mut host, opened) = Host::open(disk).expect("a directory opens after any crash");
        let reported = self.reported(self.host.persisted());
        let base = opened.base;
        let entries = host.log();
        let found = self.state_of((opened.last, base), &entries, reported);
        let mut model = found.expect("the recovered log is a prefix of the writes");
        let written = self.writes.iter().flat_map(|write| &write.entries);
        self.has_lost |= written.map(|entry| entry.id).max() > Some(opened.last);
        let hard = self.states[reported..].iter().any(|s| s.hard_state == opened.hard_state);
        assert!(hard, "{:?}", opened.hard_state);
        assert!(opened.snapshot.last.index >= self.host.storage.snapshot().last.index);
        assert_eq!(opened.runs, model.runs_after(base));
        let memberships = model.memberships_after(opened.snapshot.last.index);
        assert_eq!(opened.memberships, memberships);
        assert!(entries.ends_with(&opened.tail));
        (model.hard_state, model.snapshot) = (opened.hard_state, opened.snapshot);
        self.before += self.writes.len() as u64;
        host.act(Storage::start);
        (self.host, self.states, self.writes) = (host, vec![model], Vec::new());
    }

    pub(super) fn execute(&mut self, step: &Step) {
        match step {
            Step::Append { cut, sizes, terms } => self.append(*cut, sizes, *terms),
            Step::Vote(later) => {
                let (_, hard_state) = self.term(*later);
                self.persist(Write { hard_state, ..self.write() });
            }
            Step::Install(ahead) => {
                let (term, hard_state) = self.term(1);
                let index = self.model().last().index.0 + ahead;
                let install = Some(Box::new(snapshot(term.0, index)));
                self.persist(Write { hard_state, install, ..self.write() });
            }
            Step::Snapshot(place) => self.snapshot(*place),
            Step::Compact(place) => {
                let through = Index(place % (self.model().last().index.0 + 1));
                self.host.act(|storage, events| storage.compact(through, events));
            }
            Step::Fetch(first, count) => self.fetch(*first, *count),
            Step::Work(operations) => {
                for _ in 0..*operations {
                    self.host.step();
                }
            }
            Step::Restart { closes } => {
                self.host.settle();
                if *closes {
                    self.host.act(Storage::close);
                    self.host.settle();
                    assert_eq!(self.host.events.last(), Some(&Event::Closed));
                }
                let disk = self.host.clone().crash(&BTreeSet::new());
                self.restart(disk);
            }
            Step::Crash(kept) => {
                let mut disk = self.host.disk.clone();
                let mut state = *kept;
                disk.crash(ChangeOrder::PerFile, |_| {
                    state = state.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    state >> 63 == 1
                });
                self.restart(disk);
            }
        }
    }

    /// Records a snapshot that ends at a durable entry.
    fn snapshot(&mut self, place: u64) {
        self.host.settle();
        let after = self.model().entries_after(self.host.storage.snapshot().last.index);
        if after.is_empty() {
            return;
        }
        let id = after[place as usize % after.len()].id;
        let meta = snapshot(id.term.0, id.index.0);
        self.host.act(|storage, events| storage.set_snapshot(meta.clone(), events));
        self.states.last_mut().expect("there is a first state").snapshot = meta;
    }

    fn fetch(&mut self, first: u64, count: u64) {
        self.host.settle();
        let (base, last) = (self.host.storage.base().index.0, self.host.storage.last().index.0);
        if base == last {
            return;
        }
        let first = base + 1 + first % (last - base);
        let last = first + count % (last - first + 1);
        let expected = self.model().entries_after(Index(first - 1));
        let length = (last - first + 1) as usize;
        assert_eq!(self.host.fetch(Index(first), Index(last)), expected[..length]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_behaves_like_a_vector(steps in steps()) {
        let mut pair = StoreAndModel::new();
        for step in &steps {
            pair.execute(step);
        }
        pair.execute(&Step::Restart { closes: true });
    }
}
