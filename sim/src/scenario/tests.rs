//! Scenarios read as they print, and mistakes name their place.

use crate::choice::Kind;
use crate::profile::Profile;

use super::*;

fn read(text: &str) -> Result<Scenario, Mistake> {
    Scenario::read(text, &RunOptions::default().workload)
}

#[test]
fn every_drawn_run_reads_as_it_prints() {
    for profile in Profile::all() {
        let options = RunOptions { profile, ..RunOptions::default() };
        for seed in 1..=60 {
            let mut case = Case::draw(seed, &options);
            case.overrides.insert(Kind::Latency.key(), seed);
            let scenario = Scenario::of(case, vec![Expect::Pass], &options.workload);
            let text = scenario.to_string();
            let again = read(&text).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"));
            assert_eq!(again, scenario, "{} {seed}:\n{text}", profile.name);
        }
    }
}

#[test]
fn a_drawn_run_is_the_same_run_as_a_scenario() {
    for (seed, name) in [(3, "default"), (5, "disk"), (1, "member"), (2, "identity")] {
        let profile = Profile::by_name(name).expect("it exists");
        let options = RunOptions { profile, ..RunOptions::default() };
        let case = Case::draw(seed, &options);
        let text = Scenario::of(case.clone(), Vec::new(), &options.workload).to_string();
        let scenario = read(&text).expect("it is a scenario");
        let (drawn, written) = (case.run(&options), scenario.case.run(&options));
        assert_eq!((drawn.digest, drawn.failure), (written.digest, written.failure), "{name}");
    }
}

#[test]
fn what_is_not_said_is_plain() {
    let scenario = read("\n# nothing\n").expect("it is a scenario");
    assert_eq!(scenario.lines(), ["nodes 3"]);
    let outcome = run_text("storm 2s").expect("nothing goes wrong");
    assert!(outcome.tally.commands_committed > 20, "{:?}", outcome.tally);
}

#[test]
fn every_setting_can_be_left_as_it_is() {
    let plain = read("").expect("it is a scenario");
    for row in ROWS.iter().filter(|row| !["faults", "priorities"].contains(&row.name)) {
        let line = format!("{} {}", row.name, (row.print)(&plain.case.settings));
        assert_eq!(read(&line).as_ref(), Ok(&plain), "{line}");
    }
}

#[test]
fn expectations_are_held_against_the_run() {
    let crash = "at 1s crash leader for 500ms\nstorm 3s\n";
    assert!(run_text(&format!("{crash}expect pass\nexpect crash >= 1")).is_ok());
    let wrong = run_text(&format!("{crash}expect S1")).expect_err("nothing is broken");
    assert_eq!(wrong.to_string(), "line 3: expected `S1 election-safety`, and nothing went wrong");
    let wrong = run_text(&format!("{crash}expect elections >= 100")).expect_err("too few");
    let wrong = wrong.to_string();
    assert!(wrong.starts_with("line 3: expected `elections >= 100`, and counted "), "{wrong}");
}

#[test]
fn operations_are_as_many_as_the_scenario_says() {
    let asked = |operations: u64| {
        let text = format!("clients 3 operations {operations}\nstorm 2s");
        run_text(&text).expect("nothing goes wrong").tally.operations_checked
    };
    // Once the storm is over the core is asked for something, whatever the scenario says.
    let after = asked(0);
    // Some may come to something that nobody can check.
    assert!((after + 1..=after + 5).contains(&asked(5)), "{after}, {}", asked(5));
    assert!((after + 6..=after + 50).contains(&asked(50)), "{after}, {}", asked(50));
}

#[test]
fn errands_are_run_and_held_against_what_came_of_them() {
    let text = "clients 0\nstorm 6s\nat 1s put x=1\nat 1.5s put x=1 via n2\n\
                expect cas x=1 -> 2 at 2s\nexpect get x=2 via n3 local at 3s\n\
                expect get y=nothing at 3s\nat 4s get x via leader 100ms\n\
                expect leader any at 4s\nexpect operations >= 6\n";
    let outcome = run_text(text).unwrap_or_else(|trouble| panic!("{trouble}"));
    let answers = &outcome.sightings.answers;
    assert_eq!(answers.len(), 6, "{answers:?}");
    assert!(answers.iter().all(|it| it.answer != crate::plan::Answer::Silence), "{answers:?}");
    let wrong = |line: &str| run_text(&format!("{text}{line}")).expect_err(line).to_string();
    assert_eq!(wrong("expect get x=3 at 5s"), "line 11: expected `get x=3 at 5s`, and saw x=2");
    let swap = wrong("expect cas x=nothing -> 3 at 5s");
    assert_eq!(swap, "line 11: expected `cas x=nothing -> 3 at 5s`, and saw x=2");
    let leaderless = wrong("expect no leader from 4s to 5s");
    assert!(leaderless.starts_with("line 11: expected `no leader from 4s to 5s`, and n"));
}

#[test]
fn errands_outlast_a_leader_and_not_a_minority() {
    let text = "nodes 3\nclients 0\nstorm 8s\nat 1s put x=1\n\
                at 2s isolate leader for 1s\nexpect put x=2 at 2.5s\nexpect get x=2 at 3.8s\n\
                at 5s only n1-n1 for 2s\nexpect no leader from 5.5s to 6.5s\n";
    run_text(text).unwrap_or_else(|trouble| panic!("{trouble}"));
    let silent = run_text(&format!("{text}expect put x=3 at 5.5s")).expect_err("nobody leads");
    assert_eq!(silent.to_string(), "line 10: expected `put x=3 at 5.5s`, and saw no answer");
}

