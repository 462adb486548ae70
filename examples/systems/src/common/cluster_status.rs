//! The `status` subcommand: the role and the state that each member reports, and whether the states
//! of the members agree.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::{Member, Membership, StateVerification};
use serde_json::json;

use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandError, CommandResult, Exit};

/// The time limit for the report of one member.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Prints one line for each member of the cluster. The exit code is 0 if there is a leader, all
/// members answer, no state differs, and no build is too old for the log.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub fn print_status(connection: &ClusterConnection) -> CommandResult {
    print_members(connection, |_, _, report| match report {
        Some(report) => (is_usable(report.verification), node_state(report)),
        None => (false, "does not answer".to_owned()),
    })
}

/// Prints one line for each member of the cluster. `describe` returns whether the member is
/// healthy, and its state in words. The exit code is 0 if there is a leader and all members are
/// healthy.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
pub fn print_members(
    connection: &ClusterConnection,
    describe: impl Fn(&Membership, &Member, Option<&Report>) -> (bool, String),
) -> CommandResult {
    let report = report(connection)?;
    let mut all_well = report.status.role == RoleName::Leader;
    // The casting vote decides an even split once its membership change is complete.
    let settled = Some(&report.membership).filter(|membership| membership.is_settled());
    let casting = settled.and_then(|membership| membership.incoming().casting());
    let client = connection.client.with_deadline(ANSWER_MAX.min(connection.deadline));
    for member in report.membership.members() {
        let address = member.address.as_str();
        let member_report = client.report(address).ok();
        let (is_well, state) = describe(&report.membership, member, member_report.as_ref());
        all_well &= is_well;
        let has_casting_vote = casting == Some(member.id);
        let casting = if has_casting_vote { ", the casting vote" } else { "" };
        let status = member_report.map(|report| report.status);
        let object = json!({
            "node": member.id.0,
            "address": address,
            "is_well": is_well,
            "role": status.as_ref().map(|status| status.role.to_string()),
            "term": status.as_ref().map(|status| status.term.0),
            "applied": status.as_ref().map(|status| status.applied.0),
            "has_casting_vote": has_casting_vote,
            "state": state,
        });
        connection
            .output
            .print(format_args!("{} {address} {state}{casting}", member.id), object)?;
    }
    Ok(if all_well { Exit::Success } else { Exit::Rejected })
}

/// Returns the report of the leader, or of another node that answers.
///
/// # Errors
/// No node answers, or the cluster is not bootstrapped yet.
fn report(connection: &ClusterConnection) -> CommandResult<Report> {
    let answer_max = ANSWER_MAX.min(connection.deadline);
    let of_leader = connection.client.with_deadline(answer_max).report_of_leader();
    let report = of_leader.or_else(|_| connection.client.report_of_any())?;
    connection.remember();
    if report.membership.is_empty() {
        let text = "the cluster is not bootstrapped yet: start all nodes, and retry";
        return Err(CommandError::new(Exit::Unavailable, text));
    }
    Ok(report)
}

fn node_state(report: &Report) -> String {
    let status = &report.status;
    let role = match status.role {
        RoleName::Leader => "leader",
        RoleName::Follower => "follower",
        // A candidate asks for votes; a pre-candidate asks whether the voters would grant them.
        RoleName::Candidate | RoleName::PreCandidate => "candidate, waits for a majority",
    };
    let state = verification_text(report);
    format!("{role}, term {}, applied {}{state}", status.term.0, status.applied.0)
}

/// Returns true unless the node is quarantined, states differ without a majority, or its build is
/// too old. A node whose state is not usable rejects reads.
pub(crate) fn is_usable(verification: StateVerification) -> bool {
    matches!(verification, StateVerification::Unverified | StateVerification::Consistent)
}

/// Describes the result of the comparisons with other nodes, empty if there were none; or says that
/// the build is too old for the log.
pub(crate) fn verification_text(report: &Report) -> String {
    let agreed = report.comparisons.consistent;
    match report.verification {
        StateVerification::Consistent if agreed > 0 => {
            format!(", state agrees ({agreed} comparisons)")
        }
        StateVerification::Unverified | StateVerification::Consistent => String::new(),
        StateVerification::Quarantined => {
            ", state DIVERGED: quarantined, waits for a snapshot".to_owned()
        }
        StateVerification::NoMajority => ", states DIFFER without a majority".to_owned(),
        StateVerification::TooOld => ", build TOO OLD for the log: applies nothing".to_owned(),
    }
}
