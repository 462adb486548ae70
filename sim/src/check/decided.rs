//! The growth of the committed log: an entry is committed only if a quorum of disks holds it (S12).
//! The parts of S11, S23, S24 and S38 about commits are here, too.

use quorate::types::{Index, Membership};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S11, S12, S23, S24, S38};
use crate::check::log::Log;
use crate::check::model::{DiskRef, Model, Node, REPLACED_DISK_RULE};
use crate::check::nodes::Slot;

/// Returns a node whose disk holds the entry at `index` that a quorum of disks holds. If no entry
/// at that index is on a quorum of disks, returns `None`; the decision then says whether nodes
/// without a vote would complete a quorum.
fn holder(model: &Model, electorate: &Electorate, index: Index) -> (Option<Slot>, Decision) {
    let mut nearest = Decision::NoQuorum;
    let id = |slot: Slot| {
        let node = model.node(slot);
        node.counted_of(node.disk_named_by(&electorate.membership)?).log.id_at(index)
    };
    for slot in model.slots() {
        let Some(has) = id(slot) else { continue };
        let holds = |slot: &Slot| id(*slot) == Some(has);
        // In last-survivor mode any voter may be the last survivor, so every voter must hold it.
        let lacks = |slot: Slot| electorate.is_voter(slot) && !holds(&slot);
        if model.last_survivor_enabled && model.slots().any(lacks) {
            continue;
        }
        match electorate.decision(model.slots().filter(holds).collect()) {
            Decision::Quorum => return (Some(slot), Decision::Quorum),
            Decision::QuorumWithNonVoters => nearest = Decision::QuorumWithNonVoters,
            Decision::NoQuorum => {}
        }
    }
    (None, nearest)
}

/// Finds the log that a quorum holds durably up to `index`, and appends it to the committed log.
/// If the node's membership changes in this step, it commits the entries up to the change under the
/// old membership, and the later ones under the membership `after`.
pub(super) fn extend_committed(
    model: &mut Model,
    slot: Slot,
    index: Index,
    after: &Membership,
) -> CheckResult {
    let before = model.electorate(slot);
    let (found, decision) = holder(model, before, index);
    let mut chosen = found.map(|found| (found, before.membership.clone()));
    if chosen.is_none() && before.membership != *after {
        let log = &model.node(slot).memory.log;
        let first = log.electorates().last().map_or(Index::ZERO, |(first, _)| *first).min(index);
        // A last survivor that takes over commits at once the entries that waited for dead voters.
        if model.last_survivor_enabled
            || first == Index::ZERO
            || holder(model, before, first).0.is_some()
        {
            let found = holder(model, &model.entries.electorate_of(after), index).0;
            chosen = found.map(|found| (found, after.clone()));
        }
    }
    let id = model.node(slot).id;
    let Some((chosen, by)) = chosen else {
        let check = match decision {
            Decision::QuorumWithNonVoters => &S23,
            _ if decided_by(model, before, index, |node| {
                Some(&node.counted_of(DiskRef::Current).log)
            }) =>
            {
                &S24
            }
            _ if decided_by(model, before, index, |node| {
                Some(&node.disk_of(node.disk_named_by(&before.membership)?).log)
            }) =>
            {
                &S38
            }
            _ => &S12,
        };
        let disks: Vec<String> =
            model.nodes.iter().map(|node| describe_held(node, DiskRef::Current, index)).collect();
        let (disks, membership) = (disks.join(", "), &before.membership);
        let rule = match check {
            _ if model.last_survivor_enabled => {
                "; in last-survivor mode every voter must have the entry"
            }
            check if *check == S24 => REPLACED_DISK_RULE,
            check if *check == S38 => "; an uncertain node does not count",
            _ => "",
        };
        return check.violated(format!(
            "{id} commits index {index}, but that entry is not durable on a quorum of \
             {membership}: {disks}{rule}"
        ));
    };
    let reached = model.committed.last();
    let node = &model.nodes[chosen.0];
    let which = node.disk_named_by(&by).expect("the holder of the committed log has a disk");
    let log = &node.counted_of(which).log;
    let decided = model.committed.last_id();
    if log.id_at(reached) != Some(decided) {
        let has = log.id_at(reached).unwrap_or_default();
        return S11.violated(format!(
            "{id} commits index {index} on a quorum whose log has entry {has} in place of the \
             committed entry {decided}"
        ));
    }
    model.committed.extend_from(log, index);
    Ok(())
}

/// Whether the entry at `index` would be committed if the log that `log` returns for each node
/// counted.
fn decided_by<'a>(
    model: &'a Model,
    electorate: &Electorate,
    index: Index,
    log: impl Fn(&'a Node) -> Option<&'a Log>,
) -> bool {
    let id = |slot: Slot| log(model.node(slot))?.id_at(index);
    model.slots().filter_map(id).any(|has| {
        let holds = |slot: &Slot| id(*slot) == Some(has);
        electorate.decision(model.slots().filter(holds).collect()) == Decision::Quorum
    })
}

/// Describes the entry that one of a node's disks has at `index`.
pub(super) fn describe_held(node: &Node, which: DiskRef, index: Index) -> String {
    let (id, log) = (node.id, &node.disk_of(which).log);
    let disk = match which {
        DiskRef::Current => "disk",
        DiskRef::Lost(_) => "lost disk",
    };
    let held = match log.id_at(index) {
        Some(entry) => format!("{id} has {entry} on {disk}"),
        None => format!("the log on {id}'s {disk} ends at index {}", log.last()),
    };
    let is_uncertain = which == DiskRef::Current && node.is_uncertain();
    if is_uncertain { format!("{held} and {id} is uncertain") } else { held }
}
