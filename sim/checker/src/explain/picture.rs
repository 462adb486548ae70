//! The picture in a page: bars on the lanes of their clients.

use std::collections::BTreeMap;

use quorate_page::document::{
    Clock, Document, Event, Fact, Kind, Lane, Operation, Outcome, Violation, Weight,
};

use crate::explain::layout::{Bar, Layout, layout, with_nearest};
use crate::explain::object::last_return;
use crate::explain::words::{label, listed, result};
use crate::history::{self, History, Moment, OpId};
use crate::model::Model;
use crate::verdict::Evidence;

/// Operations that are drawn at most; with what is written of each, the page stays small.
const DRAWN_MAX: usize = 100;
/// Of the evidence, so many are drawn at most: the last to return.
const PROOF_MAX: usize = 60;
/// Of a screen: what fits on none can be scrolled to.
const COLUMNS_MAX: usize = 105;
const LANES_MAX: usize = 20;
/// Letters that a bar has room for, and of what is asked and returned.
const LABEL_MAX: usize = 28;
const WORDS_MAX: usize = 100;

/// What is drawn, and of what.
pub(crate) struct Picture<'a, M: Model> {
    pub(crate) model: &'a M,
    pub(crate) history: &'a History<M::Op, M::Ret>,
    pub(crate) evidence: &'a Evidence,
    /// The operations of the object, sorted.
    pub(crate) object: &'a [OpId],
    /// The place of each in the longest order, from 1.
    pub(crate) places: &'a BTreeMap<OpId, usize>,
    pub(crate) misfit: Option<OpId>,
}

/// An invocation, a return, or a gap.
struct Drawn {
    at: u64,
    lane: Lane,
    text: String,
    /// The bar that it begins, or ends.
    begins: Option<usize>,
    ends: Option<usize>,
}

impl<M: Model> Picture<'_, M> {
    /// The operations as bars, what happens at their ends, and a line on what is not drawn.
    pub(crate) fn document(&self) -> Document {
        let proof = listed(self.history, self.evidence, PROOF_MAX);
        let fits = |ids: &[OpId]| {
            let layout = self.layout(ids, &proof);
            let small = layout.columns <= COLUMNS_MAX && layout.lanes.len() <= LANES_MAX;
            small && ids.len() <= DRAWN_MAX
        };
        let shown = with_nearest(self.history, self.object, self.evidence, proof.clone(), fits);
        let layout = self.layout(&shown, &proof);
        let mut document = Document {
            clock: Clock::Places,
            facts: vec![Fact {
                label: "drawn".to_owned(),
                value: self.folded(&shown),
                code: false,
            }],
            clients: layout.lanes.iter().map(|client| format!("client {}", client.0)).collect(),
            operations: layout.bars.iter().map(|bar| self.operation(bar, &proof)).collect(),
            ..Document::default()
        };
        self.happens(&mut document, &layout, &shown);
        document
    }

    /// Adds what happens at the ends of the bars, and at which end it shows what is wrong.
    fn happens(&self, document: &mut Document, layout: &Layout, shown: &[OpId]) {
        let mut drawn = self.gaps(layout, shown);
        for (place, (bar, operation)) in layout.bars.iter().zip(&document.operations).enumerate() {
            let lane = Lane::Client(operation.client);
            let text = format!("asks {}: {}", bar.id.0, operation.call);
            let at = operation.invoked;
            drawn.push(Drawn { at, lane, text, begins: Some(place), ends: None });
            if let Some(at) = operation.returned {
                let text = format!("is told of {}: {}", bar.id.0, operation.result);
                drawn.push(Drawn { at, lane, text, begins: None, ends: Some(place) });
            }
        }
        drawn.sort_by_key(|event| event.at);
        let misfit = layout.bars.iter().position(|bar| self.misfit == Some(bar.id));
        for (place, Drawn { at, lane, text, begins, ends }) in (0..).zip(drawn) {
            let causes = ends.and_then(|bar| document.operations[bar].event).into_iter().collect();
            if let Some(bar) = begins {
                document.operations[bar].event = Some(place);
            }
            let wrong = misfit.is_some() && (ends == misfit || begins == misfit);
            if wrong || document.violation.is_none() {
                document.violation = Some(Violation {
                    event: place,
                    check: "not linearizable".to_owned(),
                    saw: String::new(),
                });
            }
            let kind = if lane == Lane::Cluster { Kind::Phase } else { Kind::Client };
            document.events.push(Event { at, lane, kind, text, causes, state: None, log: None });
        }
    }

    fn operation(&self, bar: &Bar, proof: &[OpId]) -> Operation {
        let operation = self.history.operation(bar.id);
        let client = u16::try_from(bar.lane).expect("lanes are few");
        let weight = match (self.misfit == Some(bar.id), proof.binary_search(&bar.id)) {
            (true, _) => Weight::Misfit,
            (false, Ok(_)) => Weight::Evidence,
            (false, Err(_)) => Weight::Beside,
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
            call: legible(&self.model.call_words(&operation.op), WORDS_MAX),
            result: legible(&result, WORDS_MAX),
            invoked: 2 * bar.columns.0 as u64,
            returned: bar.ends.then_some(2 * bar.columns.1 as u64 + 1),
            outcome,
            event: None,
            weight,
            place: self.places.get(&bar.id).and_then(|place| u32::try_from(*place).ok()),
        }
    }

    /// Where operations are not drawn, and how many.
    fn gaps(&self, layout: &Layout, shown: &[OpId]) -> Vec<Drawn> {
        let hidden = self.object.iter().filter(|id| shown.binary_search(id).is_err());
        let hidden: Vec<Moment> = hidden.map(|id| self.history.operation(*id).invoked).collect();
        let before = |moment: Moment| hidden.partition_point(|other| *other < moment);
        let mut said = 0;
        let mut gaps = Vec::new();
        for (moment, column) in &layout.moments {
            let count = before(*moment) - said;
            if count > 0 {
                said += count;
                let (at, text) = (2 * *column as u64, format!("+{count} not drawn"));
                gaps.push(Drawn { at, lane: Lane::Cluster, text, begins: None, ends: None });
            }
        }
        gaps
    }

    fn layout(&self, ids: &[OpId], proof: &[OpId]) -> Layout {
        let end = last_return(self.history, &self.evidence.operations);
        let place = |id: OpId| if self.places.contains_key(&id) { 4 } else { 0 };
        let room = |id: OpId| self.label(id).chars().count().min(LABEL_MAX) + place(id) + 3;
        layout(self.history, ids, proof, end, room)
    }

    fn label(&self, id: OpId) -> String {
        label(self.model, self.history.operation(id))
    }

    /// What is not drawn, counted.
    fn folded(&self, shown: &[OpId]) -> String {
        let others = self.history.operations().len() - self.object.len();
        let hidden = self.object.len() - shown.len();
        let end = last_return(self.history, &self.evidence.operations);
        let later = self.object.iter().filter(|id| self.history.operation(**id).invoked > end);
        let later = later.count();
        format!(
            "{} operations, as their invocations and returns follow one another, not to scale. \
             Not drawn are {} before or between them, {later} after the evidence, and {others} \
             that do not matter: they failed, nobody learned what they read, or they are of other \
             keys.",
            shown.len(),
            hidden - later,
        )
    }
}

/// The first `letters_max` letters of `text`; an ellipsis stands for the rest. What cannot be seen,
/// or turns the direction of writing, is replaced.
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
