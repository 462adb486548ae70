//! Every random decision of a run, each named by a key: removing one shifts no other.
//!
//! The value of a choice is a pure function of the seed and its key, unless an override says
//! otherwise. In every domain 0 is the benign value: no fault, the least delay. So a run is made
//! simpler by overriding choices with 0, and no other choice changes for it.

use std::collections::BTreeMap;
use std::fmt;

/// What a choice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A parameter of the cluster, the network or the load, fixed before the run.
    Setting,
    /// A field of one planned operation.
    Plan,
    /// The seed a node gets at one of its starts.
    Boot,
    /// How much of the log a restarted node hands over at once.
    Tail,
    /// Whether a message is lost.
    Loss,
    /// Whether a message is delivered twice, and how late the copy is.
    Duplicate,
    /// How long a message takes.
    Latency,
    /// How long a flush takes.
    Flush,
    /// How long applying a batch, or fetching one, takes.
    Work,
    /// Whether a node crashes, or lags, between two actions of a step, and where.
    Boundary,
    /// How much of the unflushed writes a crash keeps.
    Keep,
    /// What a client does next, where, and when.
    Client,
    /// What a stray message says.
    Stray,
    /// The nodes that stay connected when the storm ends.
    Calm,
}

/// The name of one choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// The node it is made for, by its number; 0 where there is none.
    pub node: u8,
    /// Which start of that node it belongs to.
    pub incarnation: u16,
    /// The other node, the operation of the plan or the client; 0 where there is none.
    pub peer: u16,
    /// Counts the choices that are alike in everything else.
    pub counter: u32,
}

/// Choices that are not drawn but given, by key.
pub type Overrides = BTreeMap<Key, u64>;

/// The source of all choices of one run.
#[derive(Clone, Debug)]
pub struct Choices {
    seed: u64,
    overrides: Overrides,
}

/// Successive choices that belong to one thing: their keys differ in the counter alone.
#[derive(Debug)]
pub struct Draw<'a> {
    choices: &'a Choices,
    key: Key,
}

impl Choices {
    /// The choices of `seed`, save those in `overrides`.
    #[must_use]
    pub fn new(seed: u64, overrides: Overrides) -> Choices {
        Choices { seed, overrides }
    }

    /// A number below `bound`; an overriding value beyond the domain counts as its largest.
    ///
    /// # Panics
    /// If `bound` is 0: nothing can be chosen.
    #[must_use]
    pub fn choose(&self, key: Key, bound: u64) -> u64 {
        assert!(bound > 0, "{key}: a choice among nothing");
        if !self.overrides.is_empty()
            && let Some(value) = self.overrides.get(&key)
        {
            return (*value).min(bound - 1);
        }
        let wide = u128::from(self.bits(key)) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Whether something happens that happens `permille` times out of a thousand.
    #[must_use]
    pub fn chance(&self, key: Key, permille: u64) -> bool {
        permille > 0 && self.choose(key, 1000) >= 1000u64.saturating_sub(permille)
    }

    /// The successive choices whose keys equal `key` in all but the counter, from 0.
    #[must_use]
    pub fn draw(&self, key: Key) -> Draw<'_> {
        Draw { choices: self, key: Key { counter: 0, ..key } }
    }

    /// The 64 bits that belong to `key`.
    #[must_use]
    pub fn bits(&self, key: Key) -> u64 {
        let place = u64::from(key.kind as u8) << 56
            | u64::from(key.node) << 48
            | u64::from(key.incarnation) << 32
            | u64::from(key.counter);
        let stirred = mix(self.seed ^ 0x9e37_79b9_7f4a_7c15, place ^ 0xbf58_476d_1ce4_e5b9);
        mix(stirred ^ u64::from(key.peer) << 17, self.seed.rotate_left(32) ^ 0x94d0_49bb_1331_11eb)
    }
}

impl Draw<'_> {
    /// The next choice, a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let value = self.choices.choose(self.key, bound);
        self.key.counter += 1;
        value
    }

    /// The next choice, a number in `least..=most`; the least is the benign one.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// The next choice: whether something happens that happens `permille` times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        let happens = self.choices.chance(self.key, permille);
        self.key.counter += 1;
        happens
    }

    /// The next choice: one of `options`; the first is the benign one.
    pub fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len() as u64) as usize]
    }

    /// The next choice: all 64 bits of it.
    pub fn bits(&mut self) -> u64 {
        self.below(u64::MAX)
    }
}

impl Kind {
    /// A key of this kind that belongs to no node.
    #[must_use]
    pub const fn key(self) -> Key {
        Key { kind: self, node: 0, incarnation: 0, peer: 0, counter: 0 }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { kind, node, incarnation, peer, counter } = self;
        write!(f, "{kind:?}/{node}.{incarnation}/{peer}/{counter}")
    }
}

/// Multiplies to 128 bits and folds the halves: each bit of either factor reaches every bit of
/// the result.
#[must_use]
pub const fn mix(a: u64, b: u64) -> u64 {
    let wide = (a as u128).wrapping_mul(b as u128);
    (wide as u64) ^ ((wide >> 64) as u64)
}
