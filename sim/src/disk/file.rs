//! One file: what the disk has of it, and what the cache shows.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use quorate::storage::FileName;

/// What a disk stores or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

/// The content of a sector. What one write covers shares its bytes.
#[derive(Clone, Debug)]
struct Sector {
    bytes: Arc<[u8]>,
    /// Where the sector begins in them.
    start: usize,
}

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
    /// What was written and not synced, the oldest first: the disk may have stored any of it.
    unsynced: Vec<Version>,
    /// What the cache shows in place of the last unsynced write, or of what the disk has: the disk
    /// lost it, and does not know.
    astray: BTreeMap<u64, Sector>,
}

/// A sector as one write left it.
#[derive(Clone, Debug)]
struct Version {
    number: u64,
    sector: Sector,
    /// The size of the file, as far as storing this sector makes it so.
    end: u64,
}

impl Deref for Sector {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + SECTOR_BYTES]
    }
}

impl Sector {
    /// The sectors in `bytes`, which are whole.
    fn all_of(bytes: Arc<[u8]>) -> impl Iterator<Item = Sector> {
        assert!(bytes.len().is_multiple_of(SECTOR_BYTES), "a sector is written as a whole");
        let starts = (0..bytes.len()).step_by(SECTOR_BYTES);
        starts.map(move |start| Sector { bytes: Arc::clone(&bytes), start })
    }

    /// Whether it is all zeros. Most that are not are seen by their ends, where checksums stand.
    fn is_zero(&self) -> bool {
        self.ends_with(&[0; 4]) && **self == [0; SECTOR_BYTES]
    }
}

impl File {
    /// A file of zeros, all of them durable.
    pub(super) fn new(name: FileName, bytes: u64) -> File {
        let (durable, unsynced, astray) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        File { name, bytes, durable_bytes: bytes, durable, unsynced, astray }
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
        for version in self.unsynced.iter().filter(|version| range.contains(&version.number)) {
            copy_out(version.number, &version.sector, offset, &mut read);
        }
        for (&number, sector) in self.astray.range(range) {
            copy_out(number, sector, offset, &mut read);
        }
        read
    }

