//! Disaster recovery from the disks of some nodes: S79. The new cluster continues with the most
//! up-to-date log that these disks have, and its stated data loss is the one that is possible.

use quorate::recovery::{DataLoss, RecoverySource};
use quorate::storage::OpenedStorage;
use quorate::types::{Entry, EntryId, Index, Membership, NodeId, Payload};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S79};
use crate::check::known::Known;
use crate::check::model::{DiskRef, Model, Node, describe_hard_state};
use crate::check::nodes::Nodes;
use crate::check::rule::Rule;
use crate::observe::recovery_drill::RecoveryDrill;

/// Checks recoveries; it needs no state.
#[derive(Clone, Debug)]
pub(super) struct Recoveries;

impl Rule for Recoveries {
    fn new(_: &Known) -> Recoveries {
        Recoveries
    }

    fn recovery_drilled(
        &mut self,
        known: &Known,
        survivors: &[NodeId],
        result: Result<&RecoveryDrill, &str>,
    ) -> CheckResult {
        let model = &known.model;
        let checked = match result {
            Ok(drill) => check_source(model, survivors, &drill.source)
                .and_then(|()| check_loss(model, survivors, drill))
                .and_then(|()| check_directory(model, survivors, drill)),
            Err(reason) => Err(format!("fails: {reason}")),
        };
        let names = || survivors.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ");
        checked
            .or_else(|why| S79.violated(format!("a recovery from the disks of {} {why}", names())))
    }
}

/// Checks the choice of the source. The copy of a disk may have more than the node knows to be
/// durable, and then its log is more up to date.
fn check_source(
    model: &Model,
    survivors: &[NodeId],
    source: &RecoverySource,
) -> Result<(), String> {
    let RecoverySource { node, last, committed, ref undamaged, .. } = *source;
    // A pending write may already have replaced the end of a log on the disk.
    let kept = |node: &Node| {
        let last = node.disk.log.last_id();
        if node.memory.log.has(last) { last } else { EntryId::ZERO }
    };
    let latest = survivors.iter().map(|id| kept(model.of(*id))).max().unwrap_or_default();
    if last < latest || !survivors.contains(&node) {
        return Err(format!(
            "continues with {node}'s log up to {last}, but one ends with {latest}"
        ));
    }
    if committed > model.committed.last() || committed > last.index {
        let is = model.committed.last();
        return Err(format!("regards index {committed} as committed, but index {is} is"));
    }
    let counts = |id: &NodeId| is_undamaged(model, *id, source.membership());
    let missing = survivors.iter().find(|id| counts(id) && !undamaged.contains(id));
    let added = undamaged.iter().find(|id| !survivors.contains(id));
    match missing.or(added) {
        Some(id) => Err(format!("states incorrectly whether the disk of {id} is undamaged")),
        None => Ok(()),
    }
}

/// Whether the disk of a survivor has everything that the node acknowledged: the node is certain,
/// and the membership accepts the disk.
fn is_undamaged(model: &Model, id: NodeId, membership: &Membership) -> bool {
    let node = model.of(id);
    let has_members = !node.disk.log.electorate().membership.is_empty();
    let is_named = node.disk_named_by(membership) == Some(DiskRef::Current);
    has_members && is_named && !node.is_uncertain()
}

/// Checks the stated data loss, and whether these nodes could be started instead.
fn check_loss(model: &Model, survivors: &[NodeId], drill: &RecoveryDrill) -> Result<(), String> {
    let source = &drill.source;
    let nodes: Vec<NodeId> = model.nodes.iter().map(|node| node.id).collect();
    let decide = |membership: &Membership, by: &dyn Fn(NodeId) -> bool| {
        let counted: Nodes = model.slots().filter(|slot| by(model.node(*slot).id)).collect();
        Electorate::new(&nodes, membership).decision(counted) == Decision::Quorum
    };
    // An earlier membership may accept a disk that the last one does not accept, or the other way
    // round.
    let is_present = |membership: &Membership, id: NodeId| {
        let is_named = model.of(id).disk_named_by(membership) == Some(DiskRef::Current);
        let is_listed = is_named && source.undamaged.contains(&id);
        survivors.contains(&id) && (is_listed || is_undamaged(model, id, membership))
    };
    // The log of a node that joined later begins with an empty membership.
    let may_lose = |membership: &Membership| {
        membership.is_empty() || decide(&incoming(membership), &|id| !is_present(membership, id))
    };
    let (known, from) = (&source.memberships, source.committed.next());
    let expected = match known.iter().filter(|membership| may_lose(membership)).count() {
        0 => Some(DataLoss::None),
        all if all == known.len() => Some(DataLoss::Possible { from }),
        // It depends on whether the last membership may be committed.
        _ if matches!(source.loss, DataLoss::Certain { .. }) => Some(DataLoss::Possible { from }),
        _ => None,
    };
    if let Some(expected) = expected.filter(|expected| *expected != source.loss) {
        return Err(format!("states \"{}\", but should state \"{expected}\"", source.loss));
    }
    let committed = model.committed.last();
    if source.loss == DataLoss::None && source.last.index < committed {
        let last = source.last;
        return Err(format!("states no loss, but continues after {last}, and {committed} is lost"));
    }
    let survives = |id: NodeId| source.undamaged.contains(&id);
    let is_last = decide(source.membership(), &survives);
    let is_any = known.iter().any(|known| decide(known, &|id| survivors.contains(&id)));
    let is_available = drill.is_quorum_available;
    if is_available == is_last || (is_available && is_any) {
        return Ok(());
    }
    let membership = source.membership();
    let may = if is_available { "is rejected" } else { "is accepted" };
    let are = if is_last { "are" } else { "are not" };
    Err(format!("{may} without consent, but these nodes {are} a quorum of {membership}"))
}

