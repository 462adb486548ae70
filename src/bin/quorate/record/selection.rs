//! The part of a recording that is copied: all of it, the last stretch of time, or that around a
//! point in time. It consists of whole files.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::values::Span;

/// The longest time between the first record of a block and its last one, on a node that takes
/// steps: the block delay of the recorder, and a margin for a slow machine.
const BLOCK_TIME: Duration = Duration::from_secs(5);

/// The time before and after `--around` of which all records are copied.
const AROUND_TIME: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// The flags that choose a part of a recording.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Selection {
    /// Copy only the files with records from this much time before the end of the recording, like
    /// 5min
    #[arg(long, value_name = "TIME")]
    last: Option<Span>,
    /// Copy only the files with records within a minute of this time in UTC, like 07:18:58, which
    /// is on the last day of the recording, or 2026-11-26T07:18:58
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    around: Option<UtcTime>,
}

/// A point in time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UtcTime {
    SinceEpoch(Duration),
    SinceMidnight(Duration),
}

impl Selection {
    /// Returns for each file whether it is copied. A file is given by the time of its last block
    /// since the Unix epoch; one without a time is copied.
    pub(super) fn of(&self, ends: &[Option<Duration>]) -> Vec<bool> {
        // The clock may have been set back, so an earlier file has a later time.
        let end = ends.iter().rev().find_map(|end| *end).unwrap_or_default();
        let (from, to) = match (self.last, self.around) {
            (Some(Span(last)), _) => (end.saturating_sub(last), Duration::MAX),
            (None, Some(around)) => {
                let at = around.since_epoch(end.saturating_add(BLOCK_TIME));
                (at.saturating_sub(AROUND_TIME), at.saturating_add(AROUND_TIME))
            }
            (None, None) => (Duration::ZERO, Duration::MAX),
        };
        let mut before = None::<Duration>;
        let is_chosen = |end: &Option<Duration>| {
            let Some(end) = *end else { return true };
            // A file begins after the last one has ended, unless the clock was set back.
            let begin = before.replace(end).filter(|before| *before <= end);
            end.saturating_add(BLOCK_TIME) >= from && begin.is_none_or(|begin| begin <= to)
        };
        ends.iter().map(is_chosen).collect()
    }
}

impl UtcTime {
    /// Returns the time since the Unix epoch. A time of day is on the last day on which it is not
    /// after `end`.
    fn since_epoch(self, end: Duration) -> Duration {
        match self {
            UtcTime::SinceEpoch(time) => time,
            UtcTime::SinceMidnight(time) => {
                let days = end.saturating_sub(time).as_secs() / DAY.as_secs();
                Duration::from_secs(days * DAY.as_secs()).saturating_add(time)
            }
        }
    }
}

impl FromStr for UtcTime {
    type Err = String;

    fn from_str(text: &str) -> Result<UtcTime, String> {
        parse(text).ok_or_else(|| {
            format!("`{text}` is not a time in UTC, like 07:18:58 or 2026-11-26T07:18:58")
        })
    }
}

fn parse(text: &str) -> Option<UtcTime> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (Some(date), time.strip_suffix('Z').unwrap_or(time)),
        None => (None, text),
    };
    let [hour, minute, second] = numbers(time, ':')?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    let time = Duration::from_secs(hour * 3600 + minute * 60 + second);
    let Some(date) = date else { return is_time.then_some(UtcTime::SinceMidnight(time)) };
    let [year, month, day] = numbers(date, '-')?;
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !is_time || !is_date || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let months: u64 = (1..month).map(|month| days_of_month(year, month)).sum();
    let days = years + months + day - 1;
    Some(UtcTime::SinceEpoch(Duration::from_secs(days * DAY.as_secs()).saturating_add(time)))
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split(between);
    let mut next = || parts.next().filter(|part| is_number(part))?.parse().ok();
    let found = [next()?, next()?, next()?];
    parts.next().is_none().then_some(found)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the ends of the files that are chosen, in seconds.
    fn chosen(selection: Selection, ends: &[Option<u64>]) -> Vec<Option<u64>> {
        let times: Vec<Option<Duration>> =
            ends.iter().map(|end| end.map(Duration::from_secs)).collect();
        let chosen = selection.of(&times);
        ends.iter().zip(chosen).filter_map(|(end, chosen)| chosen.then_some(*end)).collect()
    }

    fn last(seconds: u64) -> Selection {
        Selection { last: Some(Span(Duration::from_secs(seconds))), around: None }
    }

    fn around(text: &str) -> Selection {
        Selection { last: None, around: Some(text.parse().expect("a time")) }
    }

    #[test]
    fn only_files_with_the_last_time_are_chosen() {
        let block = BLOCK_TIME.as_secs();
        let (early, end) = (1000, 2000);
        let first = Some(end - 60 - block);
        let ends = [Some(early), first.map(|first| first - 1), first, None, Some(end)];
        assert_eq!(chosen(last(60), &ends), [first, None, Some(end)]);
        assert_eq!(chosen(last(end), &ends), ends, "all of it");
        assert_eq!(chosen(Selection::default(), &ends), ends, "all of it");
        let set_back = [Some(end + 500), Some(early), Some(end)];
        assert_eq!(
            chosen(last(60), &set_back),
            [Some(end + 500), Some(end)],
            "the last file ends it"
        );
    }

    #[test]
    fn only_files_with_records_around_a_time_are_chosen() {
        // 2026-11-26T00:00:00.
        let day: u64 = 1_795_651_200;
        let at = |seconds: u64| Some(day + seconds);
        let ends = [at(100), at(200), at(300), at(400), at(500), None];
        let middle = [at(200), at(300), at(400), None];
        assert_eq!(chosen(around("2026-11-26T00:04:10"), &ends), middle);
        assert_eq!(chosen(around("00:04:10"), &ends), middle);
        assert_eq!(chosen(around("2026-11-27T00:04:10Z"), &ends), [None], "after its end");
        assert_eq!(chosen(around("23:59:59"), &ends), [at(100), None], "on the day before");
        assert_eq!(chosen(around("1970-01-01T00:00:00"), &ends), [at(100), None]);
        let set_back = [at(900), at(250)];
        assert_eq!(chosen(around("00:04:10"), &set_back), set_back);
    }

    #[test]
    fn times_are_parsed() {
        let seconds = |text: &str| match text.parse() {
            Ok(UtcTime::SinceEpoch(time)) => Some(time.as_secs()),
            _ => None,
        };
        assert_eq!(seconds("1970-01-02T00:00:01"), Some(86_401));
        assert_eq!(seconds("2000-03-01T00:00:00"), Some(951_868_800));
        assert_eq!(seconds("2026-11-26T07:18:58"), Some(1_795_651_200 + 26_338));
        for text in
            ["", "7", "24:00:00", "07:18", "2026-02-29T00:00:00", "2026-13-01T00:00:00", "+1:0:0"]
        {
            assert!(text.parse::<UtcTime>().is_err(), "{text}");
        }
    }
}
