//! The part of a recording that is copied: all of it, its last stretch of time, or the stretch
//! around a point in time. It consists of whole files.

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
    /// Copy only the files with records from the last part of the recording, e.g. 5min
    #[arg(long, value_name = "TIME")]
    last: Option<Span>,
    /// Copy only the files with records within a minute of this UTC time: 2026-11-26T07:18:58, or
    /// 07:18:58 for the last day of the recording
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    around: Option<UtcTime>,
}

/// A point in time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UtcTime {
    SinceEpoch(Duration),
    SinceMidnight(Duration),
}

/// The times of a file's records since the Unix epoch, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileTimes {
    /// The time of the first record.
    pub(super) begin: Option<Duration>,
    /// The time of the first record of the last block.
    pub(super) last_block: Option<Duration>,
}

/// The range of times whose records are all copied; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeRange {
    from: Duration,
    to: Duration,
}

impl Selection {
    /// Returns true if the whole recording is copied.
    pub(super) fn is_everything(&self) -> bool {
        self.last.is_none() && self.around.is_none()
    }

    /// Returns the range of times to copy from a recording whose last block begins at `end`.
    pub(super) fn range(&self, end: Duration) -> TimeRange {
        let (from, to) = match (self.last, self.around) {
            (Some(Span(last)), _) => (end.saturating_sub(last), Duration::MAX),
            (None, Some(around)) => {
                let at = around.since_epoch(end.saturating_add(BLOCK_TIME));
                (at.saturating_sub(AROUND_TIME), at.saturating_add(AROUND_TIME))
            }
            (None, None) => (Duration::ZERO, Duration::MAX),
        };
        TimeRange { from, to }
    }

    /// Returns for each file of a recording, oldest first, whether it is copied.
    pub(super) fn of(&self, files: &[FileTimes]) -> Vec<bool> {
        // The clock may have been set back, so an earlier file has a later time.
        let end = files.iter().rev().find_map(|file| file.last_block).unwrap_or_default();
        let range = self.range(end);
        let next = files.iter().skip(1).map(|file| file.begin).chain([None]);
        files.iter().zip(next).map(|(file, next)| range.may_have(*file, next)).collect()
    }
}

impl TimeRange {
    /// Returns true if the file may have records of the range. The next file begins at `next`.
    fn may_have(self, file: FileTimes, next: Option<Duration>) -> bool {
        let ends_before = |last_block: Duration| {
            // A file ends before the next one begins, unless the clock was set back.
            last_block.saturating_add(BLOCK_TIME) < self.from
                || next.is_some_and(|next| last_block <= next && self.begins_after(next))
        };
        !file.last_block.is_some_and(ends_before) && file.begin.is_none_or(|begin| begin <= self.to)
    }

    /// Returns true if a file whose first or second block begins at this time has no records of the
    /// range.
    pub(super) fn ends_before(self, begin: Duration) -> bool {
        begin > self.to.saturating_add(BLOCK_TIME)
    }

    /// Returns true if the files before one that begins at this time have no records of the range,
    /// unless the clock was set back.
    pub(super) fn begins_after(self, begin: Duration) -> bool {
        begin <= self.from
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
pub(super) mod tests {
    use super::*;

    /// The first and the last second of a file.
    type Seconds = Option<(u64, u64)>;

    /// Returns the files that are chosen.
    fn chosen(selection: Selection, files: &[Seconds]) -> Vec<Seconds> {
        let times = |file: &Seconds| FileTimes {
            begin: file.map(|(begin, _)| Duration::from_secs(begin)),
            last_block: file.map(|(_, last)| Duration::from_secs(last)),
        };
        let times: Vec<FileTimes> = files.iter().map(times).collect();
        let chosen = selection.of(&times);
        files.iter().zip(chosen).filter_map(|(file, chosen)| chosen.then_some(*file)).collect()
    }

    pub(in crate::record) fn last(seconds: u64) -> Selection {
        Selection { last: Some(Span(Duration::from_secs(seconds))), around: None }
    }

    pub(in crate::record) fn around(text: &str) -> Selection {
        Selection { last: None, around: Some(text.parse().expect("a time")) }
    }

    #[test]
    fn with_last_only_the_files_of_that_time_are_chosen() {
        let first = 2000 - 60 - BLOCK_TIME.as_secs();
        let ends = [Some((900, 1000)), Some((1000, first - 1)), Some((first - 1, first))];
        let files = [&ends[..], &[None, Some((first, 2000))]].concat();
        assert_eq!(chosen(last(60), &files), files[2..]);
        assert_eq!(chosen(last(2000), &files), files, "all of it");
        assert_eq!(chosen(Selection::default(), &files), files, "all of it");
        assert!(Selection::default().is_everything() && !last(60).is_everything());
        let ended = [Some((1800, 1930)), Some((1931, 1938)), Some((1940, 2000))];
        assert_eq!(chosen(last(60), &ended), ended[2..], "no file has records of the next one");
        assert_eq!(chosen(last(61), &ended), ended[1..]);
        let set_back = [Some((2400, 2500)), Some((900, 1000)), Some((1000, 2000))];
        let late = [set_back[0], set_back[2]];
        assert_eq!(chosen(last(60), &set_back), late, "the last file ends the recording");
    }

    #[test]
    fn only_files_with_records_around_a_time_are_chosen() {
        // 2026-11-26T00:00:00.
        let day: u64 = 1_795_651_200;
        let at = |begin: u64, last: u64| Some((day + begin, day + last));
        let files = [at(5, 100), at(100, 200), at(200, 300), at(300, 400), at(400, 500), None];
        let middle = [files[1], files[2], files[3], None];
        assert_eq!(chosen(around("2026-11-26T00:04:10"), &files), middle);
        assert_eq!(chosen(around("00:04:10"), &files), middle);
        assert_eq!(chosen(around("2026-11-27T00:04:10Z"), &files), [None], "after its end");
        assert_eq!(chosen(around("23:59:59"), &files), [files[0], None], "on the day before");
        assert_eq!(chosen(around("1970-01-01T00:00:00"), &files), [None], "before its beginning");
        let set_back = [at(900, 1000), at(240, 250)];
        assert_eq!(chosen(around("00:04:10"), &set_back), set_back[1..]);
    }

    #[test]
    fn a_range_says_which_files_need_not_be_read() {
        let seconds = Duration::from_secs;
        let range = last(60).range(seconds(2000));
        assert!(range.begins_after(seconds(1940)) && !range.begins_after(seconds(1941)));
        assert!(!range.ends_before(seconds(9000)));
        let range = around("1970-01-01T00:33:20").range(seconds(9000));
        let block = BLOCK_TIME.as_secs();
        assert!(range.begins_after(seconds(1940)) && !range.begins_after(seconds(1941)));
        assert!(
            range.ends_before(seconds(2061 + block)) && !range.ends_before(seconds(2060 + block))
        );
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
