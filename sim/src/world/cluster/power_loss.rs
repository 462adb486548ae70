//! Power loss: the unflushed writes of a crashed node that its disk keeps.

use quorate::storage::{FileAction, FileName};

use crate::disk::{Change, ChangeOrder, Crash, Pending, SECTOR_BYTES};
use crate::faults::KeptWrites;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::values::choice::{Draw, Kind};
use crate::world::cluster::node::Node;
use crate::world::cluster::queues::Lanes;
use crate::world::run::Run;

/// The rule that selects the unflushed writes and name changes that survive.
#[derive(Clone, Copy, Debug)]
enum SurvivalRule {
    /// Each one survives at random, with this probability in 1,000.
    Chance(u64),
    /// All before one of them survive.
    Prefix,
    /// All but one survive.
    AllButOne,
    /// Only one of them survives.
    OnlyOne,
    /// All sectors survive, and some name changes at random.
    Sectors,
    /// All name changes survive, and some sectors at random.
    Names,
    /// Only writes and changes of the last file survive: the newest snapshot, or else the newest
    /// segment.
    NewestFile,
    /// All except those of the last file survive.
    OlderFiles,
}

/// Applies the power loss to the disk of an ended process; unflushed writes survive as `keep` says.
/// Returns the number of sectors and name changes that were not durable, including those of the
/// submitted operations, and how many of these survive.
pub(super) fn lose_power(
    node: &mut Node,
    lanes: &Lanes,
    keep: KeptWrites,
    run: &mut Run,
) -> (usize, usize) {
    let key = node.start().key(Kind::KeptWrites, 0);
    let device = &mut node.disk.device;
    let mut draw = run.setup.choices.draw(key);
    // Submitted operations may have been executed, those of one lane in order.
    let lanes = lanes.all().map(|lane| &lane.submitted);
    let before = device.pending().len();
    let (mut submitted, mut unexecuted) = (0, 0);
    for lane in lanes {
        let begun = match keep {
            KeptWrites::None => 0,
            KeptWrites::Part => draw.below(lane.len() as u64 + 1) as usize,
            KeptWrites::All => lane.len(),
        };
        for operation in lane.iter().take(begun) {
            // A disk error at a crash is reported to no process.
            let _ = device.apply(&operation.action);
        }
        let parts = lane.iter().map(|operation| parts(&operation.action));
        submitted += parts.clone().sum::<usize>();
        unexecuted += parts.skip(begun).sum::<usize>();
    }
    device.store_head();
    let pending = device.pending();
    let order = *draw.pick(&[ChangeOrder::Prefix, ChangeOrder::PerFile]);
    let crash = match keep {
        KeptWrites::None => device.crash(order, |_| false),
        KeptWrites::All => device.crash(order, |_| true),
        KeptWrites::Part => {
            let wanted = draw_wanted(&pending, &mut draw);
            let mut next = 0;
            // The disk skips changes that can no longer be kept.
            device.crash(order, |asked| {
                let found = pending[next..].iter().position(|one| *one == asked);
                next += found.map_or(0, |skipped| skipped + 1);
                found.is_some() && wanted[next - 1]
            })
        }
    };
    mark_loss(&crash, run.setup.settings.storage.segment_bytes, &mut run.observer);
    let not_durable = before + submitted;
    let lost = pending.len() - crash.kept.len() + unexecuted;
    (not_durable, not_durable.saturating_sub(lost))
}

/// Returns the number of sectors and name changes that the action makes pending.
fn parts(action: &FileAction) -> usize {
    match action {
        FileAction::Write { offset, bytes, .. } => {
            let sector = SECTOR_BYTES as u64;
            let end = (offset + bytes.len() as u64).div_ceil(sector);
            (end - offset / sector) as usize
        }
        FileAction::Create { .. } | FileAction::Rename { .. } | FileAction::Remove { .. } => 1,
        FileAction::Sync { .. }
        | FileAction::SyncDirectory
        | FileAction::Read { .. }
        | FileAction::DropCache { .. } => 0,
    }
}

/// Marks the kinds of losses: a torn flush, headers and bodies, and file names.
fn mark_loss(crash: &Crash, segment_bytes: u64, observer: &mut Observer) {
    let middle = segment_bytes / 2 / SECTOR_BYTES as u64;
    let zone = |pending: &Pending| match pending {
        Pending::Sector { file: FileName::Segment(number), sector, .. } => {
            Some((*number, *sector >= middle))
        }
        _ => None,
    };
    let lost: Vec<(u64, bool)> = crash.lost.iter().filter_map(zone).collect();
    let torn = crash
        .kept
        .iter()
        .filter_map(zone)
        .any(|(kept, _)| lost.iter().any(|(number, _)| *number == kept));
    let both = [false, true].iter().all(|bodies| lost.iter().any(|(_, zone)| zone == bodies));
    observer.reach_if(torn, Spot::CrashTornFlush);
    observer.reach_if(torn && both, Spot::CrashBothZones);
    let name = crash.lost.iter().any(|lost| matches!(lost, Pending::Change(_)));
    observer.reach_if(name, Spot::CrashLostName);
}

/// Draws which of `pending` survive, in its order.
fn draw_wanted(pending: &[Pending], draw: &mut Draw<'_>) -> Vec<bool> {
    let choice = *draw.pick(&[
        SurvivalRule::Chance(500),
        SurvivalRule::Prefix,
        SurvivalRule::AllButOne,
        SurvivalRule::OnlyOne,
        SurvivalRule::Sectors,
        SurvivalRule::Names,
        SurvivalRule::NewestFile,
        SurvivalRule::OlderFiles,
        SurvivalRule::Chance(900),
    ]);
    let chosen = draw.below(pending.len().max(1) as u64) as usize;
    let newest = pending.iter().map(file_of).max();
    let wanted = pending.iter().enumerate().map(|(place, pending)| {
        let name = matches!(pending, Pending::Change(_));
        match choice {
            SurvivalRule::Chance(permille) => draw.chance(permille),
            SurvivalRule::Prefix => place < chosen,
            SurvivalRule::AllButOne => place != chosen,
            SurvivalRule::OnlyOne => place == chosen,
            SurvivalRule::Sectors => !name || draw.chance(500),
            SurvivalRule::Names => name || draw.chance(500),
            SurvivalRule::NewestFile => newest == Some(file_of(pending)),
            SurvivalRule::OlderFiles => newest != Some(file_of(pending)),
        }
    });
    wanted.collect()
}

fn file_of(pending: &Pending) -> FileName {
    match *pending {
        Pending::Sector { file, .. } => file,
        Pending::Change(Change::Create(file) | Change::Remove(file)) => file,
        Pending::Change(Change::Rename { to, .. }) => to,
    }
}
