//! Cases of quorums: commit indices and votes of majorities and joint majorities, generated ones
//! and etcd's own tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use quorate::quorum::{Tally, VoteResult, reached};
use quorate::types::{Membership, NodeId};

use crate::answers::cases::{CaseFile, Verdict, decoded, report};

/// The folder of etcd's tables below `public`.
const ETCD: &str = "etcd/quorum";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "id")]
    _id: String,
    /// The file and line in etcd's sources.
    #[serde(rename = "src")]
    _source: Option<String>,
    op: String,
    incoming: Vec<u64>,
    outgoing: Option<Vec<u64>>,
    #[serde(default)]
    acked: BTreeMap<u64, u64>,
    #[serde(default)]
    votes: BTreeMap<u64, bool>,
    /// An index, `inf`, or a vote.
    expect: Value,
    /// A remark on the case, which is evaluated like any other.
    #[serde(rename = "edge")]
    _edge: Option<String>,
}

#[test]
fn generated_quorums_have_the_expected_results() {
    for file in CaseFile::versions("oracle/quorum.jsonl", "") {
        file.run(&[], |case| count(&decoded(case)));
    }
}

#[test]
fn etcds_quorums_have_the_expected_results() {
    if let Some(file) = CaseFile::public(&format!("{ETCD}/quorum.jsonl"), "") {
        file.run(&[], |case| count(&decoded(case)));
    }
}

#[test]
fn etcds_quorum_tables_have_the_expected_results() {
    for table in ["majority_commit", "majority_vote", "joint_commit", "joint_vote"] {
        let path = format!("{ETCD}/{table}.txt");
        let Some(text) = CaseFile::public_text(&path) else { continue };
        let cases = table_cases(&text);
        let commands = text.lines().filter(|line| is_command(line)).count();
        assert_eq!(cases.len(), commands, "each command of {path} is a case");
        for (line, case) in &cases {
            println!("{path}:{line}");
            count(case);
        }
        report(&format!("QUORATE_DATA/public/{path}"), cases.len(), commands);
    }
}

/// Evaluates the case as it is, and once more: a joint membership with its halves swapped, a simple
/// one joined with itself. Both results are equal.
fn count(case: &Case) -> Verdict {
    let ids = |list: &[u64]| list.iter().copied().map(NodeId).collect::<Vec<_>>();
    let (incoming, outgoing) = (ids(&case.incoming), case.outgoing.as_deref().map(ids));
    let simple = Membership::new(incoming.clone());
    let memberships = match outgoing {
        None => vec![simple.clone(), simple.joint_with(incoming)],
        Some(outgoing) => {
            let swapped = Membership::new(outgoing.clone()).joint_with(incoming);
            vec![simple.joint_with(outgoing), swapped]
        }
    };
    for membership in memberships {
        let result = match case.op.as_str() {
            "committed" => {
                let acked = |id: NodeId| case.acked.get(&id.0).copied().unwrap_or(0);
                match reached(&membership, acked) {
                    u64::MAX => Value::from("inf"),
                    index => Value::from(index),
                }
            }
            "vote" => {
                let mut tally = Tally::default();
                for (&id, &granted) in &case.votes {
                    tally.count(NodeId(id), granted);
                }
                Value::from(match tally.result(&membership) {
                    VoteResult::Won => "won",
                    VoteResult::Lost => "lost",
                    VoteResult::Pending => "pending",
                })
            }
            other => panic!("unknown operation {other}"),
        };
        assert_eq!(result, case.expect, "{membership:?}");
    }
    Verdict::Passed
}

fn is_command(line: &str) -> bool {
    line.starts_with("committed") || line.starts_with("vote")
}

/// Returns the cases of one of etcd's text tables, each with its line: a command, `----`, and
/// output whose last line is the result. `idx` and `votes` list the ids of `cfg`, then of `cfgj`,
/// each once.
fn table_cases(text: &str) -> Vec<(usize, Case)> {
    let mut cases = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if !is_command(line) {
            assert!(
                line.is_empty() || line.starts_with('#'),
                "line {number} is blank or a comment"
            );
            continue;
        }
        assert_eq!(lines.next().map(|(_, rule)| rule), Some("----"), "line {number}");
        let output = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.is_empty());
        let result = output.last().expect("every command has a result");
        cases.push((number, table_case(line, result)));
    }
    cases
}

fn table_case(command: &str, result: &str) -> Case {
    let (op, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let list = |key: &str| -> Option<Vec<&str>> {
        let value = arguments.split_once(&format!("{key}="))?.1;
        let inside = value.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        // An empty half is written `zero`.
        Some(inside.map_or_else(Vec::new, |(inside, _)| inside.split(',').map(str::trim).collect()))
    };
    let ids = |key: &str| -> Option<Vec<u64>> {
        list(key).map(|ids| ids.iter().map(|id| id.parse().expect("an id")).collect())
    };
    let (incoming, outgoing) = (ids("cfg").unwrap_or_default(), ids("cfgj"));
    let mut order = incoming.clone();
    order.extend(outgoing.iter().flatten().filter(|id| !incoming.contains(id)));
    let known = |key: &str| -> Vec<(u64, &str)> {
        let values = list(key).unwrap_or_default();
        assert!(values.is_empty() || values.len() == order.len(), "{command}");
        order.iter().copied().zip(values).filter(|(_, value)| *value != "_").collect()
    };
    let acked = known("idx").into_iter().map(|(id, index)| (id, index.parse().expect("an index")));
    let votes = known("votes").into_iter().map(|(id, vote)| (id, vote == "y"));
    let expect = match result {
        "VoteWon" => Value::from("won"),
        "VoteLost" => Value::from("lost"),
        "VotePending" => Value::from("pending"),
        infinite if infinite.ends_with('∞') => Value::from("inf"),
        index => Value::from(index.parse::<u64>().expect("an index")),
    };
    Case {
        _id: command.to_owned(),
        _source: None,
        op: op.to_owned(),
        incoming,
        outgoing,
        acked: acked.collect(),
        votes: votes.collect(),
        expect,
        _edge: None,
    }
}
