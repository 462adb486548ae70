//! The trace lines of observations that are neither an input nor an action of a node.

use crate::observe::Observation;

/// Returns the text of the observation for the trace; `None` if an input or an action shows it.
pub(super) fn event(observation: &Observation<'_>) -> Option<String> {
    Some(match observation {
        Observation::Started { node, log, .. } => {
            format!("{node} starts with the log after {} up to {}", log.base(), log.last())
        }
        Observation::Crashed { node } => format!("{node} crashes"),
        Observation::Wiped { node, incarnation } => {
            format!("{node} gets an empty disk, incarnation {incarnation}")
        }
        Observation::DiskCopied { node, .. } => format!("{node} has its disk copied"),
        Observation::RolledBack { node, .. } => {
            format!("{node} gets back a copy of its disk, marked as uncertain")
        }
        Observation::Durable { node, write } => {
            format!("{node} disk: write {} is durable", write.id)
        }
        Observation::Stabilized { core } => {
            format!("stabilization phase: the core is {core:?}")
        }
        Observation::MembershipChangeCommitted { node, id } => {
            format!("{node} completes a membership change with entry {id}")
        }
        Observation::MachineFault { node } => {
            format!("{node} processes a command wrongly")
        }
        Observation::StateCompared { node, result: verdict } => {
            format!("{node} compared its state: {verdict:?}")
        }
        Observation::Idle => "idle cluster".to_owned(),
        Observation::Ended => "end of the run".to_owned(),
        _ => return None,
    })
}
