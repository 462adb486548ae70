//! Leader leases and read leases: a read that relies on one is not stale (S21), and no node holds
//! one once another node leads a later term (S57).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::{Index, NodeId};

use crate::check::client::superseded;
use crate::check::finding::{CheckResult, S21, S57};
use crate::check::known::Known;
use crate::check::operations::Read;
use crate::check::rule::{Answer, Rule};
use crate::workload::Workload;
use crate::workload::request::{OpId, PayloadOrigin};

/// The commands that decide whether a leased read is correct.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    /// The workload's test of whether a command may change the answer to a query.
    test: ConflictTest,
    /// The command of each operation.
    commands: BTreeMap<OpId, Vec<u8>>,
}

impl Rule for Leases {
    fn new(known: &Known) -> Leases {
        Leases { test: known.workload.machine().conflict_test(), commands: BTreeMap::new() }
    }

    /// Checks the answer to a leased read. It must include every conflicting command that was
    /// committed before the read began, and no leader may have won a later term by then, because
    /// no other node can lead while a lease holds.
    fn before_read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let Answer { op, node, applied, .. } = answer;
        let read = known.operations.read(op).filter(|read| read.relies_on_lease());
        let Some(read) = read else { return Ok(()) };
        let mut missing = (applied.0 + 1..=read.committed.0).map(Index);
        let missing = missing.find(|index| self.conflicts(known, read, *index));
        let why = match (missing, superseded(&known.model, node, read.won)) {
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

    /// Checks that no node holds a lease once another node has led a later term, even if no read
    /// relies on it. A clock that exceeded its drift bound may make a lease too long; and with
    /// last-survivor takeover, a node may lead without the voters that withhold their votes.
    fn lease_held(&mut self, known: &Known, node: NodeId, left: Duration) -> CheckResult {
        if known.exceeds_clock_bound() || known.model.last_survivor_enabled {
            return Ok(());
        }
        let Some(term) = superseded(&known.model, node, known.won) else { return Ok(()) };
        S57.violated(format!(
            "{node} holds a lease in term {term} for another {left:?} by its own clock, but \
             another node leads term {}, or led it",
            known.won
        ))
    }

    fn proposed(&mut self, _: &Known, op: OpId, command: &[u8], _: bool) -> CheckResult {
        self.commands.insert(op, command.to_vec());
        Ok(())
    }
}

impl Leases {
    /// Whether the entry at `index` may change the answer to the read. The workload's test does not
    /// know admin commands, nor what a new version of the rules does to the state, so every read
    /// waits for them (`replica::read_conflicts`).
    fn conflicts(&self, known: &Known, read: &Read, index: Index) -> bool {
        match known.model.origin_at(index) {
            PayloadOrigin::Command { op, .. } => {
                let command = self.commands.get(&op);
                command.is_none_or(|command| self.test.may_change(&read.query, command))
            }
            PayloadOrigin::Admin => true,
            PayloadOrigin::NoOperation | PayloadOrigin::Unmarked => false,
        }
    }
}
