//! The line numbers of a scenario's elements.

/// The line numbers in the text that the scenario was read from, starting at 1; empty if it was not
/// read from a text. Any two values are equal, so that scenarios compare by their contents.
#[derive(Clone, Debug, Default)]
pub struct LineNumbers {
    /// The operations of the plan in their order.
    pub ops: Vec<usize>,
    /// The expectations in their order.
    pub expect: Vec<usize>,
    /// The settings in the order of `ROWS`; 0 for a setting that is not given.
    pub rows: Vec<usize>,
    /// The given choices in the order of their lines.
    pub choices: Vec<usize>,
    /// The seed; 0 if it is not given.
    pub seed: usize,
}

impl PartialEq for LineNumbers {
    fn eq(&self, _: &LineNumbers) -> bool {
        true
    }
}

impl Eq for LineNumbers {}
