//! Layout of operations in a picture: a lane for each client, a column for each character.

use std::collections::BTreeSet;

use crate::explain::object::last_return;
use crate::history::{Client, EventIndex, History, OpId};
use crate::verdict::Counterexample;

/// The position of one operation in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) id: OpId,
    /// The lane of the client, counted from the top.
    pub(crate) lane: usize,
    /// The columns of the first and the last character.
    pub(crate) columns: (usize, usize),
    /// Whether the operation returns in the picture. If not, its bar extends to the right end.
    pub(crate) ends: bool,
}

/// The bars of operations on the lanes of their clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The bars, in the order of invocation.
    pub(crate) bars: Vec<Bar>,
    /// The client of each lane, from the top.
    pub(crate) lanes: Vec<Client>,
    /// The column of each event, in order.
    pub(crate) event_columns: Vec<(EventIndex, usize)>,
    /// The number of columns of the picture.
    pub(crate) columns: usize,
}

/// Lays out the operations `ids`, which include `proof`; both are sorted. Events have distinct
/// columns in their order, and each bar has room for as many characters as `room` returns. The bar
/// of an operation that returns after `end` extends to the right end. The clients of `proof` come
/// first, the others in the order of their first invocation.
pub(crate) fn layout<O, R>(
    history: &History<O, R>,
    ids: &[OpId],
    proof: &[OpId],
    end: EventIndex,
    room: impl Fn(OpId) -> usize,
) -> Layout {
    let client = |id: &OpId| history.operation(*id).client;
    let mut lanes: Vec<Client> = Vec::new();
    for id in proof.iter().chain(ids) {
        if !lanes.contains(&client(id)) {
            lanes.push(client(id));
        }
    }
    let mut events: Vec<(EventIndex, usize, bool)> = Vec::new();
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
    let mut event_columns = Vec::new();
    for (event_index, place, returns) in events {
        let bar = &mut bars[place];
        if returns {
            next = next.max(bar.columns.0 + room(bar.id) - 1);
            bar.columns.1 = next;
        } else {
            bar.columns.0 = next;
        }
        event_columns.push((event_index, next));
        next += 1;
    }
    let open = bars.iter().filter(|bar| !bar.ends).map(|bar| bar.columns.0 + room(bar.id));
    let columns = open.max().unwrap_or(0).max(next);
    for bar in bars.iter_mut().filter(|bar| !bar.ends) {
        bar.columns.1 = columns - 1;
    }
    Layout { bars, lanes, event_columns, columns }
}

/// The search for more operations stops once more than this number of them did not fit.
const MISSES_MAX: u32 = 4;

/// Adds to `shown`, which are operations of the counterexample, as many operations of `object`
/// around them as `fits` allows, nearest first; both lists are sorted. Operations invoked after the
/// last response of the counterexample are left out.
pub(crate) fn with_nearest<O, R>(
    history: &History<O, R>,
    object: &[OpId],
    counterexample: &Counterexample,
    mut shown: Vec<OpId>,
    fits: impl Fn(&[OpId]) -> bool,
) -> Vec<OpId> {
    let end = last_return(history, &counterexample.operations);
    let proof: BTreeSet<OpId> = counterexample.operations.iter().copied().collect();
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

/// Returns the operations of `object` outside `proof`, nearest first; both are sorted. The distance
/// is the number of events to the nearest invocation or response of `proof`.
fn nearest<O, R>(history: &History<O, R>, object: &[OpId], proof: &[OpId]) -> Vec<OpId> {
    let events = |id: &OpId| {
        let operation = history.operation(*id);
        [Some(operation.invoked), Some(operation.returned()).filter(|at| *at != EventIndex::NEVER)]
    };
    let mut event_indexes: Vec<EventIndex> = proof.iter().flat_map(events).flatten().collect();
    event_indexes.sort();
    let distance = |id: &OpId| {
        let operation = history.operation(*id);
        // A pending operation counts as near its invocation.
        let from = operation.invoked;
        let until = if operation.ret().is_some() { operation.returned() } else { from };
        let next = event_indexes.partition_point(|event_index| *event_index < from);
        let after = event_indexes.get(next).map_or(u32::MAX, |next| next.0.saturating_sub(until.0));
        let before = next.checked_sub(1).map_or(u32::MAX, |last| from.0 - event_indexes[last].0);
        after.min(before)
    };
    let others = object.iter().filter(|id| proof.binary_search(id).is_err());
    let mut others: Vec<(u32, OpId)> = others.map(|id| (distance(id), *id)).collect();
    others.sort();
    others.into_iter().map(|(_, id)| id).collect()
}
