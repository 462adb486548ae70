//! Sectors, the unit of a torn write: 508 bytes of payload and a checksum keyed by their position.

use std::array;
use std::sync::LazyLock;

/// The size of a sector in bytes; a disk writes a sector entirely or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
/// The payload of a sector, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = 508;
/// The padding unit of a flush in each zone, in bytes: no two flushes write to the same page.
pub(crate) const PAGE_BYTES: usize = 4096;

const _: () = assert!(PAYLOAD_BYTES + 4 == SECTOR_BYTES, "a sector is its payload and checksum");
const _: () =
    assert!(PAGE_BYTES.is_multiple_of(SECTOR_BYTES), "a page is a whole number of sectors");

/// The two ends of a segment; a sector of one zone is invalid in the other zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Headers,
    Bodies,
}

/// The state of a sector that was zeros at first and may have been written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectorState {
    /// The checksum matches the content and the position.
    Valid,
    /// All zeros: never written, or its write was lost.
    Zero,
    /// Anything else, such as bit rot, or a sector of another position, zone or segment.
    Bad,
}

/// Tables for the checksum of a payload of zeros, because most sectors of a small flush are
/// padding. A CRC is linear, so the contribution of each byte that precedes the payload can be
/// looked up.
struct ZeroChecksums {
    /// The checksum in sector 0 with an initial CRC of 0.
    of_zero: u32,
    /// The contributions of the bytes of the initial CRC.
    starts: [[u32; 256]; 4],
    /// The contributions of the bytes of the sector's number.
    numbers: [[u32; 256]; 8],
}

static ZERO_CHECKSUMS: LazyLock<ZeroChecksums> = LazyLock::new(|| {
    let sum = |start: u32, number: u64| {
        let placed = crc32c::crc32c_append(start, &number.to_le_bytes());
        crc32c::crc32c_append(placed, &[0; PAYLOAD_BYTES])
    };
    let of_zero = sum(0, 0);
    let row = |of: &dyn Fn(u8) -> u32| {
        let mut sums = [0; 256];
        (0..=u8::MAX).zip(&mut sums).for_each(|(byte, sum)| *sum = of(byte) ^ of_zero);
        sums
    };
    ZeroChecksums {
        of_zero,
        starts: array::from_fn(|at| row(&|byte| sum(u32::from(byte) << (8 * at), 0))),
        numbers: array::from_fn(|at| row(&|byte| sum(0, u64::from(byte) << (8 * at)))),
    }
});

/// Returns the XOR of the table entries of these bytes.
fn xor_of_lookups<const N: usize>(bytes: [u8; N], sums: &[[u32; 256]; N]) -> u32 {
    bytes.into_iter().zip(sums).fold(0, |sum, (byte, sums)| sum ^ sums[usize::from(byte)])
}

/// Computes and checks the sector checksums of one zone of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectorCodec {
    /// The CRC of the salt and the zone, from which each sector's checksum continues.
    start: u32,
    /// The checksum of a payload of zeros in the first sector.
    of_zeros: u32,
}

impl SectorCodec {
    pub(crate) fn new(salt: u64, zone: Zone) -> SectorCodec {
        let mut key = [0; 9];
        key[..8].copy_from_slice(&salt.to_le_bytes());
        key[8] = match zone {
            Zone::Headers => 1,
            Zone::Bodies => 2,
        };
        let start = crc32c::crc32c(&key);
        let ZeroChecksums { of_zero, starts, .. } = &*ZERO_CHECKSUMS;
        SectorCodec { start, of_zeros: of_zero ^ xor_of_lookups(start.to_le_bytes(), starts) }
    }

    /// Returns the checksum, which is never 0, so that no written sector is all zeros.
    fn checksum(self, offset: u64, payload: &[u8]) -> u32 {
        let number = offset / SECTOR_BYTES as u64;
        let placed = crc32c::crc32c_append(self.start, &number.to_le_bytes());
        crc32c::crc32c_append(placed, payload).max(1)
    }

