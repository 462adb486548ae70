//! Compact storage of sectors. A run keeps most of the sectors that were ever written, and most
//! sectors of a log are zeros followed by a checksum.

use std::sync::Arc;

/// The size of a sector, which a disk stores or loses as a whole, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// The content of a sector.
pub(super) type Sector = [u8; SECTOR_BYTES];

pub(super) const ZEROS: Sector = [0; SECTOR_BYTES];

/// The size of the end of a sector, which is stored uncompressed, in bytes.
const END_BYTES: usize = 8;
/// The size of the pieces before the end, in bytes; trailing pieces of zeros are omitted.
const PIECE_BYTES: usize = 56;

const _: () = assert!((SECTOR_BYTES - END_BYTES).is_multiple_of(PIECE_BYTES));

/// Consecutive sectors, each as the number of its pieces, its end, and its pieces.
#[derive(Clone, Debug)]
pub(super) struct Packed(Arc<[u8]>);

/// A sector, packed or unpacked.
#[derive(Clone, Copy)]
pub(super) struct SectorParts<'a> {
    pieces: &'a [u8],
    end: &'a [u8; END_BYTES],
}

impl Packed {
    pub(super) fn of(sectors: &[Sector]) -> Packed {
        let mut packed = Vec::with_capacity(2 * SECTOR_BYTES);
        for sector in sectors {
            let SectorParts { pieces, end } = SectorParts::of(sector);
            let (pieces, _) = pieces.as_chunks::<PIECE_BYTES>();
            let is_zero =
                |piece: &[u8; PIECE_BYTES]| piece.iter().fold(0, |all, byte| all | byte) == 0;
            let count = pieces.iter().rposition(|piece| !is_zero(piece)).map_or(0, |last| last + 1);
            packed.push(count as u8);
            packed.extend_from_slice(end);
            packed.extend_from_slice(pieces[..count].as_flattened());
        }
        Packed(packed.into())
    }

    /// Returns all sectors in order.
    pub(super) fn sectors(&self) -> impl Iterator<Item = SectorParts<'_>> {
        let mut left = &self.0[..];
        std::iter::from_fn(move || {
            let (&count, after) = left.split_first()?;
            let (end, after) = after.split_first_chunk()?;
            let pieces;
            (pieces, left) = after.split_at_checked(usize::from(count) * PIECE_BYTES)?;
            Some(SectorParts { pieces, end })
        })
    }

    /// Returns the sector that has `before` sectors before it, if there is one.
    pub(super) fn sector(&self, before: usize) -> Option<Sector> {
        self.sectors().nth(before).map(SectorParts::whole)
    }
}

impl<'a> SectorParts<'a> {
    pub(super) fn of(sector: &'a Sector) -> SectorParts<'a> {
        let (pieces, end) = sector.split_last_chunk().expect("a sector is longer than its end");
        SectorParts { pieces, end }
    }

    pub(super) fn whole(self) -> Sector {
        let mut sector = ZEROS;
        self.copy_to(&mut sector);
        sector
    }

    pub(super) fn copy_to(self, sector: &mut Sector) {
        let (pieces, end) = sector.split_last_chunk_mut().expect("a sector is longer than its end");
        let (kept, zeros) = pieces.split_at_mut(self.pieces.len());
        kept.copy_from_slice(self.pieces);
        zeros.fill(0);
        *end = *self.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sectors_unpack_to_the_same_bytes() {
        let mut sectors = vec![ZEROS, [7; SECTOR_BYTES]];
        for place in [0, 1, 55, 56, 111, 447, 448, 503, 504, 511] {
            let mut sector = ZEROS;
            sector[place] = 1;
            sectors.push(sector);
        }
        let packed = Packed::of(&sectors);
        assert_eq!(packed.sectors().map(SectorParts::whole).collect::<Vec<_>>(), sectors);
        let one_by_one = (0..=sectors.len()).map_while(|before| packed.sector(before));
        assert_eq!(one_by_one.collect::<Vec<_>>(), sectors);
    }

    #[test]
    fn a_padding_sector_takes_nine_bytes() {
        let mut padding = ZEROS;
        padding[SECTOR_BYTES - 4..].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(Packed::of(&[padding; 7]).0.len(), 7 * (1 + END_BYTES));
    }
}
