//! Logs: where entries come from and what leaders do with theirs, S8 and S9.

use quorate::types::{EntryId, NodeId};

use crate::explain::past::Past;
use crate::explain::phrases;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::What;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let Some(node) = past.node() else { return };
    let What::Submitted(write) = &past.event(past.accused).what else {
        return stories::spine(past, draft, past.accused, 3);
    };
    stories::spine(past, draft, past.accused, 3);
    let Some(last) = write.entries.last().map(|entry| entry.id) else { return };
    let first = write.entries[0].id;
    let what = if first == last { last.to_string() } else { format!("{first} to {last}") };
    let at = past.at(past.accused);
    draft.fact(past.accused, at, format!("{node} gives {what} to its disk, as {}", write.id));
    let term = past.after(past.accused).map(|now| now.term).unwrap_or_default();
    let leader = past.elections().into_iter().rev().find(|(.., won)| *won == term);
    match leader {
        Some((won, leader, _)) if leader != node => {
            draft.fact(won, past.at(won), format!("{leader} wins {term}"));
            other_than_leaders(past, draft, (node, last), leader);
        }
        Some((won, leader, _)) => {
            draft.fact(won, past.at(won), format!("{leader} wins {term}"));
            draft.cause(format!(
                "{node} leads {term} and replaces what stands at {first} in its own log: a leader \
                 only ever appends"
            ));
        }
        None => draft.cause(format!(
            "{node} writes {what} in {term}, in which nobody leads: entries come from the leader \
             of the term alone"
        )),
    }
}

/// A node writes what the leader of its term has not there.
fn other_than_leaders(
    past: &Past<'_>,
    draft: &mut Draft,
    (node, last): (NodeId, EntryId),
    leader: NodeId,
) {
    let theirs = past.logs(leader, past.accused);
    let own = past.logs(node, past.accused);
    let parted = own.memory.iter().find(|(index, id)| {
        **index <= last.index && theirs.memory.get(index).is_some_and(|has| has != *id)
    });
    let brought = past.step(past.accused).and_then(|step| past.message_of(step));
    let by =
        brought.map_or_else(String::new, |(_, said)| format!(" of {}", phrases::message(said)));
    let late = brought
        .filter(|(_, said)| past.after(past.accused).is_some_and(|now| said.term < now.term));
    if let (Some((_, said)), Some(now)) = (late, past.after(past.accused)) {
        let (from, sent) = (said.from, said.term);
        return draft.cause(format!(
            "{node} is in {} and takes entries of {from}'s append in {sent}, a term that is over: \
             {leader} leads now, and has other entries there",
            now.term
        ));
    }
    match parted {
        Some((index, has)) => {
            stories::entry(past, draft, node, *has);
            let leads = theirs.memory[index];
            draft.cause(format!(
                "{node} goes on after {has}, where {leader}, which leads, has {leads}: it took the \
                 entries{by} though its log does not fit them there"
            ));
        }
        None => {
            let ends = theirs.last();
            draft.cause(format!(
                "{node} writes {last}, and {leader}, which leads, has no such entry: its log goes \
                 to {ends}"
            ));
        }
    }
}
