//! What may be lost, against brute force: every membership of up to five voters, with casting votes
//! and joint, every set of survivors, every quorum that may have committed an entry.

use quorate::recovery::{Choice, Consent, Holding, Loss, Plan, Refusal};
use quorate::storage::{Cause, ClusterId, Failure, FileName};
use quorate::types::{Change, EntryId, Incarnation, Index, Lineage, Membership, NodeId, Term};

use crate::holdings::{CLUSTER, Log, holding, survey};

const IDS: u64 = 5;

/// A set of ids, bit by bit from 1.
type Set = u32;

fn ids(set: Set) -> impl Iterator<Item = u64> {
    (1..=IDS).filter(move |id| set >> (id - 1) & 1 == 1)
}

fn has(set: Set, id: NodeId) -> bool {
    set >> (id.0 - 1) & 1 == 1
}

/// Voters and, of an even number of them, the holder of the casting vote.
type Half = (Set, Option<NodeId>);

fn halves() -> Vec<Half> {
    let mut halves = Vec::new();
    for set in 1..(1 as Set) << IDS {
        halves.push((set, None));
        if set.count_ones().is_multiple_of(2) {
            halves.extend(ids(set).map(|holder| (set, Some(NodeId(holder)))));
        }
    }
    halves
}

fn settled((set, casting): Half) -> Membership {
    let membership = Membership::new(ids(set).map(NodeId));
    casting.map_or(membership.clone(), |holder| membership.with_casting(holder))
}

/// One half on the way to another, as it comes about; none if the two are the same.
fn joint(outgoing: Half, incoming: Half) -> Option<Membership> {
    let added = ids(incoming.0).fold(Change::new(), |change, id| change.voter(NodeId(id)));
    let gone = ids(outgoing.0 & !incoming.0);
    let change = gone.fold(added, |change, id| change.remove(NodeId(id))).casting(incoming.1);
    let staged = settled(outgoing).changed(&change).expect("voters remain");
    staged.is_staged().then(|| staged.entered(None))
}

/// The definition: more than half, or half with the casting vote.
fn decides((voters, casting): Half, set: Set) -> bool {
    let (all, present) = (voters.count_ones(), (voters & set).count_ones());
    2 * present > all || 2 * present == all && casting.is_some_and(|holder| has(set, holder))
}

/// An entry that each of `quorums` alone may have committed is in the chosen log iff one of them
/// survived, and nothing is said to be lost iff that is so whichever of them it was.
fn check(first: &Membership, log: &Log, quorums: &[Set], survivors: Set) {
    let mut lost = false;
    let mut says = None;
    for quorum in quorums {
        let holdings = ids(survivors).map(|id| {
            let mut own = log.clone();
            if has(*quorum, NodeId(id)) {
                own.push((2, None));
            }
            holding(id, first, &own, log.len())
        });
        let choice = Choice::of(&survey(holdings.collect()), None).expect("there is one");
        let there = choice.last.index.0 as usize == log.len() + 1;
        assert_eq!(there, quorum & survivors != 0, "the most complete is chosen");
        lost |= !there;
        assert!(says.replace(choice.loss).is_none_or(|before| before == choice.loss));
    }
    let says = says.expect("there are quorums");
    let from = Index(log.len() as u64 + 1);
    let expected = if lost { Loss::Possible { from } } else { Loss::Nothing };
    assert_eq!(says, expected, "{first} {log:?}, survivors {survivors:05b}");
}

fn quorums(half: Half) -> Vec<Set> {
    (0..1 << IDS).filter(|set| decides(half, *set)).collect()
}

#[test]
fn nothing_is_said_to_be_lost_iff_every_quorum_has_a_survivor() {
    for half in halves() {
        let quorums = quorums(half);
        for survivors in 1..1 << IDS {
            check(&settled(half), &vec![(1, None)], &quorums, survivors);
        }
    }
}

#[test]
fn of_a_joint_membership_the_incoming_voters_may_have_gone_on_alone() {
    let halves: Vec<Half> = halves().into_iter().step_by(2).collect();
    for outgoing in &halves {
        for incoming in &halves {
            let Some(joint) = joint(*outgoing, *incoming) else { continue };
            let log = vec![(1, Some(joint))];
            let both = quorums(*incoming).into_iter().filter(|set| decides(*outgoing, *set));
            let all: Vec<Set> = both.chain(quorums(*incoming)).collect();
            for survivors in 1..1 << IDS {
                check(&settled(*outgoing), &log, &all, survivors);
            }
        }
    }
}

