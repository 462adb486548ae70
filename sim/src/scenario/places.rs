//! Where the lines of a scenario stand.

/// Where the lines of a scenario stand in the text that it was read from, from 1; empty if it was
/// not read. Two scenarios that say the same are the same, wherever they say it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The operations of the plan, in their order.
    pub ops: Vec<usize>,
    /// The expectations, in their order.
    pub expect: Vec<usize>,
    /// The settings, in the order of `ROWS`; 0 for what is not said.
    pub rows: Vec<usize>,
    /// The choices that are given.
    pub choices: Vec<usize>,
    /// The seed; 0 if it is not said.
    pub seed: usize,
}

impl PartialEq for Places {
    fn eq(&self, _: &Places) -> bool {
        true
    }
}

impl Eq for Places {}
