//! What never comes: the checks of progress, L1 to L6, a cluster that is not quiet, S30, and what
//! exceeds its bounds, S29.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::NodeId;

use crate::explain::past::Past;
use crate::explain::phrases;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::{EventId, What};
use crate::request::OpId;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let calm = past.all().rev().find_map(|(id, event)| match &event.what {
        What::Calm(core) => Some((id, core)),
        _ => None,
    });
    let core = calm.map_or(&past.record().nodes[..], |(_, core)| core);
    let since = calm.map_or(EventId(1), |(id, _)| id);
    if let Some((id, core)) = calm {
        let core = phrases::listed(core.iter().copied());
        let says = format!("the storm is over: from now on {core} hear each other and stay up");
        draft.fact(id, past.at(id), says);
    }
    for (id, leader, term) in past.elections().into_iter().rev().take(3) {
        draft.fact(id, past.at(id), format!("{leader} wins {term}"));
    }
    let nodes: Vec<(NodeId, Option<&Status>)> =
        core.iter().map(|node| (*node, past.record().state_of(*node, past.accused))).collect();
    for (node, _) in &nodes {
        unanswered(past, draft, *node);
    }
    if !draft.has_cause() {
        joint(past, draft, &nodes);
    }
    if draft.has_cause() {
        return;
    }
    for (node, now) in &nodes {
        stands(past, draft, *node, *now);
        refusals(past, draft, *node, since);
    }
    draft.cause(waits_for(&nodes));
}

/// A request that a node took long ago and has not answered: the first one.
fn unanswered(past: &Past<'_>, draft: &mut Draft, node: NodeId) {
    let mut open = BTreeMap::new();
    for (id, event) in past.of(node) {
        match &event.what {
            What::Asked { client, op, tag } => {
                open.insert(*tag, (id, *client, *op));
            }
            What::Answered(tag) => {
                open.remove(tag);
            }
            What::Fell { .. } => open.clear(),
            _ => {}
        }
    }
    let long = |(id, ..): &&(EventId, u16, Option<OpId>)| {
        past.at(past.accused).since(past.at(*id)).as_secs() > 1
    };
    let Some((id, client, op)) = open.values().filter(long).min().copied() else { return };
    let what = op.map_or("a session".to_owned(), |op| format!("operation {}", op.0));
    draft.fact(id, past.at(id), format!("client {client} asks {node} for {what}"));
    let then = past.after(id).map(|now| (now.role, now.term));
    let Some((role, term)) = then else { return };
    let over = past.of(node).find(|(at, _)| {
        *at > id && past.after(*at).is_some_and(|now| (now.role, now.term) != (role, term))
    });
    if let Some((at, now)) = over.and_then(|(at, _)| Some((at, past.after(at)?))) {
        let says = format!(
            "{node} {} and is a {} in {} from now on",
            phrases::step(past, at),
            now.role,
            now.term
        );
        draft.fact(at, past.at(at), says);
        return draft.cause(format!(
            "{node} took the request for {what} as the {role} of {term}, became a {} in {}, and \
             has never said since what became of it: the client waits for ever",
            now.role, now.term
        ));
    }
    draft.cause(format!(
        "{node} took the request for {what} as a {role} in {term} and never answers"
    ));
}

/// A change of the membership that does not end.
fn joint(past: &Past<'_>, draft: &mut Draft, nodes: &[(NodeId, Option<&Status>)]) {
    let leader =
        nodes.iter().filter_map(|(_, now)| *now).filter(|now| now.role == RoleName::Leader);
    let Some(now) = leader.max_by_key(|now| now.term) else { return };
    let (leader, term) = (now.id, now.term);
    let membership = past.membership(leader, past.accused);
    if !membership.is_joint() || now.committed < now.last.index {
        return;
    }
    let mut whose = None;
    for (id, event) in past.all() {
        if let (What::GoesBy(one), Some(node)) = (&event.what, event.node)
            && one.is_same(membership)
            && (whose.is_none() || node == leader)
        {
            let led = past.after(id).map(|now| now.term).unwrap_or_default();
            whose = whose.or(Some((node, led)));
            draft.fact(id, event.at, format!("{node} goes by {membership}, in {led}"));
        }
    }
    let (by, led) = whose.unwrap_or((leader, term));
    draft.cause(format!(
        "the change to {membership}, which {by} brought about in {led}, is committed and never \
         completed: {leader} leads {term} and does not take the step that ends it"
    ));
}