    /// Returns the checksum of a payload of zeros.
    fn checksum_of_zeros(self, offset: u64) -> u32 {
        let number = offset / SECTOR_BYTES as u64;
        let sum = self.of_zeros ^ xor_of_lookups(number.to_le_bytes(), &ZERO_CHECKSUMS.numbers);
        sum.max(1)
    }

    /// Returns the state of the sector that was read at `offset`.
    pub(crate) fn state(self, offset: u64, sector: &[u8]) -> SectorState {
        let Some((payload, sum)) = sector.split_last_chunk::<4>() else { return SectorState::Bad };
        let sum = u32::from_le_bytes(*sum);
        if payload.len() != PAYLOAD_BYTES {
            return SectorState::Bad;
        }
        if sum == 0 {
            return if is_zero(payload) { SectorState::Zero } else { SectorState::Bad };
        }
        let expected = match is_zero(payload) {
            true => self.checksum_of_zeros(offset),
            false => self.checksum(offset, payload),
        };
        if sum == expected { SectorState::Valid } else { SectorState::Bad }
    }

    /// Returns the sector at `offset` with this payload.
    pub(crate) fn frame(self, offset: u64, payload: &[u8]) -> Vec<u8> {
        assert_eq!(payload.len(), PAYLOAD_BYTES, "a sector has a whole payload");
        let mut sector = payload.to_vec();
        sector.extend(self.checksum(offset, payload).to_le_bytes());
        debug_assert_eq!(self.state(offset, &sector), SectorState::Valid, "it reads as valid");
        sector
    }

    /// Returns the payload of the sectors that were read at `offset`.
    ///
    /// # Errors
    /// The offset and the state of the first sector that is not valid.
    pub(crate) fn unframe(
        self,
        offset: u64,
        sectors: &[u8],
    ) -> Result<Vec<u8>, (u64, SectorState)> {
        let mut payload = Vec::with_capacity(sectors.len() / SECTOR_BYTES * PAYLOAD_BYTES);
        let mut place = offset;
        for sector in sectors.chunks(SECTOR_BYTES) {
            match self.state(place, sector) {
                SectorState::Valid => payload.extend_from_slice(&sector[..PAYLOAD_BYTES]),
                state => return Err((place, state)),
            }
            place += SECTOR_BYTES as u64;
        }
        Ok(payload)
    }
}

/// Frames a payload in sectors, piece by piece; each byte is copied once.
#[derive(Clone, Debug)]
pub(crate) struct Framer {
    codec: SectorCodec,
    offset: u64,
    framed: Vec<u8>,
    length: usize,
}

impl Framer {
    /// Creates a framer of `payload` bytes in sectors that begin at `offset`.
    pub(crate) fn new(codec: SectorCodec, offset: u64, payload: usize) -> Framer {
        let length = framed_bytes(payload);
        Framer { codec, offset, framed: Vec::with_capacity(length), length }
    }

    /// Appends the next bytes of the payload.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PAYLOAD_BYTES - self.framed.len() % SECTOR_BYTES;
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.framed.extend_from_slice(piece);
            if piece.len() == room {
                self.end_sector();
            }
            bytes = rest;
        }
    }

    fn end_sector(&mut self) {
        assert!(self.framed.len() + 4 <= self.length, "the payload is not longer than announced");
        let start = self.framed.len() - PAYLOAD_BYTES;
        assert!(start.is_multiple_of(SECTOR_BYTES), "a sector ends when it is full");
        let sum = self.codec.checksum(self.offset + start as u64, &self.framed[start..]);
        self.framed.extend_from_slice(&sum.to_le_bytes());
    }

    /// Returns the sectors, padded to whole pages.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let begun = self.framed.len() % SECTOR_BYTES;
        if begun > 0 {
            self.framed.resize(self.framed.len() + PAYLOAD_BYTES - begun, 0);
            self.end_sector();
        }
        while self.framed.len() < self.length {
            let sum = self.codec.checksum_of_zeros(self.offset + self.framed.len() as u64);
            self.framed.resize(self.framed.len() + PAYLOAD_BYTES, 0);
            self.framed.extend_from_slice(&sum.to_le_bytes());
        }
        assert_eq!(self.framed.len(), self.length, "the payload has the announced length");
        self.framed
    }
}

