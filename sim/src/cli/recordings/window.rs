//! Selects the part of an account that is printed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::recordings::arguments::WindowArguments;
use crate::recordings::{AccountLine, Merged};
use crate::values::time::SimTime;

/// The time on both sides of `--around`.
const AROUND: Duration = Duration::from_secs(5);

/// The first and the last time of the lines that are printed.
pub(crate) struct Window {
    from: SimTime,
    to: SimTime,
}

impl Window {
    /// Returns the window, or an error if `--from` is after `--to`.
    pub(crate) fn new(
        arguments: &WindowArguments,
        merged: &Merged,
        lines: &[AccountLine],
    ) -> CommandResult<Window> {
        let WindowArguments { last, from, to, around } = arguments;
        let end = lines.iter().map(|line| line.until).max().unwrap_or_default();
        let (mut window, origin) = (Window { from: SimTime(0), to: end }, merged.origin);
        if let Some(last) = last {
            window.from = end.before(*last);
        }
        if let Some(around) = around {
            let middle = around.since(origin, end);
            window = Window { from: middle.before(AROUND), to: middle.after(AROUND) };
        }
        if let Some(from) = from {
            // `since` returns the end of the named microsecond; a window begins at its start.
            window.from = from.since(origin, end).before(Duration::from_nanos(999));
        }
        if let Some(to) = to {
            window.to = to.since(origin, end);
        }
        match (from, to) {
            (Some(_), Some(_)) if window.from > window.to => {
                let Window { from, to } = window;
                Err(CommandError(format!("--from {from} is after --to {to}")))
            }
            _ => Ok(window),
        }
    }

    /// The first and the last time of the window.
    pub(crate) fn range(&self) -> RangeInclusive<SimTime> {
        self.from..=self.to
    }

    /// Whether something that lasted from one time to another was within the window.
    pub(crate) fn has(&self, from: SimTime, to: SimTime) -> bool {
        from <= self.to && to >= self.from
    }
}
