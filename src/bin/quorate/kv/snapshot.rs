//! The snapshot encoding of the store: a header, the quota, then all pairs in key order.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use quorate::machine::Quota;

use crate::kv::bytes::put;
use crate::kv::pair::bytes_of;

/// The keys and values; clones share both.
pub(super) type Map = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

const HEADER: &[u8] = b"quorate kv 2\n";
/// The size, in bytes, at which a piece of the encoded snapshot is complete.
const PIECE_BYTES: usize = 64 << 10;

/// A snapshot of a map, encoded piece by piece as it is read.
#[derive(Debug)]
pub(super) struct Snapshot {
    map: Arc<Map>,
    /// The last key that was encoded.
    at: Option<Arc<[u8]>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Snapshot {
    pub(super) fn of(map: Arc<Map>, quota: &Quota) -> Snapshot {
        Snapshot { map, at: None, piece: io::Cursor::new([HEADER, &quota.encode()].concat()) }
    }

    /// Encodes pairs after the last encoded one until the piece has [`PIECE_BYTES`]; returns no
    /// bytes at the end of the map.
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

/// Reads a snapshot to its end, and returns the map and its quota.
pub(super) fn read_snapshot(from: &mut dyn Read) -> io::Result<(Map, Quota)> {
    let mut from = io::BufReader::with_capacity(PIECE_BYTES, from);
    let mut header = [0; HEADER.len()];
    from.read_exact(&mut header)?;
    if header != *HEADER {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a snapshot of the key-value store",
        ));
    }
    let mut quota = [0; Quota::ENCODED_BYTES];
    from.read_exact(&mut quota)?;
    let (mut map, mut bytes) = (Map::new(), 0);
    while let Some(key) = read_part(&mut from, true)? {
        let value = read_part(&mut from, false)?.expect("a value follows a key");
        bytes += bytes_of(&key, &value);
        map.insert(key.into(), value.into());
    }
    let quota = Quota::decode(&quota, bytes).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the quota of the snapshot is invalid")
    })?;
    Ok((map, quota))
}

/// Reads the next byte string; returns `None` at the end of the stream if `may_end`.
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
        Snapshot::of(Arc::new(map.clone()), &Quota::default())
            .read_to_end(&mut bytes)
            .expect("a memory snapshot can be read");
        bytes
    }

    #[test]
    fn an_encoded_map_is_read_back() {
        for map in [map(0), map(1), map(2000)] {
            let (read, quota) =
                read_snapshot(&mut &bytes(&map)[..]).expect("the snapshot is complete");
            assert_eq!(read, map);
            let used: u64 = map.iter().map(|(key, value)| bytes_of(key, value)).sum();
            assert_eq!(quota.usage().used_bytes, used);
        }
    }

    #[test]
    fn a_truncated_snapshot_is_rejected() {
        let complete = bytes(&map(3));
        let ends: Vec<usize> = (0..complete.len())
            .filter(|end| read_snapshot(&mut &complete[..*end]).is_ok())
            .collect();
        // A snapshot that ends after the quota or after a pair looks complete; only the storage
        // detects the truncation.
        assert_eq!(ends, [22, 31, 41]);
    }
}
