//! Search strategies: how a run's faults and options are drawn.

/// A strategy for the search of failing runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Every kind of fault of the profile in every run, at random times, with the default options.
    /// The exceptions are membership changes, transfers of leadership, disks that are lost, rolled
    /// back or lose bodies of entries, machine faults and upgrades: only a profile that has them in
    /// every run has them here.
    Random,
    /// Each run omits some kinds of faults, and draws its options (Groce and others, "Swarm
    /// testing", 2012).
    Swarm,
    /// Swarm, and fault patterns for the weak points of the protocol.
    #[default]
    Nemeses,
    /// Many runs per seed: the first eight, and every fourth later one, are drawn as by nemeses;
    /// the others continue differently from the rarest abstract states of earlier ones.
    Guided,
}

impl Strategy {
    /// All strategies, in ascending order.
    pub const ALL: [Strategy; 4] =
        [Strategy::Random, Strategy::Swarm, Strategy::Nemeses, Strategy::Guided];

    /// Returns the strategy with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Strategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Returns the maximum number of runs of one seed; a seed ends with its first failing run.
    #[must_use]
    pub const fn runs(self) -> u64 {
        match self {
            Strategy::Random | Strategy::Swarm | Strategy::Nemeses => 1,
            Strategy::Guided => 64,
        }
    }

    /// Returns the name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Swarm => "swarm",
            Strategy::Nemeses => "nemeses",
            Strategy::Guided => "guided",
        }
    }

    /// Returns a short description for `--help`.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Strategy::Random => {
                "every kind of fault in every run, at random times; membership changes, transfers, \
                 lost or rolled-back disks, lost entries, machine faults and upgrades only if the \
                 profile always has them"
            }
            Strategy::Swarm => "each run omits some kinds of faults, and draws its options",
            Strategy::Nemeses => "like swarm, with fault patterns that target weak points of Raft",
            Strategy::Guided => {
                "up to 64 runs per seed, which continue from rare states of earlier runs"
            }
        }
    }
}
