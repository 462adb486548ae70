//! The intact part of a file of a recording, and its length.

use std::io::Read;

use crate::recording::block::{Header, Kind};
use crate::recording::commands::Contents;
use crate::recording::decoding::Decoder;
use crate::recording::error::RecordingError;
use crate::recording::reader::BlockReader;
use crate::types::Instant;

/// The folder of the recording in the data directory of a node.
pub const FOLDER: &str = "recording";

/// The end of the name of each file of a recording, after a dot.
pub const EXTENSION: &str = "qrec";

/// The blocks of a file up to the first one that is cut or damaged, which a copy may take. They are
/// only read here, and not replayed.
#[derive(Debug, Default)]
pub struct IntactPart {
    /// The number of bytes up to the end of the last intact block.
    pub bytes: u64,
    /// The header of the last segment.
    pub header: Option<Header>,
    /// The time of the first record in the last intact block of records, on the node's own clock.
    pub last: Option<Instant>,
    /// The reason why the intact part ends before the file does.
    pub error: Option<RecordingError>,
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
                        Kind::Records => intact.last = first_time(block.body()).or(intact.last),
                    }
                    intact.bytes = block.offset + block.bytes.len() as u64;
                }
            }
        };
        intact
    }
}

/// The time of the first record of a block.
fn first_time(body: &[u8]) -> Option<Instant> {
    let mut decoder = Decoder::new(body, Contents::Kept);
    decoder.number().ok()?;
    decoder.number().ok().map(Instant)
}
