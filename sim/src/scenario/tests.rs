//! Scenarios print and read back the same, and syntax errors name their place.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::raft::{Config, Lease, Survivor, Suspension};
use quorate::types::NodeId;

use crate::record::{EventKind, RecordUntil};
use crate::settings::profile::Profile;
use crate::values::choice::Kind;
use crate::values::time::SimTime;
use crate::workload::kv::Kv;

use super::*;

fn read(text: &str) -> Result<Scenario, SyntaxError> {
    Scenario::read(text, &RunOptions::default().workload)
}

#[test]
fn every_drawn_run_prints_and_reads_back() {
    for profile in Profile::all() {
        let options = RunOptions { profile, ..RunOptions::default() };
        for seed in 1..=60 {
            let mut case = Case::draw(seed, &options);
            case.overrides.insert(Kind::Latency.key(), seed);
            let scenario = Scenario::of(case, vec![Expect::Pass], &options.workload);
            let text = scenario.to_string();
            let again = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(again, scenario, "{} {seed}:\n{text}", profile.name);
        }
    }
}

#[test]
fn runs_with_short_and_with_long_commands_print_and_read_back() {
    for value_bytes_max in [8, 4096] {
        let workload = AnyWorkload::new(Kv::new(8, value_bytes_max));
        let options = RunOptions { workload, ..RunOptions::default() };
        for seed in 1..=40 {
            let case = Case::draw(seed, &options);
            assert_eq!(case.settings.storage.check(), Ok(()), "{value_bytes_max} {seed}");
            let scenario = Scenario::of(case, Vec::new(), &options.workload);
            let again = Scenario::read(&scenario.to_string(), &options.workload);
            assert_eq!(again, Ok(scenario), "{value_bytes_max} {seed}");
        }
    }
}

/// Lists changes of the configuration, one for each field, with the field's name. The tests do not
/// compile until a new field is listed.
macro_rules! changes {
    ($($field:ident: $change:expr),* $(,)?) => {{
        // The cluster of a scenario gives these two.
        let Config { id: _, bootstrap_peers: _, $($field: _),* } = Config::new(NodeId(1));
        let changes: Vec<(&str, fn(&mut Config))> = vec![
            $((stringify!($field), |config: &mut Config| {
                let change: fn(&mut _) = $change;
                change(&mut config.$field);
            })),*
        ];
        changes
    }};
}

#[test]
fn every_field_of_the_configuration_has_a_row() {
    let printed =
        |settings: &Settings| ROWS.iter().map(|row| (row.print)(settings)).collect::<Vec<_>>();
    let changes = changes! {
        election_timeout_min: |span| *span += Duration::from_millis(1),
        election_timeout_max: |span| *span += Duration::from_millis(1),
        heartbeat_interval: |span| *span += Duration::from_millis(1),
        commit_delay: |span| *span += Duration::from_millis(1),
        pre_vote: |on: &mut bool| *on = !*on,
        check_quorum: |on: &mut bool| *on = !*on,
        stickiness: |on: &mut bool| *on = !*on,
        casting_vote: |on: &mut bool| *on = !*on,
        suspension: |rules| {
            let (after, pause) = (Duration::from_secs(9), Duration::from_secs(9));
            *rules = Some(Suspension { after, voters_min: 1, pause });
        },
        survivor: |rules| *rules = Some(Survivor { after: Duration::from_secs(9) }),
        lease: |rules| *rules = Some(Lease { drift_ppm: 77, read_leases: true }),
        command_bytes_max: |bound| *bound += 1,
        message_entries_max: |bound| *bound += 1,
        message_bytes_max: |bound| *bound += 1,
        inflight_messages_max: |bound| *bound += 1,
        inflight_entries_max: |bound| *bound += 1,
        inflight_bytes_max: |bound| *bound += 1,
        unapplied_bytes_max: |bound| *bound += 1,
        all_live_max: |bound| *bound += 1,
        tail_bytes_max: |bound| *bound += 1,
        apply_bytes_max: |bound| *bound += 1,
        reads_max: |bound| *bound += 1,
        outbox_messages_max: |bound| *bound += 1,
    };
    let settings = read("expect pass\n").expect("the scenario is valid").case.settings;
    for (field, change) in changes {
        let mut changed = settings.clone();
        change(&mut changed.config);
        assert_ne!(printed(&changed), printed(&settings), "no row prints Config::{field}");
    }
}

