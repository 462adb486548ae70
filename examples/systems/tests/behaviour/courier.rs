//! End-to-end tests of the courier: membership changes, TLS, forwarding and state validation.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, TlsConfig};
use quorate::storage::ClusterId;
use quorate::types::{Body, ComparisonBody, EntryId, Hash128, Index, NodeId};
use quorate_systems::courier::SYSTEM;

use crate::command_output::CommandOutput;
use crate::processes::eventually;
use crate::support::forger::{FORGED_TERM, Forger};
use crate::support::messaging::{receive, send, with_accounts};
use crate::support::{Caller, Cluster, Setup};

const COURIER: &str = env!("CARGO_BIN_EXE_courier");

/// Three nodes with TLS.
const WITH_TLS: Setup = Setup {
    program: COURIER,
    count: 3,
    server_flags: &[],
    client_flags: &[],
    certs: true,
    capture_traffic: false,
};
/// Three nodes with plaintext connections, whose traffic is captured.
const PLAINTEXT: Setup = Setup {
    program: COURIER,
    count: 3,
    server_flags: &["--plaintext"],
    client_flags: &["--plaintext"],
    certs: false,
    capture_traffic: true,
};

/// Returns the id of a follower.
fn follower(cluster: &Cluster) -> u64 {
    let leader = cluster.leader();
    cluster.ids().into_iter().find(|id| *id != leader).expect("there are three nodes")
}

/// Returns the terms of all nodes, once all answer.
fn terms(cluster: &Cluster) -> Vec<u64> {
    let mut terms = Vec::new();
    eventually("all nodes report their terms", || {
        let output = cluster.run(&["status"]).out;
        let term = |line: &str| line.split(", term ").nth(1)?.split(',').next()?.parse().ok();
        terms = output.lines().filter_map(term).collect();
        terms.len() == cluster.ids().len()
    });
    terms
}

#[test]
fn running_nodes_reload_renewed_certificates() {
    let cluster = with_accounts(WITH_TLS.start());
    cluster.run(&["certs", "certs", "--renew"]).ok();
    for id in cluster.ids() {
        cluster.signal(id, "HUP");
        eventually("it has reloaded", || cluster.log(id).contains("certificates reloaded"));
    }
    send(&cluster, "as before").ok();
    assert_eq!(receive(&cluster), ["as before"]);
}

#[test]
fn the_traffic_has_heartbeats_votes_appends_and_forwarded_requests() {
    let cluster = with_accounts(PLAINTEXT.start());
    let forwarded = || cluster.network.traffic(|traffic| traffic.count("forwarded request"));
    let text = "nothing is secret here";
    let mut sent = 0;
    // A client that reaches only a follower is served, because the follower forwards its request.
    eventually("a follower forwards a request", || {
        let (leader, before) = (cluster.leader(), forwarded());
        let follower =
            cluster.ids().into_iter().find(|id| *id != leader).expect("there are three nodes");
        cluster.network.cut(Caller::Client, leader);
        cluster.run_at(&[follower], &["--as", "ann", "send", "bob", text]).ok();
        sent += 1;
        cluster.network.heal();
        forwarded() > before
    });
    assert_eq!(receive(&cluster), vec![text; sent]);
    let kinds = [
        "RequestVote",
        "RequestVoteReply",
        "Heartbeat",
        "HeartbeatReply",
        "AppendEntries",
        "AppendEntriesReply",
        "forwarded request",
        "forwarded reply",
    ];
    for kind in kinds {
        assert!(cluster.network.traffic(|traffic| traffic.count(kind)) > 0, "{kind}");
    }
    assert!(
        cluster.network.traffic(|traffic| traffic.contains_text(text)),
        "the text is in plaintext"
    );
}

