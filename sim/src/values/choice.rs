//! Every random decision of a run, named by a key, so that removing one decision shifts no other.
//!
//! The value of a choice is a pure function of the seed and its key, unless an override sets it. In
//! every domain 0 is the benign value: no fault, the least delay. So overriding choices with 0
//! simplifies a run, and changes no other choice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::values::digest::mix;
use crate::values::duration_range::DurationRange;

/// The subject of a choice. The number of a kind is part of every key, so new kinds go last, and
/// the numbers of removed kinds stay unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A parameter of the cluster, the network or the load, fixed before the run.
    Setting,
    /// A field of one planned operation.
    Plan,
    /// The initial offset of a node's clock, and its permanent rate error.
    Clock,
    /// The seed of a node at one of its starts; whether the run marks rolled-back disks as
    /// uncertain, and whether a rollback concerns only the log.
    Boot,
    /// Whether the network loses a message.
    Loss = 5,
    /// Whether a message is delivered twice.
    Duplicate,
    /// The extra delay of a duplicate message.
    CopyLateness,
    /// The latency of a message.
    Latency,
    /// Whether a message takes far longer than others.
    Delay,
    /// The extra delay of a message that takes far longer than others.
    Lateness,
    /// The duration of a flush.
    Flush,
    /// Whether a node is notified late of a finished flush.
    FlushReport,
    /// The delay of a late notification.
    FlushReportDelay,
    /// The duration of work of a state machine: to apply a batch, to restore a snapshot, or to
    /// freeze or read a view.
    BatchTime,
    /// The order in which the actions of a step are executed.
    Order = 16,
    /// Whether the actions of a step are executed late.
    Lag,
    /// The delay before the next late action.
    LagDelay,
    /// Whether a node crashes between two actions of a step.
    TornStep,
    /// The place of the crash among the actions of the step.
    TornStepPlace,
    /// The unflushed writes that a crash keeps.
    KeptWrites,
    /// The pause of a client before its next operation.
    ThinkTime,
    /// The next operation of a client, and the node to which the client sends it.
    Client,
    /// The kind, the sender and the content of a misrouted message.
    Misroute,
    /// The old messages that are replayed.
    Replay,
    /// The nodes of the core in the stabilization phase, and the links that other nodes keep to it.
    Core,
    /// The order in which a resumed process gets the messages that it missed.
    Resume,
    /// The node to which a client sends one attempt of a session request.
    Retry,
    /// The place and the bits that a fault of a disk's contents changes.
    Damage,
    /// The options of a run for membership changes, spares, priorities and last-survivor mode.
    Members,
    /// The read level of a read, and the lease options of a run.
    ReadLevel,
    /// The point at which a proposal counts as done.
    Acknowledge,
    /// Whether the run bootstraps its cluster; whether disks are lost, rolled back or lose bodies
    /// of entries; and the size of small log segments.
    Disks,
    /// The options of state machine comparison.
    Validation,
    /// The details of a machine fault.
    MachineFault,
    /// The time for which drivers gather proposals, and the time by which leaders delay commit
    /// indices.
    Gather,
    /// A new seed for all choices from the time on that the counter gives, in microseconds. Choices
    /// that a node drew at its start, such as its election timeout, stay until it restarts. It is
    /// never drawn, only overridden, and 0 keeps the seed.
    Reseed,
    /// Whether the run is of a narrow profile, or has an ingredient of one; when nodes repeat their
    /// work, and the bound of proposals that wait for every live voter.
    Ingredient,
    /// The build that a node runs from one of its starts on, in a cluster of several builds.
    Build,
    /// The time of a disk call other than a flush.
    CallTime,
    /// Whether a client resends the unanswered requests of its session before its next operation.
    Resend,
}

/// The name of one choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The subject of the choice.
    pub kind: Kind,
    /// The node that the choice is for, by its number; 0 if there is none. For a client's turn, the
    /// number of the turn divided by 65,536.
    pub node: u8,
    /// The number of the node's start, or 0. For a client's turn, the number of the turn modulo
    /// 65,536.
    pub start_number: u32,
    /// The other node, the operation of the plan or the client; 0 if there is none.
    pub peer: u16,
    /// The number of the choice among those with otherwise equal keys.
    pub counter: u32,
}

/// Values that replace the drawn values of some choices, by key.
pub type Overrides = BTreeMap<Key, u64>;

/// The source of all choices of one run.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The seed; if `None`, every value is the benign one.
    seed: Option<u64>,
    overrides: Overrides,
}

/// Successive choices of one subject: their keys differ only in the counter.
#[derive(Debug)]
pub struct Draw<'a> {
    choices: &'a Choices,
    key: Key,
}

impl Choices {
    /// Returns the choices of `seed`, with the values in `overrides` in place of the drawn ones.
    #[must_use]
    pub fn new(seed: u64, overrides: Overrides) -> Choices {
        Choices { seed: Some(seed), overrides }
    }

