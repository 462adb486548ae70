//! Reads the recording of a running node for its administrators, part by part, from the files, so
//! that the node is not delayed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex as SyncMutex;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::runtime::lock::lock;
use crate::runtime::origin::Origin;
use crate::runtime::recording::{file_name, number_of};
use crate::runtime::request::RecordingPart;
use crate::storage::open_own_file;

/// The maximum size of a part, in bytes.
const PART_BYTES: u64 = 256 << 10;

/// The maximum number of bytes that the node sends in a second, to all administrators together.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// The longest pause between two parts of one reading. A part after a longer pause has a line
/// of its own in the audit log.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The interval after which a cause for which reads fail is logged again.
const FAILURES_INTERVAL: Duration = Duration::from_secs(60);

/// The reader of a recording. The thread that writes the files does not know of it.
#[derive(Debug)]
pub(super) struct RecordingReader {
    directory: PathBuf,
    /// The time before which no further part is read.
    next_at: Mutex<Instant>,
    /// The last part that each remote requested: the file and the time.
    last: SyncMutex<BTreeMap<Origin, (u64, Instant)>>,
    failures: SyncMutex<ReadFailures>,
}

/// The failed reads since the last one that succeeded. Each cause has one line in the log at once,
/// and one in each [`FAILURES_INTERVAL`] with the number of further failures.
#[derive(Debug, Default)]
struct ReadFailures {
    causes: BTreeMap<String, (Instant, u64)>,
}

impl RecordingReader {
    /// Returns a reader of the files in this directory.
    pub(super) fn of(directory: &Path) -> RecordingReader {
        RecordingReader {
            directory: directory.to_owned(),
            next_at: Mutex::new(Instant::now()),
            last: SyncMutex::default(),
            failures: SyncMutex::default(),
        }
    }

    /// Records that a part is requested. Returns true if the same remote has just requested another
    /// part of the file, and reads on.
    pub(super) fn continues(&self, origin: &Origin, file: u64, offset: u64) -> bool {
        let mut last = lock(&self.last);
        last.retain(|_, (_, at)| at.elapsed() <= PAUSE_MAX);
        let before = last.insert(origin.clone(), (file, Instant::now()));
        offset > 0 && before.is_some_and(|(of, _)| of == file)
    }

    /// Returns the part from this file and offset on, after a pause if the parts before it were
    /// large or could not be read; `None` if there is no recording, or it cannot be read. One part
    /// is read at a time.
    pub(super) async fn part(&self, file: u64, offset: u64) -> Option<RecordingPart> {
        let mut next_at = self.next_at.lock().await;
        sleep_until(*next_at).await;
        let directory = self.directory.clone();
        let read = spawn_blocking(move || read_part(&directory, file, offset)).await;
        let part = read.map_err(io::Error::other).and_then(|part| part);
        let part = self.log_failure(part);
        let bytes = part.as_ref().map_or(PART_BYTES, |part| part.bytes.len() as u64);
        *next_at = Instant::now() + Duration::from_nanos(bytes * 1_000_000_000 / BYTES_PER_SECOND);
        part
    }
}

impl RecordingReader {
    /// Returns the part, or `None` if it could not be read. Logs the failure if its cause is new,
    /// and once if the reads succeed again.
    fn log_failure(&self, part: io::Result<Option<RecordingPart>>) -> Option<RecordingPart> {
        let (directory, mut failures) = (self.directory.display(), lock(&self.failures));
        match part {
            Ok(part) => {
                let further = failures.end();
                if let Some(further) = further {
                    info!(
                        %directory, further,
                        "over: an administrator could not read the recording"
                    );
                }
                part
            }
            Err(error) => {
                if let Some(further) = failures.count(&error) {
                    warn!(
                        %directory, %error, further,
                        "an administrator cannot read the recording"
                    );
                }
                None
            }
        }
    }
}

impl ReadFailures {
    /// Counts a failure. Returns the number of failures of this cause since its last line, if it
    /// has another one now.
    fn count(&mut self, error: &io::Error) -> Option<u64> {
        let now = Instant::now();
        // The text may name one file of many.
        let cause = format!("{:?}", error.kind());
        let Some((logged_at, further)) = self.causes.get_mut(&cause) else {
            self.causes.insert(cause, (now, 0));
            return Some(0);
        };
        if now < *logged_at + FAILURES_INTERVAL {
            *further += 1;
            return None;
        }
        *logged_at = now;
        Some(std::mem::take(further))
    }

    /// Forgets the causes, because a read has succeeded. Returns the number of failures without a
    /// line of their own, if any read has failed.
    fn end(&mut self) -> Option<u64> {
        let causes = std::mem::take(&mut self.causes);
        (!causes.is_empty()).then(|| causes.values().map(|(_, further)| further).sum())
    }
}

