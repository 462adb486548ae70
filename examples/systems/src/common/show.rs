//! Who leads, who follows and who is silent, as far as one node that answers knows; and whether
//! their states are the same.

use std::fmt::Write as _;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::Standing;

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::Reach;

/// Prints one line for each member of the cluster.
///
/// # Errors
/// No node answers, or there is no cluster yet.
pub fn status(reach: &Reach) -> Done {
    let report = report(reach)?;
    let mut all_well = report.status.role == RoleName::Leader;
    // In a split down the middle its side goes on, from when all have agreed to that.
    let agreed = Some(&report.membership).filter(|membership| membership.is_settled());
    let casting = agreed.and_then(|membership| membership.incoming().casting());
    let mut text = String::new();
    for member in report.membership.members() {
        let address = member.address.as_str();
        let told = reach.client.with_deadline(std::time::Duration::from_secs(1)).report(address);
        all_well &= told.as_ref().is_ok_and(is_right);
        let does = told.map_or_else(silent, |told| does(&told));
        let casting = if casting == Some(member.id) { ", the casting vote" } else { "" };
        let _ = writeln!(text, "{} {address} {does}{casting}", member.id);
    }
    print!("{text}");
    Ok(if all_well { Exit::Done } else { Exit::No })
}

/// What the leader knows, or else some node that answers.
///
/// # Errors
/// No node answers, or there is no cluster yet.
pub fn report(reach: &Reach) -> Result<Report, Trouble> {
    let report = reach.client.report_of_leader()?;
    reach.remember();
    if report.membership.is_nobody() {
        let text = "the nodes have not all met yet: start every one, and ask again";
        return Err(Trouble::new(Exit::Unreached, text));
    }
    Ok(report)
}

fn silent(_: impl Sized) -> String {
    "does not answer".to_owned()
}

fn does(report: &Report) -> String {
    let status = &report.status;
    let does = match status.role {
        RoleName::Leader => "leads",
        RoleName::Follower => "follows",
        _ => "looks for a leader",
    };
    let state = state(report.standing, report.comparisons.agreed);
    format!("{does}, term {}, applied {}, {state}", status.term.0, status.applied.0)
}

/// Nobody has found its state wrong.
fn is_right(report: &Report) -> bool {
    matches!(report.standing, Standing::Unchecked | Standing::Sound)
}

/// What comparisons with other nodes have come to.
fn state(standing: Standing, agreed: u64) -> String {
    match standing {
        Standing::Sound if agreed > 0 => format!("state agrees ({agreed} comparisons)"),
        Standing::Unchecked | Standing::Sound => "state not compared yet".to_owned(),
        Standing::Quarantined => "state WRONG, waits for another's".to_owned(),
        Standing::Divided => "states DIFFER, and nobody knows who is right".to_owned(),
    }
}
