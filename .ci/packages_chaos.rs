//! A user of the published simulator: chaos runs of a state machine. `.ci/packages` builds it
//! against the packaged files.

use quorate_sim::chaos;
use quorate_sim::workload::kv::Kv;

fn main() {
    let tally = chaos::run(Kv::new(8, 24), 0..4).expect("no run fails");
    assert!(tally.commands_committed > 0);
    println!("4 chaos runs: {} commands committed", tally.commands_committed);
}
