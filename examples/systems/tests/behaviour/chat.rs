//! End-to-end tests of the chat: one primary, two backups, and survivor mode.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::command_output::CommandOutput;
use crate::http_client::get;
use crate::processes::eventually;
use crate::support::messaging::{receive, send, texts, with_accounts};
use crate::support::{Caller, Cluster, Setup};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

/// Starts three nodes with the accounts of ann, who is logged in, and bob, who is not.
fn chat() -> Cluster {
    with_accounts(Cluster::start(CHAT, 3))
}

/// Starts the same cluster in survivor mode.
fn survivors() -> Cluster {
    with_accounts(Cluster::start_with(CHAT, 3, &["--survivor"]))
}

/// Waits until the local states of all nodes are equal.
fn wait_until_equal(cluster: &Cluster) {
    eventually("all nodes have the same state", || {
        let dumps = cluster.ids().into_iter().map(|id| cluster.addresses(&[id]));
        let dumps = dumps.map(|node| cluster.run(&["dump", &node, "--timeout", "3s"]));
        let dumps: Vec<_> = dumps.map(|output| (output.code, output.out)).collect();
        dumps.iter().all(|dump| *dump == dumps[0] && dump.0 == 0 && dump.1.contains("ann: "))
    });
}

#[test]
fn the_lowest_id_is_preferred_as_leader_and_clients_find_the_primary() {
    let mut cluster = chat();
    cluster.wait_for_leader(1);
    cluster.kill(1);
    assert_eq!(send(&cluster, "one").ok(), "1\n");
    cluster.wait_for_leader(2);
    cluster.serve(1);
    cluster.wait_for_leader(1);
    // A backup redirects clients to the primary.
    cluster.run_at(&[3], &["--as", "ann", "send", "bob", "two"]).ok();
    cluster.run(&["status"]).prints(0, "majority mode");
    assert_eq!(receive(&cluster), ["one", "two"]);
    wait_until_equal(&cluster);
}

/// Returns the primary and the number of followers that the status page of the node shows.
fn primary_on_the_page(cluster: &Cluster, id: u64) -> (Option<u64>, usize) {
    let log = cluster.log(id);
    let at = log.rsplit("status page at http://").next();
    let address = at.and_then(|at| at.split('/').next()?.parse().ok());
    let address = address.expect("the log has the address");
    let page = get(address, "/");
    assert!(page.status == 200 && page.body.contains("'api/cluster'"), "{page:?}");
    let view = get(address, "/api/cluster").json();
    let nodes = view["nodes"].as_array().expect("nodes is a list");
    let having = |role| nodes.iter().filter(move |node| node["role"] == role);
    (having("leader").find_map(|node| node["id"].as_u64()), having("follower").count())
}

#[test]
fn the_status_page_shows_the_primary() {
    let mut cluster = with_accounts(Cluster::start_with(CHAT, 3, &["--ui", "127.0.0.1:0"]));
    cluster.wait_for_leader(1);
    for id in cluster.ids() {
        eventually("each node shows the primary", || {
            primary_on_the_page(&cluster, id) == (Some(1), 2)
        });
    }
    cluster.kill(1);
    eventually("a backup shows the new primary", || {
        primary_on_the_page(&cluster, 3) == (Some(2), 1)
    });
}

#[test]
fn certificates_enable_tls() {
    let cluster = with_accounts(Setup { certs: true, ..Setup::of(CHAT, 3) }.start());
    send(&cluster, "over TLS").ok();
    assert_eq!(receive(&cluster), ["over TLS"]);
    let mut command = cluster.command();
    command.env_remove("CHAT_CERTS").args(["--nodes", &cluster.addresses(&[1, 2, 3])]);
    CommandOutput::run(command.args(["list", "--timeout", "2s", "--plaintext"])).prints(8, "");
}