#[test]
fn what_clients_saw_of_errands_is_checked_with_the_rest() {
    let text = "clients 2\nstorm 4s\nseed 3\nat 1s crash leader for 1s\nat 1.1s put k1=7\n\
                at 1.1s cas k1=7 -> 8\nat 1.2s get k1 via n2\nexpect pass";
    let outcome = run_text(text).unwrap_or_else(|trouble| panic!("{trouble}"));
    let alone = run_text(&text.replace("clients 2", "clients 0")).expect("it passes, too");
    assert!(outcome.tally.operations_checked > alone.tally.operations_checked);
    assert!(alone.tally.operations_checked >= 3, "{:?}", alone.tally);
}

#[test]
fn mistakes_name_their_place_and_what_to_do() {
    let cases = [
        ("nodes 3\n\n  latency fast", "3:11: `fast` is not a span of time"),
        ("nodes", "1:6: the line ends here"),
        ("nodes 12", "1:7: `12` is not a whole number from 1 to 11"),
        ("lattency 5ms", "1:1: `lattency` is no setting and no time: did you mean `latency`?"),
        ("pre-vote yes", "1:10: `yes` is no switch: there are: off, on"),
        ("nodes 3\nnodes 5", "2:1: line 1 says it already"),
        ("crash n1", "1:1: when? write it like `at 1s crash ..`"),
        ("at 1s crash n4", "1:13: there is no n4 among 3 nodes: name another, or write `spares 1`"),
        ("nodes 9\nlearners 3", "2:10: 12 nodes are over 11"),
        ("election timeout 50ms..90ms", "1:18: election_timeout_min is less than three times"),
        ("check-quorum off", "stickiness"),
        ("priorities 1 2", "2 priorities for 3 members: write one for each"),
        ("segment bytes 5000", "1:15: segment_bytes must be a multiple of 4096"),
        ("loss 10", "1:8: the line ends here: `in 1000` is missing"),
        ("loss 10 of 1000", "1:9: `of` stands where `in 1000` belongs"),
        ("choose Redraw/1.0/0/5 = 3", "1:8: it is nobody's: write Redraw/0.0/0/MICROSECONDS"),
        ("choose Latency/1 = 0", "1:8: `Latency/1` is not the name of a choice"),
        ("expect nothing", "1:8: `nothing` is no outcome, count or check"),
        ("seed 1\nseed 2", "2:1: line 1 says it already"),
        ("expect get x at 5s", "1:12: `x` is not a key and its value, like x=1 or x=nothing"),
        ("expect get x=1 via n4 at 5s", "1:20: there is no n4 among 3 nodes"),
        ("expect get x=1 via it at 5s", "`it` and `other` are nodes of a trigger"),
        ("expect put x=1", "1:15: the line ends here: `at` is missing"),
        ("expect leader n4 at 5s", "1:15: there is no n4 among 3 nodes"),
        ("at 11s put x=1", "1:4: the storm is over at 10s"),
        ("expect leader n1 at 11s", "1:21: the storm is over at 10s"),
        ("machine keeps every 3\nat 1s slip n1 misspeaks", "take the line `machine keeps` out"),
    ];
    for (text, said) in cases {
        let mistake = read(text).expect_err(text).to_string();
        assert!(mistake.contains(said), "{text}: {mistake}");
    }
    assert!(read("check-quorum off\nstickiness off").is_ok(), "what fits in the end is right");
    assert!(read("heartbeat 200ms\nelection timeout 600ms..900ms").is_ok());
}

/// What the reference has to say about everything that the language has.
fn reference() -> Vec<String> {
    use crate::plan::{Call, Region, Slip, Trigger};
    let plain = read("").expect("it is a scenario");
    let settings = ROWS.iter().map(|row| {
        let value = (row.print)(&plain.case.settings);
        let value = if value.is_empty() { "none".to_owned() } else { value };
        format!("- `{} {}` (`{value}`): {}", row.name, row.takes, row.about)
    });
    let verbs = VERBS.iter().map(|it| format!("- `{} {}`: {}", it.verb, it.takes, it.does));
    let triggers = Trigger::ALL.map(|(_, name)| format!("- `{name}`: "));
    let parts = Call::ALL.map(|(_, name)| name).into_iter();
    let parts = parts.chain(Region::ALL.map(|(_, name)| name));
    let parts = parts.chain(Slip::ALL.map(|(_, name)| name));
    let kinds = Fault::ALL.map(Fault::name);
    let names = parts.chain(kinds).map(|name| format!("`{name}`"));
    settings.chain(verbs).chain(triggers).chain(names).collect()
}

#[test]
fn the_reference_has_everything() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SCENARIOS.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let flowing = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing = reference().into_iter().filter(|line| !flowing.contains(line.trim_end()));
    let missing: Vec<String> = missing.collect();
    assert!(missing.is_empty(), "docs/SCENARIOS.md lacks:\n{}", missing.join("\n"));
    for text in page.split("```text\n").skip(1) {
        let text = text.split("```").next().unwrap_or_default();
        if let Err(mistake) = read(text) {
            panic!("docs/SCENARIOS.md: an example is none: {mistake}\n{text}");
        }
    }
}
