//! The scenario language, as types. A scenario that does not fit them is skipped with a reason.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A parsed scenario, ready to be played.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "source")]
    _source: Option<String>,
    #[serde(rename = "notes", default)]
    _notes: Value,
    /// The reference implementations that fail the scenario.
    #[serde(rename = "known_failures", default)]
    _known_failures: Value,
    /// An outline, which is not executed.
    #[serde(default)]
    pub(crate) manual: bool,
    pub(crate) voters: Vec<u64>,
    #[serde(default)]
    pub(crate) learners: Vec<u64>,
    /// The nodes that start without a membership.
    #[serde(default)]
    pub(crate) spare: Vec<u64>,
    #[serde(default)]
    pub(crate) config: Settings,
    #[serde(default)]
    pub(crate) persisted: BTreeMap<u64, Persisted>,
    #[serde(deserialize_with = "steps")]
    pub(crate) steps: Vec<Step>,
}

/// Reads steps, which are written as `{"op": name, argument: ..}`, as if they were written as
/// `{name: {argument: ..}}`.
fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let step = |mut arguments: Map<String, Value>| {
        let op = arguments.remove("op").and_then(|op| op.as_str().map(str::to_owned));
        let op = op.ok_or_else(|| D::Error::missing_field("op"))?;
        let named = Map::from_iter([(op, Value::Object(arguments))]);
        Step::deserialize(Value::Object(named)).map_err(D::Error::custom)
    };
    Vec::<Map<String, Value>>::deserialize(deserializer)?.into_iter().map(step).collect()
}

/// The options of the nodes beyond the plain protocol of the paper.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) pre_vote: bool,
    /// As in etcd, this also turns on stickiness to a leader that was heard recently.
    pub(crate) check_quorum: bool,
    /// The number of ticks after which a node campaigns, instead of a random number.
    pub(crate) timeout: BTreeMap<u64, u32>,
}

/// The content of a node's disk at the start.
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
    /// Advances the node to its next heartbeat.
    #[serde(rename = "beat")]
    Heartbeat {
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
    /// Changes the membership; the leader leaves a joint one by itself.
    Conf(Conf),
    Transfer {
        node: u64,
        to: u64,
    },
    /// Allows the node to compact the entries that its state machine has applied. It need not,
    /// because a node decides when it takes a snapshot.
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
    /// Drops messages of these kinds from now on, until the network heals.
    DropKinds {
        kinds: Vec<String>,
    },
    /// Holds all messages from now on.
    Hold {},
    /// Ends the hold and delivers the held messages.
    Release {},
    /// Delivers messages until none is in flight, although they are held.
    Run {},
    /// Delivers the described messages that are held now, but not those that they cause.
    Deliver(Which),
    DeliverAll {},
    /// Drops the described messages that are held now.
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
    /// The number of repetitions.
    #[serde(default = "once")]
    pub(crate) count: u32,
    /// Whether the node accepts the proposal.
    pub(crate) accepted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conf {
    pub(crate) node: u64,
    /// `v4`: node 4 is a voter; `l4`: it is a learner; `r4`: it is removed.
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
    /// The read index of the answer.
    pub(crate) index: Option<u64>,
}

/// A selection of held messages; a missing field matches any value.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
    #[serde(alias = "type")]
    pub(crate) kind: Option<String>,
}

/// A message that no node sent.
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

/// The expected state; each map goes from nodes to expected values.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    pub(crate) role: BTreeMap<u64, String>,
    pub(crate) term: BTreeMap<u64, u64>,
    pub(crate) vote: BTreeMap<u64, Option<u64>>,
    pub(crate) leader: BTreeMap<u64, Option<u64>>,
    /// No node is the leader.
    pub(crate) no_leader: bool,
    /// The applied commands, in order.
    pub(crate) applied: BTreeMap<u64, Vec<String>>,
    pub(crate) applied_count: BTreeMap<u64, usize>,
    pub(crate) commit: BTreeMap<u64, u64>,
    pub(crate) last_index: BTreeMap<u64, u64>,
    /// The terms of the log's entries.
    pub(crate) log: BTreeMap<u64, Vec<u64>>,
    pub(crate) log_prefix: BTreeMap<u64, Vec<u64>>,
    /// The nodes whose logs are equal.
    pub(crate) same_log: Vec<u64>,
    pub(crate) voters: BTreeMap<u64, Vec<u64>>,
    pub(crate) outgoing: BTreeMap<u64, Vec<u64>>,
    pub(crate) learners: BTreeMap<u64, Vec<u64>>,
    /// The same for an implementation that appends one entry at each election, as this one does.
    pub(crate) strict: Option<Box<Expect>>,
}

impl Scenario {
    /// Returns the scenario, or the reason why it cannot be played.
    pub(crate) fn parse(case: &Value) -> Result<Scenario, String> {
        if case["manual"] == true {
            return Err("an outline, not to be executed".into());
        }
        let steps = case["steps"].as_array().into_iter().flatten();
        if steps.into_iter().any(|step| step["op"] == "conf" && step["mode"] != "auto") {
            return Err("a joint membership is left as soon as it is committed".into());
        }
        let needs_vote_of_new_voter = ["learner-must-vote", "add-node-not-immediately-fatal"];
        if needs_vote_of_new_voter.iter().any(|id| case["id"] == *id) {
            return Err("a new voter is a learner until it has the log".into());
        }
        serde_json::from_value(case.clone()).map_err(|error| format!("invalid scenario: {error}"))
    }
}
