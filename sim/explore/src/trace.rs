//! Formats a path from the start to a world, one line for each event and action.

use std::fmt::Write;

use quorate::raft::{Action, Input, RoleName};

use crate::events::{Event, Move};
use crate::moves::Moves;
use crate::node::{Node, proposal};
use crate::world::World;

/// Formats the events in order, each with the actions of its node. With last survivors, deliveries
/// that take no time follow an event without lines of their own.
pub(crate) fn of(moves: &mut Moves, start: &World, path: &[Event]) -> String {
    let mut text = String::new();
    let mut world = start.clone();
    let mut next = World::default();
    for event in path {
        let state = world.states[event.place];
        let moved = moves.step_node(state, event.kind);
        let text_of_event = describe(moves, event, moves.node(state));
        let node = moved.as_ref().map_or_else(|_| moves.node(state), |moved| &moved.node);
        line(&mut text, node, &text_of_event);
        for action in moved.iter().flat_map(|moved| &moved.actions) {
            if !matches!(action, Action::MessageRejected { .. }) {
                line(&mut text, node, &format!("    {action}"));
            }
        }
        if moves.next(&world, *event, &mut next).is_ok() {
            core::mem::swap(&mut world, &mut next);
        }
    }
    text
}

fn line(text: &mut String, node: &Node, text_of_event: &str) {
    writeln!(text, "{}  {text_of_event}", node.raft.status())
        .expect("writing to a string succeeds");
}

fn describe(moves: &Moves, event: &Event, node: &Node) -> String {
    match event.kind {
        Move::Deliver(message) => Input::Message(moves.network.get(message).clone()).to_string(),
        Move::Repeat(message) => {
            format!("{} (and stays in flight)", Input::Message(moves.network.get(message).clone()))
        }
        Move::Timeout
            if moves.scope.leases.any() && node.raft.status().role != RoleName::Leader =>
        {
            Input::Campaign.to_string()
        }
        Move::Timeout => Input::Timeout.to_string(),
        Move::TimePasses if moves.scope.last_survivor => "time passes for all nodes".to_owned(),
        Move::TimePasses if moves.scope.leases.any() => {
            "half an election timeout passes for all nodes".to_owned()
        }
        Move::TimePasses => "time passes".to_owned(),
        Move::Flush => "flushed w1".to_owned(),
        Move::Crash(_) if moves.scope.last_survivor => "crashes".to_owned(),
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
