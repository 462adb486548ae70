//! `cargo sim replay`: what it prints of recordings, good and bad ones, and its exit codes.

use std::fs;
use std::path::{Path, PathBuf};

use quorate::raft::{Config, Input, Raft};
use quorate::recording::{Contents, Recorded, RecorderConfig};
use quorate::types::{
    Acknowledge, Body, Incarnation, Index, Instant, Membership, Message, NodeId, Restored, Tag,
    Term, WriteId,
};
use tempfile::TempDir;

use crate::{assert_usage_error, run, stderr, stdout};

const FRAME_BYTES: usize = 16;

/// A recorded core in a cluster of `voters` nodes, whose disk is fast.
struct Node {
    raft: Recorded,
    now: Instant,
    writes: u64,
    recording: Vec<u8>,
}

impl Node {
    fn new(id: u64, voters: u64) -> Node {
        let id = NodeId(id);
        let config = Config { pre_vote: false, ..Config::new(id) };
        let restored = Restored::fresh(Membership::new((1..=voters).map(NodeId)));
        let raft = Raft::new(config, restored, 7, Instant::ZERO).expect("it is valid");
        let unix_time = Some(std::time::Duration::from_secs(1_795_674_367));
        let recorder = RecorderConfig {
            contents: Contents::Kept,
            unix_time,
            start: id.0,
            block_bytes: 1,
            ..RecorderConfig::default()
        };
        let raft = Recorded::new(raft, recorder);
        Node { raft, now: Instant::ZERO, writes: 0, recording: Vec::new() }
    }

    fn step(&mut self, input: Input) {
        self.now = self.now.after(std::time::Duration::from_millis(100));
        let mut actions = Vec::new();
        self.raft.step(self.now, input, &mut actions);
        while let Some(block) = self.raft.recorder().next_block() {
            self.recording.extend_from_slice(block.bytes());
        }
        for action in actions {
            if let quorate::raft::Action::Persist(_) = action {
                self.writes += 1;
                self.step(Input::Persisted(WriteId(self.writes)));
            }
        }
    }

    /// The recording of a node that leads alone and commits a command.
    fn alone() -> Vec<u8> {
        let mut node = Node::new(1, 1);
        node.step(Input::Campaign);
        node.step(Input::propose(Tag(1), Acknowledge::Quorum, "one command"));
        assert!(node.raft.status().committed >= Index(2));
        node.recording
    }

    /// The recording of one of three nodes that leads with a vote that n3 gives to every candidate.
    fn elected_by_three(id: u64) -> Vec<u8> {
        let mut node = Node::new(id, 3);
        node.step(Input::Campaign);
        let body = Body::RequestVoteReply { granted: true, committed: Index::ZERO };
        let (from, incarnation) = (NodeId(3), Incarnation::default());
        let (to, term) = (NodeId(id), Term(1));
        node.step(Input::Message(Message { from, incarnation, to, term, body }));
        assert_eq!(node.raft.status().leader, Some(NodeId(id)));
        node.recording
    }
}

/// Replaces bytes in all blocks, and makes the checksums fit.
fn forge(recording: &mut [u8], find: &[u8], replace: &[u8]) {
    let mut replaced = 0;
    for at in 0..=recording.len() - find.len() {
        if recording[at..].starts_with(find) {
            recording[at..at + find.len()].copy_from_slice(replace);
            replaced += 1;
        }
    }
    assert!(replaced > 0, "the bytes occur");
    seal(recording);
}

/// Makes the checksum of every block fit its content.
fn seal(recording: &mut [u8]) {
    let mut at = 0;
    while at < recording.len() {
        let length = recording[at + 8..at + 12].try_into().map(u32::from_le_bytes);
        let end = at + FRAME_BYTES + length.expect("four bytes") as usize;
        let block = &mut recording[at..end];
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&block[4..12]), &block[FRAME_BYTES..]);
        block[12..16].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
}

fn written(root: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.path().join(name);
    fs::write(&path, bytes).expect("the disk has space");
    path
}

/// Runs `replay` with these words after the file; returns the exit code and standard output.
fn replay(path: &Path, words: &str) -> (Option<i32>, String) {
    let output = run(&format!("replay {} {words}", path.display()));
    (output.status.code(), stdout(&output))
}

