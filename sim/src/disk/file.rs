//! One file: what the disk has of it, and what the cache shows.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use quorate::storage::FileName;

use crate::disk::packed::{Packed, Parts, SECTOR_BYTES, Sector, ZEROS};

/// How many sectors a page has: most writes cover one.
const PAGE_SECTORS: usize = 8;
const PAGE_BYTES: usize = PAGE_SECTORS * SECTOR_BYTES;

/// A file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// The last name it had.
    pub(super) name: FileName,
    /// Its size, as the cache shows it.
    bytes: u64,
    /// Its size on the disk.
    durable_bytes: u64,
    durable: Pages,
    /// What was written and not synced, the oldest first: the disk may have stored any sector of
    /// it.
    unsynced: Vec<Written>,
    /// What the cache shows in place of the last unsynced write, or of what the disk has: the disk
    /// lost it, and does not know.
    astray: BTreeMap<u64, Sector>,
}

/// Pages by their numbers; those that are not there are zeros. What one write covers exactly
/// shares its bytes.
#[derive(Clone, Debug, Default)]
struct Pages(BTreeMap<u64, Packed>);

/// Whole sectors as one write left them.
#[derive(Clone, Debug)]
struct Written {
    /// Their numbers.
    numbers: Range<u64>,
    sectors: Packed,
    /// The size of the file after the write.
    size: u64,
}

impl Pages {
    /// The `count` bytes from `offset` on.
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

    /// Takes over what a write left.
    fn take(&mut self, written: Written) {
        let Range { start, end } = written.numbers;
        let sectors = PAGE_SECTORS as u64;
        if start.is_multiple_of(sectors) && end == start + sectors {
            self.0.insert(start / sectors, written.sectors);
        } else {
            let whole: Vec<Sector> = written.sectors.sectors().map(Parts::whole).collect();
            self.write(start * SECTOR_BYTES as u64, whole.as_flattened());
        }
    }

    fn sector(&self, number: u64) -> Sector {
        let page = self.0.get(&(number / PAGE_SECTORS as u64));
        let within = (number % PAGE_SECTORS as u64) as usize;
        page.and_then(|page| page.sector(within)).unwrap_or(ZEROS)
    }

    /// The numbers of the sectors that are not zeros.
    fn stored(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(number, page)| {
            let sectors = (number * PAGE_SECTORS as u64..).zip(page.sectors());
            sectors.filter(|(_, sector)| sector.whole() != ZEROS).map(|(number, _)| number)
        })
    }
}

impl Written {
    /// What it left in a sector, if it wrote it.
    fn sector(&self, number: u64) -> Option<Sector> {
        self.sectors.sector(usize::try_from(number.checked_sub(self.numbers.start)?).ok()?)
    }

    /// The size of the file, as far as storing this sector makes it so.
    fn end(&self, number: u64) -> u64 {
        self.size.min((number + 1) * SECTOR_BYTES as u64)
    }
}

impl File {
    /// A file of zeros, all of them durable.
    pub(super) fn new(name: FileName, bytes: u64) -> File {
        let (durable, unsynced, astray) = (Pages::default(), Vec::new(), BTreeMap::new());
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
        let mut read = self.durable.read(offset, count);
        for written in &self.unsynced {
            copy_all(written.numbers.start, &written.sectors, offset, &mut read);
        }
        for (&number, sector) in self.astray.range(sectors(offset, count)) {
            copy_out(number, Parts::of(sector), offset, &mut read);
        }
        read
    }

