//! Recordings of real nodes: killed, paused and running ones, copied and replayed together.

use std::time::Duration;

use quorate::raft::RoleCause;
use quorate::types::NodeId;
use quorate_sim::recordings::{
    Account, Leadership, NodeRecording, RecordingChecks, Source, merge, survey,
};

use crate::load::Load;
use crate::nodes::{Nodes, pause};

/// Starts a node that records nothing.
fn without_recording() -> Nodes {
    let mut nodes = Nodes::unstarted(1);
    nodes.serve_after(1, "true", &["--recording-size", "0"]);
    nodes.ask(&["put", "k", "v"]).ok();
    nodes
}

/// Copies the recording of a node and replays it.
fn recorded(nodes: &Nodes, id: u64) -> NodeRecording {
    let (data, file) = (format!("d{id}"), format!("n{id}.qrec"));
    nodes.quorate(&["record", "--data-dir", &data, &file]).ok();
    replayed(nodes, &file)
}

/// Replays a copy of a recording.
fn replayed(nodes: &Nodes, file: &str) -> NodeRecording {
    let sources = Source::find(&nodes.root().join(file)).expect("it was written");
    let recording = survey(sources).unwrap_or_else(|error| panic!("{error}"));
    assert!(recording.errors.is_empty(), "{:?}", recording.errors);
    recording
}

#[test]
fn the_recordings_of_killed_and_running_nodes_say_who_led_and_contradict_no_check() {
    let mut nodes = Nodes::start(3);
    let load = Load::start(&nodes, 5);
    load.answered(40);
    let killed = nodes.leader();
    // A killed node loses the last 250 ms of its recording; its election must be in the rest.
    pause(Duration::from_secs(1));
    nodes.kill(killed);
    load.answered(40);
    let next = nodes.leader();
    nodes.serve(killed);
    load.answered(40);
    let recordings: Vec<NodeRecording> = [1, 2, 3].map(|id| recorded(&nodes, id)).into();
    assert_eq!(recordings[killed as usize - 1].starts.len(), 2);
    let mut checks = RecordingChecks::new(&[1, 2, 3].map(NodeId));
    let mut account = Account::default();
    let merged = merge(&recordings, |event| {
        account.observe(event);
        checks.observe(event);
    });
    assert_eq!(merged.disordered, 0, "{merged:?}");
    assert!(merged.matched > merged.unmatched, "{merged:?}");
    for checked in checks.finish(&merged) {
        assert_eq!(checked.violation, None);
    }
    let leaders = Leadership::all(account.lines());
    let led = |id: u64| leaders.iter().find(|leads| leads.node == NodeId(id));
    let (first, second) = (led(killed).expect("it led"), led(next).expect("it leads"));
    assert!(first.term < second.term && first.end.is_none(), "{leaders:?}");
    assert!(first.restart.is_some(), "{leaders:?}");
    assert_eq!(second.campaign, Some(RoleCause::ElectionTimeout));
}

