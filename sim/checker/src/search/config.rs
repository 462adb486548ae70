//! Configurations of a search: a state, and the status of each pending operation.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// A set of slots. Every pending operation has a slot of its own.
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

    /// Iterates over the slots of the set, in order.
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

/// A configuration of a search, between two responses or on the way to the next one.
///
/// | a pending operation | `done` | `used` |
/// |---|---|---|
/// | known, has not taken effect | no | no |
/// | known, took effect | yes | a write: yes |
/// | known write, hidden: may have taken effect just before another write | yes | no |
/// | unknown outcome, may take effect | no | no |
/// | unknown outcome, took effect | no | yes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config<const W: usize> {
    /// The number of the state in the space.
    pub(super) state: u32,
    /// The position of the next response, and the flag [`UNOBSERVED`]: no operation has observed
    /// the last change of the state yet. Only an update may follow, because a blind write would
    /// make that change useless.
    pub(super) place: u32,
    /// The operations that count as done, and so may return.
    pub(super) done: Bits<W>,
    /// The operations that cannot take effect again; see the table.
    pub(super) used: Bits<W>,
}

/// The flag in [`Config::place`] that marks an unobserved change.
const UNOBSERVED: u32 = 1 << 31;

impl<const W: usize> Config<W> {
    pub(super) fn new(state: u32) -> Config<W> {
        Config { state, place: 0, done: Bits::NONE, used: Bits::NONE }
    }

    pub(super) fn is_unobserved(&self) -> bool {
        self.place & UNOBSERVED != 0
    }

    pub(super) fn set_unobserved(&mut self, unobserved: bool) {
        self.place = if unobserved { self.place | UNOBSERVED } else { self.place & !UNOBSERVED };
    }

    /// Frees a slot, whose operation has returned or no longer matters.
    pub(super) fn free(&mut self, slot: u32) {
        self.done.clear(slot);
        self.used.clear(slot);
    }

    /// Returns the position of the next response.
    pub(super) fn at(&self) -> u32 {
        self.place & !UNOBSERVED
    }

    /// Returns true if every continuation of `other` is known to be a continuation of `self`. Of
    /// `known_updates`, the pending updates whose outcome is known, both must have done the same
    /// ones, because an update that is done cannot take effect again.
    fn dominates(&self, other: &Config<W>, known_updates: &Bits<W>) -> bool {
        let alike = self.state == other.state && self.place == other.place;
        let more = self.done.includes(&other.done) && other.used.includes(&self.used);
        alike && more && self.done.without(&other.done).and(known_updates).is_empty()
    }
}

/// A set of configurations, none of which dominates another.
#[derive(Clone, Debug)]
pub(super) struct ConfigSet<const W: usize> {
    entries: Vec<Entry<W>>,
    /// The first entry with each tag, once there are more than [`FEW`] entries.
    heads: HashTable<Head>,
    live: usize,
    /// The number of entries that were compared since the last [`ConfigSet::take_compared`].
    compared: usize,
}

/// A configuration, in the list of configurations with the same tag.
#[derive(Clone, Copy, Debug)]
struct Entry<const W: usize> {
    config: Config<W>,
    tag: u32,
    /// The next entry: [`END`] after the last one, [`DOMINATED`] if the entry is in no list.
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    tag: u32,
    entry: u32,
}

const END: u32 = u32::MAX;
const DOMINATED: u32 = u32::MAX - 1;
/// Up to this number of entries, a linear scan is faster than hashing.
const FEW: usize = 6;

/// Returns the hash of the parts that two configurations share if one may dominate the other.
/// `known_updates` depends only on the place.
fn tag_of<const W: usize>(config: &Config<W>, known_updates: &Bits<W>) -> u32 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    hasher.write_u64(u64::from(config.state) << 32 | u64::from(config.place));
    for word in config.done.and(known_updates).0 {
        hasher.write_u64(word);
    }
    (hasher.finish() >> 32) as u32
}

