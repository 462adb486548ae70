//! Where operations stand in a picture: a lane for each client, a column for each character.

use std::collections::BTreeSet;

use crate::explain::object::last_return;
use crate::history::{Client, History, Moment, OpId};
use crate::verdict::Evidence;

/// Where one operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) id: OpId,
    /// Its client's, from the top.
    pub(crate) lane: usize,
    /// The columns of its first and last character.
    pub(crate) columns: (usize, usize),
    /// Whether it returns in the picture; if not, it goes on to the right.
    pub(crate) ends: bool,
}

/// Bars on lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// In the order of invocation.
    pub(crate) bars: Vec<Bar>,
    /// Whose lane is which, from the top.
    pub(crate) lanes: Vec<Client>,
    /// Which moment has which column, in order.
    pub(crate) moments: Vec<(Moment, usize)>,
    /// How many columns there are.
    pub(crate) columns: usize,
}

/// Places the operations `ids`, among them `proof`, both sorted: two events share no column and
/// come in their order, and the bar of an operation has room for as many characters as `room` says.
/// What returns after `end` goes on to the right. Clients of the proof come first, and then who
/// asked first.
pub(crate) fn layout<O, R>(
    history: &History<O, R>,
    ids: &[OpId],
    proof: &[OpId],
    end: Moment,
    room: impl Fn(OpId) -> usize,
) -> Layout {
    let client = |id: &OpId| history.operation(*id).client;
    let mut lanes: Vec<Client> = Vec::new();
    for id in proof.iter().chain(ids) {
        if !lanes.contains(&client(id)) {
            lanes.push(client(id));
        }
    }
    let mut events: Vec<(Moment, usize, bool)> = Vec::new();
    let mut bars: Vec<Bar> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let operation = history.operation(*id);
        let ends = operation.returned() <= end;
        events.push((operation.invoked, place, false));
        if ends {
            events.push((operation.returned(), place, true));
        }
        let lane = lanes.iter().position(|client| *client == operation.client);
        let lane = lane.expect("every client has a lane");
        bars.push(Bar { id: *id, lane, columns: (0, 0), ends });
    }
    events.sort();
    let mut next = 0;
    let mut moments = Vec::new();
    for (moment, place, returns) in events {
        let bar = &mut bars[place];
        if returns {
            next = next.max(bar.columns.0 + room(bar.id) - 1);
            bar.columns.1 = next;
        } else {
            bar.columns.0 = next;
        }
        moments.push((moment, next));
        next += 1;
    }
    let open = bars.iter().filter(|bar| !bar.ends).map(|bar| bar.columns.0 + room(bar.id));
    let columns = open.max().unwrap_or(0).max(next);
    for bar in bars.iter_mut().filter(|bar| !bar.ends) {
        bar.columns.1 = columns - 1;
    }
    Layout { bars, lanes, moments, columns }
}

/// Misses after which nothing more is tried to fit.
const MISSES_MAX: u32 = 4;

/// `shown`, all of it evidence, and of the `object` as much around the evidence as `fits`, nearest
/// first; both sorted. What is invoked after the evidence ends is not near.
pub(crate) fn with_nearest<O, R>(
    history: &History<O, R>,
    object: &[OpId],
    evidence: &Evidence,
    mut shown: Vec<OpId>,
    fits: impl Fn(&[OpId]) -> bool,
) -> Vec<OpId> {
    let end = last_return(history, &evidence.operations);
    let proof: BTreeSet<OpId> = evidence.operations.iter().copied().collect();
    let mut misses = 0;
    for id in nearest(history, object, &shown) {
        if proof.contains(&id) || history.operation(id).invoked > end {
            continue;
        }
        let place = shown.partition_point(|other| *other < id);
        shown.insert(place, id);
        if !fits(&shown) {
            shown.remove(place);
            misses += 1;
        }
        if misses > MISSES_MAX {
            break;
        }
    }
    shown
}

/// What is worth a place beside `proof`, both sorted, nearest first: the operations of `object` by
/// how far they are, in moments, from the nearest invocation or return of the proof.
fn nearest<O, R>(history: &History<O, R>, object: &[OpId], proof: &[OpId]) -> Vec<OpId> {
    let events = |id: &OpId| {
        let operation = history.operation(*id);
        [Some(operation.invoked), Some(operation.returned()).filter(|at| *at != Moment::NEVER)]
    };
    let mut moments: Vec<Moment> = proof.iter().flat_map(events).flatten().collect();
    moments.sort();
    let distance = |id: &OpId| {
        let operation = history.operation(*id);
        // What never returned is everywhere, but belongs to where it was invoked.
        let from = operation.invoked;
        let until = if operation.ret().is_some() { operation.returned() } else { from };
        let next = moments.partition_point(|moment| *moment < from);
        let after = moments.get(next).map_or(u32::MAX, |next| next.0.saturating_sub(until.0));
        let before = next.checked_sub(1).map_or(u32::MAX, |last| from.0 - moments[last].0);
        after.min(before)
    };
    let others = object.iter().filter(|id| proof.binary_search(id).is_err());
    let mut others: Vec<(u32, OpId)> = others.map(|id| (distance(id), *id)).collect();
    others.sort();
    others.into_iter().map(|(_, id)| id).collect()
}
