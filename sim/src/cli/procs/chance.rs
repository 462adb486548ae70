//! What chance does to what nodes send to one another, where a scenario says so. The fate of each
//! message is decided as in the simulator, and counted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::NodeId;

use crate::choice::{Choices, Overrides};
use crate::cli::clock::Stopwatch;
use crate::outcome::Tally;
use crate::scenario::{ROWS, Scenario};
use crate::settings::Settings;
use crate::time::SimTime;
use crate::world::{Network, Place};

/// The settings that bring it: if one is said, all are as the scenario has them.
pub(super) const SETTINGS: [&str; 4] = ["latency", "loss", "duplicates", "delays"];

/// The chance of all links.
#[derive(Debug)]
pub(super) struct Chance {
    settings: Settings,
    choices: Choices,
    watch: Stopwatch,
    course: Mutex<Course>,
}

/// What came of it so far.
#[derive(Debug)]
struct Course {
    network: Network,
    /// While it is not, everything arrives at once.
    is_at_work: bool,
    tally: Tally,
}

impl Chance {
    /// The chance that the scenario speaks of, if it does. It does nothing before it begins.
    pub(super) fn of(scenario: &Scenario) -> Option<Chance> {
        is_said(scenario).then(|| {
            let settings = scenario.case.settings.clone();
            let network = Network::new(settings.nodes().into());
            Chance {
                choices: Choices::new(scenario.case.seed, Overrides::new()),
                settings,
                watch: Stopwatch::start(),
                course: Mutex::new(Course { network, is_at_work: false, tally: Tally::default() }),
            }
        })
    }

    /// From now on it does, or does nothing any more.
    pub(super) fn work(&self, is_at_work: bool) {
        self.course().is_at_work = is_at_work;
    }

    /// When the next message of one node to another arrives, by [`Chance::now`]: never, once or
    /// twice.
    pub(super) fn arrivals(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = Duration> {
        let start = SimTime::default();
        let now = start.after(self.now());
        let mut course = self.course();
        let Course { network, is_at_work, tally } = &mut *course;
        let (arrival, copy) = match *is_at_work {
            false => (Some(now), None),
            true => {
                let link = (place(from), place(to));
                let fate = network.decide(now, link, 1, &self.choices, &self.settings);
                tally.messages += 1;
                for fault in fate.met.into_iter().flatten() {
                    *tally.faults.entry(fault.name()).or_default() += 1;
                }
                (fate.arrival, fate.copy)
            }
        };
        [arrival, copy].into_iter().flatten().map(move |at| at.since(start))
    }

    /// The time on the clock of arrivals.
    pub(super) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// The messages that it decided about, and the faults that they met.
    pub(super) fn tally(&self) -> Tally {
        self.course().tally.clone()
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line of the scenario brings it.
pub(super) fn is_said(scenario: &Scenario) -> bool {
    let said = ROWS.iter().zip(&scenario.places.rows).filter(|(_, line)| **line > 0);
    said.map(|(row, _)| row.name).any(|name| SETTINGS.contains(&name))
}

/// A node's place in the simulator's network.
fn place(node: NodeId) -> Place {
    Place(u8::try_from(node.0.saturating_sub(1)).unwrap_or(u8::MAX))
}
