//! What a summary is worth: what it bounds, and what more seeds would bring.

use crate::summary::Summary;

/// The probability that one seed more reaches a mark that none has reached, as Good and Turing
/// estimate it (Good, "The population frequencies of species", 1953): as many as were reached by
/// one seed only, of all seeds.
pub(crate) fn chance_of_news(summary: &Summary) -> f64 {
    let once = summary.marks.iter().filter(|seeds| **seeds == 1).count();
    (once as f64 / summary.seeds.max(1) as f64).min(1.0)
}

/// Below what share of all seeds fails, with 95 % confidence, if none of these did: with a larger
/// one so many would pass in less than one case of twenty. All of them if none was run.
pub(crate) fn failing_share_max(summary: &Summary) -> f64 {
    if summary.seeds == 0 { 1.0 } else { 1.0 - 0.05_f64.powf(1.0 / summary.seeds as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_is_bounded_by_how_often_it_was_looked_for() {
        let seeds = |seeds| Summary { seeds, marks: vec![1, 0, 999, 1], ..Summary::default() };
        assert!((failing_share_max(&seeds(0)) - 1.0).abs() < 1e-9);
        // Three in a thousand, as the rule of three has it.
        assert!((failing_share_max(&seeds(1_000)) - 0.002_991).abs() < 1e-6);
        assert!((chance_of_news(&seeds(1_000)) - 0.002).abs() < 1e-9);
        assert!((chance_of_news(&seeds(1)) - 1.0).abs() < 1e-9);
    }
}
