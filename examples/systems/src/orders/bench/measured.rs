//! Benchmark results of one kind of cluster.

use std::fmt;
use std::time::Duration;

use crate::common::latencies::Latencies;

/// One kind of cluster that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// The number of nodes.
    pub(super) nodes: u64,
    /// Whether the leader sends several orders per append and several appends in flight.
    pub(super) batching: bool,
}

/// The results of all runs of one setup.
#[derive(Clone, Debug)]
pub(super) struct SetupResult {
    pub(super) setup: Setup,
    pub(super) runs: Vec<Run>,
    pub(super) latencies: Latencies,
}

/// The result of one run, from the first order to the last reply.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) orders: u64,
    pub(super) took: Duration,
    /// The CPU time of every node, if the system reports it.
    pub(super) nodes: Option<Vec<Duration>>,
    /// The CPU time of the clients, if the system reports it.
    pub(super) clients: Option<Duration>,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.orders as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// Mean, minimum and maximum of the rates of all runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RateSummary {
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl SetupResult {
    pub(super) fn new(setup: Setup) -> SetupResult {
        SetupResult { setup, runs: Vec::new(), latencies: Latencies::default() }
    }

    pub(super) fn per_second(&self) -> RateSummary {
        let rates: Vec<f64> = self.runs.iter().map(Run::per_second).collect();
        RateSummary {
            mean: rates.iter().sum::<f64>() / rates.len().max(1) as f64,
            min: rates.iter().copied().fold(f64::INFINITY, f64::min),
            max: rates.iter().copied().fold(0.0, f64::max),
        }
    }

    /// Returns the mean number of busy processors over all runs, if the CPU time is known.
    pub(super) fn processors(&self, of: impl Fn(&Run) -> Option<Duration>) -> Option<f64> {
        let busy: Option<Duration> = self.runs.iter().map(of).sum();
        let took: Duration = self.runs.iter().map(|run| run.took).sum();
        busy.map(|busy| busy.as_secs_f64() / took.as_secs_f64().max(f64::EPSILON))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes =
            if self.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", self.nodes) };
        write!(f, "{nodes} {} batching", if self.batching { "with" } else { "without" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: u64, busy: u64) -> Run {
        let (took, busy) = (Duration::from_secs(seconds), Duration::from_secs(busy));
        Run { orders: 100, took, nodes: Some(vec![busy, busy]), clients: None }
    }

    #[test]
    fn rates_and_processors_are_averaged_over_all_runs() {
        let mut measured = SetupResult::new(Setup { nodes: 2, batching: true });
        measured.runs = vec![run(1, 1), run(4, 1)];
        let spread = RateSummary { mean: 62.5, min: 25.0, max: 100.0 };
        assert_eq!(measured.per_second(), spread);
        let all = |run: &Run| run.nodes.as_ref().map(|nodes| nodes.iter().sum());
        assert_eq!(measured.processors(all), Some(4.0 / 5.0));
        assert_eq!(measured.processors(|run| run.clients), None);
    }
}
