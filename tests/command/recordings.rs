//! Recordings of real nodes: killed, paused and running ones, copied and replayed together.

use std::time::Duration;

use quorate::raft::RoleCause;
use quorate::types::NodeId;
use quorate_sim::recordings::{
    Account, Leadership, NodeRecording, RecordingChecks, Source, merge, survey,
};

use crate::load::Load;
use crate::nodes::{Nodes, pause};

const RECORDED: [&str; 2] = ["--recording-size", "16MiB"];

/// Copies the recording of a node and replays it.
fn recorded(nodes: &Nodes, id: u64) -> NodeRecording {
    let (data, file) = (format!("d{id}"), format!("n{id}.qrec"));
    nodes.quorate(&["record", "--data-dir", &data, &file]).ok();
    let sources = Source::find(&nodes.root().join(file)).expect("it was written");
    let recording = survey(sources).unwrap_or_else(|error| panic!("{error}"));
    assert!(recording.errors.is_empty(), "{:?}", recording.errors);
    recording
}

#[test]
fn the_recordings_of_killed_and_running_nodes_say_who_led_and_contradict_no_check() {
    let mut nodes = Nodes::unstarted(3);
    let members = nodes.listed(&[1, 2, 3]);
    nodes.bootstrap_with(3, &["--members", &members, RECORDED[0], RECORDED[1]]);
    let load = Load::start(&nodes, 5);
    load.answered(40);
    let killed = nodes.leader();
    // A killed node loses the last 250 ms of its recording; its election must be in the rest.
    pause(Duration::from_secs(1));
    nodes.kill(killed);
    load.answered(40);
    let next = nodes.leader();
    nodes.serve_with(killed, &["--members", &members, RECORDED[0], RECORDED[1]]);
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
fn a_node_without_a_recording_is_named() {
    let nodes = Nodes::start(1);
    let words = ["record", "--data-dir", "d1", "n1.qrec"];
    nodes.quorate(&words).fails_with(2, "no recording, which a node has with `serve");
    assert!(!nodes.root().join("n1.qrec").exists());
}

#[test]
fn damage_is_named_and_the_other_files_are_copied() {
    let mut nodes = Nodes::unstarted(1);
    let members = nodes.listed(&[1]);
    nodes.bootstrap_with(1, &["--members", &members, RECORDED[0], RECORDED[1]]);
    nodes.ask(&["put", "k", "v"]).ok();
    nodes.kill(1);
    nodes.serve_with(1, &["--members", &members, RECORDED[0], RECORDED[1]]);
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.kill(1);
    let ring = nodes.directory(1).join("recording");
    let first = ring.join("0000000001.qrec");
    let whole = ["record", "--data-dir", "d1", "n1.qrec", "--json"];
    let copied = nodes.quorate(&whole).json();
    assert_eq!((&copied["files"], &copied["files_found"]), (&2.into(), &2.into()));
    let last = nodes.quorate(&[&whole[..], &["--last", "1d"]].concat()).json();
    assert_eq!(last["files"], 2, "both files are of the last day");
    let mut bytes = std::fs::read(&first).expect("it is recorded");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&first, bytes).expect("the disk has space");
    nodes.quorate(&whole).fails_with(1, "0000000001.qrec: offset ");
    let recording = survey_of(&nodes);
    assert!(recording.errors.is_empty(), "{:?}", recording.errors);
    assert!(!recording.starts.is_empty(), "the second file is whole");
}

/// Replays the last copy of the recording of n1.
fn survey_of(nodes: &Nodes) -> NodeRecording {
    let sources = Source::find(&nodes.root().join("n1.qrec")).expect("it was written");
    survey(sources).unwrap_or_else(|error| panic!("{error}"))
}
