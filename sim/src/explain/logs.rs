//! Explanations of wrong log entries, S8, and of overwritten leader logs, S9.

use quorate::types::{EntryId, NodeId};

use crate::explain::explanation::Draft;
use crate::explain::facts;
use crate::explain::history::History;
use crate::explain::phrases;
use crate::record::EventKind;

pub(super) fn explain(history: &History<'_>, draft: &mut Draft) {
    let Some(node) = history.node() else { return };
    let EventKind::Submitted(write) = &history.event(history.failing).kind else {
        return facts::causal_steps(history, draft, history.failing, 3);
    };
    facts::causal_steps(history, draft, history.failing, 3);
    let Some(last) = write.entries.last().map(|entry| entry.id) else { return };
    let first = write.entries[0].id;
    let entries = phrases::entries(first, last);
    let at = history.at(history.failing);
    draft.fact(
        history.failing,
        at,
        format!("{node} submits {entries} to its disk as write {}", write.id,),
    );
    let term = history.state_after(history.failing).map(|now| now.term).unwrap_or_default();
    let leader = history.elections().into_iter().rev().find(|(.., won)| *won == term);
    match leader {
        Some((won, leader, _)) if leader != node => {
            draft.fact(won, history.at(won), format!("{leader} wins term {term}"));
            differs_from_leader(history, draft, node, [first, last], leader);
        }
        Some((won, leader, _)) => {
            draft.fact(won, history.at(won), format!("{leader} wins term {term}"));
            if history.check() == Some("S9") {
                draft.cause(format!(
                    "{node} leads term {term} and overwrites its own log from entry {first} on: a \
                     leader may only append to its log"
                ));
            }
        }
        None => draft.cause(format!(
            "{node} writes {entries} in term {term}, but that term has no leader: entries come \
             only from the leader of the term"
        )),
    }
}

/// Explains a write of entries that the leader of the term does not have.
fn differs_from_leader(
    history: &History<'_>,
    draft: &mut Draft,
    node: NodeId,
    [first, last]: [EntryId; 2],
    leader: NodeId,
) {
    let theirs = history.logs(leader, history.failing);
    let own = history.logs(node, history.failing);
    let conflict = own.memory.iter().find(|(index, id)| {
        **index <= last.index && theirs.memory.get(index).is_some_and(|has| has != *id)
    });
    let received = history.step_of(history.failing).and_then(|step| history.message_of(step));
    let by = received
        .map_or_else(String::new, |(_, received)| format!(" from {}", phrases::message(received)));
    let late = received.filter(|(_, received)| {
        history.state_after(history.failing).is_some_and(|now| received.term < now.term)
    });
    if let (Some((_, received)), Some(now)) = (late, history.state_after(history.failing)) {
        let (from, sent) = (received.from, received.term);
        return draft.cause(format!(
            "{node} is in term {}, which {leader} leads, but accepts entries from {from}'s \
             AppendEntries in the earlier term {sent}",
            now.term
        ));
    }
    match conflict {
        Some((index, has)) => {
            facts::entry(history, draft, node, *has);
            let leads = theirs.memory[index];
            if *index >= first.index {
                return draft.cause(format!(
                    "{node} writes entry {has}, but the leader {leader} has entry {leads} there"
                ));
            }
            draft.cause(format!(
                "{node} appends after its entry {has}, but the leader {leader} has entry {leads} \
                 there: {node} accepted the entries{by} although its log does not match the \
                 leader's log"
            ));
        }
        None if theirs.last().index >= last.index => {}
        None => {
            let ends = theirs.last();
            draft.cause(format!(
                "{node} writes entry {last}, but the leader {leader} has no such entry, because \
                 its log ends with {ends}"
            ));
        }
    }
}
