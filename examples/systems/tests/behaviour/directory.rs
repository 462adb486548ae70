//! End-to-end tests of the directory: one master and three replicas.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command_output::CommandOutput;
use crate::support::{Caller, Cluster};

fn directory() -> Cluster {
    Cluster::start(env!("CARGO_BIN_EXE_directory"), 4)
}

/// Returns the leader, which has the casting vote, with one replica, and the two other replicas.
fn halves(cluster: &Cluster) -> ([u64; 2], [u64; 2]) {
    let leader = cluster.leader_with_casting_vote();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    ([leader, others[0]], [others[1], others[2]])
}

fn numbers(output: &CommandOutput) -> Vec<u64> {
    output.out.lines().map(|line| line.parse().expect("the line is a number")).collect()
}

#[test]
fn the_highest_id_is_preferred_as_leader() {
    let mut cluster = directory();
    cluster.wait_for_leader(4);
    cluster.kill(4);
    cluster.wait_for_leader(3);
    cluster.serve(4);
    cluster.wait_for_leader(4);
}

#[test]
fn the_cluster_survives_a_crash_of_any_node() {
    let mut cluster = directory();
    for id in cluster.ids() {
        let (before, after) = (format!("before{id}"), format!("after{id}"));
        cluster.run(&["connect", &before, "10.0.0.1:1"]).ok();
        cluster.kill(id);
        cluster.run(&["connect", &after, "10.0.0.2:2"]).ok();
        let output = cluster.run(&["lookup", &before, &after]).ok();
        assert_eq!(output, format!("{before} 10.0.0.1:1\n{after} 10.0.0.2:2\n"));
        cluster.serve(id);
        cluster.wait_until_healthy();
    }
}

#[test]
fn in_an_even_split_the_side_of_the_leader_continues() {
    let cluster = directory();
    cluster.wait_for_leader(4);
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.network.split(&side, &other);
    cluster.run_at(&side, &["connect", "bob", "10.0.0.2:2"]).ok();
    assert_eq!(cluster.leader(), side[0], "the leader has the casting vote");
    cluster.network.heal();
    cluster.wait_until_healthy();
    let output = cluster.run_at(&other, &["lookup", "ann", "bob"]).ok();
    assert_eq!(output, "ann 10.0.0.1:1\nbob 10.0.0.2:2\n");
}

#[test]
fn in_an_even_split_the_other_side_does_not_answer() {
    let cluster = directory();
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.network.split(&side, &other);
    side.iter().for_each(|id| cluster.network.cut(Caller::Client, *id));
    cluster
        .run_at(&other, &["lookup", "ann", "--timeout", "4s"])
        .fails_with(3, "not executed before the deadline");
    let output = cluster.run_at(&other, &["next", "--timeout", "4s"]);
    assert!([3, 4].contains(&output.code) && output.out.is_empty(), "{output:?}");
}

#[test]
fn in_an_even_split_clients_of_the_other_side_find_a_node_that_answers() {
    let cluster = directory();
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.network.split(&side, &other);
    // The nodes of the other side come first in the clients' list.
    let nodes = [&other[..], &side[..]].concat();
    for _ in 0..3 {
        cluster.run_at(&nodes, &["lookup", "ann", "--timeout", "20s"]).ok();
    }
    cluster.run_at(&nodes, &["connect", "bob", "10.0.0.2:2", "--timeout", "20s"]).ok();
}

#[test]
fn a_client_tries_the_next_node_if_one_does_not_answer() {
    let cluster = directory();
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (_, [silent, _]) = halves(&cluster);
    cluster.signal(silent, "STOP");
    // Clients begin with a random node, so some of them begin with the silent one.
    for _ in 0..4 {
        let output = cluster.run_at(&[silent, 1, 2, 3, 4], &["lookup", "ann"]).ok();
        assert_eq!(output, "ann 10.0.0.1:1\n");
    }
    cluster.signal(silent, "CONT");
}

#[test]
fn a_replica_forwards_requests_and_relays_replies() {
    let cluster = directory();
    let (_, [replica, _]) = halves(&cluster);
    let others = cluster.ids().into_iter().filter(|id| *id != replica);
    others.for_each(|id| cluster.network.cut(Caller::Client, id));
    cluster.run_at(&[replica], &["connect", "ann", "10.0.0.1:1"]).ok();
    assert_eq!(cluster.run_at(&[replica], &["lookup", "ann"]).ok(), "ann 10.0.0.1:1\n");
    assert_eq!(numbers(&cluster.run_at(&[replica], &["next", "3"])), [1, 2, 3]);
    cluster.run_at(&[replica], &["connect", "ann", "10.0.0.2:2"]).fails_with(1, "already");
    let at_desk = ["--origin", "desk", "connect", "eve", "10.0.0.1:1"];
    cluster.run_at(&[replica], &at_desk).ok();
    let elsewhere = cluster.run_at(&[replica], &["connect", "eve", "10.0.0.2:2"]);
    elsewhere.fails_with(1, "already connected at 10.0.0.1:1 by desk");
}

