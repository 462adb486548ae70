//! Why a run failed: told from its recording, in sentences, oldest first, with the cause in one.
//!
//! Each family of checks tells what it accuses in a room of its own: it asks the past and drafts
//! facts; what they have in common is in `stories`.

mod acknowledgements;
mod clients;
mod commits;
mod logs;
mod machines;
mod memberships;
mod past;
mod phrases;
mod standing;
mod stories;
mod telling;
mod terms;
mod votes;
mod waiting;
mod why_not;

pub use standing::standing;
pub use telling::{Fact, Telling};
pub use why_not::{why_not_committed, why_not_leader};

use crate::explain::past::Past;
use crate::explain::telling::Draft;
use crate::outcome::Failure;
use crate::record::{EventId, Record, What};

/// Tells what led to the failure that the event accuses.
type Teller = fn(&Past<'_>, &mut Draft);

/// Who tells of which checks, by their numbers.
const TELLERS: &[(&[&str], Teller)] = &[
    (&["S1", "S2", "S3", "S4"], votes::tell),
    (&["S5", "S7"], terms::tell),
    (&["S6", "S17", "S28"], acknowledgements::tell),
    (&["S8", "S9"], logs::tell),
    (&["S10", "S11", "S12", "S13", "S14", "S33"], commits::tell),
    (&["S15", "S25", "S26", "S31", "U1"], machines::tell),
    (&["S18", "S19", "S20", "S21"], clients::tell),
    (&["S16", "S22", "S27", "S34"], memberships::tell),
    (&["S23", "S24"], who_counts),
    (&["S29", "S30", "L1", "L2", "L3", "L4", "L5", "L6"], waiting::tell),
];

/// Tells why the recorded run failed; none if it did not.
#[must_use]
pub fn explain(record: &Record) -> Option<Telling> {
    let last = record.last()?;
    let What::Failed(failure) = &record.event(last).what else { return None };
    let accused = EventId(last.0.checked_sub(1).filter(|id| *id > 0)?);
    let past = Past::new(record, accused);
    let mut draft = Draft::default();
    match failure.as_ref() {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            let teller = TELLERS.iter().find(|(numbers, _)| numbers.contains(&violation.number));
            teller.map_or(waiting::tell_end as Teller, |(_, teller)| *teller)(&past, &mut draft);
            if !draft.has_cause() {
                draft.cause(violation.saw.clone());
            }
        }
        Failure::Panic(words) | Failure::Nondeterminism(words) | Failure::Stalled(words) => {
            waiting::tell_end(&past, &mut draft);
            draft.cause(words.clone());
        }
    }
    Some(draft.told(failure.to_string()))
}

/// Those without a vote, or a disk in the place of another, counted: in an election or a commit.
fn who_counts(past: &Past<'_>, draft: &mut Draft) {
    let step = past.step(past.accused);
    let rises = |id: EventId| {
        let (now, before) = (past.after(id), past.before(id));
        now.zip(before).is_some_and(|(now, before)| now.committed > before.committed)
    };
    let sends = past.event(past.accused).message().is_some();
    let commits = !sends && step.is_some_and(rises);
    let teller: Teller = if commits { commits::tell } else { votes::tell };
    teller(past, draft);
}
