//! Which entries a read that a follower answers by itself has to wait for.

use crate::log::Log;
use crate::machine::{ConflictTest, Request};
use crate::types::{Index, Payload};

/// The last entry of the log that may change the answer to `query`, as `test` tells; one that is
/// applied may be named, for nobody has to wait for that. What is not in memory may change it.
pub(crate) fn last(log: &Log, query: &[u8], test: &ConflictTest) -> Index {
    let may_change = |payload: &Payload| match payload {
        Payload::Noop | Payload::Membership(_) => false,
        Payload::Command(command) => match Request::decode(command) {
            Some(Request::Plain(command) | Request::InSession { command, .. }) => {
                test.may_change(query, command)
            }
            Some(Request::Register { .. }) | None => false,
        },
    };
    let conflicts = log.unapplied_in_memory().filter(|entry| may_change(&entry.payload));
    let last = conflicts.last().map_or(Index::ZERO, |entry| entry.id.index);
    last.max(log.tail_first().previous())
}
