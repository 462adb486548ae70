//! The resources that a check may use.

use std::cell::Cell;
use std::fmt;

/// The resources that a check may use. It contains no time limit, because a simulation must reach
/// the same verdict on every machine.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// The maximum number of bytes that the search of one key may hold, beyond the history, and
    /// releases at its end. Of the memory that a state owns, the count includes the bytes that are
    /// hashed and those that [`unhashed_bytes`](crate::model::Model::unhashed_bytes) returns. A
    /// whole check may hold this much on each of its [`threads`](Budget::threads): if the threads
    /// shared it, the verdict would depend on their number.
    pub bytes_max: usize,
    /// The maximum number of configurations that one search of a key may visit.
    /// [`check`](crate::check::check) searches an undecided key again from the start, each time
    /// with a larger part of this number.
    pub configurations_max: u64,
    /// The number of threads that check independent keys. The verdict does not depend on it, but
    /// each thread may hold [`bytes_max`](Budget::bytes_max).
    pub threads: usize,
    /// Called again and again, after at most some hundred thousand steps of work; the check stops
    /// when it returns true. Interactive callers pass a function that compares a clock with a
    /// deadline.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Default for Budget<'_> {
    /// Allows 1 GiB, a hundred million configurations and one thread, with no stop function.
    fn default() -> Self {
        Budget { bytes_max: 1 << 30, configurations_max: 100_000_000, threads: 1, stop: None }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("bytes_max", &self.bytes_max)
            .field("configurations_max", &self.configurations_max)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Calls the stop function of a budget from time to time. Every loop of a check that may take more
/// than linear time counts its steps here.
pub(crate) struct StopCheck<'a> {
    stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// The number of steps until the next call.
    left: Cell<usize>,
    is_stopped: Cell<bool>,
}

/// The number of steps between two calls of the stop function.
const STEPS: usize = 1 << 16;

impl<'a> StopCheck<'a> {
    /// Creates a check that calls the stop function after the first steps.
    pub(crate) fn new(budget: &Budget<'a>) -> StopCheck<'a> {
        StopCheck { stop: budget.stop, left: Cell::new(STEPS), is_stopped: Cell::new(false) }
    }

    /// Creates a check that calls the stop function at the first step.
    pub(crate) fn at_once(budget: &Budget<'a>) -> StopCheck<'a> {
        StopCheck { left: Cell::new(0), ..StopCheck::new(budget) }
    }

    /// Counts this many steps. Returns true if the work should stop, and from then on.
    pub(crate) fn is_stopped_after(&self, steps: usize) -> bool {
        match self.left.get().checked_sub(steps) {
            Some(left) if left > 0 => self.left.set(left),
            _ => {
                self.left.set(STEPS);
                let is_stopped = self.is_stopped.get() || self.stop.is_some_and(|stop| stop());
                self.is_stopped.set(is_stopped);
            }
        }
        self.is_stopped.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_stop_function_is_called_by_steps_and_its_answer_stays() {
        let calls = AtomicUsize::new(0);
        let stop = || calls.fetch_add(1, Ordering::Relaxed) == 2;
        let budget = Budget { stop: Some(&stop), ..Budget::default() };
        let check = StopCheck::at_once(&budget);
        assert!(!check.is_stopped_after(1));
        assert!((1..STEPS).all(|_| !check.is_stopped_after(1)));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(!check.is_stopped_after(5 * STEPS));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(!StopCheck::new(&budget).is_stopped_after(1));
        assert!(check.is_stopped_after(STEPS) && check.is_stopped_after(1));
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
