//! Draws whether disks lose entries, and the size of small log segments; and makes the bounds of
//! the storage large enough for the workload's commands.

use quorate::raft::Config;
use quorate::storage::StorageConfig;

use crate::faults::{Fault, Faults};
use crate::settings::profile::Profile;
use crate::values::choice::{Choices, Key, Kind};

/// Draws whether disks lose bodies of entries, one disk after the other. In runs with suspensions
/// no disk does, because a leader cannot know which voters have the only intact copies.
pub(super) fn draw_entry_damage(
    choices: &Choices,
    profile: &Profile,
    mut faults: Faults,
    config: &Config,
) -> Faults {
    let mut draw = choices.draw(Key { counter: 100, ..Kind::Disks.key() });
    let may = profile.faults.has(Fault::DamagedBody) && config.suspension.is_none();
    if may && draw.chance(profile.entry_damage_permille) {
        faults.insert(Fault::DamagedBody);
    }
    faults
}

/// Draws the smallest segments that a log may have, if the run has them.
pub(super) fn draw_small_segments(choices: &Choices, is_small: bool, storage: &mut StorageConfig) {
    if !is_small {
        return;
    }
    let mut draw = choices.draw(Key { counter: 200, ..Kind::Disks.key() });
    storage.flush_bytes_max = 4 << 10;
    storage.segment_bytes = *draw.pick(&[16 << 10, 32 << 10, 24 << 10]);
    fit_largest_command(storage);
    debug_assert_eq!(storage.check(), Ok(()));
}

/// Raises the bounds of flushes, segments and reads that are too small for the largest command.
pub(crate) fn fit_largest_command(storage: &mut StorageConfig) {
    if storage.check().is_ok() {
        return;
    }
    let record = storage.command_bytes_max + StorageConfig::ENTRY_BYTES;
    storage.flush_bytes_max = storage.flush_bytes_max.max(record);
    let segment = storage.segment_bytes_min();
    storage.segment_bytes = storage.segment_bytes.max(segment);
    // A segment with a flush of one command has more pages than a read of the command.
    storage.read_bytes_max = storage.read_bytes_max.max(segment as usize);
}
