//! What a change makes of a membership, and that each membership has one encoding.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{Address, Change, ChangeError, Fate, Incarnation, Lineage, Member, Membership, Voters};
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

fn refused(membership: &Membership, change: Change) -> ChangeError {
    membership.changed(&change).expect_err("it cannot be changed so")
}

fn fate(membership: &Membership, id: u64) -> Option<Fate> {
    membership.member(NodeId(id)).map(|member| member.fate)
}

fn address(text: &str) -> Address {
    Address::new(text).expect("it is short")
}

#[test]
fn a_change_of_voters_is_staged_then_joint_then_left() {
    let before = of(&[1, 2, 3]);
    let staged = changed(&before, Change::new().voter(NodeId(4)).remove(NodeId(3)));
    assert_eq!(staged.to_string(), "{n1 n2 n3} wanted {n1 n2 n4} learners {n4}");
    assert_eq!((fate(&staged, 3), fate(&staged, 4)), (Some(Fate::Leaves), Some(Fate::Stays)));
    let joint = staged.entered(None);
    assert_eq!(joint.to_string(), "{n1 n2 n4} from {n1 n2 n3}");
    assert!(joint.is_joint() && !joint.is_staged() && joint.is_voter(NodeId(3)));
    assert_eq!(joint.left(), of(&[1, 2, 4]));
}

#[test]
fn what_changes_no_vote_is_complete_at_once() {
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
    let two = after.member(NodeId(2)).expect("it stays");
    assert_eq!((two.address.as_str(), two.incarnation), ("two:2", Incarnation(9)));
    assert_eq!(changed(&before, Change::new()), before, "nothing was to be different");
    assert_eq!(changed(&before, Change::new().voter(NodeId(1))), before, "it votes already");
}

#[test]
fn a_voter_becomes_a_learner_leaves_or_waits_for_its_return() {
    let before = of(&[1, 2, 3, 4]);
    let change = Change::new().learner(NodeId(2)).remove(NodeId(3)).suspend(NodeId(4));
    let staged = changed(&before, change);
    let fates = [2, 3, 4].map(|id| fate(&staged, id));
    assert_eq!(fates, [Fate::Stays, Fate::Leaves, Fate::Returns].map(Some));
    let after = staged.entered(None).left();
    assert_eq!(after.to_string(), "{n1} learners {n2 n4}");
    let back = changed(&after, Change::new().voter(NodeId(4)));
    assert_eq!(fate(&back, 4), Some(Fate::Stays));
    assert_eq!(back.entered(None).left().to_string(), "{n1 n4} learners {n2}");
}

#[test]
fn a_change_given_up_leaves_voters_voters_and_learners_learners() {
    let before = of(&[1, 2, 3]);
    let change = Change::new().remove(NodeId(2)).suspend(NodeId(3)).voter(NodeId(4));
    let given_up = changed(&before, change).given_up();
    assert_eq!(given_up, before.with_learners(ids(&[4])));
}

#[test]
fn the_casting_vote_is_given_kept_taken_over_and_lost() {
    let holder = |membership: &Membership| membership.incoming().casting();
    let even = of(&[1, 2]);
    let given = changed(&even, Change::new().casting(Some(NodeId(2)))).entered(None);
    assert_eq!(given.to_string(), "{n1 n2*} from {n1 n2}");
    let given = given.left();
    assert_eq!(holder(&given), Some(NodeId(2)));
    let grown = changed(&given, Change::new().voter(NodeId(3)));
    assert_eq!(grown.wanted().casting(), Some(NodeId(2)), "it is kept");
    let four = Change::new().voter(NodeId(3)).voter(NodeId(4));
    let taken = changed(&given, four).entered(Some(NodeId(1)));
    assert_eq!(holder(&taken), Some(NodeId(1)), "the leader takes it over");
    assert_eq!(holder(&grown.entered(Some(NodeId(1)))), Some(NodeId(2)), "odd: nobody needs it");
    let lost = changed(&given, Change::new().remove(NodeId(2)).voter(NodeId(3)));
    assert_eq!(holder(&lost.entered(None)), None, "the holder leaves");
    assert_eq!(holder(&lost.entered(Some(NodeId(2)))), None, "and gets nothing");
    let kept = changed(&given, Change::new().casting(None)).entered(Some(NodeId(2)));
    assert_eq!(kept, given, "the one that has it keeps it");
    let nobody = changed(&given, Change::new().casting(None)).entered(None);
    assert_eq!(nobody.to_string(), "{n1 n2} from {n1 n2*}");
}

