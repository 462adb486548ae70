//! `quorate restore`: a new cluster that begins with a backup.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use clap::Args;
use quorate::recovery::{Backup, RestoreError, restore};
use quorate::storage::StorageConfig;
use serde_json::json;

use crate::exit::{Exit, Trouble};
use crate::new_cluster::NewClusterFlags;
use crate::output::{print, report};
use crate::stop::Stop;

/// What `restore` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RestoreFlags {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    new: NewClusterFlags,
}

const AFTER_HELP: &str = "\
Check a backup, and see what it is of:
  quorate restore monday.backup
Make the directories of a cluster that begins with it:
  quorate restore monday.backup --members 1=127.0.0.1:7121,2=127.0.0.1:7122 --out restored

The cluster that the backup is of may still run, and is not touched: the new one has an id of its
own. All directories are made, or none. Exit code 1: the backup is damaged.";

pub(crate) fn run(flags: &RestoreFlags, json: bool) -> Result<Exit, Trouble> {
    let place = flags.file.display();
    let named = |error: io::Error| {
        let damaged = error.kind() == io::ErrorKind::InvalidData;
        Trouble::new(if damaged { Exit::No } else { Exit::Wrong }, format!("{place}: {error}"))
    };
    let open = || File::open(&flags.file).map(BufReader::new).map_err(named);
    let mut file = open()?;
    let backup = Backup::open(&mut file).map_err(named)?;
    let (cluster, last) = (backup.head().cluster, backup.head().last);
    let root = backup.verify().map_err(named)?;
    let mut facts = json!({
        "cluster": cluster.to_string(), "index": last.index.0, "root": root.to_string(),
    });
    let text =
        format!("{place}: whole; everything through index {} of cluster {cluster}\n", last.index);
    if let Some(new) = flags.new.cluster()? {
        let (stop, config) = (Stop::listen()?, StorageConfig::default());
        let made = new.make(&stop, |id, disk| {
            let made = restore(&mut open()?, new.id, &new.membership, id, disk, &config);
            made.map_err(|error| match error {
                RestoreError::Target(error) => Trouble::wrong(error),
                error => Trouble::wrong(error),
            })
        });
        stop.or_stopped(made)?;
        facts["new"] = new.json();
        report(json, &if json { facts.to_string() } else { text + &new.text() });
    } else {
        print(&if json { facts.to_string() } else { text })?;
    }
    Ok(Exit::Done)
}