#[test]
fn the_last_of_three_nodes_continues_after_two_kills() {
    let mut cluster = survivors();
    let mut sent = Vec::new();
    let mut left = cluster.ids();
    while left.len() > 1 {
        sent.push(format!("before {} are left", left.len() - 1));
        send(&cluster, sent.last().expect("a text was just added")).ok();
        let leader = cluster.leader();
        cluster.kill(leader);
        left.retain(|id| *id != leader);
        sent.push(format!("while {} are left", left.len()));
        send(&cluster, sent.last().expect("a text was just added")).ok();
    }
    assert_eq!(cluster.leader(), left[0]);
    assert_eq!(receive(&cluster), sent, "a message is lost or out of order");
    assert_eq!(receive(&cluster), [""; 0], "a message is delivered twice");
    cluster.run(&["status"]).prints(1, "survivor mode: not safe under partitions");
    let output = cluster.run_prompt("list\n");
    output.prints(0, "ann\nbob\n");
    assert!(output.err.contains("not safe under partitions"), "{output:?}");
    // The killed nodes restart and catch up.
    cluster.ids().into_iter().filter(|id| *id != left[0]).for_each(|id| cluster.serve(id));
    cluster.wait_until_healthy();
    wait_until_equal(&cluster);
}

#[test]
fn a_last_survivor_that_restarts_alone_restores_the_state() {
    let mut cluster = survivors();
    send(&cluster, "by three").ok();
    for _ in 0..2 {
        let leader = cluster.leader();
        cluster.kill(leader);
        send(&cluster, "by the remaining nodes").ok();
    }
    let last = cluster.leader();
    cluster.kill(last);
    cluster.serve(last);
    send(&cluster, "by one").ok();
    let left = "by the remaining nodes";
    assert_eq!(receive(&cluster), ["by three", left, left, "by one"]);
    cluster.ids().into_iter().filter(|id| *id != last).for_each(|id| cluster.serve(id));
    cluster.wait_until_healthy();
    wait_until_equal(&cluster);
}

#[test]
fn two_of_three_nodes_restore_the_state_after_all_were_killed() {
    let mut cluster = chat();
    send(&cluster, "before").ok();
    cluster.ids().into_iter().for_each(|id| cluster.signal(id, "KILL"));
    cluster.ids().into_iter().for_each(|id| cluster.wait_for_exit(id));
    [2, 3].into_iter().for_each(|id| cluster.serve(id));
    send(&cluster, "after").ok();
    assert_eq!(receive(&cluster), ["before", "after"]);
}

#[test]
fn a_restart_of_all_nodes_restores_the_state() {
    for mut cluster in [chat(), survivors()] {
        send(&cluster, "before").ok();
        cluster.ids().into_iter().for_each(|id| cluster.signal(id, "KILL"));
        cluster.ids().into_iter().for_each(|id| cluster.wait_for_exit(id));
        cluster.ids().into_iter().for_each(|id| cluster.serve(id));
        send(&cluster, "after").ok();
        assert_eq!(receive(&cluster), ["before", "after"]);
    }
}

#[test]
fn a_message_to_a_logged_out_user_is_delivered_once_across_failovers() {
    let mut cluster = chat();
    cluster.run(&["login", "bob"]).ok();
    cluster.run(&["--as", "bob", "logout"]).ok();
    let mut sent = Vec::new();
    for _ in 0..2 {
        sent.push(format!("text {}", sent.len()));
        send(&cluster, sent.last().expect("a text was just added")).ok();
        let leader = cluster.leader();
        cluster.kill(leader);
        sent.push(format!("text {}", sent.len()));
        send(&cluster, sent.last().expect("a text was just added")).ok();
        cluster.serve(leader);
        cluster.wait_until_healthy();
    }
    cluster.run(&["--as", "bob", "receive"]).fails_with(1, "`bob` is not logged in here");
    cluster.run(&["login", "bob"]).ok();
    assert_eq!(
        texts(&cluster.run(&["--as", "bob", "waiting"]).ok()),
        sent,
        "the messages still wait"
    );
    let leader = cluster.leader();
    cluster.kill(leader);
    assert_eq!(receive(&cluster), sent);
    assert_eq!(receive(&cluster), [""; 0]);
    assert_eq!(texts(&cluster.run(&["--as", "bob", "history"]).ok()), sent);
}