#[test]
fn what_cannot_be_is_refused() {
    use ChangeError::*;
    let two = of(&[1, 2]);
    let twice = Change::new().voter(NodeId(3)).remove(NodeId(3));
    assert_eq!(refused(&two, twice), Contradiction(NodeId(3)));
    let all = Change::new().remove(NodeId(1)).suspend(NodeId(2));
    assert_eq!(refused(&two, all), NoVoters);
    assert_eq!(refused(&two, Change::new().voter(NodeId(0))), IdIsZero);
    for change in [
        Change::new().remove(NodeId(9)),
        Change::new().suspend(NodeId(9)),
        Change::new().priority(NodeId(9), 1),
        Change::new().address(NodeId(9), address("nine")),
        Change::new().incarnation(NodeId(9), Incarnation(1)),
    ] {
        assert_eq!(refused(&two, change), NotMember(NodeId(9)));
    }
    let stranger = Change::new().casting(Some(NodeId(3)));
    assert_eq!(refused(&two, stranger), CastingWithoutVote(NodeId(3)));
    let leaving = Change::new().casting(Some(NodeId(2))).remove(NodeId(2));
    assert_eq!(refused(&two, leaving), CastingWithoutVote(NodeId(2)));
    let most = Membership::VOTERS_MAX as u64;
    let many = (1..=most).fold(Change::new(), |change, id| change.voter(NodeId(id)));
    assert_eq!(changed(&two, many.clone()).wanted().len() as u64, most);
    assert_eq!(refused(&two, many.voter(NodeId(most + 1))), TooManyVoters);
    let far = (3..=15).fold(Change::new(), |change, id| {
        change.learner(NodeId(id)).address(NodeId(id), address(&"x".repeat(Address::BYTES_MAX)))
    });
    assert_eq!(refused(&two, far), TooLarge);
}

#[test]
#[should_panic(expected = "contract: one change at a time")]
fn one_change_is_not_begun_in_another() {
    let staged = changed(&of(&[1]), Change::new().voter(NodeId(2)));
    let _ = staged.changed(&Change::new());
}

#[test]
fn an_address_has_a_bound() {
    assert!(Address::new(&"x".repeat(Address::BYTES_MAX)).is_some());
    assert!(Address::new(&"x".repeat(Address::BYTES_MAX + 1)).is_none());
}

#[test]
fn a_flaw_is_named_and_what_has_one_is_not_read() {
    let with = |membership: Membership, id: u64, fate: Fate| {
        membership.with_member(Member { fate, ..Member::new(NodeId(id)) })
    };
    let staged = changed(&of(&[1, 2]), Change::new().voter(NodeId(3)));
    let joint = staged.entered(None);
    let contradiction = |id: u64| Some(ChangeError::Contradiction(NodeId(id)));
    for (membership, flaw) in [
        (with(of(&[1, 2]).with_learners(ids(&[3])), 3, Fate::Returns), None),
        (with(of(&[1, 2]), 2, Fate::Returns), contradiction(2)),
        (with(of(&[1, 2]), 2, Fate::Leaves), contradiction(2)),
        (with(of(&[1, 2]).with_learners(ids(&[3])), 3, Fate::Leaves), contradiction(3)),
        (with(staged.clone(), 2, Fate::Leaves), contradiction(2)),
        (with(staged.clone(), 3, Fate::Leaves), contradiction(3)),
        (with(staged.clone(), 3, Fate::Returns), contradiction(3)),
        (with(joint.clone(), 3, Fate::Returns), contradiction(3)),
        (with(of(&[2]).joint_with(ids(&[1])), 1, Fate::Leaves), None),
        (with(of(&[2]).joint_with(ids(&[1])), 1, Fate::Returns), None),
        (with(of(&[2]).joint_with(ids(&[1])), 2, Fate::Leaves), contradiction(2)),
        (staged.joint_with(ids(&[2])), contradiction(1)),
        (of(&[0, 1]), Some(ChangeError::IdIsZero)),
        (of(&(1..=65).collect::<Vec<_>>()), Some(ChangeError::TooManyVoters)),
        (of(&[1]).with_learners((2..=132).map(NodeId)), None),
        (of(&[1]).with_learners((2..=133).map(NodeId)), Some(ChangeError::TooLarge)),
    ] {
        assert_eq!(membership.flaw(), flaw, "{membership}");
        let read = Membership::decode(&membership.encode());
        assert_eq!(read, flaw.is_none().then_some(membership.clone()), "{membership}");
    }
}

