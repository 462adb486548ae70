//! The `status` subcommand: role and state of every member, as far as the answering node knows, and
//! whether the states of the nodes agree.

use std::fmt::Write as _;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::StateVerification;

use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandError, CommandResult, Exit};

/// Prints one line for each member of the cluster. The exit code is 0 if there is a leader, all
/// members answer and no state differs.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub fn print_status(connection: &ClusterConnection) -> CommandResult {
    let report = report(connection)?;
    let mut all_well = report.status.role == RoleName::Leader;
    // The casting vote decides an even split once its membership change is complete.
    let agreed = Some(&report.membership).filter(|membership| membership.is_settled());
    let casting = agreed.and_then(|membership| membership.incoming().casting());
    let mut text = String::new();
    for member in report.membership.members() {
        let address = member.address.as_str();
        let member_report =
            connection.client.with_deadline(std::time::Duration::from_secs(1)).report(address);
        all_well &= member_report.as_ref().is_ok_and(is_consistent);
        let state = member_report.map_or_else(silent, |member_report| node_state(&member_report));
        let casting = if casting == Some(member.id) { ", the casting vote" } else { "" };
        let _ = writeln!(text, "{} {address} {state}{casting}", member.id);
    }
    print!("{text}");
    Ok(if all_well { Exit::Success } else { Exit::Rejected })
}

/// Returns the report of the leader, or of another node that answers.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub fn report(connection: &ClusterConnection) -> Result<Report, CommandError> {
    let report = connection.client.report_of_leader()?;
    connection.remember();
    if report.membership.is_empty() {
        let text = "the cluster is not bootstrapped yet: start all nodes, and retry";
        return Err(CommandError::new(Exit::Unavailable, text));
    }
    Ok(report)
}

fn silent(_: impl Sized) -> String {
    "does not answer".to_owned()
}

fn node_state(report: &Report) -> String {
    let status = &report.status;
    let role = match status.role {
        RoleName::Leader => "leader",
        RoleName::Follower => "follower",
        _ => "candidate",
    };
    let state = verification_text(report.verification, report.comparisons.consistent);
    format!("{role}, term {}, applied {}, {state}", status.term.0, status.applied.0)
}

/// Returns true unless the node is quarantined, or states differ without a majority.
fn is_consistent(report: &Report) -> bool {
    matches!(report.verification, StateVerification::Unverified | StateVerification::Consistent)
}

/// Describes the result of the comparisons with other nodes.
fn verification_text(verification: StateVerification, agreed: u64) -> String {
    match verification {
        StateVerification::Consistent if agreed > 0 => {
            format!("state agrees ({agreed} comparisons)")
        }
        StateVerification::Unverified | StateVerification::Consistent => {
            "state not verified yet".to_owned()
        }
        StateVerification::Quarantined => {
            "state DIVERGED: quarantined, waits for a snapshot".to_owned()
        }
        StateVerification::NoMajority => "states DIFFER without a majority".to_owned(),
    }
}
