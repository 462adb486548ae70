//! Processes that are killed or paused under load.

use crate::load::{Load, Rng};
use crate::nodes::Nodes;

/// Kills a random node and restarts it, `rounds` times.
fn kill_rounds(seed: u64, rounds: u32) {
    let mut nodes = Nodes::start(3);
    let load = Load::start(&nodes, seed);
    let mut rng = Rng(seed);
    load.answered(20);
    for _ in 0..rounds {
        let id = u64::from(rng.below(3)) + 1;
        nodes.kill(id);
        load.answered(rng.below(40));
        nodes.serve(id);
        load.answered(rng.below(40));
    }
    load.must_be_linearizable();
    nodes.ask(&["put", "end", "reached"]).ok();
    nodes.has(&[1, 2, 3], "end", "reached");
}

#[test]
fn no_acknowledged_write_is_lost_when_nodes_are_killed_under_load() {
    kill_rounds(7, 10);
}

#[test]
#[ignore = "takes minutes: QUORATE_KILLS rounds, 200 without it, from seed QUORATE_SEED"]
fn long_kills() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("QUORATE_KILLS").unwrap_or(200);
    kill_rounds(number("QUORATE_SEED").unwrap_or(1), u32::try_from(rounds).unwrap_or(u32::MAX));
}

#[test]
fn a_paused_leader_returns_no_stale_reads() {
    let nodes = Nodes::start(3);
    let load = Load::start(&nodes, 11);
    for _ in 0..3 {
        load.answered(20);
        let leader = nodes.leader();
        nodes.signal(leader, "STOP");
        // The answers come from a new leader, because the old one is paused.
        load.answered(60);
        nodes.signal(leader, "CONT");
        load.answered(30);
    }
    load.must_be_linearizable();
}
