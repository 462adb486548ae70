//! What was measured, as a table in Markdown and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::table;
use crate::orders::bench::measured::{Measured, Run, Spread};

const TITLES: [&str; 9] = [
    "nodes",
    "batching",
    "orders/s",
    "least–most",
    "p50 ms",
    "p99 ms",
    "CPU nodes",
    "CPU busiest node",
    "CPU clients",
];

/// The table, and what its numbers are.
pub(super) fn text(measured: &[Measured], orders: u64, threads: u64) -> String {
    let titles = TITLES.map(str::to_owned);
    let rows: Vec<[String; TITLES.len()]> =
        std::iter::once(titles).chain(measured.iter().map(row)).collect();
    let runs = measured.first().map_or(0, |measured| measured.runs.len());
    format!("{}\n{}", table::markdown(&rows), words(orders, threads, runs))
}

fn words(orders: u64, threads: u64, runs: usize) -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{orders} orders by {threads} clients, each with one order at a time on a connection of \
         its own; {runs} runs of each row, each with a new cluster. All nodes and all clients \
         share one machine with {processors} processors and one disk.\n\
         \n\
         - orders/s: the mean over the runs, then the slowest and the fastest run.\n\
         - p50, p99: how long a client waited for the reply to an order, over all runs.\n\
         - CPU: how much of one processor was busy, 100 % being one: all nodes together, the \
         busiest node, all clients together.\n\
         - with batching: as the library is. The leader brings each follower, in one append, all \
         orders that have come meanwhile, and several appends are on their way at a time.\n\
         - without batching: an append has one order, and one append is on its way to each \
         follower (`message_entries_max`, `inflight_messages_max` and `inflight_entries_max` are \
         1). Not turned off: the leader's own disk takes in one flush all orders that wait. One \
         node has no followers: its two rows differ by chance alone.\n"
    )
}

fn row(measured: &Measured) -> [String; TITLES.len()] {
    let Spread { mean, least, most } = measured.per_second();
    let quantile = |quantile| format!("{:.2}", measured.latencies.milliseconds(quantile));
    let percent = |busy: Option<f64>| {
        busy.map_or_else(|| "-".to_owned(), |busy| format!("{:.0} %", busy * 100.0))
    };
    [
        measured.setup.nodes.to_string(),
        if measured.setup.batching { "with" } else { "without" }.to_owned(),
        format!("{mean:.0}"),
        format!("{least:.0}–{most:.0}"),
        quantile(0.5),
        quantile(0.99),
        percent(measured.processors(all_nodes)),
        percent(measured.processors(busiest_node)),
        percent(measured.processors(|run| run.clients)),
    ]
}

fn all_nodes(run: &Run) -> Option<Duration> {
    run.nodes.as_ref().map(|nodes| nodes.iter().sum())
}

fn busiest_node(run: &Run) -> Option<Duration> {
    run.nodes.as_ref()?.iter().max().copied()
}

/// All of it for programs, every run by itself.
pub(super) fn json(measured: &[Measured]) -> String {
    let rows: Vec<Value> = measured.iter().map(object).collect();
    format!("{:#}\n", Value::from(rows))
}

fn object(measured: &Measured) -> Value {
    let seconds = |span: &Duration| span.as_secs_f64();
    let run = |run: &Run| {
        json!({
            "orders": run.orders,
            "seconds": run.took.as_secs_f64(),
            "nodes_cpu_seconds": run.nodes.as_ref().map(|nodes| {
                nodes.iter().map(seconds).collect::<Vec<f64>>()
            }),
            "clients_cpu_seconds": run.clients.as_ref().map(seconds),
        })
    };
    json!({
        "nodes": measured.setup.nodes,
        "batching": measured.setup.batching,
        "orders_per_second": measured.per_second().mean,
        "p50_ms": measured.latencies.milliseconds(0.5),
        "p99_ms": measured.latencies.milliseconds(0.99),
        "runs": measured.runs.iter().map(run).collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::bench::measured::Setup;

    fn measured() -> Measured {
        let mut measured = Measured::new(Setup { nodes: 3, batching: true });
        let second = Duration::from_secs(1);
        let nodes = Some(vec![second / 2, second / 4]);
        measured.runs.push(Run { orders: 500, took: second, nodes, clients: None });
        measured.latencies.add(Duration::from_millis(2));
        measured
    }

    #[test]
    fn a_row_has_what_was_measured_and_a_dash_for_what_was_not() {
        let text = text(&[measured()], 500, 4);
        let row = text.lines().nth(2).expect("it is behind the titles");
        let cells: Vec<&str> =
            row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["3", "with", "500", "500–500", "2.00", "2.00", "75 %", "50 %", "-"]);
        assert!(text.contains("500 orders by 4 clients"), "{text}");
    }

    #[test]
    fn programs_get_every_run() {
        let told: Value = serde_json::from_str(&json(&[measured()])).expect("it is JSON");
        assert_eq!(told[0]["orders_per_second"], 500.0);
        assert_eq!(told[0]["runs"][0]["nodes_cpu_seconds"], json!([0.5, 0.25]));
        assert_eq!(told[0]["runs"][0]["clients_cpu_seconds"], Value::Null);
    }
}
