//! Random faults of messages between nodes, if a scenario configures them: latency, loss,
//! duplicates and delays. The network model of the simulator decides the faults of each message,
//! which are counted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::NodeId;

use crate::cli::clock::Stopwatch;
use crate::observe::outcome::Tally;
use crate::scenario::{ROWS, Scenario};
use crate::settings::Settings;
use crate::values::choice::{Choices, Overrides};
use crate::values::time::SimTime;
use crate::world::{Network, Place, Start};

/// The settings that enable random faults: if the scenario has one of them, all of them apply.
pub(super) const SETTINGS: [&str; 4] = ["latency", "loss", "duplicates", "delays"];

/// The random faults of all links.
#[derive(Debug)]
pub(super) struct RandomFaults {
    settings: Settings,
    choices: Choices,
    watch: Stopwatch,
    state: Mutex<FaultState>,
}

/// The state of the network model and the counts.
#[derive(Debug)]
struct FaultState {
    network: Network,
    /// While false, every message arrives immediately.
    is_enabled: bool,
    tally: Tally,
}

impl RandomFaults {
    /// Returns the random faults that the scenario configures, disabled, or `None` if it has none.
    pub(super) fn of(scenario: &Scenario) -> Option<RandomFaults> {
        is_configured(scenario).then(|| {
            let settings = scenario.case.settings.clone();
            let network = Network::new(settings.nodes().into());
            RandomFaults {
                choices: Choices::new(scenario.case.seed, Overrides::new()),
                settings,
                watch: Stopwatch::start(),
                state: Mutex::new(FaultState {
                    network,
                    is_enabled: false,
                    tally: Tally::default(),
                }),
            }
        })
    }

    /// Enables or disables the faults.
    pub(super) fn set_enabled(&self, is_enabled: bool) {
        self.state().is_enabled = is_enabled;
    }

    /// Returns the arrival times of the next message between two nodes, on the clock of
    /// [`RandomFaults::now`]: none if it is lost, two if it is duplicated.
    pub(super) fn arrivals(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = Duration> {
        let start = SimTime::default();
        let now = start.after(self.now());
        let mut state = self.state();
        let FaultState { network, is_enabled, tally } = &mut *state;
        let (arrival, copy) = match *is_enabled {
            false => (Some(now), None),
            true => {
                let sender = Start { place: place(from), number: 1 };
                let decision =
                    network.decide(sender, place(to), now, &self.choices, &self.settings);
                tally.messages += 1;
                for fault in decision.faults.into_iter().flatten() {
                    *tally.faults.entry(fault.name()).or_default() += 1;
                }
                (decision.arrival, decision.copy)
            }
        };
        [arrival, copy].into_iter().flatten().map(move |at| at.since(start))
    }

    /// Returns the time on the clock of arrivals.
    pub(super) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Returns the number of decided messages and of their faults.
    pub(super) fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    fn state(&self) -> MutexGuard<'_, FaultState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true if a line of the scenario configures random faults.
pub(super) fn is_configured(scenario: &Scenario) -> bool {
    let lines = ROWS.iter().zip(&scenario.line_numbers.rows).filter(|(_, line)| **line > 0);
    lines.map(|(row, _)| row.name).any(|name| SETTINGS.contains(&name))
}

/// Returns the place of a node in the network model.
fn place(node: NodeId) -> Place {
    Place(u8::try_from(node.0.saturating_sub(1)).unwrap_or(u8::MAX))
}
