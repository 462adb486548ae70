//! Every random decision of a run, each named by a key: removing one shifts no other.
//!
//! The value of a choice is a pure function of the seed and its key, unless an override says
//! otherwise. In every domain 0 is the benign value: no fault, the least delay. So a run is made
//! simpler by overriding choices with 0, and no other choice changes for it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::digest::mix;
use crate::span::Span;

/// What a choice is about. The number of a kind is part of every key, so new kinds go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A parameter of the cluster, the network or the load, fixed before the run.
    Setting,
    /// A field of one planned operation.
    Plan,
    /// How far a node's clock is ahead at the start.
    Clock,
    /// The seed a node gets at one of its starts.
    Boot,
    /// How much of the log a restarted node hands over at once.
    Tail,
    /// Whether a message is lost.
    Loss,
    /// Whether a message is delivered twice.
    Duplicate,
    /// How late the second delivery of a message is.
    CopyLateness,
    /// How long a message takes.
    Latency,
    /// Whether a message takes far longer.
    Delay,
    /// How much longer.
    Lateness,
    /// How long a flush takes.
    Flush,
    /// Whether a node hears late of a flush that is done.
    Report,
    /// How late it hears.
    ReportDelay,
    /// How long applying a batch, or reading one from the disk, takes.
    Work,
    /// How many of the entries it is asked for the disk gives at once.
    Short,
    /// In which order the actions of a step are carried out.
    Order,
    /// Whether the actions of a step are carried out late.
    Lag,
    /// How late the next of them is carried out.
    LagDelay,
    /// Whether a node crashes between two actions of a step.
    Boundary,
    /// Between which.
    BoundaryPlace,
    /// How much of the unflushed writes a crash loses.
    Keep,
    /// How long a client waits before its next operation.
    Think,
    /// What a client does next, and where.
    Client,
    /// What a stray message says.
    Stray,
    /// Which old messages come again.
    Replay,
    /// The nodes that stay connected when the storm ends.
    Calm,
    /// In which order a process that stood still gets what it missed.
    Resume,
    /// Where a client sends one try of a request in a session.
    Retry,
    /// What exactly a fault does to a disk.
    Damage,
    /// Who is a member, and what becomes of that.
    Members,
    /// How fresh the answer to a read has to be.
    Level,
    /// When a proposal counts as done.
    Acknowledge,
    /// Whether the cluster founds itself, and whether disks are lost.
    Identity,
    /// How state machines are compared.
    Validation,
    /// What exactly an error does to a state.
    Slip,
    /// Which proposals reach their node together.
    Gather,
    /// The seed that everything is drawn from, from a time on: so many microseconds as the counter
    /// says. What a node drew at its start, as when it campaigns, stays until it starts again. It
    /// is never drawn, only given, and 0 leaves the seed as it is.
    Redraw,
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
    /// None if every value is the benign one.
    seed: Option<u64>,
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
        Choices { seed: Some(seed), overrides }
    }

    /// The benign value of every choice.
    #[must_use]
    pub fn benign() -> Choices {
        Choices { seed: None, overrides: Overrides::new() }
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

    /// The successive choices from `key` on: their keys differ in the counter alone.
    #[must_use]
    pub fn draw(&self, key: Key) -> Draw<'_> {
        Draw { choices: self, key }
    }

    /// A time within `span`; the least is the benign one.
    #[must_use]
    pub fn within(&self, key: Key, span: Span) -> Duration {
        span.least + Duration::from_nanos(self.choose(key, span.width() + 1))
    }

    /// When other seeds take over, in microseconds.
    pub fn redraws(&self) -> impl Iterator<Item = u32> {
        let all = Kind::Redraw.key()..=Key { counter: u32::MAX, ..Kind::Redraw.key() };
        self.overrides.range(all).map(|(key, _)| key.counter)
    }

    /// It is so many microseconds after the start: if another seed takes over now, it does.
    pub fn redraw(&mut self, micros: u32) {
        let key = Key { counter: micros, ..Kind::Redraw.key() };
        let next = self.overrides.get(&key).filter(|seed| **seed > 0);
        self.seed = self.seed.map(|seed| next.copied().unwrap_or(seed));
    }

    /// The 64 bits that belong to `key`; zeros are benign.
    #[must_use]
    pub fn bits(&self, key: Key) -> u64 {
        let Some(seed) = self.seed else { return 0 };
        let place = u64::from(key.kind as u8) << 56
            | u64::from(key.node) << 48
            | u64::from(key.incarnation) << 32
            | u64::from(key.counter);
        avalanche(mix(avalanche(mix(seed, place)), u64::from(key.peer)))
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

    /// The next choice: a time within `span`; the least is the benign one.
    pub fn within(&mut self, span: Span) -> Duration {
        span.least + Duration::from_nanos(self.below(span.width() + 1))
    }
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Kind; 38] = [
        Kind::Setting,
        Kind::Plan,
        Kind::Clock,
        Kind::Boot,
        Kind::Tail,
        Kind::Loss,
        Kind::Duplicate,
        Kind::CopyLateness,
        Kind::Latency,
        Kind::Delay,
        Kind::Lateness,
        Kind::Flush,
        Kind::Report,
        Kind::ReportDelay,
        Kind::Work,
        Kind::Short,
        Kind::Order,
        Kind::Lag,
        Kind::LagDelay,
        Kind::Boundary,
        Kind::BoundaryPlace,
        Kind::Keep,
        Kind::Think,
        Kind::Client,
        Kind::Stray,
        Kind::Replay,
        Kind::Calm,
        Kind::Resume,
        Kind::Retry,
        Kind::Damage,
        Kind::Members,
        Kind::Level,
        Kind::Acknowledge,
        Kind::Identity,
        Kind::Validation,
        Kind::Slip,
        Kind::Gather,
        Kind::Redraw,
    ];

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

