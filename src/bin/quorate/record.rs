//! `quorate record`: copies the recording of a data directory to a file, even while the node runs.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use quorate::recording::{EXTENSION, FOLDER, IntactPart, RecordingErrorReason};
use serde_json::json;

use crate::atomic_file::AtomicFile;
use crate::data_directory::reject_within;
use crate::exit::{CommandError, Exit, warn};
use crate::output::report;
use crate::values::Span;

/// The flags of `record`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecordFlags {
    /// Data directory of the node, which may be running
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Copy only the files with records from this much time before the end of the recording, like
    /// 5min
    #[arg(long, value_name = "TIME")]
    last: Option<Span>,
    /// File to write; an existing file is replaced once the copy is complete
    file: PathBuf,
}

const AFTER_HELP: &str = "\
Examples:
  quorate record --data-dir d1 n1.qrec
  quorate record --data-dir d1 --last 5min n1.qrec
  cargo sim replay n1.qrec n2.qrec n3.qrec

The node records only with `serve --recording-size`. Every file of the recording is copied up to its
first damaged block. `cargo sim replay` runs in a checkout of quorate (docs/RECORDING.md). Exit code
1: a block was damaged; the copy lacks that block, and the rest of its file.";

/// The longest time between the first record of a block and its last one, on a node that takes
/// steps: the block delay of the recorder, and a margin for a slow machine.
const BLOCK_TIME: Duration = Duration::from_secs(5);

/// One open file of the recording. The node may remove it meanwhile, and append to it.
struct OpenFile {
    path: PathBuf,
    file: File,
    intact: IntactPart,
}

pub(crate) fn run(flags: &RecordFlags, json: bool) -> Result<Exit, CommandError> {
    let directory = flags.data_dir.join(FOLDER);
    let place = directory.display();
    let invalid = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CommandError::invalid_input(format!(
            "{place}: no recording, which a node has with `serve --recording-size 64MiB`"
        )),
        _ => CommandError::invalid_input(format!("{place}: {error}")),
    };
    let mut files = open(&directory).map_err(invalid)?;
    if files.is_empty() {
        return Err(invalid(io::ErrorKind::NotFound.into()));
    }
    let found = files.len();
    if let Some(Span(last)) = flags.last {
        keep_last(&mut files, last);
    }
    let with_path = |error: io::Error| {
        CommandError::invalid_input(format!("{}: {error}", flags.file.display()))
    };
    reject_within(&flags.file)?;
    let bytes = write(&mut files, &flags.file).map_err(with_path)?;
    let damage: Vec<String> = files.iter().filter_map(OpenFile::damage).collect();
    damage.iter().for_each(|line| warn(json, line));
    let (copied, file) = (files.len(), flags.file.display());
    report(
        json,
        &match json {
            true => json!({
                "files": copied, "files_found": found, "bytes": bytes, "damaged": damage,
            })
            .to_string(),
            false => format!("{file}: {copied} of {found} files, {bytes} bytes"),
        },
    );
    Ok(if damage.is_empty() { Exit::Done } else { Exit::Negative })
}

/// Opens the files of a recording, oldest first, and reads what is intact. All of them are open
/// before the first is read, because a running node removes the oldest.
fn open(directory: &Path) -> io::Result<Vec<OpenFile>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut files = Vec::new();
    for path in paths {
        match File::open(&path) {
            Ok(file) => files.push(OpenFile { path, file, intact: IntactPart::default() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for OpenFile { file, intact, .. } in &mut files {
        *intact = IntactPart::of(BufReader::new(&*file));
    }
    Ok(files)
}

/// Drops the files that end earlier than `last` before the end of the recording. A file without a
/// time is kept.
fn keep_last(files: &mut Vec<OpenFile>, last: Duration) {
    // The clock may have been set back, so an earlier file has a later time.
    let end = files.iter().rev().find_map(OpenFile::end).unwrap_or_default();
    let until = BLOCK_TIME.saturating_add(last);
    files.retain(|file| file.end().is_none_or(|it| it.saturating_add(until) >= end));
}

/// Writes the intact part of each file, one after the other; returns the number of bytes.
fn write(files: &mut [OpenFile], target: &Path) -> io::Result<u64> {
    let output = AtomicFile::create(target)?;
    let mut bytes = 0;
    for OpenFile { file, intact, .. } in files {
        file.rewind()?;
        bytes += io::copy(&mut file.take(intact.bytes), &mut output.file())?;
    }
    output.commit()?;
    Ok(bytes)
}

impl OpenFile {
    /// The time of the file's last block since the Unix epoch, if the recording has the wall time.
    fn end(&self) -> Option<Duration> {
        let unix_time = self.intact.header.as_ref()?.unix_time?;
        Some(unix_time.saturating_add(Duration::from_nanos(self.intact.last?.0)))
    }

    /// The damage that ends the intact part. The last block of a killed or running node may be
    /// incomplete, which is not damage.
    fn damage(&self) -> Option<String> {
        let error = self.intact.error.as_ref()?;
        let is_cut = matches!(error.reason, RecordingErrorReason::Cut { .. });
        (!is_cut).then(|| format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use quorate::recording::{FORMAT, Header, LAYOUT};
    use quorate::types::{Instant, NodeId};

    use super::*;

    /// Returns a file whose last block was recorded this many seconds after the Unix epoch; none if
    /// the recording has no wall time.
    fn file(end: Option<u64>) -> OpenFile {
        let header = Header {
            layout: LAYOUT,
            version: FORMAT.to_string(),
            cluster: 1,
            node: NodeId(1),
            start: 1,
            first_record: 0,
            keeps_commands: true,
            unix_time: end.map(|end| Duration::from_secs(end - 7)),
        };
        let last = Some(Instant::ZERO.after(Duration::from_secs(7)));
        let intact = IntactPart { header: Some(header), last, ..IntactPart::default() };
        let file = tempfile::tempfile().expect("a temporary file can be created");
        OpenFile { path: PathBuf::from("1.qrec"), file, intact }
    }

    /// Returns the ends of the files that are kept.
    fn kept(ends: &[Option<u64>], last: u64) -> Vec<Option<u64>> {
        let mut files: Vec<OpenFile> = ends.iter().map(|end| file(*end)).collect();
        keep_last(&mut files, Duration::from_secs(last));
        files.iter().map(|file| file.end().map(|end| end.as_secs())).collect()
    }

    #[test]
    fn only_files_with_the_last_time_are_kept() {
        let block = BLOCK_TIME.as_secs();
        let (early, end) = (1000, 2000);
        let first = Some(end - 60 - block);
        let ends = [Some(early), first.map(|first| first - 1), first, None, Some(end)];
        assert_eq!(kept(&ends, 60), [first, None, Some(end)]);
        assert_eq!(kept(&ends, end), ends, "all of it");
        let set_back = [Some(end + 500), Some(early), Some(end)];
        assert_eq!(kept(&set_back, 60), [Some(end + 500), Some(end)], "the last file ends it");
    }
}
