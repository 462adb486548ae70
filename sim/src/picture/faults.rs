//! The faults of a run, from when to when.

use std::collections::BTreeMap;

use quorate::types::NodeId;
use quorate_page::document::{Document, Fault};

use crate::plan::{Verb, Who};
use crate::record::{Record, What};
use crate::time::SimTime;

/// Adds the faults that happened.
pub(crate) fn add(document: &mut Document, record: &Record) {
    let calm = record.events.iter().find(|event| matches!(event.what, What::Calm(_)));
    // A run that fails may end before the storm does: what would end later is not known to end.
    let over = calm.or(record.events.last()).map_or(SimTime::default(), |event| event.at);
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for (id, event) in record.all() {
        match event.what {
            What::Planned(op) => {
                let Some(planned) = record.plan.get(op as usize) else { continue };
                let verb = &planned.verb;
                let end = verb.lasting().map_or(event.at, |lasting| event.at.after(lasting));
                open.insert(op, document.faults.len());
                document.faults.push(Fault {
                    text: verb.to_string(),
                    from: event.at.0,
                    // What would end after the storm stays for ever, unless it is lifted.
                    until: (end <= over).then_some(end.0),
                    nodes: whom(verb, event.node)
                        .iter()
                        .filter_map(|node| record.nodes.iter().position(|id| id == node))
                        .filter_map(|place| u16::try_from(place).ok())
                        .collect(),
                    event: Some(id.0 - 1),
                });
            }
            What::Lifted(op) => {
                if let Some(place) = open.remove(&op) {
                    document.faults[place].until = Some(event.at.0);
                }
            }
            _ => {}
        }
    }
}

/// Whom an operation of the plan befalls, as far as its words say; `it` is the node whose doing it
/// waited for.
fn whom(verb: &Verb, it: Option<NodeId>) -> Vec<NodeId> {
    let named = |who: &Who| match who {
        Who::Node(node) => Some(*node),
        Who::It => it,
        Who::Other | Who::Leader => None,
    };
    match verb {
        Verb::Split(side, _) => side.iter().filter_map(named).collect(),
        Verb::Only(..) => Vec::new(),
        Verb::Strand(one, other, _) | Verb::Cut(one, other, _) | Verb::Flap(one, other, ..) => {
            [one, other].into_iter().filter_map(named).collect()
        }
        Verb::Crash(who, ..)
        | Verb::Wipe(who, ..)
        | Verb::Rollback(who, ..)
        | Verb::Stop(who, ..)
        | Verb::Surge(who, ..)
        | Verb::Consult(who, ..)
        | Verb::Pause(who, ..)
        | Verb::Isolate(who, ..)
        | Verb::Deafen(who, ..)
        | Verb::Mute(who, ..)
        | Verb::Clog(who, ..)
        | Verb::Drift(who, ..)
        | Verb::Jump(who, ..)
        | Verb::SlowDisk(who, ..)
        | Verb::SlowApply(who, ..)
        | Verb::Stray(who, ..)
        | Verb::Replay(who, ..)
        | Verb::Campaign(who)
        | Verb::Fail(who, ..)
        | Verb::Fill(who, ..)
        | Verb::Stall(who, ..)
        | Verb::Rot(who, ..)
        | Verb::Misdirect(who, ..)
        | Verb::LoseWrite(who, ..)
        | Verb::Change(who, ..)
        | Verb::GiveUp(who)
        | Verb::Transfer(who, ..)
        | Verb::Slip(who, ..) => named(who).into_iter().collect(),
        Verb::Ask(errand) => errand.via.as_ref().and_then(named).into_iter().collect(),
    }
}