    /// Returns choices that all have the benign value.
    #[must_use]
    pub fn benign() -> Choices {
        Choices { seed: None, overrides: Overrides::new() }
    }

    /// Returns a number below `bound`; an override beyond the domain counts as the largest value.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[must_use]
    #[cfg_attr(test, track_caller)]
    pub fn choose(&self, key: Key, bound: u64) -> u64 {
        #[cfg(test)]
        purposes::note(key, std::panic::Location::caller());
        assert!(bound > 0, "choice {key} has no options: its bound is 0");
        if !self.overrides.is_empty()
            && let Some(value) = self.overrides.get(&key)
        {
            return (*value).min(bound - 1);
        }
        let wide = u128::from(self.bits(key)) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Returns true `permille` times out of a thousand.
    #[must_use]
    #[cfg_attr(test, track_caller)]
    pub fn chance(&self, key: Key, permille: u64) -> bool {
        permille > 0 && self.choose(key, 1000) >= 1000u64.saturating_sub(permille)
    }

    /// Returns the successive choices from `key` on: their keys differ only in the counter.
    #[must_use]
    pub fn draw(&self, key: Key) -> Draw<'_> {
        Draw { choices: self, key }
    }

    /// Returns a duration within `span`; the shortest is the benign one.
    #[must_use]
    #[cfg_attr(test, track_caller)]
    pub fn within(&self, key: Key, span: DurationRange) -> Duration {
        span.min + Duration::from_nanos(self.choose(key, span.width() + 1))
    }

    /// Returns the times at which another seed takes over, in microseconds from the start of the
    /// run.
    pub fn reseeds(&self) -> impl Iterator<Item = u32> {
        let all = Kind::Reseed.key()..=Key { counter: u32::MAX, ..Kind::Reseed.key() };
        self.overrides.range(all).map(|(key, _)| key.counter)
    }

    /// Switches to another seed if one takes over at this time, in microseconds from the start of
    /// the run.
    pub fn reseed(&mut self, micros: u32) {
        let key = Key { counter: micros, ..Kind::Reseed.key() };
        let next = self.overrides.get(&key).filter(|seed| **seed > 0);
        self.seed = self.seed.map(|seed| next.copied().unwrap_or(seed));
    }

    /// Returns the 64 random bits of `key`; zeros are benign.
    #[must_use]
    pub fn bits(&self, key: Key) -> u64 {
        let Some(seed) = self.seed else { return 0 };
        let place = u64::from(key.kind as u8) << 56
            | u64::from(key.node) << 48
            | u64::from(key.start_number as u16) << 32
            | u64::from(key.counter);
        let rest = u64::from(key.start_number >> 16) << 16 | u64::from(key.peer);
        avalanche(mix(avalanche(mix(seed, place)), rest))
    }
}

impl Draw<'_> {
    /// Draws the next choice, a number below `bound`.
    #[cfg_attr(test, track_caller)]
    pub fn below(&mut self, bound: u64) -> u64 {
        let value = self.choices.choose(self.key, bound);
        self.key.counter += 1;
        value
    }

    /// Draws the next choice, a number in `least..=most`; the least is the benign one.
    #[cfg_attr(test, track_caller)]
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Draws the next choice, which is true `permille` times in a thousand.
    #[cfg_attr(test, track_caller)]
    pub fn chance(&mut self, permille: u64) -> bool {
        let happens = self.choices.chance(self.key, permille);
        self.key.counter += 1;
        happens
    }

    /// Draws the next choice, one of `options`; the first is the benign one.
    #[cfg_attr(test, track_caller)]
    pub fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len() as u64) as usize]
    }

    /// Draws the next choice, a duration within `span`; the shortest is the benign one.
    #[cfg_attr(test, track_caller)]
    pub fn within(&mut self, span: DurationRange) -> Duration {
        span.min + Duration::from_nanos(self.below(span.width() + 1))
    }
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Kind; 40] = [
        Kind::Setting,
        Kind::Plan,
        Kind::Clock,
        Kind::Boot,
        Kind::Loss,
        Kind::Duplicate,
        Kind::CopyLateness,
        Kind::Latency,
        Kind::Delay,
        Kind::Lateness,
        Kind::Flush,
        Kind::FlushReport,
        Kind::FlushReportDelay,
        Kind::BatchTime,
        Kind::Order,
        Kind::Lag,
        Kind::LagDelay,
        Kind::TornStep,
        Kind::TornStepPlace,
        Kind::KeptWrites,
        Kind::ThinkTime,
        Kind::Client,
        Kind::Misroute,
        Kind::Replay,
        Kind::Core,
        Kind::Resume,
        Kind::Retry,
        Kind::Damage,
        Kind::Members,
        Kind::ReadLevel,
        Kind::Acknowledge,
        Kind::Disks,
        Kind::Validation,
        Kind::MachineFault,
        Kind::Gather,
        Kind::Reseed,
        Kind::Ingredient,
        Kind::Build,
        Kind::CallTime,
        Kind::Resend,
    ];

    /// Returns a key of this kind without node, peer and counter.
    #[must_use]
    pub const fn key(self) -> Key {
        Key { kind: self, node: 0, start_number: 0, peer: 0, counter: 0 }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { kind, node, start_number, peer, counter } = self;
        write!(f, "{kind:?}/{node}.{start_number}/{peer}/{counter}")
    }
}

