//! One file: its content on the disk, and its content in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Range;

use quorate::storage::FileName;

use crate::disk::packed::{Packed, SECTOR_BYTES, Sector, SectorParts, ZEROS};

/// The number of sectors of a page. Pages are small because most writes cover one sector.
const PAGE_SECTORS: usize = 8;
const PAGE_BYTES: usize = PAGE_SECTORS * SECTOR_BYTES;

/// A file of a simulated disk.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// The name that the file was given last; the durable directory may still have an earlier one.
    pub(super) name: FileName,
    /// The size in bytes, as the cache shows it.
    bytes: u64,
    /// The size on the disk, in bytes.
    durable_bytes: u64,
    durable: Pages,
    /// The unsynced writes, the oldest first: the disk may have stored any of their sectors.
    unsynced: Vec<UnsyncedWrite>,
    /// Sectors that the cache shows in place of the last unsynced write or of the disk's content,
    /// because the disk did not store them.
    unstored: BTreeMap<u64, Sector>,
    /// Sectors that the disk cannot read until it stores them again.
    unreadable: BTreeSet<u64>,
}

/// Pages by number; missing ones are zeros. A page that one write covers exactly shares its bytes.
#[derive(Clone, Debug, Default)]
struct Pages(BTreeMap<u64, Packed>);

/// Whole sectors, as one write left them.
#[derive(Clone, Debug)]
struct UnsyncedWrite {
    /// The numbers of the sectors.
    numbers: Range<u64>,
    sectors: Packed,
    /// The size of the file after the write, in bytes.
    size: u64,
}

impl Pages {
    /// Returns the `count` bytes from `offset` on.
    fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut read = vec![0; count];
        for (&number, page) in self.0.range(pages(offset, count)) {
            copy_all(number * PAGE_SECTORS as u64, page, offset, &mut read);
        }
        read
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        for number in pages(offset, bytes.len()) {
            let (inside, outside) = overlap(number, PAGE_BYTES, offset, bytes.len());
            let mut page = self.0.get(&number).map_or([ZEROS; PAGE_SECTORS], page_of);
            page.as_flattened_mut()[inside].copy_from_slice(&bytes[outside]);
            self.0.insert(number, Packed::of(&page));
        }
    }

    /// Stores the content of a write.
    fn apply(&mut self, written: UnsyncedWrite) {
        let Range { start, end } = written.numbers;
        let sectors = PAGE_SECTORS as u64;
        if start.is_multiple_of(sectors) && end == start + sectors {
            self.0.insert(start / sectors, written.sectors);
        } else {
            let whole: Vec<Sector> = written.sectors.sectors().map(SectorParts::whole).collect();
            self.write(start * SECTOR_BYTES as u64, whole.as_flattened());
        }
    }

    fn sector(&self, number: u64) -> Sector {
        let page = self.0.get(&(number / PAGE_SECTORS as u64));
        let within = (number % PAGE_SECTORS as u64) as usize;
        page.and_then(|page| page.sector(within)).unwrap_or(ZEROS)
    }

    /// Returns the numbers of the sectors that are not zeros.
    fn stored(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(number, page)| {
            let sectors = (number * PAGE_SECTORS as u64..).zip(page.sectors());
            sectors.filter(|(_, sector)| sector.whole() != ZEROS).map(|(number, _)| number)
        })
    }
}

impl UnsyncedWrite {
    /// Returns the content of a sector, if the write covers it.
    fn sector(&self, number: u64) -> Option<Sector> {
        self.sectors.sector(usize::try_from(number.checked_sub(self.numbers.start)?).ok()?)
    }

    /// Returns the smallest size of the file once the disk has stored this sector of the write.
    fn end(&self, number: u64) -> u64 {
        self.size.min((number + 1) * SECTOR_BYTES as u64)
    }
}

