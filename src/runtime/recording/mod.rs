//! The recording of a node in a bounded ring of files, written by a thread of its own.
//!
//! The driver never waits for the thread. If the queue to it is full, blocks are dropped and
//! counted, and the recording continues with a checkpoint once the queue is empty. If a segment
//! does not fit into the ring, its last blocks are dropped and counted, and the recording continues
//! with the next segment. The first error of the disk ends the recording; the node runs on.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{Span, info, warn};

use crate::recording::{Block, EXTENSION, Recorder, RecorderConfig};
use crate::runtime::clock::unix_time;
use crate::runtime::environment::{Environment, Simulation};
use crate::runtime::lanes::Event;
use crate::runtime::metrics::Counts;
use crate::storage::ClusterId;
use crate::types::Instant;

/// The maximum number of blocks that wait for the thread.
const BLOCKS_MAX: usize = 64;

/// The number of segments in a full ring, if no checkpoint is large.
const SEGMENTS: u64 = 8;

/// Returns the configuration of the recorder of a node whose own clock shows `now`. The recording
/// may have `bytes` in all.
pub(super) fn recorder_config(cluster: ClusterId, bytes: u64, now: Instant) -> RecorderConfig {
    let segment_bytes = usize::try_from(bytes / SEGMENTS).unwrap_or(usize::MAX);
    let defaults = RecorderConfig::default();
    let block_bytes = defaults.block_bytes.min(segment_bytes);
    let whole = usize::try_from(bytes).unwrap_or(usize::MAX);
    let entropy = || Environment::System.entropy() as u64;
    RecorderConfig {
        cluster: cluster.0,
        start: entropy(),
        key: entropy(),
        unix_time: unix_time().checked_sub(Duration::from_nanos(now.0)),
        segment_bytes,
        // Room for the header, and for the last block of a segment, which may exceed the bound.
        segment_bytes_max: whole.saturating_sub(2 * block_bytes),
        block_bytes,
        ..defaults
    }
}

/// The driver's end of the recording.
pub(super) struct RecordingLane {
    sink: BlockSink,
    counts: Arc<Counts>,
    /// Whether blocks are dropped until the queue is empty.
    is_full: bool,
    /// Whether blocks are dropped until a segment begins, because one before them was dropped.
    skips: bool,
}

/// The receiver of the blocks.
enum BlockSink {
    /// Nothing: the node does not record, or its recording has ended.
    Off,
    /// The thread writes them to the ring of files.
    Thread(Sender<Block>),
    /// The simulation in which the node runs takes them.
    Simulation(Arc<dyn Simulation>),
}

impl RecordingLane {
    /// Returns the lane of a node that writes no files. A simulation takes the blocks.
    pub(super) fn without_files(environment: &Environment, counts: Arc<Counts>) -> RecordingLane {
        let sink = match environment.simulation() {
            Some(simulation) => BlockSink::Simulation(Arc::clone(simulation)),
            None => BlockSink::Off,
        };
        RecordingLane { sink, counts, is_full: false, skips: false }
    }

    /// Starts the thread. It drops its clone of `events` when it ends.
    pub(super) fn start(
        ring: RecordingRing,
        counts: Arc<Counts>,
        events: UnboundedSender<Vec<Event>>,
    ) -> io::Result<RecordingLane> {
        let (sender, blocks) = bounded(BLOCKS_MAX);
        let (span, thread_counts) = (Span::current(), Arc::clone(&counts));
        thread::Builder::new().name("quorate-record".to_owned()).spawn(move || {
            let _within = span.entered();
            write_blocks(ring, &blocks, &thread_counts);
            drop((blocks, events));
        })?;
        counts.disk.recording.set(1);
        let sink = BlockSink::Thread(sender);
        Ok(RecordingLane { sink, counts, is_full: false, skips: false })
    }

    /// Queues the finished blocks. Returns false if the recording has ended.
    pub(super) fn take(&mut self, recorder: &mut Recorder) -> bool {
        let sender = match &self.sink {
            BlockSink::Off => return false,
            BlockSink::Thread(sender) => sender,
            BlockSink::Simulation(simulation) => {
                while let Some(block) = recorder.next_block() {
                    simulation.record(&block);
                }
                return true;
            }
        };
        if self.is_full && sender.is_empty() {
            recorder.on_dropped_block();
            (self.is_full, self.skips) = (false, true);
        }
        while let Some(block) = recorder.next_block() {
            self.skips &= !block.begins_segment();
            if self.is_full || self.skips {
                self.counts.disk.recording_dropped.add(1);
                continue;
            }
            match sender.try_send(block) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    self.is_full = true;
                    self.counts.disk.recording_dropped.add(1);
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.sink = BlockSink::Off;
                    return false;
                }
            }
        }
        true
    }
}

/// Writes blocks until the driver is gone or the disk fails.
fn write_blocks(mut ring: RecordingRing, blocks: &Receiver<Block>, counts: &Counts) {
    for block in blocks {
        match ring.write(&block) {
            Ok(Some(bytes)) => counts.disk.recording_bytes.add(bytes),
            Ok(None) => counts.disk.recording_dropped.add(1),
            Err(error) => {
                counts.disk.recording.set(0);
                let directory = ring.directory.display();
                warn!(%directory, %error, "the recording has ended; the node runs without it");
                return;
            }
        }
    }
}

/// A function that returns the free space of a directory's file system, in bytes; `None` if it
/// cannot be found out.
type FreeBytes = Box<dyn Fn(&Path) -> Option<u64> + Send>;

