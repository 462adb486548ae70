//! One file: what the disk has of it, and what the cache shows.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use quorate::storage::FileName;

/// What a disk stores or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

type Sector = Arc<[u8; SECTOR_BYTES]>;

/// A file. Sectors that are not in its tables are zeros.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// The last name it had.
    pub(super) name: FileName,
    /// Its size, as the cache shows it.
    bytes: u64,
    /// Its size on the disk.
    durable_bytes: u64,
    durable: BTreeMap<u64, Sector>,
    cache: BTreeMap<u64, Cached>,
}

/// A sector of which the cache may show something else than the disk has.
#[derive(Clone, Debug)]
struct Cached {
    shown: Sector,
    /// What was written and not synced, the oldest first: the disk may have stored any of it.
    unsynced: Vec<Version>,
}

/// A sector as one write left it.
#[derive(Clone, Debug)]
struct Version {
    sector: Sector,
    /// The size of the file, as far as storing this sector makes it so.
    end: u64,
}

impl File {
    /// A file of zeros, all of them durable.
    pub(super) fn new(name: FileName, bytes: u64) -> File {
        let (durable, cache) = (BTreeMap::new(), BTreeMap::new());
        File { name, bytes, durable_bytes: bytes, durable, cache }
    }

    /// Its size, as the cache shows it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the cache shows from `offset` on, at most `count` bytes.
    pub(super) fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let left = self.bytes.saturating_sub(offset);
        let count = usize::try_from(left).map_or(count, |left| count.min(left));
        let mut read = Vec::with_capacity(count);
        let range = sectors(offset, count);
        for (&number, sector) in self.durable.range(range.clone()) {
            let (inside, outside) = overlap(number, offset, count);
            read.resize(outside.start, 0);
            read.extend_from_slice(&sector[inside]);
        }
        read.resize(count, 0);
        for (&number, cached) in self.cache.range(range) {
            copy_out(number, &cached.shown, offset, &mut read);
        }
        read
    }

    /// Writes into the cache. What is not `stored` never gets from there to the disk.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], stored: bool) {
        let end = offset + bytes.len() as u64;
        self.bytes = self.bytes.max(if bytes.is_empty() { 0 } else { end });
        for number in sectors(offset, bytes.len()) {
            let mut sector = self.shown(number);
            copy_in(number, Arc::make_mut(&mut sector), offset, bytes);
            let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
            let cached = self
                .cache
                .entry(number)
                .or_insert_with(|| Cached { shown: Arc::clone(&sector), unsynced: Vec::new() });
            cached.shown = Arc::clone(&sector);
            if stored {
                cached.unsynced.push(Version { sector, end });
            }
        }
    }

    /// What the cache shows of a sector.
    fn shown(&self, number: u64) -> Sector {
        let cached = self.cache.get(&number).map(|cached| &cached.shown);
        let shown = cached.or_else(|| self.durable.get(&number));
        shown.map_or_else(|| Arc::new([0; SECTOR_BYTES]), Arc::clone)
    }

    /// Stores the first `count` of the unsynced sectors; the others count as clean, and the cache
    /// goes on to show what the disk does not have.
    pub(super) fn sync(&mut self, count: usize) {
        let mut left = count;
        for (number, mut cached) in mem::take(&mut self.cache) {
            if let Some(version) = cached.unsynced.pop()
                && left > 0
            {
                left -= 1;
                let is_shown = version.sector == cached.shown;
                self.store(number, version);
                if is_shown {
                    continue;
                }
            }
            cached.unsynced.clear();
            self.cache.insert(number, cached);
        }
        if left > 0 {
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        }
    }

    fn store(&mut self, number: u64, version: Version) {
        self.durable_bytes = self.durable_bytes.max(version.end);
        if version.sector.iter().all(|&byte| byte == 0) {
            self.durable.remove(&number);
        } else {
            self.durable.insert(number, version.sector);
        }
    }

    /// Stores what the cache shows of these sectors.
    pub(super) fn store_shown(&mut self, sectors: std::ops::Range<u64>) {
        for number in sectors {
            let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
            self.store(number, Version { sector: self.shown(number), end });
        }
    }

    /// The sectors on the disk that are not zeros.
    pub(super) fn stored(&self) -> impl Iterator<Item = u64> {
        self.durable.keys().copied()
    }

    /// Every unsynced write of a sector: the sector's number, and the write's place among those
    /// of the sector.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = (u64, usize)> {
        self.cache.iter().flat_map(|(&number, cached)| {
            (0..cached.unsynced.len()).map(move |version| (number, version))
        })
    }

    /// How many sectors have something unsynced.
    pub(super) fn unsynced_sectors(&self) -> usize {
        self.cache.values().filter(|cached| !cached.unsynced.is_empty()).count()
    }

    /// The power fails: of a sector's unsynced writes the last one that `keep` wants is stored,
    /// and the cache is gone. `keep` gets the sector's number and the write's place.
    pub(super) fn crash(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        for (number, cached) in mem::take(&mut self.cache) {
            for (place, version) in cached.unsynced.into_iter().enumerate() {
                if keep(number, place) {
                    self.store(number, version);
                }
            }
        }
        self.bytes = self.durable_bytes;
    }

    /// The cache forgets what it takes for clean.
    pub(super) fn forget_clean(&mut self) {
        let mut bytes = self.durable_bytes;
        self.cache.retain(|_, cached| {
            let Some(last) = cached.unsynced.last() else { return false };
            bytes = bytes.max(last.end);
            cached.shown = Arc::clone(&last.sector);
            true
        });
        self.bytes = bytes;
    }

    /// Flips bits of a byte on the disk; false if the disk has no such byte.
    pub(super) fn flip(&mut self, offset: u64, bits: u8) -> bool {
        if offset >= self.durable_bytes {
            return false;
        }
        let (number, place) = place_of(offset);
        let mut sector = self.durable_sector(number);
        Arc::make_mut(&mut sector)[place] ^= bits;
        self.store(number, Version { sector, end: 0 });
        true
    }

    /// Overwrites bytes on the disk behind the cache's back, from the start of the sector of
    /// `offset`, as far as the file goes there.
    pub(super) fn overwrite(&mut self, offset: u64, bytes: &[u8]) {
        let start = offset - offset % SECTOR_BYTES as u64;
        let left = self.durable_bytes.saturating_sub(start);
        let count = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
        for number in sectors(start, count) {
            let mut sector = self.durable_sector(number);
            copy_in(number, Arc::make_mut(&mut sector), start, &bytes[..count]);
            self.store(number, Version { sector, end: 0 });
        }
    }

    fn durable_sector(&self, number: u64) -> Sector {
        let sector = self.durable.get(&number);
        sector.map_or_else(|| Arc::new([0; SECTOR_BYTES]), Arc::clone)
    }
}

