//! Reads that rest on a lease, or on a loan of one: S21.

use std::collections::BTreeMap;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::{Index, NodeId};

use crate::check::client::{Answer, Read, superseded};
use crate::check::finding::{Finding, S20, S21, Verdict};
use crate::check::model::Model;
use crate::request::{OpId, Said};
use crate::time::SimTime;
use crate::workload::{AnyWorkload, Workload};

/// What such reads must have.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    /// Whether a command may change the answer to a query, as the workload's machine tells.
    test: ConflictTest,
    /// What each operation wants carried out.
    commands: BTreeMap<OpId, Vec<u8>>,
    /// The first clock that went further astray than leases allow for.
    astray: Option<(NodeId, SimTime)>,
}

impl Leases {
    pub(super) fn new(workload: &AnyWorkload) -> Leases {
        let test = workload.machine().conflict_test();
        Leases { test, commands: BTreeMap::new(), astray: None }
    }

    /// An operation wants the user's bytes carried out.
    pub(super) fn proposed(&mut self, op: OpId, command: &[u8]) {
        self.commands.insert(op, command.to_vec());
    }

    /// A clock is off by more than is allowed.
    pub(super) fn astray(&mut self, node: NodeId, now: SimTime) {
        self.astray.get_or_insert((node, now));
    }

    /// A read is answered. When it was asked, nobody had committed what may change the answer and
    /// is not in it, nor been elected since: while a lease or a loan holds, nobody else leads.
    pub(super) fn served(&self, model: &Model, op: OpId, read: &Read, answer: &Answer) -> Verdict {
        if !read.rests_on_lease() {
            return Ok(());
        }
        let Answer { node, applied, .. } = *answer;
        let mut missing = (applied.0 + 1..=read.committed.0).map(Index);
        let missing = missing.find(|index| self.conflicts(model, read, *index));
        let why = match (missing, superseded(model, node, read.won)) {
            (Some(first), _) => {
                let committed = read.committed;
                format!(
                    "with {applied} applied, though {committed} was committed before the read, and \
                     {first} may change the answer"
                )
            }
            (None, Some(term)) => {
                format!("in {term}, though {} was won before the read", read.won)
            }
            (None, None) => return Ok(()),
        };
        S21.broken(format!("{node} serves read {}, {}, {why}", op.0, read.level))
    }

    /// What is found of a read says so where a clock went too far astray before.
    pub(super) fn explain(&self, finding: Finding) -> Finding {
        match self.astray {
            Some((node, at)) if finding.is(&S20) || finding.is(&S21) => finding.and(&format!(
                "; the clock of {node} is beyond what leases allow for, since {at}s"
            )),
            _ => finding,
        }
    }

    fn conflicts(&self, model: &Model, read: &Read, index: Index) -> bool {
        let id = model.committed.id_at(index).unwrap_or_default();
        let Some(Said::Command { op, .. }) = model.entries.said(id) else {
            return false;
        };
        let command = self.commands.get(&op);
        command.is_none_or(|command| self.test.may_change(&read.query, command))
    }
}
