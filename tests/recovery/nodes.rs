//! Complete nodes: a cluster loses its quorum, is recovered from one directory and grows to three
//! nodes again; and a cluster starts from a backup of a running one. Sessions survive both.

use std::path::Path;

use quorate::machine::{Nonce, Outcome, Proposer, Request, Sequence, SessionId, SessionLimits};
use quorate::recovery::{
    Backup, Consent, DataLoss, Plan, RecoveryRejectReason, RecoverySource, Survey, backup, restore,
};
use quorate::replica::Replica;
use quorate::storage::{ClusterId, Disk, FileDisk, Identity, OpenError, Origin};
use quorate::types::{Address, Change, Command, Incarnation, Instant, Membership, NodeId};
use quorate::wire::{ExpectedPeer, Hello, Versions};
use quorate_sim::disk::SimDisk;

use super::driver::{Cluster, Lines, config};

impl<D: Disk> Cluster<D> {
    /// Crashes the node, and returns its disk.
    pub(crate) fn kill(&mut self, id: NodeId) -> D {
        self.inputs.retain(|(to, _)| *to != id);
        self.nodes.remove(&id).expect("the node runs").1
    }

    /// Returns the lines that the node has applied.
    pub(crate) fn lines(&self, id: NodeId) -> &str {
        &self.nodes[&id].0.worker.machine().user().0
    }

    pub(crate) fn replica(&self, id: NodeId) -> &Replica<Lines> {
        &self.nodes[&id].0
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }
}

const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const OLD: ClusterId = ClusterId(0x01d);
const NEW: ClusterId = ClusterId(0x4e3);

fn incarnation(cluster: ClusterId, id: NodeId) -> Incarnation {
    Incarnation(cluster.0 << 8 | u128::from(id.0))
}

/// Returns a membership of these voters, each with its own incarnation.
fn membership(cluster: ClusterId, ids: &[NodeId]) -> Membership {
    let plain = Membership::new(ids.iter().copied());
    plain.members().iter().fold(plain.clone(), |membership, member| {
        let mut member = member.clone();
        member.incarnation = incarnation(cluster, member.id);
        membership.with_member(member)
    })
}

/// Formats an empty directory for a node.
fn format(disk: &mut impl Disk, cluster: ClusterId, id: NodeId, first: &Membership) {
    let identity = Identity { cluster, node: id, incarnation: incarnation(cluster, id) };
    Replica::<Lines>::create(disk, identity, first, &config(id)).expect("the disk is empty");
}

/// Starts a cluster of three nodes.
fn three<D: Disk>(mut disk: impl FnMut(NodeId) -> D) -> Cluster<D> {
    let mut cluster = Cluster::new(OLD);
    for id in IDS {
        let mut disk = disk(id);
        format(&mut disk, OLD, id, &membership(OLD, &IDS));
        cluster.start(id, disk).expect("the directory was formatted");
    }
    cluster
}

/// Returns a session's request as a client sends it, the first time or again.
fn in_session(session: SessionId, sequence: u64, line: &str) -> Command {
    let (sequence, acknowledged) = (Sequence(sequence), Sequence::FIRST);
    Request::InSession { session, sequence, acknowledged, command: line.as_bytes() }
        .encode_for(Proposer::Unnamed)
}

fn register<D: Disk>(cluster: &mut Cluster<D>) -> SessionId {
    let limits = SessionLimits { window: 10, replies_bytes_max: 1000 };
    match cluster
        .request(Request::Register { nonce: Nonce(5), limits }.encode_for(Proposer::Unnamed))
    {
        Some(Outcome::Registered(session)) => session,
        other => panic!("{other:?}"),
    }
}

