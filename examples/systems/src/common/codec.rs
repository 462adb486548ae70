//! Encoding of commands, queries, replies and snapshot rows: bincode with a size limit. No other
//! module depends on bincode.

use std::io::{self, Read};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The maximum size of one encoded command, query, reply or snapshot row.
pub const ENCODED_BYTES_MAX: usize = 64 << 10;

/// Fixed-size little-endian integers, with the size limit.
type Bounded = Configuration<LittleEndian, Fixint, Limit<ENCODED_BYTES_MAX>>;

const fn bounded() -> Bounded {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<ENCODED_BYTES_MAX>()
}

/// Encodes a value.
///
/// # Panics
/// If the value cannot be encoded, which does not occur for the types of the systems.
#[must_use]
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bounded()).expect("the value can be encoded")
}

/// Returns true if the nodes do not decode this request because of its length.
#[must_use]
pub fn is_too_long(request: &[u8]) -> bool {
    request.len() > ENCODED_BYTES_MAX
}

/// Decodes a value from all of `bytes`; returns `None` if they are invalid or too many.
#[must_use]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if is_too_long(bytes) {
        return None;
    }
    let (value, read) = bincode::serde::decode_from_slice(bytes, bounded()).ok()?;
    (read == bytes.len()).then_some(value)
}

/// Decodes the next value of a stream.
///
/// # Errors
/// The error of the stream, or [`io::ErrorKind::InvalidData`] for invalid bytes.
pub fn read<T: DeserializeOwned>(stream: &mut dyn Read) -> io::Result<T> {
    let mut stream = stream;
    bincode::serde::decode_from_std_read(&mut stream, bounded())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_decoded_from_exactly_its_bytes() {
        let value = (7u64, "seven".to_owned());
        let mut bytes = encode(&value);
        assert_eq!(decode(&bytes), Some(value));
        bytes.push(0);
        assert_eq!(decode::<(u64, String)>(&bytes), None, "one byte too many");
        bytes.truncate(bytes.len() - 2);
        assert_eq!(decode::<(u64, String)>(&bytes), None, "one byte too few");
    }

    #[test]
    fn a_forged_length_does_not_allocate_more_than_the_limit() {
        let mut bytes = encode(&u64::MAX);
        bytes.extend([0; 32]);
        assert_eq!(decode::<Vec<u8>>(&bytes), None, "a forged length");
        assert_eq!(decode::<Vec<u8>>(&vec![0; ENCODED_BYTES_MAX + 1]), None);
        assert!(read::<String>(&mut &bytes[..]).is_err());
    }
}