    /// Writes into the cache. What is not `stored` never gets from there to the disk.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], stored: bool) {
        let end = offset + bytes.len() as u64;
        self.bytes = self.bytes.max(if bytes.is_empty() { 0 } else { end });
        let numbers = sectors(offset, bytes.len());
        let content = self.whole(offset, bytes, |file, number| file.shown(number));
        for (number, sector) in numbers.zip(Sector::all_of(content)) {
            if stored {
                let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
                self.astray.remove(&number);
                self.unsynced.push(Version { number, sector, end });
            } else {
                self.astray.insert(number, sector);
            }
        }
    }

    /// The sectors that `bytes` at `offset` touch, with those bytes in their places. What else
    /// they have is what `before` gives.
    fn whole(
        &self,
        offset: u64,
        bytes: &[u8],
        before: impl Fn(&File, u64) -> Option<Sector>,
    ) -> Arc<[u8]> {
        let numbers = sectors(offset, bytes.len());
        let count = (numbers.end - numbers.start) as usize * SECTOR_BYTES;
        if count == bytes.len() {
            return Arc::from(bytes);
        }
        let mut content = vec![0; count];
        let (start, last) = (numbers.start * SECTOR_BYTES as u64, numbers.end - 1);
        for number in [numbers.start, last] {
            if let Some(sector) = before(self, number) {
                copy_out(number, &sector, start, &mut content);
            }
        }
        let first = (offset - start) as usize;
        content[first..first + bytes.len()].copy_from_slice(bytes);
        content.into()
    }

    /// What the cache shows of a sector; none if it is zeros.
    fn shown(&self, number: u64) -> Option<Sector> {
        let last = || self.unsynced.iter().rfind(|version| version.number == number);
        let written = || last().map(|version| &version.sector);
        let shown = self.astray.get(&number).or_else(written);
        shown.or_else(|| self.durable.get(&number)).cloned()
    }

    /// Takes the unsynced writes, sector by sector, and of each the oldest first.
    fn take_unsynced(&mut self) -> Vec<Version> {
        let mut unsynced = mem::take(&mut self.unsynced);
        unsynced.sort_by_key(|version| version.number);
        unsynced
    }

    /// Stores the first `count` of the unsynced sectors; the others count as clean, and the cache
    /// goes on to show what the disk does not have.
    pub(super) fn sync(&mut self, count: usize) {
        let mut left = count;
        let mut unsynced = self.take_unsynced();
        for place in 0..unsynced.len() {
            let number = unsynced[place].number;
            if unsynced.get(place + 1).is_some_and(|next| next.number == number) {
                continue;
            }
            let version = unsynced[place].clone();
            if left == 0 {
                self.astray.entry(number).or_insert(version.sector);
                continue;
            }
            left -= 1;
            if self.astray.get(&number).is_some_and(|shown| **shown == *version.sector) {
                self.astray.remove(&number);
            }
            self.store(version);
        }
        if left > 0 {
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        }
        unsynced.clear();
        // Kept for its memory alone.
        self.unsynced = unsynced;
    }

    fn store(&mut self, version: Version) {
        self.durable_bytes = self.durable_bytes.max(version.end);
        if version.sector.is_zero() {
            self.durable.remove(&version.number);
        } else {
            self.durable.insert(version.number, version.sector);
        }
    }

    /// Stores what the cache shows of these sectors.
    pub(super) fn store_shown(&mut self, sectors: std::ops::Range<u64>) {
        for number in sectors {
            let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
            self.durable_bytes = self.durable_bytes.max(end);
            if let Some(sector) = self.shown(number) {
                self.store(Version { number, sector, end });
            }
        }
    }

    /// The sectors on the disk that are not zeros.
    pub(super) fn stored(&self) -> impl Iterator<Item = u64> {
        self.durable.keys().copied()
    }

    /// Every unsynced write of a sector: the sector's number, and the write's place among those
    /// of the sector.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = (u64, usize)> {
        let mut numbers: Vec<u64> = self.unsynced.iter().map(|version| version.number).collect();
        numbers.sort_unstable();
        numbers.into_iter().scan(None, |last, number| Some(placed(last, number)))
    }

    /// How many sectors have something unsynced.
    pub(super) fn unsynced_sectors(&self) -> usize {
        self.unsynced().filter(|(_, place)| *place == 0).count()
    }

    /// The power fails: of a sector's unsynced writes the last one that `keep` wants is stored,
    /// and the cache is gone. `keep` gets the sector's number and the write's place.
    pub(super) fn crash(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        let mut last = None;
        for version in self.take_unsynced() {
            let (number, place) = placed(&mut last, version.number);
            if keep(number, place) {
                self.store(version);
            }
        }
        self.astray.clear();
        self.bytes = self.durable_bytes;
    }

    /// The cache forgets what it takes for clean.
    pub(super) fn forget_clean(&mut self) {
        self.astray.clear();
        let ends = self.unsynced.iter().map(|version| version.end);
        self.bytes = ends.fold(self.durable_bytes, u64::max);
    }

    /// Flips bits of a byte on the disk; false if the disk has no such byte.
    pub(super) fn flip(&mut self, offset: u64, bits: u8) -> bool {
        if offset >= self.durable_bytes {
            return false;
        }
        let number = offset / SECTOR_BYTES as u64;
        let has = self.durable.get(&number);
        let before = has.map_or(0, |sector| sector[(offset % SECTOR_BYTES as u64) as usize]);
        self.overwrite_from(offset, &[before ^ bits]);
        true
    }

    /// Overwrites bytes on the disk behind the cache's back, from the start of the sector of
    /// `offset`, as far as the file goes there.
    pub(super) fn overwrite(&mut self, offset: u64, bytes: &[u8]) {
        let start = offset - offset % SECTOR_BYTES as u64;
        let left = self.durable_bytes.saturating_sub(start);
        let count = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
        self.overwrite_from(start, &bytes[..count]);
    }

    fn overwrite_from(&mut self, offset: u64, bytes: &[u8]) {
        let content = self.whole(offset, bytes, |file, number| file.durable.get(&number).cloned());
        for (number, sector) in sectors(offset, bytes.len()).zip(Sector::all_of(content)) {
            self.store(Version { number, sector, end: 0 });
        }
    }
}

/// A sector's number, and how many before it in an order by number had the same; `last` remembers
/// the one before.
fn placed(last: &mut Option<(u64, usize)>, number: u64) -> (u64, usize) {
    let place = match *last {
        Some((before, place)) if before == number => place + 1,
        _ => 0,
    };
    *last = Some((number, place));
    (number, place)
}

/// The numbers of the sectors that `count` bytes at `offset` touch.
pub(super) fn sectors(offset: u64, count: usize) -> std::ops::Range<u64> {
    let first = offset / SECTOR_BYTES as u64;
    if count == 0 {
        return first..first;
    }
    first..(offset + count as u64).div_ceil(SECTOR_BYTES as u64)
}

/// Copies what sector `number` has of the bytes at `offset` to their places in `into`.
fn copy_out(number: u64, sector: &[u8], offset: u64, into: &mut [u8]) {
    let (inside, outside) = overlap(number, offset, into.len());
    into[outside].copy_from_slice(&sector[inside]);
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
