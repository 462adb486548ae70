//! What can be said of one log, and of two, by looking at their entries alone.

use quorate::types::{Entry, Membership};

use crate::quorum;

/// Where a log and another contradict log matching (Raft §5.3): an entry with the same index and
/// term stands in both, and not everything up to it is the same.
pub(crate) fn matching(one: &[Entry], other: &[Entry]) -> Result<(), String> {
    let same_id = |place: &usize| one[*place].id == other[*place].id;
    let Some(last) = (0..one.len().min(other.len())).rev().find(same_id) else { return Ok(()) };
    match (0..=last).find(|place| one[*place] != other[*place]) {
        None => Ok(()),
        Some(place) => {
            let (id, one, other) = (one[last].id, &one[place], &other[place]);
            Err(format!("log matching: both have {id}, but one {one:?} where the other {other:?}"))
        }
    }
}

/// Whether every change in the log is a step that is allowed: no two quorums, one before and one
/// after it, are without a common node, and voters change only through a joint membership. Where
/// survivors go on, the dead lose their votes at any time.
pub(crate) fn steps(first: &Membership, log: &[Entry], survives: bool) -> Result<(), String> {
    let mut before = first.clone();
    for (index, after) in log.iter().filter_map(Entry::membership) {
        if survives && is_left_of(&before, &after) {
            before = after;
            continue;
        }
        if !quorum::always_meet(&before, &after) {
            return Err(format!(
                "membership at {index}: a quorum of {before} and one of {after} are disjoint"
            ));
        }
        let enters = after.is_joint() && after.outgoing() == before.incoming();
        let stays = !after.is_joint() && after.incoming() == before.incoming();
        if before.is_joint() && !stays || !before.is_joint() && !enters && !stays {
            return Err(format!("membership at {index}: no step leads from {before} to {after}"));
        }
        before = after;
    }
    Ok(())
}

/// Whether some of the voters are left and nobody else decides.
fn is_left_of(before: &Membership, after: &Membership) -> bool {
    let count = |membership: &Membership| membership.voters().count();
    let stays = after.voters().all(|id| before.is_voter(id));
    stays && count(after) > 0 && count(after) < count(before)
}

/// The membership in force: the last in the log, committed or not (Raft §6).
pub(crate) fn in_force(first: &Membership, log: &[Entry]) -> Membership {
    log.iter().rev().find_map(Entry::membership).map_or_else(|| first.clone(), |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::types::{EntryId, Index, NodeId, Payload, Term};

    fn entry(term: u64, index: u64, payload: Payload) -> Entry {
        Entry { id: EntryId::new(Term(term), Index(index)), payload }
    }

    #[test]
    fn an_entry_in_both_logs_with_another_before_it_is_noticed() {
        let noop = |term, index| entry(term, index, Payload::Noop);
        assert!(matching(&[noop(1, 1), noop(1, 2)], &[noop(1, 1), noop(2, 2)]).is_ok());
        assert!(matching(&[noop(1, 1), noop(3, 2)], &[noop(2, 1), noop(3, 2)]).is_err());
        let other = entry(1, 1, Payload::Command("x".into()));
        assert!(matching(&[noop(1, 1)], &[other]).is_err());
    }

    #[test]
    fn a_change_without_a_joint_membership_is_noticed() {
        let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
        let log = |steps: &[Membership]| -> Vec<Entry> {
            let indices = 1..;
            let entries = steps.iter().zip(indices);
            entries.map(|(step, i)| entry(1, i, Payload::Membership(step.clone()))).collect()
        };
        let (three, two) = (of(&[1, 2, 3]), of(&[1, 2]));
        let joint = two.clone().joint_with([1, 2, 3].map(NodeId));
        let steps = |before, after: &[Membership]| steps(before, &log(after), false);
        assert!(steps(&three, &[joint.clone(), two.clone()]).is_ok());
        assert!(steps(&three, core::slice::from_ref(&two)).is_err(), "in one step");
        assert!(steps(&three, &[joint, three.clone()]).is_err(), "back out of it");
        assert_eq!(in_force(&three, &log(core::slice::from_ref(&two))), two);
    }

    #[test]
    fn the_dead_lose_their_votes_in_one_step_and_nobody_wins_one() {
        let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
        let steps = |before: &[u64], after: &[u64]| {
            steps(&of(before), &[entry(1, 1, Payload::Membership(of(after)))], true)
        };
        assert!(steps(&[1, 2, 3], &[1]).is_ok());
        assert!(steps(&[1], &[1, 2]).is_err());
        assert!(steps(&[1, 2, 3], &[4]).is_err());
    }
}
