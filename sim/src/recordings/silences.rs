//! Links between nodes that let no message through: nothing arrives, although the sender sends.

use std::collections::BTreeMap;

use quorate::types::NodeId;

use crate::values::time::SimTime;

/// The links between recorded nodes, by sender and receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Silences {
    links: BTreeMap<(NodeId, NodeId), Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// When the receiver last heard from the sender, or began to listen.
    since: SimTime,
    /// The messages that the sender has sent since then.
    sent: u64,
}

/// A time in which a node received none of the messages that another node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from: NodeId,
    pub(super) since: SimTime,
    pub(super) sent: u64,
}

impl Silences {
    pub(super) fn sent(&mut self, from: NodeId, to: NodeId, at: SimTime) {
        let link = self.links.entry((from, to)).or_insert(Link { since: at, sent: 0 });
        link.sent += 1;
    }

    /// Notes a message, and returns the silence that it ends.
    pub(super) fn arrived(&mut self, from: NodeId, to: NodeId, at: SimTime) -> Silence {
        let ended = self.links.insert((from, to), Link { since: at, sent: 0 });
        let Link { since, sent } = ended.unwrap_or(Link { since: at, sent: 0 });
        Silence { from, since, sent }
    }

    /// Notes that a node was down or paused up to now: nothing could arrive at it, or from it.
    pub(super) fn returns(&mut self, node: NodeId, at: SimTime) {
        let has_node = |(from, to): &(NodeId, NodeId)| *from == node || *to == node;
        let links = self.links.iter_mut().filter(|(link, _)| has_node(link));
        links.for_each(|(_, link)| *link = Link { since: at, sent: 0 });
    }

    /// The silences that a node has up to the end of its recording.
    pub(super) fn of(&self, node: NodeId) -> impl Iterator<Item = Silence> {
        let links = self.links.iter().filter(move |((_, to), _)| *to == node);
        links.map(|((from, _), link)| Silence { from: *from, since: link.since, sent: link.sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_lasts_from_one_arrival_to_the_next() {
        let (one, two) = (NodeId(1), NodeId(2));
        let mut silences = Silences::default();
        silences.arrived(one, two, SimTime(10));
        silences.sent(one, two, SimTime(20));
        silences.sent(one, two, SimTime(30));
        let silence = Silence { from: one, since: SimTime(10), sent: 2 };
        assert_eq!(silences.of(two).collect::<Vec<_>>(), [silence]);
        assert_eq!(silences.arrived(one, two, SimTime(40)), silence);
        silences.sent(one, two, SimTime(50));
        silences.returns(two, SimTime(60));
        let nothing = Silence { from: one, since: SimTime(60), sent: 0 };
        assert_eq!(silences.arrived(one, two, SimTime(70)), nothing);
    }
}