#[test]
fn the_last_survivor_continues() {
    let mut cluster = with_accounts(Setup { server_flags: &["--survivor"], ..WITH_TLS }.start());
    let mut sent = Vec::new();
    let mut left = cluster.ids();
    while left.len() > 1 {
        // The first message is acknowledged when all remaining nodes have it, the second one when
        // they know that the first one is committed.
        for part in ["first", "second"] {
            sent.push(format!("{part} by {}", left.len()));
            send(&cluster, sent.last().expect("a text was just added")).ok();
        }
        let leader = cluster.leader();
        cluster.kill(leader);
        left.retain(|id| *id != leader);
    }
    sent.push("by one".to_owned());
    send(&cluster, "by one").ok();
    assert_eq!(cluster.leader(), left[0]);
    cluster.run(&["status"]).prints(1, "survivor mode: not safe under partitions");
    let output = cluster.run_prompt("list\n");
    output.prints(0, "ann\nbob\n");
    assert!(output.err.contains("not safe under partitions"), "{output:?}");
    assert_eq!(receive(&cluster), sent);
    cluster.ids().into_iter().filter(|id| *id != left[0]).for_each(|id| cluster.serve(id));
    cluster.wait_until_healthy();
}

#[test]
fn a_message_acknowledged_by_the_leader_only_may_be_lost_and_the_sender_is_warned() {
    let cluster = with_accounts(WITH_TLS.start());
    // The outcome is not reported, even if the message is rejected.
    for to in ["bob", "eve"] {
        let output = cluster.run(&["send", to, "perhaps", "--fast"]).ok();
        assert!(output.starts_with("accepted by "), "{output}");
        assert!(output.ends_with("; may still be lost\n"), "{output}");
    }
    send(&cluster, "for sure").ok();
    let mut received = receive(&cluster);
    received.retain(|text| text != "perhaps");
    assert_eq!(received, ["for sure"]);
    // It may be lost, but not always, and is delivered at most once.
    let mut count = 0;
    eventually("a message sent with --fast arrives", || {
        count += 1;
        let text = format!("fast {count}");
        cluster.run(&["--as", "ann", "send", "bob", &text, "--fast"]).ok();
        send(&cluster, "for sure").ok();
        let mut received = receive(&cluster);
        received.retain(|received| *received != "for sure");
        assert!(received.is_empty() || received == [text.as_str()], "{received:?}");
        !received.is_empty()
    });
}

#[test]
fn a_fast_message_may_be_lost_and_an_acknowledged_one_is_not() {
    let cluster = with_accounts(PLAINTEXT.start());
    let (mut others, mut lost) = (Vec::new(), String::new());
    eventually("a partitioned leader accepts a message", || {
        cluster.network.heal();
        let leader = cluster.leader();
        others = cluster.ids().into_iter().filter(|id| *id != leader).collect();
        cluster.network.split(&[leader], &others);
        lost.push('x');
        let words = ["--as", "ann", "send", "bob", &lost, "--fast", "--timeout", "2s"];
        let output = cluster.run_at(&[leader], &words);
        // Otherwise the node had already stepped down, or was not the leader when it was cut off.
        output.out.starts_with(&format!("accepted by n{leader};"))
    });
    eventually("the others elect a leader", || {
        let output = cluster.run_at(&others, &["status", "--timeout", "3s"]).out;
        let leads = |id| output.lines().any(|line| is_led_by(line, id));
        others.iter().any(|id| leads(*id))
    });
    cluster.run_at(&others, &["--as", "ann", "send", "bob", "kept", "--timeout", "30s"]).ok();
    cluster.network.heal();
    cluster.wait_until_healthy();
    let received = receive(&cluster);
    assert!(received.contains(&"kept".to_owned()), "{received:?}");
    assert!(!received.contains(&lost), "the partitioned leader's message was delivered");
}

/// Returns true if a line of `status` shows this node as leader.
fn is_led_by(line: &str, id: u64) -> bool {
    line.starts_with(&format!("n{id} ")) && line.contains(" leader,")
}

/// Changes the membership, with retries for unknown outcomes, until `status` shows the change.
fn change(cluster: &Cluster, words: &[&str], id: u64, is_member: bool) {
    eventually("the membership has changed", || {
        // A change is rejected while another one is in progress, or if it is already complete.
        let output = cluster.run(&[words, &["--timeout", "10s"]].concat());
        assert_ne!(output.code, 2, "{output:?}");
        let members = cluster.run(&["status"]).out;
        let is_listed = members.lines().any(|line| line.starts_with(&format!("n{id} ")));
        members.contains(" leader,") && is_listed == is_member
    });
}