fn three() -> Membership {
    Membership::new([1, 2, 3].map(NodeId))
}

#[test]
fn a_change_that_nobody_else_has_may_never_have_been() {
    // Node 1 appended a change to {4, 5} that the others cut, and went on without it.
    let change = Change::new().voter(NodeId(4)).voter(NodeId(5));
    let change = [1, 2, 3].iter().fold(change, |change, id| change.remove(NodeId(*id)));
    let staged = three().changed(&change).expect("voters remain");
    let log = vec![(1, None), (1, Some(staged.clone())), (2, Some(staged.entered(None)))];
    let holdings = |ids: &[u64]| {
        let own = |id: &u64| match id {
            1 => holding(*id, &three(), &log, 2),
            _ => holding(*id, &three(), &log[..2].to_vec(), 2),
        };
        survey(ids.iter().map(own).collect())
    };
    let loss = |ids: &[u64]| Choice::of(&holdings(ids), None).expect("it can be read").loss;
    let possible = Loss::Possible { from: Index(3) };
    assert_eq!(loss(&[1, 4, 5]), possible, "2 and 3 may have gone on without the change");
    assert_eq!(loss(&[1, 2]), possible, "with 3, node 1 may have committed it");
    assert_eq!(loss(&[1, 2, 3]), Loss::Nothing, "node 1 alone has not committed it");
    assert_eq!(loss(&[1, 2, 4, 5]), Loss::Nothing);
}

#[test]
fn what_is_known_to_be_committed_comes_before_the_order_of_elections() {
    // Node 2 knows that its second entry is committed; node 1 led later and heard nobody.
    let one = holding(1, &three(), &vec![(1, None), (3, None)], 1);
    let two = holding(2, &three(), &vec![(1, None), (2, None)], 2);
    let five = Membership::new([1, 2, 3, 4, 5].map(NodeId));
    let choice = Choice::of(&survey(vec![one.clone(), two.clone()]), None).expect("it is read");
    assert_eq!((choice.node, choice.committed), (NodeId(2), Index(2)));
    let [one, two] = [(1, one), (2, two)].map(|(id, own)| {
        let mut own = Holding { opened: own.opened, damage: None };
        own.opened.snapshot.membership = five.clone();
        own.opened.identity.node = NodeId(id);
        own
    });
    let choice = Choice::of(&survey(vec![one, two]), None).expect("it is read");
    assert_eq!(choice.node, NodeId(2));
    assert_eq!(choice.loss, Loss::Possible { from: Index(3) });
}

#[test]
fn survivors_who_go_on_say_nothing_about_what_they_follow() {
    let all = three();
    let change = Change::new().voter(NodeId(4));
    let staged = all.changed(&change).expect("4 is a new learner");
    let lineage = Lineage { by: NodeId(1), at: EntryId::new(Term(1), Index(3)) };
    let without = staged.without(|id| id == NodeId(3)).begins(lineage);
    let mut log = vec![(1, None), (1, Some(staged)), (1, Some(without.clone()))];
    let committed = |log: &Log| holding(1, &all, log, 1).committed().index;
    assert_eq!(committed(&log), Index(1), "they did not wait");
    log.push((1, Some(without.entered(None))));
    assert_eq!(committed(&log), Index(3), "a leader waits before it goes on with a change");
}

#[test]
fn a_damaged_directory_is_gone_on_from_and_vouches_for_nothing() {
    let damaged = |id, log: &Log, committed| Holding {
        damage: Some(Failure {
            file: Some(FileName::Segment(1)),
            offset: 512,
            what: "rot".to_owned(),
            cause: Cause::Damage,
        }),
        ..holding(id, &three(), log, committed)
    };
    let long: Log = vec![(1, None), (1, None), (1, None)];
    let short: Log = vec![(1, None)];
    let loss = |own| Choice::of(&survey(own), None).expect("it can be read");
    let choice = loss(vec![holding(1, &three(), &short, 1), damaged(2, &long, 1)]);
    assert_eq!((choice.node, choice.last), (NodeId(2), EntryId::new(Term(1), Index(3))));
    assert_eq!(choice.whole, [NodeId(1)]);
    assert_eq!(choice.loss, Loss::Possible { from: Index(2) });
    let choice = loss(vec![damaged(2, &long, 7)]);
    assert_eq!(choice.loss, Loss::Certain { from: Index(4), through: Index(7) });
    let choice = loss(vec![damaged(3, &long, 1), holding(2, &three(), &long, 1)]);
    assert_eq!(choice.node, NodeId(2), "of equals the whole one");
}

