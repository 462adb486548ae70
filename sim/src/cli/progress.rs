//! Progress of long work on standard error: a bar or a spinner on a terminal, otherwise a line
//! every 10 seconds.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::clock::Stopwatch;
use crate::cli::text::{duration, grouped, quantity, rate};
use crate::observe::outcome::Tally;
use crate::run::summary::Summary;

/// The interval between progress lines if standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The delay before a spinner appears.
const SPIN_AFTER: Duration = Duration::from_secs(1);

/// The progress display of a sweep.
pub(crate) struct Progress {
    watch: Stopwatch,
    goal: ProgressGoal,
    output: ProgressOutput,
}

/// The known end of a sweep, for the progress display.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProgressGoal {
    /// The sweep ends after this many seeds.
    Seeds(u64),
    /// The sweep ends after this time.
    Time(Duration),
    /// The sweep ends when a condition is met.
    Open,
}

enum ProgressOutput {
    Bar(ProgressBar),
    Lines { last: Duration },
}

impl Progress {
    /// Starts the display at zero seeds.
    pub(crate) fn start(goal: ProgressGoal) -> Progress {
        let output = if io::stderr().is_terminal() {
            ProgressOutput::Bar(bar(goal))
        } else {
            ProgressOutput::Lines { last: Duration::ZERO }
        };
        Progress { watch: Stopwatch::start(), goal, output }
    }

    /// Updates the display after a seed was added to `summary`.
    pub(crate) fn advance(&mut self, summary: &Summary) {
        let elapsed = self.watch.elapsed();
        match &mut self.output {
            ProgressOutput::Bar(bar) => {
                match self.goal {
                    ProgressGoal::Seeds(_) | ProgressGoal::Open => bar.set_position(summary.seeds),
                    ProgressGoal::Time(limit) => bar.set_position(millis(elapsed.min(limit))),
                }
                bar.set_message(state(summary, elapsed));
            }
            ProgressOutput::Lines { last } => {
                if elapsed >= *last + LINE_EVERY {
                    *last = elapsed;
                    let goal = match self.goal {
                        ProgressGoal::Seeds(seeds) => format!(" of {} seeds", grouped(seeds)),
                        ProgressGoal::Time(limit) => {
                            format!(" seeds in {} of {}", duration(elapsed), duration(limit))
                        }
                        ProgressGoal::Open => " seeds".to_owned(),
                    };
                    let done = grouped(summary.seeds);
                    eprintln!("{done}{goal}, {}", state(summary, elapsed));
                }
            }
        }
    }

    /// Calls `print`, which may write to standard output, without breaking the bar.
    pub(crate) fn interleave(&self, print: impl FnOnce()) {
        match &self.output {
            ProgressOutput::Bar(bar) => bar.suspend(print),
            ProgressOutput::Lines { .. } => print(),
        }
    }

    /// Removes the bar and returns the elapsed time.
    pub(crate) fn finish(self) -> Duration {
        if let ProgressOutput::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
        self.watch.elapsed()
    }
}

/// The progress display of a known number of things: a bar on a terminal, otherwise a line every 10
/// seconds.
pub(crate) struct CountProgress {
    watch: Stopwatch,
    noun: &'static str,
    goal: u64,
    output: ProgressOutput,
}

impl CountProgress {
    /// Starts the display at zero of `goal` things, which `noun` names.
    pub(crate) fn start(noun: &'static str, goal: usize) -> CountProgress {
        let goal = goal as u64;
        let output = if io::stderr().is_terminal() {
            let template =
                format!("{{bar:32}} {{human_pos}} of {{human_len}} {noun}, {{msg}}, {{eta}} left");
            let style = ProgressStyle::with_template(&template).expect("the template is constant");
            ProgressOutput::Bar(ProgressBar::new(goal).with_style(style))
        } else {
            ProgressOutput::Lines { last: Duration::ZERO }
        };
        CountProgress { watch: Stopwatch::start(), noun, goal, output }
    }

