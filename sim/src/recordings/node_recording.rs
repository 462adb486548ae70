//! One node's recording: where it comes from, when it began and ended, and what it lacks.

use std::slice;
use std::time::Duration;

use quorate::raft::Action;
use quorate::recording::{Header, Replayed};
use quorate::types::{Instant, NodeId};

use crate::recordings::messages::{SentMessages, digest_of, is_sent_once};
use crate::recordings::playback::{Playback, PlaybackError};
use crate::recordings::source::Source;

/// The recording of one node, replayed once.
#[derive(Debug)]
pub struct NodeRecording {
    /// The node that recorded.
    pub node: NodeId,
    /// The id of its cluster, as its driver names it.
    pub cluster: u128,
    /// The files, oldest first.
    pub sources: Vec<Source>,
    /// The starts of the node, in order.
    pub starts: Vec<RecordedStart>,
    /// The failures. After a divergence, nothing was replayed.
    pub errors: Vec<PlaybackError>,
    /// The wall time of the first step of each segment, if it has one.
    pub(super) segments: Vec<Option<Duration>>,
    pub(super) sent: SentMessages,
}

/// The recorded part of one start of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedStart {
    /// The number that identifies the start.
    pub start: u64,
    /// The version of the library that recorded.
    pub version: String,
    /// The number of the first recorded step; 0 if the recording has the start itself.
    pub first_record: u64,
    /// The number of recorded steps.
    pub steps: u64,
    /// The number of places where steps are missing.
    pub gaps: u64,
    /// The time since the Unix epoch at the origin of the node's clock, if the header has it.
    pub unix_time: Option<Duration>,
    /// The times of the first and the last step, on the node's own clock.
    pub span: Option<(Instant, Instant)>,
}

impl RecordedStart {
    /// The wall time of an instant of this start; the instant itself if the wall time is unknown.
    #[must_use]
    pub fn wall_time(&self, at: Instant) -> Duration {
        wall_time(self.unix_time, at)
    }
}

pub(super) fn wall_time(unix_time: Option<Duration>, at: Instant) -> Duration {
    unix_time.unwrap_or_default().saturating_add(Duration::from_nanos(at.0))
}

/// The files of one node at one path, with the time and the number of their first step.
struct Found {
    node: (NodeId, u128),
    unix_time: Option<Duration>,
    first_record: u64,
    sources: Vec<Source>,
}

/// Groups the files of several paths by the nodes that recorded them. The files of a path keep
/// their order; those of several paths are in the order of their beginnings, if all have the wall
/// time. Also returns the failures of files whose node is unknown.
#[must_use]
pub fn by_node(paths: Vec<Vec<Source>>) -> (Vec<Vec<Source>>, Vec<PlaybackError>) {
    let (mut found, mut errors): (Vec<Found>, _) = (Vec::new(), Vec::new());
    for sources in paths {
        let begin = found.len();
        for source in sources {
            let header = match Playback::new(slice::from_ref(&source)).next() {
                Some(Ok(Replayed::Segment { header, .. })) => header,
                Some(Err(error)) => {
                    errors.push(error);
                    continue;
                }
                _ => {
                    errors.push(PlaybackError::empty(slice::from_ref(&source)));
                    continue;
                }
            };
            let node = (header.node, header.cluster);
            match found[begin..].iter_mut().find(|found| found.node == node) {
                Some(found) => found.sources.push(source),
                None => {
                    let (unix_time, first_record) = (header.unix_time, header.first_record);
                    found.push(Found { node, unix_time, first_record, sources: vec![source] });
                }
            }
        }
    }
    found.sort_by_key(|found| found.node);
    let groups = found.chunk_by_mut(|one, other| one.node == other.node).map(|group| {
        if group.iter().all(|found| found.unix_time.is_some()) {
            group.sort_by_key(|found| (found.unix_time, found.first_record));
        }
        group.iter().flat_map(|found| found.sources.clone()).collect()
    });
    (groups.collect(), errors)
}

/// Replays the files of one node, and returns a summary of its starts, failures and messages.
///
/// # Errors
/// The first failure, if nothing could be replayed before it.
pub fn survey(sources: Vec<Source>) -> Result<NodeRecording, PlaybackError> {
    let (mut found, mut errors, mut digests) = (None, Vec::new(), Vec::new());
    let (mut segments, mut part) = (Vec::new(), 0);
    let mut starts: Vec<RecordedStart> = Vec::new();
    for replayed in Playback::new(&sources) {
        match replayed {
            Ok(Replayed::Segment { header, continues }) => {
                found.get_or_insert((header.node, header.cluster));
                part = part_of(part, &header, continues, starts.is_empty());
                begin(&mut starts, &header, continues);
                segments.push(None);
            }
            Ok(Replayed::Step(step)) => {
                let start = starts.last_mut().expect("steps follow a segment");
                start.steps += 1;
                let first = start.span.map_or(step.now, |(first, _)| first);
                start.span = Some((first, step.now));
                let segment = segments.last_mut().expect("steps follow a segment");
                segment.get_or_insert(start.wall_time(step.now));
                let sent = step.actions.iter().filter_map(|action| match action {
                    // A message that is sent once was not sent in a gap before.
                    Action::Send(message) if is_sent_once(message) => Some((digest_of(message), 0)),
                    Action::Send(message) => Some((digest_of(message), part)),
                    _ => None,
                });
                digests.extend(sent);
            }
            Err(error) => errors.push(error),
        }
    }
    let Some((node, cluster)) = found else {
        return Err(errors.into_iter().next().unwrap_or_else(|| PlaybackError::empty(&sources)));
    };
    let sent = SentMessages::new(digests);
    Ok(NodeRecording { node, cluster, sources, starts, errors, segments, sent })
}

/// The part of a recording that a segment belongs to, after a segment of `last`. Nothing is missing
/// before a recording that begins with a start.
pub(super) fn part_of(last: u32, header: &Header, continues: bool, is_first: bool) -> u32 {
    let follows = continues || is_first && header.first_record == 0;
    last + u32::from(!follows)
}

fn begin(starts: &mut Vec<RecordedStart>, header: &Header, continues: bool) {
    match starts.last_mut() {
        Some(last) if last.start == header.start => last.gaps += u64::from(!continues),
        _ => starts.push(RecordedStart {
            start: header.start,
            version: header.version.clone(),
            first_record: header.first_record,
            steps: 0,
            gaps: 0,
            unix_time: header.unix_time,
            span: None,
        }),
    }
}

impl NodeRecording {
    /// The wall times of the first and the last step.
    #[must_use]
    pub fn span(&self) -> Option<(Duration, Duration)> {
        let spans = || self.starts.iter().filter_map(|start| Some((start, start.span?)));
        let (first, (from, _)) = spans().next()?;
        let (last, (_, to)) = spans().next_back()?;
        Some((first.wall_time(from), last.wall_time(to)))
    }

    /// Whether every start has a wall time.
    #[must_use]
    pub fn has_wall_time(&self) -> bool {
        self.starts.iter().all(|start| start.unix_time.is_some())
    }

    /// The number of recorded steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.starts.iter().map(|start| start.steps).sum()
    }
}
