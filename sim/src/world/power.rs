//! What a crash leaves of what a node's disk was asked for and has not made durable.

use quorate::storage::FileName;

use crate::choice::{Draw, Key, Kind};
use crate::disk::{Change, ChangeOrder, Crash, Pending};
use crate::plan::Keep;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::{Place, Running};

/// Which of the things that are not durable survive.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// Each one by chance, in a thousand so many.
    Chance(u64),
    /// Those before one of them.
    Prefix,
    /// All but one.
    AllButOne,
    /// One alone.
    OnlyOne,
    /// What was written, and of the names some by chance.
    Sectors,
    /// The names, and of what was written some by chance.
    Names,
    /// What is about the file that was made or written last, and nothing else.
    NewestFile,
    /// Everything save what is about that file.
    OlderFiles,
}

impl World {
    /// What the disk was asked for and what is not durable survives as `keep` says. Tells how many
    /// things were at stake, and how many of them are lost.
    pub(super) fn lose_power(
        &mut self,
        place: Place,
        running: &Running,
        keep: Keep,
        witness: &mut Witness,
    ) -> (usize, usize) {
        let segment_bytes = self.settings.storage.segment_bytes;
        let node = &mut self.nodes[place.0 as usize];
        let key = Key { node: place.0 + 1, incarnation: node.incarnation, ..Kind::Keep.key() };
        let mut draw = self.choices.draw(key);
        // Operations that were on their way may have been carried out, those of a lane in order.
        for lane in &running.lanes {
            let begun = match keep {
                Keep::None => 0,
                Keep::Part => draw.below(lane.len() as u64 + 1) as usize,
                Keep::All => lane.len(),
            };
            for operation in lane.iter().take(begun) {
                // A disk that fails now fails unheard.
                let _ = node.disk.apply(&operation.action);
            }
        }
        node.disk.store_head();
        let asked = running.lanes.iter().map(|lane| lane.len()).sum::<usize>();
        let pending = node.disk.pending();
        let order = *draw.pick(&[ChangeOrder::Prefix, ChangeOrder::PerFile]);
        let crash = match keep {
            Keep::None => node.disk.crash(order, |_| false),
            Keep::All => node.disk.crash(order, |_| true),
            Keep::Part => {
                let wanted = draw_wanted(&pending, &mut draw);
                let mut next = 0;
                // The disk does not ask about what cannot be kept any more.
                node.disk.crash(order, |asked| {
                    let found = pending[next..].iter().position(|one| *one == asked);
                    next += found.map_or(0, |skipped| skipped + 1);
                    found.is_some() && wanted[next - 1]
                })
            }
        };
        self.mark_loss(&crash, segment_bytes, witness);
        let Crash { kept, .. } = crash;
        let at_stake = pending.len() + asked;
        (at_stake, at_stake.saturating_sub(kept.len()))
    }
}

/// Which of `pending` survive, in its order.
fn draw_wanted(pending: &[Pending], draw: &mut Draw<'_>) -> Vec<bool> {
    let choice = *draw.pick(&[
        Choice::Chance(500),
        Choice::Prefix,
        Choice::AllButOne,
        Choice::OnlyOne,
        Choice::Sectors,
        Choice::Names,
        Choice::NewestFile,
        Choice::OlderFiles,
        Choice::Chance(900),
    ]);
    let chosen = draw.below(pending.len().max(1) as u64) as usize;
    let newest = pending.iter().map(file_of).max_by_key(|file| age(*file));
    let wanted = pending.iter().enumerate().map(|(place, pending)| {
        let name = matches!(pending, Pending::Change(_));
        match choice {
            Choice::Chance(permille) => draw.chance(permille),
            Choice::Prefix => place < chosen,
            Choice::AllButOne => place != chosen,
            Choice::OnlyOne => place == chosen,
            Choice::Sectors => !name || draw.chance(500),
            Choice::Names => name || draw.chance(500),
            Choice::NewestFile => newest == Some(file_of(pending)),
            Choice::OlderFiles => newest != Some(file_of(pending)),
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

/// Rises with the number that a file has in its name.
fn age(file: FileName) -> (u8, u64) {
    match file {
        FileName::Superblock => (0, 0),
        FileName::Segment(number) => (1, number),
        FileName::Snapshot(index) => (2, index.0),
        FileName::PartialSnapshot(index) => (3, index.0),
    }
}
