//! The network of a script's cluster: messages in flight, links cut and links held up.

use std::collections::BTreeSet;

use quorate::types::{Message, NodeId};

use super::command::Pick;
use super::message::Selector;

/// What a command is told that picks none.
pub(crate) const NO_MESSAGE: &str = "no such message is in flight";

/// The messages in flight, in the order in which they were sent, and the state of the links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    flying: Vec<Message>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    holds: Vec<Selector>,
}

impl Network {
    /// Whether a message from `from` would get to `to`.
    pub(crate) fn connects(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.contains(&(from, to))
    }

    /// Takes a message on its way.
    pub(crate) fn send(&mut self, message: Message) {
        self.flying.push(message);
    }

    /// The oldest message that no hold stops.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let position = self.flying.iter().position(|message| !self.holds(message))?;
        Some(self.flying.remove(position))
    }

    /// The messages in flight, and whether each is held.
    pub(crate) fn flying(&self) -> impl Iterator<Item = (&Message, bool)> {
        self.flying.iter().map(|message| (message, self.holds(message)))
    }

    /// Takes the picked messages off the network, in the order asked for.
    pub(crate) fn take(&mut self, pick: &Pick) -> Result<Vec<Message>, String> {
        let positions = self.positions(pick)?;
        let taken = positions.iter().map(|&position| self.flying[position].clone()).collect();
        let mut position = 0;
        self.flying.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
        Ok(taken)
    }

    /// Puts a second copy of each picked message behind all others.
    pub(crate) fn duplicate(&mut self, pick: &Pick) -> Result<(), String> {
        for position in self.positions(pick)? {
            self.flying.push(self.flying[position].clone());
        }
        Ok(())
    }

    /// Stops messages that fit `selector`, those in flight too, until the release.
    pub(crate) fn hold(&mut self, selector: Selector) {
        self.holds.push(selector);
    }

    /// Ends every hold.
    pub(crate) fn release(&mut self) {
        self.holds.clear();
    }

    /// Cuts a link one way and returns the messages lost on it.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) -> Vec<Message> {
        self.cuts.insert((from, to));
        let (lost, kept) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition(|message| message.from == from && message.to == to);
        self.flying = kept;
        lost
    }

    /// Mends every link.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    fn holds(&self, message: &Message) -> bool {
        self.holds.iter().any(|selector| selector.fits(message))
    }

    fn positions(&self, pick: &Pick) -> Result<Vec<usize>, String> {
        let fitting = self.flying.iter().enumerate();
        let fitting = fitting.filter(|(_, message)| pick.selector.fits(message));
        let mut positions: Vec<usize> = fitting.map(|(position, _)| position).collect();
        if pick.newest {
            positions.reverse();
        }
        if let Some(count) = pick.count {
            if positions.len() < count {
                return Err(format!("{} such messages are in flight", positions.len()));
            }
            positions.truncate(count);
        }
        if positions.is_empty() { Err(NO_MESSAGE.into()) } else { Ok(positions) }
    }
}
