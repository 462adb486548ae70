//! In which abstract states the world is, for a search that is led by them.

use quorate::types::NodeId;

use crate::guided::{Moment, Shapes};
use crate::time::SimTime;
use crate::witness::Witness;

impl Witness {
    /// From now on it takes down in which abstract states the world is.
    pub(crate) fn want_shapes(&mut self) {
        self.shapes = Some(Default::default());
    }

    /// Whether it does.
    pub(crate) fn wants_shapes(&self) -> bool {
        self.shapes.is_some()
    }

    /// The world is in this abstract state.
    pub(crate) fn has_shape(&mut self, now: SimTime, node: NodeId, shape: u64) {
        if let Some((shapes, last)) = &mut self.shapes
            && *last != shape
        {
            *last = shape;
            shapes.entry(shape).or_insert(Moment { at: now, node });
        }
    }

    /// The abstract states of the run.
    pub(crate) fn take_shapes(&mut self) -> Shapes {
        self.shapes.take().unwrap_or_default().0
    }
}