#[test]
fn without_survivor_mode_a_minority_is_unavailable_and_loses_nothing() {
    let mut cluster = chat();
    cluster.wait_for_leader(1);
    send(&cluster, "by three").ok();
    // The primary is partitioned: the others continue, and clients find them.
    cluster.network.split(&[1], &[2, 3]);
    send(&cluster, "by two").ok();
    [2, 3].into_iter().for_each(|id| cluster.network.cut(Caller::Client, id));
    let cut_off = cluster.run(&["--as", "ann", "send", "bob", "cut off", "--timeout", "4s"]);
    assert!([3, 4].contains(&cut_off.code) && cut_off.out.is_empty(), "{cut_off:?}");
    cluster
        .run_at(&[1], &["list", "--timeout", "3s"])
        .fails_with(3, "not executed before the deadline");
    cluster.network.heal();
    cluster.wait_until_healthy();
    // Two crashed nodes leave one that is unavailable.
    [1, 2].into_iter().for_each(|id| cluster.kill(id));
    let alone = cluster.run(&["--as", "ann", "send", "bob", "alone", "--timeout", "4s"]);
    assert!([3, 4].contains(&alone.code) && alone.out.is_empty(), "{alone:?}");
    [1, 2].into_iter().for_each(|id| cluster.serve(id));
    let mut received = receive(&cluster);
    // A send with an unknown outcome may have been executed.
    received.retain(|text| !(text == "alone" && alone.code == 4));
    received.retain(|text| !(text == "cut off" && cut_off.code == 4));
    assert_eq!(received, ["by three", "by two"]);
}

#[test]
fn a_client_that_fails_while_it_prints_a_message_loses_nothing() {
    let cluster = chat();
    send(&cluster, "one").ok();
    cluster.run(&["login", "bob"]).ok();
    let full = File::options().write(true).open("/dev/full").expect("/dev/full exists");
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&[1, 2, 3]), "--as", "bob", "receive"]);
    let status = command.stdout(full).stderr(Stdio::null()).status().expect("the binary starts");
    assert_eq!(status.code(), Some(2), "the message could not be printed");
    assert_eq!(receive(&cluster), ["one"]);
    assert_eq!(receive(&cluster), [""; 0]);
}

#[test]
fn a_client_whose_output_is_stopped_does_not_stop_another_one_of_its_user() {
    let cluster = chat();
    const MESSAGES: usize = 30;
    // Each of these characters is printed as six.
    let long = "\u{1b}".repeat(1000);
    for _ in 0..MESSAGES {
        send(&cluster, &long).ok();
    }
    cluster.run(&["login", "bob"]).ok();
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&[1, 2, 3]), "--as", "bob", "receive"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut first = command.spawn().expect("the binary starts");
    // A pipe holds 64 KiB, so the client stops in the middle of its first page of messages.
    let mut lines = BufReader::new(first.stdout.take().expect("the stream is piped")).lines();
    assert!(lines.next().is_some_and(|line| line.is_ok()), "nothing was printed");
    let second = cluster.run(&["--as", "bob", "receive"]);
    second.fails_with(3, "another client of the user is printing the messages");
    assert_eq!(1 + lines.count(), MESSAGES);
    assert!(first.wait().expect("the child can be waited for").success());
    assert_eq!(receive(&cluster), [""; 0], "a message was shown twice, or not acknowledged");
}

