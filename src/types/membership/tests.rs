//! Tests of membership changes, and of the unique encoding of memberships.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{
    Address, Change, ChangeError, Incarnation, Lineage, Member, Membership, PendingTransition,
    Voters,
};
use crate::types::id::{EntryId, Index, NodeId, Term};

fn ids(ids: &[u64]) -> impl Iterator<Item = NodeId> {
    ids.iter().copied().map(NodeId)
}

fn of(voters: &[u64]) -> Membership {
    Membership::new(ids(voters))
}

fn changed(membership: &Membership, change: Change) -> Membership {
    membership.changed(&change).unwrap_or_else(|error| panic!("{membership} {change}: {error}"))
}

fn rejected(membership: &Membership, change: Change) -> ChangeError {
    membership.changed(&change).expect_err("the change is invalid")
}

fn pending(membership: &Membership, id: u64) -> Option<PendingTransition> {
    membership.member(NodeId(id)).map(|member| member.pending)
}

fn address(text: &str) -> Address {
    Address::new(text).expect("the address is short")
}

#[test]
fn a_change_of_voters_is_staged_then_joint_then_complete() {
    let before = of(&[1, 2, 3]);
    let staged = changed(&before, Change::new().voter(NodeId(4)).remove(NodeId(3)));
    assert_eq!(staged.to_string(), "{n1 n2 n3} target {n1 n2 n4} learners {n4}");
    assert_eq!(
        (pending(&staged, 3), pending(&staged, 4)),
        (Some(PendingTransition::Remove), Some(PendingTransition::None))
    );
    let joint = staged.enter_joint(None);
    assert_eq!(joint.to_string(), "{n1 n2 n4} from {n1 n2 n3}");
    assert!(joint.is_joint() && !joint.is_staged() && joint.is_voter(NodeId(3)));
    assert_eq!(joint.leave_joint(), of(&[1, 2, 4]));
}

#[test]
fn a_change_that_keeps_the_voters_completes_at_once() {
    let before = of(&[1, 2]).with_learners(ids(&[5]));
    let change = Change::new()
        .learner(NodeId(7))
        .remove(NodeId(5))
        .priority(NodeId(1), 200)
        .address(NodeId(2), address("two:2"))
        .incarnation(NodeId(2), Incarnation(9));
    let after = changed(&before, change);
    assert!(after.is_settled());
    assert_eq!(after.to_string(), "{n1 n2} learners {n7}");
    assert_eq!((after.priority(NodeId(1)), after.priority(NodeId(5))), (200, 0));
    let two = after.member(NodeId(2)).expect("it is still a member");
    assert_eq!((two.address.as_str(), two.incarnation), ("two:2", Incarnation(9)));
    assert_eq!(changed(&before, Change::new()), before, "the change is empty");
    assert_eq!(changed(&before, Change::new().voter(NodeId(1))), before, "it is a voter already");
}

#[test]
fn a_voter_is_demoted_removed_or_suspended() {
    let before = of(&[1, 2, 3, 4]);
    let change = Change::new().learner(NodeId(2)).remove(NodeId(3)).suspend(NodeId(4));
    let staged = changed(&before, change);
    let transitions = [2, 3, 4].map(|id| pending(&staged, id));
    assert_eq!(
        transitions,
        [PendingTransition::None, PendingTransition::Remove, PendingTransition::Promote].map(Some)
    );
    let after = staged.enter_joint(None).leave_joint();
    assert_eq!(after.to_string(), "{n1} learners {n2 n4}");
    let back = changed(&after, Change::new().voter(NodeId(4)));
    assert_eq!(pending(&back, 4), Some(PendingTransition::None));
    assert_eq!(back.enter_joint(None).leave_joint().to_string(), "{n1 n4} learners {n2}");
}

#[test]
fn cancelling_a_change_keeps_voters_and_learners() {
    let before = of(&[1, 2, 3]);
    let change = Change::new().remove(NodeId(2)).suspend(NodeId(3)).voter(NodeId(4));
    let cancelled = changed(&before, change).cancelled();
    assert_eq!(cancelled, before.with_learners(ids(&[4])));
}

