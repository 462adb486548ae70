//! The notes that a node records for traces and checks.

use crate::raft::{self, Action};
use crate::replica::output::{Note, NoteFilter};

/// The recorded notes; empty without a filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) filter: Option<NoteFilter>,
    pub(super) recorded: Vec<Note>,
}

impl Notes {
    /// Records an input of the algorithm, if the filter selects it.
    pub(super) fn input(&mut self, input: &raft::Input) {
        if self.filter.is_some_and(|filter| (filter.inputs)(input)) {
            self.recorded.push(Note::RaftInput(input.clone()));
        }
    }

    /// Records an action of the algorithm, if the filter selects it.
    pub(super) fn action(&mut self, action: &Action) {
        if self.filter.is_some_and(|filter| (filter.actions)(action)) {
            self.recorded.push(Note::RaftAction(action.clone()));
        }
    }

    /// Records a note that every filter selects.
    pub(super) fn push(&mut self, note: impl FnOnce() -> Note) {
        if self.filter.is_some() {
            self.recorded.push(note());
        }
    }
}
