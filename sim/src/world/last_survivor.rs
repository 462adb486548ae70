//! The last survivor: the nodes that may take over, and the crash of all others
//! (`docs/SURVIVOR.md`).

use std::time::Duration;

use quorate::raft::{self, RoleName};
use quorate::replica::Note;
use quorate::types::{Body, Membership};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::observer::Observer;
use crate::plan::KeptWrites;
use crate::world::World;
use crate::world::node::Node;
use crate::world::place::Place;

impl World {
    /// Records whether the node may take over: a leader may, and so may a voter that its leader
    /// allowed to.
    pub(super) fn note_takeover_allowed(
        &mut self,
        place: Place,
        notes: &[Note],
        membership: &Membership,
    ) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let leader = running.status.leader;
        let allowed = |note: &Note| {
            matches!(note, Note::RaftInput(raft::Input::Message(message))
                if message.body == Body::TakeoverAllowed && leader == Some(message.from))
        };
        let leads = running.status.role == RoleName::Leader;
        running.may_take_over |= leads || notes.iter().any(allowed);
        running.may_take_over &= membership.incoming().contains(&place.id());
    }

    /// Draws the last survivor, in some of the runs in which a node may take over.
    pub(super) fn draw_last_survivor(&self) -> Option<Place> {
        let mut draw = self.choices.draw(Key { counter: 200, ..Kind::Core.key() });
        let may = |node: &&Node| {
            let stays = node.stop_downtime == Duration::ZERO;
            stays && node.running.as_deref().is_some_and(|running| running.may_take_over)
        };
        let may: Vec<Place> = self.nodes.iter().filter(may).map(|node| node.place).collect();
        let one = draw.below(may.len().max(1) as u64) as usize;
        may.get(one).copied().filter(|_| draw.chance(500))
    }

    /// Crashes all other nodes, for good.
    pub(super) fn crash_all_others(&mut self, last: Place, observer: &mut Observer) {
        observer.reach(Spot::LastSurvivor);
        let others = (0..self.settings.nodes()).map(Place).filter(|place| *place != last);
        let others: Vec<Place> = others.collect();
        for place in others {
            self.end_process(place, KeptWrites::Part, Duration::ZERO, observer);
        }
    }
}
