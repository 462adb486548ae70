//! The checks over recordings of a whole cluster: they hold in honest runs, and a pair of
//! recordings of cores that a lying peer deceived is noticed.

use quorate::raft::{Config, Input, Raft};
use quorate::recording::{Contents, Recorded, RecorderConfig};
use quorate::types::{
    Body, Incarnation, Index, Instant, Message, NodeId, Restored, Tag, Term, WriteId,
};
use quorate_sim::recordings::{
    CheckedRecordings, Merged, NodeRecording, RecordingChecks, Source, merge, survey,
};

use super::runs::run;
use crate::harness::{ONE, THREE, TWO, plain, voters};

pub(crate) fn surveyed(recording: &[u8]) -> NodeRecording {
    let source = Source::Memory("a recording".to_owned(), recording.into());
    survey(vec![source]).unwrap_or_else(|error| panic!("{error}"))
}

fn check(recordings: &[NodeRecording]) -> (Merged, Vec<CheckedRecordings>) {
    let nodes: Vec<NodeId> = recordings.iter().map(|recording| recording.node).collect();
    let mut checks = RecordingChecks::new(&nodes);
    let merged = merge(recordings, |event| checks.observe(event));
    (merged.clone(), checks.finish(&merged))
}

fn decided(checked: &[CheckedRecordings], id: &str) -> u64 {
    checked.iter().find(|checked| checked.check.id == id).expect("it is a check").decided
}

#[test]
fn no_check_is_violated_in_honest_runs_with_crashes_and_lost_blocks() {
    let mut totals = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 0..20 {
        let contents = if seed % 2 == 0 { Contents::Hashed } else { Contents::Kept };
        let mut cluster = run(seed, contents);
        let ids = cluster.ids();
        let recordings: Vec<NodeRecording> =
            ids.iter().map(|id| surveyed(cluster.node_mut(*id).finish_recording())).collect();
        let (merged, checked) = check(&recordings);
        // With clocks apart, some messages arrive before the gap in which they were sent.
        let fewest = if seed % 3 == 0 { 10 } else { 3 };
        assert!(merged.matched > 50 * merged.disordered, "seed {seed}: {merged:?}");
        assert!(merged.matched > fewest * merged.unmatched, "seed {seed}: {merged:?}");
        for CheckedRecordings { check, decided, violation, .. } in &checked {
            assert_eq!(*violation, None, "seed {seed}");
            *totals.entry(check.id).or_default() += decided;
        }
        // With one recording, nothing about other nodes may be taken for wrong.
        for recording in &recordings {
            let (_, alone) = check_one(recording);
            assert!(alone.iter().all(|checked| checked.violation.is_none()), "seed {seed}");
        }
    }
    let offered = [
        "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14",
        "S15", "S17", "S18", "S45",
    ];
    for id in offered {
        assert!(totals[id] >= 20, "{id} is decided only {} times", totals[id]);
    }
}

fn check_one(recording: &NodeRecording) -> (Merged, Vec<CheckedRecordings>) {
    check(std::slice::from_ref(recording))
}

/// A recorded core, to which the test itself delivers what peers claim.
struct Deceived {
    id: NodeId,
    raft: Recorded,
    now: u64,
    writes: u64,
}

impl Deceived {
    fn new(id: NodeId) -> Deceived {
        let config = Config { pre_vote: false, ..plain(id) };
        let raft = Raft::new(config, Restored::fresh(voters(3)), id.0, Instant::ZERO);
        let raft = Recorded::new(raft.expect("it is valid"), RecorderConfig::default());
        Deceived { id, raft, now: 0, writes: 0 }
    }

    fn step(&mut self, input: Input) {
        self.now += 1_000_000;
        let mut actions = Vec::new();
        self.raft.step(Instant(self.now), input, &mut actions);
        let writes = actions
            .iter()
            .filter(|action| matches!(action, quorate::raft::Action::Persist(_)))
            .count();
        for _ in 0..writes {
            self.writes += 1;
            self.step(Input::Persisted(WriteId(self.writes)));
        }
    }

    fn receive(&mut self, from: NodeId, body: Body) {
        let (incarnation, to, term) = (Incarnation::default(), self.id, Term(1));
        self.step(Input::Message(Message { from, incarnation, to, term, body }));
    }

    /// Makes the core the leader of term 1 with the vote of n3.
    fn elected(mut self) -> Deceived {
        self.step(Input::Campaign);
        self.receive(THREE, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
        assert_eq!(self.raft.status().leader, Some(self.id));
        self
    }

    /// Commits a command with the acknowledgement of n3.
    fn commits(mut self, command: &str) -> Deceived {
        let propose = Input::propose(Tag(1), quorate::types::Acknowledge::Quorum, command);
        self.step(propose);
        let matched = self.raft.status().last.index;
        let outcome = quorate::types::AppendOutcome::Accepted { matched };
        self.receive(THREE, Body::AppendEntriesReply(outcome));
        assert_eq!(self.raft.status().committed, matched);
        self
    }

    fn recording(mut self) -> NodeRecording {
        self.raft.recorder().finish_block();
        let mut bytes = Vec::new();
        while let Some(block) = self.raft.recorder().next_block() {
            bytes.extend_from_slice(block.bytes());
        }
        surveyed(&bytes)
    }
}

fn violated(checked: &[CheckedRecordings]) -> Vec<&'static str> {
    let violated = checked.iter().filter(|checked| checked.violation.is_some());
    violated.map(|checked| checked.check.id).collect()
}

/// A peer votes for two candidates, and acknowledges two entries at one index.
#[test]
fn recordings_of_deceived_cores_have_two_leaders_two_votes_and_two_contents() {
    let one = Deceived::new(ONE).elected().commits("short").recording();
    let two = Deceived::new(TWO).elected().commits("a longer command").recording();
    let (_, checked) = check_one(&one);
    assert_eq!(violated(&checked), [""; 0], "one recording alone shows nothing");
    assert_eq!(decided(&checked, "S1"), 1);
    let (_, checked) = check(&[one, two]);
    assert_eq!(violated(&checked), ["S1", "S3", "S8"]);
    let finding = checked[0].violation.as_ref().expect("S1 is violated").finding.clone();
    assert!(finding.starts_with("term t1 has two leaders: n1, first seen at"), "{finding}");
}

/// The recording of n3 has neither the vote nor the acknowledgement: it may have given them in a
/// part that was lost, so nothing is decided, and the two messages are counted.
#[test]
fn a_vote_and_an_acknowledgement_that_no_recording_has_are_undecided() {
    let one = Deceived::new(ONE).elected().commits("a command").recording();
    let [two, three] = [TWO, THREE].map(|id| {
        let mut node = Deceived::new(id);
        (0..50).for_each(|_| node.step(Input::Timeout));
        node.recording()
    });
    let (merged, checked) = check(&[one, two, three]);
    assert_eq!((merged.unmatched, violated(&checked)), (2, Vec::new()));
    for id in ["S2", "S12"] {
        let found = checked.iter().find(|checked| checked.check.id == id).expect("it is a check");
        assert!(found.decided == 0 && !found.undecided.is_empty(), "{found:?}");
    }
}