impl File {
    /// Returns a file of zeros, all of them durable.
    pub(super) fn new(name: FileName, bytes: u64) -> File {
        let (durable, unsynced, unstored) = (Pages::default(), Vec::new(), BTreeMap::new());
        let unreadable = BTreeSet::new();
        File { name, bytes, durable_bytes: bytes, durable, unsynced, unstored, unreadable }
    }

    /// Returns the size, as the cache shows it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns at most `count` bytes from `offset` on, as the cache shows them.
    pub(super) fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let left = self.bytes.saturating_sub(offset);
        let count = usize::try_from(left).map_or(count, |left| count.min(left));
        let mut read = self.durable.read(offset, count);
        for written in &self.unsynced {
            copy_all(written.numbers.start, &written.sectors, offset, &mut read);
        }
        for (&number, sector) in self.unstored.range(sectors(offset, count)) {
            copy_out(number, SectorParts::of(sector), offset, &mut read);
        }
        read
    }

    /// Returns true if the disk or the cache has every sector of these bytes.
    pub(super) fn is_readable(&self, offset: u64, count: usize) -> bool {
        let is_cached = |number: &u64| {
            let written = |written: &UnsyncedWrite| written.numbers.contains(number);
            self.unstored.contains_key(number) || self.unsynced.iter().any(written)
        };
        self.unreadable.range(sectors(offset, count)).all(is_cached)
    }

    /// Writes into the cache. If not `stored`, the write never reaches the disk.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], stored: bool) {
        if bytes.is_empty() {
            return;
        }
        self.bytes = self.bytes.max(offset + bytes.len() as u64);
        let numbers = sectors(offset, bytes.len());
        let sectors = self.whole_sectors(offset, bytes);
        if stored {
            if !self.unstored.is_empty() {
                self.unstored.retain(|number, _| !numbers.contains(number));
            }
            self.unsynced.push(UnsyncedWrite { numbers, sectors, size: self.bytes });
        } else {
            self.unstored.extend(numbers.zip(sectors.sectors().map(SectorParts::whole)));
        }
    }

    /// Returns the sectors that `bytes` at `offset` touch, with those bytes in their places, and
    /// the cached content around them.
    fn whole_sectors(&self, offset: u64, bytes: &[u8]) -> Packed {
        if offset.is_multiple_of(SECTOR_BYTES as u64)
            && let (whole, []) = bytes.as_chunks()
        {
            return Packed::of(whole);
        }
        let numbers = sectors(offset, bytes.len());
        let start = numbers.start * SECTOR_BYTES as u64;
        let mut content: Vec<Sector> = numbers.map(|number| self.cached_sector(number)).collect();
        let first = (offset - start) as usize;
        content.as_flattened_mut()[first..first + bytes.len()].copy_from_slice(bytes);
        Packed::of(&content)
    }

    /// Returns the content of a sector, as the cache shows it.
    fn cached_sector(&self, number: u64) -> Sector {
        let written = || self.unsynced.iter().rev().find_map(|written| written.sector(number));
        let shown = self.unstored.get(&number).copied().or_else(written);
        shown.unwrap_or_else(|| self.durable.sector(number))
    }

    /// Returns the unsynced versions of all sectors, by sector and then the oldest first: the
    /// number of the sector, and the index of the write in `unsynced`.
    fn versions(&self) -> Vec<(u64, usize)> {
        let writes = self.unsynced.iter().enumerate();
        let versions =
            writes.flat_map(|(place, w)| w.numbers.clone().map(move |number| (number, place)));
        let mut versions: Vec<(u64, usize)> = versions.collect();
        versions.sort_unstable();
        versions
    }

    /// Stores all unsynced writes.
    pub(super) fn sync(&mut self) {
        if self.unstored.is_empty() {
            if !self.unreadable.is_empty() {
                let written = |number: &u64| {
                    self.unsynced.iter().any(|written| written.numbers.contains(number))
                };
                self.unreadable.retain(|number| !written(number));
            }
            self.unsynced.drain(..).for_each(|written| self.durable.apply(written));
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        } else {
            self.sync_first(usize::MAX);
        }
    }

    /// Stores the first `count` unsynced sectors; the others count as clean, and the cache still
    /// shows them although the disk does not have them.
    pub(super) fn sync_first(&mut self, count: usize) {
        let mut left = count;
        let versions = self.versions();
        let unsynced = mem::take(&mut self.unsynced);
        for (at, &(number, place)) in versions.iter().enumerate() {
            if versions.get(at + 1).is_some_and(|(next, _)| *next == number) {
                continue;
            }
            let sector = unsynced[place].sector(number).expect("the write covers the sector");
            if left == 0 {
                self.unstored.entry(number).or_insert(sector);
                continue;
            }
            left -= 1;
            if self.unstored.get(&number) == Some(&sector) {
                self.unstored.remove(&number);
            }
            self.store(number, &sector, unsynced[place].end(number));
        }
        if left > 0 {
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        }
    }

    /// Stores a sector, and grows the file to `end` if it is shorter.
    fn store(&mut self, number: u64, sector: &Sector, end: u64) {
        self.durable_bytes = self.durable_bytes.max(end);
        self.durable.write(number * SECTOR_BYTES as u64, sector);
        self.unreadable.remove(&number);
    }

    /// Stores these sectors, as the cache shows them.
    pub(super) fn store_cached(&mut self, sectors: Range<u64>) {
        for number in sectors {
            let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
            self.store(number, &self.cached_sector(number), end);
        }
    }

    /// Returns true if the pages of all these sectors were stored before, by any write: a page may
    /// have lost its content since.
    pub(super) fn was_written(&self, sectors: &Range<u64>) -> bool {
        let page = |sector: u64| sector / PAGE_SECTORS as u64;
        let mut pages = page(sectors.start)..=page(sectors.end.saturating_sub(1));
        !sectors.is_empty() && pages.all(|page| self.durable.0.contains_key(&page))
    }

    /// Returns the stored sectors that are not zeros.
    pub(super) fn stored(&self) -> impl Iterator<Item = u64> {
        self.durable.stored()
    }

    /// Returns the unsynced versions of all sectors: the number of the sector, and the index of the
    /// version among those of the sector, from 0.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = (u64, usize)> {
        let versions = self.versions().into_iter();
        versions.scan(None, |last, (number, _)| Some(number_version(last, number)))
    }

    /// Returns the number of sectors with unsynced writes.
    pub(super) fn unsynced_sectors(&self) -> usize {
        self.unsynced().filter(|(_, place)| *place == 0).count()
    }

    /// Simulates a power failure: of a sector's unsynced versions, the last one that `keep` selects
    /// is stored, and the cache is lost. `keep` gets the number of the sector and the index of the
    /// version.
    pub(super) fn crash(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        let mut last = None;
        let versions = self.versions();
        let unsynced = mem::take(&mut self.unsynced);
        for (number, version) in versions {
            let written = &unsynced[version];
            let (number, place) = number_version(&mut last, number);
            if keep(number, place) {
                let sector = written.sector(number).expect("the write covers the sector");
                self.store(number, &sector, written.end(number));
            }
        }
        self.unstored.clear();
        self.bytes = self.durable_bytes;
    }

    /// Drops the clean part of the cache.
    pub(super) fn forget_clean(&mut self) {
        self.unstored.clear();
        let ends = self.unsynced.iter().map(|written| written.end(written.numbers.end - 1));
        self.bytes = ends.fold(self.durable_bytes, u64::max);
    }

    /// Flips bits of a byte on the disk; returns false if there is no such byte.
    pub(super) fn flip(&mut self, offset: u64, bits: u8) -> bool {
        if offset >= self.durable_bytes {
            return false;
        }
        let sector = self.durable.sector(offset / SECTOR_BYTES as u64);
        let before = sector[(offset % SECTOR_BYTES as u64) as usize];
        self.durable.write(offset, &[before ^ bits]);
        true
    }

    /// Returns the content of a sector on the disk; `None` if the disk cannot read it.
    pub(super) fn durable_sector(&self, number: u64) -> Option<Sector> {
        (!self.unreadable.contains(&number)).then(|| self.durable.sector(number))
    }

    /// Replaces a sector on the disk, or makes it unreadable. Returns false if there is no such
    /// sector.
    pub(super) fn damage_sector(&mut self, number: u64, content: Option<&Sector>) -> bool {
        let offset = number * SECTOR_BYTES as u64;
        if offset >= self.durable_bytes {
            return false;
        }
        match content {
            Some(content) => self.durable.write(offset, content),
            None => _ = self.unreadable.insert(number),
        }
        true
    }

    /// Overwrites bytes on the disk but not in the cache: from the start of the sector of `offset`,
    /// to the end of the file at most.
    pub(super) fn overwrite(&mut self, offset: u64, bytes: &[u8]) {
        let start = offset - offset % SECTOR_BYTES as u64;
        let left = self.durable_bytes.saturating_sub(start);
        let count = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
        self.durable.write(start, &bytes[..count]);
        let overwritten = sectors(start, count);
        self.unreadable.retain(|number| !overwritten.contains(number));
    }
}

