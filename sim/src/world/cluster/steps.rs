//! The steps of a node's process.

use quorate::raft::Status;
use quorate::replica::{Input, Note, Output};
use quorate::types::NodeId;

use crate::observe::Observation;
use crate::record::InputKind;
use crate::world::cluster::node::Node;
use crate::world::cluster::running::Running;
use crate::world::run::Run;

/// The outputs and the notes of a step. The buffers are reused between steps to save allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepResults {
    pub(crate) outputs: Vec<Output>,
    pub(crate) notes: Vec<Note>,
}

impl Node {
    /// Starts the process that has just been opened, and returns its status.
    pub(crate) fn take_first_step(&mut self, results: &mut StepResults) -> Option<Status> {
        let running = self.life.running_mut()?;
        running.node.start(&mut results.outputs);
        running.node.take_notes(&mut results.notes);
        Some(running.status)
    }

    /// Passes an input to the process, and returns its status before the step.
    pub(crate) fn step(
        &mut self,
        input: Input,
        results: &mut StepResults,
        run: &mut Run,
    ) -> Option<Status> {
        let now = run.scheduler.now();
        let own = self.clock.read(now);
        let running = self.life.running_mut()?;
        let taken = run.observer.is_recorded().then(|| InputKind::of(&input));
        running.node.step(own, input, &mut results.outputs);
        running.node.take_notes(&mut results.notes);
        let before = std::mem::replace(&mut running.status, running.node.status());
        running.counts.steps += 1;
        running.note_lead(&before, &mut run.observer);
        if run.observer.has_checks() {
            running.node.assert_invariants();
        }
        if let Some(taken) = taken {
            run.observer.input_taken(now, &running.status, taken, running.node.deadline());
        }
        let membership = running.node.raft().membership();
        running.leadership.note_takeover(&running.status, &results.notes, membership);
        Some(before)
    }
}

impl Running {
    /// Shows the last step to the checks. Its input was a reply of the peer `replying`, if of one.
    pub(crate) fn show_step(&self, before: &Status, replying: Option<NodeId>, run: &mut Run) {
        let (node, raft) = (self.status.id, self.node.raft());
        let (status, membership) = (&self.status, raft.membership());
        run.observe(Observation::Stepped { node, status, membership });
        if let Some(peer) = replying
            && let Some(matched) = raft.matched(peer)
        {
            run.observe(Observation::PeerMatched { node, peer, matched });
        }
        run.observer.stepped(before, status);
    }
}

/// Returns the peer whose reply the input is, if it is one.
pub(crate) fn replying_peer(input: &Input) -> Option<NodeId> {
    match input {
        Input::Packet(packet) => {
            packet.message().filter(|message| message.body.is_reply()).map(|message| message.from)
        }
        _ => None,
    }
}
