//! `cargo sim replay`, and `explain`, `why-not` and `diff` of recordings: what they print about
//! good and bad recordings, and their exit codes.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate::raft::{Action, Config, Input, Raft};
use quorate::recording::{Contents, Recorded, RecorderConfig};
use quorate::types::{
    Acknowledge, Body, Incarnation, Index, Instant, Membership, Message, NodeId, Restored, Tag,
    Term, WriteId,
};
use tempfile::TempDir;

use crate::browser::run_script;
use crate::{assert_usage_error, run, stderr, stdout};

const FRAME_BYTES: usize = 16;

/// A recorded core in a cluster of `voters` nodes. Its writes are durable at once.
struct Node {
    raft: Recorded,
    now: Instant,
    /// The time between two steps.
    pace: Duration,
    writes: u64,
    sent: Vec<Message>,
    recording: Vec<u8>,
}

impl Node {
    fn new(id: u64, voters: u64) -> Node {
        let id = NodeId(id);
        let config = Config { pre_vote: false, ..Config::new(id) };
        let restored = Restored::fresh(Membership::new((1..=voters).map(NodeId)));
        let raft = Raft::new(config, restored, 7, Instant::ZERO).expect("it is valid");
        let unix_time = Some(Duration::from_secs(1_795_674_367));
        let recorder = RecorderConfig {
            contents: Contents::Kept,
            unix_time,
            start: id.0,
            block_bytes: 1,
            ..RecorderConfig::default()
        };
        let raft = Recorded::new(raft, recorder);
        let pace = Duration::from_millis(100);
        let (sent, recording) = (Vec::new(), Vec::new());
        Node { raft, now: Instant::ZERO, pace, writes: 0, sent, recording }
    }