#[test]
fn the_bytes_are_those_of_the_formats_page() {
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

/// Any change to members from 1 to 8, most often one that can be.
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

/// What the next step of a change under way is.
#[derive(Clone, Copy, Debug)]
enum Step {
    GiveUp,
    Enter(Option<NodeId>),
}

/// Voters to begin with, and changes with what becomes of each.
#[derive(Clone, Debug)]
struct Life {
    first: BTreeSet<u64>,
    changes: Vec<(Change, Step)>,
}

fn lives() -> impl Strategy<Value = Life> {
    let casting = proptest::option::of((1..9_u64).prop_map(NodeId));
    let step = prop_oneof![1 => Just(Step::GiveUp), 4 => casting.prop_map(Step::Enter)];
    let parts = (btree_set(1..9_u64, 1..5), vec((changes(), step), 0..6));
    parts.prop_map(|(first, changes)| Life { first, changes })
}

/// Who is what, as plainly as it can be said: true for a voter.
type Roles = BTreeMap<NodeId, bool>;

fn roles(membership: &Membership) -> Roles {
    membership.ids().map(|id| (id, membership.incoming().contains(&id))).collect()
}

/// The roles that a change asks for, read from its text.
fn asked(before: &Roles, change: &Change) -> Roles {
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

impl Life {
    /// Every membership of the life. Each follows from the one before as the changes say.
    fn memberships(&self) -> Vec<Membership> {
        let mut all = vec![Membership::new(self.first.iter().copied().map(NodeId))];
        for (change, step) in &self.changes {
            let now = all.last().expect("there is a first one").clone();
            let before = roles(&now);
            let Ok(staged) = now.changed(change) else { continue };
            all.push(staged.clone());
            if staged.is_settled() {
                assert_eq!(roles(&staged), asked(&before, change));
                continue;
            }
            assert_eq!(staged.incoming(), now.incoming(), "who decides stays who decides");
            let Step::Enter(casting) = step else {
                let given_up = staged.given_up();
                assert_eq!(given_up.incoming(), now.incoming());
                assert!(given_up.is_settled());
                all.push(given_up);
                continue;
            };
            let joint = staged.entered(*casting);
            if !joint.is_joint() {
                assert_eq!(joint.incoming(), now.incoming(), "a vote that stays is no change");
                all.push(joint);
                continue;
            }
            assert_eq!(joint.outgoing(), now.incoming());
            assert_eq!(joint.incoming()[..], staged.wanted()[..]);
            all.extend([joint.clone(), joint.left()]);
            assert_eq!(roles(&joint.left()), asked(&before, change), "{now} {change}");
            assert!(joint.left().is_settled());
        }
        all
    }
}

#[test]
fn lineages_tell_ways_apart() {
    let began =
        |by: u64, index: u64| Lineage { by: NodeId(by), at: EntryId::new(Term(2), Index(index)) };
    let all = of(&[1, 2, 3]);
    let first = all.without(|id| id == NodeId(1)).begins(began(2, 5));
    let second = first.without(|id| id == NodeId(2)).begins(began(3, 9));
    let other = all.without(|id| id == NodeId(2)).begins(began(1, 5));
    for (later, earlier) in [(&all, &all), (&first, &all), (&second, &first), (&second, &all)] {
        assert!(later.descends_from(earlier), "{later} from {earlier}");
    }
    for (one, another) in [(&all, &first), (&first, &second), (&first, &other), (&other, &second)] {
        assert!(!one.descends_from(another), "{one} from {another}");
    }
    // Who is back changes nothing about where it came from.
    let back = changed(&second, Change::new().voter(NodeId(2)));
    assert!(back.entered(None).left().descends_from(&second));
    for membership in [&first, &second, &back] {
        assert_eq!(Membership::decode(&membership.encode()).as_ref(), Some(membership));
    }
}

#[test]
fn the_oldest_lineages_are_forgotten() {
    let at = |index: u64| EntryId::new(Term(1), Index(index));
    let begins = |it: Membership, index| it.begins(Lineage { by: NodeId(1), at: at(index) });
    let many = (1..=20).fold(of(&[1]), begins);
    let indices: Vec<u64> = many.lineages().iter().map(|lineage| lineage.at.index.0).collect();
    assert_eq!(indices, (5..=20).collect::<Vec<u64>>());
    assert_eq!(Membership::decode(&many.encode()), Some(many));

    // Members come first: where they leave no room, nothing is remembered.
    let most = Membership::MEMBERS_MAX as u64;
    let largest = of(&[1]).with_learners((2..=most).map(NodeId));
    let room = Membership::BYTES_MAX - largest.bytes();
    let kept = (1..=20).fold(largest, begins);
    assert_eq!((kept.lineages().len(), kept.flaw()), (room / 24, None));
}

#[test]
fn more_lineages_than_are_remembered_are_no_membership() {
    let lineage = Lineage { by: NodeId(1), at: EntryId::ZERO };
    let mut bytes = of(&[1]).begins(lineage).encode();
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
    fn whatever_becomes_of_a_membership_it_comes_back_from_its_bytes(life in lives()) {
        for membership in life.memberships() {
            prop_assert_eq!(membership.flaw(), None, "{}", membership);
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
    fn changed_bytes_are_no_membership_or_their_own(
        life in lives(),
        which: prop::sample::Index,
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = which.get(&life.memberships()).encode();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(read) = Membership::decode(&bytes) {
            prop_assert_eq!(read.flaw(), None);
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn every_bit_of_the_roles_means_something(roles in vec(any::<u8>(), 1..6)) {
        let mut bytes = (roles.len() as u16).to_le_bytes().to_vec();
        for (id, roles) in (1_u64..).zip(&roles) {
            bytes.extend(id.to_le_bytes());
            bytes.extend([0; 16]);
            bytes.extend([*roles, 100, 0]);
        }
        if let Some(read) = Membership::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
            let sets = [read.incoming(), read.outgoing(), read.wanted()];
            let held = |voters: &&Voters| voters.casting().is_some();
            prop_assert_eq!(
                roles.iter().map(|roles| (roles & 0x38).count_ones()).sum::<u32>(),
                sets.iter().copied().filter(held).count() as u32
            );
        }
    }
}