/// A ring of files, each with one segment. The oldest are removed so that all together have a
/// bounded size. While its file system has less free space than that size, the ring grows by one
/// segment at most, so that the free space is left for the log.
pub(super) struct RecordingRing {
    directory: PathBuf,
    bytes_max: u64,
    /// The size that the ring may have at present: `bytes_max`, or one segment more than it had
    /// when the free space was found to be low.
    bytes_now_max: u64,
    free_bytes: FreeBytes,
    /// The number and the size of each file, in ascending order.
    files: VecDeque<(u64, u64)>,
    /// The header of a segment whose checkpoint follows. Both are written together, because an
    /// older file must not be removed for a header whose checkpoint does not fit.
    header: Vec<u8>,
    /// The file of the current segment, the last one; `None` before its checkpoint, and while the
    /// blocks of a segment that does not fit are dropped.
    current: Option<File>,
    /// The reported reasons for which a segment did not fit.
    warned: Vec<&'static str>,
}

/// The reasons for which a segment does not fit into the ring.
const TOO_LARGE: &str = "the state of the node needs a larger recording";
const DISK_LOW: &str = "the file system has little free space, so the recording may not grow";

impl RecordingRing {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the ring in `directory`, which is created if it is missing.
    pub(super) fn open(directory: PathBuf, bytes_max: u64) -> io::Result<RecordingRing> {
        create_directory(&directory)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.path()) {
                files.push((number, entry.metadata()?.len()));
            }
        }
        files.sort_unstable();
        info!(directory = %directory.display(), bytes_max, "recording");
        Ok(RecordingRing {
            directory,
            bytes_max,
            bytes_now_max: bytes_max,
            free_bytes: Box::new(free_bytes),
            files: files.into(),
            header: Vec::new(),
            current: None,
            warned: Vec::new(),
        })
    }

    /// Appends a block to the file of its segment; holds back a header. Returns the number of bytes
    /// written, or `None` if the block is dropped, because the segment would be larger than the
    /// ring.
    fn write(&mut self, block: &Block) -> io::Result<Option<u64>> {
        if block.begins_segment() {
            self.limit_growth()?;
            self.current = None;
            self.header = block.bytes().to_vec();
            return Ok(Some(0));
        }
        let header = std::mem::take(&mut self.header);
        let bytes = (header.len() + block.bytes().len()) as u64;
        let current = self.current.as_ref().and(self.files.back());
        let size = current.map_or(0, |(_, bytes)| *bytes) + bytes;
        if size > self.bytes_now_max {
            self.warn_of_size(size);
            self.current = None;
            return Ok(None);
        }
        if !header.is_empty() {
            self.begin_file()?;
        }
        let Some(mut written) = self.current.take() else { return Ok(None) };
        while self.files.len() > 1 && self.bytes() + bytes > self.bytes_now_max {
            let (oldest, _) = self.files.pop_front().expect("there is more than one");
            self.remove(oldest)?;
        }
        let (_, size) = self.files.back_mut().expect("the current file is the last one");
        let all = written.write_all(&header).and_then(|()| written.write_all(block.bytes()));
        if let Err(error) = all {
            // A reader of the concatenated files would not find the file after an incomplete block.
            let _ = written.set_len(*size);
            return Err(error);
        }
        *size += bytes;
        self.current = Some(written);
        Ok(Some(bytes))
    }

    /// Logs once for each reason that a segment of `size` bytes does not fit.
    fn warn_of_size(&mut self, size: u64) {
        let reason = if size > self.bytes_max { TOO_LARGE } else { DISK_LOW };
        if !self.warned.contains(&reason) {
            self.warned.push(reason);
            let (directory, bytes) = (self.directory.display(), self.bytes_now_max);
            warn!(%directory, bytes, "{reason}: some steps are not recorded");
        }
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.path(number)) {
            // An operator may have moved the file away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The size of all files.
    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    fn begin_file(&mut self) -> io::Result<()> {
        let number = self.files.back().map_or(1, |(last, _)| last + 1);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.current = Some(options.open(self.path(number))?);
        self.files.push_back((number, 0));
        Ok(())
    }

    /// Lets the ring grow by one segment at most while its file system has little free space. The
    /// ring has that room after every start, so that the starts of a node that crashes again and
    /// again do not remove one file each.
    ///
    /// # Errors
    /// An [`io::Error`] if the ring is smaller than two segments; its files are kept.
    fn limit_growth(&mut self) -> io::Result<()> {
        let is_low = (self.free_bytes)(&self.directory).is_some_and(|free| free < self.bytes_max);
        if !is_low {
            self.bytes_now_max = self.bytes_max;
        } else if self.bytes_now_max == self.bytes_max {
            let (bytes, segment) = (self.bytes(), self.bytes_max / SEGMENTS);
            if bytes < 2 * segment {
                let text = format!("its file system has less than {} bytes free", self.bytes_max);
                return Err(io::Error::other(text));
            }
            self.bytes_now_max = (bytes + segment).min(self.bytes_max);
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(file_name(number))
    }
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Returns the name of a file of the ring.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:010}.{EXTENSION}")
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }
}

/// The number of a file of the ring; `None` for any other file.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    let number = path.file_stem()?.to_str()?.parse().ok()?;
    let name = file_name(number);
    path.file_name().filter(|found| **found == *name).map(|_| number)
}

#[cfg(test)]
mod tests;