    fn step(&mut self, input: Input) {
        self.now = self.now.after(self.pace);
        let mut actions = Vec::new();
        self.raft.step(self.now, input, &mut actions);
        while let Some(block) = self.raft.recorder().next_block() {
            self.recording.extend_from_slice(block.bytes());
        }
        for action in actions {
            match action {
                Action::Persist(_) => {
                    self.writes += 1;
                    self.step(Input::Persisted(WriteId(self.writes)));
                }
                Action::Send(message) => self.sent.push(message),
                _ => {}
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
    fn elected_by_n3(id: u64) -> Vec<u8> {
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

/// Three recorded cores with a network without delays.
struct Cluster {
    nodes: Vec<Node>,
    now: Instant,
    /// A node that takes no step: the messages to it are lost.
    paused: Option<NodeId>,
}

impl Cluster {
    /// A cluster whose first leader, n1, takes no step for a second, in which n2 is elected.
    fn with_a_paused_leader() -> Cluster {
        let node = |id| Node { pace: Duration::from_millis(1), ..Node::new(id, 3) };
        let nodes = (1..=3).map(node).collect();
        let mut cluster = Cluster { nodes, now: Instant::ZERO, paused: None };
        cluster.step(NodeId(1), Input::Campaign);
        cluster.step(NodeId(1), Input::propose(Tag(1), Acknowledge::Quorum, "one command"));
        cluster.paused = Some(NodeId(1));
        cluster.expire(NodeId(2));
        let until = cluster.now.after(Duration::from_secs(1));
        while cluster.now < until {
            cluster.expire(NodeId(2));
        }
        cluster.paused = None;
        cluster.step(NodeId(1), Input::Timeout);
        cluster.expire(NodeId(2));
        assert_eq!(cluster.nodes[0].raft.status().leader, Some(NodeId(2)));
        cluster
    }

    /// The node takes the input, and the others take the messages that follow from it.
    fn step(&mut self, id: NodeId, input: Input) {
        let mut open = VecDeque::from([(id, input)]);
        while let Some((id, input)) = open.pop_front() {
            if self.paused == Some(id) {
                continue;
            }
            let node = &mut self.nodes[id.0 as usize - 1];
            node.now = self.now;
            node.step(input);
            self.now = node.now;
            let sent = node.sent.drain(..);
            open.extend(sent.map(|message| (message.to, Input::Message(message))));
        }
    }

    /// Lets the deadline of a node pass.
    fn expire(&mut self, id: NodeId) {
        self.now = self.now.max(self.nodes[id.0 as usize - 1].raft.deadline());
        self.step(id, Input::Timeout);
    }

    /// Writes the recordings; returns their paths as words of a command line.
    fn written(&self, root: &TempDir) -> String {
        let paths = self.nodes.iter().zip(1..).map(|(node, id)| {
            let path = written(root, &format!("n{id}.qrec"), &node.recording);
            path.display().to_string()
        });
        paths.collect::<Vec<_>>().join(" ")
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

/// Writes the recordings of n1 and n2, which both lead term 1; returns their paths as words of a
/// command line.
pub(crate) fn two_leaders(root: &TempDir) -> [String; 2] {
    let path = |id| written(root, &format!("n{id}.qrec"), &Node::elected_by_n3(id));
    [1, 2].map(|id| path(id).display().to_string())
}

/// A recording that has a changed command, so that this core decides differently from the recorded
/// one.
fn another_decision() -> Vec<u8> {
    let mut recording = Node::alone();
    forge(&mut recording, b"one command", b"two command");
    recording
}

/// Runs a command that ends with this exit code; returns standard output, which has these parts.
fn prints(words: &str, code: i32, parts: &[&str]) -> String {
    let output = run(words);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(code), "{text}{}", stderr(&output));
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    text
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
fn the_window_may_be_around_a_time_or_the_last_part() {
    let root = tempfile::tempdir().expect("a directory");
    let files = Cluster::with_a_paused_leader().written(&root);
    let events = |words: &str| {
        let json = prints(&format!("replay {files} --json {words}"), 0, &[]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        json["events"].as_array().map_or(0, Vec::len)
    };
    let (whole, last) = (events(""), events("--last 1us"));
    assert!(0 < last && last < whole, "{last} of {whole}");
    assert_eq!((events("--around 0s"), events("--around 100s")), (whole, 0), "within 5 seconds");
}

#[test]
fn pauses_are_written_as_a_scenario_that_runs() {
    let root = tempfile::tempdir().expect("a directory");
    let files = Cluster::with_a_paused_leader().written(&root);
    let scenario = root.path().join("a.scenario").display().to_string();
    prints(&format!("replay {files} --scenario {scenario}"), 0, &[]);
    let text = fs::read_to_string(&scenario).expect("it was written");
    assert!(text.contains("nodes 3\n") && text.contains(" pause n1 for 1"), "{text}");
    prints(&format!("--scenario {scenario}"), 0, &["as expected: "]);
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
fn the_stepper_also_goes_back() {
    let root = tempfile::tempdir().expect("a directory");
    let path = written(&root, "one.qrec", &Node::alone());
    let record = |text: &str| -> u64 {
        let number = text.split("record ").nth(1).and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse().ok()).expect("the step has a number")
    };
    let (code, last) = replay(&path, "--to-previous commit");
    assert_eq!(code, Some(0), "{last}");
    let (_, first) = replay(&path, "--to-next commit");
    assert!(record(&first) < record(&last), "{first}{last}");
    let (_, back) = replay(&path, &format!("--record {} --to-previous commit", record(&last)));
    assert_eq!(back, first, "there are two commits");
    let (_, role) = replay(&path, &format!("--record {} --to-previous role", record(&last)));
    assert!(role.contains("action  becomes leader\n"), "{role}");
    let (code, text) = replay(&path, "--record 0 --to-previous role");
    assert_eq!((code, text.as_str()), (Some(2), "no such step in these recordings\n"));
    let both = run(&format!("replay {} --to-next role --to-previous role", path.display()));
    assert_usage_error(&both, "--to-previous");
}

#[test]
fn the_page_has_the_nodes_their_messages_and_what_is_not_recorded() {
    let root = tempfile::tempdir().expect("a directory");
    let files = Cluster::with_a_paused_leader().written(&root);
    let page = root.path().join("page.html");
    let output = run(&format!("replay {files} --html {}", page.display()));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains(&format!("\n{}: ", page.display())), "{text}");
    let whole = fs::read_to_string(&page).expect("it was written");
    assert!(whole.contains("<p>recordings of n1, n2, n3</p>"));
    let output = run(&format!("replay {files} --from 9s --html {} --json", page.display()));
    assert!(serde_json::from_str::<serde_json::Value>(&stdout(&output)).is_ok());
    let script = "
        const { run } = page.pane;
        report(run.nodes.join());
        const { messages } = run;
        report([...messages.delivery].filter(end => end === 1).length > 10);
        report([...messages.delivery].includes(3));
        report(run.faults.map(fault => fault.text).join());
        report(run.tables[0].rows.map(row => row.slice(2, 4).join(' ')).join());
        report(run.facts.some(fact => fact.value.startsWith('faults, clients, disks')));
        report(run.stateAt(1, run.events - 1).role);
        report([...run.texts].filter(text => text.startsWith('becomes leader')).length);
        const log = run.logs.at(2, run.events - 1);
        report([...log.entries].map(([index, { term }]) => `${index}@${term}`).join());";
    let Some(lines) = run_script("recordings", &whole, "", script) else { return };
    let expected = [
        "n1,n2,n3",
        "true",
        "true",
        "n1 takes no step",
        "n1 t1,n2 t2",
        "true",
        "3",
        "2",
        "1@1,2@1,3@2",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_page_of_a_violation_has_its_explanation() {
    let root = tempfile::tempdir().expect("a directory");
    let files = two_leaders(&root).join(" ");
    let page = root.path().join("page.html");
    prints(&format!("replay {files} --html {}", page.display()), 10, &[]);
    let text = fs::read_to_string(&page).expect("it was written");
    let finding = "n3 votes for both n1 and n2 in term t1";
    assert!(text.contains(&format!("<p>S3 one-vote-per-term: {finding}</p>")));
    assert!(text.contains("n2 receives n3") && text.contains(&format!("<p>Cause: {finding};")));
}

#[test]
fn a_change_of_leader_is_explained() {
    let root = tempfile::tempdir().expect("a directory");
    let files = Cluster::with_a_paused_leader().written(&root);
    let parts = [
        "n1 leads t1 from ",
        "the first leader in the recordings\n",
        "s: campaign requested\n",
        "the leadership moves from n1, which leads t1 until ",
        "n2 receives n3's vote in term t2",
        "n1 took no step for 1.",
        "cause: n1 took no step from ",
        "n2's election timeout passed, because no heartbeat arrived meanwhile\n",
    ];
    prints(&format!("explain {files}"), 0, &parts);
}

#[test]
fn a_violation_of_recordings_is_explained_as_far_as_they_show_it() {
    let root = tempfile::tempdir().expect("a directory");
    let parts = [
        "S3 one-vote-per-term at ",
        "n2 receives n3's vote in term t1",
        "\ncause: n3 votes for both n1 and n2 in term t1",
        "; steps of n3 that are not recorded may have contributed\n",
    ];
    prints(&format!("explain {}", two_leaders(&root).join(" ")), 10, &parts);
}

#[test]
fn another_decision_is_explained_by_the_steps_before_it() {
    let root = tempfile::tempdir().expect("a directory");
    let path = written(&root, "other.qrec", &another_decision());
    let parts =
        ["\ncause: up to here every action of n1 equals", "the completion of a disk operation"];
    prints(&format!("explain {}", path.display()), 13, &parts);
    let junk = written(&root, "junk.qrec", b"junk");
    let text = prints(&format!("explain {}", junk.display()), 2, &["junk.qrec: offset 0: "]);
    assert!(text.starts_with("error: "), "{text}");
}

#[test]
fn what_did_not_happen_in_recordings_is_explained() {
    let root = tempfile::tempdir().expect("a directory");
    let files = Cluster::with_a_paused_leader().written(&root);
    let why_not = |words: &str| stdout(&run(&format!("why-not {words}")));
    let text = why_not(&format!("{files} --leader n3"));
    assert!(text.contains("n3 received a message from n2, the leader of term t2"), "{text}");
    let text = why_not(&format!("{files} --leader n1"));
    assert!(text.contains("n1 took no step for 1."), "{text}");
    let text = why_not(&format!("{files} --commit 2"));
    assert!(text.starts_with("n1 committed index 2 at "), "{text}");
    let text = why_not(&format!("{files} --commit 9"));
    assert_eq!(text, "n2 leads term t2, but its log ends with 3@t2\n");
    let text = why_not(&format!("{files} --leader n3 --from 100s --to 101s"));
    assert!(text.starts_with("n3 is not recorded in this time: its recording has 0.0"), "{text}");
    let text = why_not(&format!("{files} --leader n3 --from 0.5s --to 101s"));
    assert!(text.contains("\nof this time, the recording of n3 has only 0.5"), "{text}");
    let text = why_not(&format!("{files} --commit 9 --to 100s"));
    assert!(text.starts_with("no node is recorded at 100.000000 s; n1 has 0.0"), "{text}");
    let alone = root.path().join("alone.qrec");
    fs::write(&alone, Node::elected_by_n3(1)).expect("the disk has space");
    let text = why_not(&format!("{} --commit 1", alone.display()));
    let undecided = "n2 is not recorded then: whether it has the entry on disk is undecided\n";
    assert!(text.contains("the entry is durable on n1\n") && text.contains(undecided), "{text}");
    let output = run(&format!("why-not {} --leader n2", alone.display()));
    assert_usage_error(&output, "no recording of n2; recorded nodes: n1");
}

#[test]
fn the_first_difference_of_two_recordings_is_printed() {
    let root = tempfile::tempdir().expect("a directory");
    let one = written(&root, "one.qrec", &Node::alone()).display().to_string();
    let mut node = Node::new(1, 1);
    node.step(Input::Campaign);
    node.step(Input::propose(Tag(1), Acknowledge::Quorum, "two commands"));
    let other = written(&root, "other.qrec", &node.recording).display().to_string();
    let output = run(&format!("diff {one} --with {one}"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("n1: no difference in "), "{}", stdout(&output));
    let output = run(&format!("diff {one} --with {other}"));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(14), "{text}");
    assert!(text.starts_with("the recordings of n1 first differ in start 1\n  both  #"), "{text}");
    assert!(text.contains("one.qrec\n") && text.contains("other.qrec\n"), "{text}");
    let two = written(&root, "n2.qrec", &Node::elected_by_n3(2)).display().to_string();
    assert_usage_error(&run(&format!("diff {one} --with {two}")), "no node in common");
    assert_usage_error(&run(&format!("diff {one} --with 7")), "not with a seed");
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
    let foreign = [good.clone(), Node::elected_by_n3(2)].concat();
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
    let mut other = another_decision();
    let path = written(&root, "other.qrec", &other);
    let differ = ["the actions are not the recorded ones"];
    prints(&format!("replay {}", path.display()), 13, &differ);
    prints(&format!("replay {} --record 99", path.display()), 13, &differ);
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
    let [one, two] = two_leaders(&root);
    prints(&format!("replay {one}"), 0, &[]);
    let parts = [
        "S1 election-safety: term t1 has two leaders: n1",
        "S3 one-vote-per-term: n3 votes for both n1 and n2",
    ];
    prints(&format!("replay {one} {two}"), 10, &parts);
}

/// Copies may overlap, and a directory may have the recordings of several nodes.
#[test]
fn files_are_joined_by_their_nodes_and_steps() {
    let root = tempfile::tempdir().expect("a directory");
    let one = written(&root, "n1.qrec", &Node::elected_by_n3(1));
    let (_, alone) = replay(&one, "");
    let (code, twice) = replay(&one, &one.display().to_string());
    assert_eq!((code, twice), (Some(0), alone));
    written(&root, "n2.qrec", &Node::elected_by_n3(2));
    let (code, text) = replay(root.path(), "");
    assert_eq!(code, Some(10), "{text}");
    assert!(text.contains("\nn2  "), "{text}");
    let both = [Node::elected_by_n3(1), Node::elected_by_n3(2)].concat();
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
        let path = written(&root, &format!("n{id}.qrec"), &Node::elected_by_n3(id));
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
    let text = stdout(&output);
    assert!(text.contains("sent a message that its recording does not have"), "{text}");
}
