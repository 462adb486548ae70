//! The versions of the state machines' rules: the checks that a leader accepts a raise only if
//! every member has had a build with the version, and that no node with too old a build leads.

use quorate::machine::{Outcome, Request};
use quorate::raft::RoleName;
use quorate::replica::Output;
use quorate::types::{Payload, RejectReason};

use crate::check::S31;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::values::time::SimTime;
use crate::world::cluster::Cluster;
use crate::world::cluster::running::Running;
use crate::world::place::Place;

/// Records the reply to the raise of the version.
pub(crate) fn note_reply(output: &Output, observer: &mut Observer) {
    match output {
        Output::Replied { outcome: Outcome::Reply(_), .. } => observer.reach(Spot::VersionRaised),
        Output::Rejected {
            reason: RejectReason::BuildTooOld { .. } | RejectReason::BuildUnknown { .. },
            ..
        } => observer.reach(Spot::RaiseRefused),
        _ => {}
    }
}

/// Checks that a node does not lead with a build that is too old for its log (S31).
pub(crate) fn check_role(running: &Running, now: SimTime, observer: &mut Observer) {
    let status = &running.status;
    if status.role == RoleName::Leader && running.node.version_required().is_some() {
        let text = format!("{} leads, although its build is too old for its log", status.id);
        observer.fail(S31.violation_at(text, now));
    }
}

/// Checks that a leader has appended the raise to `version` only if every member has had a build
/// with that version (S31).
pub(crate) fn check_raise(
    cluster: &Cluster,
    place: Place,
    version: u32,
    now: SimTime,
    observer: &mut Observer,
) {
    let Some(running) = cluster[place].running() else { return };
    let raft = running.node.raft();
    let last = raft.log().in_memory(raft.log().last().index);
    let raised = last.and_then(|entry| match &entry.payload {
        Payload::Command(command) => Request::raised_version(command),
        Payload::Noop | Payload::Membership(_) => None,
    });
    let is_new = version > running.worker.machine().version().user;
    if !is_new || raised.is_none_or(|raised| raised.user != version) {
        return;
    }
    let lacks = |place: &Place| cluster[*place].builds.highest < version;
    let members = raft.membership().ids().filter_map(|id| cluster.place(id));
    if let Some(old) = members.into_iter().find(lacks) {
        let (leader, node) = (place.id(), old.id());
        let text = format!(
            "{leader} appends the raise to version {version}, which no build of {node} has had"
        );
        observer.fail(S31.violation_at(text, now));
    }
}
