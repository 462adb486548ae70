//! The reported data loss against brute force: every membership of up to five voters, with and
//! without a casting vote, and a quarter of the joint ones; every set of surviving directories, and
//! every quorum that may have committed.

use quorate::recovery::{
    Consent, DataLoss, DirectoryState, Plan, RecoveryRejectReason, RecoverySource,
};
use quorate::storage::{ClusterId, ErrorCause, FileName, Origin, StorageError};
use quorate::types::{Change, EntryId, Incarnation, Index, Lineage, Membership, NodeId, Term};

use super::directory_states::{CLUSTER, Log, state, survey};

const IDS: u64 = 5;

/// A set of ids, as one bit for each id from 1.
type Set = u32;

fn ids(set: Set) -> impl Iterator<Item = u64> {
    (1..=IDS).filter(move |id| set >> (id - 1) & 1 == 1)
}

fn has(set: Set, id: NodeId) -> bool {
    set >> (id.0 - 1) & 1 == 1
}

/// A voter set and the holder of the casting vote, which only an even set may have.
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

/// Returns the joint membership from one half to another; `None` if the two are equal.
fn joint(outgoing: Half, incoming: Half) -> Option<Membership> {
    let added = ids(incoming.0).fold(Change::new(), |change, id| change.voter(NodeId(id)));
    let gone = ids(outgoing.0 & !incoming.0);
    let change = gone.fold(added, |change, id| change.remove(NodeId(id))).casting(incoming.1);
    let staged = settled(outgoing).changed(&change).expect("voters remain");
    staged.is_staged().then(|| staged.enter_joint(None))
}

/// The definition of a quorum: more than half, or half with the casting vote.
fn decides((voters, casting): Half, set: Set) -> bool {
    let (all, present) = (voters.count_ones(), (voters & set).count_ones());
    2 * present > all || 2 * present == all && casting.is_some_and(|holder| has(set, holder))
}

/// Checks that an entry which one of `quorums` committed is in the chosen log iff a node of that
/// quorum survived, and that no loss is reported iff a node of each quorum survived.
fn check(first: &Membership, log: &Log, quorums: &[Set], survivors: Set) {
    let mut lost = false;
    let mut reported = None;
    for quorum in quorums {
        let directory_states = ids(survivors).map(|id| {
            let mut own = log.clone();
            if has(*quorum, NodeId(id)) {
                own.push((2, None));
            }
            state(id, first, &own, log.len())
        });
        let source = RecoverySource::choose(&survey(directory_states.collect()), None)
            .expect("there is one");
        let is_complete = source.last.index.0 as usize == log.len() + 1;
        assert_eq!(is_complete, quorum & survivors != 0, "the most complete directory is chosen");
        lost |= !is_complete;
        assert!(reported.replace(source.loss).is_none_or(|before| before == source.loss));
    }
    let reported = reported.expect("there are quorums");
    let from = Index(log.len() as u64 + 1);
    let expected = if lost { DataLoss::Possible { from } } else { DataLoss::None };
    assert_eq!(reported, expected, "{first} {log:?}, survivors {survivors:05b}");
}

fn quorums(half: Half) -> Vec<Set> {
    (0..1 << IDS).filter(|set| decides(half, *set)).collect()
}

#[test]
fn no_loss_is_reported_iff_every_quorum_has_a_survivor() {
    for half in halves() {
        let quorums = quorums(half);
        for survivors in 1..1 << IDS {
            check(&settled(half), &vec![(1, None)], &quorums, survivors);
        }
    }
}

