//! `quorate backup`: the snapshot of a data directory as one file, whether its node runs or not.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recovery::{Backup, BackupHead, backup};
use quorate::storage::{Disk, FileDisk, FileName, Inspection, SnapshotReader, StorageConfig};
use quorate::types::Index;
use serde_json::json;

use crate::exit::{Exit, Trouble};
use crate::output::print;

/// What `backup` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BackupFlags {
    /// A data directory; its node may run
    directory: PathBuf,
    /// The file to write; one of that name is replaced once the backup is whole
    file: PathBuf,
}

const AFTER_HELP: &str = "\
A backup holds everything through its node's last snapshot. To have all that is acknowledged now in
it, have the node take one first:
  quorate snapshot 127.0.0.1:7101
  quorate backup d1 monday.backup

The file is read back and checked before the command ends.";

/// How large a piece of the backup is.
const CHUNK_BYTES: u32 = 1 << 18;
/// How often a node that runs may put a newer snapshot in the place of the one that is linked.
const TRIES: usize = 5;

pub(crate) fn run(flags: &BackupFlags, json: bool) -> Result<Exit, Trouble> {
    let part = flags.file.with_added_extension("part");
    let head = match write(&flags.directory, &part) {
        Ok(head) => head,
        Err(trouble) => {
            // It says nothing that the trouble does not.
            let _ = fs::remove_file(&part);
            return Err(trouble);
        }
    };
    let named = |error: io::Error| Trouble::wrong(format!("{}: {error}", flags.file.display()));
    let mut file = BufReader::new(File::open(&part).map_err(named)?);
    let root = Backup::open(&mut file).and_then(Backup::verify).map_err(named)?;
    fs::rename(&part, &flags.file).map_err(named)?;
    let bytes = fs::metadata(&flags.file).map_err(named)?.len();
    let last = head.last.index.0;
    print(&match json {
        true => json!({
            "cluster": head.cluster.to_string(), "index": last, "bytes": bytes,
            "root": root.to_string(),
        })
        .to_string(),
        false => format!(
            "{}: everything through index {last} of cluster {}, {bytes} bytes, root {root}",
            flags.file.display(),
            head.cluster
        ),
    })?;
    Ok(Exit::Done)
}

fn write(directory: &Path, file: &Path) -> Result<BackupHead, Trouble> {
    let place = directory.display();
    let wrong = |error: &dyn std::fmt::Display| Trouble::wrong(format!("{place}: {error}"));
    if directory.join(FileName::Superblock.to_string()).metadata().is_err() {
        return Err(wrong(&"this is no node's directory"));
    }
    match FileDisk::look(directory) {
        Ok(mut disk) => write_from(&mut disk, file).map_err(|error| wrong(&error)),
        Err(_) => {
            let mut tried = Err(String::new());
            for _ in 0..TRIES {
                tried =
                    Linked::of(directory).map_err(|error| error.to_string()).and_then(|linked| {
                        let disk = FileDisk::look(&linked.0);
                        let mut disk = disk.map_err(|error| error.to_string())?;
                        write_from(&mut disk, file)
                    });
                if tried.is_ok() {
                    break;
                }
            }
            tried.map_err(|error| wrong(&error))
        }
    }
}

fn write_from(disk: &mut impl Disk, file: &Path) -> Result<BackupHead, String> {
    let found = Inspection::of(disk, &StorageConfig::default());
    let opened = found.map_err(|error| error.to_string())?.opened;
    let (cluster, snapshot) = (opened.identity.cluster, opened.snapshot);
    if snapshot.last.index == Index::ZERO {
        return Err("there is no snapshot yet: have the node take one by `quorate snapshot`".into());
    }
    let head = BackupHead {
        cluster,
        last: snapshot.last,
        membership: snapshot.membership.clone(),
        chunk_bytes: CHUNK_BYTES,
    };
    let content = SnapshotReader::open(disk, cluster, &snapshot);
    let mut content = content.map_err(|error| error.to_string())?;
    let written = File::create(file).and_then(|file| {
        let mut file = BufWriter::new(file);
        backup(&head, &mut content, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.map(|()| head).map_err(|error| error.to_string())
}

/// The snapshots of a node that runs, linked, and its superblock, copied: what a crash would leave,
/// without the log. Gone when dropped.
#[derive(Debug)]
struct Linked(PathBuf);

impl Linked {
    fn of(directory: &Path) -> io::Result<Linked> {
        let linked = Linked(directory.join(format!("backup-{}", std::process::id())));
        fs::create_dir_all(&linked.0)?;
        let superblock = FileName::Superblock.to_string();
        fs::copy(directory.join(&superblock), linked.0.join(&superblock))?;
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if text.starts_with("snapshot-") && !text.contains('.') {
                match fs::hard_link(directory.join(&name), linked.0.join(&name)) {
                    // The node has removed it, and has a newer one.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    done => done?,
                }
            }
        }
        Ok(linked)
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        // What is left of it is no file of the store's, and takes no space of its own for long.
        let _ = fs::remove_dir_all(&self.0);
    }
}
