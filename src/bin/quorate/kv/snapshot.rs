//! The store as a stream of bytes: a title, then every key and its value, in their order.

use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use crate::kv::bytes::put;
use crate::kv::machine::Map;

const TITLE: &[u8] = b"quorate kv 1\n";
/// How much is encoded at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A map as it was, read piece by piece.
#[derive(Debug)]
pub(super) struct Snapshot {
    map: Arc<Map>,
    /// The last key that was encoded.
    at: Option<Arc<[u8]>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Snapshot {
    pub(super) fn of(map: Arc<Map>) -> Snapshot {
        Snapshot { map, at: None, piece: io::Cursor::new(TITLE.to_vec()) }
    }

    /// The pairs after the last one, as many as make a piece.
    fn next_piece(&mut self) -> Vec<u8> {
        let after = self.at.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = Vec::new();
        let mut at = None;
        for (key, value) in self.map.range::<[u8], _>((after, Bound::Unbounded)) {
            put(&mut bytes, key);
            put(&mut bytes, value);
            at = Some(Arc::clone(key));
            if bytes.len() >= PIECE_BYTES {
                break;
            }
        }
        self.at = at.or(self.at.take());
        bytes
    }
}

impl Read for Snapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.piece = io::Cursor::new(self.next_piece());
        self.piece.read(buffer)
    }
}

/// The map of a snapshot, to its end.
pub(super) fn read_snapshot(from: &mut dyn Read) -> io::Result<Map> {
    let mut from = io::BufReader::with_capacity(PIECE_BYTES, from);
    let mut title = [0; TITLE.len()];
    from.read_exact(&mut title)?;
    if title != *TITLE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no key-value store"));
    }
    let mut map = Map::new();
    while let Some(key) = read_part(&mut from, true)? {
        let value = read_part(&mut from, false)?.expect("a value is there, or an error is");
        map.insert(key.into(), value.into());
    }
    Ok(map)
}

/// The next byte string; None at the end, where that may be.
fn read_part(from: &mut impl Read, may_end: bool) -> io::Result<Option<Vec<u8>>> {
    let mut length = Vec::new();
    from.by_ref().take(4).read_to_end(&mut length)?;
    if length.is_empty() && may_end {
        return Ok(None);
    }
    let length: [u8; 4] = length.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let length = u64::from(u32::from_le_bytes(length));
    let mut part = Vec::new();
    from.by_ref().take(length).read_to_end(&mut part)?;
    if (part.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: usize) -> Map {
        let pair = |number: usize| {
            (Arc::from(number.to_string().as_bytes()), Arc::from(vec![b'v'; number % 300]))
        };
        (0..pairs).map(pair).collect()
    }

    fn bytes(map: &Map) -> Vec<u8> {
        let mut bytes = Vec::new();
        Snapshot::of(Arc::new(map.clone())).read_to_end(&mut bytes).expect("memory can be read");
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        for map in [map(0), map(1), map(2000)] {
            assert_eq!(read_snapshot(&mut &bytes(&map)[..]).expect("it is whole"), map);
        }
    }

    #[test]
    fn one_that_ends_early_is_refused() {
        let whole = bytes(&map(3));
        let ends: Vec<usize> =
            (0..whole.len()).filter(|end| read_snapshot(&mut &whole[..*end]).is_ok()).collect();
        // Only where a pair has ended can it not be told; the storage around it can.
        assert_eq!(ends, [13, 22, 32]);
    }
}
