//! What clients in other processes get, over sockets: the same process here, and loopback.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::machine::SessionLimits;
use quorate::runtime::{
    Client, ClientConfig, ClientError, Proposed, Rejection, Server, Trouble, blocking,
};
use quorate::storage::ClusterId;
use quorate::types::{
    Acknowledge, Address, Change, Freshness, NodeId, ReadLevel, RejectReason, RoleName,
};
use tokio::task::JoinSet;

use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

/// Enough for calls that are to fail at it.
const SHORT: Duration = Duration::from_millis(400);

pub(crate) fn config_of(cluster: &Cluster, ids: impl IntoIterator<Item = u64>) -> ClientConfig {
    let addresses = ids.into_iter().map(|id| cluster.address(NodeId(id)).to_string());
    let deadline = Duration::from_secs(30);
    ClientConfig { deadline, ..ClientConfig::new(CLUSTER, addresses) }
}

/// A client that knows these nodes.
pub(crate) fn client_of(cluster: &Cluster, ids: impl IntoIterator<Item = u64>) -> Client {
    Client::new(config_of(cluster, ids)).expect("the configuration makes sense")
}

pub(crate) fn text(reply: &[u8]) -> &str {
    std::str::from_utf8(reply).expect("it is text")
}

fn number(reply: &[u8]) -> u64 {
    text(reply).parse().expect("it is a number")
}

async fn lines(client: &Client) -> usize {
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("it is answered");
    text(&read.answer).lines().count()
}

#[tokio::test]
async fn a_client_that_knows_a_follower_finds_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for id in 1..=3 {
        let client = client_of(&cluster, [id]);
        let reply = client.propose(format!("line {id}").as_bytes()).await;
        assert_eq!(number(&reply.expect("it is carried out")), id);
    }
    let read = client_of(&cluster, 1..=3).read(ReadLevel::Linearizable, b"").await;
    let answered = read.expect("it is answered");
    assert_eq!(text(&answered.answer), "line 1\nline 2\nline 3\n");
    let report = client_of(&cluster, [1]).report_of_leader().await.expect("it reports");
    assert_eq!(report.status.id, leader);
    assert_eq!((report.status.role, report.peers.len()), (RoleName::Leader, 2));
}

/// Adds lines from many tasks at once, while `storm` befalls the cluster: each line must come to
/// stand in the log once, and each reply must be its own.
async fn counted_through(cluster: &mut Cluster, storm: impl AsyncFnOnce(&mut Cluster)) {
    const TASKS: u64 = 8;
    const EACH: u64 = 60;
    let client = client_of(cluster, 1..=3);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut replies = Vec::new();
            for line in 0..EACH {
                let reply = client.propose(format!("{task} {line}").as_bytes()).await;
                replies.push(number(&reply.expect("a majority goes on")));
            }
            assert!(replies.is_sorted(), "one after the other: {replies:?}");
            replies
        });
    }
    storm(cluster).await;
    let replies: BTreeSet<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(replies.into_iter().eq(1..=TASKS * EACH), "each reply tells another count");
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("it is answered");
    let lines: Vec<&str> = text(&read.answer).lines().collect();
    let different: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!((lines.len() as u64, different.len() as u64), (TASKS * EACH, TASKS * EACH));
}

#[tokio::test]
async fn proposals_count_once_while_leaders_die() {
    let mut cluster = Cluster::start(3).await;
    counted_through(&mut cluster, async |cluster| {
        for _ in 0..2 {
            let leader = cluster.leader().await;
            let counted = cluster.handle(leader).report().await.expect("it runs").status.applied;
            eventually("some of them are carried out", async || {
                let report = cluster.handle(leader).report().await.expect("it runs");
                report.status.applied.0 > counted.0 + 20
            })
            .await;
            cluster.kill(leader).await;
            cluster.restart(leader).await;
        }
    })
    .await;
}