    /// Writes into the cache. What is not `stored` never gets from there to the disk.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], stored: bool) {
        if bytes.is_empty() {
            return;
        }
        self.bytes = self.bytes.max(offset + bytes.len() as u64);
        let numbers = sectors(offset, bytes.len());
        let sectors = self.whole(offset, bytes);
        if stored {
            if !self.astray.is_empty() {
                self.astray.retain(|number, _| !numbers.contains(number));
            }
            self.unsynced.push(Written { numbers, sectors, size: self.bytes });
        } else {
            self.astray.extend(numbers.zip(sectors.sectors().map(Parts::whole)));
        }
    }

    /// The sectors that `bytes` at `offset` touch, with those bytes in their places. What else
    /// they have is what the cache shows.
    fn whole(&self, offset: u64, bytes: &[u8]) -> Packed {
        if offset.is_multiple_of(SECTOR_BYTES as u64)
            && let (whole, []) = bytes.as_chunks()
        {
            return Packed::of(whole);
        }
        let numbers = sectors(offset, bytes.len());
        let start = numbers.start * SECTOR_BYTES as u64;
        let mut content: Vec<Sector> = numbers.map(|number| self.shown(number)).collect();
        let first = (offset - start) as usize;
        content.as_flattened_mut()[first..first + bytes.len()].copy_from_slice(bytes);
        Packed::of(&content)
    }

    /// What the cache shows of a sector.
    fn shown(&self, number: u64) -> Sector {
        let written = || self.unsynced.iter().rev().find_map(|written| written.sector(number));
        let shown = self.astray.get(&number).copied().or_else(written);
        shown.unwrap_or_else(|| self.durable.sector(number))
    }

    /// Every unsynced write of a sector, sector by sector, and of each the oldest first: the
    /// sector's number, and the write's place among all.
    fn versions(&self) -> Vec<(u64, usize)> {
        let writes = self.unsynced.iter().enumerate();
        let versions =
            writes.flat_map(|(place, w)| w.numbers.clone().map(move |number| (number, place)));
        let mut versions: Vec<(u64, usize)> = versions.collect();
        versions.sort_unstable();
        versions
    }

    /// Stores all that is unsynced.
    pub(super) fn sync(&mut self) {
        if self.astray.is_empty() {
            self.unsynced.drain(..).for_each(|written| self.durable.take(written));
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        } else {
            self.sync_first(usize::MAX);
        }
    }

    /// Stores the first `count` of the unsynced sectors; the others count as clean, and the cache
    /// goes on to show what the disk does not have.
    pub(super) fn sync_first(&mut self, count: usize) {
        let mut left = count;
        let versions = self.versions();
        let unsynced = mem::take(&mut self.unsynced);
        for (at, &(number, place)) in versions.iter().enumerate() {
            if versions.get(at + 1).is_some_and(|(next, _)| *next == number) {
                continue;
            }
            let sector = unsynced[place].sector(number).expect("it is one of those written");
            if left == 0 {
                self.astray.entry(number).or_insert(sector);
                continue;
            }
            left -= 1;
            if self.astray.get(&number) == Some(&sector) {
                self.astray.remove(&number);
            }
            self.store(number, &sector, unsynced[place].end(number));
        }
        if left > 0 {
            self.durable_bytes = self.durable_bytes.max(self.bytes);
        }
    }

    /// Stores a sector of a file that is as large as `end` for it.
    fn store(&mut self, number: u64, sector: &Sector, end: u64) {
        self.durable_bytes = self.durable_bytes.max(end);
        self.durable.write(number * SECTOR_BYTES as u64, sector);
    }

    /// Stores what the cache shows of these sectors.
    pub(super) fn store_shown(&mut self, sectors: Range<u64>) {
        for number in sectors {
            let end = self.bytes.min((number + 1) * SECTOR_BYTES as u64);
            self.store(number, &self.shown(number), end);
        }
    }

    /// The sectors on the disk that are not zeros.
    pub(super) fn stored(&self) -> impl Iterator<Item = u64> {
        self.durable.stored()
    }

    /// Every unsynced write of a sector: the sector's number, and the write's place among those
    /// of the sector.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = (u64, usize)> {
        let versions = self.versions().into_iter();
        versions.scan(None, |last, (number, _)| Some(placed(last, number)))
    }

    /// How many sectors have something unsynced.
    pub(super) fn unsynced_sectors(&self) -> usize {
        self.unsynced().filter(|(_, place)| *place == 0).count()
    }

    /// The power fails: of a sector's unsynced writes the last one that `keep` wants is stored,
    /// and the cache is gone. `keep` gets the sector's number and the write's place.
    pub(super) fn crash(&mut self, mut keep: impl FnMut(u64, usize) -> bool) {
        let mut last = None;
        let versions = self.versions();
        let unsynced = mem::take(&mut self.unsynced);
        for (number, version) in versions {
            let written = &unsynced[version];
            let (number, place) = placed(&mut last, number);
            if keep(number, place) {
                let sector = written.sector(number).expect("it is one of those written");
                self.store(number, &sector, written.end(number));
            }
        }
        self.astray.clear();
        self.bytes = self.durable_bytes;
    }

    /// The cache forgets what it takes for clean.
    pub(super) fn forget_clean(&mut self) {
        self.astray.clear();
        let ends = self.unsynced.iter().map(|written| written.end(written.numbers.end - 1));
        self.bytes = ends.fold(self.durable_bytes, u64::max);
    }

    /// Flips bits of a byte on the disk; false if the disk has no such byte.
    pub(super) fn flip(&mut self, offset: u64, bits: u8) -> bool {
        if offset >= self.durable_bytes {
            return false;
        }
        let sector = self.durable.sector(offset / SECTOR_BYTES as u64);
        let before = sector[(offset % SECTOR_BYTES as u64) as usize];
        self.durable.write(offset, &[before ^ bits]);
        true
    }

    /// Overwrites bytes on the disk behind the cache's back, from the start of the sector of
    /// `offset`, as far as the file goes there.
    pub(super) fn overwrite(&mut self, offset: u64, bytes: &[u8]) {
        let start = offset - offset % SECTOR_BYTES as u64;
        let left = self.durable_bytes.saturating_sub(start);
        let count = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
        self.durable.write(start, &bytes[..count]);
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
pub(super) fn sectors(offset: u64, count: usize) -> Range<u64> {
    let first = offset / SECTOR_BYTES as u64;
    if count == 0 {
        return first..first;
    }
    first..(offset + count as u64).div_ceil(SECTOR_BYTES as u64)
}

/// The numbers of the pages that `count` bytes at `offset` touch; at least one does.
fn pages(offset: u64, count: usize) -> Range<u64> {
    offset / PAGE_BYTES as u64..(offset + count as u64).div_ceil(PAGE_BYTES as u64)
}

/// The sectors of a page.
fn page_of(packed: &Packed) -> [Sector; PAGE_SECTORS] {
    let mut page = [ZEROS; PAGE_SECTORS];
    page.iter_mut().zip(packed.sectors()).for_each(|(sector, is)| is.copy_to(sector));
    page
}

/// Copies what these sectors, from `first` on, have of the bytes at `offset` to their places in
/// `into`.
fn copy_all(first: u64, packed: &Packed, offset: u64, into: &mut [u8]) {
    let range = sectors(offset, into.len());
    let numbered = (first..).zip(packed.sectors()).take_while(|(number, _)| *number < range.end);
    for (number, sector) in numbered.skip_while(|(number, _)| *number < range.start) {
        copy_out(number, sector, offset, into);
    }
}

/// Copies what sector `number` has of the bytes at `offset` to their places in `into`.
fn copy_out(number: u64, sector: Parts<'_>, offset: u64, into: &mut [u8]) {
    let (inside, outside) = overlap(number, SECTOR_BYTES, offset, into.len());
    let into = &mut into[outside];
    match into.as_mut_array() {
        Some(whole) => sector.copy_to(whole),
        None => into.copy_from_slice(&sector.whole()[inside]),
    }
}

/// Where piece `number`, all of them being of one `size`, and `count` bytes at `offset` meet: in
/// the piece, and in the bytes.
fn overlap(number: u64, size: usize, offset: u64, count: usize) -> (Range<usize>, Range<usize>) {
    let start = number * size as u64;
    let first = start.max(offset);
    let end = start.saturating_add(size as u64).min(offset + count as u64);
    assert!(first < end, "a piece is asked for because it meets the bytes");
    let inside = (first - start) as usize..(end - start) as usize;
    let outside = (first - offset) as usize..(end - offset) as usize;
    (inside, outside)
}