fn reply(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Reply(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// Recovers the survivor's cluster, and adds two empty nodes.
fn recover<D: Disk>(survivor: &mut D, mut disk: impl FnMut(NodeId) -> D) -> Cluster<D> {
    let storage = config(IDS[0]).storage;
    let mut survey = Survey::default();
    survey.inspect("the survivor", survivor, &storage);
    let first = membership(NEW, &IDS[..1]);
    let plan =
        |alive: &[NodeId]| Plan::new(&survey, None, alive, Consent::None, NEW, first.clone());
    assert_eq!(plan(&IDS[1..]), Err(RecoveryRejectReason::QuorumAlive(IDS[1..].to_vec())));
    let plan = plan(&[]).expect("there is no quorum");
    assert!(matches!(plan.source().loss, DataLoss::Possible { .. }));
    let mut target = disk(IDS[0]);
    plan.create_directory(survivor, IDS[0], &mut target, &storage).expect("the disk has space");
    let mut cluster = Cluster::new(NEW);
    cluster.start(IDS[0], target).expect("the directory was created for this node");
    for id in &IDS[1..] {
        let mut disk = disk(*id);
        format(&mut disk, NEW, *id, &Membership::default());
        cluster.start(*id, disk).expect("the directory was formatted");
        let own = incarnation(NEW, *id);
        cluster.change(Change::new().voter(*id).incarnation(*id, own));
    }
    cluster
}

#[test]
fn a_cluster_that_lost_its_quorum_is_recovered_and_grows_again() {
    let root = tempfile::tempdir().expect("a directory for a test");
    let open = |name: String| FileDisk::open(root.path().join(Path::new(&name)));
    let mut cluster = three(|id| open(format!("old-{id}")).expect("a new directory"));
    let session = register(&mut cluster);
    for sequence in 1..=10 {
        let line = format!("line {sequence}");
        let replied = reply(cluster.request(in_session(session, sequence, &line)));
        assert_eq!(replied, sequence.to_string());
        cluster.agree();
    }
    (11..=60).for_each(|number| cluster.add(&format!("line {number}")));
    cluster.agree();
    let before = cluster.read();
    let in_use = open("old-n1".to_owned()).expect_err("its node runs");
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    let mut survivor = cluster.kill(IDS[0]);
    drop(cluster);

    let new = |id: NodeId| open(format!("new-{id}")).expect("a new directory");
    let mut cluster = recover(&mut survivor, new);
    assert_eq!(cluster.read(), before, "every node had every entry");
    // The client did not receive the reply and sends the request again.
    assert_eq!(reply(cluster.request(in_session(session, 10, "line 10"))), "10");
    assert_eq!(cluster.read(), before, "it was executed once");
    cluster.add("after the loss");
    cluster.agree();
    let killed = cluster.leader().expect("it has one");
    drop(cluster.kill(killed));
    cluster.add("two of three are a quorum again");
    assert_eq!(cluster.read().lines().count(), 62);
    // The old directories are unchanged, and the new cluster cannot use them.
    let mut old = open("old-n2".to_owned()).expect("its node is gone");
    let storage = config(IDS[1]).storage;
    let mut survey = Survey::default();
    survey.inspect("old-n1", &mut survivor, &storage);
    survey.inspect("old-n2", &mut old, &storage);
    assert_eq!(survey.clusters(), [OLD]);
    assert_eq!(RecoverySource::choose(&survey, None).expect("they are there").loss, DataLoss::None);
    let started = cluster.start(IDS[1], old);
    assert!(started.is_err(), "a directory of another cluster");
}

#[test]
fn a_hello_from_the_old_cluster_is_rejected_with_the_remedy() {
    let hello = Hello {
        versions: Versions::SUPPORTED,
        cluster: OLD.0,
        from: IDS[1],
        to: IDS[0],
        incarnation: incarnation(OLD, IDS[1]).0,
        start_id: 1,
        address: Address::default(),
    };
    let rejected = |origin: Option<u128>| {
        let (local, peer) = (IDS[0], None);
        let expected = ExpectedPeer { cluster: NEW.0, origin, local, peer, incarnation: None };
        let text = hello.check(&expected).expect_err("it is of another cluster").to_string();
        assert!(text.contains("empty its directory and add it again"), "{text}");
        assert!(!text.contains('\n'), "{text}");
        text
    };
    let predecessor = rejected(Some(OLD.0));
    let expected = "01d was recovered or restored into this node's";
    assert!(predecessor.contains(expected), "{predecessor}");
    let joined = rejected(None);
    assert!(joined.contains("if one was recovered"), "{joined}");
}

#[test]
fn nodes_of_the_new_cluster_never_decide_by_the_old_membership() {
    // The two that joined were voters of the old cluster. While they caught up, their log was one
    // prefix of the whole log after another, so no prefix may name the old membership.
    let mut cluster = three(|_| SimDisk::default());
    (1..=5).for_each(|number| cluster.add(&number.to_string()));
    cluster.agree();
    let mut survivor = cluster.kill(IDS[0]);
    let cluster = recover(&mut survivor, |_| SimDisk::default());
    for id in IDS {
        let log = cluster.replica(id).node.raft().log();
        for index in 0..=log.last().index.0 {
            let membership = log.membership_at(quorate::types::Index(index));
            let Some(membership) = membership.filter(|listed| !listed.is_empty()) else {
                continue;
            };
            assert!(membership.is_voter(IDS[0]), "{id} at {index}: {membership}");
            let grown = membership.incoming().len() > 1 || membership.is_joint();
            assert!(!grown || index > 5, "{id} at {index}: {membership} is the old one");
        }
    }
}

#[test]
fn a_cluster_is_recovered_from_a_snapshot_and_the_log_after_it() {
    let mut cluster = three(|_| SimDisk::default());
    for number in 1..=100 {
        cluster.add(&number.to_string());
        cluster.agree();
        // Time passes, so that snapshots are taken.
        let now = cluster.now();
        cluster.settle(|cluster| cluster.now() > now);
    }
    let snapshot = cluster.replica(IDS[0]).node.storage().snapshot().last;
    assert!(snapshot.index.0 > 20, "{snapshot}");
    let before = cluster.read();
    let mut survivor = cluster.kill(IDS[0]);
    let mut cluster = recover(&mut survivor, |_| SimDisk::default());
    assert_eq!(cluster.read(), before);
    cluster.agree();
    IDS.iter().for_each(|id| assert_eq!(cluster.lines(*id), before));
}

#[test]
fn several_survivors_start_together() {
    let mut cluster = three(|_| SimDisk::default());
    (1..=30).for_each(|number| cluster.add(&number.to_string()));
    cluster.agree();
    let before = cluster.read();
    let mut disks: Vec<SimDisk> = IDS[..2].iter().map(|id| cluster.kill(*id)).collect();
    let mut survey = Survey::default();
    for (id, disk) in IDS.iter().zip(&mut disks) {
        survey.inspect(id.to_string(), disk, &config(*id).storage);
    }
    let two = membership(NEW, &IDS[..2]);
    let needless = Plan::new(&survey, None, &[], Consent::None, NEW, two.clone());
    assert_eq!(needless, Err(RecoveryRejectReason::QuorumAvailable(IDS[..2].to_vec())));
    let plan = Plan::new(&survey, None, &[], Consent::TwoClusters, NEW, two)
        .expect("the operator consented");
    assert_eq!(plan.source().loss, DataLoss::None);
    let chosen = plan.source().directory;
    let mut cluster = Cluster::new(NEW);
    for id in &IDS[..2] {
        let mut target = SimDisk::default();
        let made =
            plan.create_directory(&mut disks[chosen], *id, &mut target, &config(*id).storage);
        made.expect("there is room");
        cluster.start(*id, target).expect("the directory was created for this node");
    }
    cluster.add("together");
    assert_eq!(cluster.read(), before + "together\n");
}

#[test]
fn a_running_cluster_is_backed_up_and_restored_beside_itself() {
    let mut cluster = three(|_| SimDisk::default());
    let session = register(&mut cluster);
    assert_eq!(reply(cluster.request(in_session(session, 1, "first"))), "1");
    (2..=30).for_each(|number| cluster.add(&number.to_string()));
    // A linearizable read ensures that every acknowledged write is in the view.
    let before = cluster.read();
    let leader = cluster.leader().expect("it has one");
    let (head, mut frozen) = cluster.freeze(leader);
    cluster.add("later");
    let mut bytes = Vec::new();
    let root = backup(&head, &mut frozen, &mut bytes).expect("memory has room");
    let read = Backup::open(&mut &bytes[..]).and_then(Backup::verify);
    assert_eq!(read.expect("it is valid"), root);

    let copy = ClusterId(0xc09);
    let two = [NodeId(7), NodeId(8)];
    let mut restored = Cluster::new(copy);
    for id in two {
        let (mut disk, first) = (SimDisk::default(), membership(copy, &two));
        let made = restore(&mut &bytes[..], copy, &first, id, &mut disk, &config(id).storage);
        assert_eq!(made.expect("it is valid"), root, "every member has the same backup");
        restored.start(id, disk).expect("the directory was created for this node");
    }
    assert_eq!(restored.read(), before);
    assert_eq!(reply(restored.request(in_session(session, 1, "first"))), "1", "it is known");
    assert_eq!(restored.read(), before, "it was not executed again");
    restored.add("only here");
    assert_eq!(cluster.read(), before + "later\n", "the old cluster is independent");
    let origin = Origin { cluster: OLD, last: head.last };
    assert_eq!(restored.replica(two[0]).node.storage().origin(), Some(origin));
    let mut again = SimDisk::default();
    format(&mut again, copy, two[0], &membership(copy, &two));
    let first = membership(ClusterId(1), &two);
    let storage = config(two[0]).storage;
    let made = restore(&mut &bytes[..], ClusterId(1), &first, two[0], &mut again, &storage);
    let not_empty =
        matches!(made, Err(quorate::recovery::RestoreError::Target(OpenError::NotEmpty(_))));
    assert!(not_empty, "{made:?}");
}