#[test]
fn the_casting_vote_is_set_kept_taken_over_and_removed() {
    let holder = |membership: &Membership| membership.incoming().casting();
    let even = of(&[1, 2]);
    let given = changed(&even, Change::new().casting(Some(NodeId(2)))).enter_joint(None);
    assert_eq!(given.to_string(), "{n1 n2*} from {n1 n2}");
    let given = given.leave_joint();
    assert_eq!(holder(&given), Some(NodeId(2)));
    let grown = changed(&given, Change::new().voter(NodeId(3)));
    assert_eq!(grown.target().casting(), Some(NodeId(2)), "it is kept");
    let four = Change::new().voter(NodeId(3)).voter(NodeId(4));
    let taken = changed(&given, four).enter_joint(Some(NodeId(1)));
    assert_eq!(holder(&taken), Some(NodeId(1)), "the leader takes it over");
    assert_eq!(
        holder(&grown.enter_joint(Some(NodeId(1)))),
        Some(NodeId(2)),
        "an odd set does not need it"
    );
    let lost = changed(&given, Change::new().remove(NodeId(2)).voter(NodeId(3)));
    assert_eq!(holder(&lost.enter_joint(None)), None, "the holder leaves");
    assert_eq!(holder(&lost.enter_joint(Some(NodeId(2)))), None, "and cannot take it");
    let kept = changed(&given, Change::new().casting(None)).enter_joint(Some(NodeId(2)));
    assert_eq!(kept, given, "the holder keeps it");
    let none = changed(&given, Change::new().casting(None)).enter_joint(None);
    assert_eq!(none.to_string(), "{n1 n2} from {n1 n2*}");
}

#[test]
fn invalid_changes_are_rejected() {
    use ChangeError::*;
    let two = of(&[1, 2]);
    let twice = Change::new().voter(NodeId(3)).remove(NodeId(3));
    assert_eq!(rejected(&two, twice), ConflictingRoles(NodeId(3)));
    let all = Change::new().remove(NodeId(1)).suspend(NodeId(2));
    assert_eq!(rejected(&two, all), NoVoters);
    assert_eq!(rejected(&two, Change::new().voter(NodeId(0))), IdIsZero);
    for change in [
        Change::new().remove(NodeId(9)),
        Change::new().suspend(NodeId(9)),
        Change::new().priority(NodeId(9), 1),
        Change::new().address(NodeId(9), address("nine")),
        Change::new().incarnation(NodeId(9), Incarnation(1)),
    ] {
        assert_eq!(rejected(&two, change), NotMember(NodeId(9)));
    }
    let no_member = Change::new().casting(Some(NodeId(3)));
    assert_eq!(rejected(&two, no_member), CastingWithoutVote(NodeId(3)));
    let leaving = Change::new().casting(Some(NodeId(2))).remove(NodeId(2));
    assert_eq!(rejected(&two, leaving), CastingWithoutVote(NodeId(2)));
    let most = Membership::VOTERS_MAX as u64;
    let many = (1..=most).fold(Change::new(), |change, id| change.voter(NodeId(id)));
    assert_eq!(changed(&two, many.clone()).target().len() as u64, most);
    assert_eq!(rejected(&two, many.voter(NodeId(most + 1))), TooManyVoters);
    let long = (3..=15).fold(Change::new(), |change, id| {
        change.learner(NodeId(id)).address(NodeId(id), address(&"x".repeat(Address::BYTES_MAX)))
    });
    assert_eq!(rejected(&two, long), TooLarge);
}

#[test]
#[should_panic(expected = "contract: one change at a time")]
fn a_change_does_not_start_during_another() {
    let staged = changed(&of(&[1]), Change::new().voter(NodeId(2)));
    let _ = staged.changed(&Change::new());
}

#[test]
fn the_length_of_an_address_is_bounded() {
    assert!(Address::new(&"x".repeat(Address::BYTES_MAX)).is_some());
    assert!(Address::new(&"x".repeat(Address::BYTES_MAX + 1)).is_none());
}

