//! The network of a script's cluster: messages in flight, cut links and holds.

use std::collections::BTreeSet;

use quorate::types::{Message, NodeId};

use super::command::Pick;
use super::message::Selector;

/// The error of a command that selects no message.
pub(crate) const NO_MESSAGE: &str = "no such message is in flight";

/// The messages in flight, in the order of sending, and the state of the links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    in_flight: Vec<Message>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    holds: Vec<Selector>,
}

impl Network {
    /// Whether the link from `from` to `to` is up.
    pub(crate) fn connects(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.contains(&(from, to))
    }

    /// Puts a message in flight.
    pub(crate) fn send(&mut self, message: Message) {
        self.in_flight.push(message);
    }

    /// Removes and returns the oldest message that is not held.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let position = self.in_flight.iter().position(|message| !self.holds(message))?;
        Some(self.in_flight.remove(position))
    }

    /// The messages in flight, and whether each is held.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (&Message, bool)> {
        self.in_flight.iter().map(|message| (message, self.holds(message)))
    }

    /// Removes and returns the selected messages, in the requested order.
    pub(crate) fn take(&mut self, pick: &Pick) -> Result<Vec<Message>, String> {
        let positions = self.positions(pick)?;
        let taken = positions.iter().map(|&position| self.in_flight[position].clone()).collect();
        let mut position = 0;
        self.in_flight.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
        Ok(taken)
    }

    /// Adds a second copy of each selected message behind all others.
    pub(crate) fn duplicate(&mut self, pick: &Pick) -> Result<(), String> {
        for position in self.positions(pick)? {
            self.in_flight.push(self.in_flight[position].clone());
        }
        Ok(())
    }

    /// Holds the matching messages, those in flight included, until `release`.
    pub(crate) fn hold(&mut self, selector: Selector) {
        self.holds.push(selector);
    }

    /// Ends every hold of messages.
    pub(crate) fn release(&mut self) {
        self.holds.clear();
    }

    /// Cuts a link one way and returns the messages lost on it.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) -> Vec<Message> {
        self.cuts.insert((from, to));
        let (lost, kept) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|message| message.from == from && message.to == to);
        self.in_flight = kept;
        lost
    }

    /// Restores every link that was cut.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    fn holds(&self, message: &Message) -> bool {
        self.holds.iter().any(|selector| selector.matches(message))
    }

    fn positions(&self, pick: &Pick) -> Result<Vec<usize>, String> {
        let fitting = self.in_flight.iter().enumerate();
        let fitting = fitting.filter(|(_, message)| pick.selector.matches(message));
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
