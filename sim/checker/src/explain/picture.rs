//! The picture of a page: operations as bars on the lanes of their clients.

use std::collections::BTreeMap;

use quorate_page::document::{
    Clock, Document, Event, Fact, Kind, Lane, Operation, Outcome, Relevance, Violation,
};

use crate::explain::layout::{Bar, Layout, layout, with_nearest};
use crate::explain::object::last_return;
use crate::explain::text::{label, listed, result};
use crate::history::{self, EventIndex, History, OpId};
use crate::model::Model;
use crate::verdict::Counterexample;

/// The maximum number of operations that are drawn, so that the page stays small.
const OPERATIONS_MAX: usize = 100;
/// The maximum number of operations of the counterexample that are drawn: the last to return.
const COUNTEREXAMPLE_MAX: usize = 60;
/// The maximum number of columns and lanes of a screen. A larger picture scrolls.
const COLUMNS_MAX: usize = 105;
const LANES_MAX: usize = 20;
/// The maximum number of characters of a label on a bar, and of a call or a result.
const LABEL_MAX: usize = 28;
const TEXT_MAX: usize = 100;

/// The input of a picture.
pub(crate) struct Picture<'a, M: Model> {
    pub(crate) model: &'a M,
    pub(crate) history: &'a History<M::Op, M::Ret>,
    pub(crate) counterexample: &'a Counterexample,
    /// The operations of the object, sorted by number.
    pub(crate) object: &'a [OpId],
    /// The position of each operation in the longest order, from 1.
    pub(crate) places: &'a BTreeMap<OpId, usize>,
    pub(crate) unexplained: Option<OpId>,
}

/// An invocation, a response, or a gap.
struct PictureEvent {
    at: u64,
    lane: Lane,
    text: String,
    /// The index of the bar that begins, or ends, with the event.
    begins: Option<usize>,
    ends: Option<usize>,
}

/// Sorts the events. It is not generic over the model, so it is compiled once for all models.
fn sort_by_time(events: &mut [PictureEvent]) {
    events.sort_by_key(|event| event.at);
}

