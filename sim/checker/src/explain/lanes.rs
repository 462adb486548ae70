//! Draws a counterexample as text: a line for each client, a bar for each operation.

use crate::explain::layout::{Layout, layout, with_nearest};
use crate::explain::object::{last_return, operations};
use crate::explain::text::{label, listed};
use crate::history::{EventIndex, History, OpId};
use crate::model::Model;
use crate::verdict::Counterexample;

const COLUMNS_MAX: usize = 100;
const LANES_MAX: usize = 20;
/// The maximum number of characters of an operation and its result on a bar.
const LABEL_MAX: usize = 28;
/// The maximum number of operations that are drawn; more do not fit.
const OPERATIONS_MAX: usize = 40;

/// Draws the operations of `counterexample` as `|=5: write 3=|`, and as many of the operations
/// around them as fit as `|-6: get -> 3-|`, each with its number. A bar that ends in `>` has no
/// known response. The drawing has at most 100 columns and about twenty lines. Columns are in the
/// order of events, not to scale.
pub fn lanes<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> String {
    let end = last_return(history, &counterexample.operations);
    let mut drawing = Drawing { model, history, label_max: LABEL_MAX, end };
    let mut shown = listed(history, counterexample, OPERATIONS_MAX);
    while !drawing.fits(&shown, &shown) && !shown.is_empty() {
        match drawing.label_max {
            0 => shown = listed(history, counterexample, shown.len() - 1),
            // Without a label, a bar shows only the number of its operation.
            1..8 => drawing.label_max = 0,
            _ => drawing.label_max -= 4,
        }
    }
    let proof = shown;
    let object = operations(model, history, counterexample);
    let fits = |ids: &[OpId]| ids.len() <= OPERATIONS_MAX && drawing.fits(ids, &proof);
    let shown = with_nearest(history, &object, counterexample, proof.clone(), fits);
    drawing.draw(&shown, &proof, counterexample.operations.len() - proof.len())
}

struct Drawing<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Ret>,
    label_max: usize,
    end: EventIndex,
}

impl<M: Model> Drawing<'_, M> {
    fn fits(&self, ids: &[OpId], proof: &[OpId]) -> bool {
        let layout = self.layout(ids, proof);
        layout.lanes.len() <= LANES_MAX && layout.columns + margin(&layout) <= COLUMNS_MAX
    }

    fn layout(&self, ids: &[OpId], proof: &[OpId]) -> Layout {
        layout(self.history, ids, proof, self.end, |id| self.label(id).len() + 4)
    }

    /// Returns the label of a bar, in ASCII.
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
                "({folded} more operations of the counterexample returned earlier)\n"
            ));
        }
        text
    }
}

/// Returns the number of columns before the first bar.
fn margin(layout: &Layout) -> usize {
    let digits = layout.lanes.iter().map(|client| client.0.to_string().len()).max().unwrap_or(1);
    "client ".len() + digits + 1
}
