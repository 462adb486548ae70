//! Properties of one log, and of two logs, that depend only on their entries.

use quorate::types::{Entry, Membership};

use crate::quorum;

/// Checks log matching (Raft §5.3): if two logs contain an entry with the same index and term, they
/// are equal up to it.
pub(crate) fn check_matching(one: &[Entry], other: &[Entry]) -> Result<(), String> {
    let same_id = |place: &usize| one[*place].id == other[*place].id;
    let Some(last) = (0..one.len().min(other.len())).rev().find(same_id) else { return Ok(()) };
    match (0..=last).find(|place| one[*place] != other[*place]) {
        None => Ok(()),
        Some(place) => {
            let (id, one, other) = (one[last].id, &one[place], &other[place]);
            Err(format!("log matching: both logs have {id}, but {one:?} and {other:?} differ"))
        }
    }
}

/// Checks that every membership change in the log is an allowed step: every quorum before it
/// intersects every quorum after it, and voters change only through a joint membership. With last
/// survivors, dead nodes may lose their votes at any time.
pub(crate) fn check_steps(
    first: &Membership,
    log: &[Entry],
    last_survivor: bool,
) -> Result<(), String> {
    let mut before = first.clone();
    for (index, after) in log.iter().filter_map(Entry::membership) {
        if last_survivor && only_loses_voters(&before, &after) {
            before = after;
            continue;
        }
        if !quorum::quorums_intersect(&before, &after) {
            return Err(format!(
                "membership at {index}: a quorum of {before} and one of {after} are disjoint"
            ));
        }
        let enters = after.is_joint() && after.outgoing() == before.incoming();
        let stays = !after.is_joint() && after.incoming() == before.incoming();
        if before.is_joint() && !stays || !before.is_joint() && !enters && !stays {
            return Err(format!("membership at {index}: {before} may not change to {after}"));
        }
        before = after;
    }
    Ok(())
}

/// Returns true if `after` has some but not all of the voters of `before`, and no others.
fn only_loses_voters(before: &Membership, after: &Membership) -> bool {
    let count = |membership: &Membership| membership.voters().count();
    let stays = after.voters().all(|id| before.is_voter(id));
    stays && count(after) > 0 && count(after) < count(before)
}

/// Returns the active membership: the last in the log, committed or not (Raft §6).
pub(crate) fn active_membership(first: &Membership, log: &[Entry]) -> Membership {
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
    fn logs_that_differ_before_a_common_entry_are_rejected() {
        let noop = |term, index| entry(term, index, Payload::Noop);
        assert!(check_matching(&[noop(1, 1), noop(1, 2)], &[noop(1, 1), noop(2, 2)]).is_ok());
        assert!(check_matching(&[noop(1, 1), noop(3, 2)], &[noop(2, 1), noop(3, 2)]).is_err());
        let other = entry(1, 1, Payload::Command("x".into()));
        assert!(check_matching(&[noop(1, 1)], &[other]).is_err());
    }

    #[test]
    fn a_voter_change_without_a_joint_membership_is_rejected() {
        let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
        let log = |steps: &[Membership]| -> Vec<Entry> {
            let indices = 1..;
            let entries = steps.iter().zip(indices);
            entries.map(|(step, i)| entry(1, i, Payload::Membership(step.clone()))).collect()
        };
        let (three, two) = (of(&[1, 2, 3]), of(&[1, 2]));
        let joint = two.clone().joint_with([1, 2, 3].map(NodeId));
        let steps = |before, after: &[Membership]| check_steps(before, &log(after), false);
        assert!(steps(&three, &[joint.clone(), two.clone()]).is_ok());
        assert!(steps(&three, core::slice::from_ref(&two)).is_err(), "no joint membership");
        assert!(steps(&three, &[joint, three.clone()]).is_err(), "the change is undone");
        assert_eq!(active_membership(&three, &log(core::slice::from_ref(&two))), two);
    }

    #[test]
    fn dead_voters_are_removed_in_one_step_and_none_is_added() {
        let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
        let steps = |before: &[u64], after: &[u64]| {
            check_steps(&of(before), &[entry(1, 1, Payload::Membership(of(after)))], true)
        };
        assert!(steps(&[1, 2, 3], &[1]).is_ok());
        assert!(steps(&[1], &[1, 2]).is_err());
        assert!(steps(&[1, 2, 3], &[4]).is_err());
    }
}
