//! Random runs of a cluster whose every step is recorded.

use core::time::Duration;

use quorate::raft::Input;
use quorate::recording::{Contents, RecordingError, RecordingErrorReason, Replay, Replayed, Step};
use quorate::types::{Acknowledge, Change, Command, NodeId, Restored, Tag};

use super::damage::blocks;
use crate::harness::{Cluster, voters};

/// A seeded generator: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Returns a cluster of three voters and two spares after random elections, crashes, partitions,
/// membership changes, proposals and slow disks.
pub(crate) fn run(seed: u64, contents: Contents) -> Cluster {
    let mut random = Random(seed);
    let mut cluster = Cluster::empty();
    for id in (1..=5).map(NodeId) {
        let membership = if id.0 <= 3 { voters(3) } else { quorate::types::Membership::default() };
        let mut config = crate::harness::plain(id);
        config.pre_vote = random.below(2) == 0;
        cluster.add_seeded(config, Restored::fresh(membership), seed * 100 + id.0 * 10);
        cluster.node_mut(id).contents = contents;
        // Wall clocks differ by nothing, seconds or minutes, in no order.
        let apart = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(100)];
        cluster.node_mut(id).clock_ahead = apart[seed as usize % 3] * ((id.0 * 3 % 5) as u32);
        cluster.crash(id);
        cluster.restart(id);
    }
    for number in 0..400 {
        act(&mut cluster, &mut random, number);
    }
    for id in cluster.ids() {
        // A last step, because the blocks before it may have been dropped.
        cluster.input(id, Input::Timeout);
    }
    cluster
}

fn act(cluster: &mut Cluster, random: &mut Random, number: u64) {
    let id = NodeId(1 + random.below(5));
    let other = NodeId(1 + random.below(5));
    let is_up = cluster.node(id).is_up();
    match random.below(20) {
        0 if is_up => cluster.crash(id),
        1 if is_up => cluster.campaign(id),
        2 if id != other => cluster.cut(id, other),
        3..5 => (1..=5).for_each(|peer| cluster.uncut(id, NodeId(peer))),
        5 if is_up => {
            let at_once = random.below(2) == 0;
            cluster.node_mut(id).flushes_at_once = at_once;
            cluster.node_mut(id).flush();
        }
        6 => {
            let change = match random.below(3) {
                0 => Change::new().voter(other),
                1 => Change::new().learner(other),
                _ => Change::new().remove(other),
            };
            for leader in cluster.leaders() {
                cluster.change(leader, change.clone());
            }
        }
        7 if is_up => {
            cluster.transfer(id, other);
        }
        8..12 => {
            let text = "x".repeat(random.below(300) as usize);
            for leader in cluster.leaders() {
                let command = Command::from(format!("{number} {text}").as_str());
                let tag = Tag(1_000_000 + number * 10 + leader.0);
                cluster.input(leader, Input::propose(tag, Acknowledge::Quorum, command));
                cluster.settle();
            }
        }
        12 if is_up => {
            cluster.read(id);
        }
        13 if is_up => cluster.node_mut(id).drop_block(),
        _ if !is_up && random.below(2) == 0 => cluster.restart(id),
        _ => cluster.tick_all(1 + random.below(12) as u32),
    }
}

/// Replays a recording; returns its parts, and its end.
pub(crate) fn replay(recording: &[u8]) -> (Vec<Replayed>, Option<RecordingError>) {
    let mut parts = Vec::new();
    for part in Replay::new(recording) {
        match part {
            Ok(part) => parts.push(part),
            Err(error) => return (parts, Some(error)),
        }
    }
    (parts, None)
}

fn steps(parts: &[Replayed]) -> impl Iterator<Item = &Step> {
    parts.iter().filter_map(|part| match part {
        Replayed::Step(step) => Some(&**step),
        Replayed::Segment { .. } => None,
    })
}

#[test]
fn a_replay_takes_the_recorded_steps_of_every_node() {
    let (mut taken, mut continued, mut breaks) = (0, 0, 0);
    for seed in 0..12 {
        let contents = if seed % 2 == 0 { Contents::Hashed } else { Contents::Kept };
        let mut cluster = run(seed, contents);
        for id in cluster.ids() {
            let node = cluster.node_mut(id);
            let recording = node.finish_recording().to_vec();
            let mut replay = Replay::new(&recording[..]);
            for part in replay.by_ref() {
                match part.unwrap_or_else(|error| panic!("seed {seed}, {id}: {error}")) {
                    Replayed::Step(_) => taken += 1,
                    Replayed::Segment { continues: true, .. } => continued += 1,
                    Replayed::Segment { continues: false, .. } => breaks += 1,
                }
            }
            let replayed = replay.raft().expect("every node was started");
            if !node.is_up() {
                continue;
            }
            assert_eq!(replayed.status(), node.status(), "seed {seed}, {id}");
            if contents == Contents::Kept {
                assert_eq!(replayed, node.core(), "seed {seed}, {id}");
            }
        }
    }
    assert!(taken > 20_000, "{taken} steps");
    assert!(continued > 100, "{continued} checkpoints were compared");
    assert!(breaks > 200, "{breaks} starts and lost blocks");
}