/// How a node stands when the time is up, and when it last got further.
fn stands(past: &Past<'_>, draft: &mut Draft, node: NodeId, now: Option<&Status>) {
    let Some(now) = now else {
        let down = past.of(node).rev().find(|(id, _)| past.after(*id).is_none());
        if let Some((id, event)) = down {
            draft.fact(id, event.at, format!("{node} {}, and is down since", event.what));
        }
        return;
    };
    let ladder =
        |id: EventId| past.after(id).map(|at| (at.last, at.durable, at.committed, at.applied));
    let own = (now.last, now.durable, now.committed, now.applied);
    let moved = past.of(node).rev().find(|(id, _)| ladder(*id).is_some_and(|at| at != own));
    let since = moved.and_then(|(last, _)| past.of(node).find(|(id, _)| *id > last));
    if let Some((id, event)) = since {
        let (role, term, last, committed) = (now.role, now.term, now.last, now.committed);
        let says = format!(
            "{node}, now a {role} in {term}, gets no further from here on: its log goes to {last}, \
             {} of it durable, {committed} committed, {} applied",
            now.durable, now.applied
        );
        draft.fact(id, event.at, says);
    }
}

/// What the node refuses most since then.
fn refusals(past: &Past<'_>, draft: &mut Draft, node: NodeId, since: EventId) {
    let mut counts: BTreeMap<(NodeId, &str, &str), (u64, EventId)> = BTreeMap::new();
    for (id, event) in past.of(node).filter(|(id, _)| *id > since) {
        if let What::Refused { from, message, reason } = &event.what {
            let (count, last) =
                counts.entry((*from, message, phrases::refusal(*reason))).or_insert((0, id));
            (*count, *last) = (*count + 1, id);
        }
    }
    let most = counts.into_iter().max_by_key(|(_, (count, _))| *count);
    if let Some(((from, message, why), (count, id))) = most.filter(|(_, (count, _))| *count > 2) {
        let says = format!("{node} refuses {from}'s {message} for the {count}th time: {why}");
        draft.fact(id, past.at(id), says);
    }
}

/// Who waits for what.
fn waits_for(nodes: &[(NodeId, Option<&Status>)]) -> String {
    let down = nodes.iter().find(|(_, now)| now.is_none());
    if let Some((node, _)) = down {
        return format!("{node} does not come back, and the others wait for it");
    }
    let up: Vec<&Status> = nodes.iter().filter_map(|(_, now)| *now).collect();
    let leader = up.iter().filter(|now| now.role == RoleName::Leader).max_by_key(|now| now.term);
    let Some(leader) = leader else {
        let highest = up.iter().map(|now| now.term).max().unwrap_or_default();
        return format!(
            "nobody wins an election: the highest term is {highest}, and none leads it"
        );
    };
    let (id, term) = (leader.id, leader.term);
    if leader.committed < leader.last.index {
        let next = leader.committed.next();
        return format!(
            "{id} leads {term} and waits for {next} to be committed, which its log has up to {}",
            leader.last
        );
    }
    let behind = up.iter().find(|now| now.committed < leader.committed || now.term != term);
    if let Some(behind) = behind {
        return format!(
            "{} waits for {id}, which leads {term}: it has {} of {} that are committed",
            behind.id, behind.committed, leader.committed
        );
    }
    let slow = up.iter().find(|now| now.applied < now.committed);
    match slow {
        Some(slow) => format!(
            "{} has committed {} and applies no more than {}",
            slow.id, slow.committed, slow.applied
        ),
        None => {
            format!("everything is committed and applied under {id} in {term}, and yet it waits")
        }
    }
}

/// A run that ended in a panic, or in which time stood still: what led there.
pub(super) fn tell_end(past: &Past<'_>, draft: &mut Draft) {
    stories::spine(past, draft, past.accused, 5);
    let Some(node) = past.node() else { return };
    let before =
        past.step(past.accused).map_or(EventId(1), |id| EventId(id.0.saturating_sub(200).max(1)));
    stories::troubles(past, draft, node, before);
}
