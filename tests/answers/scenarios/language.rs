//! The scenario language: operations and expectations that no scenario of `tests/data` uses work,
//! too, and every expectation can fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::play::{Bounds, Play};
use super::script::Scenario;

/// Plays these steps on new voters 1, 2 and 3 with the given configuration.
fn play(config: Value, steps: Value) {
    let case = json!({"id": "own", "voters": [1, 2, 3], "config": config, "steps": steps});
    let scenario = Scenario::parse(&case).expect("the scenario can be parsed");
    Play::new(&scenario, Bounds::Wide).run(&scenario.steps);
}

#[test]
fn nodes_with_little_room_fetch_from_their_disks() {
    let case = json!({"id": "own", "voters": [1, 2, 3], "steps": [
        {"op": "campaign", "node": 1},
        {"op": "crash", "node": 3},
        {"op": "propose", "node": 1, "data": "a", "count": 5},
        {"op": "restart", "node": 3},
        {"op": "beat", "node": 1},
        {"op": "beat", "node": 1},
        {"op": "expect", "applied_count": {"1": 5, "2": 5, "3": 5}}
    ]});
    let scenario = Scenario::parse(&case).expect("the scenario can be parsed");
    for (bounds, fetch) in [(Bounds::Wide, false), (Bounds::Tight, true)] {
        let mut play = Play::new(&scenario, bounds);
        play.run(&scenario.steps);
        assert_eq!(play.fetches() > 0, fetch, "{bounds:?}");
    }
}

#[test]
fn messages_are_held_delivered_and_lost_on_command() {
    play(
        json!({}),
        json!([
            {"op": "campaign", "node": 1},
            {"op": "hold"},
            {"op": "propose", "node": 1, "data": "a", "accepted": true},
            {"op": "expect", "last_index": {"1": 2, "2": 1, "3": 1}},
            {"op": "drop", "from": 1, "to": 3, "kind": "append_request"},
            {"op": "deliver", "to": 2},
            {"op": "expect", "last_index": {"2": 2, "3": 1}, "commit": {"1": 1}},
            {"op": "deliver_all"},
            {"op": "expect", "commit": {"1": 2, "2": 1, "3": 1}},
            {"op": "run"},
            {"op": "expect", "commit": {"1": 2, "2": 2, "3": 2}},
            {"op": "propose", "node": 1, "data": "b"},
            {"op": "expect", "last_index": {"2": 2}},
            {"op": "release"},
            {"op": "expect", "applied": {"1": ["a", "b"], "2": ["a", "b"], "3": ["a", "b"]}}
        ]),
    );
}

#[test]
fn kinds_of_messages_are_lost_until_the_network_heals() {
    play(
        json!({}),
        json!([
            {"op": "drop_kinds", "kinds": ["append_request"]},
            {"op": "campaign", "node": 1},
            {"op": "propose", "node": 1, "data": "a", "count": 2},
            {"op": "expect", "applied_count": {"1": 0}, "leader": {"2": 1}, "vote": {"3": 1}},
            {"op": "heal"},
            {"op": "beat", "node": 1},
            {"op": "beat", "node": 1},
            {"op": "expect", "applied_count": {"1": 2, "2": 2, "3": 2}}
        ]),
    );
}

#[test]
fn time_passes_for_one_node_or_for_all() {
    play(
        json!({"timeout": {"1": 12, "2": 30, "3": 30}}),
        json!([
            {"op": "tick_all", "n": 11},
            {"op": "expect", "no_leader": true, "leader": {"1": null}, "term": {"1": 0}},
            {"op": "tick", "node": 1},
            {"op": "expect", "role": {"1": "leader"}, "term": {"1": 1}},
            {"op": "tick_all", "n": 100},
            {"op": "expect", "role": {"1": "leader", "2": "follower"}, "term": {"3": 1}},
            {"op": "isolate", "node": 1},
            {"op": "tick", "node": 3, "n": 29},
            {"op": "expect", "role": {"3": "follower"}},
            {"op": "tick", "node": 3},
            {"op": "expect", "role": {"3": "leader"}, "term": {"3": 2}}
        ]),
    );
}

#[test]
fn a_leader_without_quorum_contact_steps_down_under_check_quorum() {
    let steps = |role: &str| {
        json!([
            {"op": "campaign", "node": 1},
            {"op": "isolate", "node": 1},
            {"op": "tick", "node": 1, "n": 21},
            {"op": "expect", "role": {"1": role}}
        ])
    };
    play(json!({"check_quorum": true}), steps("not_leader"));
    play(json!({}), steps("leader"));
}

