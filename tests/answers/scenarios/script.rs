//! The language of the scripts, as types. What does not fit them is not run, and says why.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A scenario, ready to be played.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "source")]
    _source: Option<String>,
    #[serde(rename = "notes", default)]
    _notes: Value,
    /// References that fail the scenario.
    #[serde(rename = "known_failures", default)]
    _known_failures: Value,
    /// An outline, not to be executed.
    #[serde(default)]
    pub(crate) manual: bool,
    pub(crate) voters: Vec<u64>,
    #[serde(default)]
    pub(crate) learners: Vec<u64>,
    /// Nodes that start without a membership.
    #[serde(default)]
    pub(crate) spare: Vec<u64>,
    #[serde(default)]
    pub(crate) config: Settings,
    #[serde(default)]
    pub(crate) persisted: BTreeMap<u64, Persisted>,
    #[serde(deserialize_with = "steps")]
    pub(crate) steps: Vec<Step>,
}

/// Steps are written `{"op": name, argument: ..}`, and read as `{name: {argument: ..}}`.
fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let step = |mut arguments: Map<String, Value>| {
        let op = arguments.remove("op").and_then(|op| op.as_str().map(str::to_owned));
        let op = op.ok_or_else(|| D::Error::missing_field("op"))?;
        let named = Map::from_iter([(op, Value::Object(arguments))]);
        Step::deserialize(Value::Object(named)).map_err(D::Error::custom)
    };
    Vec::<Map<String, Value>>::deserialize(deserializer)?.into_iter().map(step).collect()
}

/// How the nodes differ from the plain protocol of the paper.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) pre_vote: bool,
    /// As in etcd, this also makes nodes stick to a leader they hear from.
    pub(crate) check_quorum: bool,
    /// The ticks after which a node campaigns, instead of a random number of them.
    pub(crate) timeout: BTreeMap<u64, u32>,
}

/// What a node's disk holds at the start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Persisted {
    pub(crate) term: u64,
    pub(crate) vote: Option<u64>,
    pub(crate) log: Vec<u64>,
    #[serde(default)]
    pub(crate) commit: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    Campaign {
        node: u64,
    },
    /// The node's next heartbeat is due.
    Beat {
        node: u64,
    },
    Tick {
        node: u64,
        #[serde(default = "once")]
        n: u32,
    },
    TickAll {
        #[serde(default = "once")]
        n: u32,
    },
    Propose(Propose),
    Read(Read),
    /// Changes the membership; a joint one is left by itself.
    Conf(Conf),
    Transfer {
        node: u64,
        to: u64,
    },
    /// The node may forget what its state machine has applied. It need not: when a node takes a
    /// snapshot is its own affair.
    Compact {
        #[serde(rename = "node")]
        _node: u64,
    },
    Cut {
        a: u64,
        b: u64,
    },
    Uncut {
        a: u64,
        b: u64,
    },
    Isolate {
        node: u64,
    },
    Rejoin {
        node: u64,
    },
    Heal {},
    /// From now on messages of these kinds are lost, until the network heals.
    DropKinds {
        kinds: Vec<String>,
    },
    /// From now on messages wait.
    Hold {},
    /// Messages no longer wait, and those that did are delivered.
    Release {},
    /// Delivers messages until all is quiet, though they are held.
    Run {},
    /// Delivers the messages described that wait now, but not what they cause.
    Deliver(Which),
    DeliverAll {},
    /// Loses the messages described that wait now.
    Drop(Which),
    Crash {
        node: u64,
    },
    Restart {
        node: u64,
    },
    Inject {
        node: u64,
        msg: Injected,
    },
    Expect(Box<Expect>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Propose {
    pub(crate) node: u64,
    pub(crate) data: String,
    /// How often.
    #[serde(default = "once")]
    pub(crate) count: u32,
    /// Whether the node takes the proposal.
    pub(crate) accepted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conf {
    pub(crate) node: u64,
    /// `v4`: 4 votes; `l4`: it is a learner; `r4`: it is removed.
    pub(crate) changes: Vec<String>,
    #[serde(rename = "mode")]
    _mode: String,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    pub(crate) node: u64,
    /// Whether the read is answered by the end of the operation.
    #[serde(alias = "accepted")]
    pub(crate) ok: Option<bool>,
    /// The index it is answered at.
    pub(crate) index: Option<u64>,
}

/// Which of the messages that wait; what is not given does not matter.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
    #[serde(alias = "type")]
    pub(crate) kind: Option<String>,
}

/// A message that nobody sent.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Injected {
    AppendRequest {
        #[serde(alias = "frm")]
        from: u64,
        term: u64,
        prev_index: u64,
        prev_term: u64,
        entries: Vec<u64>,
        commit: u64,
    },
    AppendReply {
        #[serde(alias = "frm")]
        from: u64,
        term: u64,
        match_index: u64,
    },
    VoteRequest {
        #[serde(alias = "frm")]
        from: u64,
        term: u64,
        last_index: u64,
        last_term: u64,
    },
    VoteReply {
        #[serde(alias = "frm")]
        from: u64,
        term: u64,
        granted: bool,
    },
    Heartbeat {
        #[serde(alias = "frm")]
        from: u64,
        term: u64,
        commit: u64,
    },
}

/// What must be true; each map goes from nodes to what they must show.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    pub(crate) role: BTreeMap<u64, String>,
    pub(crate) term: BTreeMap<u64, u64>,
    pub(crate) vote: BTreeMap<u64, Option<u64>>,
    pub(crate) leader: BTreeMap<u64, Option<u64>>,
    /// Nobody leads.
    pub(crate) no_leader: bool,
    /// The commands applied, in order.
    pub(crate) applied: BTreeMap<u64, Vec<String>>,
    pub(crate) applied_count: BTreeMap<u64, usize>,
    pub(crate) commit: BTreeMap<u64, u64>,
    pub(crate) last_index: BTreeMap<u64, u64>,
    /// The terms of the log.
    pub(crate) log: BTreeMap<u64, Vec<u64>>,
    pub(crate) log_prefix: BTreeMap<u64, Vec<u64>>,
    /// These nodes have equal logs.
    pub(crate) same_log: Vec<u64>,
    pub(crate) voters: BTreeMap<u64, Vec<u64>>,
    pub(crate) outgoing: BTreeMap<u64, Vec<u64>>,
    pub(crate) learners: BTreeMap<u64, Vec<u64>>,
    /// The same of an implementation that appends one entry at each election, as this one does.
    pub(crate) strict: Option<Box<Expect>>,
}

impl Scenario {
    /// The scenario, or why it cannot be played.
    pub(crate) fn understand(case: &Value) -> Result<Scenario, String> {
        if case["manual"] == true {
            return Err("an outline, not to be executed".into());
        }
        let steps = case["steps"].as_array().into_iter().flatten();
        if steps.into_iter().any(|step| step["op"] == "conf" && step["mode"] != "auto") {
            return Err("a joint membership is left as soon as it is committed".into());
        }
        let silent = ["learner-must-vote", "add-node-not-immediately-fatal"];
        if silent.iter().any(|id| case["id"] == *id) {
            return Err("a voter to come is a learner until it has the log".into());
        }
        serde_json::from_value(case.clone()).map_err(|error| format!("not understood: {error}"))
    }
}
