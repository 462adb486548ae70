//! Reads under a leader lease or a read lease: S21.

use std::collections::BTreeMap;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::{Index, NodeId};

use crate::check::client::{Read, ServedRead, superseded};
use crate::check::finding::{CheckResult, Finding, S20, S21};
use crate::check::model::Model;
use crate::values::time::SimTime;
use crate::workload::request::{OpId, PayloadOrigin};
use crate::workload::{AnyWorkload, Workload};

/// The commands and clock faults that decide whether a leased read is correct.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    /// The workload's test whether a command may change the answer to a query.
    test: ConflictTest,
    /// The command of each operation.
    commands: BTreeMap<OpId, Vec<u8>>,
    /// The first clock that exceeded the drift bound of the leases, and the time.
    clock_bound_exceeded: Option<(NodeId, SimTime)>,
}

impl Leases {
    pub(super) fn new(workload: &AnyWorkload) -> Leases {
        let test = workload.machine().conflict_test();
        Leases { test, commands: BTreeMap::new(), clock_bound_exceeded: None }
    }

    /// Records the command of an operation.
    pub(super) fn proposed(&mut self, op: OpId, command: &[u8]) {
        self.commands.insert(op, command.to_vec());
    }

    /// Records that a node's clock exceeded the drift bound.
    pub(super) fn clock_bound_exceeded(&mut self, node: NodeId, now: SimTime) {
        self.clock_bound_exceeded.get_or_insert((node, now));
    }

    /// Checks the answer to a leased read. It must include every conflicting command that was
    /// committed before the read began, and no leader may have won a later term by then, because
    /// no other node can lead while a lease holds.
    pub(super) fn served(
        &self,
        model: &Model,
        op: OpId,
        read: &Read,
        answer: &ServedRead,
    ) -> CheckResult {
        if !read.relies_on_lease() {
            return Ok(());
        }
        let ServedRead { node, applied, .. } = *answer;
        let mut missing = (applied.0 + 1..=read.committed.0).map(Index);
        let missing = missing.find(|index| self.conflicts(model, read, *index));
        let why = match (missing, superseded(model, node, read.won)) {
            (Some(first), _) => {
                let committed = read.committed;
                format!(
                    "after it applied only index {applied}, but index {committed} was committed \
                     before the read began and the command at index {first} may change the answer"
                )
            }
            (None, Some(term)) => {
                format!(
                    "in term {term}, but another leader had won term {} before the read began",
                    read.won,
                )
            }
            (None, None) => return Ok(()),
        };
        S21.violated(format!("{node} serves read {} ({}) {why}", op.0, read.level))
    }

    /// If a clock has exceeded the drift bound of the leases, adds this cause to a finding of S20
    /// or S21.
    pub(super) fn add_clock_cause(&self, finding: Finding) -> Finding {
        match self.clock_bound_exceeded {
            Some((node, at)) if finding.is(&S20) || finding.is(&S21) => {
                finding.with_detail(&format!(
                    "; the clock of {node} exceeded the drift bound of the leases at {at} s, so \
                     leases may not hold"
                ))
            }
            _ => finding,
        }
    }

    fn conflicts(&self, model: &Model, read: &Read, index: Index) -> bool {
        let id = model.committed.id_at(index).unwrap_or_default();
        let Some(PayloadOrigin::Command { op, .. }) = model.entries.origin(id) else {
            return false;
        };
        let command = self.commands.get(&op);
        command.is_none_or(|command| self.test.may_change(&read.query, command))
    }
}