impl<M: Model> Picture<'_, M> {
    /// Returns the document with bars, the events at their ends, and a line that counts the rest.
    pub(crate) fn document(&self) -> Document {
        let proof = listed(self.history, self.counterexample, COUNTEREXAMPLE_MAX);
        let fits = |ids: &[OpId]| {
            let layout = self.layout(ids, &proof);
            let small = layout.columns <= COLUMNS_MAX && layout.lanes.len() <= LANES_MAX;
            small && ids.len() <= OPERATIONS_MAX
        };
        let shown =
            with_nearest(self.history, self.object, self.counterexample, proof.clone(), fits);
        let layout = self.layout(&shown, &proof);
        let mut document = Document {
            clock: Clock::Positions,
            facts: vec![Fact {
                label: "drawn".to_owned(),
                value: self.folded(&shown),
                code: false,
            }],
            clients: layout.lanes.iter().map(|client| format!("client {}", client.0)).collect(),
            operations: layout.bars.iter().map(|bar| self.operation(bar, &proof)).collect(),
            ..Document::default()
        };
        self.add_events(&mut document, &layout, &shown);
        document
    }

    /// Adds the events at the ends of the bars, and marks the event that shows the violation.
    fn add_events(&self, document: &mut Document, layout: &Layout, shown: &[OpId]) {
        let mut events = self.gaps(layout, shown);
        for (place, (bar, operation)) in layout.bars.iter().zip(&document.operations).enumerate() {
            let lane = Lane::Client(operation.client);
            let text = format!("invokes {}: {}", bar.id.0, operation.call);
            let at = operation.invoked;
            events.push(PictureEvent { at, lane, text, begins: Some(place), ends: None });
            if let Some(at) = operation.returned {
                let text = format!("response to {}: {}", bar.id.0, operation.result);
                events.push(PictureEvent { at, lane, text, begins: None, ends: Some(place) });
            }
        }
        sort_by_time(&mut events);
        let unexplained = layout.bars.iter().position(|bar| self.unexplained == Some(bar.id));
        for (place, PictureEvent { at, lane, text, begins, ends }) in (0..).zip(events) {
            let causes = ends.and_then(|bar| document.operations[bar].event).into_iter().collect();
            if let Some(bar) = begins {
                document.operations[bar].event = Some(place);
            }
            let wrong = unexplained.is_some() && (ends == unexplained || begins == unexplained);
            if wrong || document.violation.is_none() {
                document.violation = Some(Violation {
                    event: place,
                    check: "not linearizable".to_owned(),
                    finding: String::new(),
                });
            }
            let kind = if lane == Lane::Cluster { Kind::Phase } else { Kind::Client };
            document.events.push(Event { at, lane, kind, text, causes, state: None, log: None });
        }
    }

    fn operation(&self, bar: &Bar, proof: &[OpId]) -> Operation {
        let operation = self.history.operation(bar.id);
        let client = u16::try_from(bar.lane).expect("lanes are few");
        let relevance = match (self.unexplained == Some(bar.id), proof.binary_search(&bar.id)) {
            (true, _) => Relevance::Unexplained,
            (false, Ok(_)) => Relevance::Evidence,
            (false, Err(_)) => Relevance::Context,
        };
        let outcome = match operation.outcome {
            history::Outcome::Returned { .. } => Outcome::Returned,
            history::Outcome::Failed => Outcome::Failed,
            history::Outcome::Unknown => Outcome::Unknown,
        };
        let result = match outcome {
            Outcome::Returned => result(self.model, operation),
            Outcome::Failed | Outcome::Unknown => String::new(),
        };
        Operation {
            client,
            call: legible(&self.model.describe_op(&operation.op), TEXT_MAX),
            result: legible(&result, TEXT_MAX),
            invoked: 2 * bar.columns.0 as u64,
            returned: bar.ends.then_some(2 * bar.columns.1 as u64 + 1),
            outcome,
            event: None,
            relevance,
            place: self.places.get(&bar.id).and_then(|place| u32::try_from(*place).ok()),
        }
    }

    /// Returns the gaps: where operations are not drawn, and how many.
    fn gaps(&self, layout: &Layout, shown: &[OpId]) -> Vec<PictureEvent> {
        let hidden = self.object.iter().filter(|id| shown.binary_search(id).is_err());
        let hidden: Vec<EventIndex> =
            hidden.map(|id| self.history.operation(*id).invoked).collect();
        let before = |event_index: EventIndex| hidden.partition_point(|other| *other < event_index);
        let mut counted = 0;
        let mut gaps = Vec::new();
        for (event_index, column) in &layout.event_columns {
            let count = before(*event_index) - counted;
            if count > 0 {
                counted += count;
                let (at, text) = (2 * *column as u64, format!("+{count} not drawn"));
                gaps.push(PictureEvent { at, lane: Lane::Cluster, text, begins: None, ends: None });
            }
        }
        gaps
    }

    fn layout(&self, ids: &[OpId], proof: &[OpId]) -> Layout {
        let end = last_return(self.history, &self.counterexample.operations);
        let place = |id: OpId| if self.places.contains_key(&id) { 4 } else { 0 };
        let room = |id: OpId| self.label(id).chars().count().min(LABEL_MAX) + place(id) + 3;
        layout(self.history, ids, proof, end, room)
    }

    fn label(&self, id: OpId) -> String {
        label(self.model, self.history.operation(id))
    }

    /// Describes the operations that are not drawn.
    fn folded(&self, shown: &[OpId]) -> String {
        let others = self.history.operations().len() - self.object.len();
        let hidden = self.object.len() - shown.len();
        let end = last_return(self.history, &self.counterexample.operations);
        let later = self.object.iter().filter(|id| self.history.operation(**id).invoked > end);
        let later = later.count();
        format!(
            "{} operations, in the order of invocations and responses, not to scale. Not drawn are \
             {} operations before or between them, {later} after the counterexample, and \
             {others} that cannot affect the verdict: failed operations, reads of unknown \
             outcome, and operations on other keys.",
            shown.len(),
            hidden - later,
        )
    }
}

/// Returns the first `letters_max` characters of `text`, with an ellipsis for the rest. Control
/// characters and those that change the direction of writing are replaced.
pub(crate) fn legible(text: &str, letters_max: usize) -> String {
    let mut legible = String::new();
    for (place, letter) in text.chars().enumerate() {
        match letter {
            _ if place == letters_max => {
                legible.push('…');
                break;
            }
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                legible.push('\u{fffd}');
            }
            _ if letter.is_control() => legible.push('\u{fffd}'),
            _ => legible.push(letter),
        }
    }
    legible
}