#[test]
fn the_incoming_voters_of_a_joint_membership_may_have_decided_alone() {
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
fn a_change_in_one_log_may_never_have_been_committed() {
    // Node 1 appended a change to {4, 5}, which the others truncated.
    let change = Change::new().voter(NodeId(4)).voter(NodeId(5));
    let change = [1, 2, 3].iter().fold(change, |change, id| change.remove(NodeId(*id)));
    let staged = three().changed(&change).expect("voters remain");
    let log = vec![(1, None), (1, Some(staged.clone())), (2, Some(staged.enter_joint(None)))];
    let directory_states = |ids: &[u64]| {
        let own = |id: &u64| match id {
            1 => state(*id, &three(), &log, 2),
            _ => state(*id, &three(), &log[..2].to_vec(), 2),
        };
        survey(ids.iter().map(own).collect())
    };
    let loss = |ids: &[u64]| {
        RecoverySource::choose(&directory_states(ids), None).expect("it can be read").loss
    };
    let possible = DataLoss::Possible { from: Index(3) };
    assert_eq!(loss(&[1, 4, 5]), possible, "2 and 3 may have decided without the change");
    assert_eq!(loss(&[1, 2]), possible, "with 3, node 1 may have committed it");
    assert_eq!(loss(&[1, 2, 3]), DataLoss::None, "node 1 alone has not committed it");
    assert_eq!(loss(&[1, 2, 4, 5]), DataLoss::None);
}

#[test]
fn a_known_committed_entry_precedes_the_order_of_elections() {
    // Node 2 knows that its second entry is committed; node 1 led later without any reply.
    let one = state(1, &three(), &vec![(1, None), (3, None)], 1);
    let two = state(2, &three(), &vec![(1, None), (2, None)], 2);
    let five = Membership::new([1, 2, 3, 4, 5].map(NodeId));
    let source =
        RecoverySource::choose(&survey(vec![one.clone(), two.clone()]), None).expect("it is read");
    assert_eq!((source.node, source.committed), (NodeId(2), Index(2)));
    let [one, two] = [(1, one), (2, two)].map(|(id, own)| {
        let mut own = DirectoryState { damage: None, ..own };
        own.opened.snapshot.membership = five.clone();
        own.opened.identity.node = NodeId(id);
        own
    });
    let source = RecoverySource::choose(&survey(vec![one, two]), None).expect("it is read");
    assert_eq!(source.node, NodeId(2));
    assert_eq!(source.loss, DataLoss::Possible { from: Index(3) });
}

#[test]
fn a_new_lineage_is_no_evidence_of_earlier_commits() {
    let all = three();
    let change = Change::new().voter(NodeId(4));
    let staged = all.changed(&change).expect("4 is a new learner");
    let lineage = Lineage { by: NodeId(1), at: EntryId::new(Term(1), Index(3)) };
    let without = staged.without_voters(|id| id == NodeId(3)).with_lineage(lineage);
    let mut log = vec![(1, None), (1, Some(staged)), (1, Some(without.clone()))];
    let committed = |log: &Log| state(1, &all, log, 1).committed().index;
    assert_eq!(committed(&log), Index(1), "survivors do not wait");
    log.push((1, Some(without.enter_joint(None))));
    assert_eq!(committed(&log), Index(3), "a leader waits before the next step of a change");
}

#[test]
fn a_damaged_directory_may_be_the_source_and_is_no_evidence() {
    let damaged = |id, log: &Log, committed| DirectoryState {
        damage: Some(StorageError {
            file: Some(FileName::Segment(1)),
            offset: 512,
            message: "bit rot".to_owned(),
            cause: ErrorCause::Damage,
        }),
        ..state(id, &three(), log, committed)
    };
    let long: Log = vec![(1, None), (1, None), (1, None)];
    let short: Log = vec![(1, None)];
    let chosen = |own| RecoverySource::choose(&survey(own), None).expect("it can be read");
    let source = chosen(vec![state(1, &three(), &short, 1), damaged(2, &long, 1)]);
    assert_eq!((source.node, source.last), (NodeId(2), EntryId::new(Term(1), Index(3))));
    assert_eq!(source.undamaged, [NodeId(1)]);
    assert_eq!(source.loss, DataLoss::Possible { from: Index(2) });
    let source = chosen(vec![damaged(2, &long, 7)]);
    assert_eq!(source.loss, DataLoss::Certain { from: Index(4), through: Index(7) });
    let source = chosen(vec![damaged(3, &long, 1), state(2, &three(), &long, 1)]);
    assert_eq!(source.node, NodeId(2), "of equal ones the undamaged one");
}

#[test]
fn a_quarantined_directory_is_the_source_only_if_its_log_is_the_most_complete() {
    let long: Log = vec![(1, None), (1, None)];
    let quarantined = |log: &Log| {
        let mut own = state(2, &three(), log, 1);
        own.opened.is_quarantined = true;
        own
    };
    let chosen = |log: &Log| {
        let survey = survey(vec![quarantined(&long), state(1, &three(), log, 1)]);
        RecoverySource::choose(&survey, None).expect("it can be read").node
    };
    assert_eq!(chosen(&long), NodeId(1), "not the first of equal ones");
    assert_eq!(chosen(&long[..1].to_vec()), NodeId(2));
    let survey = survey(vec![quarantined(&long)]).to_string();
    assert!(survey.contains("2: quarantined: its state machine diverged"), "{survey}");
}

/// Returns a new membership of one node.
fn alone(id: u64) -> Membership {
    let mut member = Membership::new([NodeId(id)]).members()[0].clone();
    member.incarnation = Incarnation(9);
    Membership::new([NodeId(id)]).with_member(member)
}

fn planned(ids: &[u64], alive: &[u64], consent: Consent) -> Result<(), RecoveryRejectReason> {
    let log = vec![(1, None)];
    let directory_states = ids.iter().map(|id| state(*id, &three(), &log, 1)).collect();
    let alive: Vec<NodeId> = alive.iter().copied().map(NodeId).collect();
    Plan::new(&survey(directory_states), None, &alive, consent, ClusterId(2), alone(1)).map(drop)
}

#[test]
fn no_recovery_with_a_quorum_alive_or_available() {
    let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let none = Consent::None;
    assert_eq!(planned(&[1], &[], none), Ok(()));
    assert_eq!(
        planned(&[1], &[2, 3], none),
        Err(RecoveryRejectReason::QuorumAlive(nodes(&[2, 3])))
    );
    assert_eq!(
        planned(&[1], &[2], none),
        Err(RecoveryRejectReason::QuorumAvailable(nodes(&[1, 2])))
    );
    assert_eq!(
        planned(&[1, 3], &[], none),
        Err(RecoveryRejectReason::QuorumAvailable(nodes(&[1, 3])))
    );
    assert_eq!(planned(&[1, 3], &[2], Consent::TwoClusters), Ok(()));
    let five = Membership::new([1, 2, 3, 4, 5].map(NodeId));
    let survey = survey(vec![state(1, &five, &vec![(1, None)], 1)]);
    let plan = |alive| Plan::new(&survey, None, alive, none, ClusterId(2), alone(1));
    let reason = plan(&[NodeId(4)]).expect_err("node 4 may have more entries");
    assert_eq!(reason, RecoveryRejectReason::NotSurveyed(nodes(&[4])));
    assert!(reason.to_string().contains("stop n4"), "{reason}");
    assert!(plan(&[]).is_ok());
}

#[test]
fn no_recovery_with_a_quorum_of_an_earlier_membership_available() {
    // Node 1 appended a change to {4, 5}, which is not committed. Nodes 2 and 3 can elect a leader.
    let change = Change::new().voter(NodeId(4)).voter(NodeId(5));
    let change = [1, 2, 3].iter().fold(change, |change, id| change.remove(NodeId(*id)));
    let staged = three().changed(&change).expect("voters remain");
    let joint = staged.enter_joint(None);
    let short: Log = vec![(1, None), (1, Some(staged))];
    let long = [short.clone(), vec![(1, Some(joint.clone()))]].concat();
    let planned = |long: &Log, alive: &[NodeId], damaged: u64| {
        let mut states =
            [(1, long), (2, &short), (3, &short)].map(|(id, log)| state(id, &three(), log, 2));
        for own in &mut states {
            own.opened.hard_state.is_uncertain = own.opened.identity.node == NodeId(damaged);
        }
        let survey = survey(states.to_vec());
        Plan::new(&survey, None, alive, Consent::None, ClusterId(2), alone(1)).map(drop)
    };
    let available = Err(RecoveryRejectReason::QuorumAvailable([2, 3].map(NodeId).to_vec()));
    assert_eq!(planned(&long, &[], 1), available);
    assert_eq!(planned(&long, &[], 0), available);
    assert_eq!(planned(&long, &[NodeId(3)], 1), available);
    assert_eq!(planned(&long, &[], 3), Ok(()), "node 3 may lack entries");
    // Survivors may have committed alone what the others lack.
    let lineage = Lineage { by: NodeId(1), at: EntryId::new(Term(1), Index(3)) };
    let survived = vec![(1, Some(joint.with_lineage(lineage)))];
    assert_eq!(planned(&[short.clone(), survived].concat(), &[], 1), Ok(()));
}

#[test]
fn a_node_that_has_joined_is_a_source_although_it_lacks_the_first_membership() {
    // Node 4 knows no membership before the one that added it, and not that this one is committed.
    let four = Membership::new([1, 2, 3, 4].map(NodeId));
    let joined = state(4, &Membership::default(), &vec![(1, None), (1, Some(four))], 1);
    let survey = survey(vec![joined]);
    let plan =
        |alive| Plan::new(&survey, None, alive, Consent::None, ClusterId(2), alone(1)).map(drop);
    assert_eq!(plan(&[]), Ok(()), "a membership without voters has no quorum");
    let unknown = Err(RecoveryRejectReason::NotSurveyed(vec![NodeId(1)]));
    assert_eq!(plan(&[NodeId(1)]), unknown);
}

#[test]
fn a_new_cluster_needs_a_new_id_and_new_incarnations() {
    let own = state(1, &three(), &vec![(1, None)], 1);
    let survey = survey(vec![own.clone()]);
    let plan = |cluster, membership| {
        Plan::new(&survey, None, &[], Consent::None, cluster, membership).map(drop)
    };
    assert_eq!(plan(CLUSTER, alone(1)), Err(RecoveryRejectReason::SameCluster(CLUSTER)));
    assert_eq!(
        plan(ClusterId(2), Membership::default()),
        Err(RecoveryRejectReason::Membership(None))
    );
    let in_a_change = joint((0b1, None), (0b111, None)).expect("the change is possible");
    assert_eq!(plan(ClusterId(2), in_a_change), Err(RecoveryRejectReason::Membership(None)));
    let without_incarnation = Membership::new([NodeId(1)]);
    assert_eq!(
        plan(ClusterId(2), without_incarnation),
        Err(RecoveryRejectReason::IncarnationNotNew(NodeId(1)))
    );
    let mut member = alone(1).members()[0].clone();
    member.incarnation = own.opened.identity.incarnation;
    let same = Membership::new([NodeId(1)]).with_member(member);
    assert_eq!(plan(ClusterId(2), same), Err(RecoveryRejectReason::IncarnationNotNew(NodeId(1))));
    assert_eq!(plan(ClusterId(2), alone(7)), Ok(()), "a new node may be the member");
    // The ids of other directories are not new either, nor is the id of an earlier cluster.
    let mut other = state(2, &three(), &vec![(1, None)], 1);
    (other.opened.identity.cluster, other.opened.identity.incarnation) =
        (ClusterId(3), alone(7).members()[0].incarnation);
    other.opened.origin = Some(Origin { cluster: ClusterId(4), last: EntryId::ZERO });
    let survey = super::directory_states::survey(vec![own, other]);
    let plan = |cluster| {
        Plan::new(&survey, Some(CLUSTER), &[], Consent::None, ClusterId(cluster), alone(7))
            .map(drop)
    };
    for used in [3, 4] {
        assert_eq!(plan(used), Err(RecoveryRejectReason::SameCluster(ClusterId(used))));
    }
    assert_eq!(plan(2), Err(RecoveryRejectReason::IncarnationNotNew(NodeId(7))));
}

#[test]
fn directories_of_several_clusters_or_one_node_twice_are_rejected() {
    let one = state(1, &three(), &vec![(1, None)], 1);
    let of = |own: Vec<DirectoryState>, cluster| {
        RecoverySource::choose(&survey(own), cluster).map(|c| c.node)
    };
    assert_eq!(of(vec![], None), Err(RecoveryRejectReason::NoReadableDirectory));
    let twice = vec![one.clone(), one.clone()];
    assert_eq!(of(twice, None), Err(RecoveryRejectReason::DuplicateNode(NodeId(1))));
    let mut other = state(2, &three(), &vec![(2, None)], 1);
    other.opened.identity.cluster = ClusterId(2);
    let both = vec![other, one];
    let clusters = vec![ClusterId(2), CLUSTER];
    assert_eq!(of(both.clone(), None), Err(RecoveryRejectReason::SeveralClusters(clusters)));
    assert_eq!(of(both.clone(), Some(CLUSTER)), Ok(NodeId(1)));
    assert_eq!(of(both, Some(ClusterId(3))), Err(RecoveryRejectReason::NoReadableDirectory));
}
