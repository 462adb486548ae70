//! What was measured, as a table in Markdown and as JSON.

use serde_json::{Value, json};

use crate::common::latencies::Latencies;
use crate::common::table;
use crate::coordinator::bench::measured::{AtNode, Measured, Request};

const TITLES: [&str; 10] = [
    "writes",
    "node",
    "nothing p50",
    "p99",
    "by itself p50",
    "p99",
    "/ nothing",
    "asking p50",
    "p99",
    "a write p50",
];

/// The table, and what its numbers are.
pub(super) fn text(measured: &[Measured], rounds: u64) -> String {
    let rows = measured.iter().flat_map(|all| all.nodes.iter().map(move |node| row(all, node)));
    let rows: Vec<[String; TITLES.len()]> =
        std::iter::once(TITLES.map(str::to_owned)).chain(rows).collect();
    format!("{}\n{}", table::markdown(&rows), words(rounds))
}

fn words(rounds: u64) -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "All times in µs, each of {rounds} requests, one at a time, on one connection to each \
         node; every request in turn at every node. All nodes and clients share one machine with \
         {processors} processors and one disk.\n\
         \n\
         - writes: what one more client does meanwhile: nothing, or one write after the other, to \
         keys that nobody reads, or to the one that is read.\n\
         - nothing: a request that the node answers without a look at anything.\n\
         - by itself: a read at the level `Replica`, answered by the coordinator's lease or a \
         child's loan of it; / nothing: its median over that of nothing.\n\
         - asking: a read at the level `Linearizable`: the coordinator asks all children whether \
         it still is one, and a child asks the coordinator.\n\
         - a write: until every live node has it on its disk.\n"
    )
}

/// A quantile in whole microseconds.
fn micros(latencies: &Latencies, quantile: f64) -> String {
    format!("{:.0}", latencies.milliseconds(quantile) * 1000.0)
}

fn row(measured: &Measured, node: &AtNode) -> [String; TITLES.len()] {
    let role = if node.leads { "coordinator" } else { "child" };
    let [nothing, replica, linearizable] = Request::ALL.map(|request| node.of(request));
    let writes = measured.writes.as_ref();
    [
        measured.load.to_string(),
        format!("{}, {role}", node.id),
        micros(nothing, 0.5),
        micros(nothing, 0.99),
        micros(replica, 0.5),
        micros(replica, 0.99),
        format!("{:.2}", node.price()),
        micros(linearizable, 0.5),
        micros(linearizable, 0.99),
        writes.map_or_else(|| "-".to_owned(), |writes| micros(writes, 0.5)),
    ]
}

/// All of it for programs.
pub(super) fn json(measured: &[Measured]) -> String {
    format!("{:#}\n", Value::from_iter(measured.iter().map(object)))
}

fn object(measured: &Measured) -> Value {
    let quantiles = |latencies: &Latencies| {
        let [p50, p99] = [0.5, 0.99].map(|quantile| latencies.milliseconds(quantile));
        json!({ "p50_ms": p50, "p99_ms": p99 })
    };
    let node = |node: &AtNode| {
        let [nothing, replica, linearizable] =
            Request::ALL.map(|request| quantiles(node.of(request)));
        json!({
            "id": node.id,
            "leads": node.leads,
            "nothing": nothing,
            "replica": replica,
            "linearizable": linearizable,
            "replica_over_nothing": node.price(),
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

    fn measured() -> Measured {
        let of = |micros| {
            let mut latencies = Latencies::default();
            latencies.add(Duration::from_micros(micros));
            latencies
        };
        let node = AtNode { id: 2, leads: false, requests: [100, 110, 400].map(of) };
        Measured { load: Load::OtherKeys, nodes: vec![node], writes: Some(of(900)) }
    }

    #[test]
    fn a_row_has_what_was_measured() {
        let text = text(&[measured()], 7);
        let row = text.lines().nth(2).expect("it is behind the titles");
        let cells: Vec<&str> =
            row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let expected =
            ["other keys", "2, child", "100", "100", "110", "110", "1.10", "400", "400", "900"];
        assert_eq!(cells, expected);
        assert!(text.contains("each of 7 requests"), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let told: Value = serde_json::from_str(&json(&[measured()])).expect("it is JSON");
        assert_eq!(told[0]["nodes"][0]["replica"]["p50_ms"], 0.11);
        assert_eq!(told[0]["write"]["p99_ms"], 0.9);
        let idle = Measured { load: Load::Idle, writes: None, ..measured() };
        let told: Value = serde_json::from_str(&json(&[idle])).expect("it is JSON");
        assert_eq!(told[0]["write"], Value::Null);
    }
}
