//! The courier: servers that come and go, and nobody who listens in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, TlsConfig};
use quorate::storage::ClusterId;
use quorate::types::{Body, ComparisonBody, EntryId, Hash128, Index, NodeId};
use quorate_systems::courier::SYSTEM;

use crate::processes::eventually;
use crate::said::Told;
use crate::support::forger::{FAR, Forger};
use crate::support::{Caller, Cluster, Setup};

const COURIER: &str = env!("CARGO_BIN_EXE_courier");

/// Three nodes that speak TLS.
const SAFE: Setup =
    Setup { program: COURIER, count: 3, serve: &[], ask: &[], certs: true, listens: false };
/// Three nodes whose every word can be heard.
const PLAIN: Setup = Setup {
    program: COURIER,
    count: 3,
    serve: &["--plaintext"],
    ask: &["--plaintext"],
    certs: false,
    listens: true,
};

/// A cluster with accounts of ann, who is logged in, and of bob, who is not.
fn peopled(setup: Setup) -> Cluster {
    let cluster = setup.start();
    for words in [&["create", "ann"], &["create", "bob"], &["login", "ann"]] {
        cluster.ask(words).ok();
    }
    cluster
}

/// Has ann send bob a text.
fn send(cluster: &Cluster, text: &str) -> Told {
    cluster.ask(&["--as", "ann", "send", "bob", text, "--timeout", "30"])
}

/// Logs bob in, and has it take what waits: the texts alone.
fn receive(cluster: &Cluster) -> Vec<String> {
    cluster.ask(&["login", "bob", "--timeout", "30"]).ok();
    texts(&cluster.ask(&["--as", "bob", "receive", "--timeout", "30"]).ok())
}

fn texts(out: &str) -> Vec<String> {
    out.lines().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect()
}

/// A node that does not lead.
fn backup(cluster: &Cluster) -> u64 {
    let leader = cluster.leader();
    cluster.ids().into_iter().find(|id| *id != leader).expect("there are three")
}

/// The terms of all nodes, once all answer.
fn terms(cluster: &Cluster) -> Vec<u64> {
    let mut terms = Vec::new();
    eventually("all nodes tell their terms", || {
        let told = cluster.ask(&["status"]).out;
        let term = |line: &str| line.split(", term ").nth(1)?.split(',').next()?.parse().ok();
        terms = told.lines().filter_map(term).collect();
        terms.len() == cluster.ids().len()
    });
    terms
}

#[test]
fn renewed_certificates_are_read_by_nodes_that_run() {
    let cluster = peopled(SAFE);
    cluster.ask(&["certs", "certs", "--renew"]).ok();
    for id in cluster.ids() {
        cluster.signal(id, "HUP");
        eventually("it has them", || cluster.words(id).contains("certificates are read anew"));
    }
    send(&cluster, "as before").ok();
    assert_eq!(receive(&cluster), ["as before"]);
}

#[test]
fn heartbeats_votes_appends_and_forwarded_requests_are_seen_on_the_wire() {
    let cluster = peopled(PLAIN);
    let forwarded = || cluster.wires.heard(|heard| heard.count("forwarded request"));
    let text = "nothing is secret here";
    // Whoever reaches a backup only is served all the same: it passes on what it is asked.
    eventually("a backup is asked", || {
        let (leader, before) = (cluster.leader(), forwarded());
        let backup = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
        cluster.wires.cut(Caller::Client, leader);
        cluster.ask_of(&[backup], &["--as", "ann", "send", "bob", text]).ok();
        cluster.wires.mend();
        forwarded() > before
    });
    assert!(receive(&cluster).iter().all(|received| received == text));
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
        assert!(cluster.wires.heard(|heard| heard.count(kind)) > 0, "{kind}");
    }
    assert!(cluster.wires.heard(|heard| heard.reads(text)), "it is in the clear");
}

#[test]
fn a_lone_survivor_carries_on() {
    let mut cluster = peopled(Setup { serve: &["--survivor"], ..SAFE });
    let mut sent = Vec::new();
    let mut left = cluster.ids();
    while left.len() > 1 {
        // The first is answered when all that are left have it, the second once they know of that.
        for part in ["first", "second"] {
            sent.push(format!("{part} by {}", left.len()));
            send(&cluster, sent.last().expect("it was just sent")).ok();
        }
        let leader = cluster.leader();
        cluster.kill(leader);
        left.retain(|id| *id != leader);
    }
    sent.push("by one".to_owned());
    send(&cluster, "by one").ok();
    assert_eq!(cluster.leader(), left[0]);
    cluster.ask(&["status"]).says(1, "survivor mode: not safe under partitions");
    let told = cluster.type_in("list\n");
    told.says(0, "ann\nbob\n");
    assert!(told.err.contains("not safe under partitions"), "{told:?}");
    assert_eq!(receive(&cluster), sent);
    cluster.ids().into_iter().filter(|id| *id != left[0]).for_each(|id| cluster.serve(id));
    cluster.is_well();
}

