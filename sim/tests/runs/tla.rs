//! Runs are behaviours of the TLA+ specification of the core (`docs/tla/README.md`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use quorate_sim::run::{CoreSink, RunOptions, run};
use quorate_sim::settings::profile::Profile;
use quorate_sim::tla::{SimulatedCores, TlaModule, TlaTrace};

/// The lines of a trace here; the commands in `docs/tla/README.md` take longer ones.
const LINES: usize = 600;

/// Returns the trace of a run.
fn trace(profile: &str, seed: u64) -> TlaModule {
    let state = Arc::new(Mutex::new((SimulatedCores::default(), TlaTrace::new(true))));
    let sink = Arc::clone(&state);
    let cores: CoreSink = Arc::new(move |at, node, input| {
        let (cores, trace) = &mut *sink.lock().expect("no observer panics");
        if trace.lines() < LINES {
            cores.observe(at, node, input, |event| trace.observe(event));
        }
    });
    let profile = Profile::by_name(profile).expect("the profile exists");
    let options = RunOptions { profile, cores: Some(cores), ..RunOptions::default() };
    assert_eq!(run(seed, &options).failure, None, "seed {seed}");
    let trace = state.lock().expect("no observer panics").1.clone();
    trace.finish()
}

/// Writes the traces to files in `folder`, and returns what TLC says about them.
fn check(folder: &Path, traces: &[(String, TlaModule)]) -> String {
    let paths: Vec<PathBuf> = traces
        .iter()
        .map(|(name, module)| {
            let path = folder.join(format!("{name}.tla"));
            fs::write(&path, &module.text).expect("a new folder can be written to");
            path
        })
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tla/check_trace.sh");
    let output = Command::new(script).args(&paths).output().expect("the script can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns true, and prints that the test is skipped, if `QUORATE_TLC` names no TLC.
fn is_skipped(name: &str) -> bool {
    let is_missing = env::var_os("QUORATE_TLC").is_none_or(|jar| !Path::new(&jar).is_file());
    if is_missing {
        println!("SKIPPED {name}: QUORATE_TLC names no tla2tools.jar");
    }
    is_missing
}

#[test]
fn runs_are_behaviours_of_the_specification() {
    if is_skipped("runs_are_behaviours_of_the_specification") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let runs = [("no-faults", 1), ("crash", 2), ("membership", 14), ("snapshot", 2), ("even", 3)];
    let traces = runs.map(|(profile, seed)| (format!("{profile}-{seed}"), trace(profile, seed)));
    let found = check(folder.path(), &traces);
    assert_eq!(found.matches(": accepted, ").count(), runs.len(), "{found}");
}

#[test]
fn a_vote_that_leaves_too_early_is_refused_at_its_line() {
    if is_skipped("a_vote_that_leaves_too_early_is_refused_at_its_line") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut module = trace("no-faults", 1);
    // The step that gives the vote also sends it, before the write is durable.
    let line = module.text.lines().find(|line| line.contains("a |-> \"Vote\"")).expect("a vote");
    let early = line.replace(", w |->", ", o |-> <<<<\"grant\", 1, 2>>>>, w |->");
    assert_ne!(line, early);
    module.text = module.text.replace(line, &early);
    let found = check(folder.path(), &[("early".to_owned(), module)]);
    assert!(found.contains("REFUSED") && found.contains("a vote that is durable"), "{found}");
}

#[test]
fn a_trace_is_the_same_each_time_and_has_lines_for_every_node() {
    let module = trace("no-faults", 1);
    assert_eq!(module, trace("no-faults", 1));
    assert_eq!(module.left_out, None);
    assert!(module.lines >= LINES, "{} lines", module.lines);
    for node in 1..=3 {
        assert!(module.text.contains(&format!("[a |-> \"Begin\", n |-> {node}")), "n{node}");
    }
}

#[test]
fn a_trace_ends_where_a_node_has_lost_its_disk() {
    let module = trace("reads", 19);
    let end = module.left_out.expect("the run has a lost disk");
    assert!(end.contains("n3 has lost its disk"), "{end}");
    assert!(module.lines < LINES, "{} lines", module.lines);
}
