//! Whether a state may be: each node by itself, any two, and all of them beside what happened.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate::raft::RoleName;
use quorate::types::{Entry, Index, Membership, NodeId, Term};

use crate::history::{History, Reached, Seen};
use crate::intern::Interned;
use crate::log;
use crate::node::{Commit, Node, Standing};
use crate::quorum;
use crate::scope::Scope;

/// What is looked at of a node, once for each state of it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    id: NodeId,
    role: RoleName,
    term: Term,
    committed: Index,
    /// The number of its log in memory.
    log: u32,
    /// The number of all that history sees of it.
    view: u32,
    /// The log on its disk.
    kept: Vec<Entry>,
    /// Whether a write is on its way, and in how many ways a crash can cut it short.
    pub(crate) writes: bool,
    pub(crate) crash_parts: u32,
    pub(crate) standing: Standing,
    /// It is down, or wants to be told of the time.
    pub(crate) is_down: bool,
    pub(crate) is_due: bool,
    /// How much of the log it would answer a read from, without asking anybody.
    answers: Option<Index>,
}

/// Judges states, and remembers what it has judged.
#[derive(Debug)]
pub(crate) struct Judge {
    first: Membership,
    /// Whether anybody may answer reads without asking.
    leases: bool,
    /// Whether the last survivor goes on.
    survives: bool,
    logs: Interned<Vec<Entry>>,
    views: Interned<(NodeId, RoleName, Term, Index, u32)>,
    /// Whether each log is one that may be.
    steps: Vec<Result<(), String>>,
    histories: Interned<History>,
    /// What a history becomes with a view of a node that commits or does not.
    with: HashMap<(u32, u32, bool), u32, FixedState>,
    /// Pairs of logs that match.
    matching: HashMap<(u32, u32), (), FixedState>,
    reached: Reached,
}

impl Facts {
    pub(crate) fn leads(&self) -> bool {
        self.role == RoleName::Leader
    }
}

impl Judge {
    pub(crate) fn new(scope: &Scope) -> Judge {
        let mut histories = Interned::new();
        histories.number(History::default());
        Judge {
            first: scope.membership.clone(),
            leases: scope.leases.any(),
            survives: scope.survives,
            logs: Interned::new(),
            views: Interned::new(),
            steps: Vec::new(),
            histories,
            with: HashMap::default(),
            matching: HashMap::default(),
            reached: Reached::default(),
        }
    }

    /// The history before anything happened.
    pub(crate) const NOTHING: u32 = 0;

    /// Looks at a state of a node by itself.
    pub(crate) fn facts(&mut self, node: &Node) -> Result<Facts, String> {
        let status = node.raft.status();
        let entries = node.entries();
        let membership = log::in_force(&self.first, &entries);
        if *node.raft.membership() != membership {
            let counts = node.raft.membership();
            return Err(format!("{} counts {counts}, its log says {membership}", status.id));
        }
        let durable = usize::try_from(status.durable.0).expect("the log is short");
        if node.disk.entries.get(..durable) != entries.get(..durable) {
            return Err(format!("{} takes for durable what its disk lacks", status.id));
        }
        let (number, is_new) = self.logs.number(entries);
        if is_new {
            self.steps.push(log::steps(&self.first, self.logs.get(number), self.survives));
        }
        self.steps[number as usize].clone()?;
        let view = (status.id, status.role, status.term, status.committed, number);
        let (view, _) = self.views.number(view);
        Ok(Facts {
            id: status.id,
            role: status.role,
            term: status.term,
            committed: status.committed,
            log: number,
            view,
            kept: node.disk.entries.clone(),
            writes: !node.writes.is_empty(),
            crash_parts: node.crash_parts(),
            standing: node.standing(),
            is_down: node.is_down,
            is_due: node.is_due(),
            answers: self.leases.then(|| node.answers()).flatten(),
        })
    }

    /// Judges all nodes together after one of them moved. Returns the history from now on.
    ///
    /// `states` are the numbers of the nodes' states, and `facts` what is known of each; the one
    /// at `place` was in the state `before`, and as a leader made the `commits`.
    pub(crate) fn judge(
        &mut self,
        history: u32,
        states: &[u32],
        facts: &[Facts],
        (place, before): (usize, u32),
        commits: &[Commit],
    ) -> Result<u32, String> {
        let of = |at: usize| &facts[states[at] as usize];
        let (moved, before) = (of(place), &facts[before as usize]);
        if moved.view == before.view {
            return Ok(history);
        }
        let others = || (0..states.len()).filter(|other| *other != place);
        if moved.log != before.log {
            others().try_for_each(|other| self.match_logs(moved.log, of(other).log))?;
        }
        for commit in commits {
            let nodes: Vec<&Facts> = (0..states.len()).map(of).collect();
            self.committed_by_quorum(moved, commit, &nodes)?;
        }
        let after = self.add(history, moved, !commits.is_empty())?;
        if after != history {
            others().try_for_each(|other| self.add(after, of(other), false).map(|_| ()))?;
        }
        Ok(after)
    }

    /// Whoever would answer a read by itself has all that was committed (thesis §6.4.1).
    pub(crate) fn answers(&self, history: u32, facts: &Facts) -> Result<(), String> {
        let committed = self.histories.get(history).committed();
        match facts.answers {
            Some(index) if index < committed => Err(format!(
                "{} answers reads from what it has up to {index}, and {committed} is committed",
                facts.id
            )),
            _ => Ok(()),
        }
    }

    /// The most that was reached.
    pub(crate) fn reached(&self) -> Reached {
        self.reached
    }

    fn match_logs(&mut self, one: u32, other: u32) -> Result<(), String> {
        let pair = (one.min(other), one.max(other));
        if one == other || self.matching.contains_key(&pair) {
            return Ok(());
        }
        log::matching(self.logs.get(one), self.logs.get(other))?;
        self.matching.insert(pair, ());
        Ok(())
    }

    fn add(&mut self, history: u32, facts: &Facts, commits: bool) -> Result<u32, String> {
        let key = (history, facts.view, commits);
        if let Some(after) = self.with.get(&key) {
            return Ok(*after);
        }
        let seen = Seen {
            id: facts.id,
            role: facts.role,
            term: facts.term,
            committed: facts.committed,
            log: self.logs.get(facts.log),
            commits,
        };
        let after = self.histories.get(history).with(&seen, self.survives)?;
        self.reached = after.reached(self.reached);
        let (after, _) = self.histories.number(after);
        self.with.insert(key, after);
        Ok(after)
    }

    /// What a leader has just committed is on the disks of a quorum of those who `counted`; of all
    /// of them where each may be the last survivor.
    fn committed_by_quorum(
        &self,
        leader: &Facts,
        commit: &Commit,
        nodes: &[&Facts],
    ) -> Result<(), String> {
        let Commit { last: index, counted } = commit;
        let place = usize::try_from(index.0 - 1).expect("the log is short");
        let entry = &self.logs.get(leader.log)[place];
        let keepers = nodes.iter().filter(|node| node.kept.get(place) == Some(entry));
        let keepers: Vec<NodeId> = keepers.map(|node| node.id).collect();
        let decide = if self.survives { quorum::all_decide } else { quorum::decides };
        if counted.iter().any(|counted| decide(counted, &keepers)) {
            return Ok(());
        }
        let id = leader.id;
        Err(format!("{id} commits {entry:?} under {counted:?}, and only {keepers:?} have it"))
    }
}
