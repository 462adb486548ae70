//! Errors about flushes that were reported durable and are no longer on disk: the file to restore,
//! and the entries that are lost.

use std::cmp::Ordering;

use crate::storage::block::FlushSeq;
use crate::storage::disk::FileName;
use crate::storage::error::{ErrorCause, StorageError};
use crate::types::Index;

/// A run of flushes that were reported durable and are missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    /// The first missing flush; the number after `last` if only an older copy of flush `last` was
    /// found.
    pub(crate) first: FlushSeq,
    pub(crate) last: FlushSeq,
    /// The last entry before the missing flushes.
    pub(crate) after: Index,
    /// The last entry that the log had after the last missing flush, if it is known.
    pub(crate) through: Option<Index>,
    /// The segment of the flush before the missing ones, and the offset at which its header block
    /// ends; zeros if there is none.
    pub(crate) before: (u64, u64),
    /// The number of a segment: the missing flushes were in the segment of `before`, or in a later
    /// segment before this number.
    pub(crate) until: u64,
}

impl Loss {
    /// Returns the error that names the first file that explains the loss. `segments` are the
    /// number and the size of each segment file, in ascending order.
    pub(crate) fn error(&self, segments: &[(u64, u64)]) -> StorageError {
        let (file, offset, cause) = self.place(segments);
        let (first, last) = (self.first.0, self.last.0);
        let flushes = match first.cmp(&last) {
            Ordering::Less => {
                format!("flushes {first} through {last} were acknowledged and cannot be read")
            }
            Ordering::Equal => format!("flush {last} was acknowledged and cannot be read"),
            Ordering::Greater => format!("only an older copy of flush {last} is left"),
        };
        let lost = match first > last {
            // The copy is complete: only the flushes after it may be missing.
            true => format!("every entry from {} on may be lost", self.after.next()),
            false => entries(self.after, self.through),
        };
        let message = format!("{cause}: {flushes}; {lost}");
        StorageError { file, offset, message, cause: ErrorCause::Damage }
    }

    /// Returns the file and the offset at which the missing flushes began, as far as the files show
    /// it, and what is wrong there.
    fn place(&self, segments: &[(u64, u64)]) -> (Option<FileName>, u64, String) {
        let (before, offset) = self.before;
        for number in before + 1..self.until {
            let file = Some(FileName::Segment(number));
            match segments.binary_search_by_key(&number, |(number, _)| *number) {
                Err(_) => return (file, 0, "the file is missing".to_owned()),
                Ok(place) if is_cut(segments, place) => {
                    let bytes = segments[place].1;
                    return (file, bytes, format!("the file ends after {bytes} bytes"));
                }
                Ok(_) => {}
            }
        }
        let empty = "no intact flush is here".to_owned();
        match (before, self.until > before + 1) {
            (_, true) => (Some(FileName::Segment(before + 1)), 0, empty),
            (0, false) => (None, 0, "no log file has a flush".to_owned()),
            (_, false) => (Some(FileName::Segment(before)), offset, empty),
        }
    }
}

/// Returns true if a file is empty or smaller than the files before and after it; a file that is
/// smaller than only one of them may be of a configuration with smaller files.
fn is_cut(segments: &[(u64, u64)], place: usize) -> bool {
    let size = |place: usize| segments.get(place).map(|(_, bytes)| *bytes);
    let before = place.checked_sub(1).and_then(size);
    let (bytes, after) = (size(place), size(place + 1));
    bytes == Some(0) || before > bytes && after > bytes
}

/// Returns the text that names the lost entries: those after `after` through `through`.
pub(crate) fn entries(after: Index, through: Option<Index>) -> String {
    let first = after.next();
    match through {
        Some(last) if last == first => format!("entry {first} is lost"),
        Some(last) if last > first => format!("entries {first} through {last} are lost"),
        Some(last) => format!("the last versions of entries through {last} are lost"),
        None => format!("every entry from {first} on is lost"),
    }
}
