//! `quorate backup`: writes the snapshot of a data directory to one file, even while the node runs.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recovery::{Backup, BackupHeader, backup};
use quorate::storage::{Disk, FileDisk, Inspection, SnapshotReader, StorageConfig, StorageError};
use quorate::types::{Index, Root};
use serde_json::{Value, json};

use crate::atomic_file::AtomicFile;
use crate::data_directory::{reject_within, require_data_directory};
use crate::exit::{CommandError, CommandResult, Exit, warn};
use crate::interrupt::{Interrupt, Interruptible};
use crate::output::report;
use crate::running_node::RunningNodeFiles;

/// The flags of `backup`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BackupFlags {
    /// Data directory of the node, which may be running
    directory: PathBuf,
    /// Backup file to write; an existing file is replaced once the backup is complete
    file: PathBuf,
}

const AFTER_HELP: &str = "\
A backup holds the state through the node's last snapshot. To include everything acknowledged so
far, take a snapshot first:
  quorate snapshot 127.0.0.1:7101
  quorate backup d1 monday.backup

The file is read back and verified before it gets its name. If the last snapshot of a stopped node
is damaged, the backup is written from the snapshot before it, and a warning names both snapshots.
The directory of a node in quarantine, whose state differs from that of a majority, is rejected:
back up another node.";

/// The size of a chunk of the backup, in bytes.
const CHUNK_BYTES: u32 = 1 << 18;
/// The maximum number of attempts to back up a running node, because the node may remove a snapshot
/// while its directory is read.
const ATTEMPTS_MAX: usize = 5;

/// The reason why the directory of a node in quarantine is not backed up.
const QUARANTINED: &str = "the node is in quarantine: its state machine diverged from that of a \
    majority, so its snapshot may be wrong. Back up the directory of another node; or start this \
    node, wait until it has rebuilt its state from another one (see `quorate status`), and back \
    it up then";

/// Names the backup file in the errors of its writes, because other errors of a backup are about
/// the data directory.
#[derive(Debug)]
struct NamedWrites<'a>(&'a AtomicFile);

impl Write for NamedWrites<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let named = |error: io::Error| {
            let path = self.0.path().display();
            io::Error::new(error.kind(), format!("cannot write {path}: {error}"))
        };
        self.0.file().write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A backup whose file is completely written.
#[derive(Debug)]
struct Written {
    head: BackupHeader,
    /// The last index and the damage of the newest snapshot, if the snapshot before it was backed
    /// up instead.
    damaged: Option<(Index, StorageError)>,
}

pub(crate) fn run(flags: &BackupFlags, json: bool) -> CommandResult {
    reject_within(&flags.file)?;
    let interrupt = Interrupt::listen()?;
    let with_path = |error: io::Error| {
        CommandError::invalid_input(format!("{}: {error}", flags.file.display()))
    };
    let written = AtomicFile::create(&flags.file).map_err(with_path).and_then(|output| {
        let written = write(&flags.directory, &output, &interrupt)?;
        let (bytes, root) = check(&output, &interrupt).map_err(with_path)?;
        output.commit().map_err(with_path)?;
        Ok((written, bytes, root))
    });
    let (written, bytes, root) = interrupt.or_interrupted(written)?;
    if let Some((newest, error)) = &written.damaged {
        warn(json, written.warning(*newest, error));
    }
    report(
        json,
        &match json {
            true => written.json(bytes, root).to_string(),
            false => format!(
                "{}: {}, {bytes} bytes, root {root}",
                flags.file.display(),
                written.head_text()
            ),
        },
    );
    Ok(Exit::Done)
}

impl Written {
    fn head_text(&self) -> String {
        let BackupHeader { last, cluster, .. } = &self.head;
        format!("state through index {} of cluster {cluster}", last.index)
    }

    /// Returns the number of entries that the newest snapshot covers and the backup lacks.
    fn behind(&self, newest: Index) -> u64 {
        newest.0.saturating_sub(self.head.last.index.0)
    }

    fn warning(&self, newest: Index, error: &StorageError) -> String {
        let (last, behind) = (self.head.last.index, self.behind(newest));
        format!(
            "{error}. The newest snapshot, through index {newest}, is damaged: the backup holds \
             the one before it, through index {last}, and lacks {behind} entries, which are still \
             in the log. Start the node, run `quorate snapshot`, and back up again"
        )
    }

    fn json(&self, bytes: u64, root: Root) -> Value {
        let damaged = self.damaged.as_ref().map(|(newest, error)| {
            json!({
                "index": newest.0, "behind": self.behind(*newest), "error": error.to_string(),
            })
        });
        json!({
            "cluster": self.head.cluster.to_string(), "index": self.head.last.index.0,
            "bytes": bytes, "root": root.to_string(), "damaged_snapshot": damaged,
        })
    }
}

