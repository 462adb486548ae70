//! Who counts: S22, and nodes that start, S16 and S27, or stop, S34.

use crate::explain::past::Past;
use crate::explain::stories;
use crate::explain::telling::Draft;
use crate::record::What;

pub(super) fn tell(past: &Past<'_>, draft: &mut Draft) {
    let Some(node) = past.node() else { return };
    let steps = past.of(node).rev().filter_map(|(id, event)| match &event.what {
        What::GoesBy(membership) => Some((id, format!("{node} goes by {membership} from now on"))),
        What::Changed(entry) => Some((id, format!("{node} calls a change complete, with {entry}"))),
        What::NotStarted(why) => Some((id, format!("{node} does not start: {why}"))),
        What::Started { .. } => {
            let now = past.after(id)?;
            let (term, last, done) = (now.term, now.last, now.committed);
            Some((id, format!("{node} starts in {term}, with a log to {last}, committed {done}")))
        }
        What::Stopped(why) => Some((id, format!("{node} stops: {why}"))),
        What::Restored(index) => {
            Some((id, format!("{node} starts over from a snapshot to {index}")))
        }
        What::Fell { .. } => Some((id, format!("{node} falls"))),
        What::DiskFailed(words) => Some((id, format!("{node}'s disk fails: {words}"))),
        _ => None,
    });
    for (id, says) in steps.take(7) {
        draft.fact(id, past.at(id), says);
    }
    stories::spine(past, draft, past.accused, 3);
    let committed = past.after(past.accused).map(|now| now.committed).unwrap_or_default();
    draft.cause(match &past.event(past.accused).what {
        What::GoesBy(membership) => format!(
            "{node} goes by {membership} with {committed} committed: that is no lawful step from \
             what it went by"
        ),
        What::NotStarted(why) => {
            format!("{node} cannot start from its disk, which no fault has damaged: {why}")
        }
        What::Stopped(why) => {
            format!("{node} stops, for which no fault of its disk accounts: {why}")
        }
        What::Changed(entry) => {
            format!("{node} calls a change complete with {entry}, which completes none")
        }
        _ => {
            let membership = past.membership(node, past.accused);
            format!("{node} goes by {membership}, and its log says something else")
        }
    });
}
