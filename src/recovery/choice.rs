//! Which directory to go on from, and what may be lost by it.

use std::fmt;

use crate::quorum::is_quorum;
use crate::recovery::holding::Holding;
use crate::recovery::refusal::Refusal;
use crate::recovery::survey::Survey;
use crate::storage::ClusterId;
use crate::types::{EntryId, Incarnation, Index, Membership, NodeId, Voters};

/// The directory to go on from, and what that means.
///
/// Every entry of its log stands from then on. [`fmt::Display`] says all of it in a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its place among the survivors.
    pub survivor: usize,
    /// Where its directory is.
    pub place: String,
    /// The node that it was of.
    pub node: NodeId,
    /// The last entry of its log.
    pub last: EntryId,
    /// Everything through here is certainly committed.
    pub committed: Index,
    /// The memberships that may have been in force: the last one that is certainly committed, and
    /// the one in the log after it, if there is one.
    pub memberships: Vec<Membership>,
    /// Who is there with a whole directory: what they acknowledged last they have.
    pub whole: Vec<NodeId>,
    /// Whose directories can be read at all.
    pub looked_at: Vec<NodeId>,
    /// What may be lost.
    pub loss: Loss,
}

/// What may be lost when a cluster goes on from one of its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Every quorum that may have committed something has a whole directory among the survivors:
    /// whatever was committed is there.
    Nothing,
    /// Those who are not there may have committed entries from this index on that no survivor has.
    Possible {
        /// The first index that may be different.
        from: Index,
    },
    /// A directory says that entries were committed which none holds whole.
    Certain {
        /// The first index that may be different.
        from: Index,
        /// The log ends before this index, which was committed.
        through: Index,
    },
}

impl Choice {
    /// The most complete of the directories of `cluster`, or of the only one there is.
    ///
    /// It has the entry that is known to be committed furthest; of those that do, it comes last in
    /// the order of Raft §5.4.1, a whole one before one that is damaged.
    ///
    /// # Errors
    /// There is none, or it is not clear which cluster is meant, or two directories are the same
    /// node's.
    pub fn of(survey: &Survey, cluster: Option<ClusterId>) -> Result<Choice, Refusal> {
        let cluster = match (cluster, survey.clusters().as_slice()) {
            (Some(cluster), clusters) if clusters.contains(&cluster) => cluster,
            (None, [cluster]) => *cluster,
            (None, clusters) if clusters.len() > 1 => {
                return Err(Refusal::SeveralClusters(clusters.to_vec()));
            }
            _ => return Err(Refusal::NothingReadable),
        };
        let of_cluster = |(_, holding): &(usize, &Holding)| {
            holding.opened.identity.cluster == cluster && !holding.membership().is_nobody()
        };
        let all: Vec<(usize, &Holding)> = survey.holdings().filter(of_cluster).collect();
        for (place, (_, holding)) in all.iter().enumerate() {
            let node = holding.opened.identity.node;
            if all[..place].iter().any(|(_, other)| other.opened.identity.node == node) {
                return Err(Refusal::SameNodeTwice(node));
            }
        }
        let known = all.iter().map(|(_, holding)| holding.committed()).max_by_key(|id| id.index);
        let known = known.ok_or(Refusal::NothingReadable)?;
        let having = all.iter().filter(|(_, holding)| holding.has(known));
        let order = |holding: &Holding| (holding.opened.last, holding.damage.is_none());
        // Of equals, the one that was looked at first.
        let chosen = having.rev().max_by_key(|(_, holding)| order(holding));
        let (survivor, chosen) = *chosen.expect("whoever knows that an entry is committed has it");
        let holdings: Vec<&Holding> = all.iter().map(|(_, holding)| *holding).collect();
        let memberships = chosen.memberships_from(known.index);
        let loss = loss(chosen, &holdings, known.index, &memberships);
        let last_membership = chosen.membership();
        Ok(Choice {
            cluster,
            survivor,
            place: survey.survivors()[survivor].place.clone(),
            node: chosen.opened.identity.node,
            last: chosen.opened.last,
            committed: known.index,
            memberships: memberships.iter().map(|(_, membership)| (*membership).clone()).collect(),
            whole: whole(&holdings, last_membership),
            looked_at: holdings.iter().map(|holding| holding.opened.identity.node).collect(),
            loss,
        })
    }