impl Key {
    /// Returns the key of the first choice of this kind in a client's turn. A turn has as many
    /// choices as it needs, because its number is not part of the counter.
    pub(crate) fn of_turn(kind: Kind, client: u16, turn: u32) -> Key {
        let (node, start_number) = ((turn >> 16) as u8, turn & 0xFFFF);
        Key { node, start_number, peer: client, ..kind.key() }
    }

    /// Parses a key in its printed form, `kind/node.start/peer/counter`: `Latency/1.1/2/3`. Returns
    /// `None` for any other text.
    #[must_use]
    pub fn read(text: &str) -> Option<Key> {
        let mut parts = text.split('/');
        let (name, place, peer, counter) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (node, start_number) = place.split_once('.')?;
        let kind = *Kind::ALL.iter().find(|kind| format!("{kind:?}") == name)?;
        let key = Key {
            kind,
            node: node.parse().ok()?,
            start_number: start_number.parse().ok()?,
            peer: peer.parse().ok()?,
            counter: counter.parse().ok()?,
        };
        // Other spellings of a printed key, such as `+1` or `01`, are rejected.
        (parts.next().is_none() && key.to_string() == text).then_some(key)
    }
}

/// Lets every bit of `value` affect every bit of the result (the finalizer of SplitMix64), so that
/// keys that differ in one bit have unrelated values.
const fn avalanche(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Finds two draws that share a key, in tests.
#[cfg(test)]
pub(crate) mod purposes {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::panic::Location;

    use super::Key;

    thread_local! {
        /// The line that draws each key, while draws are recorded in this thread.
        static DRAWN: RefCell<Option<BTreeMap<Key, &'static Location<'static>>>> =
            const { RefCell::new(None) };
    }

    /// Records the draws that this thread makes in `run`.
    pub(crate) fn record(run: impl FnOnce()) {
        DRAWN.set(Some(BTreeMap::new()));
        run();
        DRAWN.set(None);
    }

    /// Records that a line draws a key.
    ///
    /// # Panics
    /// If another line has drawn the key.
    pub(super) fn note(key: Key, by: &'static Location<'static>) {
        DRAWN.with_borrow_mut(|drawn| {
            let Some(drawn) = drawn else { return };
            let first = *drawn.entry(key).or_insert(by);
            assert_eq!(first, by, "both lines draw {key}");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(counter: u32) -> Key {
        Key { node: 3, start_number: 2, peer: 4, counter, ..Kind::Latency.key() }
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
    fn every_field_of_the_key_and_the_seed_affect_the_value() {
        let choices = Choices::new(7, Overrides::new());
        let base = key(0);
        let others = [
            Key { kind: Kind::Loss, ..base },
            Key { node: 4, ..base },
            Key { start_number: 3, ..base },
            Key { start_number: 2 + (1 << 16), ..base },
            Key { peer: 5, ..base },
            Key { counter: 1, ..base },
        ];
        for other in others {
            assert_ne!(choices.bits(base), choices.bits(other), "{other}");
        }
        assert_ne!(choices.bits(base), Choices::new(8, Overrides::new()).bits(base));
    }

    #[test]
    fn a_printed_key_parses_to_the_same_key() {
        assert!(Kind::ALL.is_sorted_by_key(|kind| *kind as u8), "in the order of declaration");
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let key = Key { kind, start_number: at as u32 * 5_000, ..key(at as u32) };
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
                _ => choices.choose(Key { start_number: counter, ..key(0) }, 8),
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
        assert_eq!(forced.choose(key(2), 100), 99, "a larger override counts as the largest value");
        assert_eq!(forced.choose(key(3), 100), plain.choose(key(3), 100));
    }

    #[test]
    fn another_seed_takes_over_at_the_given_time() {
        let redraw = |micros| Key { counter: micros, ..Kind::Reseed.key() };
        let given = Overrides::from([(redraw(20), 9), (redraw(30), 0), (key(1), 5)]);
        let mut choices = Choices::new(5, given);
        assert_eq!(choices.reseeds().collect::<Vec<_>>(), [20, 30]);
        choices.reseed(10);
        let plain = |seed| Choices::new(seed, Overrides::new());
        assert_eq!(choices.bits(key(0)), plain(5).bits(key(0)));
        for micros in [20, 30] {
            choices.reseed(micros);
            assert_eq!(choices.bits(key(0)), plain(9).bits(key(0)));
            assert_eq!(choices.choose(key(1), 100), 5, "an override stays");
        }
        let mut benign = Choices { seed: None, ..choices };
        benign.reseed(20);
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
