//! A cluster under load whose nodes change from the command of the previous release to this one,
//! one after another, and back.

use std::path::Path;
use std::process::Command;

use crate::cli::PRESENT;
use crate::load::{Load, Rng};
use crate::nodes::Nodes;

/// Returns the command of the previous release: the file that `QUORATE_PREVIOUS` names, or one
/// built from the commit or tag in `QUORATE_PREVIOUS_COMMIT`.
fn previous() -> String {
    if let Ok(program) = std::env::var("QUORATE_PREVIOUS") {
        return program;
    }
    let commit = std::env::var("QUORATE_PREVIOUS_COMMIT");
    let commit = commit.expect("QUORATE_PREVIOUS is a file, or QUORATE_PREVIOUS_COMMIT a commit");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/previous.sh");
    let built = Command::new(script).arg(commit).output().expect("a shell runs the script");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the previous release does not build: {errors}");
    String::from_utf8(built.stdout).expect("a path is text").trim().to_owned()
}

/// Restarts a node by the command of this file, after a clean end or a kill.
fn restart(nodes: &mut Nodes, id: u64, program: &str, cleanly: bool) {
    if cleanly {
        nodes.signal(id, "TERM");
        assert!(nodes.ended(id).success(), "n{id} ends cleanly");
    } else {
        nodes.kill(id);
    }
    let members = nodes.listed(&[1, 2, 3]);
    nodes.serve_by(program, id, &["--members", &members]);
    let number = nodes.log(id).lines().count().to_string();
    nodes.ask(&["put", &format!("restarted/{id}"), &number]).ok();
    nodes.has(&[id], &format!("restarted/{id}"), &number);
}

/// Upgrades every node and rolls every node back, `rounds` times, and upgrades all at the end.
fn roll(previous: &str, seed: u64, rounds: u32) {
    let mut nodes = Nodes::unstarted(3);
    let members = nodes.listed(&[1, 2, 3]);
    (1..=3).for_each(|id| nodes.serve_by(previous, id, &["--members", &members]));
    nodes.leader();
    let load = Load::of(&nodes, &[PRESENT, previous], seed);
    let mut rng = Rng(seed);
    load.answered(20);
    let (mut restarts, mut kills) = (0, 0);
    for round in 0..=2 * rounds {
        let program = if round % 2 == 0 { PRESENT } else { previous };
        let first = rng.below(3);
        for place in 0..3 {
            let id = u64::from((first + place) % 3) + 1;
            let cleanly = rng.below(2) == 0;
            restart(&mut nodes, id, program, cleanly);
            restarts += 1;
            kills += u32::from(!cleanly);
            load.answered(20 + rng.below(40));
        }
    }
    load.must_be_linearizable();
    nodes.ask(&["put", "end", "reached"]).ok();
    nodes.has(&[1, 2, 3], "end", "reached");
    for id in 1..=3 {
        assert_eq!(nodes.has_ended(id), None, "n{id} runs");
        let log = nodes.log(id);
        let alarm = log.lines().find(|line| line.contains("panicked") || line.contains("ERROR"));
        assert_eq!(alarm, None, "n{id}");
    }
    println!("{restarts} restarts with another build, {kills} of them after kill -9");
}

#[test]
#[ignore = "needs the previous release: QUORATE_PREVIOUS=FILE or QUORATE_PREVIOUS_COMMIT=COMMIT; \
            QUORATE_UPGRADES rounds, 3 without it, from seed QUORATE_SEED"]
fn rolling_upgrades() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("QUORATE_UPGRADES").unwrap_or(3);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX / 4);
    roll(&previous(), number("QUORATE_SEED").unwrap_or(1), rounds);
}

/// The same restarts with this build in both places, so that every test run exercises them.
#[test]
fn a_cluster_is_restarted_node_by_node_under_load() {
    roll(PRESENT, 5, 0);
}
