//! Links between nodes that let no message through: nothing arrives, although the sender sends.

use std::collections::{BTreeMap, VecDeque};

use quorate::types::{Message, NodeId};

use crate::recordings::messages::is_sent_once;
use crate::values::time::SimTime;

/// The links between recorded nodes, by sender and receiver. Every time is by the clock of the
/// receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Silences {
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// The time of the last event of each node.
    times: BTreeMap<NodeId, SimTime>,
}

#[derive(Clone, Debug)]
struct Link {
    /// When the receiver last heard from the sender, or began to listen.
    since: SimTime,
    unheard: Unheard,
}

/// The times of the messages that a node has sent and that have not arrived, by its own clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Unheard(VecDeque<SimTime>);

impl Unheard {
    pub(super) fn sent(&mut self, at: SimTime) {
        self.0.push_back(at);
    }

    /// Notes the arrival of a message. Returns the number of messages that were certainly sent
    /// before it: they are lost. Those that were sent after it may be on their way.
    pub(super) fn arrived(&mut self, message: &Message, first_sent: Option<SimTime>) -> u64 {
        let Some(first_sent) = first_sent else {
            // It was sent where steps of the sender are missing.
            self.0.clear();
            return 0;
        };
        let lost = self.0.iter().take_while(|sent| **sent < first_sent).count() as u64;
        match is_sent_once(message) {
            true => while self.0.pop_front_if(|sent| *sent <= first_sent).is_some() {},
            // It may be a repetition, which was sent later.
            false => self.0.clear(),
        }
        lost
    }

    /// The time of the first of the messages.
    pub(super) fn first(&self) -> Option<SimTime> {
        self.0.front().copied()
    }
}

/// A time in which a node received none of the messages that another node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from: NodeId,
    pub(super) since: SimTime,
    pub(super) sent: u64,
}

impl Silences {
    /// Notes the time of an event of a node.
    pub(super) fn passes(&mut self, node: NodeId, at: SimTime) {
        self.times.insert(node, at);
    }

    /// Notes a message. It is not counted if the recording of the receiver has not begun.
    pub(super) fn sent(&mut self, from: NodeId, to: NodeId, at: SimTime) {
        let Some(since) = self.times.get(&to).copied() else { return };
        let link = self.links.entry((from, to)).or_insert(Link::since(since));
        link.unheard.sent(at);
    }

    /// Notes the arrival of a message that was first sent at this time, if that is recorded, and
    /// returns the silence that it ends.
    pub(super) fn arrived(
        &mut self,
        to: NodeId,
        message: &Message,
        at: SimTime,
        first_sent: Option<SimTime>,
    ) -> Silence {
        let from = message.from;
        let link = self.links.entry((from, to)).or_insert(Link::since(at));
        let since = std::mem::replace(&mut link.since, at);
        Silence { from, since, sent: link.unheard.arrived(message, first_sent) }
    }

    /// Notes the end of a node's recording: nothing is known of what arrives at it from here on.
    pub(super) fn ends(&mut self, node: NodeId) {
        self.times.remove(&node);
        self.links.retain(|(_, to), _| *to != node);
    }

    /// Notes that a node was down or paused up to its last event: nothing could arrive at it, or
    /// from it.
    pub(super) fn returns(&mut self, node: NodeId) {
        for ((from, to), link) in &mut self.links {
            if let Some(since) = self.times.get(to).filter(|_| [*from, *to].contains(&node)) {
                *link = Link::since(*since);
            }
        }
    }

    /// The silences that a node has up to the end of its recording.
    pub(super) fn of(&self, node: NodeId) -> impl Iterator<Item = Silence> {
        let links = self.links.iter().filter(move |((_, to), _)| *to == node);
        links.map(|((from, _), link)| {
            let sent = link.unheard.0.len() as u64;
            Silence { from: *from, since: link.since, sent }
        })
    }
}

impl Link {
    fn since(since: SimTime) -> Link {
        Link { since, unheard: Unheard::default() }
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::{Body, Heartbeat, Incarnation, Term};

    use super::*;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    /// A message from n1 to n2 that is sent once.
    fn heartbeat() -> Message {
        let body = Body::Heartbeat(Heartbeat::default());
        Message { from: ONE, incarnation: Incarnation(7), to: TWO, term: Term(2), body }
    }

    /// A message from n1 to n2 that may be repeated.
    fn repeatable() -> Message {
        Message { body: Body::TimeoutNow, ..heartbeat() }
    }

    fn silence(since: u64, sent: u64) -> Silence {
        Silence { from: ONE, since: SimTime(since), sent }
    }

    #[test]
    fn a_silence_lasts_from_one_arrival_to_the_next() {
        let mut silences = Silences::default();
        silences.passes(TWO, SimTime(10));
        silences.arrived(TWO, &heartbeat(), SimTime(10), Some(SimTime(9)));
        (20..=40).step_by(10).for_each(|at| silences.sent(ONE, TWO, SimTime(at)));
        assert_eq!(silences.of(TWO).collect::<Vec<_>>(), [silence(10, 3)]);
        let ended = silences.arrived(TWO, &heartbeat(), SimTime(40), Some(SimTime(40)));
        assert_eq!(ended, silence(10, 2));
        silences.sent(ONE, TWO, SimTime(50));
        silences.passes(TWO, SimTime(60));
        silences.returns(TWO);
        let ended = silences.arrived(TWO, &heartbeat(), SimTime(70), Some(SimTime(65)));
        assert_eq!(ended, silence(60, 0));
        silences.sent(ONE, TWO, SimTime(80));
        silences.ends(TWO);
        assert_eq!(silences.of(TWO).count(), 0);
    }

    #[test]
    fn a_silence_is_measured_by_the_clock_of_the_receiver() {
        let mut silences = Silences::default();
        silences.passes(ONE, SimTime(5_000));
        silences.sent(ONE, TWO, SimTime(5_000));
        assert_eq!(silences.of(TWO).count(), 0, "n2 is not recorded yet");
        silences.passes(TWO, SimTime(7));
        silences.sent(ONE, TWO, SimTime(5_001));
        assert_eq!(silences.of(TWO).collect::<Vec<_>>(), [silence(7, 1)]);
        silences.passes(ONE, SimTime(9_000));
        silences.returns(ONE);
        assert_eq!(silences.of(TWO).collect::<Vec<_>>(), [silence(7, 0)]);
    }

    #[test]
    fn only_messages_that_were_sent_before_one_that_arrives_are_lost() {
        let mut silences = Silences::default();
        silences.passes(TWO, SimTime(10));
        (1..=7).for_each(|at| silences.sent(ONE, TWO, SimTime(at)));
        // The clock of n1 is behind: its steps come first in the merged order.
        let mut arrives = |message: &Message, at, first_sent: Option<u64>| {
            silences.arrived(TWO, message, SimTime(at), first_sent.map(SimTime))
        };
        assert_eq!(arrives(&heartbeat(), 90, Some(3)), silence(10, 2));
        assert_eq!(arrives(&heartbeat(), 95, Some(5)), silence(90, 1));
        assert_eq!(arrives(&repeatable(), 96, Some(5)), silence(95, 0), "a repetition");
        assert_eq!(arrives(&heartbeat(), 97, Some(9)), silence(96, 0), "7 may have arrived");
        assert_eq!(arrives(&heartbeat(), 98, None), silence(97, 0));
    }
}
