//! Digests: short hashes of content, equal on every machine.

use std::fmt;
use std::io::{self, Read};

use crate::types::text::debug_as_display;

/// The first half of a BLAKE3 hash. Equal contents have equal digests, and finding two contents
/// with the same digest is infeasible.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; Digest::BYTES]);

impl Digest {
    /// The size of a digest in bytes.
    pub const BYTES: usize = 16;

    /// Returns the digest of all bytes of `reader`, which it reads a buffer at a time.
    ///
    /// # Errors
    /// The error of reading.
    pub fn of(reader: &mut dyn Read) -> io::Result<Digest> {
        // With AVX2 the hasher processes eight chunks of 1 KiB in parallel.
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), [0; 8 << 10]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Digest::from_hash(hasher.finalize())),
                Ok(count) => _ = hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Digest {
        Digest::from_hash(blake3::hash(bytes))
    }

    /// Returns the digest of the concatenated `parts`.
    pub(crate) fn of_parts(parts: &[&[u8]]) -> Digest {
        // One call of the hash function is cheaper than a hasher that gets the parts one by one,
        // because most parts are shorter than a block of 64 bytes.
        let mut buffer = [0; 512];
        let length = parts.iter().map(|part| part.len()).sum();
        let Some(whole) = buffer.get_mut(..length) else {
            return Digest::of_bytes(&parts.concat());
        };
        let mut rest = &mut *whole;
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        Digest::of_bytes(whole)
    }

    fn from_hash(hash: blake3::Hash) -> Digest {
        let (half, _) = hash.as_bytes().split_first_chunk().expect("half a hash is shorter");
        Digest(*half)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

debug_as_display!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_reader_and_bytes_agree() {
        let whole = Digest::of_bytes(b"quorate");
        assert_eq!(whole, Digest::of_parts(&[b"quo", b"", b"rate"]));
        assert_eq!(whole, Digest::of(&mut &b"quorate"[..]).unwrap());
        assert_ne!(whole, Digest::of_bytes(b"quorates"));
        for length in [511, 512, 513] {
            let bytes: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
            let (one, other) = bytes.split_at(7);
            assert_eq!(Digest::of_parts(&[one, other]), Digest::of_bytes(&bytes), "{length}");
        }
    }
}