#[test]
fn a_recording_is_described_and_checked() {
    let root = tempfile::tempdir().expect("a directory");
    let ring = root.path().join("recording");
    fs::create_dir(&ring).expect("the disk has space");
    fs::write(ring.join("0000000001.qrec"), Node::alone()).expect("the disk has space");
    let (code, text) = replay(root.path(), "");
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "steps of 1 start, 2026-11-26 06:26:07",
        "every action equals the recorded one",
        "n1  leads t1 until ",
        "; it campaigned: campaign requested",
        "becomes leader: a quorum granted votes",
        "commits indices 1 to 2",
        "S1   election-safety",
        "not checked, recordings have no clients: S19 S20",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, json) = replay(root.path(), "--json --from 06:00 --to 0.01s");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((code, &json["leaders"][0]["term"]), (Some(0), &1.into()));
    assert!(json["events"].as_array().is_some_and(|events| events.len() < 4), "{json}");
}

#[test]
fn a_window_that_ends_before_it_begins_is_a_usage_error() {
    let root = tempfile::tempdir().expect("a directory");
    let file = written(&root, "n1.qrec", &Node::alone());
    let output = run(&format!("replay {} --from 9s --to 3s", file.display()));
    assert_usage_error(&output, "--from 9.0");
    assert_eq!(replay(&file, "--from 0.1s --to 0.1s").0, Some(0));
}

#[test]
fn one_step_is_shown_with_what_it_changes() {
    let root = tempfile::tempdir().expect("a directory");
    let path = written(&root, "one.qrec", &Node::alone());
    let (code, text) = replay(&path, "--to-next role");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("n1, start 1 of 1, record 0 at 0.1"), "{text}");
    assert!(text.contains("input   campaign\n"), "{text}");
    assert!(text.contains("change  role: Follower -> Candidate"), "{text}");
    let (_, text) = replay(&path, "--record 0 --to-next commit");
    assert!(text.contains("change  common.journal.log.committed: 0 -> 1"), "{text}");
    let (code, text) = replay(&path, "--record 99");
    assert_eq!((code, text.as_str()), (Some(2), "no such step in these recordings\n"));
}

#[test]
fn the_error_of_a_bad_recording_is_one_line_and_the_steps_before_it_are_shown() {
    let root = tempfile::tempdir().expect("a directory");
    let good = Node::alone();
    let mut damaged = good.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let cases: [(&str, &[u8], &str, bool); 4] = [
        ("cut.qrec", &good[..good.len() - 1], "the file ends 1 bytes before", true),
        ("damaged.qrec", &damaged, "its checksum is wrong", true),
        ("foreign.qrec", b"a text of someone else's", "no block of a recording", false),
        ("empty.qrec", b"", "the file is empty", false),
    ];
    for (name, bytes, reason, has_steps) in cases {
        let path = written(&root, name, bytes);
        let (code, text) = replay(&path, "");
        assert_eq!(code, Some(2), "{name}: {text}");
        let mut lines = text.lines().filter(|line| line.contains("error: "));
        let line = lines.next().expect("there is an error");
        assert!(line.contains(name) && line.contains("offset ") && line.contains(reason), "{line}");
        assert_eq!(lines.count(), 0, "{text}");
        assert_eq!(text.contains("steps of 1 start"), has_steps, "{text}");
    }
    let foreign = [good.clone(), Node::elected_by_three(2)].concat();
    let (code, text) = replay(&written(&root, "two.qrec", &foreign), "");
    assert_eq!(code, Some(2), "{text}");
    let line = text.lines().find(|line| line.contains("error: ")).expect("there is an error");
    let header = u32::from_le_bytes(foreign[good.len() + 8..][..4].try_into().expect("four bytes"));
    let checkpoint = good.len() + FRAME_BYTES + header as usize;
    let place = format!("offset {checkpoint}: ");
    assert!(line.contains(&place) && line.contains("n2 follows one of n1"), "{line}");
    let mut newer = good;
    newer[FRAME_BYTES] = 2;
    seal(&mut newer);
    let (code, text) = replay(&written(&root, "newer.qrec", &newer), "");
    assert_eq!(code, Some(2));
    assert!(text.contains("format 2; this program reads format 1"), "{text}");
    let missing = run("replay no-such-file");
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("no-such-file"), "{}", stderr(&missing));
}

