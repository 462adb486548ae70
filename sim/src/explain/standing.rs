//! What every node is like where a recording ends.

use std::fmt::Write;

use quorate::raft::PeerStatus;
use quorate::types::NodeId;

use crate::explain::past::Past;
use crate::record::{EventId, Record, Recording, What};

/// How many entries of a log are shown, from its end.
const ENTRIES_SHOWN: usize = 12;

/// The state of the nodes, or of one, where the recording ends: roles, terms and votes; the end of
/// the log with its terms, and what of it is durable; writes and messages under way; the
/// membership; how a leader sees its peers.
#[must_use]
pub fn standing(recording: &Recording, only: Option<NodeId>) -> String {
    let Recording { record, peers, .. } = recording;
    let Some(last) = record.last() else { return "nothing happened yet\n".to_owned() };
    let past = Past::new(record, last);
    let mut says = format!("after {last} at {} s\n", record.event(last).at);
    for node in record.nodes.iter().copied().filter(|node| only.is_none_or(|one| one == *node)) {
        let seen = peers.iter().find(|(leader, _)| *leader == node).map(|(_, peers)| &peers[..]);
        says.push('\n');
        // Writing to a string cannot fail.
        let _ = of_node(&mut says, &past, node, seen.unwrap_or_default());
    }
    says
}

fn of_node(
    says: &mut String,
    past: &Past<'_>,
    node: NodeId,
    peers: &[PeerStatus],
) -> std::fmt::Result {
    let (record, at) = (past.record(), past.accused);
    let logs = past.logs(node, at);
    match record.state_of(node, at) {
        None => writeln!(says, "{node}  down")?,
        Some(now) => {
            let vote = now.vote.map_or_else(|| "none".to_owned(), |vote| vote.to_string());
            let leader = now.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
            writeln!(says, "{node}  {} in {}, vote {vote}, leader {leader}", now.role, now.term)?;
            let (last, durable, committed) = (now.last, now.durable, now.committed);
            let (applied, snapshot, base) = (now.applied, now.snapshot, now.base);
            writeln!(
                says,
                "    last {last}, durable {durable}, committed {committed}, applied {applied}, \
                 snapshot {snapshot}, base {base}"
            )?;
        }
    }
    writeln!(says, "    membership {}", past.membership(node, at))?;
    let row = |log: &std::collections::BTreeMap<_, quorate::types::EntryId>| {
        let skipped = log.len().saturating_sub(ENTRIES_SHOWN);
        let dots = if skipped > 0 { "… " } else { "" };
        let ids: Vec<String> = log.values().skip(skipped).map(ToString::to_string).collect();
        format!("{dots}{}", ids.join(" "))
    };
    writeln!(says, "    log      {}", row(&logs.memory))?;
    if logs.memory != logs.disk {
        writeln!(says, "    on disk  {}", row(&logs.disk))?;
    }
    for (id, write) in past.under_way(node) {
        writeln!(
            says,
            "    to disk  {} since {} s ({id})",
            What::Submitted(write.clone().into()),
            past.at(id)
        )?;
    }
    for (id, to, words, due) in on_their_way(record, node, at) {
        writeln!(says, "    to {to}    {words}, due at {due} s ({id})")?;
    }
    for peer in peers {
        let PeerStatus { id, probing, matched, suspected, inflight_entries, .. } = *peer;
        let how = match (peer.snapshot, probing) {
            (Some(index), _) => format!("is offered a snapshot to {index}"),
            (None, true) => "is probed".to_owned(),
            (None, false) => format!("is sent entries, {inflight_entries} on their way"),
        };
        let unheard = if suspected { ", not heard from lately" } else { "" };
        writeln!(says, "    peer {id}  matched {matched}, {how}{unheard}")?;
    }
    Ok(())
}

/// The packets of a node that are on their way.
fn on_their_way(
    record: &Record,
    node: NodeId,
    at: EventId,
) -> Vec<(EventId, NodeId, String, crate::time::SimTime)> {
    let now = record.event(at).at;
    let under_way = record.through(at).filter_map(|(id, event)| {
        let What::Sent(sent) = &event.what else { return None };
        let due = sent.way?.arrival.filter(|due| *due > now && event.node == Some(node))?;
        let words = sent.message.as_ref().map_or(sent.words.clone(), ToString::to_string);
        Some((id, sent.to, words, due))
    });
    under_way.collect()
}
