//! The memberships of a trace: lines name them by their numbers.

use quorate::types::{Entry, Membership, Payload, Voters};

use crate::tla::line::{number, set, tuple};

/// The memberships in the order in which the trace first had them, reduced to their voters and
/// holders of the casting vote.
#[derive(Clone, Debug, Default)]
pub(super) struct Memberships {
    texts: Vec<String>,
}

impl Memberships {
    /// The number of a membership, from 1.
    pub(super) fn number(&mut self, membership: &Membership) -> usize {
        let sets = [membership.incoming(), membership.outgoing()];
        let text = tuple(sets.into_iter().flat_map(|voters| [ids(voters), casting(voters)]));
        let known = self.texts.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            self.texts.push(text);
            self.texts.len() - 1
        }) + 1
    }

    /// An entry: its term, and the number of its membership or 0.
    pub(super) fn entry(&mut self, entry: &Entry) -> String {
        let number = match &entry.payload {
            Payload::Membership(membership) => self.number(membership),
            _ => 0,
        };
        format!("<<{}, {number}>>", entry.id.term.0)
    }

    /// The tuple of all memberships.
    pub(super) fn text(&self) -> String {
        tuple(self.texts.iter().cloned())
    }
}

/// The set of the voters' numbers.
pub(super) fn ids(voters: &Voters) -> String {
    set(voters.iter().map(|id| id.0.to_string()))
}

/// The number of the holder of the casting vote, or 0.
pub(super) fn casting(voters: &Voters) -> String {
    number(voters.casting()).to_string()
}
