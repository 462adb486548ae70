//! Evidence as a drawing of characters: a line for each client, a bar for each operation.

use crate::explain::layout::{Layout, layout, with_nearest};
use crate::explain::object::{last_return, operations};
use crate::explain::words::{label, listed};
use crate::history::{History, Moment, OpId};
use crate::model::Model;
use crate::verdict::Evidence;

const COLUMNS_MAX: usize = 100;
const LANES_MAX: usize = 20;
/// Of what one operation is asked and returns, so much is written on its bar.
const LABEL_MAX: usize = 28;
/// Operations that are drawn at most: more do not fit.
const DRAWN_MAX: usize = 40;

/// The operations of `evidence`, drawn as `|==write 3==|`, and between them as many of those around
/// them as fit, as `|--get -> 3--|`; what is not known to return ends in `>`. At most 100 columns
/// and about twenty lines. Columns are in the order of moments, and not to scale.
pub fn lanes<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> String {
    let end = last_return(history, &evidence.operations);
    let mut drawing = Drawing { model, history, label_max: LABEL_MAX, end };
    let mut shown = listed(history, evidence, DRAWN_MAX);
    while !drawing.fits(&shown, &shown) && !shown.is_empty() {
        match drawing.label_max {
            0 => shown = listed(history, evidence, shown.len() - 1),
            // A bar without words has the number of its operation alone.
            1..8 => drawing.label_max = 0,
            _ => drawing.label_max -= 4,
        }
    }
    let proof = shown;
    let object = operations(model, history, evidence);
    let fits = |ids: &[OpId]| ids.len() <= DRAWN_MAX && drawing.fits(ids, &proof);
    let shown = with_nearest(history, &object, evidence, proof.clone(), fits);
    drawing.draw(&shown, &proof, evidence.operations.len() - proof.len())
}

struct Drawing<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Ret>,
    label_max: usize,
    end: Moment,
}

impl<M: Model> Drawing<'_, M> {
    fn fits(&self, ids: &[OpId], proof: &[OpId]) -> bool {
        let layout = self.layout(ids, proof);
        layout.lanes.len() <= LANES_MAX && layout.columns + margin(&layout) <= COLUMNS_MAX
    }

    fn layout(&self, ids: &[OpId], proof: &[OpId]) -> Layout {
        layout(self.history, ids, proof, self.end, |id| self.label(id).len() + 4)
    }

    /// What is written on a bar, in ASCII.
    fn label(&self, id: OpId) -> String {
        if self.label_max == 0 {
            return id.0.to_string();
        }
        let text = format!("{}: {}", id.0, label(self.model, self.history.operation(id)));
        let plain =
            |letter: char| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' };
        let mut label: String = text.chars().take(self.label_max).map(plain).collect();
        if text.chars().count() > self.label_max {
            label.truncate(self.label_max - 2);
            label.push_str("..");
        }
        label
    }

    fn draw(&self, ids: &[OpId], proof: &[OpId], folded: usize) -> String {
        let layout = self.layout(ids, proof);
        let mut grid = vec![vec![b' '; layout.columns]; layout.lanes.len()];
        for bar in &layout.bars {
            let (from, until) = bar.columns;
            let line = if proof.binary_search(&bar.id).is_ok() { b'=' } else { b'-' };
            let lane = &mut grid[bar.lane];
            lane[from..=until].fill(line);
            lane[from] = b'|';
            lane[until] = if bar.ends { b'|' } else { b'>' };
            let label = self.label(bar.id);
            let start = from + (until - from + 1 - label.len()) / 2;
            lane[start..start + label.len()].copy_from_slice(label.as_bytes());
        }
        let width = margin(&layout) - 1;
        let mut text = String::new();
        for (client, lane) in layout.lanes.iter().zip(grid) {
            let name = format!("client {}", client.0);
            let lane = String::from_utf8(lane).expect("bars and labels are ASCII");
            text.push_str(format!("{name:<width$} {lane}").trim_end());
            text.push('\n');
        }
        if folded > 0 {
            text.push_str(&format!(
                "({folded} more operations of the evidence returned earlier)\n"
            ));
        }
        text
    }
}

/// The columns before the first bar.
fn margin(layout: &Layout) -> usize {
    let digits = layout.lanes.iter().map(|client| client.0.to_string().len()).max().unwrap_or(1);
    "client ".len() + digits + 1
}
