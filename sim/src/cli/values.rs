//! Parsers for flag values: seed ranges, durations, sizes, shards, nodes, profiles.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use quorate::types::{NodeId, parse_bytes, parse_duration, parse_number};
use quorate_checker::formats::Object;

use crate::record::EventId;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;
use crate::values::time::SimTime;

/// One part of a sweep that is split into several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The number of this part, from 1 to `of`.
    pub(crate) number: u64,
    /// The number of parts.
    pub(crate) of: u64,
}

/// The condition after which a sweep stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCondition {
    /// Many seeds in a row have added no coverage.
    Stable,
}

/// The run or the recording that `cargo sim diff` compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiffTarget {
    /// The run of another seed.
    Seed(u64),
    /// The events in a file written by `cargo sim record`, or the recording of a node.
    File(PathBuf),
}

/// Parses `A..B`: A inclusive to B exclusive.
pub(crate) fn seed_range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("a seed range is A..B, e.g. 0..1000")?;
    let (first, end) = (seed(first)?, seed(end)?);
    if first >= end {
        return Err(format!("the seed range is empty: {first} is not below {end}"));
    }
    Ok(first..=end - 1)
}

/// Parses a duration with a unit that is longer than zero: `500ms`, `60s`, `5m`, `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(Duration::ZERO) => Err("the duration must be longer than zero".to_owned()),
        Some(duration) => Ok(duration),
        None => Err("a duration is a number and a unit (us, ms, s, m, h, d), e.g. 60s, at most \
                     213503d"
            .to_owned()),
    }
}

/// Parses `K/N`: part K of N, counted from 1.
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    let (number, of) = text.split_once('/').ok_or("a shard is K/N, e.g. 1/4")?;
    let of = parse_number(of, 1..=u64::MAX)?;
    Ok(Shard { number: parse_number(number, 1..=of)?, of })
}

/// Parses the name of a stop condition.
pub(crate) fn stop_condition(text: &str) -> Result<StopCondition, String> {
    match text {
        "stable" => Ok(StopCondition::Stable),
        _ => Err("the only stop condition is `stable`".to_owned()),
    }
}

/// Parses a number of bytes above zero, with or without a binary unit: `4096`, `64KiB`, `4G`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    match parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(0) => Err("the size must be larger than zero".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("a size is a number and a unit (KiB, MiB, GiB), e.g. 512MiB, at most \
                     17179869183GiB"
            .to_owned()),
    }
}

/// Parses the name of the model that a history is checked against.
pub(crate) fn model(text: &str) -> Result<Object, String> {
    Object::by_name(text)
}

/// Returns the parser of profile names; the help lists each with its summary.
pub(crate) fn profile() -> impl TypedValueParser<Value = &'static Profile> {
    let named = |profile: &Profile| PossibleValue::new(profile.name).help(profile.summary);
    PossibleValuesParser::new(Profile::all().iter().map(named))
        .try_map(|name| Profile::by_name(&name))
}

/// Returns the parser of search strategy names; the help lists each with its summary.
pub(crate) fn strategy() -> impl TypedValueParser<Value = Strategy> {
    let named = |strategy: Strategy| PossibleValue::new(strategy.name()).help(strategy.summary());
    PossibleValuesParser::new(Strategy::ALL.map(named))
        .map(|name| Strategy::by_name(&name).expect("the parser accepts only known names"))
}

/// Parses a simulated time in seconds, as traces print it: `1.9s`, `1.901233`. The result is 999 ns
/// later, because traces print whole microseconds, and the end of a window includes the events of
/// its microsecond.
pub(crate) fn sim_time(text: &str) -> Result<SimTime, String> {
    sim_time_from(text).map(|from| from.after(Duration::from_nanos(999)))
}

/// Parses the start of a time window, as [`sim_time`] parses its end, but adds nothing.
pub(crate) fn sim_time_from(text: &str) -> Result<SimTime, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let invalid = || {
        "a simulated time is a number of seconds from 0 to 18446744073, with at most nine digits \
         after the point, e.g. 1.9s"
            .to_owned()
    };
    if part.len() > 9 {
        return Err(invalid());
    }
    let seconds = parse_number(whole, 0..=u64::MAX).map_err(|_| invalid())?;
    let nanos = parse_number(&format!("{part:0<9}"), 0..=u64::MAX).map_err(|_| invalid())?;
    let all = seconds.checked_mul(1_000_000_000).and_then(|all| all.checked_add(nanos));
    all.map(SimTime).ok_or_else(invalid)
}