#[tokio::test]
async fn proposals_count_once_while_leadership_is_handed_over() {
    let mut cluster = Cluster::start(3).await;
    counted_through(&mut cluster, async |cluster| {
        for _ in 0..4 {
            let leader = cluster.leader().await;
            // It may be the next one's turn already.
            let _ = cluster.handle(leader).transfer(None).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_shut_down_lets_its_clients_go_on() {
    let mut cluster = Cluster::start(3).await;
    counted_through(&mut cluster, async |cluster| {
        let leader = cluster.leader().await;
        let server = cluster.servers.remove(&leader).expect("it runs");
        server.shutdown().await.expect("nothing failed");
        cluster.restart(leader).await;
    })
    .await;
}

#[tokio::test]
async fn where_nobody_is_nothing_was_proposed() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("all are there");
    for id in [1, 2, 3].map(NodeId) {
        cluster.kill(id).await;
    }
    let late = client.with_deadline(SHORT);
    let error = late.propose(b"two").await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::NotProposed(Trouble::Unreachable { .. })), "{error:?}");
    assert!(
        error.to_string().starts_with("nothing happened before the deadline: 127.0"),
        "{error}"
    );
    let error = late.read(ReadLevel::Local, b"").await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::NotProposed(_)), "{error:?}");
    for id in [1, 2, 3].map(NodeId) {
        cluster.restart(id).await;
    }
    assert_eq!(number(&client.propose(b"two").await.expect("they are back")), 2);
}

