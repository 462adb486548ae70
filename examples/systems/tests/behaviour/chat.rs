//! The chat: one primary, two backups, and the last one of them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::asked::get;
use crate::processes::eventually;
use crate::said::Told;
use crate::support::{Caller, Cluster, Setup};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

/// Three nodes, with accounts of ann, who is logged in, and of bob, who is not.
fn chat() -> Cluster {
    peopled(Cluster::start(CHAT, 3))
}

/// The same, of which the last one goes on.
fn survivors() -> Cluster {
    peopled(Cluster::start_with(CHAT, 3, &["--survivor"]))
}

fn peopled(cluster: Cluster) -> Cluster {
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

/// Waits until all nodes have the same, each by its own word.
fn all_are_equal(cluster: &Cluster) {
    eventually("all nodes have the same", || {
        let dumps = cluster.ids().into_iter().map(|id| cluster.addresses(&[id]));
        let dumps = dumps.map(|node| cluster.ask(&["dump", &node, "--timeout", "3"]));
        let dumps: Vec<_> = dumps.map(|told| (told.code, told.out)).collect();
        dumps.iter().all(|dump| *dump == dumps[0] && dump.0 == 0 && dump.1.contains("ann: "))
    });
}

#[test]
fn lowest_id_leads_first_and_clients_find_the_primary() {
    let mut cluster = chat();
    cluster.leads(1);
    cluster.kill(1);
    assert_eq!(send(&cluster, "one").ok(), "1\n");
    cluster.leads(2);
    cluster.serve(1);
    cluster.leads(1);
    // Clients that know a backup only are sent on.
    cluster.ask_of(&[3], &["--as", "ann", "send", "bob", "two"]).ok();
    cluster.ask(&["status"]).says(0, "majority mode");
    assert_eq!(receive(&cluster), ["one", "two"]);
    all_are_equal(&cluster);
}

/// Whom the node's own page shows as primary, and how many nodes it shows that follow.
fn primary_on_the_page(cluster: &Cluster, id: u64) -> (Option<u64>, usize) {
    let words = cluster.words(id);
    let at = words.rsplit("the cluster is shown at http://").next();
    let page = at.and_then(|at| at.split('/').next()?.parse().ok()).expect("it said where");
    let shown = get(page, "/");
    assert!(shown.status == 200 && shown.body.contains("'api/cluster'"), "{shown:?}");
    let seen = get(page, "/api/cluster").json();
    let nodes = seen["nodes"].as_array().expect("a list");
    let having = |role| nodes.iter().filter(move |node| node["role"] == role);
    (having("leader").find_map(|node| node["id"].as_u64()), having("follower").count())
}

#[test]
fn the_page_shows_which_node_is_primary() {
    let mut cluster = peopled(Cluster::start_with(CHAT, 3, &["--ui", "127.0.0.1:0"]));
    cluster.leads(1);
    for id in cluster.ids() {
        eventually("each node shows it", || primary_on_the_page(&cluster, id) == (Some(1), 2));
    }
    cluster.kill(1);
    eventually("a backup shows that it is another one", || {
        primary_on_the_page(&cluster, 3) == (Some(2), 1)
    });
}

#[test]
fn whoever_has_certificates_speaks_tls() {
    let cluster = peopled(Setup { certs: true, ..Setup::of(CHAT, 3) }.start());
    send(&cluster, "nobody listens").ok();
    assert_eq!(receive(&cluster), ["nobody listens"]);
    let mut command = cluster.command();
    command.env_remove("CHAT_CERTS").args(["--nodes", &cluster.addresses(&[1, 2, 3])]);
    Told::of(command.args(["list", "--timeout", "2", "--plaintext"])).says(3, "");
}

#[test]
fn third_server_goes_on_after_two_kills() {
    let mut cluster = survivors();
    let mut sent = Vec::new();
    let mut left = cluster.ids();
    while left.len() > 1 {
        sent.push(format!("before {} are left", left.len() - 1));
        send(&cluster, sent.last().expect("it was just sent")).ok();
        let leader = cluster.leader();
        cluster.kill(leader);
        left.retain(|id| *id != leader);
        sent.push(format!("while {} are left", left.len()));
        send(&cluster, sent.last().expect("it was just sent")).ok();
    }
    assert_eq!(cluster.leader(), left[0]);
    assert_eq!(receive(&cluster), sent, "nothing is lost, and all is in order");
    assert_eq!(receive(&cluster), [""; 0], "nothing comes twice");
    cluster.ask(&["status"]).says(1, "survivor mode: not safe under partitions");
    let told = cluster.type_in("list\n");
    told.says(0, "ann\nbob\n");
    assert!(told.err.contains("not safe under partitions"), "{told:?}");
    // The dead come back, and catch up.
    cluster.ids().into_iter().filter(|id| *id != left[0]).for_each(|id| cluster.serve(id));
    cluster.is_well();
    all_are_equal(&cluster);
}

#[test]
fn last_survivor_restarted_alone_brings_state_back() {
    let mut cluster = survivors();
    send(&cluster, "by three").ok();
    for _ in 0..2 {
        let leader = cluster.leader();
        cluster.kill(leader);
        send(&cluster, "by those who are left").ok();
    }
    let last = cluster.leader();
    cluster.kill(last);
    cluster.serve(last);
    send(&cluster, "by one").ok();
    let left = "by those who are left";
    assert_eq!(receive(&cluster), ["by three", left, left, "by one"]);
    cluster.ids().into_iter().filter(|id| *id != last).for_each(|id| cluster.serve(id));
    cluster.is_well();
    all_are_equal(&cluster);
}

#[test]
fn two_of_three_bring_state_back_after_a_simultaneous_kill() {
    let mut cluster = chat();
    send(&cluster, "before").ok();
    cluster.ids().into_iter().for_each(|id| cluster.signal(id, "KILL"));
    cluster.ids().into_iter().for_each(|id| cluster.ended(id));
    [2, 3].into_iter().for_each(|id| cluster.serve(id));
    send(&cluster, "after").ok();
    assert_eq!(receive(&cluster), ["before", "after"]);
}

#[test]
fn restart_of_all_servers_brings_state_back() {
    for mut cluster in [chat(), survivors()] {
        send(&cluster, "before").ok();
        cluster.ids().into_iter().for_each(|id| cluster.signal(id, "KILL"));
        cluster.ids().into_iter().for_each(|id| cluster.ended(id));
        cluster.ids().into_iter().for_each(|id| cluster.serve(id));
        send(&cluster, "after").ok();
        assert_eq!(receive(&cluster), ["before", "after"]);
    }
}

#[test]
fn message_to_a_user_who_is_away_is_delivered_once_across_failovers() {
    let mut cluster = chat();
    cluster.ask(&["login", "bob"]).ok();
    cluster.ask(&["--as", "bob", "logout"]).ok();
    let mut sent = Vec::new();
    for _ in 0..2 {
        sent.push(format!("text {}", sent.len()));
        send(&cluster, sent.last().expect("it was just sent")).ok();
        let leader = cluster.leader();
        cluster.kill(leader);
        sent.push(format!("text {}", sent.len()));
        send(&cluster, sent.last().expect("it was just sent")).ok();
        cluster.serve(leader);
        cluster.is_well();
    }
    cluster.ask(&["--as", "bob", "receive"]).refused(1, "`bob` is not logged in here");
    cluster.ask(&["login", "bob"]).ok();
    assert_eq!(texts(&cluster.ask(&["--as", "bob", "waiting"]).ok()), sent, "they are left");
    let leader = cluster.leader();
    cluster.kill(leader);
    assert_eq!(receive(&cluster), sent);
    assert_eq!(receive(&cluster), [""; 0]);
    assert_eq!(texts(&cluster.ask(&["--as", "bob", "history"]).ok()), sent);
}

#[test]
fn without_survivor_mode_a_minority_refuses_and_loses_nothing() {
    let mut cluster = chat();
    cluster.leads(1);
    send(&cluster, "by three").ok();
    // The primary is cut off: the others go on, and clients find them.
    cluster.wires.split(&[1], &[2, 3]);
    send(&cluster, "by two").ok();
    [2, 3].into_iter().for_each(|id| cluster.wires.cut(Caller::Client, id));
    let cut_off = cluster.ask(&["--as", "ann", "send", "bob", "cut off", "--timeout", "4"]);
    assert!([3, 4].contains(&cut_off.code) && cut_off.out.is_empty(), "{cut_off:?}");
    cluster.ask_of(&[1], &["list", "--timeout", "3"]).refused(3, "nothing happened");
    cluster.wires.mend();
    cluster.is_well();
    // And two that die leave one that refuses.
    [1, 2].into_iter().for_each(|id| cluster.kill(id));
    let alone = cluster.ask(&["--as", "ann", "send", "bob", "alone", "--timeout", "4"]);
    assert!([3, 4].contains(&alone.code) && alone.out.is_empty(), "{alone:?}");
    [1, 2].into_iter().for_each(|id| cluster.serve(id));
    let mut received = receive(&cluster);
    // What nobody knows of may have happened; what did not, did not.
    received.retain(|text| !(text == "alone" && alone.code == 4));
    received.retain(|text| !(text == "cut off" && cut_off.code == 4));
    assert_eq!(received, ["by three", "by two"]);
}

#[test]
fn client_that_fails_while_it_shows_a_message_loses_nothing() {
    let cluster = chat();
    send(&cluster, "one").ok();
    cluster.ask(&["login", "bob"]).ok();
    let full = File::options().write(true).open("/dev/full").expect("there is one");
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&[1, 2, 3]), "--as", "bob", "receive"]);
    let status = command.stdout(full).stderr(Stdio::null()).status().expect("it was built");
    assert_eq!(status.code(), Some(2), "it could not show the message");
    assert_eq!(receive(&cluster), ["one"]);
    assert_eq!(receive(&cluster), [""; 0]);
}