/// Returns `number` and its index among equal numbers, from 0. The caller passes the numbers in
/// ascending order; `last` holds the previous result.
fn number_version(last: &mut Option<(u64, usize)>, number: u64) -> (u64, usize) {
    let place = match *last {
        Some((before, place)) if before == number => place + 1,
        _ => 0,
    };
    *last = Some((number, place));
    (number, place)
}

/// Returns the numbers of the sectors that `count` bytes at `offset` touch.
pub(super) fn sectors(offset: u64, count: usize) -> Range<u64> {
    let first = offset / SECTOR_BYTES as u64;
    if count == 0 {
        return first..first;
    }
    first..offset.saturating_add(count as u64).div_ceil(SECTOR_BYTES as u64)
}

/// Returns the numbers of the pages that `count` bytes at `offset` touch.
fn pages(offset: u64, count: usize) -> Range<u64> {
    offset / PAGE_BYTES as u64..offset.saturating_add(count as u64).div_ceil(PAGE_BYTES as u64)
}

/// Returns the sectors of a page.
fn page_of(packed: &Packed) -> [Sector; PAGE_SECTORS] {
    let mut page = [ZEROS; PAGE_SECTORS];
    page.iter_mut().zip(packed.sectors()).for_each(|(sector, is)| is.copy_to(sector));
    page
}

