//! Checks the recordings of all nodes' cores by the rules of the simulator.

use std::sync::Arc;

use quorate::types::NodeId;
use quorate_sim::recordings::{NodeRecording, RecordingChecks, Source, merge, survey};

/// Replays the recordings and checks their events. Returns the number of facts that were decided.
///
/// # Errors
/// The first violation, in one sentence; or why a recording cannot be replayed.
pub(crate) fn check(recordings: &[&[u8]]) -> Result<u64, String> {
    let mut surveyed = Vec::new();
    for (at, recording) in recordings.iter().enumerate() {
        if recording.is_empty() {
            continue;
        }
        let node = NodeId(at as u64 + 1);
        let source = Source::Memory(node.to_string(), Arc::from(*recording));
        let surveyed_node = survey(vec![source]).map_err(|error| failed(node, &error.error))?;
        if let Some(error) = surveyed_node.errors.first() {
            return Err(failed(node, &error.error));
        }
        surveyed.push(surveyed_node);
    }
    let nodes: Vec<NodeId> =
        surveyed.iter().map(|recording: &NodeRecording| recording.node).collect();
    let mut checks = RecordingChecks::new(&nodes);
    let merged = merge(&surveyed, |event| checks.observe(event));
    let results = checks.finish(&merged);
    let violations = results.iter().filter_map(|result| result.violation.as_ref());
    match violations.min_by_key(|violation| violation.at) {
        Some(violation) => {
            Err(format!("{} {}: {}", violation.id, violation.check, violation.finding))
        }
        None => Ok(results.iter().map(|result| result.decided).sum()),
    }
}

fn failed(node: NodeId, error: &dyn std::fmt::Display) -> String {
    format!("the steps of {node} cannot be replayed: {error}")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, Cursor, Read};
    use std::time::Duration;

    use quorate::machine::StateMachine;
    use quorate::raft::{Config, Input, Raft};
    use quorate::recording::{Recorded, RecorderConfig};
    use quorate::types::{Index, Instant, Membership, NodeId, Restored};
    use tokio::time::sleep;

    use super::check;
    use crate::chaos_run::{ChaosRun, Outcome};
    use crate::disk::NodeDisk;
    use crate::world::World;

    /// A state machine without a state.
    pub(crate) struct Stateless;

    impl StateMachine for Stateless {
        fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
        fn query(&self, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(Cursor::new([]))
        }
        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }
    }

    /// Each node leads for a while, and then the last leader loses its unsynced writes.
    const SCENARIO: &str = "nodes 3\nfault phase 8s\nat 2s isolate leader for 1s\n\
                            at 4s isolate leader for 1s\nat 6s crash leader for 200ms\n";

    async fn propose(world: World) -> Outcome {
        let client = world.client(|_| {})?;
        while !world.is_stable() {
            // Most outcomes are known, and none matters.
            let _ = client.propose(b"command").await;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    #[test]
    fn a_recording_that_cannot_be_replayed_is_no_success() {
        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let raft = raft.expect("a valid start");
        let mut core = Recorded::new(raft, RecorderConfig::default());
        core.step(Instant::ZERO, Input::Campaign, &mut Vec::new());
        core.recorder().finish_block();
        let blocks = std::iter::from_fn(|| core.recorder().next_block());
        let mut recording: Vec<u8> = blocks.flat_map(|block| block.bytes().to_vec()).collect();
        check(&[&recording]).unwrap_or_else(|failure| panic!("{failure}"));
        *recording.last_mut().expect("it has a step") ^= 1;
        let failure = check(&[&recording]).expect_err("its last byte is another");
        assert!(failure.starts_with("the steps of n1 cannot be replayed: "), "{failure}");
    }

    #[test]
    fn a_node_that_forgets_its_term_is_found() {
        let run = |disk| {
            let run = ChaosRun::new(1).nodes(3, |_| Stateless).client("client", propose);
            run.scenario(SCENARIO).with_disks(disk).run()
        };
        let report = run(NodeDisk::default).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.core_facts > 100, "{report:?}");
        let failure = run(|| NodeDisk::lying_after(20)).expect_err("the disks lie");
        assert!(failure.sentence.starts_with("S7 "), "{failure}");
    }
}