#[test]
fn nodes_are_added_and_removed_while_clients_send() {
    let mut cluster = with_accounts(WITH_TLS.start());
    let (client, is_over) = (cluster.client(&cluster.ids()), AtomicBool::new(false));
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let text = format!("text {}", sent.len());
                client.run(&["--as", "ann", "send", "bob", &text, "--timeout", "30s"]).ok();
                sent.push(text);
            }
            sent
        });
        for new in [4, 5] {
            let node = cluster.join(new);
            change(&cluster, &["add", &node], new, true);
            // The leader is removed each time.
            let leader = cluster.leader();
            change(&cluster, &["remove", &leader.to_string()], leader, false);
            cluster.forget(leader);
        }
        is_over.store(true, Ordering::Relaxed);
        sender.join().expect("every send succeeds")
    });
    assert_eq!(cluster.ids().len(), 3);
    cluster.wait_until_healthy();
    let received = receive(&cluster);
    assert_eq!(received, sent, "a message is lost, duplicated or out of order");
}

#[test]
fn an_open_prompt_does_not_forget_the_addresses_of_new_nodes() {
    let mut cluster = with_accounts(WITH_TLS.start());
    let (mut prompt, mut typed, mut page) = cluster.start_prompt();
    let mut list = || {
        typed.write_all(b"list\n").expect("the prompt reads its input");
        let mut users = page.by_ref().map(|line| line.expect("the prompt prints text"));
        assert!(users.any(|user| user == "bob"), "the prompt does not list the users");
    };
    list();
    let node = cluster.join(4);
    cluster.run(&["add", &node]).ok();
    list();
    drop(typed);
    assert!(prompt.wait().expect("the child can be waited for").success());
    let nodes = cluster.directory(1).with_file_name("quorate-systems").join("courier.nodes");
    let nodes = fs::read_to_string(nodes).expect("the addresses are remembered");
    assert!(nodes.contains(&cluster.addresses(&[4])), "the new node was forgotten: {nodes}");
}

#[test]
fn a_follower_answers_reads_and_reports_their_age() {
    let mut cluster = with_accounts(WITH_TLS.start());
    let follower = follower(&cluster);
    let name = format!("n{follower}");
    // Whether the answer has ann, and its maximum age in milliseconds; `None` if it is up to date
    // or of unknown age.
    let age = |cluster: &Cluster| {
        let output = cluster.run_at(&[follower], &["list", "--at", &name, "--timeout", "30s"]).ok();
        let age = output.lines().next().and_then(|line| line.strip_prefix(&format!("at {name}: ")));
        let age = age.unwrap_or_else(|| panic!("the answer has no age: {output}"));
        let known = age.strip_prefix("at most ").and_then(|rest| rest.strip_suffix(" s old"));
        let known: Option<u64> = known.and_then(|age| age.replace('.', "").parse().ok());
        (output.contains("\nann\n"), known)
    };
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != follower).collect();
    eventually("without the others it answers with a growing age", || {
        eventually("the follower has ann and knows the age", || {
            let (has_ann, known) = age(&cluster);
            has_ann && known.is_some()
        });
        cluster.run(&["dump", "--at", &name, "--within", "5s"]).prints(0, "ann: logged in");
        others.iter().for_each(|id| cluster.kill(*id));
        let (first, second) = (age(&cluster), age(&cluster));
        assert!(first.0 && second.0, "the answer lacks ann");
        let grows = first.1.is_some() && first.1 < second.1;
        if !grows {
            // The node was leader when the others were killed, and had not confirmed that it leads:
            // it does not know the age.
            others.iter().for_each(|id| cluster.serve(*id));
            cluster.wait_until_healthy();
        }
        grows
    });
    eventually("the age exceeds the limit", || age(&cluster).1 > Some(100));
    let fresh = ["list", "--at", &name, "--within", "0.1s", "--timeout", "2s"];
    cluster.run_at(&[follower], &fresh).fails_with(3, "not executed before the deadline");
    cluster
        .run_at(&[follower], &["list", "--timeout", "2s"])
        .fails_with(3, "not executed before the deadline");
    // After a restart it knows neither a leader nor an age.
    cluster.kill(follower);
    cluster.serve(follower);
    let output = cluster.run_at(&[follower], &["list", "--at", &name, "--timeout", "16s"]);
    output.prints(0, &format!("at {name}: of any age"));
    assert!(output.out.contains("\nann\n"), "{output:?}");
    let invalid = ["list", "[a]", "--at", &name, "--timeout", "16s"];
    cluster.run_at(&[follower], &invalid).fails_with(1, &format!("(at {name}: of any age"));
}