/// Copies the bytes at `offset` from these sectors, which start at `first`, to their places in
/// `into`.
fn copy_all(first: u64, packed: &Packed, offset: u64, into: &mut [u8]) {
    let range = sectors(offset, into.len());
    let numbered = (first..).zip(packed.sectors()).take_while(|(number, _)| *number < range.end);
    for (number, sector) in numbered.skip_while(|(number, _)| *number < range.start) {
        copy_out(number, sector, offset, into);
    }
}

/// Copies the bytes at `offset` from sector `number` to their places in `into`.
fn copy_out(number: u64, sector: SectorParts<'_>, offset: u64, into: &mut [u8]) {
    let (inside, outside) = overlap(number, SECTOR_BYTES, offset, into.len());
    let into = &mut into[outside];
    match into.as_mut_array() {
        Some(whole) => sector.copy_to(whole),
        None => into.copy_from_slice(&sector.whole()[inside]),
    }
}

/// Returns the overlap of piece `number` with the `count` bytes at `offset`: as a range in the
/// piece, and as a range in the bytes. All pieces have the same `size`.
fn overlap(number: u64, size: usize, offset: u64, count: usize) -> (Range<usize>, Range<usize>) {
    let start = number * size as u64;
    let first = start.max(offset);
    let end = start.saturating_add(size as u64).min(offset + count as u64);
    assert!(first < end, "the piece overlaps the bytes");
    let inside = (first - start) as usize..(end - start) as usize;
    let outside = (first - offset) as usize..(end - offset) as usize;
    (inside, outside)
}