#[test]
fn what_the_chat_refuses_it_explains() {
    let cluster = chat();
    cluster.ask(&["create", "ann"]).refused(1, "there is a `ann` already");
    cluster.ask(&["create", "a nn"]).refused(1, "is no name");
    cluster.ask(&["login", "eve"]).refused(1, "there is no `eve`");
    cluster.ask(&["list", "[a]"]).refused(1, "no name fits `[a]`");
    assert_eq!(cluster.ask(&["list", "?n*"]).ok(), "ann\n");
    cluster.ask(&["send", "eve", "x"]).refused(1, "there is no `eve`");
    cluster.ask(&["send", "bob", &"x".repeat(1025)]).refused(1, "a text of 1025 bytes");
    cluster.ask(&["--as", "bob", "receive"]).refused(1, "`bob` is not logged in here");
    send(&cluster, "x").ok();
    cluster.ask(&["login", "bob"]).ok();
    assert_eq!(cluster.ask(&["login", "bob"]).ok(), "a session elsewhere has ended\n");
    cluster.ask(&["delete"]).refused(1, "1 messages wait: receive them first");
    assert!(cluster.ask(&["dump"]).ok().contains("bob: logged in, history 0, waiting 1\n"));
    assert_eq!(cluster.ask(&["delete", "--discard"]).ok(), "1 messages are lost\n");
    send(&cluster, "y").refused(1, "there is no `bob`");
    cluster.ask(&["receive"]).refused(1, "`bob` is not logged in here");
}

#[test]
fn prompt_shows_messages_as_they_arrive_and_helps() {
    let cluster = chat();
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&[1, 2, 3]), "prompt"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut prompt = command.spawn().expect("it was built");
    let mut typed = prompt.stdin.take().expect("it is a pipe");
    typed.write_all(b"login bob\nhelp\n").expect("it is read");
    let mut shown = BufReader::new(prompt.stdout.take().expect("it is a pipe")).lines();
    let mut until = |part: &str| {
        shown.find(|line| line.as_ref().is_ok_and(|line| line.contains(part))).is_some()
    };
    assert!(until("Print what waits, and take it"), "it helps");
    send(&cluster, "hello").ok();
    assert!(until("ann to bob: hello"), "nobody asked for it");
    typed.write_all(b"history\n").expect("it is read");
    assert!(until("ann to bob: hello"), "it was asked for");
    drop(typed);
    assert!(prompt.wait().expect("it is ours").success());
    assert_eq!(receive(&cluster), [""; 0], "it is taken");
}