#[test]
fn nodes_and_clients_use_tls_by_default() {
    let cluster = with_accounts(Setup { capture_traffic: true, ..WITH_TLS }.start());
    // Texts long enough not to occur in ciphertext by chance.
    let (secret, name) = ("where the treasure is", "captain-of-the-ship");
    send(&cluster, secret).ok();
    cluster.run(&["create", name]).ok();
    assert_eq!(receive(&cluster), [secret]);
    assert!(cluster.network.traffic(|traffic| traffic.bytes() > secret.len()));
    for text in [secret, name] {
        assert!(
            !cluster.network.traffic(|traffic| traffic.contains_text(text)),
            "{text} was transmitted in plaintext"
        );
    }
    // Plaintext clients get no answer, and a node without certificates does not start.
    let plain = cluster.run(&["list", "--plaintext", "--timeout", "2s"]);
    plain.fails_with(8, "the remote uses TLS, but this end does not");
    let nodes = cluster.addresses(&[1]);
    let mut bare = cluster.command();
    bare.env_remove("COURIER_CERTS").env("XDG_STATE_HOME", "nowhere");
    bare.args(["--nodes", &nodes, "list"]);
    CommandOutput::run(&mut bare)
        .fails_with(2, "no certificates: create them with `courier certs DIR`");
    let mut bare = cluster.command();
    bare.env_remove("COURIER_CERTS");
    bare.args(["serve", "--id", "9", "--data-dir", "d9", "--members", "9=127.0.0.1:1"]);
    CommandOutput::run(&mut bare)
        .fails_with(2, "no certificates: create them with `courier certs DIR`");
    // The certificate directory is remembered, like the addresses.
    let mut remembering = cluster.command();
    remembering.env_remove("COURIER_CERTS").args(["list", "a*"]);
    assert_eq!(CommandOutput::run(&mut remembering).ok(), "ann\n");
    // Membership changes require an administrator certificate.
    let user = cluster.run(&["remove", "3", "--certificate", "client/user"]);
    user.fails_with(10, "use an administrator's certificate");
}

#[test]
fn certificate_errors_are_explained() {
    let cluster = WITH_TLS.start();
    let eve = cluster.run(&["list", "--certificate", "client/eve"]);
    eve.fails_with(2, "create it with `courier certs");
    cluster.run(&["list", "--certs", "none"]).fails_with(2, "directory none does not exist");
    // Certificates of another authority: client and nodes reject each other.
    let expired = CommandOutput::run(cluster.command().args(["certs", "others", "--days", "0"]));
    expired.fails_with(2, "'--days <N>'");
    CommandOutput::run(cluster.command().args(["certs", "others", "--days", "1"])).ok();
    let other = cluster.run(&["list", "--certs", "others", "--timeout", "2s"]);
    other.fails_with(9, "no node accepts this client");
    assert!(other.err.contains("certificate"), "{other:?}");
    // Certificates of another cluster.
    let path = cluster.directory(1).with_file_name("elsewhere");
    let directory = Directory::open(&path).expect("there is room");
    for principal in [Principal::Client("user".into()), Principal::Node(NodeId(1))] {
        directory.issue(ClusterId(7), &principal, 1).expect("there is room");
    }
    cluster.run(&["list", "--certs", "elsewhere"]).fails_with(2, "cluster");
    let mut serve = cluster.command();
    serve.args(["serve", "--certs", "elsewhere", "--id", "1", "--data-dir", "other"]);
    serve.args(["--members", "1=127.0.0.1:0"]);
    CommandOutput::run(&mut serve).fails_with(2, "the certificate names quorate://");
}