#[test]
fn an_address_with_spaces_or_control_characters_is_rejected_and_escaped() {
    let two = of(&[1, 2]);
    for text in ["a b:1", "a:1\n", "\u{1b}[2J", "a\u{85}", "a\u{2028}b", "\0"] {
        let change = Change::new().address(NodeId(2), address(text));
        assert_eq!(rejected(&two, change), ChangeError::InvalidAddress(NodeId(2)), "{text:?}");
        let printed = address(text).to_string();
        assert!(!printed.contains(char::is_control), "{printed:?}");
        // The log of an earlier build may have it.
        let member = Member { address: address(text), ..Member::new(NodeId(2)) };
        let old = two.clone().with_member(member);
        assert_eq!(Membership::decode(&old.encode()), Some(old.clone()));
        let same = Change::new().address(NodeId(2), address(text)).priority(NodeId(2), 1);
        assert_eq!(changed(&old, same).member(NodeId(2)).map(|member| member.priority), Some(1));
    }
    assert_eq!(address("node-2.example:7100").to_string(), "node-2.example:7100");
    assert_eq!(address("[::1]:7100").to_string(), "[::1]:7100");
}

#[test]
fn an_invalid_membership_names_its_violation_and_does_not_decode() {
    let with = |membership: Membership, id: u64, pending: PendingTransition| {
        membership.with_member(Member { pending, ..Member::new(NodeId(id)) })
    };
    let staged = changed(&of(&[1, 2]), Change::new().voter(NodeId(3)));
    let joint = staged.enter_joint(None);
    let conflict = |id: u64| Some(ChangeError::ConflictingRoles(NodeId(id)));
    for (membership, violation) in [
        (with(of(&[1, 2]).with_learners(ids(&[3])), 3, PendingTransition::Promote), None),
        (with(of(&[1, 2]), 2, PendingTransition::Promote), conflict(2)),
        (with(of(&[1, 2]), 2, PendingTransition::Remove), conflict(2)),
        (with(of(&[1, 2]).with_learners(ids(&[3])), 3, PendingTransition::Remove), conflict(3)),
        (with(staged.clone(), 2, PendingTransition::Remove), conflict(2)),
        (with(staged.clone(), 3, PendingTransition::Remove), conflict(3)),
        (with(staged.clone(), 3, PendingTransition::Promote), conflict(3)),
        (with(joint.clone(), 3, PendingTransition::Promote), conflict(3)),
        (with(of(&[2]).joint_with(ids(&[1])), 1, PendingTransition::Remove), None),
        (with(of(&[2]).joint_with(ids(&[1])), 1, PendingTransition::Promote), None),
        (with(of(&[2]).joint_with(ids(&[1])), 2, PendingTransition::Remove), conflict(2)),
        (staged.joint_with(ids(&[2])), conflict(1)),
        (of(&[0, 1]), Some(ChangeError::IdIsZero)),
        (of(&(1..=65).collect::<Vec<_>>()), Some(ChangeError::TooManyVoters)),
        (of(&[1]).with_learners((2..=132).map(NodeId)), None),
        (of(&[1]).with_learners((2..=133).map(NodeId)), Some(ChangeError::TooLarge)),
    ] {
        assert_eq!(membership.violation(), violation, "{membership}");
        let read = Membership::decode(&membership.encode());
        assert_eq!(read, violation.is_none().then_some(membership.clone()), "{membership}");
    }
}

#[test]
fn the_encoding_is_that_of_the_format_document() {
    let membership = changed(
        &of(&[1, 2]).with_casting(NodeId(2)),
        Change::new().remove(NodeId(2)).voter(NodeId(0x0304)).priority(NodeId(1), 7),
    );
    let membership = membership.with_member(Member {
        incarnation: Incarnation(0x0506),
        address: address("a:1"),
        ..Member::new(NodeId(0x0304))
    });
    let mut expected = vec![3, 0];
    let mut member = |id: [u8; 2], incarnation: [u8; 2], rest: &[u8]| {
        expected.extend([&id[..], &[0; 6], &incarnation[..], &[0; 14], rest].concat());
    };
    member([1, 0], [0, 0], &[0x01 | 0x04, 7, 0]);
    member([2, 0], [0, 0], &[0x01 | 0x08 | 0x40, 100, 0]);
    member([4, 3], [6, 5], b"\x04\x64\x03a:1");
    assert_eq!(membership.encode(), expected);
}

/// Generates changes of members from 1 to 8, most often valid ones.
fn changes() -> impl Strategy<Value = Change> {
    let edit = (0..9_u8, 1..9_u64, any::<u8>(), "[a-zé:0-9]{0,12}");
    vec(edit, 0..5).prop_map(|edits| {
        edits.into_iter().fold(Change::new(), |change, (edit, id, number, text)| {
            let id = NodeId(id);
            match edit {
                0..=2 => change.voter(id),
                3 => change.learner(id),
                4 => change.remove(id),
                5 => change.suspend(id),
                6 => change.casting((number > 64).then_some(id)),
                7 => change.incarnation(id, Incarnation(u128::from(number) << 100)),
                _ if number > 128 => change.priority(id, number),
                _ => change.address(id, address(&text)),
            }
        })
    })
}