    /// Updates the display after `done` things, with the state in words.
    pub(crate) fn advance(&mut self, done: usize, state: &str) {
        let elapsed = self.watch.elapsed();
        match &mut self.output {
            ProgressOutput::Bar(bar) => {
                bar.set_position(done as u64);
                bar.set_message(state.to_owned());
            }
            ProgressOutput::Lines { last } if elapsed >= *last + LINE_EVERY => {
                *last = elapsed;
                let (done, goal) = (grouped(done as u64), grouped(self.goal));
                eprintln!("{done} of {goal} {}, {state}, {}", self.noun, duration(elapsed));
            }
            ProgressOutput::Lines { .. } => {}
        }
    }

    /// Clears the line of the terminal.
    pub(crate) fn finish(self) {
        if let ProgressOutput::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

/// The progress of runs in a user's test or program, which may own the terminal: a line on standard
/// error every 10 seconds.
pub(crate) struct RunProgress {
    watch: Stopwatch,
    runs: u64,
    last: Duration,
}

impl RunProgress {
    /// Starts at zero runs.
    pub(crate) fn start() -> RunProgress {
        RunProgress { watch: Stopwatch::start(), runs: 0, last: Duration::ZERO }
    }

    /// Counts a run, after which `tally` has the counts of all runs together.
    pub(crate) fn advance(&mut self, tally: &Tally) {
        self.runs += 1;
        let elapsed = self.watch.elapsed();
        if elapsed >= self.last + LINE_EVERY {
            self.last = elapsed;
            let (runs, elapsed) = (quantity(self.runs, "seed"), duration(elapsed));
            eprintln!("{runs} in {elapsed}, {} simulated", duration(tally.simulated));
        }
    }
}

/// The progress display of the check of one history: a spinner on a terminal if the check takes
/// longer than a second, otherwise a line every 10 seconds.
pub(crate) struct SearchSpinner<'a> {
    watch: Stopwatch,
    name: &'a str,
    /// The spinner, if standard error is a terminal.
    bar: Option<ProgressBar>,
    /// The number of lines due so far, one every 10 seconds, if standard error is not a terminal.
    lines: AtomicU64,
}

impl<'a> SearchSpinner<'a> {
    /// Starts the spinner for the history `name`.
    pub(crate) fn start(name: &'a str) -> SearchSpinner<'a> {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}: checking, {elapsed}");
            let style = style.expect("the template is a constant");
            ProgressBar::no_length().with_style(style).with_message(name.to_owned())
        });
        SearchSpinner { watch: Stopwatch::start(), name, bar, lines: AtomicU64::new(0) }
    }

    /// Updates the spinner; the search calls this repeatedly.
    pub(crate) fn tick(&self) {
        let elapsed = self.watch.elapsed();
        match &self.bar {
            Some(bar) if elapsed >= SPIN_AFTER => bar.tick(),
            Some(_) => {}
            None => {
                let due = elapsed.as_secs() / LINE_EVERY.as_secs();
                if self.lines.fetch_max(due, Ordering::Relaxed) < due {
                    eprintln!("{}: still checking after {}", self.name, duration(elapsed));
                }
            }
        }
    }
}

impl Drop for SearchSpinner<'_> {
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
    format!("{events} events/s, {} simulated{failed}", duration(summary.tally.simulated))
}

fn bar(goal: ProgressGoal) -> ProgressBar {
    let (bar, template) = match goal {
        ProgressGoal::Seeds(seeds) => (
            ProgressBar::new(seeds),
            "{bar:32} {human_pos} of {human_len} seeds, {msg}, {eta} left",
        ),
        ProgressGoal::Time(limit) => (ProgressBar::new(millis(limit)), "{bar:32} {elapsed}, {msg}"),
        ProgressGoal::Open => {
            (ProgressBar::no_length(), "{spinner} {human_pos} seeds, {msg}, {elapsed}")
        }
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    bar.with_style(style)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
