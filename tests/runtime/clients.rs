//! Clients over loopback sockets, against a running cluster.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use quorate::machine::SessionLimits;
use quorate::runtime::{
    AttemptError, Client, ClientConfig, ClientError, Mismatch, ProposalOutcome, RejectCause,
    Server, blocking,
};
use quorate::storage::ClusterId;
use quorate::types::{
    Acknowledge, Address, Change, EntryId, Freshness, NodeId, ReadLevel, RejectReason, RoleName,
    SessionBounds,
};
use tokio::task::JoinSet;

use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

/// A deadline that a call is expected to miss.
const SHORT: Duration = Duration::from_millis(400);

pub(crate) fn config_of(cluster: &Cluster, ids: impl IntoIterator<Item = u64>) -> ClientConfig {
    let addresses = ids.into_iter().map(|id| cluster.address(NodeId(id)));
    let deadline = Duration::from_secs(30);
    ClientConfig { deadline, ..ClientConfig::new(CLUSTER, addresses) }
}

/// Returns a client that knows these nodes.
pub(crate) fn client_of(cluster: &Cluster, ids: impl IntoIterator<Item = u64>) -> Client {
    Client::new(config_of(cluster, ids)).expect("the configuration is valid")
}

pub(crate) fn text(reply: &[u8]) -> &str {
    std::str::from_utf8(reply).expect("the reply is UTF-8")
}

fn number(reply: &[u8]) -> u64 {
    text(reply).parse().expect("the reply is a number")
}

async fn lines(client: &Client) -> usize {
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the read is answered");
    text(&read.answer).lines().count()
}

#[tokio::test]
async fn a_client_that_knows_a_follower_finds_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for id in 1..=3 {
        let client = client_of(&cluster, [id]);
        let reply = client.propose(format!("line {id}").as_bytes()).await;
        assert_eq!(number(&reply.expect("it is applied")), id);
    }
    let read = client_of(&cluster, 1..=3).read(ReadLevel::Linearizable, b"").await;
    let read_reply = read.expect("the read is answered");
    assert_eq!(text(&read_reply.answer), "line 1\nline 2\nline 3\n");
    let report = client_of(&cluster, [1]).report_of_leader().await.expect("the node reports");
    assert_eq!(report.status.id, leader);
    assert_eq!((report.status.role, report.peers.len()), (RoleName::Leader, 2));
}

#[tokio::test]
async fn the_report_of_the_leader_is_never_that_of_another_node() {
    let mut cluster = Cluster::start(3).await;
    client_of(&cluster, 1..=3).propose(b"line").await.expect("it is applied");
    for id in [2, 3].map(NodeId) {
        cluster.kill(id).await;
    }
    let client = client_of(&cluster, [1]).with_deadline(Duration::from_secs(1));
    let left = cluster.address(NodeId(1)).to_string();
    eventually("the last node knows no leader", async || {
        client.report(&left).await.expect("the node reports").status.leader.is_none()
    })
    .await;
    let error = client.report_of_leader().await.expect_err("there is no leader");
    assert!(matches!(error, ClientError::NotExecuted(_)), "{error:?}");
    let any = client.report_of_any().await.expect("one node is left");
    assert_eq!((any.status.id, any.status.leader), (NodeId(1), None));
    let waiting = client.with_deadline(Duration::from_secs(60));
    let waiting = tokio::spawn(async move { waiting.report_of_leader().await });
    cluster.restart(NodeId(2)).await;
    let report = waiting.await.expect("no panic").expect("two nodes elect a leader");
    assert_eq!(report.status.leader, Some(report.status.id));
}

/// Proposes lines from many tasks concurrently while `disturb` runs. Each line must be applied
/// once, and each task must get its own replies.
async fn propose_during(cluster: &mut Cluster, disturb: impl AsyncFnOnce(&mut Cluster)) {
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
                replies.push(number(&reply.expect("a majority runs")));
            }
            assert!(replies.is_sorted(), "one after the other: {replies:?}");
            replies
        });
    }
    disturb(cluster).await;
    let replies: BTreeSet<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(replies.into_iter().eq(1..=TASKS * EACH), "the replies are distinct");
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the read is answered");
    let lines: Vec<&str> = text(&read.answer).lines().collect();
    let different: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!((lines.len() as u64, different.len() as u64), (TASKS * EACH, TASKS * EACH));
}