#[tokio::test]
async fn what_no_majority_decides_may_have_happened() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("all are there");
    let leader = cluster.leader().await;
    let others: Vec<NodeId> =
        [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.kill(*id).await;
    }
    let late = client.with_deadline(SHORT);
    let error = late.propose(b"two").await.expect_err("two are dead");
    assert!(matches!(error, ClientError::Unknown(_)), "{error:?}");
    assert!(error.to_string().starts_with("it may have happened"), "{error}");
    let error = late.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    assert!(error.is_err(), "{error:?}");
    for id in others {
        cluster.restart(id).await;
    }
    // Whether the second happened or not: this is the last, and happened once.
    let count = number(&client.propose(b"last").await.expect("they are back"));
    assert_eq!(lines(&client).await as u64, count);
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("it is answered");
    assert!(text(&read.answer).ends_with("\nlast\n"), "{read:?}");
    assert_eq!(text(&read.answer).matches("last").count(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_rejected() {
    let cluster = Cluster::start(1).await;
    let client = client_of(&cluster, [1]);
    let error = client.propose(&vec![7; 2 << 20]).await.expect_err("a command has 1 MiB at most");
    let reason = Rejection::Reason(RejectReason::TooLarge);
    assert_eq!(error, ClientError::Rejected(reason));
    assert!(error.to_string().ends_with("or raise command_bytes_max"), "{error}");
    let error = client.propose(&vec![7; 9 << 20]).await.expect_err("no frame is that long");
    assert_eq!(error, ClientError::Rejected(Rejection::RequestTooLarge));
    assert_eq!(number(&client.propose(b"one").await.expect("this one is short")), 1);
}

#[tokio::test]
async fn nodes_of_another_cluster_are_not_spoken_to() {
    let cluster = Cluster::start(1).await;
    let other = ClusterId(CLUSTER.0 + 1);
    let address = cluster.address(NodeId(1)).to_string();
    let config = ClientConfig { deadline: SHORT, ..ClientConfig::new(other, [address]) };
    let client = Client::new(config).expect("the configuration makes sense");
    let error = client.propose(b"one").await.expect_err("it is not the cluster meant");
    assert!(matches!(error, ClientError::NotProposed(Trouble::Unreachable { .. })), "{error:?}");
    assert!(error.to_string().contains("the node is of cluster"), "{error}");
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    const CLIENTS: u64 = 40;
    let cluster = Cluster::start(3).await;
    let mut tasks = JoinSet::new();
    for id in 0..CLIENTS {
        let client = client_of(&cluster, [id % 3 + 1]);
        tasks.spawn(async move {
            for line in 0..3 {
                client.propose(format!("{id} {line}").as_bytes()).await.expect("it is carried out");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(lines(&client_of(&cluster, [1])).await as u64, 3 * CLIENTS);
}

#[tokio::test]
async fn more_proposals_than_the_window_takes_wait_for_their_turn() {
    let cluster = Cluster::start(1).await;
    let session = SessionLimits { window: 2, ..SessionLimits::default() };
    let config = ClientConfig { session, ..config_of(&cluster, [1]) };
    let client = Client::new(config).expect("the configuration makes sense");
    let mut tasks = JoinSet::new();
    for line in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { client.propose(format!("{line}").as_bytes()).await });
    }
    let replies = tasks.join_all().await.into_iter();
    let replies: BTreeSet<u64> =
        replies.map(|reply| number(&reply.expect("it has time"))).collect();
    assert!(replies.into_iter().eq(1..=50));
}

#[tokio::test]
async fn whoever_gives_up_does_not_block_the_others() {
    let cluster = Cluster::start(1).await;
    let session = SessionLimits { window: 1, ..SessionLimits::default() };
    let config = ClientConfig { session, ..config_of(&cluster, [1]) };
    let client = Client::new(config).expect("the configuration makes sense");
    client.propose(b"first").await.expect("it is carried out");
    for _ in 0..5 {
        // Polled once at most, and dropped with its place.
        let mut dropped = tokio::task::JoinSet::new();
        let other = client.clone();
        dropped.spawn(async move { other.propose(b"dropped").await.is_ok() });
        tokio::task::yield_now().await;
        drop(dropped);
        client.propose(b"kept").await.expect("the place is free");
    }
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("it is answered");
    assert_eq!(text(&read.answer).matches("kept").count(), 5);
    assert!(text(&read.answer).matches("dropped").count() <= 5);
}

#[tokio::test]
async fn a_session_that_was_forgotten_is_made_anew() {
    let cluster = Cluster::start(1).await;
    let session = SessionLimits { sessions_max: 1, ..SessionLimits::default() };
    let clients = [(); 2].map(|()| {
        let config = ClientConfig { session, ..config_of(&cluster, [1]) };
        Client::new(config).expect("the configuration makes sense")
    });
    for count in 1..=6 {
        // Each opens its own session, and so ends the other's.
        let reply = clients[count % 2].propose(b"line").await.expect("it is carried out once");
        assert_eq!(number(&reply), count as u64);
    }
}

#[tokio::test]
async fn reads_are_answered_at_every_level() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("it is carried out");
    let levels = [
        (ReadLevel::Linearizable, Some(Freshness::Linearizable)),
        (ReadLevel::Lease, Some(Freshness::Linearizable)),
        (ReadLevel::Replica, Some(Freshness::Linearizable)),
        (ReadLevel::Bounded(Duration::from_secs(60)), None),
    ];
    for (level, freshness) in levels {
        let answered = client.read(level, b"").await.expect("it is answered");
        if let Some(freshness) = freshness {
            assert_eq!(
                (text(&answered.answer), answered.freshness),
                ("one\n", freshness),
                "{level}"
            );
        }
    }
    for id in [1, 2, 3].map(NodeId) {
        let address = cluster.address(id).to_string();
        let linearizable = client.read_at(&address, ReadLevel::Linearizable, b"").await;
        assert_eq!(text(&linearizable.expect("any node asks the leader").answer), "one\n");
        let local = client.read_at(&address, ReadLevel::Local, b"").await;
        let local = local.expect("it is answered at once");
        assert_eq!((text(&local.answer), local.freshness), ("one\n", Freshness::Unknown), "{id}");
        let report = client.report(&address).await.expect("it reports");
        assert_eq!(report.status.id, id);
    }
}

#[tokio::test]
async fn administrators_change_members_and_leaders() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, [1]);
    for line in 0..120 {
        client.propose(format!("{line}").as_bytes()).await.expect("it is carried out");
    }
    let config = cluster.joining(NodeId(4));
    let address = config.listen.to_string();
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(4), server);
    let place = Address::new(&address).expect("it is short");
    let change = Change::new().voter(NodeId(4)).address(NodeId(4), place);
    client.change_membership(change).await.expect("it gets the log");
    let report = client.report(&address).await.expect("it reports");
    assert!(report.membership.is_member(NodeId(4)));
    let read = client.read_at(&address, ReadLevel::Linearizable, b"").await;
    assert_eq!(text(&read.expect("it has the log").answer).lines().count(), 120);

    client.transfer(Some(NodeId(4))).await.expect("it keeps up");
    eventually("it leads", async || {
        let report = client.report(&address).await.expect("it reports");
        report.status.role == RoleName::Leader
    })
    .await;
    assert_eq!(number(&client.propose(b"more").await.expect("it leads")), 121);

    let error = client.give_up_change().await.expect_err("there is none");
    let reason = RejectReason::NothingToGiveUp;
    assert_eq!(error, ClientError::Rejected(Rejection::Reason(reason)));
    let error = client.change_membership(Change::new().remove(NodeId(9))).await;
    let error = error.expect_err("it is no member").to_string();
    assert!(error.contains("n9 is no member"), "{error}");
    let leaves = Change::new().remove(NodeId(1));
    client.change_membership(leaves).await.expect("the others agree");
    // It knew one node alone when it began, and that one is gone.
    cluster.kill(NodeId(1)).await;
    assert_eq!(number(&client.propose(b"more").await.expect("three are left")), 122);
}

