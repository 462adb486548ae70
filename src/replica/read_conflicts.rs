//! Read conflicts: the entries that a follower's read under a read lease must wait for.

use crate::log::Log;
use crate::machine::{ConflictTest, Request};
use crate::types::{Index, Payload};

/// Returns the index of the last unapplied entry that may change the answer to `query`, according
/// to `test`. Entries that are not in memory are assumed to change it. The result may be an applied
/// index, for which no read waits.
pub(crate) fn last(log: &Log, query: &[u8], test: &ConflictTest) -> Index {
    let may_change = |payload: &Payload| match payload {
        Payload::Noop | Payload::Membership(_) => false,
        Payload::Command(command) => match Request::in_log(command).map(|(_, request)| request) {
            Some(Request::Plain(command) | Request::InSession { command, .. }) => {
                test.may_change(query, command)
            }
            // The test knows neither orders nor what a new version does to the state.
            Some(Request::Order(_) | Request::RaiseVersion(_)) => true,
            Some(Request::Register { .. } | Request::SetBounds(_)) | None => false,
        },
    };
    let conflicts = log.in_memory_after(log.applied()).filter(|entry| may_change(&entry.payload));
    let last = conflicts.last().map_or(Index::ZERO, |entry| entry.id.index);
    last.max(log.tail_first().previous())
}
