//! The checks of a run: actions that no core may take, with the ids of the simulator's own checks.
//!
//! They observe writes, messages, applied entries and leaders as the cluster carries them out, and
//! know nothing about a core except its reports.

use std::collections::BTreeMap;

use quorate_sim::check::Check;
use quorate_sim::observe::outcome::Failure;
use quorate_sim::values::digest::{mix, of_bytes};
use quorate_sim::values::time::SimTime;

use crate::disk::{Disk, Entry, Write};
use crate::guest::{Execution, NodeId, Statement, Status};
use crate::machine::Operation;

/// The result of a check: `Ok`, or the failure of the run.
pub(crate) type Checked = Result<(), Failure>;

/// The failure of a run that violates the check with this id.
#[track_caller]
pub(crate) fn violated(id: &str, at: SimTime, finding: String) -> Failure {
    let check = Check::by_id(id).expect("the id of a check");
    Failure::of(check.violation_at(finding, at))
}

/// An entry that some node has applied.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) entry: Entry,
    pub(crate) execution: Execution,
    /// The term of the node that applied it first.
    term: u64,
    /// The node that applied it first.
    by: NodeId,
}

/// The checks of a run, with all that they have observed so far.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    now: SimTime,
    leaders: BTreeMap<u64, NodeId>,
    /// The entries that some node has applied, from index 1 on.
    committed: Vec<Committed>,
    /// The index at which each operation was applied, by the operation's number.
    executed: BTreeMap<u64, u64>,
    /// A hash of the log up to an entry, by the entry's index and term.
    chains: BTreeMap<(u64, u64), u64>,
}

impl Checks {
    pub(crate) fn advance(&mut self, now: SimTime) {
        self.now = now;
    }

    pub(crate) fn committed(&self) -> &[Committed] {
        &self.committed
    }

    #[track_caller]
    fn violated(&self, id: &str, finding: String) -> Checked {
        Err(violated(id, self.now, finding))
    }

    /// A node reports its status, after it reported `before` in the same start.
    pub(crate) fn status(
        &mut self,
        node: NodeId,
        before: Status,
        after: Status,
        disk: &Disk,
    ) -> Checked {
        let Status { term, leads } = after;
        if term < before.term {
            let text = format!("{node} is in t{term} after t{}", before.term);
            return self.violated("S7", text);
        }
        if term < disk.term {
            let text = format!("{node} is in t{term}, but its disk has t{}", disk.term);
            return self.violated("S7", text);
        }
        if !leads || before == after {
            return Ok(());
        }
        let first = *self.leaders.entry(term).or_insert(node);
        if first != node {
            return self.violated("S1", format!("{node} leads t{term}, and so did {first}"));
        }
        let earlier = self.committed.iter().zip(1..).filter(|(it, _)| it.term < term);
        let mut lost = earlier.filter(|(it, index)| !disk.holds(*index, &it.entry));
        match lost.next() {
            Some((Committed { by, term: applied, .. }, index)) => {
                let text = format!(
                    "{node} leads t{term} without the entry {index} that {by} applied in t{applied}"
                );
                self.violated("S10", text)
            }
            None => Ok(()),
        }
    }

    /// A node is about to write; `disk` has all that it wrote before.
    pub(crate) fn write(&mut self, node: NodeId, disk: &Disk, write: &Write) -> Checked {
        match write {
            Write::All(writes) => {
                let mut after = disk.clone();
                for write in writes {
                    self.write(node, &after, write)?;
                    after.write(write.clone());
                }
                Ok(())
            }
            Write::Term(term, vote) => {
                if *term < disk.term {
                    let text = format!("{node} writes t{term} after t{}", disk.term);
                    return self.violated("S7", text);
                }
                if *term == disk.term
                    && let Some(first) = disk.vote
                    && *vote != Some(first)
                {
                    let now = vote.map_or("no node".to_owned(), |vote| vote.to_string());
                    let text = format!("{node} voted for {first} in t{term}, and now for {now}");
                    return self.violated("S3", text);
                }
                Ok(())
            }
            Write::Append(after, entries) => self.append(node, disk, *after, entries),
            Write::Commit(_)
            | Write::Compact(_)
            | Write::Install(_)
            | Write::Record(..)
            | Write::File(..) => Ok(()),
        }
    }

    fn append(&mut self, node: NodeId, disk: &Disk, after: u64, entries: &[Entry]) -> Checked {
        let chain_before = |term| self.chains.get(&(after, term)).copied();
        let before = if after == 0 { Some(0) } else { disk.term_at(after).and_then(chain_before) };
        let Some(mut chain) = before else { return Ok(()) };
        for (entry, index) in entries.iter().zip(after + 1..) {
            if entry.term == 0 {
                return Ok(());
            }
            chain = mix(mix(chain, entry.term), of_bytes(&entry.command));
            let known = *self.chains.entry((index, entry.term)).or_insert(chain);
            if known != chain {
                let text = format!(
                    "{node} appends another {index}@t{} than other nodes, or after other entries",
                    entry.term
                );
                return self.violated("S8", text);
            }
        }
        Ok(())
    }

    /// A node sends a message with this statement about its disk.
    pub(crate) fn send(&mut self, node: NodeId, statement: Statement, disk: &Disk) -> Checked {
        let Statement { term, vote, log } = statement;
        if let Some(term) = term.filter(|term| *term > disk.term) {
            let text = format!("{node} sends a message of t{term} with t{} on its disk", disk.term);
            return self.violated("S5", text);
        }
        if let (Some(vote), Some(term)) = (vote, term)
            && term == disk.term
            && disk.vote != Some(vote)
        {
            let text = format!("{node} votes for {vote} in t{term} without that vote on its disk");
            return self.violated("S4", text);
        }
        if let Some(log) = log.filter(|log| *log > disk.last()) {
            let last = disk.last();
            let text =
                format!("{node} acknowledges entry {log} with {last} as the last on its disk");
            return self.violated("S6", text);
        }
        Ok(())
    }

    /// A node in a term applies an entry after those up to `applied`; `disks` are the durable disks
    /// of all nodes.
    pub(crate) fn apply<'a>(
        &mut self,
        (node, term): (NodeId, u64),
        applied: u64,
        (index, entry, execution): (u64, &Entry, &Execution),
        disks: impl ExactSizeIterator<Item = &'a Disk>,
    ) -> Checked {
        if index != applied + 1 {
            return self.violated("S15", format!("{node} applies {index} after {applied}"));
        }
        if let Some(committed) = self.committed.get(applied as usize) {
            if committed.entry != *entry {
                let by = committed.by;
                let text = format!("{node} applies another entry at {index} than {by}");
                return self.violated("S11", text);
            }
            let first = &committed.execution;
            if first != execution {
                let by = committed.by;
                let what = if first.command == execution.command { "reply" } else { "command" };
                let text = format!("{node} executes {index} with another {what} than {by}");
                return self.violated("S11", text);
            }
            return Ok(());
        }
        let nodes = disks.len();
        let durable = disks.filter(|disk| disk.holds(index, entry)).count();
        if durable <= nodes / 2 {
            let text = format!("{node} applies {index}, which is on {durable} of {nodes} disks");
            return self.violated("S12", text);
        }
        if let Some(Operation { number, .. }) = Operation::of(&execution.command)
            && let Some(first) = self.executed.insert(number, index)
        {
            let text = format!("{node} applies a command at {index} that was applied at {first}");
            return self.violated("S19", text);
        }
        let (entry, execution) = (entry.clone(), execution.clone());
        self.committed.push(Committed { entry, execution, term, by: node });
        Ok(())
    }
}
