//! Reads the files of a member's recording part by part, and only those that a selection needs.

use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::Duration;

use quorate::recording::{IntactPart, RecordingErrorReason};
use quorate::runtime::RecordingPart;
use quorate::types::NodeId;

use crate::exit::{CommandError, CommandResult, Exit};
use crate::record::copy::{OpenFile, Recording};
use crate::record::selection::{Selection, TimeRange};

/// The files of the recording of a node, which sends them by their numbers.
pub(super) struct RemoteFiles<'a, P> {
    /// Requests the part from this file and offset on.
    request: P,
    node: NodeId,
    /// The directory of the files without a name into which the parts are written.
    out: &'a Path,
}

/// The files that were read, and a line for each file, or range of files, that the node removed
/// meanwhile.
#[derive(Default)]
struct ReadFiles {
    files: Vec<OpenFile>,
    removed: Vec<String>,
}

impl<'a, P> RemoteFiles<'a, P>
where
    P: AsyncFn(u64, u64) -> CommandResult<RecordingPart>,
{
    pub(super) fn new(request: P, node: NodeId, out: &'a Path) -> RemoteFiles<'a, P> {
        RemoteFiles { request, node, out }
    }

    /// Reads the files that may have records of the selection, up to the file that is the newest
    /// at the beginning. Files that the node removes meanwhile are left out, and named.
    pub(super) async fn read(&self, selection: &Selection) -> CommandResult<Recording> {
        let oldest = self.part(0, 0).await?;
        let found = oldest.newest.saturating_sub(oldest.file).saturating_add(1);
        let ReadFiles { files, removed } = match selection.is_everything() {
            true => self.all(oldest).await?,
            false => self.selected(oldest, selection).await?,
        };
        let found = usize::try_from(found).unwrap_or(usize::MAX).max(files.len());
        Ok(Recording::of(files, found, removed))
    }

    /// Reads all files, oldest first, because the node removes the oldest meanwhile.
    async fn all(&self, oldest: RecordingPart) -> CommandResult<ReadFiles> {
        let (mut number, newest, mut next) = (oldest.file, oldest.newest, Some(oldest));
        let mut read = ReadFiles::default();
        loop {
            let part = match next.take() {
                Some(part) => part,
                None => self.part(number, 0).await?,
            };
            if part.file > number {
                read.removed.push(self.removed(number, newest.min(part.file - 1)));
                number = part.file;
            }
            if number > newest {
                return Ok(read);
            }
            next = self.rest(part, &mut read).await?;
            match number.checked_add(1).filter(|number| *number <= newest) {
                Some(following) => number = following,
                None => return Ok(read),
            }
        }
    }

    /// Reads the selected files, newest first: the end of the newest one is that of the recording,
    /// and the beginning of each is the end of the one before it. Of a file that is not selected
    /// only the beginning is read.
    async fn selected(
        &self,
        oldest: RecordingPart,
        selection: &Selection,
    ) -> CommandResult<ReadFiles> {
        let (mut read, mut range) = (ReadFiles::default(), None::<TimeRange>);
        for number in (oldest.file..=oldest.newest).rev() {
            let part = match number == oldest.file {
                true => oldest.clone(),
                false => self.part(number, 0).await?,
            };
            if part.file != number {
                // The node has removed the file, and all before it.
                read.removed.push(self.removed(oldest.file, number));
                break;
            }
            if let Some(range) = range {
                let begin = self.begin(&part).await?;
                if begin.is_some_and(|begin| range.ends_before(begin)) {
                    continue;
                }
            }
            self.rest(part, &mut read).await?;
            let times = read.files.last().map(OpenFile::times).unwrap_or_default();
            range = range.or_else(|| times.last_block.map(|end| selection.range(end)));
            if range.zip(times.begin).is_some_and(|(range, begin)| range.begins_after(begin)) {
                break;
            }
        }
        read.files.reverse();
        Ok(read)
    }

    /// Returns the time of the first record of a file, as its first part has it. If the first part
    /// ends before that record, returns the time of the first record after the block in which the
    /// part ends.
    async fn begin(&self, first: &RecordingPart) -> CommandResult<Option<Duration>> {
        let intact = IntactPart::of(&first.bytes[..]);
        let Some(RecordingErrorReason::Cut { missing }) =
            intact.error.map(|error| error.reason).filter(|_| intact.begin.is_none())
        else {
            return Ok(intact.begin);
        };
        let next = (first.bytes.len() as u64).saturating_add(missing);
        let after = self.part(first.file, next).await?;
        if after.file != first.file {
            return Ok(None);
        }
        // The blocks before the checkpoint, and those after it.
        let before = usize::try_from(intact.bytes).ok().and_then(|end| first.bytes.get(..end));
        let bytes = [before.unwrap_or_default(), &after.bytes[..]].concat();
        Ok(IntactPart::of(&bytes[..]).begin)
    }

    /// Reads a file whose first part is given. If the node removes the file meanwhile, keeps what
    /// was read, and returns the beginning of a later file.
    async fn rest(
        &self,
        first: RecordingPart,
        read: &mut ReadFiles,
    ) -> CommandResult<Option<RecordingPart>> {
        let (number, mut part) = (first.file, first);
        let mut into = tempfile::tempfile_in(self.out).map_err(|error| self.with_path(&error))?;
        while part.file == number && !part.bytes.is_empty() {
            into.write_all(&part.bytes).map_err(|error| self.with_path(&error))?;
            let next = part.offset.saturating_add(part.bytes.len() as u64);
            part = self.part(number, next).await?;
        }
        let name = format!("file {number} of the recording of {}", self.node);
        let later = (part.file != number).then_some(part);
        if later.is_some() {
            let bytes = into.stream_position().map_err(|error| self.with_path(&error))?;
            read.removed.push(format!(
                "{name}: the node has removed it meanwhile, and only its first {bytes} bytes were \
                 read"
            ));
        }
        read.files.push(OpenFile::new(name, into).map_err(|error| self.with_path(&error))?);
        Ok(later)
    }

    /// The line about files that the node has removed before they were read.
    fn removed(&self, first: u64, last: u64) -> String {
        let node = self.node;
        match first == last {
            true => format!("file {first} of the recording of {node}: the node has removed it"),
            false => format!(
                "files {first} to {last} of the recording of {node}: the node has removed them"
            ),
        }
    }

    /// Returns the requested part, or the beginning of a later file if this one was removed.
    async fn part(&self, file: u64, offset: u64) -> CommandResult<RecordingPart> {
        let part = (self.request)(file, offset).await?;
        let expected = if part.file == file { offset } else { 0 };
        if part.file < file || part.offset != expected {
            let text = "the node has sent another part of its recording than the requested one";
            return Err(CommandError::new(Exit::Unknown, text));
        }
        Ok(part)
    }

    fn with_path(&self, error: &io::Error) -> CommandError {
        CommandError::invalid_input(format!("{}: {error}", self.out.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use quorate::raft::{Config, Input, Raft};
    use quorate::recording::{Recorded, RecorderConfig};
    use quorate::types::{Instant, Membership, Restored};

    use super::*;
    use crate::record::copy::Copied;
    use crate::record::selection::tests::{around, last};

    /// The time of the first record, in seconds: 1970-01-02T00:00:00.
    const START: u64 = 86_400;
    /// The time that each file covers, in seconds.
    const FILE: u64 = 300;
    /// The size of a part: less than a checkpoint has.
    const PART: usize = 200;

    /// The files of a ring, from number 1, and the requests for their parts.
    struct Ring {
        files: Vec<Vec<u8>>,
        requests: RefCell<Vec<(u64, u64)>>,
        /// Each removal: the number of requests before it, and how many of the oldest files are
        /// missing from then on.
        removals: Vec<(usize, u64)>,
    }

    impl Ring {
        /// Returns a ring of files with a record every ten seconds.
        fn new(count: u64) -> Ring {
            let restored = Restored::fresh(Membership::new([NodeId(1)]));
            let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
            let config = RecorderConfig {
                unix_time: Some(Duration::from_secs(START)),
                block_delay: Duration::from_secs(5),
                ..RecorderConfig::default()
            };
            let mut raft = Recorded::new(raft.expect("a valid start"), config);
            let mut files: Vec<Vec<u8>> = Vec::new();
            for second in (0..count * FILE).step_by(10) {
                if second % FILE == 0 {
                    raft.recorder().finish_block();
                    raft.recorder().on_dropped_block();
                }
                let now = Instant(second * 1_000_000_000);
                raft.step(now, Input::Timeout, &mut Vec::new());
                while let Some(block) = raft.recorder().next_block() {
                    if block.begins_segment() {
                        files.push(Vec::new());
                    }
                    files.last_mut().expect("a segment").extend_from_slice(block.bytes());
                }
            }
            assert_eq!(files.len() as u64, count);
            Ring { files, requests: RefCell::default(), removals: Vec::new() }
        }

        async fn part(&self, file: u64, offset: u64) -> CommandResult<RecordingPart> {
            self.requests.borrow_mut().push((file, offset));
            let newest = self.files.len() as u64;
            let requests = self.requests.borrow().len();
            let removed = self.removals.iter().rfind(|(after, _)| requests > *after);
            let oldest = removed.map_or(0, |(_, removed)| *removed) + 1;
            let (file, offset) = if file < oldest { (oldest, 0) } else { (file, offset) };
            let content = &self.files[file as usize - 1];
            let from = content.len().min(offset as usize);
            let bytes = content[from..content.len().min(from + PART)].to_vec();
            Ok(RecordingPart { file, offset, newest, bytes })
        }

        /// Reads the selection; returns the bytes that were copied, and the requested files with
        /// the number of their parts, in the order of their first request.
        fn read(&self, selection: &Selection) -> (Vec<u8>, Vec<(u64, usize)>) {
            let (copied, bytes) = self.copy(selection);
            assert_eq!(copied.removed, Vec::<String>::new());
            let mut parts: Vec<(u64, usize)> = Vec::new();
            for (file, _) in self.requests.borrow().iter() {
                match parts.iter_mut().find(|(of, _)| of == file) {
                    Some((_, count)) => *count += 1,
                    None => parts.push((*file, 1)),
                }
            }
            (bytes, parts)
        }

        /// Copies the selection; returns what was copied, and its bytes.
        fn copy(&self, selection: &Selection) -> (Copied, Vec<u8>) {
            self.requests.borrow_mut().clear();
            let out = tempfile::tempdir().expect("a directory");
            let request = async |file, offset| self.part(file, offset).await;
            let files = RemoteFiles::new(request, NodeId(1), out.path());
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let read = runtime.expect("a runtime").block_on(files.read(selection));
            let file = out.path().join("n1.qrec");
            let copied = read.and_then(|recording| recording.write(&file, selection));
            let copied = copied.unwrap_or_else(|error| panic!("{error:?}"));
            let text = copied.text();
            assert!(text.contains(&format!("of {} files", self.files.len())), "{text}");
            (copied, std::fs::read(file).expect("it was written"))
        }
    }

    #[test]
    fn with_last_only_the_files_of_that_time_are_requested() {
        let ring = Ring::new(6);
        let (copied, parts) = ring.read(&last(60));
        assert_eq!(copied, ring.files[5]);
        assert_eq!(parts.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0, 6]);
        // The last record of file 6 is ten seconds before its end.
        let (copied, parts) = ring.read(&last(2 * FILE));
        assert_eq!(copied, ring.files[3..].concat());
        assert_eq!(parts.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0, 6, 5, 4]);
        let (copied, _) = ring.read(&last(100 * FILE));
        assert_eq!(copied, ring.files.concat(), "all of it");
        let (copied, parts) = ring.read(&Selection::default());
        assert_eq!(copied, ring.files.concat(), "all of it");
        assert_eq!(parts.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn only_the_files_around_a_time_are_requested_and_of_later_ones_the_beginning() {
        let ring = Ring::new(6);
        // In the middle of file 3, and at its end.
        let (copied, parts) = ring.read(&around("1970-01-02T00:12:30"));
        assert_eq!(copied, ring.files[2]);
        let of = |parts: &[(u64, usize)], number| {
            parts.iter().find(|(file, _)| *file == number).map(|(_, count)| *count)
        };
        // One part from the beginning, and one after the checkpoint.
        assert_eq!((of(&parts, 5), of(&parts, 4)), (Some(2), Some(2)), "{parts:?}");
        assert!(of(&parts, 3).is_some_and(|count| count > 2), "{parts:?}");
        assert_eq!((of(&parts, 2), of(&parts, 1)), (None, None), "{parts:?}");
        let (copied, parts) = ring.read(&around("00:15:00"));
        assert_eq!(copied, ring.files[2..4].concat());
        assert_eq!((of(&parts, 2), of(&parts, 1)), (None, None), "{parts:?}");
    }

    /// The line about a file of which the first bytes were read.
    fn partly(file: u64, bytes: usize) -> String {
        format!(
            "file {file} of the recording of n1: the node has removed it meanwhile, and only its \
             first {bytes} bytes were read"
        )
    }

    #[test]
    fn files_that_the_node_removes_meanwhile_are_named_and_the_others_are_copied() {
        // The node removes three files while the first one is read, and one between two others.
        let parts = |file: &Vec<u8>| file.len().div_ceil(PART) + 1;
        let mut ring = Ring::new(7);
        let until_five = 2 + parts(&ring.files[3]);
        ring.removals = vec![(2, 3), (until_five, 5)];
        let (copied, bytes) = ring.copy(&Selection::default());
        let files_two_and_three =
            "files 2 to 3 of the recording of n1: the node has removed them".to_owned();
        let file_five = "file 5 of the recording of n1: the node has removed it".to_owned();
        assert_eq!(copied.removed, [partly(1, 2 * PART), files_two_and_three, file_five]);
        assert!(bytes.ends_with(&[&ring.files[3][..], &ring.files[5], &ring.files[6]].concat()));
        assert!(copied.text().contains("4 of 7 files"), "{}", copied.text());
    }

    #[test]
    fn files_that_the_node_has_removed_end_the_search() {
        let mut ring = Ring::new(6);
        ring.removals = vec![(1, 4)];
        let (copied, bytes) = ring.copy(&last(10 * FILE));
        assert_eq!(bytes, ring.files[4..].concat());
        let lines = ["files 1 to 4 of the recording of n1: the node has removed them"];
        assert_eq!(copied.removed, lines);
        // The beginning of the oldest file was read before the node removed it.
        ring.removals.clear();
        assert_eq!(ring.copy(&last(10 * FILE)).1, ring.files.concat());
        ring.removals = vec![(ring.requests.borrow().len() - 2, 1)];
        let (copied, bytes) = ring.copy(&last(10 * FILE));
        assert!(bytes.ends_with(&ring.files[1..].concat()));
        let [line] = &copied.removed[..] else { panic!("{copied:?}") };
        assert!(line.starts_with("file 1 ") && line.ends_with("bytes were read"), "{line}");
    }
}
