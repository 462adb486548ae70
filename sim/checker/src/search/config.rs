//! Where a search stands: a state, and what became of each open operation.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// A set of slots. Every open operation has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits<const W: usize>([u64; W]);

impl<const W: usize> Bits<W> {
    pub(super) const NONE: Bits<W> = Bits([0; W]);

    pub(super) fn set(&mut self, slot: u32) {
        self.0[slot as usize / 64] |= 1 << (slot % 64);
    }

    pub(super) fn clear(&mut self, slot: u32) {
        self.0[slot as usize / 64] &= !(1 << (slot % 64));
    }

    pub(super) fn has(&self, slot: u32) -> bool {
        self.0[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn includes(&self, other: &Bits<W>) -> bool {
        self.0.iter().zip(&other.0).all(|(here, there)| there & !here == 0)
    }

    pub(super) fn or(&self, other: &Bits<W>) -> Bits<W> {
        Bits(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(super) fn and(&self, other: &Bits<W>) -> Bits<W> {
        Bits(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    pub(super) fn without(&self, other: &Bits<W>) -> Bits<W> {
        Bits(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// The slots in it, in order.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        let words = self.0;
        (0..).zip(words).flat_map(|(place, mut word): (u32, u64)| {
            std::iter::from_fn(move || {
                let slot = (word != 0).then(|| place * 64 + word.trailing_zeros());
                word &= word.wrapping_sub(1);
                slot
            })
        })
    }
}

/// Where a search stands, between two returns or on the way to the next one.
///
/// | an open operation | `done` | `used` |
/// |---|---|---|
/// | known, waits | no | no |
/// | known, took effect | yes | a write: yes |
/// | known write, may be thought to have been overwritten at once | yes | no |
/// | unknown outcome, may take effect | no | no |
/// | unknown outcome, took effect | no | yes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config<const W: usize> {
    /// The number of the state.
    pub(super) state: u32,
    /// The return that comes next, and whether the last change of the state has shown in nothing
    /// yet, so that only an operation that builds on it may follow.
    pub(super) place: u32,
    /// Operations that may return.
    pub(super) done: Bits<W>,
    /// Operations that cannot take effect any more, of those that could twice: see the table.
    pub(super) used: Bits<W>,
}

/// Set in [`Config::place`].
const BARE: u32 = 1 << 31;

impl<const W: usize> Config<W> {
    pub(super) fn new(state: u32) -> Config<W> {
        Config { state, place: 0, done: Bits::NONE, used: Bits::NONE }
    }

    pub(super) fn is_bare(&self) -> bool {
        self.place & BARE != 0
    }

    pub(super) fn set_bare(&mut self, bare: bool) {
        self.place = if bare { self.place | BARE } else { self.place & !BARE };
    }

    /// The number of the return that comes next.
    pub(super) fn at(&self) -> u32 {
        self.place & !BARE
    }

    /// Whether every way on from `other` is known to be one from here too. Operations of `exact`
    /// are those open at its place that may neither be done too early nor too late.
    fn covers(&self, other: &Config<W>, exact: &Bits<W>) -> bool {
        let alike = self.state == other.state && self.place == other.place;
        let more = self.done.includes(&other.done) && other.used.includes(&self.used);
        alike && more && self.done.without(&other.done).and(exact).is_empty()
    }
}

/// Configurations, none of which covers another.
#[derive(Clone, Debug)]
pub(super) struct Seen<const W: usize> {
    entries: Vec<Entry<W>>,
    /// The first entry with each tag, once there are more than a few.
    heads: HashTable<Head>,
    live: usize,
}

/// One configuration, in the list of those with its tag.
#[derive(Clone, Copy, Debug)]
struct Entry<const W: usize> {
    config: Config<W>,
    tag: u32,
    /// [`END`] after the last; [`COVERED`] if it is in no list.
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    tag: u32,
    entry: u32,
}

const END: u32 = u32::MAX;
const COVERED: u32 = u32::MAX - 1;
/// Up to so many entries, looking at all is faster than hashing.
const FEW: usize = 6;

/// What two configurations share if one may cover the other. `exact` is the same wherever the
/// place is.
fn tag_of<const W: usize>(config: &Config<W>, exact: &Bits<W>) -> u32 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    hasher.write_u64(u64::from(config.state) << 32 | u64::from(config.place));
    for word in config.done.and(exact).0 {
        hasher.write_u64(word);
    }
    (hasher.finish() >> 32) as u32
}

/// A tag, spread over the bits that a hash table looks at.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<const W: usize> Seen<W> {
    pub(super) fn new() -> Seen<W> {
        Seen { entries: Vec::new(), heads: HashTable::new(), live: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<W>>() + self.heads.allocation_size()
    }

    /// Bytes that it holds while the next configuration makes it grow; those that it holds if it
    /// need not.
    pub(super) fn bytes_next(&self) -> usize {
        let grows = self.entries.len() == self.entries.capacity();
        if grows { self.bytes() * 3 } else { self.bytes() }
    }

    /// Forgets all of them, and keeps the memory if it was put to use.
    pub(super) fn clear(&mut self) {
        if self.heads.capacity() > 1024.max(8 * self.entries.len()) {
            *self = Seen::new();
            return;
        }
        if self.entries.len() > FEW {
            self.heads.clear();
        }
        self.entries.clear();
        self.live = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Config<W>> {
        self.entries.iter().filter(|entry| entry.next != COVERED).map(|entry| &entry.config)
    }

    /// Adds `config`, unless one that is there covers it; those that it covers go. Operations of
    /// `exact`, those open at its place, are done in either or neither of two that cover one
    /// another.
    pub(super) fn insert(&mut self, config: &Config<W>, exact: &Bits<W>) -> bool {
        if config.is_bare() {
            let mut free = *config;
            free.set_bare(false);
            if self.is_covered(&free, exact) {
                return false;
            }
        }
        let tag = tag_of(config, exact);
        if self.entries.len() < FEW {
            for entry in self.entries.iter_mut().filter(|entry| entry.next != COVERED) {
                if entry.config.covers(config, exact) {
                    return false;
                }
                if config.covers(&entry.config, exact) {
                    entry.next = COVERED;
                    self.live -= 1;
                }
            }
            self.push(config, tag, END);
            return true;
        }
        if self.entries.len() == FEW {
            self.link_first();
        }
        let new = u32::try_from(self.entries.len()).expect("so many do not fit in memory");
        let Some(head) = self.heads.find_mut(spread(tag), |head| head.tag == tag) else {
            self.heads.insert_unique(spread(tag), Head { tag, entry: new }, |h| spread(h.tag));
            self.push(config, tag, END);
            return true;
        };
        let (mut place, mut before) = (head.entry, END);
        while place != END {
            let Entry { config: there, next, .. } = self.entries[place as usize];
            if there.covers(config, exact) {
                return false;
            }
            if config.covers(&there, exact) {
                self.entries[place as usize].next = COVERED;
                self.live -= 1;
                match before {
                    END => head.entry = next,
                    before => self.entries[before as usize].next = next,
                }
            } else {
                before = place;
            }
            place = next;
        }
        let next = std::mem::replace(&mut head.entry, new);
        self.push(config, tag, next);
        true
    }

    /// Whether one that is there covers `config`.
    fn is_covered(&self, config: &Config<W>, exact: &Bits<W>) -> bool {
        if self.entries.len() <= FEW {
            let live = |entry: &&Entry<W>| entry.next != COVERED;
            let mut entries = self.entries.iter().filter(live);
            return entries.any(|entry| entry.config.covers(config, exact));
        }
        let tag = tag_of(config, exact);
        let head = self.heads.find(spread(tag), |head| head.tag == tag);
        let mut place = head.map_or(END, |head| head.entry);
        while place != END {
            let entry = &self.entries[place as usize];
            if entry.config.covers(config, exact) {
                return true;
            }
            place = entry.next;
        }
        false
    }

    fn push(&mut self, config: &Config<W>, tag: u32, next: u32) {
        self.entries.push(Entry { config: *config, tag, next });
        self.live += 1;
    }

    /// Hashes the first few entries.
    fn link_first(&mut self) {
        self.heads.clear();
        for (place, entry) in (0..).zip(&mut self.entries) {
            let (tag, new) = (entry.tag, place);
            if entry.next == COVERED {
                continue;
            }
            match self.heads.find_mut(spread(tag), |head| head.tag == tag) {
                Some(head) => entry.next = std::mem::replace(&mut head.entry, new),
                None => {
                    self.heads
                        .insert_unique(spread(tag), Head { tag, entry: new }, |h| spread(h.tag));
                }
            }
        }
    }
}
