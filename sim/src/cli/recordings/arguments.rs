//! The flags of `cargo sim replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::recordings::wall_time::{self, EventTime};
use crate::cli::values;

#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    /// Recordings: files, directories of such files, or data directories of stopped nodes. If the
    /// wall clock of a node is not recorded, pass its files oldest first (docs/RECORDING.md)
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The time window of the events that are printed.
    #[command(flatten)]
    pub(crate) window: WindowArguments,
    /// Print the step with this number: its input, its actions, and the fields of the state that it
    /// changes. If the node started several times, print this step of each start
    #[arg(
        long,
        value_name = "N",
        value_parser = values::number::<u64>(0..=u64::MAX),
        conflicts_with_all = ["last", "from", "to", "around"]
    )]
    pub(crate) record: Option<u64>,
    /// Print the first step after --record that has this event; without --record, the first such
    /// step of each start
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["last", "from", "to", "around"])]
    pub(crate) to_next: Option<StepEvent>,
    /// Print the last step before --record that has this event; without --record, the last such
    /// step of each start
    #[arg(
        long,
        value_name = "EVENT",
        conflicts_with_all = ["to_next", "last", "from", "to", "around"]
    )]
    pub(crate) to_previous: Option<StepEvent>,
    /// Also write a timeline of the time window as a self-contained HTML page
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "to_next", "to_previous"])]
    pub(crate) html: Option<PathBuf>,
    /// Also write a scenario with the pauses, outages and silent links, as a skeleton to complete
    /// (docs/SCENARIOS.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "to_next", "to_previous"])]
    pub(crate) scenario: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long, conflicts_with_all = ["record", "to_next", "to_previous"])]
    pub(crate) json: bool,
}

impl ReplayArguments {
    /// Whether single steps are printed instead of the account.
    pub(crate) fn selects_steps(&self) -> bool {
        self.record.is_some() || self.to_next.is_some() || self.to_previous.is_some()
    }
}

/// The time of the lines that are printed.
#[derive(Args, Debug, Default)]
pub(crate) struct WindowArguments {
    /// Print only the events of the last DURATION of the recordings, e.g. 30s or 5m
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = values::duration,
        conflicts_with_all = ["from", "to", "around"]
    )]
    pub(crate) last: Option<Duration>,
    /// Print only events from this time on: seconds as printed, e.g. 12.5s, or a UTC time, e.g.
    /// 06:26:07 or 2026-11-26T06:26:07
    #[arg(long, value_name = "TIME", value_parser = wall_time::event_time)]
    pub(crate) from: Option<EventTime>,
    /// Print only events up to this time
    #[arg(long, value_name = "TIME", value_parser = wall_time::event_time)]
    pub(crate) to: Option<EventTime>,
    /// Print only events within 5 seconds of this time
    #[arg(
        long,
        value_name = "TIME",
        value_parser = wall_time::event_time,
        conflicts_with_all = ["from", "to"]
    )]
    pub(crate) around: Option<EventTime>,
}

/// An event that a step may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StepEvent {
    /// The role, the term or the known leader changes
    Role,
    /// The commit index advances
    Commit,
    /// A message or a request is rejected
    Rejection,
}
