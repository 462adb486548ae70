//! What one kind of cluster was measured to do.

use std::fmt;
use std::time::Duration;

use crate::common::latencies::Latencies;

/// One kind of cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// How many nodes it has.
    pub(super) nodes: u64,
    /// Whether its leader brings followers as many orders at once as there are.
    pub(super) batching: bool,
}

/// What all runs of one setup came to.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) setup: Setup,
    pub(super) runs: Vec<Run>,
    pub(super) latencies: Latencies,
}

/// One run: a cluster, from its first order to its last reply.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) orders: u64,
    pub(super) took: Duration,
    /// The processor time of every node; none where the system does not tell.
    pub(super) nodes: Option<Vec<Duration>>,
    /// That of the clients.
    pub(super) clients: Option<Duration>,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.orders as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// A number of each run: their mean, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Measured {
    pub(super) fn new(setup: Setup) -> Measured {
        Measured { setup, runs: Vec::new(), latencies: Latencies::default() }
    }

    pub(super) fn per_second(&self) -> Spread {
        let rates: Vec<f64> = self.runs.iter().map(Run::per_second).collect();
        Spread {
            mean: rates.iter().sum::<f64>() / rates.len().max(1) as f64,
            least: rates.iter().copied().fold(f64::INFINITY, f64::min),
            most: rates.iter().copied().fold(0.0, f64::max),
        }
    }

    /// How many processors were busy with this at a time, over all runs; none if that is not known.
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
    fn rates_are_averaged_and_processors_are_shared_out_over_all_runs() {
        let mut measured = Measured::new(Setup { nodes: 2, batching: true });
        measured.runs = vec![run(1, 1), run(4, 1)];
        let spread = Spread { mean: 62.5, least: 25.0, most: 100.0 };
        assert_eq!(measured.per_second(), spread);
        let all = |run: &Run| run.nodes.as_ref().map(|nodes| nodes.iter().sum());
        assert_eq!(measured.processors(all), Some(4.0 / 5.0));
        assert_eq!(measured.processors(|run| run.clients), None);
    }
}