#[test]
fn an_administrator_copies_the_recordings_of_all_members_over_the_network() {
    let nodes = Nodes::start(3);
    let load = Load::start(&nodes, 5);
    load.answered(40);
    let paused = nodes.leader();
    nodes.signal(paused, "STOP");
    load.answered(40);
    // The two that answer are copied, and the other one is named.
    let next = [1, 2, 3].into_iter().find(|id| *id != paused).expect("there are three");
    let at = nodes.address(next).to_string();
    let words = ["record", "--out", "partly", "--timeout", "2s", "--nodes", &at];
    let partly = nodes.quorate(&words);
    partly.fails_with(1, &format!("the recording of n{paused} is not copied: "));
    let written = |id| nodes.root().join(format!("partly/n{id}.qrec")).exists();
    assert_eq!([1, 2, 3].map(written), [1, 2, 3].map(|id| id != paused), "{partly:?}");
    nodes.signal(paused, "CONT");
    load.answered(40);
    let copied = nodes.ask(&["record", "--out", "all", "--json"]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let copied = copied.json();
    let copied = copied["nodes"].as_array().expect("a list of nodes");
    let ids: Vec<_> = copied.iter().map(|of| of["node"].clone()).collect();
    assert_eq!(ids, [1, 2, 3]);
    let recordings = [1, 2, 3].map(|id| replayed(&nodes, &format!("all/n{id}.qrec")));
    let mut checks = RecordingChecks::new(&[1, 2, 3].map(NodeId));
    let mut account = Account::default();
    let merged = merge(&recordings, |event| {
        account.observe(event);
        checks.observe(event);
    });
    assert_eq!(merged.disordered, 0, "{merged:?}");
    for checked in checks.finish(&merged) {
        assert_eq!(checked.violation, None);
    }
    let leaders = Leadership::all(account.lines());
    assert!(leaders.iter().any(|leads| leads.node == NodeId(paused)), "{leaders:?}");
    assert!(leaders.iter().any(|leads| leads.node != NodeId(paused)), "{leaders:?}");
    nodes.ask(&["record", "--out", "last", "--last", "1min"]).ok();
    assert!(!replayed(&nodes, &format!("last/n{paused}.qrec")).starts.is_empty());
    nodes
        .ask(&["record", "--out", "early", "--around", "1970-01-01T00:00:00"])
        .fails_with(2, "the recording has no records of this time");
    for id in [1, 2, 3] {
        let log = nodes.log(id);
        let requests: Vec<&str> =
            log.lines().filter(|line| line.contains("quorate::audit")).collect();
        let begun = requests.iter().filter(|line| line.contains("read the recording from file 0"));
        assert!(begun.count() >= 1, "{requests:?}");
        // One line for each file that is read, and not for each part.
        assert!(requests.len() < 20, "{requests:?}");
    }
}

#[test]
fn only_an_administrator_reads_a_recording_over_the_network() {
    let mut nodes = Nodes::unstarted(1);
    nodes.quorate(&["certs", "certs", "--nodes", "1", "--admins", "ops", "--clients", "app"]).ok();
    let certs = nodes.root().join("certs").to_string_lossy().into_owned();
    nodes.serve_after(1, "true", &["--certs", &certs]);
    let ask = |words: &[&str], principal| {
        nodes.ask(&[words, &["--certs", &certs, "--as", principal]].concat())
    };
    ask(&["put", "k", "v"], "client/app").ok();
    let words = ["record", "--out", "out"];
    ask(&words, "client/app").fails_with(10, "the recording of n1 is not copied: ");
    assert!(!nodes.root().join("out/n1.qrec").exists());
    let once = ask(&["record", "--out", "out", "--members", "1,1", "--json"], "admin/ops").json();
    assert_eq!(once["nodes"].as_array().map(Vec::len), Some(1), "{once}");
    assert!(!replayed(&nodes, "out/n1.qrec").starts.is_empty());
    ask(&["record", "--out", "out", "--members", "2"], "admin/ops")
        .fails_with(2, "n2 is not a member");
    ask(&["record", "--out", "d1/out"], "admin/ops").fails_with(2, "is the data directory");
    let log = nodes.log(1);
    let line =
        |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let request = "request=\"read the recording from file 0\"";
    assert!(line(&["principal=admin ops", request, "outcome=\"answered\""]), "{log}");
    assert!(line(&["principal=client app", request, "outcome=\"rejected: "]), "{log}");
}

#[test]
fn a_member_without_a_recording_is_named() {
    let nodes = without_recording();
    let output = nodes.ask(&["record", "--out", "out"]);
    output.fails_with(5, "the recording of n1 is not copied: ");
    output.fails_with(5, "the node has no recording that can be read");
}

#[test]
fn a_node_without_a_recording_is_named() {
    let nodes = without_recording();
    assert!(!nodes.directory(1).join("recording").exists());
    let words = ["record", "--data-dir", "d1", "n1.qrec"];
    nodes.quorate(&words).fails_with(2, "no recording, which a node has unless `serve");
    assert!(!nodes.root().join("n1.qrec").exists());
}

#[test]
fn damage_is_named_and_the_other_files_are_copied() {
    let mut nodes = Nodes::start(1);
    nodes.ask(&["put", "k", "v"]).ok();
    nodes.kill(1);
    nodes.serve(1);
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.kill(1);
    let ring = nodes.directory(1).join("recording");
    let first = ring.join("0000000001.qrec");
    let whole = ["record", "--data-dir", "d1", "n1.qrec", "--json"];
    let copied = nodes.quorate(&whole).json();
    assert_eq!((&copied["files"], &copied["files_found"]), (&2.into(), &2.into()));
    let last = nodes.quorate(&[&whole[..], &["--last", "1d"]].concat()).json();
    assert_eq!(last["files"], 2, "both files are of the last day");
    let early = nodes.quorate(&[&whole[..], &["--around", "1970-01-01T00:00:00"]].concat());
    early.fails_with(2, "n1.qrec: the recording has no records of this time");
    let mut bytes = std::fs::read(&first).expect("it is recorded");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&first, bytes).expect("the disk has space");
    nodes.quorate(&whole).fails_with(1, "0000000001.qrec: offset ");
    let recording = replayed(&nodes, "n1.qrec");
    assert!(!recording.starts.is_empty(), "the second file is whole");
}
