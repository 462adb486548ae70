//! The cores of a simulated run, as events like those of recordings.

use std::collections::BTreeMap;

use quorate::raft::Raft;
use quorate::recording::{Header, LAYOUT, Step};
use quorate::types::NodeId;

use crate::observe::CoreInput;
use crate::recordings::{CoreState, Event, EventKind};
use crate::values::time::SimTime;

/// Copies of the cores of a run. Each takes the inputs that the core takes, and so does the same.
#[derive(Clone, Debug, Default)]
pub struct SimulatedCores {
    cores: BTreeMap<NodeId, Copied>,
    starts: u64,
}

/// A copy of a core, and the number of steps that it has taken.
#[derive(Clone, Debug)]
struct Copied {
    raft: Raft,
    steps: u64,
}

impl SimulatedCores {
    /// Passes the events of this start or input of a core to `each`.
    pub fn observe(
        &mut self,
        at: SimTime,
        node: NodeId,
        input: CoreInput<'_>,
        mut each: impl FnMut(&Event<'_>),
    ) {
        match input {
            CoreInput::Starts(raft) => {
                if self.cores.contains_key(&node) {
                    each(&Event { at, node, kind: EventKind::Ends });
                }
                self.starts += 1;
                let header = header(node, self.starts);
                let status = raft.status();
                let state = CoreState::of(raft, &status);
                let kind =
                    EventKind::Begins { header: &header, continues: false, is_later: true, state };
                each(&Event { at, node, kind });
                self.cores.insert(node, Copied { raft: raft.clone(), steps: 0 });
            }
            CoreInput::Takes { now, input } => {
                let core = self.cores.get_mut(&node).expect("a core starts before its first step");
                let (before, due, mut actions) =
                    (core.raft.status(), core.raft.deadline(), Vec::new());
                core.raft.step(now, input.clone(), &mut actions);
                let (record, input) = (core.steps, input.clone());
                core.steps += 1;
                let step = Step { record, now, input, actions };
                let status = core.raft.status();
                let state = CoreState::of(&core.raft, &status);
                let sent_at = None;
                let kind = EventKind::Steps { step: &step, before: &before, due, sent_at, state };
                each(&Event { at, node, kind });
            }
        }
    }
}

fn header(node: NodeId, start: u64) -> Header {
    Header {
        layout: LAYOUT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: 0,
        node,
        start,
        first_record: 0,
        keeps_commands: true,
        unix_time: None,
    }
}
