//! Machine faults: errors of state machines, always of fewer than half of the voters, so that no
//! majority has a wrong state.

use quorate::raft::{RoleName, Status};
use quorate::replica::{ComparisonResult, Output};
use quorate::types::NodeId;

use crate::faults::Fault;
use crate::faults::MachineFault;
use crate::machine::taint::Taint;
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::values::choice::{Key, Kind};
use crate::world::cluster::Cluster;
use crate::world::place::Place;
use crate::world::run::Run;

/// Makes a node's state machine fail with its next command, unless half of the voters or more may
/// then have a wrong state.
pub(crate) fn strike(
    cluster: &Cluster,
    place: Place,
    fault: MachineFault,
    taint: &mut Taint,
    run: &mut Run,
) {
    let voters = cluster.committed_membership().incoming().len();
    let (id, node) = (place.id(), &cluster[place]);
    let few = 2 * (taint.others(id) + 1) < voters;
    let (Some(running), true) = (node.running(), few) else { return };
    taint.add_fault(id);
    let counter = taint.fault_count();
    let key = Key { node: place.0 + 1, counter, ..Kind::MachineFault.key() };
    running.worker.machine().user().fail_next(fault, run.setup.choices.choose(key, u64::MAX));
    run.observer.fault(Fault::MachineFault, node.role());
}

/// Records whether a leader finds in this step that its state machine has diverged.
pub(crate) fn note_leader_quarantine(before: &Status, outputs: &[Output], observer: &mut Observer) {
    let wrong = |output: &Output| {
        matches!(output, Output::StateCompared(ComparisonResult::Diverged { .. }))
    };
    let led = before.role == RoleName::Leader;
    observer.reach_if(led && outputs.iter().any(wrong), Spot::LeaderQuarantined);
}

/// Records the result of a comparison of state machines.
pub(crate) fn note_comparison(node: NodeId, result: ComparisonResult, run: &mut Run) {
    run.observer.reach(match result {
        ComparisonResult::Consistent { .. } => Spot::ResultsAgreed,
        ComparisonResult::Unavailable { .. } => Spot::ResultsUnavailable,
        ComparisonResult::Inconclusive { .. } | ComparisonResult::NoMajority { .. } => {
            Spot::ResultsInconclusive
        }
        ComparisonResult::Diverged { .. } => Spot::NodeQuarantined,
        ComparisonResult::Rebuilt { .. } => Spot::NodeRebuilt,
    });
    run.observe(Observation::StateCompared { node, result });
}

/// Returns true if the state machines of two running nodes have different states; false if more of
/// them may be wrong than the nodes can detect.
pub(crate) fn states_differ(cluster: &Cluster, taint: &Taint, one: Place, other: Place) -> bool {
    let digest = |place: Place| cluster[place].running()?.worker.machine().digest().ok().flatten();
    !taint.is_too_many() && digest(one).zip(digest(other)).is_some_and(|(one, other)| one != other)
}
