//! The benchmark results as a Markdown table and as JSON.

use serde_json::{Value, json};

use crate::common::latencies::Latencies;
use crate::common::table;
use crate::coordinator::bench::measured::{LoadResult, NodeResult, Request};

const TITLES: [&str; 10] = [
    "writes",
    "node",
    "empty p50",
    "p99",
    "local p50",
    "p99",
    "/ empty",
    "round p50",
    "p99",
    "write p50",
];

/// Returns the table with a legend.
pub(super) fn text(measured: &[LoadResult], rounds: u64) -> String {
    let rows = measured.iter().flat_map(|all| all.nodes.iter().map(move |node| row(all, node)));
    let rows: Vec<[String; TITLES.len()]> =
        std::iter::once(TITLES.map(str::to_owned)).chain(rows).collect();
    format!("{}\n{}", table::markdown(&rows), legend(rounds))
}

fn legend(rounds: u64) -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "All times in µs, over {rounds} requests each, one at a time, on one connection to each \
         node; the requests alternate between nodes. All nodes and clients share one machine with \
         {processors} processors and one disk.\n\
         \n\
         - writes: the concurrent load of one more client: none, or sequential writes to keys that \
         are not read, or to the key that is read.\n\
         - empty: a local read with an empty query, which the state machine rejects.\n\
         - local: a read at the level `Replica`, answered with the leader lease or a read lease; / \
         empty: its median divided by that of the empty request.\n\
         - round: a read at the level `Linearizable`: the coordinator confirms its leadership with \
         a heartbeat round, and a follower asks the coordinator.\n\
         - write: acknowledged once every live node has it on its disk.\n"
    )
}

/// Formats a quantile in whole microseconds.
fn micros(latencies: &Latencies, quantile: f64) -> String {
    format!("{:.0}", latencies.milliseconds(quantile) * 1000.0)
}

fn row(measured: &LoadResult, node: &NodeResult) -> [String; TITLES.len()] {
    let role = if node.leads { "coordinator" } else { "follower" };
    let [nothing, replica, linearizable] = Request::ALL.map(|request| node.of(request));
    let writes = measured.writes.as_ref();
    [
        measured.load.to_string(),
        format!("{}, {role}", node.id),
        micros(nothing, 0.5),
        micros(nothing, 0.99),
        micros(replica, 0.5),
        micros(replica, 0.99),
        format!("{:.2}", node.local_over_empty()),
        micros(linearizable, 0.5),
        micros(linearizable, 0.99),
        writes.map_or_else(|| "-".to_owned(), |writes| micros(writes, 0.5)),
    ]
}

/// Returns the results as JSON.
pub(super) fn json(measured: &[LoadResult]) -> String {
    format!("{:#}\n", Value::from_iter(measured.iter().map(object)))
}

fn object(measured: &LoadResult) -> Value {
    let quantiles = |latencies: &Latencies| {
        let [p50, p99] = [0.5, 0.99].map(|quantile| latencies.milliseconds(quantile));
        json!({ "p50_ms": p50, "p99_ms": p99 })
    };
    let node = |node: &NodeResult| {
        let [nothing, replica, linearizable] =
            Request::ALL.map(|request| quantiles(node.of(request)));
        json!({
            "id": node.id,
            "leads": node.leads,
            "nothing": nothing,
            "replica": replica,
            "linearizable": linearizable,
            "replica_over_nothing": node.local_over_empty(),
        })
    };
    json!({
        "writes": measured.load.to_string(),
        "nodes": measured.nodes.iter().map(node).collect::<Vec<Value>>(),
        "write": measured.writes.as_ref().map(quantiles),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::coordinator::bench::measured::Load;

    fn measured() -> LoadResult {
        let of = |micros| {
            let mut latencies = Latencies::default();
            latencies.add(Duration::from_micros(micros));
            latencies
        };
        let node = NodeResult { id: 2, leads: false, requests: [100, 110, 400].map(of) };
        LoadResult { load: Load::OtherKeys, nodes: vec![node], writes: Some(of(900)) }
    }

    #[test]
    fn a_row_has_the_results_of_a_node() {
        let text = text(&[measured()], 7);
        let row = text.lines().nth(2).expect("the third line is the first row");
        let cells: Vec<&str> =
            row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let expected =
            ["other keys", "2, follower", "100", "100", "110", "110", "1.10", "400", "400", "900"];
        assert_eq!(cells, expected);
        assert!(text.contains("over 7 requests each"), "{text}");
    }

    #[test]
    fn the_json_has_the_same_results() {
        let value: Value = serde_json::from_str(&json(&[measured()])).expect("the text is JSON");
        assert_eq!(value[0]["nodes"][0]["replica"]["p50_ms"], 0.11);
        assert_eq!(value[0]["write"]["p99_ms"], 0.9);
        let idle = LoadResult { load: Load::Idle, writes: None, ..measured() };
        let value: Value = serde_json::from_str(&json(&[idle])).expect("the text is JSON");
        assert_eq!(value[0]["write"], Value::Null);
    }
}