#[test]
fn a_drawn_run_is_the_same_run_as_a_scenario() {
    for (seed, name) in [(3, "default"), (5, "disk"), (1, "membership"), (2, "identity")] {
        let profile = Profile::by_name(name).expect("it exists");
        let options = RunOptions { profile, ..RunOptions::default() };
        let case = Case::draw(seed, &options);
        let text = Scenario::of(case.clone(), Vec::new(), &options.workload).to_string();
        let scenario = read(&text).expect("the scenario is valid");
        let (drawn, written) = (case.run(&options), scenario.case.run(&options));
        assert_eq!((drawn.digest, drawn.failure), (written.digest, written.failure), "{name}");
    }
}

#[test]
fn settings_that_are_not_given_have_defaults() {
    let scenario = read("\n# nothing\n").expect("the scenario is valid");
    assert_eq!(scenario.lines(), ["nodes 3"]);
    let outcome = run_text("fault phase 2s").expect("the run passes");
    assert!(outcome.tally.commands_committed > 20, "{:?}", outcome.tally);
}

#[test]
fn every_setting_reads_its_default() {
    let defaults = read("").expect("the scenario is valid");
    for row in ROWS.iter().filter(|row| !["faults", "priorities"].contains(&row.name)) {
        let line = format!("{} {}", row.name, (row.print)(&defaults.case.settings));
        assert_eq!(read(&line).as_ref(), Ok(&defaults), "{line}");
    }
}

#[test]
fn expectations_are_compared_with_the_run() {
    let crash = "at 1s crash leader for 500ms\nfault phase 3s\n";
    assert!(run_text(&format!("{crash}expect pass\nexpect crash >= 1")).is_ok());
    let error = run_text(&format!("{crash}expect S1")).expect_err("no check is violated");
    assert_eq!(error.to_string(), "line 3: expected `S1 election-safety`, observed: no failure");
    let error = run_text(&format!("{crash}expect elections >= 100"))
        .expect_err("there are fewer elections");
    let error = error.to_string();
    assert!(error.starts_with("line 3: expected `elections >= 100`, observed: count "), "{error}");
}