impl Key {
    /// The key that a text is, as it is printed: `Latency/1.1/2/3`.
    #[must_use]
    pub fn read(text: &str) -> Option<Key> {
        let mut parts = text.split('/');
        let (name, place, peer, counter) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (node, incarnation) = place.split_once('.')?;
        let kind = *Kind::ALL.iter().find(|kind| format!("{kind:?}") == name)?;
        let key = Key {
            kind,
            node: node.parse().ok()?,
            incarnation: incarnation.parse().ok()?,
            peer: peer.parse().ok()?,
            counter: counter.parse().ok()?,
        };
        // What would be printed otherwise, like `+1` or `01`, is no key.
        (parts.next().is_none() && key.to_string() == text).then_some(key)
    }
}

/// Lets every bit of `value` reach every bit of the result (the finalizer of SplitMix64), so that
/// keys that differ in one bit have unrelated values.
const fn avalanche(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(counter: u32) -> Key {
        Key { node: 3, incarnation: 2, peer: 4, counter, ..Kind::Latency.key() }
    }

    #[test]
    fn values_are_the_same_on_every_machine() {
        let choices = Choices::new(41_877, Overrides::new());
        let found: Vec<u64> = (0..4).map(|counter| choices.choose(key(counter), 1000)).collect();
        assert_eq!(found, [233, 533, 71, 568]);
        assert_eq!(
            Choices::new(0, Overrides::new()).bits(Kind::Setting.key()),
            0xa30a_ba14_ccd1_d2dd
        );
    }

    #[test]
    fn every_field_of_the_key_and_the_seed_count() {
        let choices = Choices::new(7, Overrides::new());
        let base = key(0);
        let others = [
            Key { kind: Kind::Loss, ..base },
            Key { node: 4, ..base },
            Key { incarnation: 3, ..base },
            Key { peer: 5, ..base },
            Key { counter: 1, ..base },
        ];
        for other in others {
            assert_ne!(choices.bits(base), choices.bits(other), "{other}");
        }
        assert_ne!(choices.bits(base), Choices::new(8, Overrides::new()).bits(base));
    }

    #[test]
    fn a_key_reads_as_it_prints() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?} stands in its place");
            let key = Key { kind, ..key(at as u32) };
            assert_eq!(Key::read(&key.to_string()), Some(key));
        }
        for wrong in ["", "Latency", "Latency/1.1/2", "Latency/1.1/2/3/4", "latency/1.1/2/3"] {
            assert_eq!(Key::read(wrong), None, "{wrong}");
        }
        assert_eq!(Key::read("Latency/01.1/2/3"), None);
    }

    #[test]
    fn values_spread_over_their_domain() {
        let choices = Choices::new(1, Overrides::new());
        let mut counts = [0u32; 10];
        for counter in 0..10_000 {
            counts[choices.choose(key(counter), 10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn successive_values_are_unrelated() {
        for field in 0..3 {
            let choices = Choices::new(2, Overrides::new());
            let at = |counter: u32| match field {
                0 => choices.choose(key(counter), 8),
                1 => choices.choose(Key { peer: counter as u16, ..key(0) }, 8),
                _ => choices.choose(Key { incarnation: counter as u16, ..key(0) }, 8),
            };
            let mut counts = [0u32; 64];
            for counter in 0..6_400 {
                counts[(at(counter) * 8 + at(counter + 1)) as usize] += 1;
            }
            assert!(counts.iter().all(|count| (55..155).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn an_override_replaces_one_value_and_shifts_no_other() {
        let plain = Choices::new(5, Overrides::new());
        let forced = Choices::new(5, Overrides::from([(key(1), 0), (key(2), 999_999)]));
        assert_eq!(forced.choose(key(0), 100), plain.choose(key(0), 100));
        assert_eq!(forced.choose(key(1), 100), 0);
        assert_eq!(forced.choose(key(2), 100), 99, "beyond the domain counts as its largest");
        assert_eq!(forced.choose(key(3), 100), plain.choose(key(3), 100));
    }

    #[test]
    fn another_seed_takes_over_where_it_is_given() {
        let redraw = |micros| Key { counter: micros, ..Kind::Redraw.key() };
        let given = Overrides::from([(redraw(20), 9), (redraw(30), 0), (key(1), 5)]);
        let mut choices = Choices::new(5, given);
        assert_eq!(choices.redraws().collect::<Vec<_>>(), [20, 30]);
        choices.redraw(10);
        let plain = |seed| Choices::new(seed, Overrides::new());
        assert_eq!(choices.bits(key(0)), plain(5).bits(key(0)));
        for micros in [20, 30] {
            choices.redraw(micros);
            assert_eq!(choices.bits(key(0)), plain(9).bits(key(0)));
            assert_eq!(choices.choose(key(1), 100), 5, "what is given stays");
        }
        let mut benign = Choices { seed: None, ..choices };
        benign.redraw(20);
        assert_eq!(benign.bits(key(0)), 0);
    }

    #[test]
    fn the_benign_value_is_no_fault() {
        let forced = Choices::new(5, Overrides::from([(key(0), 0)]));
        assert!(!forced.chance(key(0), 999));
        assert!(!Choices::new(5, Overrides::new()).chance(key(1), 0));
        assert!(Choices::new(5, Overrides::new()).chance(key(1), 1000));
        let mut draw = forced.draw(key(0));
        assert_eq!(draw.between(3, 9), 3);
        let benign = Choices::benign();
        assert!((0..99).all(|counter| benign.choose(key(counter), 1000) == 0));
    }
}
