//! Words as bytes and back: bincode, within bounds. No other file knows of bincode.

use std::io::{self, Read};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that one word has: a command, a query, a reply or a row of a snapshot.
pub const WORD_BYTES_MAX: usize = 64 << 10;

/// Little-endian integers of fixed size, and no more than a word's bytes.
type Bounded = Configuration<LittleEndian, Fixint, Limit<WORD_BYTES_MAX>>;

const fn bounded() -> Bounded {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<WORD_BYTES_MAX>()
}

/// The bytes of a word.
///
/// # Panics
/// If the word cannot be written at all, which no type of a system's own does.
#[must_use]
pub fn encode(word: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(word, bounded()).expect("every word of ours can be written")
}

/// The word that these bytes are, all of them; none if they are no such word, or too many.
#[must_use]
pub fn decode<W: DeserializeOwned>(bytes: &[u8]) -> Option<W> {
    if bytes.len() > WORD_BYTES_MAX {
        return None;
    }
    let (word, read) = bincode::serde::decode_from_slice(bytes, bounded()).ok()?;
    (read == bytes.len()).then_some(word)
}

/// The next word of a stream.
///
/// # Errors
/// What reading failed with, or [`io::ErrorKind::InvalidData`] for bytes that are no such word.
pub fn read<W: DeserializeOwned>(stream: &mut dyn Read) -> io::Result<W> {
    let mut stream = stream;
    bincode::serde::decode_from_std_read(&mut stream, bounded())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_all_of_its_bytes_and_no_more() {
        let word = (7u64, "seven".to_owned());
        let mut bytes = encode(&word);
        assert_eq!(decode(&bytes), Some(word));
        bytes.push(0);
        assert_eq!(decode::<(u64, String)>(&bytes), None, "one too many");
        bytes.truncate(bytes.len() - 2);
        assert_eq!(decode::<(u64, String)>(&bytes), None, "one too few");
    }

    #[test]
    fn nobody_makes_a_word_take_more_memory_than_a_word_has() {
        let mut bytes = encode(&u64::MAX);
        bytes.extend([0; 32]);
        assert_eq!(decode::<Vec<u8>>(&bytes), None, "a length that is a lie");
        assert_eq!(decode::<Vec<u8>>(&vec![0; WORD_BYTES_MAX + 1]), None);
        assert!(read::<String>(&mut &bytes[..]).is_err());
    }
}
