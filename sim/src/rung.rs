//! How far a search goes to meet what is rare.

/// A rung of the ladder of searches; each has what is below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Every kind of fault of the profile in every run, at any time, with the options as a user has
    /// them.
    Random,
    /// Each run omits some kinds of faults, and draws its options (Groce and others, "Swarm
    /// testing", 2012).
    Swarm,
    /// Faults befall nodes at the algorithm's weak moments, in the order that hurts.
    #[default]
    Nemeses,
    /// A seed is many runs: the first is that of the rung below, and most of the others go on from
    /// the rarest states that those before have come to.
    Guided,
}

impl Rung {
    /// All of them, from the lowest.
    pub const ALL: [Rung; 4] = [Rung::Random, Rung::Swarm, Rung::Nemeses, Rung::Guided];

    /// The rung of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Rung> {
        Rung::ALL.into_iter().find(|rung| rung.name() == name)
    }

    /// How many runs a seed is, at most: it ends with the first that fails.
    #[must_use]
    pub const fn runs(self) -> u64 {
        match self {
            Rung::Random | Rung::Swarm | Rung::Nemeses => 1,
            Rung::Guided => 64,
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Rung::Random => "random",
            Rung::Swarm => "swarm",
            Rung::Nemeses => "nemeses",
            Rung::Guided => "guided",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Rung::Random => "every kind of fault in every run, at any time; options as users have",
            Rung::Swarm => "each run omits some kinds of faults, and draws its options",
            Rung::Nemeses => "faults at the algorithm's weak moments, too",
            Rung::Guided => "a seed is 64 runs, which go on from the rarest states of others",
        }
    }
}
