//! The optional ingredients of a run, such as small segments or hostile clients. Narrow profiles
//! have one of them in every run, and broad profiles have each in some runs.

use crate::faults::{Fault, Faults};
use crate::settings::profile::Profile;
use crate::values::choice::{Choices, Kind};

/// The ingredients of one run. They are drawn one by one, so that a broad profile combines them.
#[derive(Debug)]
pub(super) struct Ingredients {
    /// Whether the segments of the log are as small as possible.
    pub(super) has_small_segments: bool,
    /// Whether nodes take a snapshot every few entries, and transfer snapshots slowly.
    pub(super) has_frequent_snapshots: bool,
    /// The number of clients that lie in every field of their requests.
    pub(super) hostile_clients: u16,
    /// Whether few faults occur, each of which lasts for a large part of the run.
    pub(super) has_lasting_faults: bool,
    /// The number of slots in the plan of a run with lasting faults.
    lasting_slots: u16,
}

impl Ingredients {
    /// The maximum number of lasting faults in a run.
    const LASTING_SLOTS_MAX: u64 = 3;
    /// The maximum number of hostile clients in a run.
    const HOSTILE_CLIENTS_MAX: u64 = 3;
    /// The kinds of faults that strike messages and steps by chance all the time.
    const BY_CHANCE: Faults =
        Faults::of(&[Fault::Loss, Fault::Duplicate, Fault::Delay, Fault::Reorder, Fault::Lag]);

    /// Draws the ingredients from the shares that the profile gives each of them.
    pub(super) fn draw(choices: &Choices, profile: &Profile) -> Ingredients {
        let mut draw = choices.draw(Kind::Ingredient.key());
        let has_small_segments = draw.chance(profile.small_segments_permille);
        let has_frequent_snapshots = draw.chance(profile.frequent_snapshots_permille);
        let is_hostile = draw.chance(profile.hostile_clients_permille);
        let hostile_clients = draw.between(1, Ingredients::HOSTILE_CLIENTS_MAX) as u16;
        Ingredients {
            has_small_segments,
            has_frequent_snapshots,
            hostile_clients: if is_hostile { hostile_clients } else { 0 },
            has_lasting_faults: draw.chance(profile.lasting_permille),
            lasting_slots: draw.between(1, Ingredients::LASTING_SLOTS_MAX) as u16,
        }
    }

    /// Returns `faults`, without those by chance if the run has lasting faults.
    pub(super) fn limit(&self, faults: Faults) -> Faults {
        if self.has_lasting_faults { faults.without(Ingredients::BY_CHANCE) } else { faults }
    }

    /// Returns the number of slots in the plan: `usual`, unless the faults are lasting ones.
    pub(super) fn slots(&self, usual: u16) -> u16 {
        if self.has_lasting_faults { self.lasting_slots } else { usual }
    }
}