/// The incoming voters alone.
fn incoming(membership: &Membership) -> Membership {
    let incoming = Membership::new(membership.incoming().iter().copied());
    match membership.incoming().casting() {
        Some(holder) => incoming.with_casting(holder),
        None => incoming,
    }
}

/// Checks the directory of a member of the new cluster.
fn check_directory(
    model: &Model,
    survivors: &[NodeId],
    drill: &RecoveryDrill,
) -> Result<(), String> {
    let RecoveryDrill { source, membership, directory, entries, .. } = drill;
    let OpenedStorage { identity, origin, hard_state, committed, snapshot, .. } = directory;
    let [durable, latest] = [
        survivors.iter().map(|id| model.of(*id).disk.hard_state.term).max().unwrap_or_default(),
        survivors.iter().map(|id| model.of(*id).memory.hard_state.term).max().unwrap_or_default(),
    ];
    let is_fresh = hard_state.vote.is_none() && !hard_state.is_uncertain;
    if !is_fresh || !(durable..=latest.max(durable)).contains(&hard_state.term) {
        let begins = describe_hard_state(*hard_state);
        return Err(format!("begins with {begins} instead of term {durable} and no vote"));
    }
    let is_own = membership.member(identity.node).is_some_and(|member| {
        identity.incarnation == member.incarnation && identity.cluster != source.cluster
    });
    let from = origin.map(|origin| (origin.cluster, origin.last));
    if !is_own || from != Some((source.cluster, source.last)) {
        return Err(format!("makes a directory of {identity:?} from {origin:?}"));
    }
    let is_whole = (directory.last, *committed) == (source.last, source.last.index)
        && directory.base == snapshot.last
        && directory.damaged.is_empty()
        && directory.lost_end.is_none();
    if !is_whole {
        let (base, last) = (directory.base, directory.last);
        return Err(format!(
            "makes a log from {base} to {last} with commit index {committed}, but the source ends \
             with {}",
            source.last
        ));
    }
    if snapshot.membership != *membership || !directory.memberships.is_empty() {
        return Err(format!(
            "makes a cluster of {membership}, but its directory has {} in the snapshot and {} \
             memberships after it",
            snapshot.membership,
            directory.memberships.len()
        ));
    }
    check_entries(model, source, snapshot.last, entries)
}

/// Checks that the entries after `base` are those of the source, without its memberships, and that
/// those which are known to be committed are.
fn check_entries(
    model: &Model,
    source: &RecoverySource,
    base: EntryId,
    entries: &[Entry],
) -> Result<(), String> {
    let log = &model.committed;
    let is_membership =
        |index: Index| log.electorates().binary_search_by_key(&index, |(at, _)| *at).is_ok();
    let certain = match source.loss {
        DataLoss::None => log.last(),
        DataLoss::Possible { .. } | DataLoss::Certain { .. } => source.committed,
    };
    let mut before = base;
    for entry in entries {
        let id = entry.id;
        let is_certain = id.index <= certain;
        let is_next = id.index == before.index.next() && id.term >= before.term;
        let is_same = !is_certain || log.id_at(id.index) == Some(id);
        let has_content = match entry.payload {
            Payload::Noop => !is_certain || is_membership(id.index) || model.entries.has(entry),
            Payload::Command(_) | Payload::Membership(_) => model.entries.has(entry),
        };
        let is_old_membership = matches!(entry.payload, Payload::Membership(_));
        if !is_next || !is_same || !has_content || is_old_membership {
            return Err(format!("copies entry {id} after {before}, which differs from the log"));
        }
        before = id;
    }
    let last = source.last;
    if before != last || log.id_at(base.index).is_some_and(|id| id != base) {
        return Err(format!("copies the entries from {base} to {before} only, not to {last}"));
    }
    Ok(())
}
