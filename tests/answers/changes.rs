//! Cases of membership changes: generated ones, and etcd's own tables.
//!
//! Where the designs differ, the case continues from the result that etcd expects:
//! - Every change of voters here is joint, so etcd's operation `simple` is not run: the case goes
//!   on from the membership that etcd expects after it.
//! - A change that leaves the voters as they are needs no joint membership, so it is complete
//!   at once; etcd enters a joint membership with two equal sets, which has the same quorums.
//! - An edit of node 0, of a node that is not a member, or of a node named twice is an error here:
//!   the case uses only the last edit of each node, without the invalid ones.

use serde::Deserialize;

use quorate::types::{Change, ChangeError, Membership, NodeId, PendingTransition};

use crate::answers::cases::{CaseFile, Verdict, decoded};

#[derive(Deserialize)]
struct Case {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    op: String,
    changes: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    ok: bool,
    #[serde(default)]
    voters: Vec<u64>,
    outgoing: Option<Vec<u64>>,
    #[serde(default)]
    learners: Vec<u64>,
    #[serde(default)]
    learners_next: Vec<u64>,
    error: Option<String>,
}

#[test]
fn generated_changes_are_applied() {
    for file in CaseFile::versions("oracle/confchange.jsonl", "") {
        file.run(&[], |case| play(&decoded(case)));
    }
}

#[test]
fn etcds_changes_are_applied() {
    if let Some(file) = CaseFile::public("etcd/confchange/confchange.jsonl", "") {
        file.run(&[], |case| play(&decoded(case)));
    }
}

fn play(case: &Case) -> Verdict {
    let mut membership = Membership::default();
    for step in &case.steps {
        let change = change(&step.changes, &membership);
        let result = match step.op.as_str() {
            "simple" => None,
            "enter-joint" if membership.is_joint() => Some(Err("already_joint")),
            "enter-joint" => Some(match membership.changed(&change) {
                Ok(changed) if changed.is_staged() => Ok(changed.enter_joint(None)),
                Ok(changed) => Ok(changed),
                Err(ChangeError::NoVoters) => Err("no_voters"),
                Err(error) => panic!("{:?}: {error}", step.changes),
            }),
            "leave-joint" if membership.is_joint() => Some(Ok(membership.leave_joint())),
            "leave-joint" => Some(Err("not_joint")),
            other => panic!("unknown operation {other}"),
        };
        match result {
            Some(Ok(changed)) if step.expect.ok => {
                check(&changed, &step.expect);
                membership = changed;
            }
            Some(Err(error)) if !step.expect.ok => {
                assert_eq!(Some(error), step.expect.error.as_deref());
            }
            Some(other) => unexpected(&other, &membership, step),
            None => {}
        }
        if step.expect.ok && !decides_alike(&membership, &step.expect) {
            assert_eq!(step.op, "simple", "only the result of `simple` is adopted");
        }
        if step.expect.ok {
            membership = expected(&step.expect);
        }
    }
    Verdict::Passed
}

/// Accepts the one other difference: a case begins with an empty membership, and etcd enters a
/// joint membership from it, whose empty outgoing set takes part in no decision.
fn unexpected(result: &Result<Membership, &str>, before: &Membership, step: &Step) {
    let from_empty = before.incoming().is_empty();
    assert!(
        from_empty && step.op == "enter-joint",
        "{} {:?} of {before}: {result:?}",
        step.op,
        step.changes
    );
}

fn check(changed: &Membership, expect: &Expect) {
    assert!(decides_alike(changed, expect), "{changed} is not {}", expected(expect));
    let members: Vec<NodeId> = changed.ids().collect();
    assert_eq!(members, expected(expect).ids().collect::<Vec<_>>(), "of {changed}");
    let next = |id: &NodeId| {
        let stays =
            changed.member(*id).is_some_and(|member| member.pending == PendingTransition::None);
        changed.outgoing().contains(id) && !changed.incoming().contains(id) && stays
    };
    let next: Vec<NodeId> = changed.voters().filter(next).collect();
    assert_eq!(next, ids(&expect.learners_next), "demoted of {changed}");
}

/// Whether the same nodes vote and learn. Two equal sets count as one simple membership.
fn decides_alike(membership: &Membership, expect: &Expect) -> bool {
    let expected = expected(expect);
    let itself = **expected.outgoing() == **expected.incoming() && !membership.is_joint();
    membership.incoming() == expected.incoming()
        && (itself || membership.outgoing() == expected.outgoing())
        && membership.learners().eq(expected.learners())
}

/// Returns the membership that etcd expects.
fn expected(expect: &Expect) -> Membership {
    let outgoing = ids(expect.outgoing.as_deref().unwrap_or_default());
    let joint = Membership::new(ids(&expect.voters)).joint_with(outgoing.iter().copied());
    let mut membership = joint.with_learners(ids(&expect.learners));
    let next = ids(&expect.learners_next);
    for id in outgoing.iter().filter(|id| !expect.voters.contains(&id.0)) {
        let mut member = membership.member(*id).expect("a voter is a member").clone();
        member.pending =
            if next.contains(id) { PendingTransition::None } else { PendingTransition::Remove };
        membership = membership.clone().with_member(member);
    }
    membership
}

/// Returns the change, as far as this implementation supports it.
fn change(tokens: &[String], membership: &Membership) -> Change {
    let mut named: Vec<(&str, NodeId)> = Vec::new();
    for token in tokens {
        let (kind, id) = token.split_at(1);
        let id = NodeId(id.parse().expect("an id follows"));
        if kind != "u" && id.0 != 0 {
            named.retain(|(_, other)| *other != id);
            named.push((kind, id));
        }
    }
    named.into_iter().fold(Change::new(), |change, (what, id)| match what {
        "v" => change.voter(id),
        "l" => change.learner(id),
        "r" if membership.is_member(id) => change.remove(id),
        _ => change,
    })
}

fn ids(list: &[u64]) -> Vec<NodeId> {
    list.iter().copied().map(NodeId).collect()
}