#[test]
fn another_decision_is_named_with_the_versions() {
    let root = tempfile::tempdir().expect("a directory");
    let mut other = Node::alone();
    forge(&mut other, b"one command", b"two command");
    let (code, text) = replay(&written(&root, "other.qrec", &other), "");
    assert_eq!(code, Some(13), "{text}");
    assert!(text.contains("the actions are not the recorded ones"), "{text}");
    let (code, text) = replay(&root.path().join("other.qrec"), "--record 99");
    assert_eq!(code, Some(13), "{text}");
    assert!(text.contains("the actions are not the recorded ones"), "{text}");
    let this = env!("CARGO_PKG_VERSION");
    let version = format!("9{}", &this[1..]);
    forge(&mut other, this.as_bytes(), version.as_bytes());
    let (code, text) = replay(&written(&root, "version.qrec", &other), "");
    assert_eq!(code, Some(14), "{text}");
    let line = format!("Quorate {version} recorded, and this is quorate {this}");
    assert!(text.contains(&line), "{text}");
}

#[test]
fn two_leaders_in_two_recordings_are_a_safety_violation() {
    let root = tempfile::tempdir().expect("a directory");
    let one = written(&root, "n1.qrec", &Node::elected_by_three(1));
    let two = written(&root, "n2.qrec", &Node::elected_by_three(2));
    assert_eq!(replay(&one, "").0, Some(0));
    let (code, text) = replay(&one, &two.display().to_string());
    assert_eq!(code, Some(10), "{text}");
    assert!(text.contains("S1 election-safety: term t1 has two leaders: n1"), "{text}");
    assert!(text.contains("S3 one-vote-per-term: n3 votes for both n1 and n2"), "{text}");
}

/// Copies may overlap, and a directory may have the recordings of several nodes.
#[test]
fn files_are_joined_by_their_nodes_and_steps() {
    let root = tempfile::tempdir().expect("a directory");
    let one = written(&root, "n1.qrec", &Node::elected_by_three(1));
    let (_, alone) = replay(&one, "");
    let (code, twice) = replay(&one, &one.display().to_string());
    assert_eq!((code, twice), (Some(0), alone));
    written(&root, "n2.qrec", &Node::elected_by_three(2));
    let (code, text) = replay(root.path(), "");
    assert_eq!(code, Some(10), "{text}");
    assert!(text.contains("\nn2  "), "{text}");
    let both = [Node::elected_by_three(1), Node::elected_by_three(2)].concat();
    let (code, text) = replay(&written(&root, "both.qrec", &both), "");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("a recording of n2 follows one of n1"), "{text}");
}

#[test]
fn a_half_written_block_in_a_ring_is_no_failure() {
    let root = tempfile::tempdir().expect("a directory");
    let ring = root.path().join("recording");
    fs::create_dir(&ring).expect("the disk has space");
    let good = Node::alone();
    fs::write(ring.join("0000000001.qrec"), &good[..good.len() - 1]).expect("the disk has space");
    let (code, text) = replay(root.path(), "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("error: "), "{text}");
}

#[test]
fn no_trace_is_written_of_a_bad_recording() {
    let root = tempfile::tempdir().expect("a directory");
    let trace = |recording: &Path| {
        let tla = written(&root, "trace.tla", b"an earlier trace");
        let output = run(&format!("trace --tla {} {}", tla.display(), recording.display()));
        (output.status.code(), fs::read_to_string(tla).expect("it exists"), stdout(&output))
    };
    let junk = written(&root, "junk.qrec", b"junk");
    let (code, kept, text) = trace(&junk);
    assert_eq!((code, kept.as_str()), (Some(2), "an earlier trace"), "{text}");
    assert_eq!(code, replay(&junk, "").0, "`replay` ends in the same way");
    assert!(text.starts_with("error: "), "{text}");
    let (code, module, text) = trace(&written(&root, "n1.qrec", &Node::alone()));
    assert_eq!(code, Some(0), "{text}");
    assert!(module.contains("MODULE"), "{module}");
}

#[test]
fn a_trace_without_the_recording_of_a_member_is_an_error_that_names_it() {
    let root = tempfile::tempdir().expect("a directory");
    let tla = root.path().join("trace.tla");
    let recording = |id| {
        let path = written(&root, &format!("n{id}.qrec"), &Node::elected_by_three(id));
        path.display().to_string()
    };
    let mut third = Node::new(3, 3);
    third.step(Input::Campaign);
    let third = written(&root, "n3.qrec", &third.recording).display().to_string();
    let (first, second) = (recording(1), recording(2));
    let trace = |files: &[&String]| {
        let files: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
        run(&format!("trace --tla {} {}", tla.display(), files.join(" ")))
    };
    assert_usage_error(&trace(&[&first, &third]), "no recording of n2, a member of the cluster");
    assert_usage_error(&trace(&[&second]), "no recording of n1 and n3, members of the cluster");
    assert!(!tla.exists(), "nothing is written");
    let output = trace(&[&first, &second, &third]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(tla.exists());
}
