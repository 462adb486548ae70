//! The history of a path: the leader of each term, and the committed entries. No node may
//! contradict it.

use quorate::raft::RoleName;
use quorate::types::{Entry, Index, NodeId, Term};

/// The leaders and the committed entries so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The leaders, in the order of their terms.
    leaders: Vec<(Term, NodeId)>,
    /// Every committed entry, and the term of the leader that committed it.
    committed: Vec<(Entry, Term)>,
}

/// The largest count of each kind that any path reached; the three may come from different paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The number of terms with a leader.
    pub terms: usize,
    /// The number of committed entries.
    pub committed: usize,
    /// The number of completed membership changes.
    pub changes: usize,
}

/// The parts of a node's state that the history depends on.
#[derive(Clone, Debug)]
pub(crate) struct NodeView<'a> {
    pub(crate) id: NodeId,
    pub(crate) role: RoleName,
    pub(crate) term: Term,
    pub(crate) committed: Index,
    pub(crate) log: &'a [Entry],
    /// Whether the node committed entries as a leader in this step.
    pub(crate) commits: bool,
}

impl History {
    /// Returns the history with the leader and the commits that the node adds, or how the node
    /// contradicts it. With `last_survivor`, a log may have several uncommitted memberships,
    /// because dead nodes lose their votes even during another change.
    pub(crate) fn with(&self, node: &NodeView<'_>, last_survivor: bool) -> Result<History, String> {
        let mut history = self.clone();
        if node.role == RoleName::Leader {
            history.add_leader(node)?;
            history.check_completeness(node)?;
        }
        history.add_commits(node)?;
        if !last_survivor {
            history.check_memberships(node)?;
        }
        Ok(history)
    }

    /// Returns the last committed index.
    pub(crate) fn committed(&self) -> Index {
        Index(self.committed.len() as u64)
    }

    pub(crate) fn reached(&self, before: Reached) -> Reached {
        let memberships = self.committed.iter().filter_map(|(entry, _)| entry.membership());
        let changes = memberships.filter(|(_, membership)| membership.is_settled()).count();
        Reached {
            terms: before.terms.max(self.leaders.len()),
            committed: before.committed.max(self.committed.len()),
            changes: before.changes.max(changes),
        }
    }

    /// Raft §5.2, election safety: at most one leader in a term.
    fn add_leader(&mut self, node: &NodeView<'_>) -> Result<(), String> {
        match self.leaders.binary_search_by_key(&node.term, |(term, _)| *term) {
            Ok(place) if self.leaders[place].1 != node.id => {
                let (other, id, term) = (self.leaders[place].1, node.id, node.term);
                Err(format!("election safety: {other} and {id} both lead {term}"))
            }
            Ok(_) => Ok(()),
            Err(place) => {
                self.leaders.insert(place, (node.term, node.id));
                Ok(())
            }
        }
    }

    /// Raft §5.4.3, leader completeness: a leader has every entry committed in earlier terms.
    fn check_completeness(&self, node: &NodeView<'_>) -> Result<(), String> {
        let earlier = self.committed.iter().enumerate().filter(|(_, (_, term))| *term < node.term);
        let mut lacking = earlier.filter(|(place, (entry, _))| node.log.get(*place) != Some(entry));
        match lacking.next() {
            None => Ok(()),
            Some((_, (entry, term))) => {
                let (id, now) = (node.id, node.term);
                let detail = format!("{id} leads {now} without {entry:?}, committed in {term}");
                Err(format!("leader completeness: {detail}"))
            }
        }
    }

    /// Raft §5.4.3, state machine safety: all nodes commit the same entry at an index.
    fn add_commits(&mut self, node: &NodeView<'_>) -> Result<(), String> {
        let count = usize::try_from(node.committed.0).expect("the log is short");
        for (place, entry) in node.log.iter().take(count).enumerate() {
            match self.committed.get(place) {
                Some((known, _)) if known != entry => {
                    let id = node.id;
                    return Err(format!(
                        "state machine safety: {id} commits {entry:?}, not {known:?}"
                    ));
                }
                Some(_) => {}
                None if node.commits => {
                    self.committed.push((entry.clone(), node.term));
                }
                None => {
                    let id = node.id;
                    return Err(format!(
                        "{id} counts {entry:?} as committed, but no leader committed it"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Thesis §4.1: at most one membership in the log is not committed.
    fn check_memberships(&self, node: &NodeView<'_>) -> Result<(), String> {
        let open = node.log.iter().skip(self.committed.len());
        let open: Vec<_> = open.filter_map(Entry::membership).collect();
        match open.len() {
            0 | 1 => Ok(()),
            count => Err(format!("{} has {count} uncommitted memberships", node.id)),
        }
    }
}
