//! A node on a disk of the program that runs it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use quorate::runtime::Server;
use quorate::storage::{Disk, DiskError, FileAction, FileDisk, FileName};
use quorate::types::{NodeId, ReadLevel};

use crate::cluster::{Cluster, Lines, TEST_TIMEOUT, eventually};

/// A disk that counts how often its directory is checked.
#[derive(Clone)]
struct CheckedDisk(FileDisk, Arc<AtomicUsize>);

impl Disk for CheckedDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.0.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        self.0.execute(action)
    }

    fn verify(&mut self) -> Result<(), DiskError> {
        self.1.fetch_add(1, Relaxed);
        self.0.verify()
    }
}

#[tokio::test]
async fn a_node_checks_its_directory_again_and_again_and_answers_any_number_of_reads() {
    let mut cluster = Cluster::unstarted(1);
    let config = cluster.config(NodeId(1));
    let checks = Arc::default();
    let disk = FileDisk::open(&config.directory).expect("it is unlocked");
    let disk = CheckedDisk(disk, Arc::clone(&checks));
    let server = Server::start_on_disk(disk, config, Lines::default()).await;
    cluster.servers.insert(NodeId(1), server.expect("the directory is empty"));
    assert_eq!(cluster.add("line").await, 1);
    let handle = cluster.handle(NodeId(1));
    let reads = async {
        // The lane of the state machine pauses after every 512 reads.
        for _ in 0..1200 {
            let read = handle.read(ReadLevel::Local, b"").await.expect("it needs no other node");
            assert_eq!(read.answer, b"line\n");
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, reads).await.expect("every read is answered");
    eventually("the directory is checked twice", async || checks.load(Relaxed) >= 2).await;
}