/// Parses the number of an event, from 1: `1843` or `#1843`.
pub(crate) fn event(text: &str) -> Result<EventId, String> {
    number(1..=u32::MAX.into())(text.strip_prefix('#').unwrap_or(text)).map(EventId)
}

/// Returns a parser of whole numbers within these bounds, which are those of the type or narrower.
pub(crate) fn number<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = parse_number(text, bounds.clone())?;
        Ok(T::try_from(number).ok().expect("the type holds the numbers within the bounds"))
    }
}

/// Parses a seed, which is any number of 64 bits.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    parse_number(text, 0..=u64::MAX)
}

/// Parses a count of things to do, from 1.
pub(crate) fn count(text: &str) -> Result<NonZeroU64, String> {
    number(1..=u64::MAX)(text)
}

/// Parses a number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = number::<usize>(1..=4096)(text)?;
    Ok(NonZeroUsize::new(threads).expect("it is at least 1"))
}

/// Parses the number of things that a command does, at least one.
pub(crate) fn items(text: &str) -> Result<NonZeroUsize, String> {
    let items = number::<usize>(1..=u32::MAX.into())(text)?;
    Ok(NonZeroUsize::new(items).expect("it is at least 1"))
}

/// Parses the name of a node: `n3`.
pub(crate) fn node(text: &str) -> Result<NodeId, String> {
    let number = text.strip_prefix('n').ok_or("a node is `n` and its number, e.g. n3")?;
    parse_number(number, 1..=u64::MAX).map(NodeId)
}

/// Parses a seed; anything else is the path of a file.
pub(crate) fn diff_target(text: &str) -> Result<DiffTarget, String> {
    Ok(seed(text).map_or_else(|_| DiffTarget::File(text.into()), DiffTarget::Seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_range_is_half_open() {
        assert_eq!(seed_range("0..1000"), Ok(0..=999));
        assert_eq!(seed_range("7..8"), Ok(7..=7));
        assert_eq!(seed_range("0..18446744073709551615"), Ok(0..=u64::MAX - 1));
        for invalid in ["", "5", "5..2", "5..5", "..5", "5..", "1...3", "1..=3", "-1..3", "+1..3"] {
            assert!(seed_range(invalid).is_err(), "{invalid}");
        }
        let empty = "the seed range is empty: 5 is not below 2".to_owned();
        assert_eq!(seed_range("5..2"), Err(empty));
        let large = "`18446744073709551616` is not a whole number from 0 to 18446744073709551615";
        assert_eq!(seed_range("0..18446744073709551616"), Err(large.to_owned()));
    }

    #[test]
    fn a_duration_is_positive_and_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        for invalid in ["", "60", "s", "-1s", "60S", "0s", "1y", "9999999999999999h"] {
            assert!(duration(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_simulated_time_includes_its_whole_microsecond() {
        assert_eq!(sim_time("1.9s"), Ok(SimTime(1_900_000_999)));
        assert_eq!(sim_time("1.901233"), Ok(SimTime(1_901_233_999)));
        assert_eq!(sim_time("4s"), Ok(SimTime(4_000_000_999)));
        assert_eq!(sim_time_from("1.901233"), Ok(SimTime(1_901_233_000)), "a start includes it");
        for invalid in ["", "s", "1x", "-1s", "1.s2", "1.0123456789s"] {
            assert!(sim_time(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn nodes_events_and_diff_targets_are_parsed() {
        assert_eq!((node("n3"), event("#7")), (Ok(NodeId(3)), Ok(EventId(7))));
        assert!(node("3").is_err() && node("n").is_err() && event("0").is_err());
        assert_eq!(diff_target("8"), Ok(DiffTarget::Seed(8)));
        assert_eq!(diff_target("a/8"), Ok(DiffTarget::File("a/8".into())));
    }

    #[test]
    fn a_size_is_positive() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("4G"), Ok(4 << 30));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        for invalid in ["", "G", "-1G", "4g", "0M", "1T", "99999999999999G"] {
            assert!(size(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/1"), Ok(Shard { number: 1, of: 1 }));
        assert_eq!(shard("3/4"), Ok(Shard { number: 3, of: 4 }));
        for invalid in ["", "1", "0/4", "5/3", "1/0", "0/0", "a/b", "1/2/3", "/2", "1/"] {
            assert!(shard(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn an_unknown_stop_condition_is_rejected() {
        assert_eq!(stop_condition("stable"), Ok(StopCondition::Stable));
        assert!(stop_condition("forever").is_err());
    }
}
