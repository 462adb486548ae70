//! Safety checks of each node by itself, of any two nodes, and of all nodes against the history.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate::raft::RoleName;
use quorate::types::{Entry, Index, Membership, NodeId, Term};

use crate::history::{History, NodeView, Reached};
use crate::intern::Interned;
use crate::log;
use crate::node::{Commit, ElectionState, Node};
use crate::quorum;
use crate::scope::Scope;

/// The facts about a node that the checks need, computed once for each of its states.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    id: NodeId,
    role: RoleName,
    term: Term,
    committed: Index,
    /// The number of the log in memory.
    log: u32,
    /// The number of the view that the history depends on.
    view: u32,
    /// The log on the disk.
    kept: Vec<Entry>,
    /// Whether writes are pending, and the number of prefixes of the first pending write that a
    /// crash can leave.
    pub(crate) writes: bool,
    pub(crate) crash_parts: u32,
    pub(crate) election_state: ElectionState,
    /// Whether the node is down, and whether its deadline has passed.
    pub(crate) is_down: bool,
    pub(crate) is_due: bool,
    /// The index that a read reflects if the node answers it without another node.
    local_read_index: Option<Index>,
}

/// Checks states, and caches the results.
#[derive(Debug)]
pub(crate) struct Checks {
    first: Membership,
    /// Whether nodes may answer reads by leases.
    leases: bool,
    /// Whether the last survivor may take over.
    last_survivor: bool,
    logs: Interned<Vec<Entry>>,
    views: Interned<(NodeId, RoleName, Term, Index, u32)>,
    /// For each log, whether its membership changes are allowed.
    steps: Vec<Result<(), String>>,
    histories: Interned<History>,
    /// For a history, a node's view and whether the node commits as a leader: the next history.
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

impl Checks {
    pub(crate) fn new(scope: &Scope) -> Checks {
        let mut histories = Interned::new();
        histories.number(History::default());
        Checks {
            first: scope.membership.clone(),
            leases: scope.leases.any(),
            last_survivor: scope.last_survivor,
            logs: Interned::new(),
            views: Interned::new(),
            steps: Vec::new(),
            histories,
            with: HashMap::default(),
            matching: HashMap::default(),
            reached: Reached::default(),
        }
    }

    /// The number of the empty history.
    pub(crate) const NOTHING: u32 = 0;

    /// Computes the facts of a node's state, and checks it by itself.
    pub(crate) fn facts(&mut self, node: &Node) -> Result<Facts, String> {
        let status = node.raft.status();
        let entries = node.entries();
        let membership = log::active_membership(&self.first, &entries);
        if *node.raft.membership() != membership {
            let active = node.raft.membership();
            return Err(format!(
                "{} uses the membership {active}, but the last one in its log is {membership}",
                status.id
            ));
        }
        let durable = usize::try_from(status.durable.0).expect("the log is short");
        if node.disk.entries.get(..durable) != entries.get(..durable) {
            return Err(format!("{} counts an entry as durable that its disk lacks", status.id));
        }
        let (number, is_new) = self.logs.number(entries);
        if is_new {
            self.steps.push(log::check_steps(
                &self.first,
                self.logs.get(number),
                self.last_survivor,
            ));
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
            election_state: node.election_state(),
            is_down: node.is_down,
            is_due: node.is_due(),
            local_read_index: self.leases.then(|| node.local_read_index()).flatten(),
        })
    }

    /// Checks all nodes after an event of one of them. Returns the number of the new history.
    ///
    /// `states` are the numbers of the nodes' states, and `facts` the facts of each state. The node
    /// at `place` was in the state `before`, and made the `commits` as a leader.
    pub(crate) fn check(
        &mut self,
        history: u32,
        states: &[u32],
        facts: &[Facts],
        place: usize,
        before: u32,
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

    /// Checks that a node that answers reads by itself has all committed entries (thesis §6.4.1).
    pub(crate) fn check_reads(&self, history: u32, facts: &Facts) -> Result<(), String> {
        let committed = self.histories.get(history).committed();
        match facts.local_read_index {
            Some(index) if index < committed => Err(format!(
                "{} answers reads at index {index}, but index {committed} is committed",
                facts.id
            )),
            _ => Ok(()),
        }
    }

    /// Returns the largest counts that any path reached.
    pub(crate) fn reached(&self) -> Reached {
        self.reached
    }

    fn match_logs(&mut self, one: u32, other: u32) -> Result<(), String> {
        let pair = (one.min(other), one.max(other));
        if one == other || self.matching.contains_key(&pair) {
            return Ok(());
        }
        log::check_matching(self.logs.get(one), self.logs.get(other))?;
        self.matching.insert(pair, ());
        Ok(())
    }

    fn add(&mut self, history: u32, facts: &Facts, commits: bool) -> Result<u32, String> {
        let key = (history, facts.view, commits);
        if let Some(after) = self.with.get(&key) {
            return Ok(*after);
        }
        let seen = NodeView {
            id: facts.id,
            role: facts.role,
            term: facts.term,
            committed: facts.committed,
            log: self.logs.get(facts.log),
            commits,
        };
        let after = self.histories.get(history).with(&seen, self.last_survivor)?;
        self.reached = after.reached(self.reached);
        let (after, _) = self.histories.number(after);
        self.with.insert(key, after);
        Ok(after)
    }

    /// Checks that the last newly committed entry is on the disks of a quorum of one of the
    /// memberships of the commit, or, with last survivors, of all voters, because each may become
    /// the last survivor.
    fn committed_by_quorum(
        &self,
        leader: &Facts,
        commit: &Commit,
        nodes: &[&Facts],
    ) -> Result<(), String> {
        let Commit { last: index, memberships } = commit;
        let place = usize::try_from(index.0 - 1).expect("the log is short");
        let entry = &self.logs.get(leader.log)[place];
        let holders = nodes.iter().filter(|node| node.kept.get(place) == Some(entry));
        let holders: Vec<NodeId> = holders.map(|node| node.id).collect();
        let has_quorum =
            if self.last_survivor { quorum::has_all_voters } else { quorum::is_quorum };
        if memberships.iter().any(|membership| has_quorum(membership, &holders)) {
            return Ok(());
        }
        let id = leader.id;
        Err(format!(
            "{id} commits {entry:?} under {memberships:?}, but only {holders:?} have it on disk"
        ))
    }
}
