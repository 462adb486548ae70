//! The `status` subcommand: the coordinator, its followers, suspended nodes, and nodes that may
//! answer reads locally.

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::{Member, Membership, PendingTransition};

use crate::common::cluster_status;
use crate::common::connection::ClusterConnection;
use crate::common::exit::CommandResult;

/// Prints one line for each member. The exit code is 0 if there is a coordinator, and all members
/// are active voters and answer.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub(super) fn show(connection: &ClusterConnection) -> CommandResult {
    cluster_status::print_members(connection, |membership, member, report| {
        let is_well = report.is_some() && membership.is_voter(member.id);
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
    let Some(Report { status, lease, .. }) = member_report else {
        return format!("{membership_state}does not answer");
    };
    let role = match status.role {
        RoleName::Leader => "leader",
        RoleName::Follower if status.leader.is_some() => "follower",
        _ => "no leader known",
    };
    let reads = match lease.is_zero() {
        true => "forwards reads",
        false => "answers reads locally",
    };
    format!(
        "{membership_state}{role}, {reads}, term {}, applied {}",
        status.term.0, status.applied.0
    )
}