#[tokio::test]
async fn proposals_are_applied_once_while_leaders_crash() {
    let mut cluster = Cluster::start(3).await;
    propose_during(&mut cluster, async |cluster| {
        for _ in 0..2 {
            let leader = cluster.leader().await;
            let counted =
                cluster.handle(leader).report().await.expect("the node runs").status.applied;
            eventually("some proposals are applied", async || {
                let report = cluster.handle(leader).report().await.expect("the node runs");
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
async fn proposals_are_applied_once_during_leadership_transfers() {
    let mut cluster = Cluster::start(3).await;
    propose_during(&mut cluster, async |cluster| {
        for _ in 0..4 {
            let leader = cluster.leader().await;
            // The transfer is rejected if another node leads by now.
            let _ = cluster.handle(leader).transfer_leadership(None).await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_continue_when_a_server_shuts_down() {
    let mut cluster = Cluster::start(3).await;
    propose_during(&mut cluster, async |cluster| {
        let leader = cluster.leader().await;
        let server = cluster.servers.remove(&leader).expect("the node runs");
        server.shutdown().await.expect("no failure");
        cluster.restart(leader).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_reachable_node_nothing_is_executed() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("all nodes run");
    for id in [1, 2, 3].map(NodeId) {
        cluster.kill(id).await;
    }
    let late = client.with_deadline(SHORT);
    let error = late.propose(b"two").await.expect_err("no node runs");
    assert!(
        matches!(error, ClientError::NotExecuted(AttemptError::Unreachable { .. })),
        "{error:?}"
    );
    assert!(
        error.to_string().starts_with("the request was not executed before the deadline: 127.0"),
        "{error}"
    );
    let error = late.read(ReadLevel::Local, b"").await.expect_err("no node runs");
    assert!(matches!(error, ClientError::NotExecuted(_)), "{error:?}");
    for id in [1, 2, 3].map(NodeId) {
        cluster.restart(id).await;
    }
    assert_eq!(number(&client.propose(b"two").await.expect("the nodes run again")), 2);
}

#[tokio::test]
async fn without_a_majority_the_outcome_is_unknown() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("all nodes run");
    let leader = cluster.leader().await;
    let others: Vec<NodeId> =
        [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.kill(*id).await;
    }
    let late = client.with_deadline(SHORT);
    let error = late.propose(b"two").await.expect_err("two nodes are down");
    assert!(matches!(error, ClientError::Unknown(_)), "{error:?}");
    assert!(error.to_string().starts_with("the outcome is unknown"), "{error}");
    let error = late.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    assert!(error.is_err(), "{error:?}");
    for id in others {
        cluster.restart(id).await;
    }
    // Whether or not the second line was applied, this one is the last and was applied once.
    let count = number(&client.propose(b"last").await.expect("the nodes run again"));
    assert_eq!(lines(&client).await as u64, count);
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the read is answered");
    assert!(text(&read.answer).ends_with("\nlast\n"), "{read:?}");
    assert_eq!(text(&read.answer).matches("last").count(), 1);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_rejected() {
    let cluster = Cluster::start(1).await;
    let client = client_of(&cluster, [1]);
    let error = client.propose(&vec![7; 2 << 20]).await.expect_err("the command exceeds its limit");
    let reason = RejectCause::Node(RejectReason::TooLarge);
    assert_eq!(error, ClientError::Rejected(reason));
    assert!(error.to_string().ends_with("or raise command_bytes_max"), "{error}");
    let error = client.propose(&vec![7; 9 << 20]).await.expect_err("the request exceeds a frame");
    assert_eq!(error, ClientError::Rejected(RejectCause::RequestTooLarge));
    assert_eq!(number(&client.propose(b"one").await.expect("the command is short")), 1);
}

#[tokio::test]
async fn nodes_of_another_cluster_are_rejected() {
    let cluster = Cluster::start(1).await;
    let other = ClusterId(CLUSTER.0 + 1);
    let address = cluster.address(NodeId(1)).to_string();
    let config = ClientConfig { deadline: SHORT, ..ClientConfig::new(other, [address]) };
    let client = Client::new(config).expect("the configuration is valid");
    let error = client.propose(b"one").await.expect_err("the node belongs to another cluster");
    assert!(
        matches!(error, ClientError::Mismatch { mismatch: Mismatch::Cluster, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("the node belongs to cluster"), "{error}");
}

#[tokio::test]
async fn many_clients_are_served_concurrently() {
    const CLIENTS: u64 = 40;
    let cluster = Cluster::start(3).await;
    let mut tasks = JoinSet::new();
    for id in 0..CLIENTS {
        let client = client_of(&cluster, [id % 3 + 1]);
        tasks.spawn(async move {
            for line in 0..3 {
                client.propose(format!("{id} {line}").as_bytes()).await.expect("it is applied");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(lines(&client_of(&cluster, [1])).await as u64, 3 * CLIENTS);
}

#[tokio::test]
async fn proposals_beyond_the_window_wait() {
    let cluster = Cluster::start(1).await;
    let session = SessionLimits { window: 2, ..SessionLimits::default() };
    let config = ClientConfig { session, ..config_of(&cluster, [1]) };
    let client = Client::new(config).expect("the configuration is valid");
    let mut tasks = JoinSet::new();
    for line in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { client.propose(format!("{line}").as_bytes()).await });
    }
    let replies = tasks.join_all().await.into_iter();
    let replies: BTreeSet<u64> =
        replies.map(|reply| number(&reply.expect("the deadline is far"))).collect();
    assert!(replies.into_iter().eq(1..=50));
}

#[tokio::test]
async fn a_dropped_proposal_does_not_block_others() {
    let cluster = Cluster::start(1).await;
    let session = SessionLimits { window: 1, ..SessionLimits::default() };
    let config = ClientConfig { session, ..config_of(&cluster, [1]) };
    let client = Client::new(config).expect("the configuration is valid");
    client.propose(b"first").await.expect("it is applied");
    for number in 0..5 {
        let command = format!("dropped {number}");
        {
            // Polled once, so that it takes the only slot, and dropped with it.
            let mut dropped = pin!(client.propose(command.as_bytes()));
            let polled = poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "the reply takes a round trip");
        }
        client.propose(b"kept").await.expect("the slot is free");
    }
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the read is answered");
    let applied: Vec<&str> = text(&read.answer).lines().collect();
    assert_eq!(applied.iter().filter(|line| **line == "kept").count(), 5);
    let mut dropped: Vec<&str> = applied.into_iter().filter(|it| it.starts_with("drop")).collect();
    let all = dropped.len();
    dropped.sort_unstable();
    dropped.dedup();
    assert_eq!(dropped.len(), all, "each is applied at most once: {dropped:?}");
}

#[tokio::test]
async fn an_expired_session_is_replaced() {
    let cluster = Cluster::start(1).await;
    let clients = [(); 2]
        .map(|()| Client::new(config_of(&cluster, [1])).expect("the configuration is valid"));
    let bounds = SessionBounds { sessions_per_principal_max: 1, ..SessionBounds::DEFAULT };
    clients[0].set_session_bounds(bounds).await.expect("without TLS clients are administrators");
    for count in 1..=6 {
        // Each client opens its own session, which expires the other's.
        let reply = clients[count % 2].propose(b"line").await.expect("it is applied");
        assert_eq!(number(&reply), count as u64);
    }
}

#[tokio::test]
async fn reads_are_answered_at_every_level() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("it is applied");
    let levels = [
        (ReadLevel::Linearizable, Some(Freshness::Linearizable)),
        (ReadLevel::Lease, Some(Freshness::Linearizable)),
        (ReadLevel::Replica, Some(Freshness::Linearizable)),
        (ReadLevel::Bounded(Duration::from_secs(60)), None),
    ];
    for (level, freshness) in levels {
        let read_reply = client.read(level, b"").await.expect("the read is answered");
        if let Some(freshness) = freshness {
            assert_eq!(
                (text(&read_reply.answer), read_reply.freshness),
                ("one\n", freshness),
                "{level}"
            );
        }
    }
    for id in [1, 2, 3].map(NodeId) {
        let address = cluster.address(id).to_string();
        let linearizable = client.read_at(&address, ReadLevel::Linearizable, b"").await;
        assert_eq!(
            text(&linearizable.expect("any node accepts linearizable reads").answer),
            "one\n"
        );
        let local = client.read_at(&address, ReadLevel::Local, b"").await;
        let local = local.expect("the local read is answered");
        assert_eq!((text(&local.answer), local.freshness), ("one\n", Freshness::Unknown), "{id}");
        let report = client.report(&address).await.expect("the node reports");
        assert_eq!(report.status.id, id);
    }
}

#[tokio::test]
async fn administrators_change_the_membership_and_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let client = client_of(&cluster, [1]);
    for line in 0..120 {
        client.propose(format!("{line}").as_bytes()).await.expect("it is applied");
    }
    let config = cluster.joining(NodeId(4));
    let address = config.listen.to_string();
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(4), server);
    let address_of_4 = Address::new(&address).expect("the address is short");
    let change = Change::new().voter(NodeId(4)).address(NodeId(4), address_of_4);
    client.change_membership(change).await.expect("the node receives the log");
    let report = client.report(&address).await.expect("the node reports");
    assert!(report.membership.is_member(NodeId(4)));
    let read = client.read_at(&address, ReadLevel::Linearizable, b"").await;
    assert_eq!(text(&read.expect("the node has the log").answer).lines().count(), 120);

    client.transfer_leadership(Some(NodeId(4))).await.expect("the node is up to date");
    eventually("it leads", async || {
        let report = client.report(&address).await.expect("the node reports");
        report.status.role == RoleName::Leader
    })
    .await;
    assert_eq!(number(&client.propose(b"more").await.expect("the node leads")), 121);

    let error = client.cancel_membership_change().await.expect_err("there is no change");
    let reason = RejectReason::NoChangeToCancel;
    assert_eq!(error, ClientError::Rejected(RejectCause::Node(reason)));
    let error = client.change_membership(Change::new().remove(NodeId(9))).await;
    let error = error.expect_err("the node is not a member").to_string();
    assert!(error.contains("n9 is not a member"), "{error}");
    let leaves = Change::new().remove(NodeId(1));
    client.change_membership(leaves).await.expect("the change is committed");
    // The client started with this node only, which is stopped now.
    cluster.kill(NodeId(1)).await;
    assert_eq!(number(&client.propose(b"more").await.expect("three nodes are left")), 122);
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn a_membership_change_waits_for_the_one_in_flight() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    // No node has this address: the change stays in flight until it is cancelled.
    let address = Address::new(&free_address().to_string()).expect("the address is short");
    let stuck = Change::new().voter(NodeId(4)).address(NodeId(4), address);
    let change = |change| {
        let client = client.clone();
        tokio::spawn(async move { client.change_membership(change).await })
    };
    let stuck = change(stuck);
    eventually("the change is in flight", async || {
        client.report_of_leader().await.expect("a majority runs").membership.is_member(NodeId(4))
    })
    .await;
    let next = change(Change::new().remove(NodeId(9)));
    let is_rejected = |server: &Server| {
        let metrics = server.handle().metrics().text();
        let in_flight = r#"quorate_rejected_requests_total{reason="membership_change_in_flight"} "#;
        let count = metrics.lines().find_map(|line| line.strip_prefix(in_flight));
        count.is_some_and(|count| count != "0")
    };
    eventually("the next change is rejected", async || {
        next.is_finished() || cluster.servers.values().any(is_rejected)
    })
    .await;
    client.cancel_membership_change().await.expect("the change can be cancelled");
    stuck.await.expect("no panic").expect_err("the change is cancelled");
    let error = next.await.expect("no panic").expect_err("the node is not a member").to_string();
    assert!(error.contains("n9 is not a member"), "{error}");
}

#[tokio::test]
async fn administrators_trigger_snapshots() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    client.propose(b"one").await.expect("it is applied");
    for id in [1, 2, 3].map(NodeId) {
        let address = cluster.address(id).to_string();
        client.snapshot(&address).await.expect("the snapshot starts");
        eventually("the snapshot is complete", async || {
            client.report(&address).await.expect("the node reports").status.snapshot.0 > 0
        })
        .await;
        // Another snapshot without new entries is harmless.
        client.snapshot(&address).await.expect("the snapshot starts");
    }
}

#[tokio::test]
async fn an_administrator_starts_an_election() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    let server = cluster.servers.remove(&NodeId(1)).expect("the node runs");
    server.shutdown().await.expect("no failure");
    let mut config = cluster.config(NodeId(1));
    // The election timeout exceeds the duration of the test.
    config.replica.raft.election_timeout_min = Duration::from_secs(600);
    config.replica.raft.election_timeout_max = Duration::from_secs(1200);
    let server = Server::start(config, Lines::default()).await.expect("it was shut down");
    cluster.servers.insert(NodeId(1), server);
    let client = client_of(&cluster, [1]);
    let address = cluster.address(NodeId(1)).to_string();
    eventually("it leads", async || {
        client.campaign(&address).await.expect("the node starts an election");
        client.report(&address).await.expect("the node reports").status.role == RoleName::Leader
    })
    .await;
    assert_eq!(number(&client.propose(b"one").await.expect("the node leads")), 1);
}

#[tokio::test]
async fn the_largest_counts_of_a_configuration_are_no_limit() {
    let mut cluster = Cluster::unstarted(3);
    for id in (1..=3).map(NodeId) {
        let mut config = cluster.config(id);
        (config.requests_max, config.network.packets_max) = (usize::MAX, usize::MAX);
        let raft = &mut config.replica.raft;
        (raft.reads_max, raft.all_live_max) = (usize::MAX, usize::MAX);
        let server = Server::start(config, Lines::default()).await;
        cluster.servers.insert(id, server.expect("the directory is new"));
    }
    let config = ClientConfig { requests_max: usize::MAX, ..config_of(&cluster, 1..=3) };
    let client = Client::new(config).expect("the configuration is valid");
    assert_eq!(number(&client.propose(b"one").await.expect("all nodes run")), 1);
}

#[tokio::test]
async fn a_proposal_outside_of_sessions_returns_its_log_position() {
    let cluster = Cluster::start(3).await;
    let client = client_of(&cluster, 1..=3);
    let proposed = client.propose_at_most_once(b"one", Acknowledge::AllLive).await;
    let proposed = proposed.expect("all nodes run");
    assert_eq!(proposed.reply().map(|reply| number(reply)), Some(1));
    let ProposalOutcome::Done { id: first, .. } = proposed else { panic!("{proposed:?}") };
    let proposed = client.propose_at_most_once(b"two", Acknowledge::LeaderOnly).await;
    let Ok(ProposalOutcome::MayBeLost { id }) = proposed else { panic!("{proposed:?}") };
    eventually("the command is applied", async || lines(&client).await == 2).await;
    assert_eq!(id, EntryId::new(first.term, first.index.next()), "it follows the first one");
}

#[tokio::test]
async fn a_program_without_a_runtime_can_use_the_blocking_client() {
    let cluster = Cluster::start(3).await;
    let config = config_of(&cluster, 1..=3);
    let requests = tokio::task::spawn_blocking(move || {
        let client = blocking::Client::new(config).expect("the configuration is valid");
        let threads = (0..4).map(|thread| {
            let client = client.clone();
            std::thread::spawn(move || {
                for line in 0..10 {
                    client.propose(format!("{thread} {line}").as_bytes()).expect("it is applied");
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("no panic"));
        let report = client.report_of_leader().expect("the node reports");
        let address = report.membership.members()[0].address.clone();
        client.snapshot(address.as_str()).expect("the snapshot starts");
        client.read(ReadLevel::Linearizable, b"").expect("the read is answered").answer
    });
    let answer = requests.await.expect("no panic");
    assert_eq!(text(&answer).lines().count(), 40);
}

#[tokio::test]
async fn addresses_are_resolved_and_limited_to_loopback() {
    let cluster = Cluster::start(1).await;
    let port = cluster.address(NodeId(1)).port();
    let named = ClientConfig::new(CLUSTER, [format!("localhost:{port}")]);
    let client = Client::new(named).expect("the configuration is valid");
    client.propose(b"one").await.expect("localhost resolves");

    let far = ClientConfig::new(CLUSTER, ["192.0.2.1:7000"]);
    let client = Client::new(ClientConfig { deadline: SHORT, ..far });
    let client = client.expect("the configuration is valid");
    let error = client.propose(b"one").await.expect_err("plaintext is not allowed");
    assert!(error.to_string().contains("use TLS, or set `plaintext`"), "{error}");

    let unreachable = ClientConfig::new(CLUSTER, [free_address()]);
    let client = Client::new(ClientConfig { deadline: SHORT, ..unreachable });
    let error = client
        .expect("the configuration is valid")
        .propose(b"one")
        .await
        .expect_err("no node runs");
    assert!(
        matches!(error, ClientError::NotExecuted(AttemptError::Unreachable { .. })),
        "{error:?}"
    );
    let none: [&str; 0] = [];
    for (addresses, expected) in [
        (&none[..], "no node addresses are configured"),
        (&["nowhere"][..], "\"nowhere\" is not an address: write host:port"),
        (&["host:http"][..], "\"host:http\" is not an address: write host:port"),
    ] {
        let config = ClientConfig::new(CLUSTER, addresses.iter().copied());
        assert_eq!(
            Client::new(config).expect_err("the configuration is rejected").to_string(),
            expected
        );
    }
}
