//! The `status` subcommand: the coordinator, its followers, suspended nodes, and nodes that may
//! answer reads locally.

use std::fmt::Write as _;
use std::time::Duration;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::{Member, Membership, PendingTransition};

use crate::common::cluster_status;
use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandResult, Exit};

/// The time limit for the report of one node.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Prints one line for each member. The exit code is 0 if there is a coordinator, and all members
/// are active voters and answer.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub(super) fn show(connection: &ClusterConnection) -> CommandResult {
    let report = cluster_status::report(connection)?;
    let mut all_well = report.status.role == RoleName::Leader;
    // The casting vote decides an even split once its membership change is complete.
    let agreed = Some(&report.membership).filter(|membership| membership.is_settled());
    let casting = agreed.and_then(|membership| membership.incoming().casting());
    let mut text = String::new();
    let client = connection.client.with_deadline(ANSWER_MAX);
    for member in report.membership.members() {
        let address = member.address.as_str();
        let member_report = client.report(address).ok();
        all_well &= member_report.is_some() && report.membership.is_voter(member.id);
        let description = describe(&report.membership, member, member_report.as_ref());
        let casting = if casting == Some(member.id) { ", the casting vote" } else { "" };
        let _ = writeln!(text, "{} {address} {description}{casting}", member.id);
    }
    print!("{text}");
    Ok(if all_well { Exit::Success } else { Exit::Rejected })
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
