//! Statistical estimates of a sweep: the failure rate it bounds, and the value of more seeds.

use crate::run::summary::Summary;

/// Returns the estimated probability that one more seed reaches a mark that no seed has reached:
/// the number of marks reached by exactly one seed, divided by the number of seeds (Good–Turing;
/// Good, "The population frequencies of species", 1953).
pub(crate) fn new_mark_probability(summary: &Summary) -> f64 {
    let once = summary.marks.iter().filter(|seeds| **seeds == 1).count();
    (once as f64 / summary.seeds.max(1) as f64).min(1.0)
}

/// Returns the upper bound of the failure rate over all seeds, with 95 % confidence, if no seed
/// failed: with a larger rate, a sweep of this size passes in less than one case of twenty.
/// Returns 1.0 if no seed was run.
pub(crate) fn failure_rate_max(summary: &Summary) -> f64 {
    if summary.seeds == 0 { 1.0 } else { 1.0 - 0.05_f64.powf(1.0 / summary.seeds as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_improve_with_the_number_of_seeds() {
        let seeds = |seeds| Summary { seeds, marks: vec![1, 0, 999, 1], ..Summary::default() };
        assert!((failure_rate_max(&seeds(0)) - 1.0).abs() < 1e-9);
        // The rule of three: 3 / 1000.
        assert!((failure_rate_max(&seeds(1_000)) - 0.002_991).abs() < 1e-6);
        assert!((new_mark_probability(&seeds(1_000)) - 0.002).abs() < 1e-9);
        assert!((new_mark_probability(&seeds(1)) - 1.0).abs() < 1e-9);
    }
}