/// Returns the sector that stands for one that cannot be read. It is bad in every place, because
/// its checksum is 0 and its payload is not zeros.
pub(crate) fn unreadable_sector() -> [u8; SECTOR_BYTES] {
    let mut sector = [0; SECTOR_BYTES];
    sector[..12].copy_from_slice(b"unreadable\0\0");
    sector
}

/// Returns true if a sector, or a part of one, is all zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
    *bytes == ZEROS[..bytes.len()]
}

/// Returns the bytes that a payload of `payload` bytes occupies in a zone.
pub(crate) const fn framed_bytes(payload: usize) -> usize {
    let sectors = payload.div_ceil(PAYLOAD_BYTES) * SECTOR_BYTES;
    sectors.div_ceil(PAGE_BYTES) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(codec: SectorCodec, offset: u64, payload: &[u8]) -> Vec<u8> {
        let mut framer = Framer::new(codec, offset, payload.len());
        framer.push(payload);
        framer.finish()
    }

    #[test]
    fn a_framed_payload_unframes_to_itself_and_is_padded_to_pages() {
        let codec = SectorCodec::new(7, Zone::Bodies);
        for length in [1, 507, 508, 509, 4064, 4065, 9000] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let framed = frame(codec, 8192, &payload);
            assert_eq!(framed.len(), framed_bytes(length));
            assert_eq!(framed.len() % PAGE_BYTES, 0);
            let back = codec.unframe(8192, &framed).expect("the sectors are valid");
            assert_eq!(back[..length], payload);
            assert!(back[length..].iter().all(|byte| *byte == 0));
            for size in [1, 100, 508, 600] {
                let mut framer = Framer::new(codec, 8192, length);
                payload.chunks(size).for_each(|piece| framer.push(piece));
                assert_eq!(framer.finish(), framed, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn the_table_checksum_of_zeros_equals_the_computed_one() {
        for salt in 0..100 {
            let (codec, offset) =
                (SectorCodec::new(salt, Zone::Bodies), (salt << (salt % 48)) * 512);
            let sum = codec.checksum(offset, &[0; PAYLOAD_BYTES]);
            assert_eq!(codec.checksum_of_zeros(offset), sum, "{salt}");
        }
    }

    #[test]
    fn a_sector_of_another_offset_segment_or_zone_is_bad() {
        let framed = frame(SectorCodec::new(7, Zone::Bodies), 0, &[0; 508]);
        let sector = &framed[..512];
        assert_eq!(SectorCodec::new(7, Zone::Bodies).state(0, sector), SectorState::Valid);
        assert_eq!(SectorCodec::new(7, Zone::Bodies).state(512, sector), SectorState::Bad);
        assert_eq!(SectorCodec::new(8, Zone::Bodies).state(0, sector), SectorState::Bad);
        assert_eq!(SectorCodec::new(7, Zone::Headers).state(0, sector), SectorState::Bad);
    }

    #[test]
    fn every_flipped_bit_is_detected_and_zeros_read_as_unwritten() {
        let codec = SectorCodec::new(1, Zone::Headers);
        assert_eq!(codec.state(0, &[0; 512]), SectorState::Zero);
        assert_eq!(codec.state(0, &[0; 100]), SectorState::Bad);
        let framed = frame(codec, 0, b"content");
        for bit in 0..512 * 8 {
            let mut sector = framed[..512].to_vec();
            sector[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(codec.state(0, &sector), SectorState::Bad, "bit {bit}");
        }
    }
}
