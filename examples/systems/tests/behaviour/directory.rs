//! The directory: one master and three replicas.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::said::Told;
use crate::support::{Caller, Cluster};

fn directory() -> Cluster {
    Cluster::start(env!("CARGO_BIN_EXE_directory"), 4)
}

/// The leader, which has the casting vote, and a replica; and the two other replicas.
fn halves(cluster: &Cluster) -> ([u64; 2], [u64; 2]) {
    let leader = cluster.leader_with_casting_vote();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    ([leader, others[0]], [others[1], others[2]])
}

fn numbers(told: &Told) -> Vec<u64> {
    told.out.lines().map(|line| line.parse().expect("it is a number")).collect()
}

#[test]
fn the_highest_id_leads_first() {
    let mut cluster = directory();
    cluster.leads(4);
    cluster.kill(4);
    cluster.leads(3);
    cluster.serve(4);
    cluster.leads(4);
}

#[test]
fn any_one_node_may_crash() {
    let mut cluster = directory();
    for id in cluster.ids() {
        let (before, after) = (format!("before{id}"), format!("after{id}"));
        cluster.ask(&["connect", &before, "10.0.0.1:1"]).ok();
        cluster.kill(id);
        cluster.ask(&["connect", &after, "10.0.0.2:2"]).ok();
        let told = cluster.ask(&["lookup", &before, &after]).ok();
        assert_eq!(told, format!("{before} 10.0.0.1:1\n{after} 10.0.0.2:2\n"));
        cluster.serve(id);
        cluster.is_well();
    }
}

#[test]
fn even_split_goes_on_where_the_leader_is() {
    let cluster = directory();
    cluster.leads(4);
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.wires.split(&side, &other);
    cluster.ask_of(&side, &["connect", "bob", "10.0.0.2:2"]).ok();
    assert_eq!(cluster.leader(), side[0], "the vote is the leader's");
    cluster.wires.mend();
    cluster.is_well();
    let told = cluster.ask_of(&other, &["lookup", "ann", "bob"]).ok();
    assert_eq!(told, "ann 10.0.0.1:1\nbob 10.0.0.2:2\n");
}

#[test]
fn even_split_gives_the_other_side_no_answer() {
    let cluster = directory();
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.wires.split(&side, &other);
    side.iter().for_each(|id| cluster.wires.cut(Caller::Client, *id));
    cluster.ask_of(&other, &["lookup", "ann", "--timeout", "4"]).refused(3, "nothing happened");
    let told = cluster.ask_of(&other, &["next", "--timeout", "4"]);
    assert!([3, 4].contains(&told.code) && told.out.is_empty(), "{told:?}");
}

#[test]
fn even_split_sends_clients_of_the_other_side_round_to_one_that_answers() {
    let cluster = directory();
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (side, other) = halves(&cluster);
    cluster.wires.split(&side, &other);
    // They were told of the other side first, and find the rest by themselves.
    let nodes = [&other[..], &side[..]].concat();
    for _ in 0..3 {
        cluster.ask_of(&nodes, &["lookup", "ann", "--timeout", "20"]).ok();
    }
    cluster.ask_of(&nodes, &["connect", "bob", "10.0.0.2:2", "--timeout", "20"]).ok();
}

#[test]
fn a_node_that_does_not_answer_is_left_for_the_next_one() {
    let cluster = directory();
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    let (_, [silent, _]) = halves(&cluster);
    cluster.signal(silent, "STOP");
    // Clients begin anywhere: some of them with this one.
    for _ in 0..4 {
        let told = cluster.ask_of(&[silent, 1, 2, 3, 4], &["lookup", "ann"]).ok();
        assert_eq!(told, "ann 10.0.0.1:1\n");
    }
    cluster.signal(silent, "CONT");
}

#[test]
fn a_replica_forwards_and_relays() {
    let cluster = directory();
    let (_, [replica, _]) = halves(&cluster);
    let unheard = cluster.ids().into_iter().filter(|id| *id != replica);
    unheard.for_each(|id| cluster.wires.cut(Caller::Client, id));
    cluster.ask_of(&[replica], &["connect", "ann", "10.0.0.1:1"]).ok();
    assert_eq!(cluster.ask_of(&[replica], &["lookup", "ann"]).ok(), "ann 10.0.0.1:1\n");
    assert_eq!(numbers(&cluster.ask_of(&[replica], &["next", "3"])), [1, 2, 3]);
    cluster.ask_of(&[replica], &["connect", "ann", "10.0.0.2:2"]).refused(1, "already");
}