/// The step that follows a staged change: cancel it, or enter the joint membership.
#[derive(Clone, Copy, Debug)]
enum Step {
    Cancel,
    EnterJoint(Option<NodeId>),
}

/// The first voters, and changes with the step that follows each.
#[derive(Clone, Debug)]
struct ChangeSequence {
    first: BTreeSet<u64>,
    changes: Vec<(Change, Step)>,
}

fn sequences() -> impl Strategy<Value = ChangeSequence> {
    let casting = proptest::option::of((1..9_u64).prop_map(NodeId));
    let step = prop_oneof![1 => Just(Step::Cancel), 4 => casting.prop_map(Step::EnterJoint)];
    let parts = (btree_set(1..9_u64, 1..5), vec((changes(), step), 0..6));
    parts.prop_map(|(first, changes)| ChangeSequence { first, changes })
}

/// The model of a membership: true for a voter, false for a learner.
type Roles = BTreeMap<NodeId, bool>;

fn roles(membership: &Membership) -> Roles {
    membership.ids().map(|id| (id, membership.incoming().contains(&id))).collect()
}

/// Returns the roles that a change requests, parsed from its text.
fn requested(before: &Roles, change: &Change) -> Roles {
    let mut roles = before.clone();
    let text = change.to_string();
    for edit in text.split(' ') {
        let mut chars = edit.chars();
        let sign = chars.next();
        let id = chars.as_str().strip_prefix('n').and_then(|id| id.parse().ok()).map(NodeId);
        match (sign, id) {
            (Some('+'), Some(id)) => drop(roles.insert(id, true)),
            (Some('?' | '~'), Some(id)) => drop(roles.insert(id, false)),
            (Some('-'), Some(id)) => drop(roles.remove(&id)),
            _ => {}
        }
    }
    roles
}

impl ChangeSequence {
    /// Returns every membership of the sequence, and checks each step against the model.
    fn memberships(&self) -> Vec<Membership> {
        let mut all = vec![Membership::new(self.first.iter().copied().map(NodeId))];
        for (change, step) in &self.changes {
            let now = all.last().expect("the first is always there").clone();
            let before = roles(&now);
            let Ok(staged) = now.changed(change) else { continue };
            all.push(staged.clone());
            if staged.is_settled() {
                assert_eq!(roles(&staged), requested(&before, change));
                continue;
            }
            assert_eq!(staged.incoming(), now.incoming(), "the deciding voters stay");
            let Step::EnterJoint(casting) = step else {
                let cancelled = staged.cancelled();
                assert_eq!(cancelled.incoming(), now.incoming());
                assert!(cancelled.is_settled());
                all.push(cancelled);
                continue;
            };
            let joint = staged.enter_joint(*casting);
            if !joint.is_joint() {
                assert_eq!(
                    joint.incoming(),
                    now.incoming(),
                    "an unchanged casting vote is not a change"
                );
                all.push(joint);
                continue;
            }
            assert_eq!(joint.outgoing(), now.incoming());
            assert_eq!(joint.incoming()[..], staged.target()[..]);
            all.extend([joint.clone(), joint.leave_joint()]);
            assert_eq!(roles(&joint.leave_joint()), requested(&before, change), "{now} {change}");
            assert!(joint.leave_joint().is_settled());
        }
        all
    }
}

#[test]
fn lineages_distinguish_independent_survivors() {
    let began =
        |by: u64, index: u64| Lineage { by: NodeId(by), at: EntryId::new(Term(2), Index(index)) };
    let all = of(&[1, 2, 3]);
    let first = all.without_voters(|id| id == NodeId(1)).with_lineage(began(2, 5));
    let second = first.without_voters(|id| id == NodeId(2)).with_lineage(began(3, 9));
    let other = all.without_voters(|id| id == NodeId(2)).with_lineage(began(1, 5));
    for (later, earlier) in [(&all, &all), (&first, &all), (&second, &first), (&second, &all)] {
        assert!(later.descends_from(earlier), "{later} from {earlier}");
    }
    for (one, another) in [(&all, &first), (&first, &second), (&first, &other), (&other, &second)] {
        assert!(!one.descends_from(another), "{one} from {another}");
    }
    // A returning voter does not change the lineages.
    let back = changed(&second, Change::new().voter(NodeId(2)));
    assert!(back.enter_joint(None).leave_joint().descends_from(&second));
    for membership in [&first, &second, &back] {
        assert_eq!(Membership::decode(&membership.encode()).as_ref(), Some(membership));
    }
}

