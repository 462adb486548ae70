//! `quorate inspect`: prints the content of any data directory and its damage. It changes nothing,
//! and works on directories that no node can start from.

mod entries;
mod report;

use std::path::PathBuf;

use clap::Args;
use quorate::storage::{FileDisk, OpenError};

use crate::data_directory::{open_error, require_directory};
use crate::exit::{CommandError, CommandResult, Exit};
use crate::inspect::report::DirectoryReport;
use crate::output::print;
use crate::values::{COUNTS, number};

/// The flags of `inspect`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InspectFlags {
    /// Data directory of a stopped node, or a copy of one
    directory: PathBuf,
    /// Also list log entries, from this index on
    #[arg(long, value_name = "INDEX", num_args = 0..=1, default_missing_value = "1",
        value_parser = number::<u64>(0..=u64::MAX))]
    entries: Option<u64>,
    /// Maximum number of entries to list
    #[arg(long, value_name = "N", default_value_t = 100, requires = "entries",
        value_parser = number::<usize>(COUNTS))]
    limit: usize,
}

const AFTER_HELP: &str = "\
Examples:
  quorate inspect d1
  quorate inspect d1 --entries
  quorate inspect d1 --entries 4711 --limit 10
  quorate --json inspect d1

Reads and verifies every sector of the log and the snapshots. Exit code 1: something is damaged; the
file and the offset are printed. Two of the four copies of the superblock suffice, and a crash can
leave one incomplete: such a copy, or a damaged mark of the last flush, is printed, but the exit
code stays 0. Exit code 3: a running node has the directory open.
Entries that are `repairable` have lost only their content: the node starts, and gets the content
from the other members. If acknowledged entries at the end of the log are `lost`, the node starts,
but counts in no quorum until a leader has checked its log. Entries of a `torn` flush are
incomplete: a start drops them, because nothing shows that they were acknowledged. Entries, or a
part of the log, that are `covered` cannot be read and are not needed, because the snapshot includes
them. A damaged snapshot that is `older` than the one that a start uses is not needed.";

pub(crate) fn run(flags: &InspectFlags, json: bool) -> CommandResult {
    let place = flags.directory.display();
    let invalid =
        |error: &dyn std::fmt::Display| CommandError::invalid_input(format!("{place}: {error}"));
    require_directory(&flags.directory)?;
    let mut disk = FileDisk::open_read_only(&flags.directory).map_err(|error| {
        let CommandError { exit, text } = open_error(&error);
        let hint = if error.is_in_use() { "; `quorate status` shows a running node" } else { "" };
        CommandError::new(exit, format!("{text}{hint}"))
    })?;
    let mut report = match DirectoryReport::of(&mut disk) {
        Ok(report) => report,
        Err(OpenError::Failed(error)) => {
            return Err(CommandError::new(Exit::Negative, format!("{place}: {error}")));
        }
        Err(error) => return Err(invalid(&error)),
    };
    let listed = match flags.entries {
        None => Vec::new(),
        Some(first) => entries::list(&mut disk, &mut report.inspection, first, flags.limit),
    };
    if json {
        print(&report.json(&listed).to_string())?;
    } else {
        let lines = listed.iter().map(|entry| format!("{entry}\n"));
        print(&format!("{report}{}", lines.collect::<String>()))?;
    }
    Ok(if report.is_intact() { Exit::Done } else { Exit::Negative })
}