/// Returns the TLS configuration of `principal` in a directory of the cluster.
fn tls_config(cluster: &Cluster, directory: &str, principal: &Principal) -> TlsConfig {
    let path = cluster.directory(1).with_file_name(directory);
    Directory::open(path).expect("the directory exists").config(principal)
}

/// The reason for which a certificate of another authority is rejected.
const ISSUER: &str = "no trusted authority of its role has issued the certificate";

#[test]
fn forged_votes_are_rejected() {
    let cluster = with_accounts(WITH_TLS.start());
    CommandOutput::run(cluster.command().args(["certs", "others"])).ok();
    let node = |id| Principal::Node(NodeId(id));
    let two = tls_config(&cluster, "certs", &node(2));
    // Node 3 returns its incarnation in the handshake with node 2.
    let incarnation =
        Forger::connect(cluster.listen_address(3), &two).handshake(SYSTEM.cluster, 2, 3);
    let incarnation = incarnation.expect("node 2 is accepted").incarnation;
    let last = EntryId::new(FORGED_TERM, Index(1000));
    let forged_messages = [
        Body::RequestVote { last, transfer: true },
        Body::RequestVoteReply { granted: true, committed: Index::ZERO },
    ];
    for (count, forged) in (1..).zip(forged_messages) {
        let assert_rejected = |why: &str| {
            eventually(why, || cluster.log(1).matches(why).count() == count);
        };
        // Node 2 may send messages only in its own name.
        let mut forger = Forger::connect(cluster.listen_address(1), &two);
        assert!(forger.handshake(SYSTEM.cluster, 2, 1).is_some(), "node 2 is accepted");
        forger.send(3, incarnation, 1, forged.clone());
        forger.wait_for_disconnect();
        assert_rejected("n2 sent a packet of n3 to n1");
        // A client certificate and a certificate of another authority are not accepted for a node.
        let client = tls_config(&cluster, "certs", &Principal::Client("user".into()));
        let other = tls_config(&cluster, "others", &node(3));
        for (own, why) in [(client, "client user connected as node n3"), (other, ISSUER)] {
            let mut forger = Forger::connect(cluster.listen_address(1), &own);
            assert_eq!(forger.handshake(SYSTEM.cluster, 3, 1), None, "the handshake was answered");
            forger.send(3, incarnation, 1, forged.clone());
            forger.wait_for_disconnect();
            assert_rejected(why);
        }
    }
    let terms = terms(&cluster);
    assert!(
        terms.iter().all(|term| *term < FORGED_TERM.0),
        "a node accepted the forged term: {terms:?}"
    );
    send(&cluster, "all is well").ok();
}

#[test]
fn nodes_compare_their_states() {
    let cluster = with_accounts(PLAINTEXT.start());
    // More than the 128 entries after which nodes compare their whole states.
    let lines: String = (0..140).map(|text| format!("send bob {text}\n")).collect();
    cluster.run_prompt(&lines).ok();
    let states = || {
        let mut states: BTreeMap<Index, BTreeMap<NodeId, Hash128>> = BTreeMap::new();
        cluster.network.traffic(|traffic| {
            for comparison in traffic.comparisons() {
                if let ComparisonBody::Reply { index, state_digest, .. } = &comparison.body
                    && let Some(state) = state_digest.state
                {
                    states.entry(*index).or_default().insert(comparison.from, state);
                }
            }
        });
        states
    };
    eventually("all three nodes report a state digest", || {
        states().values().any(|all| all.len() == 3)
    });
    for (index, all) in states() {
        let first = all.values().next().expect("there is a state");
        assert!(all.values().all(|state| state == first), "at {index}: {all:?}");
    }
    eventually("every node reports agreement", || {
        let output = cluster.run(&["status"]).out;
        let agrees = |line: &&str| line.contains("agrees") && !line.contains("(0 comparisons)");
        output.lines().filter(agrees).count() == 3
    });
}