#[test]
fn a_message_may_be_sent_asynchronously_and_the_sender_is_told() {
    let cluster = peopled(SAFE);
    // What becomes of it nobody hears, and be it refused.
    for to in ["bob", "eve"] {
        let told = cluster.ask(&["send", to, "perhaps", "--fast"]).ok();
        assert!(told.starts_with("taken by "), "{told}");
        assert!(told.ends_with("; may still be lost\n"), "{told}");
    }
    send(&cluster, "for sure").ok();
    let mut received = receive(&cluster);
    received.retain(|text| text != "perhaps");
    assert_eq!(received, ["for sure"]);
    // It may be lost, but not always; and it comes once.
    let mut count = 0;
    eventually("one that was sent at once arrives", || {
        count += 1;
        let text = format!("at once {count}");
        cluster.ask(&["--as", "ann", "send", "bob", &text, "--fast"]).ok();
        send(&cluster, "for sure").ok();
        let mut received = receive(&cluster);
        received.retain(|received| *received != "for sure");
        assert!(received.is_empty() || received == [text.as_str()], "{received:?}");
        !received.is_empty()
    });
}

#[test]
fn a_message_that_one_server_has_taken_may_be_lost_and_one_with_a_number_is_not() {
    let cluster = peopled(PLAIN);
    let (mut others, mut lost) = (Vec::new(), String::new());
    eventually("a leader that is cut off takes a message", || {
        cluster.wires.mend();
        let leader = cluster.leader();
        others = cluster.ids().into_iter().filter(|id| *id != leader).collect();
        cluster.wires.split(&[leader], &others);
        lost.push('x');
        let words = ["--as", "ann", "send", "bob", &lost, "--fast", "--timeout", "2"];
        let told = cluster.ask_of(&[leader], &words);
        // Else it had noticed already, or another one led when it was asked.
        told.out.starts_with(&format!("taken by n{leader};"))
    });
    eventually("the others go on without it", || {
        let told = cluster.ask_of(&others, &["status", "--timeout", "3"]).out;
        let leads = |id| told.lines().any(|line| is_led_by(line, id));
        others.iter().any(|id| leads(*id))
    });
    cluster.ask_of(&others, &["--as", "ann", "send", "bob", "kept", "--timeout", "30"]).ok();
    cluster.wires.mend();
    cluster.is_well();
    let received = receive(&cluster);
    assert!(received.contains(&"kept".to_owned()), "{received:?}");
    assert!(!received.contains(&lost), "nobody but the one that was cut off ever had it");
}

/// Whether a line of `status` says that this node leads.
fn is_led_by(line: &str, id: u64) -> bool {
    line.starts_with(&format!("n{id} ")) && line.contains(" leads")
}

/// Has the members changed, and again if nobody knows whether they were, until `status` says so.
fn change(cluster: &Cluster, words: &[&str], id: u64, is_member: bool) {
    eventually("the members have changed", || {
        // A change that is under way refuses another one, and so does one that is done already.
        let told = cluster.ask(&[words, &["--timeout", "10"]].concat());
        assert_ne!(told.code, 2, "{told:?}");
        let members = cluster.ask(&["status"]).out;
        let is_listed = members.lines().any(|line| line.starts_with(&format!("n{id} ")));
        members.contains(" leads") && is_listed == is_member
    });
}

#[test]
fn servers_are_added_and_removed_while_clients_talk() {
    let mut cluster = peopled(SAFE);
    let (client, is_over) = (cluster.client(&cluster.ids()), AtomicBool::new(false));
    let sent = thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut sent = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let text = format!("text {}", sent.len());
                client.ask(&["--as", "ann", "send", "bob", &text, "--timeout", "30"]).ok();
                sent.push(text);
            }
            sent
        });
        for new in [4, 5] {
            let node = cluster.join(new);
            change(&cluster, &["add", &node], new, true);
            // The one that leads goes: a founder first, and then whoever leads after it.
            let leader = cluster.leader();
            change(&cluster, &["remove", &leader.to_string()], leader, false);
            cluster.forget(leader);
        }
        is_over.store(true, Ordering::Relaxed);
        talk.join().expect("it says what is wrong")
    });
    assert_eq!(cluster.ids().len(), 3);
    cluster.is_well();
    let received = receive(&cluster);
    assert_eq!(received, sent, "all of it, once and in order");
}

