//! Reads a text to its end, unpacking it if it is packed.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use crate::formats::fault::{Fault, Wrong};

/// How a file in the format of gzip begins (RFC 1952, §2.3.1).
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Why nothing could be read.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system says so.
    Input(io::Error),
    /// It is no history.
    Wrong(Wrong),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Input(error) => error.fmt(f),
            ReadError::Wrong(wrong) => wrong.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// All of `input`, unpacked, if that is at most `bytes_max`.
pub(super) fn text(mut input: impl Read, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let mut start = Vec::new();
    input.by_ref().take(GZIP.len() as u64).read_to_end(&mut start).map_err(ReadError::Input)?;
    let packed = start == GZIP;
    let input = io::Cursor::new(start).chain(input);
    let limit = bytes_max as u64 + 1;
    let mut text = Vec::new();
    let read = match packed {
        false => input.take(limit).read_to_end(&mut text),
        true => {
            let input = io::BufReader::with_capacity(1 << 16, input);
            MultiGzDecoder::new(input).take(limit).read_to_end(&mut text)
        }
    };
    let wrong = |text: &[u8], what: String| {
        Err(ReadError::Wrong(Fault::new(text.len(), what).in_text(text)))
    };
    match read {
        Ok(_) if text.len() > bytes_max => {
            wrong(&[], format!("this is longer than {bytes_max} bytes"))
        }
        Ok(_) => Ok(text),
        Err(error) if packed && error.kind() == io::ErrorKind::UnexpectedEof => {
            wrong(&text, "the packed data ends too early: is the file cut off?".to_owned())
        }
        Err(error)
            if packed
                && matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                ) =>
        {
            wrong(&text, format!("the packed data is damaged: {error}"))
        }
        Err(error) => Err(ReadError::Input(error)),
    }
}
