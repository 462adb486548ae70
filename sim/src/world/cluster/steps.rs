//! The steps of a node's process.

use quorate::raft::Status;
use quorate::replica::{Input, Note, Output};
use quorate::types::{Index, Membership, NodeId};

use crate::observe::Observation;
use crate::record::InputKind;
use crate::world::cluster::node::Node;
use crate::world::run::Run;

/// The outputs and the notes of a step. The buffers are reused between steps to save allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepResults {
    pub(crate) outputs: Vec<Output>,
    pub(crate) notes: Vec<Note>,
}

/// A step of a process.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) before: Status,
    pub(crate) after: Status,
    pub(crate) membership: Membership,
    /// The peer whose reply the input was, and the last index of its log that the node knows equal
    /// to its own.
    matched: Option<(NodeId, Index)>,
}

impl Node {
    /// Starts the process that has just been opened, and returns its status.
    pub(crate) fn take_first_step(&mut self, results: &mut StepResults) -> Option<Status> {
        let running = self.life.running_mut()?;
        running.node.start(&mut results.outputs);
        running.node.take_notes(&mut results.notes);
        Some(running.status)
    }

    /// Passes an input to the process.
    pub(crate) fn step(
        &mut self,
        input: Input,
        results: &mut StepResults,
        run: &mut Run<'_>,
    ) -> Option<Step> {
        let now = run.scheduler.now();
        let own = self.clock.read(now);
        let running = self.life.running_mut()?;
        let answers = replying_peer(&input).filter(|_| run.observer.has_checks());
        let taken = run.observer.is_recorded().then(|| InputKind::of(&input));
        running.node.step(own, input, &mut results.outputs);
        running.node.take_notes(&mut results.notes);
        let before = std::mem::replace(&mut running.status, running.node.status());
        running.counts.steps += 1;
        running.note_lead(&before, run.observer);
        if run.observer.has_checks() {
            running.node.assert_invariants();
        }
        let after = running.status;
        if let Some(taken) = taken {
            run.observer.input_taken(now, &after, taken, running.node.deadline());
        }
        let raft = running.node.raft();
        let matched = answers.and_then(|peer| Some((peer, raft.matched(peer)?)));
        let membership = raft.membership().clone();
        running.leadership.note_takeover(&after, &results.notes, &membership);
        Some(Step { before, after, membership, matched })
    }
}

impl Step {
    /// Shows the step to the checks.
    pub(crate) fn show(&self, run: &mut Run<'_>) {
        let (now, node) = (run.scheduler.now(), self.after.id);
        let Step { before, after: status, membership, matched } = self;
        run.observer.observe(now, Observation::Stepped { node, status, membership });
        if let Some((peer, matched)) = *matched {
            run.observer.observe(now, Observation::PeerMatched { node, peer, matched });
        }
        run.observer.stepped(before, status);
    }
}

/// Returns the peer whose reply the input is, if it is one.
fn replying_peer(input: &Input) -> Option<NodeId> {
    match input {
        Input::Packet(packet) => {
            packet.message().filter(|message| message.body.is_reply()).map(|message| message.from)
        }
        _ => None,
    }
}
