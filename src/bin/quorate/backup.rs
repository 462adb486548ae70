//! `quorate backup`: the snapshot of a data directory as one file, whether its node runs or not.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recovery::{Backup, BackupHead, backup};
use quorate::storage::{
    Disk, Failure, FileDisk, FileName, Inspection, SnapshotReader, StorageConfig,
};
use quorate::types::{Index, Root};
use serde_json::{Value, json};

use crate::exit::{Exit, Trouble, warn};
use crate::held::Held;
use crate::output::report;
use crate::part::Part;
use crate::stop::{Stop, Until};

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

The file is read back and checked before it gets its name. If the last snapshot of a node that does
not run is damaged, the backup is of the one before it, and a warning says how far back that is.";

/// How large a piece of the backup is.
const CHUNK_BYTES: u32 = 1 << 18;
/// How often a node that runs may remove a snapshot between two looks at its directory.
const TRIES: usize = 5;

/// A backup that was written.
#[derive(Debug)]
struct Written {
    head: BackupHead,
    /// Where the newest snapshot ends, if it is damaged and this is the one before.
    damaged: Option<(Index, Failure)>,
}

pub(crate) fn run(flags: &BackupFlags, json: bool) -> Result<Exit, Trouble> {
    let stop = Stop::listen()?;
    let named = |error: io::Error| Trouble::wrong(format!("{}: {error}", flags.file.display()));
    let made = Part::of(&flags.file).map_err(named).and_then(|part| {
        let written = write(&flags.directory, &part, &stop)?;
        let (bytes, root) = check(&part, &stop).map_err(named)?;
        part.keep().map_err(named)?;
        Ok((written, bytes, root))
    });
    let (written, bytes, root) = stop.or_stopped(made)?;
    if let Some((newest, failure)) = &written.damaged {
        warn(json, written.older(*newest, failure));
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
        let BackupHead { last, cluster, .. } = &self.head;
        format!("everything through index {} of cluster {cluster}", last.index)
    }

    /// How many entries it lacks that the newest snapshot had.
    fn behind(&self, newest: Index) -> u64 {
        newest.0.saturating_sub(self.head.last.index.0)
    }

    fn older(&self, newest: Index, failure: &Failure) -> String {
        let (last, behind) = (self.head.last.index, self.behind(newest));
        format!(
            "{failure}. The newest snapshot, through index {newest}, is damaged: the backup is of \
             the one before it, through index {last}, and lacks the {behind} entries between, \
             which the log has. Start the node, and back up again after `quorate snapshot`"
        )
    }

    fn json(&self, bytes: u64, root: Root) -> Value {
        let damaged = self.damaged.as_ref().map(|(newest, failure)| {
            json!({
                "index": newest.0, "behind": self.behind(*newest), "what": failure.to_string(),
            })
        });
        json!({
            "cluster": self.head.cluster.to_string(), "index": self.head.last.index.0,
            "bytes": bytes, "root": root.to_string(), "damaged_snapshot": damaged,
        })
    }
}

/// Writes the last snapshot that is whole.
fn write(directory: &Path, part: &Part, stop: &Stop) -> Result<Written, Trouble> {
    let place = directory.display();
    let wrong = |error: &dyn Display| Trouble::wrong(format!("{place}: {error}"));
    if directory.join(FileName::Superblock.to_string()).metadata().is_err() {
        return Err(wrong(&"this is no node's directory"));
    }
    if let Ok(disk) = FileDisk::look(directory) {
        return write_from(disk, part, stop).map_err(|error| wrong(&error));
    }
    let mut tried = Err(String::new());
    for _ in 0..TRIES {
        let held = Held::of(directory).map_err(|error| error.to_string());
        tried = held.and_then(|held| write_from(held, part, stop));
        if tried.is_ok() {
            break;
        }
    }
    tried.map_err(|error| wrong(&error))
}

fn write_from(disk: impl Disk, part: &Part, stop: &Stop) -> Result<Written, String> {
    let mut disk = Until(stop, disk);
    let found = Inspection::of(&mut disk, &StorageConfig::default());
    let Inspection { opened, damaged_snapshot: damaged, .. } =
        found.map_err(|error| error.to_string())?;
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
    let content = SnapshotReader::open(&mut disk, cluster, &snapshot);
    let mut content = content.map_err(|error| error.to_string())?;
    let mut file = part.file();
    // What an earlier try has written is no part of it.
    let written = file.set_len(0).and_then(|()| io::Seek::rewind(&mut file)).and_then(|()| {
        let mut file = BufWriter::new(file);
        backup(&head, &mut content, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
    });
    written.map(|()| Written { head, damaged }).map_err(|error| error.to_string())
}

/// Reads back what was written: its size, and what names it.
fn check(part: &Part, stop: &Stop) -> io::Result<(u64, Root)> {
    let mut file = Until(stop, BufReader::new(File::open(part.path())?));
    let root = Backup::open(&mut file).and_then(Backup::verify)?;
    Ok((fs::metadata(part.path())?.len(), root))
}
