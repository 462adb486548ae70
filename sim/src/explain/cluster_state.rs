//! The state of every node at the end of a recording, as text.

use std::fmt::Write;

use quorate::raft::PeerStatus;
use quorate::types::NodeId;

use crate::explain::history::History;
use crate::record::{EventId, EventKind, Record, Recording};

/// The number of entries shown from the end of a log.
const ENTRIES_SHOWN: usize = 12;

/// The state of all nodes, or of the node `only`, at the end of the recording: role, term and vote;
/// the end of the log in memory and on disk; pending writes and packets in flight; the membership;
/// and a leader's view of its peers.
#[must_use]
pub fn cluster_state(recording: &Recording, only: Option<NodeId>) -> String {
    let Recording { record, peers, .. } = recording;
    let Some(last) = record.last() else { return "the recording has no event\n".to_owned() };
    let history = History::new(record, last);
    let mut text = format!("after {last} at {} s\n", record.event(last).at);
    for node in record.nodes.iter().copied().filter(|node| only.is_none_or(|one| one == *node)) {
        let seen = peers.iter().find(|(leader, _)| *leader == node).map(|(_, peers)| &peers[..]);
        text.push('\n');
        // Writing to a string cannot fail.
        let _ = of_node(&mut text, &history, node, seen.unwrap_or_default());
    }
    text
}

fn of_node(
    text: &mut String,
    history: &History<'_>,
    node: NodeId,
    peers: &[PeerStatus],
) -> std::fmt::Result {
    let (record, at) = (history.record(), history.failing);
    let logs = history.logs(node, at);
    match record.state_of(node, at) {
        None => writeln!(text, "{node}  down")?,
        Some(now) => {
            let vote = now.vote.map_or_else(|| "none".to_owned(), |vote| vote.to_string());
            let leader = now.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
            writeln!(
                text,
                "{node}  {} in term {}, vote {vote}, leader {leader}",
                now.role, now.term
            )?;
            let (last, durable, committed) = (now.last, now.durable, now.committed);
            let (applied, snapshot, base) = (now.applied, now.snapshot, now.base);
            writeln!(
                text,
                "    last {last}, durable {durable}, committed {committed}, applied {applied}, \
                 snapshot {snapshot}, base {base}"
            )?;
        }
    }
    writeln!(text, "    membership {}", history.membership(node, at))?;
    let row = |log: &std::collections::BTreeMap<_, quorate::types::EntryId>| {
        let skipped = log.len().saturating_sub(ENTRIES_SHOWN);
        let dots = if skipped > 0 { "… " } else { "" };
        let ids: Vec<String> = log.values().skip(skipped).map(ToString::to_string).collect();
        format!("{dots}{}", ids.join(" "))
    };
    writeln!(text, "    log      {}", row(&logs.memory))?;
    if logs.memory != logs.disk {
        writeln!(text, "    on disk  {}", row(&logs.disk))?;
    }
    for (id, write) in history.pending_writes(node) {
        writeln!(
            text,
            "    to disk  {} since {} s ({id})",
            EventKind::Submitted(write.clone().into()),
            history.at(id)
        )?;
    }
    for (id, to, words, due) in on_their_way(record, node, at) {
        writeln!(text, "    to {to}    {words}, due at {due} s ({id})")?;
    }
    for peer in peers {
        let PeerStatus { id, probing, matched, suspected, inflight_entries, .. } = *peer;
        let how = match (peer.snapshot, probing) {
            (Some(index), _) => format!("snapshot up to {index} offered"),
            (None, true) => "probing".to_owned(),
            (None, false) => format!("replicating, {inflight_entries} entries in flight"),
        };
        let unheard =
            if suspected { ", suspected because it has not replied recently" } else { "" };
        writeln!(text, "    peer {id}  matched {matched}, {how}{unheard}")?;
    }
    Ok(())
}

/// The packets that a node sent and that have not arrived.
fn on_their_way(
    record: &Record,
    node: NodeId,
    at: EventId,
) -> Vec<(EventId, NodeId, String, crate::values::time::SimTime)> {
    let now = record.event(at).at;
    let under_way = record.through(at).filter_map(|(id, event)| {
        let EventKind::Sent(sent) = &event.kind else { return None };
        let due = sent.delivery?.arrival.filter(|due| *due > now && event.node == Some(node))?;
        let words = sent.message.as_ref().map_or(sent.text.clone(), ToString::to_string);
        Some((id, sent.to, words, due))
    });
    under_way.collect()
}
