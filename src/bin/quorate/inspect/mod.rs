//! `quorate inspect`: what a directory holds, whosever it is, and what is damaged. Nothing in it is
//! changed, and no node has to be able to start on it.

mod entries;
mod found;

use std::path::PathBuf;

use clap::Args;
use quorate::storage::{FileDisk, OpenError};

use crate::exit::{Exit, Trouble};
use crate::inspect::found::Found;
use crate::output::print;

/// What `inspect` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InspectFlags {
    /// The data directory of a node that does not run, or a copy of one
    directory: PathBuf,
    /// List the entries of the log, too, from this index on
    #[arg(long, value_name = "INDEX", num_args = 0..=1, default_missing_value = "1")]
    entries: Option<u64>,
    /// How many entries to list at most
    #[arg(long, value_name = "N", default_value_t = 100, requires = "entries")]
    limit: usize,
}

const AFTER_HELP: &str = "\
Examples:
  quorate inspect d1
  quorate inspect d1 --entries
  quorate inspect d1 --entries 4711 --limit 10
  quorate --json inspect d1

Every sector of the log and of the snapshots is read and checked. Exit code 1: something is damaged;
the file and the place in it are named.";

pub(crate) fn run(flags: &InspectFlags, json: bool) -> Result<Exit, Trouble> {
    let place = flags.directory.display();
    let wrong = |error: &dyn std::fmt::Display| Trouble::wrong(format!("{place}: {error}"));
    if !flags.directory.is_dir() {
        return Err(wrong(&"there is no such directory"));
    }
    let mut disk = FileDisk::look(&flags.directory).map_err(Trouble::wrong)?;
    let mut found = match Found::of(&mut disk) {
        Ok(found) => found,
        Err(OpenError::Failed(failure)) => {
            return Err(Trouble::new(Exit::No, format!("{place}: {failure}")));
        }
        Err(error) => return Err(wrong(&error)),
    };
    let listed = match flags.entries {
        None => Vec::new(),
        Some(first) => entries::list(&mut disk, &mut found, first, flags.limit),
    };
    if json {
        print(&found.json(&listed).to_string())?;
    } else {
        let lines = listed.iter().map(|entry| format!("{entry}\n"));
        print(&format!("{found}{}", lines.collect::<String>()))?;
    }
    Ok(if found.damage.is_empty() { Exit::Done } else { Exit::No })
}