/// Returns the files of a recording whose every segment is a file.
fn files(recording: &[u8]) -> Vec<&[u8]> {
    let starts = blocks(recording).into_iter().filter(|(_, kind, _)| *kind == 1);
    let starts: Vec<usize> = starts.map(|(at, ..)| at).collect();
    let ends = starts[1..].iter().copied().chain([recording.len()]);
    std::iter::zip(&starts, ends).map(|(start, end)| &recording[*start..end]).collect()
}

#[test]
fn the_files_of_a_recording_are_replayed_like_the_whole() {
    let mut random = Random(7);
    let mut stopped = 0;
    for seed in 0..4 {
        let mut cluster = run(seed, Contents::Hashed);
        for id in cluster.ids() {
            let recording = cluster.node_mut(id).finish_recording().to_vec();
            let (whole, _) = replay(&recording);
            let is_segment = |part: &Replayed| matches!(part, Replayed::Segment { .. });
            let mut segments = whole.chunk_by(|_, part| !is_segment(part));
            let mut replay = Replay::new(&[][..]);
            let mut is_whole = false;
            for file in files(&recording) {
                replay.continue_with(file);
                let expected = segments.next().expect("each file is a segment");
                let count = match random.below(3) {
                    0 => 1 + random.below(expected.len() as u64) as usize,
                    _ => expected.len() + 1,
                };
                let mut parts = Vec::new();
                for part in replay.by_ref().take(count) {
                    parts.push(part.unwrap_or_else(|error| panic!("seed {seed}, {id}: {error}")));
                }
                if let Some(Replayed::Segment { continues, .. }) = parts.first_mut() {
                    let Replayed::Segment { continues: expected, .. } = &expected[0] else {
                        panic!("a file begins a segment")
                    };
                    assert_eq!(*continues, *expected && is_whole, "seed {seed}, {id}");
                    *continues = *expected;
                }
                is_whole = parts.len() == expected.len();
                stopped += u32::from(!is_whole);
                assert_eq!(parts[..], expected[..parts.len()], "seed {seed}, {id}");
            }
            assert!(segments.next().is_none(), "no segment is left");
        }
    }
    assert!(stopped > 20, "{stopped} files were left before their end");
}

#[test]
fn commands_are_recorded_only_if_they_are_kept() {
    let secret = "the content of a long command";
    for (contents, is_kept) in [(Contents::Hashed, false), (Contents::Kept, true)] {
        let mut cluster = Cluster::new(3);
        for id in cluster.ids() {
            cluster.node_mut(id).contents = contents;
            cluster.crash(id);
            cluster.restart(id);
        }
        cluster.elect(NodeId(1));
        cluster.propose(NodeId(1), secret);
        let recording = cluster.node_mut(NodeId(1)).finish_recording().to_vec();
        let found = recording.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert_eq!(found, is_kept);
        let (parts, error) = replay(&recording);
        assert!(error.is_none());
        let proposed = steps(&parts).find_map(|step| match &step.input {
            Input::Propose(proposals) => Some(proposals[0].command.clone()),
            _ => None,
        });
        let proposed = proposed.expect("the proposal is recorded");
        assert_eq!(proposed.len(), secret.len());
        assert_eq!(&proposed[..] == secret.as_bytes(), is_kept);
    }
}

#[test]
fn a_lost_block_is_a_break_but_not_an_error() {
    let mut cluster = Cluster::new(3);
    cluster.elect(NodeId(1));
    cluster.pass(Duration::from_secs(1));
    cluster.propose(NodeId(1), "in the dropped block");
    cluster.node_mut(NodeId(1)).drop_block();
    cluster.propose(NodeId(1), "after the gap");
    let (parts, error) = replay(cluster.node_mut(NodeId(1)).finish_recording());
    assert!(error.is_none());
    let is_break = |part: &Replayed| matches!(part, Replayed::Segment { continues: false, .. });
    let place = parts.iter().rposition(is_break).expect("the gap is a break");
    let Replayed::Segment { header, .. } = &parts[place] else { unreachable!("it is a segment") };
    let before = steps(&parts[..place]).last().expect("the first blocks were written");
    assert!(header.first_record > before.record + 1, "the last block is missing");
    assert_eq!(steps(&parts[place..]).next().map(|step| step.record), Some(header.first_record));
}

/// A recording whose first proposal has another command than the one that was stepped.
#[test]
fn a_step_with_other_actions_is_named() {
    let mut cluster = Cluster::new(3);
    for id in cluster.ids() {
        cluster.node_mut(id).contents = Contents::Kept;
        cluster.crash(id);
        cluster.restart(id);
    }
    cluster.elect(NodeId(1));
    cluster.propose(NodeId(1), "one command");
    let mut recording = cluster.node_mut(NodeId(1)).finish_recording().to_vec();
    super::damage::replace_in_records(&mut recording, b"one command", b"two command");
    let (parts, error) = replay(&recording);
    let error = error.expect("the replayed actions have another command");
    let RecordingErrorReason::ActionsDiffer(step) = &error.reason else { panic!("{error}") };
    assert_eq!(step.record, steps(&parts).count() as u64);
    assert!(matches!(step.input, Input::Propose(_)));
    let text = error.to_string();
    assert!(text.contains("propose") && text.contains("-> n2 AppendEntries"), "{text}");
}
