//! Cases of changing the membership: generated ones, and etcd's own tables.
//!
//! Where the designs differ, the case goes on from the result that etcd expects:
//! - There is no step that does without a joint membership: what `simple` gives, is taken over.
//! - A change that leaves the voters as they are needs no joint membership, so that it is complete
//!   at once; etcd makes the set joint with itself, which decides alike.
//! - That a node is named which is none, or no member, or twice, is an error here: the last word
//!   for each member that the change may name is what counts.

use serde::Deserialize;

use quorate::types::{Change, ChangeError, Fate, Membership, NodeId};

use crate::cases::{CaseFile, Verdict, decoded};

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
fn generated_changes_are_made() {
    for file in CaseFile::versions("oracle/confchange.jsonl", "") {
        file.run(&[], |case| play(&decoded(case)));
    }
}

#[test]
fn etcds_changes_are_made() {
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
                Ok(changed) if changed.is_staged() => Ok(changed.entered(None)),
                Ok(changed) => Ok(changed),
                Err(ChangeError::NoVoters) => Err("no_voters"),
                Err(error) => panic!("{:?}: {error}", step.changes),
            }),
            "leave-joint" if membership.is_joint() => Some(Ok(membership.left())),
            "leave-joint" => Some(Err("not_joint")),
            other => panic!("there is no {other}"),
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
            assert_eq!(step.op, "simple", "only such a result is taken over");
        }
        if step.expect.ok {
            membership = expected(&step.expect);
        }
    }
    Verdict::Passed
}

/// The one other difference: nobody is in the first membership of a case, and what it becomes
/// joint with decides nothing.
fn unexpected(result: &Result<Membership, &str>, before: &Membership, step: &Step) {
    let from_nobody = before.incoming().is_empty();
    assert!(
        from_nobody && step.op == "enter-joint",
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
        let stays = changed.member(*id).is_some_and(|member| member.fate == Fate::Stays);
        changed.outgoing().contains(id) && !changed.incoming().contains(id) && stays
    };
    let next: Vec<NodeId> = changed.voters().filter(next).collect();
    assert_eq!(next, ids(&expect.learners_next), "demoted of {changed}");
}

/// Whether the same nodes decide and learn. A set joint with itself is that set.
fn decides_alike(membership: &Membership, expect: &Expect) -> bool {
    let expected = expected(expect);
    let itself = **expected.outgoing() == **expected.incoming() && !membership.is_joint();
    membership.incoming() == expected.incoming()
        && (itself || membership.outgoing() == expected.outgoing())
        && membership.learners().eq(expected.learners())
}

/// The membership that etcd expects.
fn expected(expect: &Expect) -> Membership {
    let outgoing = ids(expect.outgoing.as_deref().unwrap_or_default());
    let joint = Membership::new(ids(&expect.voters)).joint_with(outgoing.iter().copied());
    let mut membership = joint.with_learners(ids(&expect.learners));
    let next = ids(&expect.learners_next);
    for id in outgoing.iter().filter(|id| !expect.voters.contains(&id.0)) {
        let mut member = membership.member(*id).expect("a voter is a member").clone();
        member.fate = if next.contains(id) { Fate::Stays } else { Fate::Leaves };
        membership = membership.clone().with_member(member);
    }
    membership
}

/// The change, as far as it can be asked for here.
fn change(tokens: &[String], membership: &Membership) -> Change {
    let mut named: Vec<(&str, NodeId)> = Vec::new();
    for token in tokens {
        let (what, id) = token.split_at(1);
        let id = NodeId(id.parse().expect("an id follows"));
        if what != "u" && id.0 != 0 {
            named.retain(|(_, other)| *other != id);
            named.push((what, id));
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
