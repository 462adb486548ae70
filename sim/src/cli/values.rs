//! The values of flags: seed ranges, spans of time, shards.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use quorate::types::NodeId;
use quorate_checker::formats::Object;

use crate::profile::Profile;
use crate::record::EventId;
use crate::rung::Rung;
use crate::time::SimTime;

/// One part of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which part, from 1 to `of`.
    pub(crate) number: u64,
    /// How many parts there are.
    pub(crate) of: u64,
}

/// What a sweep waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Many seeds in a row without anything new.
    Stable,
}

/// What a run is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// The run of another seed.
    Seed(u64),
    /// The events in a file.
    File(PathBuf),
}

/// Reads `A..B`: from A up to, and without, B.
pub(crate) fn seed_range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("a range is written A..B, like 0..1000")?;
    let (first, end) = (whole_number(first)?, whole_number(end)?);
    if first >= end {
        return Err(format!("the range is empty: {first} is not below {end}"));
    }
    Ok(first..=end - 1)
}

/// Reads a number with a unit: `500ms`, `60s`, `5m`, `2h`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a span is a number and one of ms, s, m, h, like 60s".to_owned()),
    };
    let millis = whole_number(number)?.checked_mul(millis_per_unit);
    match millis {
        Some(0) => Err("the span is zero".to_owned()),
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err("the span is too long".to_owned()),
    }
}

/// Reads `K/N`: part K of N, counted from 1.
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    let (number, of) = text.split_once('/').ok_or("a shard is written K/N, like 1/4")?;
    let (number, of) = (whole_number(number)?, whole_number(of)?);
    if number == 0 || number > of {
        return Err(format!("there is no part {number} of {of}: parts count from 1"));
    }
    Ok(Shard { number, of })
}

/// Reads the name of a signal to wait for.
pub(crate) fn until(text: &str) -> Result<Until, String> {
    if text == "stable" { Ok(Until::Stable) } else { Err("the only signal is `stable`".to_owned()) }
}

/// Reads a number of bytes with a unit: `64K`, `512M`, `4G`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a size is a number and one of K, M, G, like 512M".to_owned()),
    };
    let bytes = whole_number(number)?.checked_mul(1 << shift);
    match bytes.and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(0) => Err("the size is zero".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("the size is too large".to_owned()),
    }
}

/// Reads the name of what a history is of.
pub(crate) fn object(text: &str) -> Result<Object, String> {
    Object::by_name(text)
}

/// Takes the name of a profile; the help lists each with its summary.
pub(crate) fn profile() -> impl TypedValueParser<Value = &'static Profile> {
    let named = |profile: &Profile| PossibleValue::new(profile.name).help(profile.summary);
    PossibleValuesParser::new(Profile::all().iter().map(named))
        .try_map(|name| Profile::by_name(&name))
}

/// Takes the name of a rung; the help lists each with its summary.
pub(crate) fn rung() -> impl TypedValueParser<Value = Rung> {
    let named = |rung: Rung| PossibleValue::new(rung.name()).help(rung.summary());
    PossibleValuesParser::new(Rung::ALL.map(named))
        .map(|name| Rung::by_name(&name).expect("the parser takes no other name"))
}

/// Reads a point in time as events show it, in seconds: `1.9s`, `1.901233`.
pub(crate) fn moment(text: &str) -> Result<SimTime, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let wrong = || "a time is a number of seconds, like 1.9s".to_owned();
    if part.len() > 9 {
        return Err(wrong());
    }
    let seconds = whole_number(whole).map_err(|_| wrong())?;
    let nanos = whole_number(&format!("{part:0<9}")).map_err(|_| wrong())?;
    let all = seconds.checked_mul(1_000_000_000).and_then(|all| all.checked_add(nanos));
    // Events show microseconds: what happens within the last one shown belongs to it.
    all.map(|all| SimTime(all.saturating_add(999))).ok_or_else(wrong)
}

/// Reads the number of an event: `1843` or `#1843`.
pub(crate) fn event(text: &str) -> Result<EventId, String> {
    let number = whole_number(text.strip_prefix('#').unwrap_or(text))?;
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    number.map(EventId).ok_or_else(|| "events count from 1".to_owned())
}

/// Reads the name of a node: `n3`.
pub(crate) fn node(text: &str) -> Result<NodeId, String> {
    let number = text.strip_prefix('n').ok_or("a node is written n3")?;
    whole_number(number).map(NodeId)
}

/// Reads a seed, or the name of a file.
pub(crate) fn with(text: &str) -> Result<With, String> {
    Ok(whole_number(text).map_or_else(|_| With::File(text.into()), With::Seed))
}

fn whole_number(text: &str) -> Result<u64, String> {
    // `parse` alone would also take a plus sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a whole number"));
    }
    text.parse().map_err(|_| format!("{text} is over {}", u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_seed_and_an_end() {
        assert_eq!(seed_range("0..1000"), Ok(0..=999));
        assert_eq!(seed_range("7..8"), Ok(7..=7));
        assert_eq!(seed_range("0..18446744073709551615"), Ok(0..=u64::MAX - 1));
        for wrong in ["", "5", "5..2", "5..5", "..5", "5..", "1...3", "1..=3", "-1..3", "+1..3"] {
            assert!(seed_range(wrong).is_err(), "{wrong}");
        }
        let empty = "the range is empty: 5 is not below 2".to_owned();
        assert_eq!(seed_range("5..2"), Err(empty));
        let large = "18446744073709551616 is over 18446744073709551615".to_owned();
        assert_eq!(seed_range("0..18446744073709551616"), Err(large));
    }

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(span("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(span("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "60", "s", "1.5s", "-1s", "60 s", "60S", "0s", "1d", "9999999999999999h"]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_what_events_show() {
        assert_eq!(moment("1.9s"), Ok(SimTime(1_900_000_999)));
        assert_eq!(moment("1.901233"), Ok(SimTime(1_901_233_999)));
        assert_eq!(moment("4s"), Ok(SimTime(4_000_000_999)));
        for wrong in ["", "s", "1x", "-1s", "1.s2", "1.0123456789s"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nodes_events_and_runs_are_named() {
        assert_eq!((node("n3"), event("#7")), (Ok(NodeId(3)), Ok(EventId(7))));
        assert!(node("3").is_err() && node("n").is_err() && event("0").is_err());
        assert_eq!(with("8"), Ok(With::Seed(8)));
        assert_eq!(with("a/8"), Ok(With::File("a/8".into())));
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("4G"), Ok(4 << 30));
        for wrong in ["", "4", "G", "1.5G", "-1G", "4 G", "4g", "0M", "1T", "99999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/1"), Ok(Shard { number: 1, of: 1 }));
        assert_eq!(shard("3/4"), Ok(Shard { number: 3, of: 4 }));
        for wrong in ["", "1", "0/4", "5/3", "1/0", "0/0", "a/b", "1/2/3", "/2", "1/"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_known_or_refused() {
        assert_eq!(until("stable"), Ok(Until::Stable));
        assert!(until("forever").is_err());
    }
}
