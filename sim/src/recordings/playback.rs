//! The replay of one node's recording across its files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, empty};
use std::slice;

use quorate::raft::Raft;
use quorate::recording::{Header, RecordingError, RecordingErrorReason, Replay, Replayed};

use crate::recordings::source::Source;

/// The replay of a recording in several files. Damage ends a file, and the next one is replayed; a
/// step whose actions differ from the recorded ones ends the replay. Steps that an earlier file
/// also has are skipped.
pub struct Playback<'a> {
    sources: slice::Iter<'a, Source>,
    current: Option<&'a Source>,
    /// The file of the last segment, and whether the files show that it is later than the one
    /// before.
    last: Option<&'a Source>,
    is_later: bool,
    replay: Replay<Box<dyn Read>>,
    /// The header of the current segment.
    header: Option<Header>,
    /// The starts up to now, and the number of the next record of each that is not replayed yet.
    starts: BTreeMap<u64, u64>,
    last_start: Option<u64>,
    is_over: bool,
}

/// A failure at a place of a recording.
#[derive(Debug)]
pub struct PlaybackError {
    /// The name of the file.
    pub file: String,
    /// The failure and its offset in the file.
    pub error: RecordingError,
    /// The version of the library that recorded, if its header was read.
    pub version: Option<String>,
}

/// Why a file has nothing to replay: it has no block, or only a header.
const EMPTY: &str = "the file is empty";

/// Why a file cannot follow the ones before it.
const MISPLACED: &str = "its steps come before those of a start that an earlier file has";

impl<'a> Playback<'a> {
    /// Returns the replay of the files, the oldest of which is first.
    #[must_use]
    pub fn new(sources: &'a [Source]) -> Playback<'a> {
        Playback {
            sources: sources.iter(),
            current: None,
            last: None,
            is_later: true,
            replay: Replay::new(Box::new(empty())),
            header: None,
            starts: BTreeMap::new(),
            last_start: None,
            is_over: false,
        }
    }

    /// The core after the last step.
    #[must_use]
    pub fn raft(&self) -> Option<&Raft> {
        self.replay.raft()
    }

    /// Whether the files show that the last segment is later than the one before it.
    pub(super) fn is_later(&self) -> bool {
        self.is_later
    }

    /// Records the file of a new part.
    fn note_file(&mut self, part: &Replayed) {
        if let Replayed::Segment { .. } = part {
            let last = std::mem::replace(&mut self.last, self.current);
            let files = last.zip(self.current);
            self.is_later = files.is_none_or(|(last, current)| current.is_later_than(last));
        }
    }

    /// Records a part. Returns whether it is new, and an error if it cannot follow the last one.
    fn admit(&mut self, part: &Replayed) -> Result<bool, String> {
        match part {
            Replayed::Segment { header, .. } => {
                let Header { node, cluster, start, first_record, .. } = **header;
                let last = self.header.replace((**header).clone());
                if let Some(last) = last.filter(|it| (it.node, it.cluster) != (node, cluster)) {
                    let text = format!("a recording of {node} follows one of {}", last.node);
                    self.header = Some(last);
                    return Err(text);
                }
                let known = self.starts.get(&start).copied();
                if known.is_none() {
                    self.starts.insert(start, first_record);
                    self.last_start = Some(start);
                }
                let is_new = known.is_none_or(|next| next <= first_record);
                match is_new && self.last_start != Some(start) {
                    true => Err(MISPLACED.to_owned()),
                    false => Ok(is_new),
                }
            }
            Replayed::Step(step) => {
                let start = self.header.as_ref().map(|header| header.start);
                let known = start.and_then(|start| self.starts.get_mut(&start));
                let next = known.expect("steps follow a header");
                if step.record < *next {
                    return Ok(false);
                }
                *next = step.record.saturating_add(1);
                match self.last_start == start {
                    true => Ok(true),
                    false => Err(MISPLACED.to_owned()),
                }
            }
        }
    }

    /// Ends the current file with an error.
    fn reject(&mut self, reason: String) -> PlaybackError {
        let offset = self.replay.offset();
        self.replay = Replay::new(Box::new(empty()));
        self.fail(RecordingError { offset, reason: RecordingErrorReason::Invalid(reason) })
    }

    fn fail(&mut self, error: RecordingError) -> PlaybackError {
        let file = self.current.map_or(String::new(), Source::to_string);
        let version = self.header.as_ref().map(|header| header.version.clone());
        let error = PlaybackError { file, error, version };
        self.is_over |= error.is_divergence();
        error
    }
}

impl Iterator for Playback<'_> {
    type Item = Result<Replayed, PlaybackError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            match self.replay.next() {
                Some(Ok(part)) => match self.admit(&part) {
                    Ok(true) => {
                        self.note_file(&part);
                        return Some(Ok(part));
                    }
                    Ok(false) => continue,
                    Err(reason) => return Some(Err(self.reject(reason))),
                },
                Some(Err(error)) => return Some(Err(self.fail(error))),
                None => {}
            }
            self.current = Some(self.sources.next()?);
            match self.current.expect("a file is next").open() {
                Ok(input) => self.replay.continue_with(input),
                Err(error) => {
                    let reason = RecordingErrorReason::Io(error);
                    return Some(Err(self.fail(RecordingError { offset: 0, reason })));
                }
            }
        }
        None
    }
}

impl PlaybackError {
    /// The error of files without a segment.
    pub(super) fn empty(sources: &[Source]) -> PlaybackError {
        let file = sources.first().map_or(String::new(), Source::to_string);
        let reason = RecordingErrorReason::Invalid(EMPTY.to_owned());
        PlaybackError { file, error: RecordingError { offset: 0, reason }, version: None }
    }

    /// Whether the file ends where its node may have stopped writing: within a block, or before the
    /// first checkpoint.
    #[cfg(feature = "cli")]
    pub(crate) fn is_cut(&self) -> bool {
        match &self.error.reason {
            RecordingErrorReason::Cut { .. } => true,
            RecordingErrorReason::Invalid(reason) => reason == EMPTY,
            _ => false,
        }
    }

    /// Whether the file is intact there, and this program's core decides differently from the
    /// recorded one.
    #[must_use]
    pub fn is_divergence(&self) -> bool {
        matches!(
            self.error.reason,
            RecordingErrorReason::ActionsDiffer(_)
                | RecordingErrorReason::StateDiffers { .. }
                | RecordingErrorReason::Panicked { .. }
        )
    }

    /// Whether the recording was made by another version of the library than this one.
    #[must_use]
    pub fn is_of_other_version(&self) -> bool {
        self.version.as_ref().is_some_and(|version| version != env!("CARGO_PKG_VERSION"))
    }
}

impl fmt::Display for PlaybackError {
    /// Prints the file, the offset and the failure, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)?;
        if !self.is_divergence() {
            return Ok(());
        }
        let (this, version) = (env!("CARGO_PKG_VERSION"), self.version.as_deref());
        match version {
            Some(version) if version != this => write!(
                f,
                ". Quorate {version} recorded, and this is quorate {this}: this is the first \
                 decision in which the two versions differ"
            ),
            _ => write!(
                f,
                ". Quorate {this} recorded, too: the recording program was built from other \
                 sources, or its memory failed, or the core is not deterministic"
            ),
        }
    }
}