#[test]
fn a_silent_voter_may_return_with_another_disk() {
    let named = |id| Change::new().incarnation(NodeId(id), Incarnation(9));
    let all = changed(&changed(&of(&[1, 2, 3]), named(1)), named(2));
    let left = all.without_voters(|id| id == NodeId(1));
    let accepts = |id, incarnation| {
        let member = left.member(NodeId(id)).expect("it stays a member");
        member.accepts_incarnation(Incarnation(incarnation))
    };
    assert!(accepts(1, 8) && accepts(1, 9), "it has no vote");
    assert!(!accepts(2, 8) && accepts(2, 9));
}

#[test]
fn the_oldest_lineages_are_dropped() {
    let at = |index: u64| EntryId::new(Term(1), Index(index));
    let begin = |it: Membership, index| it.with_lineage(Lineage { by: NodeId(1), at: at(index) });
    let many = (1..=20).fold(of(&[1]), begin);
    let indices: Vec<u64> = many.lineages().iter().map(|lineage| lineage.at.index.0).collect();
    assert_eq!(indices, (5..=20).collect::<Vec<u64>>());
    assert_eq!(Membership::decode(&many.encode()), Some(many));

    // Members take precedence: lineages that do not fit together with them are dropped.
    let most = Membership::MEMBERS_MAX as u64;
    let largest = of(&[1]).with_learners((2..=most).map(NodeId));
    let room = Membership::BYTES_MAX - largest.bytes();
    let kept = (1..=20).fold(largest, begin);
    assert_eq!((kept.lineages().len(), kept.violation()), (room / 24, None));
}

#[test]
fn more_lineages_than_the_maximum_do_not_decode() {
    let lineage = Lineage { by: NodeId(1), at: EntryId::ZERO };
    let mut bytes = of(&[1]).with_lineage(lineage).encode();
    let single = bytes[bytes.len() - 24..].to_vec();
    for count in 2..=17 {
        bytes[1] = count;
        bytes.extend(&single);
        assert_eq!(Membership::decode(&bytes).is_some(), count <= 16, "{count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_membership_of_a_change_round_trips(sequence in sequences()) {
        for membership in sequence.memberships() {
            prop_assert_eq!(membership.violation(), None, "{}", membership);
            let bytes = membership.encode();
            prop_assert_eq!(bytes.len(), membership.bytes());
            for length in 0..bytes.len() {
                prop_assert_eq!(Membership::decode(&bytes[..length]), None, "cut to {}", length);
            }
            prop_assert_eq!(Membership::decode(&[&bytes[..], &[0]].concat()), None);
            prop_assert_eq!(Membership::decode(&bytes), Some(membership));
        }
    }

    #[test]
    fn changed_bytes_fail_to_decode_or_round_trip(
        sequence in sequences(),
        which: prop::sample::Index,
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = which.get(&sequence.memberships()).encode();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(read) = Membership::decode(&bytes) {
            prop_assert_eq!(read.violation(), None);
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn every_bit_of_the_roles_is_decoded(roles in vec(any::<u8>(), 1..6)) {
        let mut bytes = (roles.len() as u16).to_le_bytes().to_vec();
        for (id, roles) in (1_u64..).zip(&roles) {
            bytes.extend(id.to_le_bytes());
            bytes.extend([0; 16]);
            bytes.extend([*roles, 100, 0]);
        }
        if let Some(read) = Membership::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
            let sets = [read.incoming(), read.outgoing(), read.target()];
            let held = |voters: &&Voters| voters.casting().is_some();
            prop_assert_eq!(
                roles.iter().map(|roles| (roles & 0x38).count_ones()).sum::<u32>(),
                sets.iter().copied().filter(held).count() as u32
            );
        }
    }
}
