//! The intact part of a file of a recording, and its length.

use std::io::Read;
use std::time::Duration;

use crate::recording::block::{Header, Kind};
use crate::recording::commands::Contents;
use crate::recording::decoding::Decoder;
use crate::recording::error::RecordingError;
use crate::recording::reader::BlockReader;

/// The folder of the recording in the data directory of a node.
pub const FOLDER: &str = "recording";

/// The end of the name of each file of a recording, after a dot.
pub const EXTENSION: &str = "qrec";

/// The blocks of a file up to the first one that is cut or damaged: a copy of the file takes only
/// these. They are only read here, and not replayed.
#[derive(Debug, Default)]
pub struct IntactPart {
    /// The number of bytes up to the end of the last intact block.
    pub bytes: u64,
    /// The time from the Unix epoch to the first record, if the recording has the wall time.
    pub begin: Option<Duration>,
    /// The time from the Unix epoch to the first record in the last intact block of records, if the
    /// recording has the wall time.
    pub last_block: Option<Duration>,
    /// The reason why the intact part ends before the file does.
    pub error: Option<RecordingError>,
    /// The header of the last segment.
    header: Option<Header>,
}

impl IntactPart {
    /// Reads a file from its beginning.
    pub fn of(input: impl Read) -> IntactPart {
        let mut reader = BlockReader::new(input);
        let mut intact = IntactPart::default();
        intact.error = loop {
            match reader.read() {
                Ok(None) => break None,
                Err(error) => break Some(error),
                Ok(Some(block)) => {
                    match block.kind {
                        Kind::Header => match block.header() {
                            Ok(header) => intact.header = Some(header),
                            Err(reason) => {
                                break Some(RecordingError { offset: block.offset, reason });
                            }
                        },
                        Kind::Checkpoint => {}
                        Kind::Records => {
                            let time = intact.unix_time(block.body());
                            intact.begin = intact.begin.or(time);
                            intact.last_block = time.or(intact.last_block);
                        }
                    }
                    intact.bytes = block.offset + block.bytes.len() as u64;
                }
            }
        };
        intact
    }

    /// The time from the Unix epoch to the first record of a block of the last segment.
    fn unix_time(&self, body: &[u8]) -> Option<Duration> {
        let mut decoder = Decoder::new(body, Contents::Kept);
        decoder.number().ok()?;
        let since_start = Duration::from_nanos(decoder.number().ok()?);
        Some(self.header.as_ref()?.unix_time?.saturating_add(since_start))
    }
}
