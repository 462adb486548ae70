//! Matches received messages with the recordings of their senders: when each was first sent.

use std::hash::{Hash, Hasher};

use quorate::types::{Body, Entry, Message, Payload};

use crate::values::digest::{mix, of_bytes};
use crate::values::time::SimTime;

/// The digests of all messages that a node sent, each with the time when it was first sent, once
/// that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct SentMessages {
    /// The digests in ascending order.
    digests: Vec<u64>,
    /// For each digest, the first part of the recording that has it: parts are counted from 0, and
    /// steps are missing between them.
    parts: Vec<u32>,
    first_sent: Vec<Option<SimTime>>,
}

impl SentMessages {
    /// Takes digests, each with the part of the recording that has it.
    pub(super) fn new(mut sent: Vec<(u64, u32)>) -> SentMessages {
        sent.sort_unstable();
        sent.dedup_by_key(|(digest, _)| *digest);
        let first_sent = vec![None; sent.len()];
        let (digests, parts) = sent.into_iter().unzip();
        SentMessages { digests, parts, first_sent }
    }

    /// Records that the message was sent at `at`.
    pub(super) fn sent(&mut self, digest: u64, at: SimTime) {
        if let Ok(place) = self.digests.binary_search(&digest) {
            self.first_sent[place].get_or_insert(at);
        }
    }

    /// Returns when the message was first sent: `Some(None)` if that is yet to come, and `None` if
    /// the recording has no such message up to the end of this part. An equal message of a later
    /// part is another one: the message was sent where steps are missing.
    pub(super) fn find(&self, digest: u64, part: u32) -> Option<Option<SimTime>> {
        let place = self.digests.binary_search(&digest).ok()?;
        (self.parts[place] <= part).then(|| self.first_sent[place])
    }
}

/// Whether a node sends a message with the same content only once: it has the number of a round.
pub(super) fn is_sent_once(message: &Message) -> bool {
    matches!(message.body, Body::Heartbeat(_) | Body::HeartbeatReply { .. })
}

/// Returns the digest of a message. It is equal for the message as it was sent and as it arrives,
/// although each recording has its own stand-ins for the users' commands.
pub(crate) fn digest_of(message: &Message) -> u64 {
    let Message { from, incarnation, to, term, body } = message;
    let mut digest = Digest(body.kind() as u64);
    (from, incarnation, to, term).hash(&mut digest);
    match body {
        Body::AppendEntries { prev, entries, committed } => {
            (prev, committed).hash(&mut digest);
            hash_entries(entries, &mut digest);
        }
        Body::RequestEntriesReply { entries, snapshot } => {
            snapshot.hash(&mut digest);
            hash_entries(entries, &mut digest);
        }
        body => body.hash(&mut digest),
    }
    digest.finish()
}

fn hash_entries(entries: &[Entry], digest: &mut Digest) {
    for Entry { id, payload } in entries {
        id.hash(digest);
        match payload {
            Payload::Command(command) => command.len().hash(digest),
            payload => payload.hash(digest),
        }
    }
}

/// A hash that is the same in every run.
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, of_bytes(bytes));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0, number);
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::{Command, EntryId, Incarnation, Index, NodeId, Term};

    use super::*;

    fn append(command: &str) -> Message {
        let id = EntryId::new(Term(2), Index(3));
        let entry = Entry { id, payload: Payload::Command(Command::from(command)) };
        let body = Body::AppendEntries {
            prev: EntryId::ZERO,
            entries: [entry].into(),
            committed: Index(1),
        };
        let (from, to) = (NodeId(1), NodeId(2));
        Message { from, incarnation: Incarnation(7), to, term: Term(2), body }
    }

    #[test]
    fn messages_are_equal_if_only_the_bytes_of_commands_differ() {
        assert_eq!(digest_of(&append("one")), digest_of(&append("two")));
        assert_ne!(digest_of(&append("one")), digest_of(&append("three")));
        let other = Message { to: NodeId(3), ..append("one") };
        assert_ne!(digest_of(&append("one")), digest_of(&other));
    }

    #[test]
    fn only_the_first_time_that_a_message_is_sent_is_kept() {
        let mut sent = SentMessages::new(vec![(9, 1), (4, 0), (9, 2)]);
        assert_eq!((sent.find(9, 1), sent.find(5, 1)), (Some(None), None));
        assert_eq!(sent.find(9, 0), None, "it is sent after a gap");
        sent.sent(9, SimTime(3));
        sent.sent(9, SimTime(8));
        assert_eq!(sent.find(9, 1), Some(Some(SimTime(3))));
    }
}
