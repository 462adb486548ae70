//! How far a sweep is: a bar on a terminal, a line now and then elsewhere. All on standard error.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::clock::Stopwatch;
use crate::cli::text::{grouped, rate, span};
use crate::summary::Summary;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How long nothing is shown of something that may end at once.
const SPIN_AFTER: Duration = Duration::from_secs(1);

/// Shows how far a sweep is.
pub(crate) struct Progress {
    watch: Stopwatch,
    /// The number of seeds, or of milliseconds if only the time is known.
    goal: Goal,
    shown: Shown,
}

/// What the sweep goes towards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many seeds.
    Seeds(u64),
    /// So much time.
    Time(Duration),
    /// Nobody knows beforehand.
    Open,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Duration },
}

impl Progress {
    /// Starts to show.
    pub(crate) fn start(goal: Goal) -> Progress {
        let shown = if io::stderr().is_terminal() {
            Shown::Bar(bar(goal))
        } else {
            Shown::Lines { last: Duration::ZERO }
        };
        Progress { watch: Stopwatch::start(), goal, shown }
    }

    /// One more seed is in `summary`.
    pub(crate) fn advance(&mut self, summary: &Summary) {
        let elapsed = self.watch.elapsed();
        match &mut self.shown {
            Shown::Bar(bar) => {
                match self.goal {
                    Goal::Seeds(_) | Goal::Open => bar.set_position(summary.seeds),
                    Goal::Time(limit) => bar.set_position(millis(elapsed.min(limit))),
                }
                bar.set_message(state(summary, elapsed));
            }
            Shown::Lines { last } => {
                if elapsed >= *last + LINE_EVERY {
                    *last = elapsed;
                    let goal = match self.goal {
                        Goal::Seeds(seeds) => format!(" of {}", grouped(seeds)),
                        Goal::Time(limit) => format!(" in {} of {}", span(elapsed), span(limit)),
                        Goal::Open => String::new(),
                    };
                    let done = grouped(summary.seeds);
                    eprintln!("{done}{goal} seeds, {}", state(summary, elapsed));
                }
            }
        }
    }

    /// Prints on standard output without breaking the bar.
    pub(crate) fn interleave(&self, print: impl FnOnce()) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(print),
            Shown::Lines { .. } => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) -> Duration {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        self.watch.elapsed()
    }
}

/// Shows that one thing takes long; nothing if it does not.
pub(crate) struct Waiting<'a> {
    watch: Stopwatch,
    name: &'a str,
    /// Where there is a terminal.
    bar: Option<ProgressBar>,
    /// How many lines were printed where there is none.
    lines: AtomicU64,
}

impl<'a> Waiting<'a> {
    /// Starts to wait for `name`.
    pub(crate) fn start(name: &'a str) -> Waiting<'a> {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}: searching, {elapsed}");
            let style = style.expect("the template is a constant");
            ProgressBar::no_length().with_style(style).with_message(name.to_owned())
        });
        Waiting { watch: Stopwatch::start(), name, bar, lines: AtomicU64::new(0) }
    }

    /// It is not there yet.
    pub(crate) fn tick(&self) {
        let elapsed = self.watch.elapsed();
        match &self.bar {
            Some(bar) if elapsed >= SPIN_AFTER => bar.tick(),
            Some(_) => {}
            None => {
                let due = elapsed.as_secs() / LINE_EVERY.as_secs();
                if self.lines.fetch_max(due, Ordering::Relaxed) < due {
                    eprintln!("{}: searching for {}", self.name, span(elapsed));
                }
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn state(summary: &Summary, elapsed: Duration) -> String {
    let failed = match summary.failed.len() {
        0 => String::new(),
        failed => format!(", {failed} FAILED"),
    };
    let events = grouped(rate(summary.tally.events, elapsed));
    format!("{events} events/s, {} simulated{failed}", span(summary.tally.simulated))
}

fn bar(goal: Goal) -> ProgressBar {
    let (bar, template) = match goal {
        Goal::Seeds(seeds) => (
            ProgressBar::new(seeds),
            "{bar:32} {human_pos} of {human_len} seeds, {msg}, {eta} left",
        ),
        Goal::Time(limit) => (ProgressBar::new(millis(limit)), "{bar:32} {elapsed}, {msg}"),
        Goal::Open => (ProgressBar::no_length(), "{spinner} {human_pos} seeds, {msg}, {elapsed}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    bar.with_style(style)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