/// The numbers of the sectors that `count` bytes at `offset` touch.
pub(super) fn sectors(offset: u64, count: usize) -> std::ops::Range<u64> {
    let first = offset / SECTOR_BYTES as u64;
    if count == 0 {
        return first..first;
    }
    first..(offset + count as u64).div_ceil(SECTOR_BYTES as u64)
}

/// The sector of a byte, and the byte's place in it.
fn place_of(offset: u64) -> (u64, usize) {
    (offset / SECTOR_BYTES as u64, (offset % SECTOR_BYTES as u64) as usize)
}

/// Copies what sector `number` has of the bytes at `offset` to their places in `into`.
fn copy_out(number: u64, sector: &[u8; SECTOR_BYTES], offset: u64, into: &mut [u8]) {
    let (inside, outside) = overlap(number, offset, into.len());
    into[outside].copy_from_slice(&sector[inside]);
}

/// Copies what belongs to sector `number` of the bytes `from`, which go to `offset`.
fn copy_in(number: u64, sector: &mut [u8; SECTOR_BYTES], offset: u64, from: &[u8]) {
    let (inside, outside) = overlap(number, offset, from.len());
    sector[inside].copy_from_slice(&from[outside]);
}

/// Where sector `number` and `count` bytes at `offset` meet: in the sector, and in the bytes.
fn overlap(
    number: u64,
    offset: u64,
    count: usize,
) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let start = number * SECTOR_BYTES as u64;
    let first = start.max(offset);
    let end = (start + SECTOR_BYTES as u64).min(offset + count as u64);
    assert!(first < end, "a sector is asked for because it meets the bytes");
    let inside = (first - start) as usize..(end - start) as usize;
    let outside = (first - offset) as usize..(end - offset) as usize;
    (inside, outside)
}