#[test]
fn a_backup_answers_reads_and_says_how_old() {
    let mut cluster = peopled(SAFE);
    let backup = backup(&cluster);
    let name = format!("n{backup}");
    // Whether it has ann, and how old that is, in milliseconds; none if that is up to date.
    let age = |cluster: &Cluster| {
        let told = cluster.ask_of(&[backup], &["list", "--at", &name, "--timeout", "30"]).ok();
        let age = told.lines().next().and_then(|line| line.strip_prefix(&format!("at {name}: ")));
        let age = age.unwrap_or_else(|| panic!("it does not say how old it is: {told}"));
        let known = age.strip_prefix("at most ").and_then(|rest| rest.strip_suffix(" s old"));
        let known: Option<u64> = known.and_then(|age| age.replace('.', "").parse().ok());
        (told.contains("\nann\n"), known)
    };
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != backup).collect();
    eventually("alone it answers, and says that its answers grow old", || {
        eventually("the backup has ann, and knows how old that is", || {
            let (has_ann, known) = age(&cluster);
            has_ann && known.is_some()
        });
        cluster.ask(&["dump", "--at", &name, "--within", "5"]).says(0, "ann: logged in");
        others.iter().for_each(|id| cluster.kill(*id));
        let (first, second) = (age(&cluster), age(&cluster));
        assert!(first.0 && second.0, "nothing is forgotten");
        let grows = first.1.is_some() && first.1 < second.1;
        if !grows {
            // It led just then, and had asked nobody yet.
            others.iter().for_each(|id| cluster.serve(*id));
            cluster.is_well();
        }
        grows
    });
    eventually("nobody believes that it is fresh", || age(&cluster).1 > Some(100));
    let fresh = ["list", "--at", &name, "--within", "0.1", "--timeout", "2"];
    cluster.ask_of(&[backup], &fresh).refused(3, "nothing happened");
    cluster.ask_of(&[backup], &["list", "--timeout", "2"]).refused(3, "nothing happened");
    // Started anew it knows no leader, and no age.
    cluster.kill(backup);
    cluster.serve(backup);
    let told = cluster.ask_of(&[backup], &["list", "--at", &name, "--timeout", "16"]);
    told.says(0, &format!("at {name}: of any age"));
    assert!(told.out.contains("\nann\n"), "{told:?}");
}

#[test]
fn servers_and_clients_speak_tls_by_default() {
    let cluster = peopled(Setup { listens: true, ..SAFE });
    // Texts that no ciphertext holds by chance.
    let (secret, name) = ("where the treasure is", "captain-of-the-ship");
    send(&cluster, secret).ok();
    cluster.ask(&["create", name]).ok();
    assert_eq!(receive(&cluster), [secret]);
    assert!(cluster.wires.heard(|heard| heard.bytes() > secret.len()));
    for text in [secret, name] {
        assert!(!cluster.wires.heard(|heard| heard.reads(text)), "{text} can be read on the way");
    }
    // In the clear nobody is answered, and a node without certificates does not start.
    let plain = cluster.ask(&["list", "--plaintext", "--timeout", "2"]);
    plain.refused(3, "nothing happened");
    let nodes = cluster.addresses(&[1]);
    let mut bare = cluster.command();
    bare.env_remove("COURIER_CERTS").env("XDG_STATE_HOME", "nowhere");
    bare.args(["--nodes", &nodes, "list"]);
    Told::of(&mut bare).refused(2, "no certificates: make them by `courier certs DIR`");
    let mut bare = cluster.command();
    bare.env_remove("COURIER_CERTS");
    bare.args(["serve", "--id", "9", "--data-dir", "d9", "--members", "9=127.0.0.1:1"]);
    Told::of(&mut bare).refused(2, "no certificates: make them by `courier certs DIR`");
    // The directory is remembered, as the nodes are.
    let mut told_before = cluster.command();
    told_before.env_remove("COURIER_CERTS").args(["list", "a*"]);
    assert_eq!(Told::of(&mut told_before).ok(), "ann\n");
    // Who administers shows another certificate than who talks.
    let talker = cluster.ask(&["remove", "3", "--certificate", "client/user"]);
    talker.refused(5, "use an administrator's certificate");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let cluster = SAFE.start();
    let eve = cluster.ask(&["list", "--certificate", "client/eve"]);
    eve.refused(2, "make it by `courier certs");
    cluster.ask(&["list", "--certs", "none"]).refused(2, "there is no directory none");
    // Of another authority: no node believes it, and it believes no node.
    Told::of(cluster.command().args(["certs", "others"])).ok();
    let other = cluster.ask(&["list", "--certs", "others", "--timeout", "2"]);
    other.refused(3, "nothing happened");
    assert!(other.err.contains("certificate"), "{other:?}");
    // Of another cluster.
    let path = cluster.directory(1).with_file_name("elsewhere");
    let directory = Directory::open(&path).expect("there is room");
    for principal in [Principal::Client("user".into()), Principal::Node(NodeId(1))] {
        directory.issue(ClusterId(7), &principal, 1).expect("there is room");
    }
    cluster.ask(&["list", "--certs", "elsewhere"]).refused(2, "cluster");
    let mut serve = cluster.command();
    serve.args(["serve", "--certs", "elsewhere", "--id", "1", "--data-dir", "other"]);
    serve.args(["--members", "1=127.0.0.1:0"]);
    Told::of(&mut serve).refused(2, "it is for quorate://");
}