/// Spreads a tag over the bits that a hash table uses.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<const W: usize> ConfigSet<W> {
    pub(super) fn new() -> ConfigSet<W> {
        ConfigSet { entries: Vec::new(), heads: HashTable::new(), live: 0, compared: 0 }
    }

    /// Returns the number of entries that insertions compared since the last call.
    pub(super) fn take_compared(&mut self) -> usize {
        std::mem::take(&mut self.compared)
    }

    /// Returns the number of configurations in the set.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Returns the number of bytes that the set holds.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<W>>() + self.heads.allocation_size()
    }

    /// Returns the largest number of bytes that the set may hold during the next insertion, in
    /// which its list may have to grow.
    pub(super) fn bytes_next(&self) -> usize {
        let grows = self.entries.len() == self.entries.capacity();
        if grows { self.bytes() * 3 } else { self.bytes() }
    }

    /// Removes all configurations. Keeps the memory, unless the hash table has over 1024 slots and
    /// fewer than an eighth of them were in use.
    pub(super) fn clear(&mut self) {
        if self.heads.capacity() > 1024.max(8 * self.entries.len()) {
            *self = ConfigSet::new();
            return;
        }
        if self.entries.len() > FEW {
            self.heads.clear();
        }
        self.entries.clear();
        self.live = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Config<W>> {
        self.entries.iter().filter(|entry| entry.next != DOMINATED).map(|entry| &entry.config)
    }

    /// Inserts `config` unless another configuration dominates it, and removes those that it
    /// dominates. `known_updates` are the updates with a known outcome that are pending at its
    /// place. Returns true if it was inserted.
    pub(super) fn insert(&mut self, config: &Config<W>, known_updates: &Bits<W>) -> bool {
        if config.is_unobserved() {
            // The same configuration without the flag has more continuations.
            let mut free = *config;
            free.set_unobserved(false);
            if self.is_dominated(&free, known_updates) {
                return false;
            }
        }
        let tag = tag_of(config, known_updates);
        if self.entries.len() < FEW {
            for entry in self.entries.iter_mut().filter(|entry| entry.next != DOMINATED) {
                if entry.config.dominates(config, known_updates) {
                    return false;
                }
                if config.dominates(&entry.config, known_updates) {
                    entry.next = DOMINATED;
                    self.live -= 1;
                }
            }
            self.push(config, tag, END);
            return true;
        }
        if self.entries.len() == FEW {
            self.link_first();
        }
        let new =
            u32::try_from(self.entries.len()).expect("memory is exhausted before u32 overflows");
        let Some(head) = self.heads.find_mut(spread(tag), |head| head.tag == tag) else {
            self.heads.insert_unique(spread(tag), Head { tag, entry: new }, |h| spread(h.tag));
            self.push(config, tag, END);
            return true;
        };
        let (mut place, mut before) = (head.entry, END);
        while place != END {
            self.compared += 1;
            let Entry { config: there, next, .. } = self.entries[place as usize];
            if there.dominates(config, known_updates) {
                return false;
            }
            if config.dominates(&there, known_updates) {
                self.entries[place as usize].next = DOMINATED;
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

    /// Returns true if some configuration of the set dominates `config`.
    fn is_dominated(&mut self, config: &Config<W>, known_updates: &Bits<W>) -> bool {
        if self.entries.len() <= FEW {
            let live = |entry: &&Entry<W>| entry.next != DOMINATED;
            let mut entries = self.entries.iter().filter(live);
            return entries.any(|entry| entry.config.dominates(config, known_updates));
        }
        let tag = tag_of(config, known_updates);
        let head = self.heads.find(spread(tag), |head| head.tag == tag);
        let mut place = head.map_or(END, |head| head.entry);
        while place != END {
            self.compared += 1;
            let entry = &self.entries[place as usize];
            if entry.config.dominates(config, known_updates) {
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

    /// Links the first few entries into hashed lists.
    fn link_first(&mut self) {
        self.heads.clear();
        for (place, entry) in (0..).zip(&mut self.entries) {
            let (tag, new) = (entry.tag, place);
            if entry.next == DOMINATED {
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
