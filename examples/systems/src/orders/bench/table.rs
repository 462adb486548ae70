//! The benchmark results as a Markdown table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::table;
use crate::orders::bench::measured::{RateSummary, Run, SetupResult};

const TITLES: [&str; 9] = [
    "nodes",
    "batching",
    "orders/s",
    "min–max",
    "p50 ms",
    "p99 ms",
    "CPU nodes",
    "CPU busiest node",
    "CPU clients",
];

/// Returns the table with an explanation of its columns.
pub(super) fn text(measured: &[SetupResult], orders: u64, threads: u64) -> String {
    let titles = TITLES.map(str::to_owned);
    let rows: Vec<[String; TITLES.len()]> =
        std::iter::once(titles).chain(measured.iter().map(row)).collect();
    let runs = measured.first().map_or(0, |measured| measured.runs.len());
    format!("{}\n{}", table::markdown(&rows), explanation(orders, threads, runs))
}

fn explanation(orders: u64, threads: u64, runs: usize) -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{orders} orders by {threads} clients, each with one order at a time on its own \
         connection; {runs} runs per row, each with a new cluster. All nodes and all clients \
         share one machine with {processors} processors and one disk.\n\
         \n\
         - orders/s: the mean over the runs; min–max: the slowest and the fastest run.\n\
         - p50, p99: the latency of an order at the client, over all runs.\n\
         - CPU: processor time per second, in percent of one processor: all nodes together, the \
         busiest node, all clients together.\n\
         - with batching: the default of the library. One append to a follower has all orders \
         that arrived meanwhile, and several appends are in flight at a time.\n\
         - without batching: an append has one order, and one append is in flight to each \
         follower (`message_entries_max`, `inflight_messages_max` and `inflight_entries_max` are \
         1). The leader's own disk still writes all waiting orders in one flush. A single node \
         has no followers: its two rows differ only by chance.\n"
    )
}

fn row(measured: &SetupResult) -> [String; TITLES.len()] {
    let RateSummary { mean, min, max } = measured.per_second();
    let quantile = |quantile| format!("{:.2}", measured.latencies.milliseconds(quantile));
    let percent = |busy: Option<f64>| {
        busy.map_or_else(|| "-".to_owned(), |busy| format!("{:.0} %", busy * 100.0))
    };
    [
        measured.setup.nodes.to_string(),
        if measured.setup.batching { "with" } else { "without" }.to_owned(),
        format!("{mean:.0}"),
        format!("{min:.0}–{max:.0}"),
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

/// Returns the results as JSON, with each run.
pub(super) fn json(measured: &[SetupResult]) -> String {
    let rows: Vec<Value> = measured.iter().map(object).collect();
    format!("{:#}\n", Value::from(rows))
}

fn object(measured: &SetupResult) -> Value {
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

    fn measured() -> SetupResult {
        let mut measured = SetupResult::new(Setup { nodes: 3, batching: true });
        let second = Duration::from_secs(1);
        let nodes = Some(vec![second / 2, second / 4]);
        measured.runs.push(Run { orders: 500, took: second, nodes, clients: None });
        measured.latencies.add(Duration::from_millis(2));
        measured
    }

    #[test]
    fn a_row_has_the_results_and_a_dash_for_an_unknown_value() {
        let text = text(&[measured()], 500, 4);
        let row = text.lines().nth(2).expect("the row follows the titles");
        let cells: Vec<&str> =
            row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["3", "with", "500", "500–500", "2.00", "2.00", "75 %", "50 %", "-"]);
        assert!(text.contains("500 orders by 4 clients"), "{text}");
    }

    #[test]
    fn the_json_has_every_run() {
        let rows: Value = serde_json::from_str(&json(&[measured()])).expect("the text is JSON");
        assert_eq!(rows[0]["orders_per_second"], 500.0);
        assert_eq!(rows[0]["runs"][0]["nodes_cpu_seconds"], json!([0.5, 0.25]));
        assert_eq!(rows[0]["runs"][0]["clients_cpu_seconds"], Value::Null);
    }
}
