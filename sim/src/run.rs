//! One seed, from its first choice to its outcome.

use std::fmt;
use std::sync::Arc;

use crate::choice::Overrides;
use crate::outcome::{Outcome, Tally};
use crate::profile::Profile;

/// Takes the lines of a trace, without line ends, in order.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;

/// How to run a seed.
#[derive(Clone)]
pub struct RunOptions {
    /// The family of runs that the seed draws from.
    pub profile: &'static Profile,
    /// Choices that are given instead of drawn.
    pub overrides: Overrides,
    /// Whether the checks watch. They change nothing but the failure.
    pub checks: bool,
    /// Where to write one line per event: `time node role term last/durable/committed/applied
    /// event`.
    pub trace: Option<TraceSink>,
    /// How many times longer than usual the storm lasts; at least 1.
    pub length: u32,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            profile: <&Profile>::default(),
            overrides: Overrides::new(),
            checks: true,
            trace: None,
            length: 1,
        }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("profile", &self.profile.name)
            .field("overrides", &self.overrides)
            .field("checks", &self.checks)
            .field("trace", &self.trace.is_some())
            .field("length", &self.length)
            .finish()
    }
}

/// Runs `seed` to its end, or to the first thing that goes wrong.
#[must_use]
pub fn run(seed: u64, _options: &RunOptions) -> Outcome {
    Outcome { seed, digest: 0, tally: Tally::default(), marks: Vec::new(), failure: None }
}