#[test]
fn a_write_is_answered_after_all_live_replicas_hold_it() {
    let mut cluster = directory();
    let (_, [slow, _]) = halves(&cluster);
    cluster.wires.delay(slow, Duration::from_millis(150));
    cluster.ask(&["connect", "whom-all-have", "10.0.0.1:1"]).ok();
    cluster.ids().into_iter().for_each(|id| cluster.kill(id));
    for id in cluster.ids() {
        let files = fs::read_dir(cluster.directory(id)).expect("it is there");
        let holds = |file: fs::DirEntry| {
            let bytes = fs::read(file.path()).expect("it can be read");
            bytes.windows(13).any(|window| window == b"whom-all-have")
        };
        let mut files = files.map(|file| file.expect("it is there"));
        assert!(files.any(holds), "node {id} does not hold it");
    }
}

#[test]
fn numbers_never_repeat_and_never_go_back_across_failovers() {
    let mut cluster = directory();
    let mut given = Vec::new();
    for _ in 0..2 {
        let leader = cluster.leader();
        std::thread::scope(|scope| {
            let cluster = &cluster;
            let draw = || cluster.ask(&["next", "40", "--timeout", "20"]);
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(draw)).collect();
            cluster.ask(&["next"]).ok();
            cluster.signal(leader, "KILL");
            for client in clients {
                let told = client.join().expect("no panic");
                let numbers = numbers(&told);
                assert!(numbers.is_sorted_by(|one, next| one < next), "{told:?}");
                assert_eq!((told.code, numbers.len()), (0, 40), "{told:?}");
                given.extend(numbers);
            }
        });
        let last = *given.iter().max().expect("there are some");
        let next = numbers(&cluster.ask(&["next"]));
        assert!(next[0] > last, "{next:?} after {last}");
        given.extend(next);
        cluster.ended(leader);
        cluster.serve(leader);
        cluster.is_well();
    }
    let count = given.len();
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>().len(), count, "each is another one");
}

#[test]
fn everything_is_there_after_all_nodes_were_killed() {
    let mut cluster = directory();
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    let before = numbers(&cluster.ask(&["next", "2"]));
    cluster.ids().into_iter().for_each(|id| cluster.kill(id));
    cluster.ids().into_iter().for_each(|id| cluster.serve(id));
    assert_eq!(cluster.ask(&["lookup", "ann", "--timeout", "20"]).ok(), "ann 10.0.0.1:1\n");
    assert!(numbers(&cluster.ask(&["next"]))[0] > before[1]);
}

#[test]
fn what_the_directory_refuses_it_explains() {
    let cluster = directory();
    cluster.ask(&["connect", "ann", "10.0.0.1:1"]).ok();
    cluster.ask(&["connect", "ann", "10.0.0.2:2"]).refused(1, "disconnect it first");
    let told = cluster.ask(&["lookup", "ann", "bob"]);
    assert_eq!(told.out, "ann 10.0.0.1:1\nbob -\n");
    told.refused(1, "nobody called `bob` is connected");
    cluster.ask(&["disconnect", "bob"]).refused(1, "nobody called `bob`");
    assert_eq!(cluster.ask(&["disconnect", "ann"]).ok(), "was at 10.0.0.1:1\n");
    cluster.ask(&["connect", &"x".repeat(65), "10.0.0.1:1"]).refused(1, "is no name");
    cluster.ask(&["connect", "ann", "here"]).refused(2, "invalid");
}

#[test]
fn a_client_is_told_once_where_nodes_are() {
    let cluster = directory();
    let nodes = cluster.addresses(&cluster.ids());
    Told::of(cluster.command().args(["--nodes", &nodes, "connect", "ann", "10.0.0.1:1"])).ok();
    assert_eq!(Told::of(cluster.command().args(["lookup", "ann"])).ok(), "ann 10.0.0.1:1\n");
}

#[test]
fn the_prompt_takes_the_same_orders_and_helps() {
    let cluster = directory();
    let lines = "# a comment\nconnect ann 10.0.0.1:1\nlookup ann\nnext 2\nlookup\nhelp\n";
    let told = cluster.type_in(lines);
    told.says(0, "ann 10.0.0.1:1\n1\n2\n");
    assert!(told.out.contains("Print where users are"), "{told:?}");
    assert!(told.err.contains("<USER>"), "{told:?}");
}
