//! `quorate record`: copies the recordings of nodes to files, even while the nodes run: that of a
//! data directory, or over the network those of a cluster.

mod copy;
mod remote;
mod remote_files;
mod selection;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recording::FOLDER;

use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult, Exit, warn};
use crate::output::report;
use crate::record::copy::Recording;
use crate::record::selection::Selection;
use crate::values::parse_id;

/// The flags of `record`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecordFlags {
    /// Data directory of a node on this machine, which may be running
    #[arg(long, value_name = "DIR", requires = "file", required_unless_present = "out")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// File to write; an existing file is replaced once the copy is complete
    #[arg(requires = "data_dir")]
    file: Option<PathBuf>,
    /// Request the recordings of the members of a cluster, and write them to DIR/n1.qrec,
    /// DIR/n2.qrec, …; for administrators
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    out: Option<PathBuf>,
    /// Ids of the members to request [default: all]
    #[arg(long, value_name = "ID", value_delimiter = ',', requires = "out",
        value_parser = parse_id)]
    members: Vec<u64>,
    #[command(flatten)]
    client: ClientFlags,
}

const AFTER_HELP: &str = "\
Examples:
  quorate record --data-dir d1 n1.qrec
  quorate record --data-dir d1 --last 5min n1.qrec
  quorate record --data-dir d1 --around 07:18:58 n1.qrec
  quorate record --out recordings --nodes 10.0.0.1:7101,10.0.0.2:7101
  cargo sim replay n1.qrec n2.qrec n3.qrec

Every file of the recording is copied up to its first damaged block. With --out and one of --last
and --around, the node sends the files of that time, and only the beginning of the others. A node
with `serve --recording-size 0`, or whose recording has ended because its disk was full, has none.
`cargo sim replay` runs in a checkout of quorate (docs/RECORDING.md). Exit code 1: a block was
damaged, so the copy lacks this block and the rest of its file; or the recording of one of the
members could not be copied. A node removes the oldest files of its recording: one that it removes
meanwhile is named, and the others are copied.";

pub(crate) fn run(flags: &RecordFlags, json: bool) -> CommandResult {
    let selection = &flags.selection;
    match (&flags.data_dir, &flags.file, &flags.out) {
        (Some(data_dir), Some(file), _) => copy_directory(data_dir, file, selection, json),
        (_, _, Some(out)) => remote::run(&flags.client, &flags.members, out, selection, json),
        _ => unreachable!("clap requires --data-dir with a file, or --out"),
    }
}

/// Copies the recording of this data directory to the file.
fn copy_directory(
    data_dir: &Path,
    file: &Path,
    selection: &Selection,
    json: bool,
) -> CommandResult {
    let directory = data_dir.join(FOLDER);
    let place = directory.display();
    let invalid = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CommandError::invalid_input(format!(
            "{place}: no recording, which a node has unless `serve` has `--recording-size 0`"
        )),
        _ => CommandError::invalid_input(format!("{place}: {error}")),
    };
    let recording = Recording::open(&directory).map_err(invalid)?;
    if recording.is_empty() {
        return Err(invalid(io::ErrorKind::NotFound.into()));
    }
    let copied = recording.write(file, selection)?;
    copied.damaged.iter().chain(&copied.removed).for_each(|line| warn(json, line));
    report(json, &if json { copied.json().to_string() } else { copied.text() });
    Ok(if copied.damaged.is_empty() { Exit::Done } else { Exit::Negative })
}