#[tokio::test]
async fn administrators_have_snapshots_taken() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("it is carried out");
    for id in [1, 2, 3].map(NodeId) {
        let address = cluster.address(id).to_string();
        client.snapshot(&address).await.expect("it begins");
        eventually("the snapshot is there", async || {
            client.report(&address).await.expect("it reports").status.snapshot.0 > 0
        })
        .await;
        // Once more, with nothing new: it takes no harm.
        client.snapshot(&address).await.expect("it begins");
    }
}

#[tokio::test]
async fn an_administrator_has_a_node_campaign() {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    // By itself it would campaign long after the test.
    config.replica.raft.election_timeout_min = Duration::from_secs(600);
    config.replica.raft.election_timeout_max = Duration::from_secs(1200);
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    let client = client_of(&cluster, [1]);
    let address = cluster.address(NodeId(1)).to_string();
    eventually("it leads", async || {
        client.campaign(&address).await.expect("it campaigns");
        client.report(&address).await.expect("it reports").status.role == RoleName::Leader
    })
    .await;
    assert_eq!(number(&client.propose(b"one").await.expect("it leads")), 1);
}

#[tokio::test]
async fn a_proposal_outside_of_sessions_says_where_it_stands() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    let proposed = client.propose_at_most_once(b"one", Acknowledge::AllLive).await;
    let proposed = proposed.expect("all are there");
    assert_eq!(proposed.reply().map(|reply| number(reply)), Some(1));
    let proposed = client.propose_at_most_once(b"two", Acknowledge::LeaderOnly).await;
    let Ok(Proposed::MayBeLost { id }) = proposed else { panic!("{proposed:?}") };
    eventually("it is not lost: nothing failed", async || lines(&client).await == 2).await;
    assert!(id.index.0 > 0);
}

#[tokio::test]
async fn a_program_without_a_runtime_has_a_client() {
    let cluster = Cluster::start(3).await;
    let config = config_of(&cluster, 1..=3);
    let asked = tokio::task::spawn_blocking(move || {
        let client = blocking::Client::new(config).expect("the configuration makes sense");
        let threads = (0..4).map(|thread| {
            let client = client.clone();
            std::thread::spawn(move || {
                for line in 0..10 {
                    client.propose(format!("{thread} {line}").as_bytes()).expect("carried out");
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("no panic"));
        let report = client.report_of_leader().expect("it reports");
        let address = report.membership.members()[0].address.clone();
        client.snapshot(address.as_str()).expect("it begins");
        client.read(ReadLevel::Linearizable, b"").expect("it is answered").answer
    });
    let answer = asked.await.expect("no panic");
    assert_eq!(text(&answer).lines().count(), 40);
}

#[tokio::test]
async fn addresses_are_looked_up_and_kept_to_this_machine() {
    let cluster = Cluster::start(1).await;
    let port = cluster.address(NodeId(1)).port();
    let named = ClientConfig::new(CLUSTER, [format!("localhost:{port}")]);
    let client = Client::new(named).expect("the configuration makes sense");
    client.propose(b"one").await.expect("the name is known everywhere");

    let far = ClientConfig::new(CLUSTER, ["192.0.2.1:7000"]);
    let client = Client::new(ClientConfig { deadline: SHORT, ..far });
    let client = client.expect("the configuration makes sense");
    let error = client.propose(b"one").await.expect_err("it would be said in the clear");
    assert!(error.to_string().contains("use TLS, or allow `plaintext`"), "{error}");

    let nobody = ClientConfig::new(CLUSTER, [free_address().to_string()]);
    let client = Client::new(ClientConfig { deadline: SHORT, ..nobody });
    let error = client.expect("it makes sense").propose(b"one").await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::NotProposed(Trouble::Unreachable { .. })), "{error:?}");
    let none: [&str; 0] = [];
    for (addresses, expected) in [
        (&none[..], "no address of any node is given"),
        (&["nowhere"][..], "\"nowhere\" is no address: write host:port"),
        (&["host:http"][..], "\"host:http\" is no address: write host:port"),
    ] {
        let config = ClientConfig::new(CLUSTER, addresses.iter().copied());
        assert_eq!(Client::new(config).expect_err("it is refused").to_string(), expected);
    }
}
