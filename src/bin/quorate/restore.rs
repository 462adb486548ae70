//! `quorate restore`: verifies a backup, and creates a new cluster from it.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recovery::{Backup, RestoreError, restore};
use quorate::storage::{StorageConfig, open_regular_file};
use serde_json::json;

use crate::exit::{CommandError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::new_cluster::NewClusterFlags;
use crate::output::{print, report};

/// The flags of `restore`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RestoreFlags {
    /// Backup file to verify and restore
    file: PathBuf,
    #[command(flatten)]
    new: NewClusterFlags,
}

const AFTER_HELP: &str = "\
Verify a backup, and print what it holds:
  quorate restore monday.backup
Create the data directories of a new cluster with its state:
  quorate restore monday.backup --members 1=127.0.0.1:7121,2=127.0.0.1:7122 --out restored

The cluster of the backup may keep running: the new cluster has an id of its own. Either every data
directory is created, or none. Exit code 1: the backup is damaged.";

pub(crate) fn run(flags: &RestoreFlags, json: bool) -> CommandResult {
    let place = flags.file.display();
    let with_path = |error: io::Error| {
        let damaged = error.kind() == io::ErrorKind::InvalidData;
        CommandError::new(
            if damaged { Exit::Negative } else { Exit::InvalidInput },
            format!("{place}: {error}"),
        )
    };
    // The backup is read again for each member, which a pipe does not permit. It is opened once,
    // because another file may take its name in between.
    let open: fn(&Path) -> io::Result<File> =
        if flags.new.names_cluster() { open_regular_file } else { |path| File::open(path) };
    let mut file = open(&flags.file).map(BufReader::new).map_err(with_path)?;
    let backup = Backup::open(&mut file).map_err(with_path)?;
    let (cluster, last) = (backup.head().cluster, backup.head().last);
    let root = backup.verify().map_err(with_path)?;
    let mut facts = json!({
        "cluster": cluster.to_string(), "index": last.index.0, "root": root.to_string(),
    });
    let text =
        format!("{place}: intact; state through index {} of cluster {cluster}\n", last.index);
    if let Some(new) = flags.new.cluster()? {
        let (interrupt, config) = (Interrupt::listen()?, StorageConfig::default());
        let created = new.create(&interrupt, |id, disk| {
            file.rewind().map_err(with_path)?;
            let restored = restore(&mut file, new.id, &new.membership, id, disk, &config);
            match restored {
                Ok(restored) if restored == root => Ok(()),
                Ok(_) => Err(CommandError::invalid_input(format!(
                    "{place}: the file has changed since it was verified: restore from a copy"
                ))),
                // Without the advice to empty the new directory, which is removed again.
                Err(RestoreError::Target(error)) => Err(CommandError::invalid_input(error)),
                Err(error) => Err(CommandError::invalid_input(error)),
            }
        });
        interrupt.or_interrupted(created)?;
        facts["new"] = new.json();
        report(json, &if json { facts.to_string() } else { text + &new.text() });
    } else {
        print(&if json { facts.to_string() } else { text })?;
    }
    Ok(Exit::Done)
}