/// The certificate of `principal` in the directory that all have.
fn papers(cluster: &Cluster, directory: &str, principal: &Principal) -> TlsConfig {
    let path = cluster.directory(1).with_file_name(directory);
    Directory::open(path).expect("it is there").config(principal)
}

#[test]
fn forged_vote_is_refused() {
    let cluster = peopled(SAFE);
    Told::of(cluster.command().args(["certs", "others"])).ok();
    let node = |id| Principal::Node(NodeId(id));
    let two = papers(&cluster, "certs", &node(2));
    // Node 3 tells whoever calls it as node 2 which of its lives this is.
    let life = Forger::call(cluster.listens(3), &two).greet(SYSTEM.cluster, 2, 3);
    let life = life.expect("node 2 is let in").incarnation;
    let last = EntryId::new(FAR, Index(1000));
    let lies =
        [Body::RequestVote { last, transfer: true }, Body::RequestVoteReply { granted: true }];
    for (times, lie) in (1..).zip(lies) {
        let is_refused = |why: &str| {
            eventually(why, || cluster.words(1).matches(why).count() == times);
        };
        // Node 2 may say what node 2 says, and nothing else.
        let mut forger = Forger::call(cluster.listens(1), &two);
        assert!(forger.greet(SYSTEM.cluster, 2, 1).is_some(), "it is node 2 so far");
        forger.send((3, life), 1, lie.clone());
        forger.is_sent_away();
        is_refused("n2 sends what n3 would say to n1");
        // A client is no node; and who is of another authority is nobody.
        let client = papers(&cluster, "certs", &Principal::Client("user".into()));
        let other = papers(&cluster, "others", &node(3));
        for (own, why) in [(client, "client user wants to be a node, n3"), (other, "UnknownIssuer")]
        {
            let mut forger = Forger::call(cluster.listens(1), &own);
            assert_eq!(forger.greet(SYSTEM.cluster, 3, 1), None, "it is not answered");
            forger.send((3, life), 1, lie.clone());
            forger.is_sent_away();
            is_refused(why);
        }
    }
    let terms = terms(&cluster);
    assert!(terms.iter().all(|term| *term < FAR.0), "nobody believed it: {terms:?}");
    send(&cluster, "all is well").ok();
}

#[test]
fn states_are_compared() {
    let cluster = peopled(PLAIN);
    // Enough that all nodes come to an index at which whole states are compared.
    let lines: String = (0..140).map(|text| format!("send bob {text}\n")).collect();
    cluster.type_in(&lines).ok();
    let states = || {
        let mut states: BTreeMap<Index, BTreeMap<NodeId, Hash128>> = BTreeMap::new();
        cluster.wires.heard(|heard| {
            for comparison in heard.comparisons() {
                if let ComparisonBody::Answer { index, imprint, .. } = &comparison.body
                    && let Some(state) = imprint.state
                {
                    states.entry(*index).or_default().insert(comparison.from, state);
                }
            }
        });
        states
    };
    eventually("all three say what their state is", || states().values().any(|all| all.len() == 3));
    for (index, all) in states() {
        let first = all.values().next().expect("somebody answered");
        assert!(all.values().all(|state| state == first), "at {index}: {all:?}");
    }
    eventually("each has found that it agrees", || {
        let told = cluster.ask(&["status"]).out;
        let agrees = |line: &&str| line.contains("agrees") && !line.contains("(0 comparisons)");
        told.lines().filter(agrees).count() == 3
    });
}
