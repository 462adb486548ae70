//! The pure part of the playground: a request in, a reply with the drawn run out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use quorate_playground::answer;
use quorate_sim::run::{RunOptions, run};
use serde_json::{Value, json};

fn ask(request: &Value) -> Value {
    serde_json::from_str(&answer(&request.to_string())).expect("a reply is JSON")
}

fn run_seed(seed: &str) -> Value {
    let seed = json!({ "seed": seed, "profile": "default", "strategy": "nemeses" });
    ask(&json!({ "run": { "from": { "seed": seed } } }))
}

fn run_scenario(text: &str) -> Value {
    ask(&json!({ "run": { "from": { "scenario": text } } }))
}

#[test]
fn a_seed_has_the_digest_of_the_command_and_so_has_its_scenario() {
    let digest = format!("{:016x}", run(1, &RunOptions::default()).digest);
    let reply = run_seed("1");
    assert_eq!(reply["run"]["digest"], json!(digest));
    let page = reply["run"]["page"].as_str().expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("seed 1, profile default"));
    let lines = reply["run"]["lines"].as_array().expect("lines");
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    assert_eq!(run_scenario(&lines.join("\n"))["run"]["digest"], json!(digest));
}

#[test]
fn a_failing_scenario_is_explained_and_compared_with_its_expectations() {
    let text = "nodes 3\nsurvivor after 1.2s\nat 1s isolate leader for 4s\n";
    let reply = &run_scenario(text)["run"];
    let failure = reply["failure"].as_str().expect("a failure");
    assert!(failure.starts_with("S10 leader-completeness at "), "{failure}");
    let explanation = reply["explanation"].as_str().expect("an explanation");
    assert!(explanation.starts_with(failure) && explanation.contains("\ncause: "), "{explanation}");
    assert_eq!(reply["as_expected"], json!(false));
    let expected = run_scenario(&format!("{text}expect S10\n"));
    assert_eq!(expected["run"]["as_expected"], json!(true));
    let unmet = run_scenario("nodes 3\nexpect elections >= 99\n");
    assert_eq!(unmet["run"]["unmet"][0]["line"], json!(2));
}

#[test]
fn a_planted_bug_is_found() {
    let seed = json!({ "seed": "0", "profile": "default", "strategy": "nemeses" });
    let request = json!({ "run": { "from": { "seed": seed }, "canary": true } });
    let failure = ask(&request)["run"]["failure"].clone();
    assert!(failure.is_string(), "the disks lie, and no check fails");
}

#[test]
fn a_request_without_a_run_has_a_reason() {
    let syntax = run_scenario("nodes 3\nat 1s crush n1\n");
    assert_eq!((&syntax["syntax"]["line"], &syntax["syntax"]["column"]), (&json!(2), &json!(7)));
    let text = syntax["syntax"]["text"].as_str().expect("a text");
    assert!(text.contains("crush"), "{text}");
    for seed in ["", "-1", "1.5", "18446744073709551616"] {
        assert!(run_seed(seed)["error"].is_string(), "{seed}");
    }
    let profile = json!({ "seed": "1", "profile": "none", "strategy": "nemeses" });
    let reply = ask(&json!({ "run": { "from": { "seed": profile } } }));
    assert!(reply["error"].as_str().is_some_and(|text| text.contains("none")), "{reply}");
    assert!(ask(&json!("nothing"))["error"].is_string());
}

#[test]
fn every_fault_to_drag_is_a_line_of_a_scenario() {
    let catalog = ask(&json!("catalog"))["catalog"].clone();
    let faults = catalog["faults"].as_array().expect("faults");
    assert!(faults.len() > 10);
    for fault in faults {
        let words = fault["text"].as_str().expect("words");
        let words = words.replace("NODES", "n1 n2").replace("NODE", "n1").replace("PEER", "n2");
        let reply = run_scenario(&format!("nodes 5\nfault phase 2s\nat 1.5s {words}\n"));
        assert!(reply["run"].is_object(), "{words}: {}", reply["syntax"]);
    }
}

#[test]
fn every_example_of_the_tree_is_offered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = fs::read_dir(folder).expect("the scenarios are there");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let catalog = ask(&json!("catalog"))["catalog"].clone();
    let offered = catalog["examples"].as_array().expect("examples");
    let offered = offered.iter().filter_map(|one| one["name"].as_str());
    let offered = offered.map(|name| format!("{name}.scenario"));
    assert_eq!(offered.collect::<BTreeSet<_>>(), names.collect::<BTreeSet<_>>());
}
