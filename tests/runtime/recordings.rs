//! The recordings of running nodes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quorate::recording::{RecordingError, Replay, Replayed};
use quorate::types::{Change, NodeId};

use crate::cluster::{CLUSTER, Cluster, eventually};

/// The files of a node's recording, oldest first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("recording")).expect("it records").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Replays a node's recording; returns the number of steps and of starts.
fn replay(directory: &Path, id: NodeId) -> Result<(u64, usize), RecordingError> {
    let content = files(directory).into_iter().flat_map(|path| fs::read(path).expect("a file"));
    let content: Vec<u8> = content.collect();
    let (mut steps, mut starts) = (0, BTreeSet::new());
    for part in Replay::new(&content[..]) {
        match part? {
            Replayed::Step(_) => steps += 1,
            Replayed::Segment { header, .. } => {
                assert_eq!((header.node, header.cluster), (id, CLUSTER.0));
                starts.insert(header.start);
            }
        }
    }
    Ok((steps, starts.len()))
}

/// Whether a node's recording is whole, with steps of this many starts.
fn has_steps(directory: &Path, id: NodeId, starts: usize) -> bool {
    replay(directory, id).is_ok_and(|found| found.0 > 100 && found.1 == starts)
}

#[tokio::test]
async fn the_recordings_of_three_nodes_are_replayed_after_a_kill_and_a_change() {
    let mut cluster = Cluster::start(3).await;
    let ids = [1, 2, 3].map(NodeId);
    let secret = "a line that no recording has";
    for _ in 0..60 {
        cluster.add(secret).await;
    }
    let leader = cluster.leader().await;
    let first = cluster.config(leader).directory;
    // A killed node loses what its recorder still has in memory.
    eventually("the recording has steps", async || has_steps(&first, leader, 1)).await;
    cluster.kill(leader).await;
    cluster.add("after the kill").await;
    cluster.restart(leader).await;
    let other = cluster.leader().await;
    let demoted = ids.into_iter().find(|id| *id != other).expect("there are three nodes");
    let change = Change::new().learner(demoted);
    cluster.handle(other).change_membership(change).await.expect("the others agree");
    cluster.add("after the change").await;
    for id in ids {
        let directory = cluster.config(id).directory;
        let starts = if id == leader { 2 } else { 1 };
        eventually("the recording has steps", async || has_steps(&directory, id, starts)).await;
        cluster.kill(id).await;
        // The thread of the recording may write its last block after the drop.
        eventually("the recording is whole", async || has_steps(&directory, id, starts)).await;
        for path in files(&directory) {
            let content = fs::read(&path).expect("a file");
            assert!(!content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = path.metadata().expect("a file").permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }
}
