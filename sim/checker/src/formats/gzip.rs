//! Reads a text to its end, and decompresses gzip.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use crate::formats::error::{OffsetError, ParseError};

/// The first bytes of a gzip file (RFC 1952, §2.3.1).
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The reason why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input could not be read.
    #[error("{0}")]
    Input(io::Error),
    /// The text is not a history.
    #[error("{0}")]
    Parse(ParseError),
}

/// Reads all of `input`, decompressed, if that is at most `bytes_max` long.
pub(super) fn text(mut input: impl Read, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let mut start = Vec::new();
    input.by_ref().take(GZIP.len() as u64).read_to_end(&mut start).map_err(ReadError::Input)?;
    let compressed = start == GZIP;
    let input = io::Cursor::new(start).chain(input);
    let limit = (bytes_max as u64).saturating_add(1);
    let mut text = Vec::new();
    let read = match compressed {
        false => input.take(limit).read_to_end(&mut text),
        true => {
            let input = io::BufReader::with_capacity(1 << 16, input);
            MultiGzDecoder::new(input).take(limit).read_to_end(&mut text)
        }
    };
    let parse_error = |text: &[u8], message: String| {
        Err(ReadError::Parse(OffsetError::new(text.len(), message).in_text(text)))
    };
    match read {
        Ok(_) if text.len() > bytes_max => {
            parse_error(&[], format!("the text is longer than {bytes_max} bytes"))
        }
        Ok(_) => Ok(text),
        Err(error) if compressed && error.kind() == io::ErrorKind::UnexpectedEof => {
            parse_error(&text, "the gzip data ends too early: the file may be truncated".to_owned())
        }
        Err(error)
            if compressed
                && matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                ) =>
        {
            parse_error(&text, format!("the gzip data is damaged: {error}"))
        }
        Err(error) => Err(ReadError::Input(error)),
    }
}
