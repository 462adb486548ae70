//! Profiles: which storms a run may meet.

use std::fmt;

use crate::fault::Faults;

/// A named family of runs. The seed draws one run from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// The kinds of faults its runs draw from.
    pub(crate) faults: Faults,
    /// How many voters its runs have, unless the seed decides.
    pub(crate) voters: Option<u8>,
}

/// No profile has the name that was asked for; its text lists those that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile(pub String);

static PROFILES: [Profile; 3] = [
    Profile {
        name: "default",
        summary: "every fault kind, a random subset in each run",
        faults: Faults::ALL,
        voters: None,
    },
    Profile { name: "calm", summary: "load without faults", faults: Faults::NONE, voters: None },
    Profile {
        name: "five",
        summary: "as default, always with five voters and no learners",
        faults: Faults::ALL,
        voters: Some(5),
    },
];

impl Profile {
    /// The profile called `name`.
    ///
    /// # Errors
    /// [`UnknownProfile`], which lists the names.
    pub fn by_name(name: &str) -> Result<&'static Profile, UnknownProfile> {
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }

    /// The names of all profiles; the first is the default.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        PROFILES.iter().map(|profile| profile.name).collect()
    }
}

impl Default for &'static Profile {
    fn default() -> &'static Profile {
        &PROFILES[0]
    }
}

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown profile `{}`; there are: {}", self.0, Profile::names().join(", "))
    }
}

impl std::error::Error for UnknownProfile {}