#[test]
fn a_write_is_acknowledged_after_all_live_replicas_have_it() {
    let mut cluster = directory();
    let (_, [slow, _]) = halves(&cluster);
    cluster.network.delay(slow, Duration::from_millis(150));
    cluster.run(&["connect", "user-all-have", "10.0.0.1:1"]).ok();
    cluster.assert_all_have("user-all-have");
}

#[test]
fn sequence_numbers_increase_and_never_repeat_across_failovers() {
    let mut cluster = directory();
    let mut returned = Vec::new();
    for _ in 0..2 {
        let leader = cluster.leader();
        std::thread::scope(|scope| {
            let cluster = &cluster;
            let draw = || cluster.run(&["next", "40", "--timeout", "20s"]);
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(draw)).collect();
            cluster.run(&["next"]).ok();
            cluster.signal(leader, "KILL");
            for client in clients {
                let output = client.join().expect("no panic");
                let numbers = numbers(&output);
                assert!(numbers.is_sorted_by(|one, next| one < next), "{output:?}");
                assert_eq!((output.code, numbers.len()), (0, 40), "{output:?}");
                returned.extend(numbers);
            }
        });
        let last = *returned.iter().max().expect("there are numbers");
        let next = numbers(&cluster.run(&["next"]));
        assert!(next[0] > last, "{next:?} after {last}");
        returned.extend(next);
        cluster.wait_for_exit(leader);
        cluster.serve(leader);
        cluster.wait_until_healthy();
    }
    let count = returned.len();
    assert_eq!(returned.into_iter().collect::<BTreeSet<_>>().len(), count, "a number is repeated");
}

#[test]
fn all_state_is_restored_after_all_nodes_were_killed() {
    let mut cluster = directory();
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    let before = numbers(&cluster.run(&["next", "2"]));
    cluster.ids().into_iter().for_each(|id| cluster.kill(id));
    cluster.ids().into_iter().for_each(|id| cluster.serve(id));
    assert_eq!(cluster.run(&["lookup", "ann", "--timeout", "20s"]).ok(), "ann 10.0.0.1:1\n");
    assert!(numbers(&cluster.run(&["next"]))[0] > before[1]);
}

#[test]
fn rejections_are_explained() {
    let cluster = directory();
    cluster.run(&["connect", "ann", "10.0.0.1:1"]).ok();
    cluster.run(&["connect", "ann", "10.0.0.2:2"]).fails_with(1, "disconnect it first");
    let output = cluster.run(&["lookup", "ann", "bob"]);
    assert_eq!(output.out, "ann 10.0.0.1:1\nbob -\n");
    output.fails_with(1, "user `bob` is not connected");
    cluster.run(&["disconnect", "bob"]).fails_with(1, "user `bob` is not connected");
    assert_eq!(cluster.run(&["disconnect", "ann"]).ok(), "was at 10.0.0.1:1\n");
    cluster.run(&["connect", &"x".repeat(65), "10.0.0.1:1"]).fails_with(1, "invalid name");
    cluster.run(&["connect", "ann", "here"]).fails_with(2, "invalid");
}

#[test]
fn a_client_remembers_the_addresses_of_nodes() {
    let cluster = directory();
    let nodes = cluster.addresses(&cluster.ids());
    CommandOutput::run(cluster.command().args(["--nodes", &nodes, "connect", "ann", "10.0.0.1:1"]))
        .ok();
    assert_eq!(
        CommandOutput::run(cluster.command().args(["lookup", "ann"])).ok(),
        "ann 10.0.0.1:1\n"
    );
}

#[test]
fn the_prompt_runs_the_same_commands_and_has_help() {
    let cluster = directory();
    let lines = "# a comment\nconnect ann 10.0.0.1:1\nlookup ann\nnext 2\nlookup\nhelp\n";
    let output = cluster.run_prompt(lines);
    output.prints(0, "ann 10.0.0.1:1\n1\n2\n");
    assert!(output.out.contains("Print the addresses of users"), "{output:?}");
    assert!(output.err.contains("<USER>"), "{output:?}");
}
