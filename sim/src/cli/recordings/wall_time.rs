//! Times of events: seconds since the first event, and times of day in UTC.

use std::fmt;
use std::time::Duration;

use crate::cli::values;
use crate::values::time::SimTime;

const SECONDS_PER_DAY: u64 = 86_400;

/// A time that a flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventTime {
    /// A time since the first event.
    Since(SimTime),
    /// A time since the Unix epoch.
    Unix(Duration),
    /// A time since midnight, on the day of the first event or the next one.
    OfDay(Duration),
}

impl EventTime {
    /// The time since the first event, which was at `origin` after the Unix epoch.
    pub(crate) fn since(self, origin: Duration) -> SimTime {
        let unix = match self {
            EventTime::Since(since) => return since,
            EventTime::Unix(unix) => unix,
            EventTime::OfDay(time) => {
                let midnight = origin.as_secs() / SECONDS_PER_DAY * SECONDS_PER_DAY;
                let same_day = Duration::from_secs(midnight) + time;
                // A time of some minutes before the first event is a time before it.
                let half = Duration::from_secs(SECONDS_PER_DAY / 2);
                let next_day = same_day + half < origin;
                same_day + Duration::from_secs(if next_day { SECONDS_PER_DAY } else { 0 })
            }
        };
        let since = unix.saturating_sub(origin).as_nanos();
        // Accounts print whole microseconds: include every event within the given one.
        SimTime(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(999))
    }
}

/// Parses `12.5s`, `06:26:07.5` or `2026-11-26T06:26:07`.
pub(crate) fn event_time(text: &str) -> Result<EventTime, String> {
    if !text.contains(':') {
        return values::sim_time(text).map(EventTime::Since);
    }
    let invalid =
        || "a time is seconds, e.g. 12.5s, or UTC, e.g. 06:26:07 or 2026-11-26T06:26:07".to_owned();
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), time),
        None => (None, text),
    };
    let time = time_of_day(time).ok_or_else(invalid)?;
    let Some(date) = date else { return Ok(EventTime::OfDay(time)) };
    let days = days_since_epoch(date).ok_or_else(invalid)?;
    Ok(EventTime::Unix(Duration::from_secs(days * SECONDS_PER_DAY) + time))
}

fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.splitn(3, ':');
    let mut below = |max: u64| number(parts.next()?).filter(|number| *number < max);
    let (hours, minutes) = (below(24)?, below(60)?);
    let seconds = parts.next().unwrap_or("0");
    let (seconds, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let (seconds, part) = (number(seconds).filter(|seconds| *seconds < 60)?, part.get(..)?);
    let nanos = number(&format!("{part:0<9}")).filter(|_| part.len() <= 9)?;
    let seconds = (hours * 60 + minutes) * 60 + seconds;
    Some(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The days since the Unix epoch of a date like `2026-11-26`, from 1970 to 9999.
fn days_since_epoch(date: &str) -> Option<u64> {
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let before: u64 = (1970..year).map(days_in_year).sum();
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    (1..=days_in_month(year, month)).contains(&day).then(|| before + months + day - 1)
}

fn days_in_year(year: u64) -> u64 {
    365 + u64::from(is_leap_year(year))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap_year(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// A time since the Unix epoch as its date.
pub(crate) struct Date(pub(crate) Duration);

/// A time since the Unix epoch as its time of day, with microseconds.
pub(crate) struct TimeOfDay(pub(crate) Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, mut year, mut month) = (self.0.as_secs() / SECONDS_PER_DAY, 1970, 1);
        while days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        while days >= days_in_month(year, month) {
            days -= days_in_month(year, month);
            month += 1;
        }
        write!(f, "{year}-{month:02}-{:02}", days + 1)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs() % SECONDS_PER_DAY;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date -u -d @1795674367` prints this time.
    const UNIX: Duration = Duration::from_millis(1_795_674_367_250);

    #[test]
    fn times_are_printed_and_parsed() {
        assert_eq!(Date(UNIX).to_string(), "2026-11-26");
        assert_eq!(TimeOfDay(UNIX).to_string(), "06:26:07.250000");
        assert_eq!(Date(Duration::from_secs(951_782_400)).to_string(), "2000-02-29");
        assert_eq!(event_time("2026-11-26T06:26:07.25Z"), Ok(EventTime::Unix(UNIX)));
        assert_eq!(event_time("12.5s"), Ok(EventTime::Since(SimTime(12_500_000_999))));
        let invalid = ["6:", "24:00:00", "06:60", "2026-02-29T06:26:07", "x:y:z", "06:26:07.x", ""];
        for text in invalid {
            assert!(event_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_near_the_first_event() {
        let since = |text: &str, origin| {
            let time = event_time(text).expect("it is valid");
            time.since(origin).0 / 1_000_000_000
        };
        assert_eq!(since("06:26:17.25", UNIX), 10);
        assert_eq!(since("06:26:00", UNIX), 0, "before the first event");
        let late = Duration::from_secs(86_400 * 3 - 10);
        assert_eq!(since("00:00:05", late), 15, "after midnight");
    }
}
