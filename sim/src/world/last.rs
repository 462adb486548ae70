//! The last survivor: who may be it, and how it comes to be alone (`docs/SURVIVOR.md`).

use std::time::Duration;

use quorate::raft::{self, RoleName};
use quorate::replica::Note;
use quorate::types::{Body, Membership};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::plan::Keep;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::{Node, Place};

impl World {
    /// Whoever leads counts; so does whom its leader told so, as long as it votes.
    pub(super) fn note_who_counts(
        &mut self,
        place: Place,
        notes: &[Note],
        membership: &Membership,
    ) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let leader = running.status.leader;
        let told = |note: &Note| {
            matches!(note, Note::Took(raft::Input::Message(message))
                if message.body == Body::Counted && leader == Some(message.from))
        };
        let leads = running.status.role == RoleName::Leader;
        running.may_be_last |= leads || notes.iter().any(told);
        running.may_be_last &= membership.incoming().contains(&place.id());
    }

    /// The one that is to go on alone, in some of the runs in which one may.
    pub(super) fn draw_last(&self) -> Option<Place> {
        let mut draw = self.choices.draw(Key { counter: 200, ..Kind::Calm.key() });
        let may = |node: &&Node| {
            let stays = node.stops_for == Duration::ZERO;
            stays && node.running.as_deref().is_some_and(|running| running.may_be_last)
        };
        let may: Vec<Place> = self.nodes.iter().filter(may).map(|node| node.place).collect();
        let one = draw.below(may.len().max(1) as u64) as usize;
        may.get(one).copied().filter(|_| draw.chance(500))
    }

    /// Everybody else dies, one after the other or all at once, and stays dead.
    pub(super) fn bury_others(&mut self, last: Place, witness: &mut Witness) {
        witness.reach(Spot::CalmLast);
        let others = (0..self.settings.nodes()).map(Place).filter(|place| *place != last);
        let others: Vec<Place> = others.collect();
        for place in others {
            self.end_process(place, Keep::Part, Duration::ZERO, witness);
        }
    }
}