#[test]
fn a_read_may_be_expected_to_be_answered_or_not() {
    play(
        json!({}),
        json!([
            {"op": "read", "node": 2, "ok": false},
            {"op": "campaign", "node": 1},
            {"op": "propose", "node": 1, "data": "a"},
            {"op": "read", "node": 1, "ok": true, "index": 2},
            {"op": "read", "node": 3, "ok": true, "index": 2},
            {"op": "isolate", "node": 1},
            {"op": "read", "node": 1, "ok": false}
        ]),
    );
}

#[test]
fn injected_messages_arrive() {
    play(
        json!({}),
        json!([
            {"op": "inject", "node": 2, "msg": {"type": "vote_request", "from": 3, "term": 4,
                "last_index": 0, "last_term": 0}},
            {"op": "expect", "vote": {"2": 3}, "term": {"2": 4}},
            {"op": "inject", "node": 2, "msg": {"type": "append_request", "frm": 3, "term": 4,
                "prev_index": 0, "prev_term": 0, "entries": [2, 4], "commit": 0}},
            {"op": "expect", "log": {"2": [2, 4]}, "log_prefix": {"2": [2]}},
            {"op": "inject", "node": 2, "msg": {"type": "heartbeat", "from": 3, "term": 4,
                "commit": 1}},
            {"op": "expect", "commit": {"2": 1}}
        ]),
    );
    play(
        json!({}),
        json!([
            {"op": "isolate", "node": 1},
            {"op": "campaign", "node": 1},
            {"op": "inject", "node": 1, "msg": {"type": "vote_reply", "from": 2, "term": 1,
                "granted": true}},
            {"op": "expect", "role": {"1": "leader"}},
            {"op": "inject", "node": 1, "msg": {"type": "append_reply", "from": 2, "term": 1,
                "match_index": 1}},
            {"op": "expect", "commit": {"1": 1}, "voters": {"1": [1, 2, 3]},
                "outgoing": {"1": []}, "learners": {"1": []}}
        ]),
    );
}

#[test]
fn every_expectation_can_fail() {
    let wrong = [
        json!({"role": {"1": "follower"}}),
        json!({"role": {"1": "not_leader"}}),
        json!({"term": {"1": 2}}),
        json!({"vote": {"2": null}}),
        json!({"leader": {"2": 3}}),
        json!({"no_leader": true}),
        json!({"applied": {"1": ["b"]}}),
        json!({"applied_count": {"1": 2}}),
        json!({"commit": {"1": 1}}),
        json!({"last_index": {"1": 1}}),
        json!({"log": {"1": [1]}}),
        json!({"log_prefix": {"1": [1, 2]}}),
        json!({"same_log": [1, 3]}),
        json!({"voters": {"1": [1, 2]}}),
        json!({"outgoing": {"1": [1]}}),
        json!({"learners": {"1": [3]}}),
        json!({"strict": {"commit": {"1": 1}}}),
    ];
    for mut expectation in wrong {
        let name = expectation.to_string();
        expectation["op"] = json!("expect");
        let steps = json!([
            {"op": "campaign", "node": 1},
            {"op": "cut", "a": 1, "b": 3},
            {"op": "propose", "node": 1, "data": "a"},
            expectation
        ]);
        let outcome = catch_unwind(AssertUnwindSafe(|| play(json!({}), steps)));
        assert!(outcome.is_err(), "{name} is detected");
    }
}

#[test]
fn an_invalid_scenario_is_reported() {
    let reason = |case: Value| Scenario::parse(&case).err().expect("the scenario is invalid");
    let with = |step: Value| json!({"id": "own", "voters": [1], "steps": [step]});
    assert!(reason(with(json!({"op": "explode", "node": 1}))).contains("explode"));
    assert!(reason(with(json!({"op": "campaign", "nodes": 1}))).contains("nodes"));
    assert!(reason(with(json!({"op": "expect", "mood": {}}))).contains("mood"));
    assert!(reason(with(json!({"node": 1}))).contains("op"));
    assert!(reason(with(json!({"op": "conf", "mode": "explicit"}))).contains("is left as soon"));
    assert!(reason(json!({"manual": true})).contains("outline"));
    let case = json!({"id": "own", "voters": [1], "steps": [], "config": {"leases": true}});
    assert!(reason(case).contains("leases"));
}
