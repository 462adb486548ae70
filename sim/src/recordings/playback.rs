//! The replay of one node's recording across its files.

use std::fmt;
use std::io::{Read, empty};
use std::slice;

use quorate::raft::Raft;
use quorate::recording::{Header, RecordingError, RecordingErrorReason, Replay, Replayed};

use crate::recordings::source::Source;

/// The replay of a recording in several files. Damage ends a file, and the next one is replayed; a
/// step with other actions than the recorded ones ends the replay.
pub struct Playback<'a> {
    sources: slice::Iter<'a, Source>,
    current: Option<&'a Source>,
    replay: Replay<Box<dyn Read>>,
    /// The header of the current segment.
    header: Option<Header>,
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

impl<'a> Playback<'a> {
    /// Returns the replay of the files, the oldest of which is first.
    #[must_use]
    pub fn new(sources: &'a [Source]) -> Playback<'a> {
        let replay = Replay::new(Box::new(empty()) as Box<dyn Read>);
        Playback { sources: sources.iter(), current: None, replay, header: None, is_over: false }
    }

    /// The core after the last step.
    #[must_use]
    pub fn raft(&self) -> Option<&Raft> {
        self.replay.raft()
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
                Some(Ok(part)) => {
                    if let Replayed::Segment { header, .. } = &part {
                        self.header = Some((**header).clone());
                    }
                    return Some(Ok(part));
                }
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
    /// The error of files without a single block.
    pub(super) fn empty(sources: &[Source]) -> PlaybackError {
        let file = sources.first().map_or(String::new(), Source::to_string);
        let reason = RecordingErrorReason::Invalid("the file is empty".to_owned());
        PlaybackError { file, error: RecordingError { offset: 0, reason }, version: None }
    }

    /// Whether the file is intact there, and this program's core decides otherwise than the
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

    /// Whether another version of the library recorded than this one.
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