/// Writes the newest intact snapshot of the directory to the backup file.
fn write(directory: &Path, output: &AtomicFile, interrupt: &Interrupt) -> CommandResult<Written> {
    let place = directory.display();
    let invalid = |error: &dyn Display| CommandError::invalid_input(format!("{place}: {error}"));
    require_data_directory(directory)?;
    if let Ok(disk) = FileDisk::open_read_only(directory) {
        return write_from(disk, output, interrupt).map_err(|error| invalid(&error));
    }
    let mut attempt = Err(String::new());
    for _ in 0..ATTEMPTS_MAX {
        let files = RunningNodeFiles::open(directory).map_err(|error| error.to_string());
        attempt = files.and_then(|files| write_from(files, output, interrupt));
        if attempt.is_ok() {
            break;
        }
    }
    attempt.map_err(|error| invalid(&error))
}

fn write_from(
    disk: impl Disk,
    output: &AtomicFile,
    interrupt: &Interrupt,
) -> Result<Written, String> {
    let mut disk = Interruptible(interrupt, disk);
    let found = Inspection::open(&mut disk, &StorageConfig::default());
    let found = found.and_then(Inspection::with_snapshot);
    let Inspection { opened, damaged_snapshot: damaged, .. } =
        found.map_err(|error| error.to_string())?;
    if opened.is_quarantined {
        return Err(QUARANTINED.to_owned());
    }
    let (cluster, snapshot) = (opened.identity.cluster, opened.snapshot);
    if snapshot.last.index == Index::ZERO {
        return Err("there is no snapshot yet: take one with `quorate snapshot`".into());
    }
    let head = BackupHeader {
        cluster,
        last: snapshot.last,
        membership: snapshot.membership.clone(),
        chunk_bytes: CHUNK_BYTES,
    };
    let content = SnapshotReader::open(&mut disk, cluster, &snapshot);
    let mut content = content.map_err(|error| error.to_string())?;
    let mut file = output.file();
    // Discards the content of a failed attempt.
    let written = file.set_len(0).and_then(|()| io::Seek::rewind(&mut file)).and_then(|()| {
        let mut file = BufWriter::new(NamedWrites(output));
        backup(&head, &mut content, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
    });
    written.map(|()| Written { head, damaged }).map_err(|error| error.to_string())
}

/// Reads the backup back and verifies it; returns its size in bytes and its root hash.
fn check(output: &AtomicFile, interrupt: &Interrupt) -> io::Result<(u64, Root)> {
    let mut file = Interruptible(interrupt, BufReader::new(File::open(output.path())?));
    let root = Backup::open(&mut file).and_then(Backup::verify)?;
    Ok((fs::metadata(output.path())?.len(), root))
}

#[cfg(test)]
mod tests {
    use quorate::raft::Config;
    use quorate::replica::{Replica, ReplicaConfig};
    use quorate::storage::{ClusterId, FileName, Identity};
    use quorate::types::{Incarnation, Membership, NodeId};

    use super::*;
    use crate::kv::Store;

    /// Sets the flag of the quarantine in the superblock of the directory, whose copies lie 1 MiB
    /// apart and end with a checksum (docs/FORMAT.md).
    fn set_quarantined(directory: &Path) {
        let path = directory.join(FileName::Superblock.to_string());
        let mut bytes = fs::read(&path).expect("it is formatted");
        for start in (0..bytes.len()).step_by(1 << 20) {
            let (content, checksum) = bytes[start..start + 4096].split_at_mut(4096 - 16);
            content[12] |= 16;
            checksum.copy_from_slice(&blake3::hash(content).as_bytes()[..16]);
        }
        fs::write(&path, bytes).expect("the disk has space");
    }

    #[test]
    fn the_directory_of_a_node_in_quarantine_is_not_backed_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let (node, incarnation) = (NodeId(1), Incarnation(1));
        let identity = Identity { cluster: ClusterId(1), node, incarnation };
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let config = ReplicaConfig::new(Config::new(node));
        let mut disk = FileDisk::open(directory.path()).expect("it opens");
        Replica::<Store>::create(&mut disk, identity, &membership, &config).expect("it is empty");
        drop(disk);
        let interrupt = Interrupt::listen().expect("signals can be handled");
        let elsewhere = tempfile::tempdir().expect("a directory");
        let file = AtomicFile::create(&elsewhere.path().join("file")).expect("it is created");
        let error = || {
            let written = write(directory.path(), &file, &interrupt);
            written.expect_err("there is no snapshot to back up").text
        };
        assert!(error().contains("there is no snapshot yet"), "{}", error());
        set_quarantined(directory.path());
        let place = directory.path().display().to_string();
        let text = error();
        assert!(text.starts_with(&place), "{text}");
        assert!(text.contains("its state machine diverged") && text.contains("another"), "{text}");
    }
}
