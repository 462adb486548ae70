//! The quota of the store and the bounds of sessions, as an operator sets them on a real node.

use crate::cli::CommandOutput;
use crate::http::first_of;
use crate::http_client::get;
use crate::nodes::{Nodes, eventually};

/// Runs a client command against node 1.
fn ask(nodes: &Nodes, words: &[&str]) -> CommandOutput {
    let address = nodes.address(1).to_string();
    let all: Vec<&str> = words.iter().copied().chain(["--nodes", &address]).collect();
    nodes.quorate(&all)
}

#[test]
fn with_the_alarm_on_the_store_does_not_grow_until_an_operator_clears_it() {
    let (mut nodes, metrics, page) = first_of(1);
    eventually("the node leads", || get(metrics, "/health").status == 200);
    ask(&nodes, &["put", "a", "one"]).ok();
    // The pair has 68 bytes.
    ask(&nodes, &["quota", "set", "100"]).ok();
    let large = "x".repeat(50);
    let rejected = ask(&nodes, &["put", "a", &large]);
    assert_eq!(rejected.code, 5);
    assert!(rejected.err.contains("quota of 100 bytes"), "{}", rejected.err);
    assert_eq!(ask(&nodes, &["put", "a", "four"]).code, 5, "69 bytes fit, but the alarm is on");
    assert_eq!(ask(&nodes, &["put", "a", "two"]).ok(), "ok\n", "it does not grow");

    let status = ask(&nodes, &["status"]);
    assert_eq!(status.code, 1, "writes that grow the store fail");
    assert!(status.out.contains("store: 68 of 100 bytes, the alarm is on"), "{}", status.out);
    assert_eq!(get(metrics, "/ready").status, 200, "reads, deletes and `quota clear` succeed");
    assert!(get(metrics, "/metrics").body.contains("\nquorate_state_quota_alarm 1\n"));
    let view = get(page, "/api/cluster").json();
    assert_eq!(view["nodes"][0]["usage"]["quota"]["alarm"], true);

    // The alarm and the quota are part of the replicated state: they survive a restart.
    nodes.kill(1);
    let members = nodes.listed(&[1]);
    nodes.serve_with(1, &["--members", &members]);
    eventually("the node leads again", || ask(&nodes, &["get", "a"]).code == 0);
    let shown = ask(&nodes, &["quota", "show"]);
    assert_eq!((shown.code, shown.out.as_str()), (1, "68 of 100 bytes, the alarm is on\n"));

    assert_eq!(ask(&nodes, &["delete", "a"]).code, 0);
    assert_eq!(ask(&nodes, &["put", "a", "one"]).code, 5, "the alarm stays on");
    assert_eq!(ask(&nodes, &["quota", "clear"]).ok(), "the alarm is off\n");
    ask(&nodes, &["put", "a", "one"]).ok();
    ask(&nodes, &["quota", "set", "10"]).ok();
    assert_eq!(ask(&nodes, &["quota", "clear"]).code, 1, "68 of 10 bytes");
}

#[test]
fn bounds_of_sessions_are_checked_and_take_effect() {
    let (nodes, metrics, _) = first_of(1);
    eventually("the node leads", || get(metrics, "/health").status == 200);
    let refused = ask(&nodes, &["sessions", "set", "--max", "10"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("at most those of all"), "{}", refused.err);
    ask(&nodes, &["sessions", "set"]).fails_with(2, "--per-principal");
    ask(&nodes, &["sessions", "set", "--max", "10", "--per-principal", "3"]).ok();
    // The command itself works with the smallest sessions that it can use.
    let small = [
        ("--window", "1", "window_max", 1),
        ("--requests", "30", "requests_max", 30),
        ("--requests-per-principal", "3", "requests_per_principal_max", 3),
        ("--replies", "3MiB", "replies_bytes_max", 3 << 20),
        ("--replies-per-principal", "2MiB", "replies_bytes_per_principal_max", 2 << 20),
        ("--replies-per-session", "1MiB", "replies_bytes_per_session_max", 1 << 20),
    ];
    let flags = small.iter().flat_map(|(flag, value, ..)| [*flag, *value]);
    ask(&nodes, &["sessions", "set"].into_iter().chain(flags).collect::<Vec<_>>()).ok();
    for key in ["a", "b", "c", "d", "e"] {
        ask(&nodes, &["put", key, "value"]).ok();
    }
    let shown = ask(&nodes, &["sessions", "show", "--json"]).json();
    for (flag, _, name, expected) in small {
        assert_eq!(shown[name], expected, "{flag}");
    }
    assert_eq!((shown["sessions"].as_u64(), shown["sessions_max"].as_u64()), (Some(3), Some(10)));
}
