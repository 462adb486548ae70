//! What happened so far that no node may contradict: who led which term, and what was committed.

use quorate::raft::RoleName;
use quorate::types::{Entry, Index, NodeId, Term};

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// Who led, in the order of the terms.
    leaders: Vec<(Term, NodeId)>,
    /// Every committed entry, and the term of the leader that committed it.
    committed: Vec<(Entry, Term)>,
}

/// The most that was reached on one path, each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Terms that had a leader.
    pub terms: usize,
    /// Entries that were committed.
    pub committed: usize,
    /// Changes of the membership that were completed.
    pub changes: usize,
}

/// A node as history sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) id: NodeId,
    pub(crate) role: RoleName,
    pub(crate) term: Term,
    pub(crate) committed: Index,
    pub(crate) log: &'a [Entry],
    /// Whether it commits as a leader.
    pub(crate) commits: bool,
}

impl History {
    /// History with what the node adds to it, or how the node contradicts it. Where the last
    /// `survives`, the dead lose their votes whatever is under way.
    pub(crate) fn with(&self, node: &Seen<'_>, survives: bool) -> Result<History, String> {
        let mut history = self.clone();
        if node.role == RoleName::Leader {
            history.lead(node)?;
            history.complete(node)?;
        }
        history.commit(node)?;
        if !survives {
            history.memberships(node)?;
        }
        Ok(history)
    }

    /// The last index that was committed.
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

    /// Raft §5.2: at most one leader a term.
    fn lead(&mut self, node: &Seen<'_>) -> Result<(), String> {
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

    /// Raft §5.4.3: what was committed in a term, every leader of a later one has.
    fn complete(&self, node: &Seen<'_>) -> Result<(), String> {
        let earlier = self.committed.iter().enumerate().filter(|(_, (_, term))| *term < node.term);
        let mut lacking = earlier.filter(|(place, (entry, _))| node.log.get(*place) != Some(entry));
        match lacking.next() {
            None => Ok(()),
            Some((_, (entry, term))) => {
                let (id, now) = (node.id, node.term);
                let said = format!("{id} leads {now} without {entry:?}, committed in {term}");
                Err(format!("leader completeness: {said}"))
            }
        }
    }

    /// Raft §5.4.3: what is committed at an index is committed there everywhere.
    fn commit(&mut self, node: &Seen<'_>) -> Result<(), String> {
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
                    return Err(format!("{id} takes {entry:?} for committed, and no leader does"));
                }
            }
        }
        Ok(())
    }

    /// Thesis §4.1: the next membership waits until the one before is committed.
    fn memberships(&self, node: &Seen<'_>) -> Result<(), String> {
        let open = node.log.iter().skip(self.committed.len());
        let open: Vec<_> = open.filter_map(Entry::membership).collect();
        match open.len() {
            0 | 1 => Ok(()),
            count => Err(format!("{} has {count} memberships that are not committed", node.id)),
        }
    }
}
