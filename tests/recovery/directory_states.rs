//! States of data directories, made without a disk.

use quorate::recovery::{DirectoryState, Survey, SurveyedDirectory};
use quorate::storage::{ClusterId, Identity, OpenedStorage};
use quorate::types::{
    EntryId, HardState, Incarnation, Index, Membership, NodeId, SnapshotMeta, Term,
};

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

/// A log from the first entry on: the term of each entry, and its membership if it has one.
pub(crate) type Log = Vec<(u64, Option<Membership>)>;

/// Returns the state of an undamaged directory with this log, commit index and first membership.
pub(crate) fn state(node: u64, first: &Membership, log: &Log, committed: usize) -> DirectoryState {
    let id = |place: usize| EntryId::new(Term(log[place].0), Index(place as u64 + 1));
    let before = |place: usize| if place == 0 { 0 } else { log[place - 1].0 };
    let runs = (0..log.len()).filter(|place| log[*place].0 != before(*place)).map(id);
    let listed = log.iter().zip(1..).filter_map(|((_, membership), index)| {
        membership.clone().map(|membership| (Index(index), membership))
    });
    let last = log.len().checked_sub(1).map_or(EntryId::ZERO, id);
    let incarnation = Incarnation(u128::from(node) + 100);
    let opened = OpenedStorage {
        identity: Identity { cluster: CLUSTER, node: NodeId(node), incarnation },
        origin: None,
        hard_state: HardState::new(last.term, None),
        is_quarantined: false,
        committed: Index(committed as u64),
        snapshot: SnapshotMeta::empty(EntryId::ZERO, first.clone()),
        lost_end: None,
        covered_loss: None,
        snapshot_damage: None,
        previous_snapshot: Index::ZERO,
        base: EntryId::ZERO,
        runs: runs.collect(),
        memberships: listed.collect(),
        last,
        damaged: Vec::new(),
        damage: None,
        tail: Vec::new(),
    };
    let named_committed = opened.committed;
    DirectoryState { opened, damage: None, named_committed }
}

pub(crate) fn survey(directory_states: Vec<DirectoryState>) -> Survey {
    let survivor = |state: DirectoryState| {
        let location = state.opened.identity.node.to_string();
        SurveyedDirectory { location, result: Ok(state) }
    };
    Survey::from_directories(directory_states.into_iter().map(survivor).collect())
}
