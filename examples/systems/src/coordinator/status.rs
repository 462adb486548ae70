//! Who coordinates, who is a child, who was removed, and who may answer reads by itself.

use std::fmt::Write as _;
use std::time::Duration;

use quorate::raft::RoleName;
use quorate::runtime::Report;
use quorate::types::{Fate, Member, Membership};

use crate::common::exit::{Done, Exit};
use crate::common::reach::Reach;
use crate::common::show;

/// How long one node is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Prints one line for each member. All is well if one leads, and all are in the set and answer.
///
/// # Errors
/// No node answers, or there is no cluster yet.
pub(super) fn show(reach: &Reach) -> Done {
    let report = show::report(reach)?;
    let mut all_well = report.status.role == RoleName::Leader;
    // Once all have agreed to that, its side goes on in a split down the middle.
    let agreed = Some(&report.membership).filter(|membership| membership.is_settled());
    let casting = agreed.and_then(|membership| membership.incoming().casting());
    let mut text = String::new();
    let client = reach.client.with_deadline(ANSWER_MAX);
    for member in report.membership.members() {
        let address = member.address.as_str();
        let told = client.report(address).ok();
        all_well &= told.is_some() && report.membership.is_voter(member.id);
        let words = words(&report.membership, member, told.as_ref());
        let casting = if casting == Some(member.id) { ", the casting vote" } else { "" };
        let _ = writeln!(text, "{} {address} {words}{casting}", member.id);
    }
    print!("{text}");
    Ok(if all_well { Exit::Done } else { Exit::No })
}

/// What is known of a member that has told of itself, or has not.
fn words(membership: &Membership, member: &Member, told: Option<&Report>) -> String {
    let place = match (membership.is_voter(member.id), member.fate) {
        (true, _) => "",
        (false, Fate::Returns) => "removed, ",
        (false, _) => "joins, ",
    };
    let Some(Report { status, lease, .. }) = told else {
        return format!("{place}does not answer");
    };
    let does = match status.role {
        RoleName::Leader => "leads as coordinator",
        RoleName::Follower if status.leader.is_some() => "follows as child",
        _ => "looks for a coordinator",
    };
    let reads = match lease.is_zero() {
        true => "asks before it answers",
        false => "answers by itself",
    };
    format!("{place}{does}, {reads}, term {}, applied {}", status.term.0, status.applied.0)
}
