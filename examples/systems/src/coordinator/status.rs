//! The `status` subcommand: the coordinator, its followers, suspended nodes, and nodes that may
//! answer reads locally.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::{Member, Membership, PendingTransition, StateVerification};

use crate::common::cluster_status::{is_usable, print_members, verification_text};
use crate::common::connection::ClusterConnection;
use crate::common::exit::CommandResult;

/// Prints one line for each member. The exit code is 0 if there is a coordinator, and all members
/// are active voters, answer, and have a usable state.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub(super) fn show(connection: &ClusterConnection) -> CommandResult {
    print_members(connection, |membership, member, report| {
        let is_usable = report.is_some_and(|report| is_usable(report.verification));
        let is_well = is_usable && membership.is_voter(member.id);
        (is_well, describe(membership, member, report))
    })
}

/// Describes a member by its report, or by the membership if it does not answer.
fn describe(membership: &Membership, member: &Member, member_report: Option<&Report>) -> String {
    let membership_state = match (membership.is_voter(member.id), member.pending) {
        (true, _) => "",
        (false, PendingTransition::Promote) => "suspended, ",
        (false, _) => "joining, ",
    };
    let Some(report) = member_report else {
        return format!("{membership_state}does not answer");
    };
    let status = &report.status;
    let role = match status.role {
        RoleName::Leader => "leader",
        RoleName::Follower if status.leader.is_some() => "follower",
        _ => "no leader known",
    };
    let (reads, state) = (reads(report.verification, report.lease), verification_text(report));
    format!(
        "{membership_state}{role}, {reads}, term {}, applied {}{state}",
        status.term.0, status.applied.0
    )
}

/// Describes how a node answers reads, by the verification of its state and the rest of its lease.
fn reads(verification: StateVerification, lease: Duration) -> &'static str {
    match (is_usable(verification), lease.is_zero()) {
        (false, _) => "rejects reads",
        (true, true) => "forwards reads",
        (true, false) => "answers reads locally",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_usable_state_rejects_reads() {
        let lease = Duration::from_millis(100);
        assert_eq!(reads(StateVerification::Consistent, lease), "answers reads locally");
        assert_eq!(reads(StateVerification::Unverified, Duration::ZERO), "forwards reads");
        for unusable in [
            StateVerification::Quarantined,
            StateVerification::NoMajority,
            StateVerification::TooOld,
        ] {
            assert_eq!(reads(unusable, lease), "rejects reads");
            assert_eq!(reads(unusable, Duration::ZERO), "rejects reads");
        }
    }
}
