//! The picture in a page: bars on the lanes of their clients.

use std::collections::BTreeMap;

use crate::explain::layout::{Bar, Layout, layout, with_nearest};
use crate::explain::markup::escaped;
use crate::explain::object::last_return;
use crate::explain::words::{label, listed};
use crate::history::{History, Moment, OpId};
use crate::model::Model;
use crate::verdict::Evidence;

/// Operations that are drawn at most; with what is written of each, the page stays small.
const DRAWN_MAX: usize = 100;
/// Of the evidence, so many are drawn at most: the last to return.
const PROOF_MAX: usize = 60;
/// Of a screen: what fits on none can be scrolled to.
const COLUMNS_MAX: usize = 125;
const LANES_MAX: usize = 20;
/// Letters on a bar, and in what shows when it is pointed at.
const LABEL_MAX: usize = 28;
const TITLE_MAX: usize = 100;

/// Pixels: a column is a letter of the font, a lane has a bar with a number on its corner.
const COLUMN: usize = 8;
const LANE: usize = 36;
const BAR: usize = 22;
const TOP: usize = 26;
const MARGIN: usize = 90;

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

impl<M: Model> Picture<'_, M> {
    /// The picture, and a line on what is not in it.
    pub(crate) fn draw(&self) -> String {
        let proof = listed(self.history, self.evidence, PROOF_MAX);
        let fits = |ids: &[OpId]| {
            let layout = self.layout(ids, &proof);
            let small = layout.columns <= COLUMNS_MAX && layout.lanes.len() <= LANES_MAX;
            small && ids.len() <= DRAWN_MAX
        };
        let shown = with_nearest(self.history, self.object, self.evidence, proof.clone(), fits);
        let layout = self.layout(&shown, &proof);
        let (width, height) =
            (MARGIN + layout.columns * COLUMN + COLUMN, TOP + layout.lanes.len() * LANE);
        let mut svg = format!(
            "<div class=\"wide\"><svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
             aria-label=\"operations by client and moment\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n"
        );
        svg.push_str(&self.gaps(&layout, &shown, height));
        for (lane, client) in layout.lanes.iter().enumerate() {
            let y = TOP + lane * LANE + 10 + BAR / 2;
            svg.push_str(&format!(
                "<line class=\"lane\" x1=\"{MARGIN}\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"who\" x=\"0\" y=\"{}\">client {}</text>\n",
                y + 4,
                client.0
            ));
        }
        for bar in &layout.bars {
            svg.push_str(&self.bar(bar, proof.binary_search(&bar.id).is_ok()));
        }
        svg.push_str("</svg></div>\n");
        svg + &self.folded(&shown)
    }

    /// How many operations are not drawn, where there is room to say so.
    fn gaps(&self, layout: &Layout, shown: &[OpId], height: usize) -> String {
        let hidden = self.object.iter().filter(|id| shown.binary_search(id).is_err());
        let hidden: Vec<Moment> = hidden.map(|id| self.history.operation(*id).invoked).collect();
        let before = |moment: Moment| hidden.partition_point(|other| *other < moment);
        let mut text = String::new();
        let (mut said, mut free) = (0, 0);
        for (moment, column) in &layout.moments {
            let count = before(*moment) - said;
            if count == 0 || *column < free {
                continue;
            }
            said += count;
            free = column + count.to_string().len() + 2;
            let x = MARGIN + column * COLUMN;
            text.push_str(&format!(
                "<g class=\"gap\"><title>{count} operations invoked here are not drawn</title>\
                 <line x1=\"{x}\" x2=\"{x}\" y1=\"4\" y2=\"{height}\"/>\
                 <text x=\"{}\" y=\"14\">+{count}</text></g>\n",
                x + 3
            ));
        }
        text
    }

    fn layout(&self, ids: &[OpId], proof: &[OpId]) -> Layout {
        let end = last_return(self.history, &self.evidence.operations);
        let room = |id: OpId| self.label(id).chars().count().min(LABEL_MAX) + 3;
        layout(self.history, ids, proof, end, room)
    }

    fn label(&self, id: OpId) -> String {
        label(self.model, self.history.operation(id))
    }

    fn bar(&self, bar: &Bar, proof: bool) -> String {
        let operation = self.history.operation(bar.id);
        let (x, y) = (MARGIN + bar.columns.0 * COLUMN, TOP + bar.lane * LANE + 10);
        let width = (bar.columns.1 - bar.columns.0 + 1) * COLUMN;
        let class = match (self.misfit == Some(bar.id), proof) {
            (true, _) => "bad",
            (false, true) => "proof",
            (false, false) => "other",
        };
        let open = if bar.ends { "" } else { " open" };
        let label = self.label(bar.id);
        let until = match operation.returned() {
            Moment::NEVER => "and never returned".to_owned(),
            Moment(at) => format!("returned at {at}"),
        };
        let title = format!(
            "operation {}, client {}, invoked at {}, {until}: ",
            bar.id.0, operation.client.0, operation.invoked.0
        );
        let mut svg = format!(
            "<g class=\"{class}{open}\"><title>{title}{}</title>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BAR}\" rx=\"4\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            escaped(&label, TITLE_MAX),
            x + width / 2,
            y + 15,
            escaped(&label, LABEL_MAX - 1),
        );
        if let Some(place) = self.places.get(&bar.id) {
            let badge = 7 * place.to_string().len() + 8;
            svg.push_str(&format!(
                "<rect class=\"badge\" x=\"{}\" y=\"{}\" width=\"{badge}\" height=\"14\" \
                 rx=\"7\"/><text class=\"place\" x=\"{}\" y=\"{}\">{place}</text>",
                x.saturating_sub(4),
                y - 8,
                x.saturating_sub(4) + badge / 2,
                y + 3,
            ));
        }
        svg.push_str("</g>\n");
        svg
    }

    /// What is not drawn, counted.
    fn folded(&self, shown: &[OpId]) -> String {
        let others = self.history.operations().len() - self.object.len();
        let hidden = self.object.len() - shown.len();
        let end = last_return(self.history, &self.evidence.operations);
        let later = self.object.iter().filter(|id| self.history.operation(**id).invoked > end);
        let later = later.count();
        format!(
            "<p class=\"note\">Filled bars are the evidence; the red one fits nowhere after those \
             with a number, in their order. {} operations are drawn, as their moments follow one \
             another, not to scale. Not drawn are {} before or between them, {later} after the \
             evidence, and {others} that do not matter: they failed, nobody learned what they \
             read, or they are of other keys.</p>\n",
            shown.len(),
            hidden - later,
        )
    }
}
