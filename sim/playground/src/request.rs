//! The requests of the page.

use serde::Deserialize;

/// One request of the page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// The choices that the page offers.
    Catalog,
    /// A run and its drawing.
    Run(Wanted),
}

/// The run that the page asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Wanted {
    /// The seed or the scenario that decides the run.
    pub from: Source,
    /// Whether the disks report flushes that they did not do: a planted bug.
    #[serde(default)]
    pub canary: bool,
    /// The number of events after which the run ends; by default it runs to its end.
    #[serde(default)]
    pub events_max: Option<u64>,
}

/// A seed, or a scenario: it decides a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A seed draws everything.
    Seed(Drawn),
    /// The text of a scenario.
    Scenario(String),
}

/// A seed and the family of runs that it draws from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Drawn {
    /// The seed in decimal digits, because JavaScript rounds large numbers.
    pub seed: String,
    /// The name of the profile.
    pub profile: String,
    /// The name of the search strategy.
    pub strategy: String,
}