    /// The last membership of the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.memberships.last().expect("there is always one in force")
    }
}

/// Who is there whole: a disk that a membership does not name is not the member's.
fn whole(holdings: &[&Holding], membership: &Membership) -> Vec<NodeId> {
    let is_whole = |holding: &&&Holding| {
        let identity = holding.opened.identity;
        let named = membership.member(identity.node).map(|member| member.incarnation);
        let named = named.unwrap_or_default();
        holding.damage.is_none()
            && (named == Incarnation::default() || named == identity.incarnation)
    };
    let mut nodes: Vec<NodeId> =
        holdings.iter().filter(is_whole).map(|holding| holding.opened.identity.node).collect();
    nodes.sort_unstable();
    nodes
}

/// What may be lost by going on from `chosen`, whose log is certainly committed through
/// `committed` and has these memberships from there on: one that is committed, and at most one
/// after it.
fn loss(
    chosen: &Holding,
    holdings: &[&Holding],
    committed: Index,
    memberships: &[(Index, &Membership)],
) -> Loss {
    let from = committed.next();
    let said = holdings.iter().map(|holding| holding.opened.committed).max();
    if let Some(through) = said.filter(|said| *said > chosen.opened.last.index) {
        return Loss::Certain { from, through };
    }
    for (at, membership) in memberships {
        let here = whole(holdings, membership);
        let absent = |id: NodeId| !here.contains(&id);
        if *at > committed && !may_be_committed(chosen, holdings, *at, membership) {
            break;
        }
        // The incoming voters come to decide alone. Whatever follows this membership needs a
        // quorum of them too, so that a survivor would know of it.
        if is_quorum(&alone(membership.incoming()), absent) {
            return Loss::Possible { from };
        }
    }
    Loss::Nothing
}

/// The membership of these voters and nobody else.
fn alone(voters: &Voters) -> Membership {
    let membership = Membership::new(voters.iter().copied());
    match voters.casting() {
        Some(holder) => membership.with_casting(holder),
        None => membership,
    }
}

/// Whether those who are not there whole, and those who are and have the membership at `at` of the
/// chosen log, may have committed it.
fn may_be_committed(
    chosen: &Holding,
    holdings: &[&Holding],
    at: Index,
    membership: &Membership,
) -> bool {
    let here = whole(holdings, membership);
    let id = chosen.id_at(at).expect("the membership is in the log");
    let has = |node: NodeId| {
        let mut its = holdings.iter().filter(|holding| holding.opened.identity.node == node);
        its.any(|holding| holding.has(id))
    };
    is_quorum(membership, |node| !here.contains(&node) || has(node))
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Nothing => f.write_str(
                "nothing that was committed is lost: every quorum has a whole directory here",
            ),
            Loss::Possible { from } => write!(
                f,
                "what the others committed alone is lost: entries from {from} on may be others, or \
                 missing"
            ),
            Loss::Certain { from, through } => write!(
                f,
                "committed entries are lost: they went to {through} at least, and from {from} on \
                 they may be others, or missing"
            ),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choice { cluster, place, node, last, committed, .. } = self;
        writeln!(f, "cluster {cluster} goes on from {place}, of {node}, whose log ends at {last}")?;
        if last.index > *committed {
            let from = committed.next();
            let through = last.index;
            writeln!(
                f,
                "entries from {from} through {through} stand from now on; whether they were \
                 committed is not known"
            )?;
        }
        writeln!(f, "{}", self.loss)
    }
}