#[test]
fn rejections_are_explained() {
    let cluster = chat();
    cluster.run(&["create", "ann"]).fails_with(1, "user `ann` already exists");
    cluster.run(&["create", "a nn"]).fails_with(1, "invalid name");
    cluster.run(&["login", "eve"]).fails_with(1, "user `eve` does not exist");
    cluster.run(&["list", "[a]"]).fails_with(1, "invalid pattern `[a]`");
    assert_eq!(cluster.run(&["list", "?n*"]).ok(), "ann\n");
    cluster.run(&["send", "eve", "x"]).fails_with(1, "user `eve` does not exist");
    cluster.run(&["send", "bob", &"x".repeat(1025)]).fails_with(1, "the text has 1025 bytes");
    let too_long = "x".repeat(70_000);
    cluster.run(&["send", "bob", &too_long]).fails_with(2, "the request is too long");
    cluster.run(&["list", &too_long]).fails_with(2, "the request is too long");
    cluster.run(&["--as", "bob", "receive"]).fails_with(1, "`bob` is not logged in here");
    send(&cluster, "x").ok();
    cluster.run(&["login", "bob"]).ok();
    assert_eq!(cluster.run(&["login", "bob"]).ok(), "ended a session elsewhere\n");
    cluster.run(&["delete"]).fails_with(1, "1 messages are waiting: receive them first");
    assert!(cluster.run(&["dump"]).ok().contains("bob: logged in, history 0, waiting 1\n"));
    assert_eq!(cluster.run(&["delete", "--discard"]).ok(), "deleted 1 waiting messages\n");
    send(&cluster, "y").fails_with(1, "user `bob` does not exist");
    cluster.run(&["receive"]).fails_with(1, "`bob` is not logged in here");
}

#[test]
fn a_deleted_account_leaves_no_state_files() {
    let cluster = chat();
    send(&cluster, "x").ok();
    assert_eq!(receive(&cluster), ["x"]);
    cluster.run(&["delete"]).ok();
    let state = cluster.directory(1).with_file_name("quorate-systems");
    let files = std::fs::read_dir(state).expect("the state files have a directory");
    let names = files.map(|file| file.expect("the directory can be read").file_name());
    let mut names: Vec<String> = names.map(|name| name.display().to_string()).collect();
    names.sort();
    // The lock of a user stays, because another client may be about to take it.
    assert_eq!(names, ["chat.nodes", "chat.receive-bob", "chat.session-ann", "chat.user"]);
}

#[test]
fn a_prompt_does_not_follow_the_logins_of_other_clients() {
    let cluster = chat();
    let (mut prompt, mut typed, mut page) = cluster.start_prompt();
    typed.write_all(b"dump\n").expect("the prompt reads its input");
    assert!(page.next().is_some_and(|line| line.is_ok_and(|line| line.starts_with("ann: "))));
    cluster.run(&["login", "bob"]).ok();
    typed.write_all(b"send bob hello\n").expect("the prompt reads its input");
    drop(typed);
    assert!(prompt.wait().expect("the child can be waited for").success());
    assert_eq!(cluster.run(&["receive"]).ok(), "1 ann to bob: hello\n");
}

#[test]
fn an_empty_environment_variable_counts_as_unset() {
    let cluster = chat();
    let mut command = cluster.command();
    CommandOutput::run(command.env("CHAT_NODES", "").arg("list")).prints(0, "ann");
    let mut command = cluster.command();
    CommandOutput::run(command.env("CHAT_USER", "").arg("receive")).prints(0, "");
}

#[test]
fn the_prompt_prints_messages_as_they_arrive_and_has_help() {
    let cluster = chat();
    let (mut prompt, mut typed, mut page) = cluster.start_prompt();
    typed.write_all(b"login bob\nhelp\n").expect("the prompt reads its input");
    let mut until = |part: &str| {
        page.find(|line| line.as_ref().is_ok_and(|line| line.contains(part))).is_some()
    };
    assert!(until("Print the waiting messages and acknowledge them"), "no help");
    send(&cluster, "hello").ok();
    assert!(until("ann to bob: hello"), "the message was not printed as it arrived");
    typed.write_all(b"history\n").expect("the prompt reads its input");
    assert!(until("ann to bob: hello"), "the history does not have the message");
    drop(typed);
    assert!(prompt.wait().expect("the child can be waited for").success());
    assert_eq!(receive(&cluster), [""; 0], "the message was not acknowledged");
}