#[test]
fn an_expected_failure_is_not_that_of_another_expectation() {
    let mut outcome = run_text("fault phase 1s").expect("the run passes");
    outcome.failure = Some(Failure::Stalled("time does not advance".to_owned()));
    let failures = |text| {
        let unmet = read(text).expect("the scenario is valid").unmet(&outcome);
        unmet.into_iter().map(|unmet| unmet.failure.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(failures("expect stall\nexpect elections >= 9999"), [false]);
    assert_eq!(failures("expect S1\nexpect elections >= 9999"), [true]);
}

#[test]
fn clients_invoke_the_given_number_of_operations() {
    let checked_operations = |operations: u64| {
        let text = format!("clients 3 operations {operations}\nfault phase 2s");
        run_text(&text).expect("the run passes").tally.operations_checked
    };
    // The core receives requests in the stabilization phase, even if the scenario has none.
    let after = checked_operations(0);
    // The outcome of some operations may be unknown and not checkable.
    assert!(
        (after + 1..=after + 5).contains(&checked_operations(5)),
        "{after}, {}",
        checked_operations(5)
    );
    assert!(
        (after + 6..=after + 50).contains(&checked_operations(50)),
        "{after}, {}",
        checked_operations(50)
    );
}

#[test]
fn scripted_requests_run_and_their_outcomes_are_compared() {
    let text = "clients 0\nfault phase 6s\nat 1s put x=1\nat 1.5s put x=1 via n2\n\
                expect cas x=1 -> 2 at 2s\nexpect get x=2 via n3 local at 3s\n\
                expect get y=nothing at 3s\nat 4s get x via leader 100ms\n\
                expect leader any at 4s\nexpect operations >= 6\n";
    let outcome = run_text(text).unwrap_or_else(|error| panic!("{error}"));
    let answers = &outcome.scripted.requests;
    assert_eq!(answers.len(), 6, "{answers:?}");
    assert!(
        answers.iter().all(|it| it.outcome != crate::faults::ScriptedOutcome::NoReply),
        "{answers:?}"
    );
    let error = |line: &str| run_text(&format!("{text}{line}")).expect_err(line).to_string();
    assert_eq!(error("expect get x=3 at 5s"), "line 11: expected `get x=3 at 5s`, observed: x=2");
    let swap = error("expect cas x=nothing -> 3 at 5s");
    assert_eq!(swap, "line 11: expected `cas x=nothing -> 3 at 5s`, observed: x=2");
    let leaderless = error("expect no leader from 4s to 5s");
    assert!(
        leaderless.starts_with("line 11: expected `no leader from 4s to 5s`, observed: leader n")
    );
}

#[test]
fn scripted_requests_survive_a_leader_change_but_not_a_lost_quorum() {
    let text = "nodes 3\nclients 0\nfault phase 8s\nat 1s put x=1\n\
                at 2s isolate leader for 1s\nexpect put x=2 at 2.5s\nexpect get x=2 at 3.8s\n\
                at 5s only n1-n1 for 2s\nexpect no leader from 5.5s to 6.5s\n";
    run_text(text).unwrap_or_else(|error| panic!("{error}"));
    let silent =
        run_text(&format!("{text}expect put x=3 at 5.5s")).expect_err("there is no leader");
    assert_eq!(silent.to_string(), "line 10: expected `put x=3 at 5.5s`, observed: no answer");
    run_text(&format!(
        "{text}expect no answer to put x=3 at 5.5s\nexpect no answer to get x at 5.5s"
    ))
    .unwrap_or_else(|error| panic!("{error}"));
    let answered = run_text(&format!("{text}expect no answer to get x via n3 local at 5.5s"))
        .expect_err("a local read needs no leader");
    let expected = "line 10: expected `no answer to get x via n3 local at 5.5s`, observed: x=2";
    assert_eq!(answered.to_string(), expected);
}

#[test]
fn every_expectation_that_is_not_met_is_reported() {
    let text = "nodes 3\nclients 0\nfault phase 4s\nexpect get x=1 at 2s\n\
                expect elections >= 100\nexpect put x=1 at 3s\nexpect no leader from 2s to 3s";
    let error = run_text(text).expect_err("three expectations are not met").to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert_eq!(lines[0], "line 4: expected `get x=1 at 2s`, observed: x=nothing");
    assert!(lines[1].starts_with("line 5: expected `elections >= 100`, "), "{error}");
    assert!(lines[2].starts_with("line 7: expected `no leader from 2s to 3s`, "), "{error}");
    // A run that fails unexpectedly ends early, so only its outcome is compared.
    let split = include_str!("../../scenarios/split_brain.scenario");
    let passes: String = split
        .lines()
        .filter(|line| !line.starts_with("expect"))
        .fold(String::new(), |text, line| format!("{text}{line}\n"));
    let error = run_text(&format!("{passes}expect elections >= 1000")).expect_err("it fails");
    assert!(error.to_string().starts_with("expected `pass`, observed: "), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[test]
fn scripted_requests_are_part_of_the_checked_history() {
    let text = "clients 2\nfault phase 4s\nseed 3\nat 1s crash leader for 1s\nat 1.1s put k1=7\n\
                at 1.1s cas k1=7 -> 8\nat 1.2s get k1 via n2\nexpect pass";
    let outcome = run_text(text).unwrap_or_else(|error| panic!("{error}"));
    let alone = run_text(&text.replace("clients 2", "clients 0")).expect("the run passes");
    assert!(outcome.tally.operations_checked > alone.tally.operations_checked);
    assert!(alone.tally.operations_checked >= 3, "{:?}", alone.tally);
}

/// Checks that reading each text fails with its error.
fn assert_errors(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn syntax_errors_name_their_place_and_the_remedy() {
    let cases = [
        ("nodes 3\n\n  latency fast", "3:11: `fast` is not a duration"),
        ("nodes", "1:6: the line ends here"),
        ("nodes 12", "1:7: `12` is not a whole number from 1 to 11"),
        ("lattency 5ms", "1:1: `lattency` is not a known setting or time: did you mean `latency`?"),
        ("pre-vote yes", "1:10: `yes` is not a known switch: expected one of: off, on"),
        ("nodes 3\nnodes 5", "2:1: line 1 already sets this"),
        ("crash n1", "1:1: `crash` needs a time or a trigger: write it like `at 1s crash ..`"),
        ("at 1s crash n4", "1:13: there is no n4 among 3 nodes: name another, or write `spares 1`"),
        ("nodes 9\nlearners 3", "2:10: 12 nodes are more than 11"),
        (
            "election timeout 50ms..90ms",
            "1:18: election_timeout_min is 50ms, less than three times",
        ),
        ("check-quorum off", "stickiness"),
        (
            "check-quorum off\nelection timeout 50ms..90ms\nstickiness off",
            "2:18: election_timeout_min is 50ms",
        ),
        ("priorities 1 2", "2 priorities for 3 members: write one per member"),
        ("segment bytes 5000", "1:15: segment_bytes is 5000: it must be from "),
        ("command bytes max 99", "1:19: `99` is not a whole number from 100"),
        ("at 1s flap n1-n2 every 9us", "the period is shorter than 10us"),
        ("loss 10", "1:8: the line ends here: `in 1000` is missing"),
        ("loss 10 of 1000", "1:9: unexpected `of`: write `in 1000`"),
        (
            "choose Reseed/1.0/0/5 = 3",
            "1:8: a reseed belongs to no node: write Reseed/0.0/0/MICROSECONDS",
        ),
        ("choose Latency/1 = 0", "1:8: `Latency/1` is not the name of a choice"),
        ("expect nothing", "1:8: `nothing` is not a known outcome, count or check"),
        ("seed 1\nseed 2", "2:1: line 1 already sets this"),
        ("expect get x at 5s", "1:12: `x` is not a key and its value, like x=1 or x=nothing"),
        ("expect get x=1 via n4 at 5s", "1:20: there is no n4 among 3 nodes"),
        ("expect get x=1 via it at 5s", "`it` and `other` are nodes of a trigger"),
        ("expect put x=1", "1:15: the line ends here: `at` is missing"),
        ("expect leader n4 at 5s", "1:15: there is no n4 among 3 nodes"),
        ("at 11s put x=1", "1:4: the line takes effect at 11s at the earliest"),
        ("at 10s put x=1", "1:4: the fault phase ends at 10s"),
        ("expect leader n1 at 11s", "1:21: the fault phase ends at 10s"),
        (
            "fault phase 4s\nat 5s crash n1 for 1s",
            "2:4: the line takes effect at 5s at the earliest, but the fault phase ends at 4s",
        ),
        ("from 12s when n1 restarts, crash n1", "1:6: the line takes effect at 12s"),
        (
            "from 9s to 11s when any restarts delay 1s, crash it",
            "1:40: the line takes effect at 10s",
        ),
        ("when any restarts delay 20s, crash it", "1:25: the line takes effect at 20s"),
        (
            "at 6s roll back n1 by 4s for 1s",
            "1:4: the node gets its old disk at 10s at the earliest, but the fault phase ends at",
        ),
        (
            "from 5s when n1 becomes leader delay 3s, roll back n1 by 2s for 1s",
            "1:38: the node gets its old disk at 10s",
        ),
        (
            "expect no answer to put x=1 at 9.5s",
            "1:32: the request is given up at 10.5s at the earliest, but the fault phase ends",
        ),
    ];
    assert_errors(&cases);
}

#[test]
fn settings_with_which_a_correct_cluster_fails_are_errors() {
    let cases = [
        ("request timeout 1ms", "1:17: an answer takes up to 3.1ms, and `request timeout` is 1ms"),
        ("request timeout 0s", "an answer takes up to 3.1ms, and `request timeout` is 0s"),
        ("message entries 4097", "1:17: `message entries` is over 4096, the most"),
        (
            "inflight bytes 9000000\nmessage bytes 8387585",
            "2:15: `message bytes` is over 8387584, the most",
        ),
        ("latency 0s\nthink time 0s", "2:12: clients pause for as little as 0s"),
        ("sessions 3\nthink time 0s", "2:12: clients pause for as little as 0s"),
        ("latency 0s\nclients 1000\nthink time 10us", "3:12: clients pause for as little as 10us"),
        ("clients 0\nsessions 3\nthink time 1us", "3:12: clients pause for as little as 1us"),
        ("scrub period 0s", "scrub_period is 0"),
        ("scrub period 1ms", "`scrub period` is shorter than the longest election timeout, 300ms"),
        ("validation period 0s", "validation_period is 0"),
        ("validation period 1us", "1:19: `heartbeat` and `validation period` are at least 1ms"),
        ("heartbeat 1ns", "`heartbeat` and `validation period` are at least 1ms"),
        ("validation entries 1000000", "validation_entries is 1000000"),
        ("gather 1h", "an answer takes up to 3600003.1ms"),
        ("latency 100ms", "a vote takes up to 202ms, and the shortest election timeout is 150ms"),
        ("flush 80ms", "a vote takes up to 162ms, and the shortest election timeout is 150ms"),
        ("flush 1h", "so there may be no leader"),
        ("election timeout 150ms", "1:18: election timeouts differ by at most 0s"),
        ("election timeout 1h", "an election timeout is longer than 600s"),
        ("report delay 1h", "at most ten longest election timeouts, 3s"),
        ("batch time 1h\nrequest timeout 2h", "at most ten longest election timeouts, 3s"),
        ("survivor after 1h", "`survivor` is at most a hundred longest election timeouts"),
        ("command bytes 4294967296", "`command bytes` is over `command bytes max`, 255"),
        ("at 1s machine fault n1 bit flip", "1:28: no reply may show the fault"),
        (
            "validation states on\nvalidation entries 100\nat 1s machine fault n1 bit flip",
            "3:28: nodes compare their state machines after 100 entries",
        ),
        (
            "machine checkpoint every 3\nat 1s crash n2\nat 2s machine fault n1 wrong reply",
            "3:30: a state machine with a checkpoint of its own cannot be rebuilt",
        ),
    ];
    assert_errors(&cases);
    assert!(
        read("check-quorum off\nstickiness off").is_ok(),
        "only the final settings are checked"
    );
    assert!(read("heartbeat 200ms\nelection timeout 600ms..900ms").is_ok());
    // Settings of one node, of fitting timeouts, and of compared states.
    assert!(read("nodes 1\nelection timeout 150ms").is_ok());
    assert!(read("latency 100ms\nelection timeout 1s..2s").is_ok());
    assert!(read("validation states on\nat 1s machine fault n1 bit flip").is_ok());
    assert!(read("clients 0\nlatency 0s\nthink time 0s").is_ok());
}

#[test]
fn operations_at_the_end_of_the_fault_phase_are_read_and_later_ones_of_a_drawn_run_are_left_out() {
    let text = "nodes 3\nfault phase 2s\nat 2s crash n1\nfrom 1.9s when any restarts, crash it\n";
    assert_eq!(read(text).expect("both may take effect").case.plan.ops.len(), 2);
    let mut case = read(text).expect("the scenario is valid").case;
    case.settings.fault_phase = Duration::from_millis(1_500);
    let scenario = Scenario::of(case, Vec::new(), &RunOptions::default().workload);
    assert_eq!(scenario.lines(), ["nodes 3", "faults crash", "fault phase 1.5s"]);
}

#[test]
fn a_run_whose_checks_end_with_a_rollback_is_counted() {
    let partly = |noticed: u8| {
        let text = format!(
            "fault phase 4s\nat 1s roll back n1 by 500ms for 200ms\n\
             choose Boot/0.0/0/1 = {noticed}\nexpect rollback >= 1"
        );
        run_text(&text).unwrap_or_else(|error| panic!("{error}")).tally.partly_checked
    };
    assert_eq!((partly(0).without_checks, partly(0).without_liveness), (1, 0));
    assert_eq!(partly(1).runs(), 0, "the copy is marked");
}

#[test]
fn every_rollback_strikes_although_another_one_is_pending() {
    // The second copy replaces the disk after the first one, and then before it.
    for (seed, age) in (0..6).flat_map(|seed| [(seed, "2500ms"), (seed, "800ms")]) {
        let text = format!(
            "seed {seed}\nfault phase 6s\nat 1s roll back n1 by 2s for 200ms\n\
             at 1500ms roll back n1 by {age} for 200ms\n\
             choose Boot/0.0/0/1 = 1\nexpect rollback >= 2"
        );
        run_text(&text).unwrap_or_else(|error| panic!("seed {seed}, {age}: {error}"));
    }
}

#[test]
fn drivers_may_gather_proposals_for_a_long_time() {
    for seed in 0..6 {
        let text = format!("seed {seed}\nnodes 3\nfault phase 2s\ngather 20s\nrequest timeout 60s");
        run_text(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let twice = "nodes 3\ngather 30s\nrequest timeout 300s\nfault phase 3s\n\
                 at 2.9s crash leader for 100ms";
    run_text(twice).expect("a follower gathers before it rejects, and then the leader gathers");
}

#[test]
fn a_lagging_driver_may_answer_for_the_only_voter_after_another_was_added() {
    let text = "seed 2\nnodes 3\nspares 1\nclients 12\nthink time 1ms\nreads 900 in 1000\n\
                snapshot entries 20\nvalidation entries 16\nlag 300 in 1000\nfault phase 10s\n\
                at 1.5s isolate n3 for 8s\nat 1.7s machine fault n2 skipped command\n\
                at 2.5s crash n1 for 60ms\nat 4s change leader -n2 -n3\nat 6s change leader +n4";
    run_text(text).expect("it was the only voter when it decided to answer");
}

#[test]
fn a_last_survivor_may_take_over_after_a_long_silence() {
    for seed in 0..6 {
        let text = format!("seed {seed}\nnodes 3\nfault phase 2s\nsurvivor after 30s");
        run_text(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

/// The lines that the reference must contain for every element of the language.
fn reference() -> Vec<String> {
    use crate::faults::{Call, MachineFault, Region};
    use crate::plan::Trigger;
    let defaults = read("").expect("the scenario is valid");
    let settings = ROWS.iter().map(|row| {
        let value = (row.print)(&defaults.case.settings);
        let value = if value.is_empty() { "none".to_owned() } else { value };
        format!("- `{} {}` (`{value}`): {}", row.name, row.arguments, row.summary)
    });
    let verbs = Verb::syntax()
        .into_iter()
        .map(|it| format!("- `{} {}`: {}", it.verb, it.arguments, it.summary));
    let triggers = Trigger::ALL.iter().map(|(_, name)| format!("- `{name}`: "));
    let parts = Call::ALL.iter().map(|(_, name)| *name);
    let parts = parts.chain(Region::ALL.iter().map(|(_, name)| *name));
    let parts = parts.chain(MachineFault::ALL.iter().map(|(_, name)| *name));
    let kinds = Fault::ALL.map(Fault::name);
    let names = parts.chain(kinds).map(|name| format!("`{name}`"));
    settings.chain(verbs).chain(triggers).chain(names).collect()
}

#[test]
fn the_reference_lists_the_whole_language() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SCENARIOS.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let flowing = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing = reference().into_iter().filter(|line| !flowing.contains(line.trim_end()));
    let missing: Vec<String> = missing.collect();
    assert!(missing.is_empty(), "docs/SCENARIOS.md lacks:\n{}", missing.join("\n"));
    for text in page.split("```text\n").skip(1) {
        let text = text.split("```").next().unwrap_or_default();
        if let Err(error) = read(text) {
            panic!("docs/SCENARIOS.md: an example has a syntax error: {error}\n{text}");
        }
    }
}

#[test]
fn a_largest_command_that_no_flush_holds_is_an_error() {
    let command = "nodes 3\ninflight bytes 100000\nmessage bytes 100000\nunapplied bytes 100000\n\
                   command bytes max 20000\n";
    let error = read(command).expect_err("a flush holds 16 KiB");
    assert!(error.to_string().contains("flush_bytes_max"), "{error}");
    let fitting = format!("{command}flush bytes 30000\n");
    let scenario = read(&fitting).expect("the flush holds the command");
    assert_eq!(scenario.case.settings.storage.check(), Ok(()));
}

#[test]
fn the_end_of_every_lasting_fault_is_reported() {
    let text = "nodes 3\nat 1s clog n1 for 100ms\nat 1s stall disk n1 for 100ms\n\
                at 1s poll reads n1 every 25ms for 100ms\n";
    let scenario = read(text).expect("it is a scenario");
    let until = RecordUntil::Time(SimTime::default().after(Duration::from_secs(2)));
    let recording = scenario.case.record(&RunOptions::default(), until);
    let ended = recording.record.events.iter().filter_map(|event| match event.kind {
        EventKind::PlanOpEnded(op) => Some(op),
        _ => None,
    });
    assert_eq!(ended.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
}
