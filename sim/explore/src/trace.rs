//! How one goes from the start to a world, one line for everything that happens.

use std::fmt::Write;

use quorate::raft::{Action, Input, RoleName};

use crate::events::{Event, Move};
use crate::moves::Moves;
use crate::node::{Node, proposal};
use crate::world::World;

/// The events one after the other, each with what the node wants then.
pub(crate) fn of(moves: &mut Moves, start: &World, way: &[Event]) -> String {
    let mut text = String::new();
    let mut world = start.clone();
    let mut next = World::default();
    for event in way {
        let state = world.states[event.place];
        let moved = moves.moved(state, event.what);
        let said = said(moves, event, moves.node(state));
        let node = moved.as_ref().map_or_else(|_| moves.node(state), |moved| &moved.node);
        line(&mut text, node, &said);
        for action in moved.iter().flat_map(|moved| &moved.actions) {
            if !matches!(action, Action::Refused { .. }) {
                line(&mut text, node, &format!("    {action}"));
            }
        }
        if moves.next(&world, *event, &mut next).is_ok() {
            core::mem::swap(&mut world, &mut next);
        }
    }
    text
}

fn line(text: &mut String, node: &Node, said: &str) {
    writeln!(text, "{}  {said}", node.raft.status()).expect("a text takes any text");
}

fn said(moves: &Moves, event: &Event, node: &Node) -> String {
    match event.what {
        Move::Deliver(message) => Input::Message(moves.network.get(message).clone()).to_string(),
        Move::Repeat(message) => {
            format!("{} (and once more)", Input::Message(moves.network.get(message).clone()))
        }
        Move::Timeout
            if moves.scope.leases.any() && node.raft.status().role != RoleName::Leader =>
        {
            Input::Campaign.to_string()
        }
        Move::Timeout => Input::Timeout.to_string(),
        Move::Lapse if moves.scope.survives => "time passes for all".to_owned(),
        Move::Lapse if moves.scope.leases.any() => "half a patience passes for all".to_owned(),
        Move::Lapse => "time passes".to_owned(),
        Move::Flush => "flushed w1".to_owned(),
        Move::Crash(_) if moves.scope.survives => "crashes".to_owned(),
        Move::Crash(parts) => match node.writes.len() {
            0 => "crashes and starts again".to_owned(),
            count => format!("crashes with {parts} parts of {count} writes, and starts again"),
        },
        Move::Start => "starts again".to_owned(),
        Move::Propose => proposal().to_string(),
        Move::Change(change) => format!("change {}", moves.scope.changes[change as usize]),
        Move::Transfer(to) => format!("transfer to n{to}"),
    }
}