/// A new membership of one node.
fn alone(id: u64) -> Membership {
    let mut member = Membership::new([NodeId(id)]).members()[0].clone();
    member.incarnation = Incarnation(9);
    Membership::new([NodeId(id)]).with_member(member)
}

fn refused(ids: &[u64], alive: &[u64], consent: Consent) -> Result<(), Refusal> {
    let log = vec![(1, None)];
    let holdings = ids.iter().map(|id| holding(*id, &three(), &log, 1)).collect();
    let alive: Vec<NodeId> = alive.iter().copied().map(NodeId).collect();
    Plan::new(&survey(holdings), None, &alive, consent, ClusterId(2), alone(1)).map(drop)
}

#[test]
fn where_a_quorum_is_alive_or_at_hand_nothing_is_recovered() {
    let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let none = Consent::None;
    assert_eq!(refused(&[1], &[], none), Ok(()));
    assert_eq!(refused(&[1], &[2, 3], none), Err(Refusal::QuorumAlive(nodes(&[2, 3]))));
    assert_eq!(refused(&[1], &[2], none), Err(Refusal::QuorumAtHand(nodes(&[1, 2]))));
    assert_eq!(refused(&[1, 3], &[], none), Err(Refusal::QuorumAtHand(nodes(&[1, 3]))));
    assert_eq!(refused(&[1, 3], &[2], Consent::TwoClusters), Ok(()));
    let five = Membership::new([1, 2, 3, 4, 5].map(NodeId));
    let survey = survey(vec![holding(1, &five, &vec![(1, None)], 1)]);
    let plan = |alive| Plan::new(&survey, None, alive, none, ClusterId(2), alone(1));
    let refusal = plan(&[NodeId(4)]).expect_err("it may hold more");
    assert_eq!(refusal, Refusal::NotLookedAt(nodes(&[4])));
    assert!(refusal.to_string().contains("stop n4"), "{refusal}");
    assert!(plan(&[]).is_ok());
}

#[test]
fn a_new_cluster_is_new_and_its_members_are() {
    let own = holding(1, &three(), &vec![(1, None)], 1);
    let survey = survey(vec![own.clone()]);
    let plan = |cluster, membership| {
        Plan::new(&survey, None, &[], Consent::None, cluster, membership).map(drop)
    };
    assert_eq!(plan(CLUSTER, alone(1)), Err(Refusal::SameCluster(CLUSTER)));
    assert_eq!(plan(ClusterId(2), Membership::default()), Err(Refusal::Membership(None)));
    let nameless = Membership::new([NodeId(1)]);
    assert_eq!(plan(ClusterId(2), nameless), Err(Refusal::NotFresh(NodeId(1))));
    let mut member = alone(1).members()[0].clone();
    member.incarnation = own.opened.identity.incarnation;
    let same = Membership::new([NodeId(1)]).with_member(member);
    assert_eq!(plan(ClusterId(2), same), Err(Refusal::NotFresh(NodeId(1))));
    assert_eq!(plan(ClusterId(2), alone(7)), Ok(()), "a new machine may go on, too");
}

#[test]
fn directories_that_do_not_belong_together_are_refused() {
    let one = holding(1, &three(), &vec![(1, None)], 1);
    let of = |own: Vec<Holding>, cluster| Choice::of(&survey(own), cluster).map(|c| c.node);
    assert_eq!(of(vec![], None), Err(Refusal::NothingReadable));
    let twice = vec![one.clone(), one.clone()];
    assert_eq!(of(twice, None), Err(Refusal::SameNodeTwice(NodeId(1))));
    let mut other = holding(2, &three(), &vec![(2, None)], 1);
    other.opened.identity.cluster = ClusterId(2);
    let both = vec![other, one];
    let clusters = vec![ClusterId(2), CLUSTER];
    assert_eq!(of(both.clone(), None), Err(Refusal::SeveralClusters(clusters)));
    assert_eq!(of(both.clone(), Some(CLUSTER)), Ok(NodeId(1)));
    assert_eq!(of(both, Some(ClusterId(3))), Err(Refusal::NothingReadable));
}