/// Reads a part of the file, or of the next one if the node has removed it; `None` if there is no
/// file.
fn read_part(directory: &Path, file: u64, offset: u64) -> io::Result<Option<RecordingPart>> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        numbers.extend(number_of(&entry?.path()));
    }
    let Some(newest) = numbers.last().copied() else { return Ok(None) };
    for number in numbers.range(file..).copied() {
        let offset = if number == file { offset } else { 0 };
        let path = directory.join(file_name(number));
        let mut open = match open_own_file(&path) {
            // The node has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            open => open.map_err(|error| with_path(&path, &error))?,
        };
        let mut bytes = Vec::new();
        // A file system may permit no seek to an offset far beyond the end.
        if offset < open.metadata()?.len() {
            open.seek(SeekFrom::Start(offset))?;
            open.take(PART_BYTES).read_to_end(&mut bytes)?;
        }
        return Ok(Some(RecordingPart { file: number, offset, newest, bytes }));
    }
    Ok(Some(RecordingPart { file, offset, newest, bytes: Vec::new() }))
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a directory with these files of a ring, which have these sizes.
    fn ring(files: &[(u64, u64)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("there is room");
        for (number, bytes) in files {
            let path = root.path().join(file_name(*number));
            fs::write(path, vec![*number as u8; *bytes as usize]).expect("there is room");
        }
        fs::write(root.path().join("notes"), "of an operator").expect("there is room");
        root
    }

    #[test]
    fn the_parts_of_a_ring_are_its_files_although_the_oldest_are_removed_meanwhile() {
        let root = ring(&[(3, PART_BYTES + 7), (4, 5), (5, 1)]);
        let part = |file, offset| {
            let part = read_part(root.path(), file, offset).expect("it can be read");
            let RecordingPart { file, offset, newest, bytes } = part.expect("there are files");
            assert_eq!(newest, 5);
            assert!(bytes.iter().all(|byte| u64::from(*byte) == file));
            (file, offset, bytes.len() as u64)
        };
        assert_eq!(part(0, 9), (3, 0, PART_BYTES), "the oldest file, from its beginning");
        assert_eq!(part(3, PART_BYTES), (3, PART_BYTES, 7));
        assert_eq!(part(3, PART_BYTES + 7), (3, PART_BYTES + 7, 0), "the end of the file");
        fs::remove_file(root.path().join(file_name(3))).expect("it is there");
        assert_eq!(part(3, PART_BYTES), (4, 0, 5));
        for beyond in [2, u64::MAX] {
            assert_eq!(part(5, beyond), (5, beyond, 0), "beyond the end");
        }
        assert_eq!(part(6, 0), (6, 0, 0));
        let empty = ring(&[]);
        assert_eq!(read_part(empty.path(), 0, 0).expect("it can be read"), None);
        assert!(read_part(&empty.path().join("none"), 0, 0).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_a_file_is_not_read() {
        let root = ring(&[(3, 5)]);
        let secret = root.path().join("notes");
        std::os::unix::fs::symlink(secret, root.path().join(file_name(4))).expect("there is room");
        let error = read_part(root.path(), 4, 0).expect_err("it is a link").to_string();
        assert!(error.ends_with(".qrec: it is not a regular file"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_are_paced_for_all_remotes_together() {
        let root = ring(&[(1, 4 * PART_BYTES)]);
        let reader = RecordingReader::of(root.path());
        let begun_at = Instant::now();
        for part in 0..4 {
            let read = tokio::join!(reader.part(1, part * PART_BYTES), reader.part(1, 0));
            assert!(read.0.is_some() && read.1.is_some());
        }
        let missing = RecordingReader::of(&root.path().join("none"));
        for _ in 0..8 {
            assert_eq!(missing.part(1, 0).await, None);
        }
        let paced = Duration::from_nanos(14 * PART_BYTES * 1_000_000_000 / BYTES_PER_SECOND);
        assert!(begun_at.elapsed() >= paced, "{:?}", begun_at.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_continues_in_the_same_file_for_the_same_remote_without_a_long_pause() {
        let origin = |last| Origin::new(None, [127, 0, 0, last].into());
        let reader = RecordingReader::of(Path::new("none"));
        assert!(!reader.continues(&origin(1), 3, 0), "the first part");
        assert!(reader.continues(&origin(1), 3, PART_BYTES));
        assert!(!reader.continues(&origin(1), 4, 0), "the next file");
        assert!(!reader.continues(&origin(1), 4, 0), "the same part again");
        assert!(!reader.continues(&origin(2), 4, 7), "another remote");
        tokio::time::advance(PAUSE_MAX * 2).await;
        assert!(!reader.continues(&origin(2), 4, 8), "after a long pause");
        assert!(reader.continues(&origin(2), 4, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn each_cause_of_failed_reads_has_one_line_and_a_count() {
        let (denied, gone) = (io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound);
        let mut failures = ReadFailures::default();
        let mut lines = |kind: io::ErrorKind, times| {
            let counted = (0..times).filter_map(|_| failures.count(&kind.into()));
            counted.collect::<Vec<u64>>()
        };
        assert_eq!(lines(denied, 1000), [0]);
        assert_eq!(lines(gone, 10), [0]);
        tokio::time::advance(FAILURES_INTERVAL).await;
        assert_eq!(lines(denied, 10), [999], "the cause lasts");
        assert_eq!(failures.end(), Some(9 + 9));
        assert_eq!(failures.end(), None);
        assert_eq!(failures.count(&denied.into()), Some(0), "it fails again");
    }
}
