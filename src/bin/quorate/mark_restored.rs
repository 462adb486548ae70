//! `quorate mark-restored`: records that a data directory was replaced by an older copy of itself.

use std::path::PathBuf;

use clap::Args;
use quorate::replica::{OpenError, make_uncertain};
use quorate::storage::{self, FileDisk, StorageConfig};
use serde_json::json;

use crate::data_directory::{open_error, require_directory};
use crate::exit::{CommandError, CommandResult, Exit};
use crate::output::report;

/// The flags of `mark-restored`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct MarkRestoredFlags {
    /// Data directory that was replaced by an older copy; its node must not be running
    directory: PathBuf,
}

const AFTER_HELP: &str = "\
Run this before the node starts on the older copy:
  cp -a d1-of-yesterday d1
  quorate mark-restored d1
  quorate serve --data-dir d1

The copy lacks the entries that the node acknowledged after the copy was made. The mark is durable:
the node starts uncertain. It counts in no quorum until a leader has checked its log, and takes the
missing entries from the other members. Without the mark the node's vote may help to elect a leader
that lacks acknowledged entries. If a majority of the nodes start on older copies, acknowledged
entries may be lost, with or without marks.

Exit code 5: in the copy the node alone is a quorum (it is the only voter, or the one of two voters
that has the casting vote), so no other member can check its log.";

pub(crate) fn run(flags: &MarkRestoredFlags, json: bool) -> CommandResult {
    let place = flags.directory.display();
    let failed = |exit: Exit, text: &dyn std::fmt::Display| {
        CommandError::new(exit, format!("{place}: {text}"))
    };
    require_directory(&flags.directory)?;
    // `FileDisk::open` creates a lock file, so the identity is read first: the directory must be a
    // node's.
    let mut reader =
        FileDisk::open_read_only(&flags.directory).map_err(|error| open_error(&error))?;
    storage::Inspection::identity(&mut reader)
        .map_err(|error| failed(Exit::InvalidInput, &error))?;
    drop(reader);
    let mut disk = FileDisk::open(&flags.directory).map_err(|error| open_error(&error))?;
    let opened = make_uncertain(&mut disk, &StorageConfig::default()).map_err(|error| {
        let exit = match &error {
            OpenError::SoleVoter => return failed(Exit::Rejected, &SOLE_VOTER),
            OpenError::Storage(storage::OpenError::Failed(_)) => Exit::Negative,
            _ => Exit::InvalidInput,
        };
        failed(exit, &error)
    })?;
    let (node, last) = (opened.identity.node, opened.last.index);
    let text = match json {
        true => json!({ "node": node.0, "last": last.0, "is_uncertain": true }).to_string(),
        false => format!(
            "{node} is marked as uncertain: this copy of its log ends at entry {last}. Start the \
             node with quorate serve; a leader checks its log, and the node takes the later \
             entries from the other members"
        ),
    };
    report(json, &text);
    Ok(Exit::Done)
}

const SOLE_VOTER: &str = "\
     nothing was changed: in this copy the node alone is a quorum, so no other member can check \
     its log. If the cluster has other voters, do not start the node on this copy, because entries \
     that only they have would be lost: while they have a quorum, empty the directory and replace \
     the node (quorate members replace); otherwise create a new cluster from the directory of \
     another voter (docs/RECOVERY.md). If there are no other voters, the entries that the node \
     acknowledged after the copy was made are lost: to go on without them, start the node with \
     quorate serve";
