//! Times of events: seconds since the first event, and times of day in UTC.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::cli::values;
use crate::values::time::SimTime;

/// A time that a flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventTime {
    /// A time since the first event.
    Since(SimTime),
    /// A time since the Unix epoch.
    Unix(Duration),
    /// A time of day, since midnight: the first such time within the recordings, or the one on
    /// their first day if there is none.
    OfDay(TimeDelta),
}

impl EventTime {
    /// The time since the first event, which was at `origin` after the Unix epoch; the last one was
    /// at `end`.
    pub(crate) fn since(self, origin: Duration, end: SimTime) -> SimTime {
        let unix = match self {
            EventTime::Since(since) => return since,
            EventTime::Unix(unix) => unix,
            EventTime::OfDay(time) => {
                let start = utc(origin);
                let same_day = start.date_naive().and_time(NaiveTime::MIN).and_utc() + time;
                let next_day = same_day.checked_add_signed(TimeDelta::days(1));
                let last = utc(origin.saturating_add(Duration::from_nanos(end.0)));
                let is_next_day = |next_day: &_| same_day < start && *next_day <= last;
                let at = next_day.filter(is_next_day).unwrap_or(same_day);
                (at - DateTime::UNIX_EPOCH).to_std().unwrap_or_default()
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
    let parsed = ["%H:%M:%S%.f", "%H:%M"]
        .into_iter()
        .find_map(|form| NaiveTime::parse_from_str(time, form).ok());
    let time = parsed.ok_or_else(invalid)?;
    let Some(date) = date else { return Ok(EventTime::OfDay(time - NaiveTime::MIN)) };
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| invalid())?;
    let since = date.and_time(time).and_utc() - DateTime::UNIX_EPOCH;
    since.to_std().map(EventTime::Unix).map_err(|_| invalid())
}

/// Prints a time since the Unix epoch as its date.
pub(crate) fn date(unix: Duration) -> String {
    utc(unix).format("%Y-%m-%d").to_string()
}

/// Prints a time since the Unix epoch as its time of day, with microseconds.
pub(crate) fn time_of_day(unix: Duration) -> String {
    utc(unix).format("%H:%M:%S%.6f").to_string()
}

/// A time since the Unix epoch as a calendar time; the last representable one if it is later.
fn utc(unix: Duration) -> DateTime<Utc> {
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, unix.subsec_nanos()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date -u -d @1795674367` prints this time.
    const UNIX: Duration = Duration::from_millis(1_795_674_367_250);

    #[test]
    fn times_are_printed_and_parsed() {
        assert_eq!(date(UNIX), "2026-11-26");
        assert_eq!(time_of_day(UNIX), "06:26:07.250000");
        assert!(date(Duration::MAX).ends_with("-12-31"), "the last date");
        assert_eq!(event_time("06:26"), event_time("06:26:00"));
        assert_eq!(event_time("2026-11-26T06:26:07.25Z"), Ok(EventTime::Unix(UNIX)));
        assert_eq!(event_time("12.5s"), Ok(EventTime::Since(SimTime(12_500_000_999))));
        let invalid = [
            "6:",
            "24:00:00",
            "06:60",
            "2026-02-29T06:26:07",
            "1969-12-31T23:00",
            "x:y:z",
            "06:26:07.x",
            "",
        ];
        for text in invalid {
            assert!(event_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_the_first_one_within_the_recordings() {
        let day = SimTime(86_400 * 1_000_000_000);
        let since = |text: &str, origin| {
            let time = event_time(text).expect("it is valid");
            time.since(origin, day).0 / 1_000_000_000
        };
        assert_eq!(since("06:26:17.25", UNIX), 10);
        assert_eq!(since("05:00:00", UNIX), 81_232, "on the next day");
        let early = event_time("05:00").expect("it is valid");
        assert_eq!(
            early.since(UNIX, SimTime(1_000_000_000)),
            SimTime(999),
            "before the first event"
        );
        let late = Duration::from_secs(86_400 * 3 - 10);
        assert_eq!(since("00:00:05", late), 15, "after midnight");
    }
}
