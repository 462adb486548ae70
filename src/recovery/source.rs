//! The choice of the source directory, and the data loss that it may mean.

use std::fmt;

use crate::quorum::is_quorum;
use crate::recovery::directory_state::DirectoryState;
use crate::recovery::reject_reason::RecoveryRejectReason;
use crate::recovery::survey::Survey;
use crate::storage::ClusterId;
use crate::types::text::texts;
use crate::types::{EntryId, Incarnation, Index, Membership, NodeId, Voters};

/// The source directory of a recovery, whose whole log becomes committed.
///
/// [`fmt::Display`] writes a summary of a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySource {
    /// The id of the old cluster.
    pub cluster: ClusterId,
    /// The position of the directory in [`Survey::directories`].
    pub directory: usize,
    /// The location of the directory.
    pub location: String,
    /// The node that the directory belonged to.
    pub node: NodeId,
    /// The last entry of its log.
    pub last: EntryId,
    /// The last index that is known to be committed.
    pub committed: Index,
    /// The memberships that may have been active: the last one that is known to be committed, and
    /// those after it in the log. There is at most one after it, unless last survivors continued.
    pub memberships: Vec<Membership>,
    /// The nodes with undamaged directories, which have all that they acknowledged.
    pub undamaged: Vec<NodeId>,
    /// The nodes whose directories are readable and name a membership.
    pub surveyed: Vec<NodeId>,
    /// The possible data loss.
    pub loss: DataLoss,
}

/// The committed entries that may be lost when a cluster continues from the source directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataLoss {
    /// No loss: every quorum that may have committed an entry has an undamaged surveyed directory,
    /// so that the source has every committed entry.
    None,
    /// The missing nodes may have committed entries that no surveyed directory has.
    Possible {
        /// The first index whose entry may differ or be missing.
        from: Index,
    },
    /// A directory knows that entries beyond the log of the source were committed.
    Certain {
        /// The first index whose entry may differ or be missing.
        from: Index,
        /// A committed index beyond the end of the log.
        through: Index,
    },
}

impl RecoverySource {
    /// Returns the most complete directory of `cluster`, or of the only cluster in the survey.
    ///
    /// The candidates are the directories that have the last entry known to be committed. The
    /// choice is the candidate whose last entry is most up to date (Raft §5.4.1). Among candidates
    /// with the same last entry, a directory that is not quarantined comes before a quarantined
    /// one, whose snapshot may be wrong, and then an undamaged directory before a damaged one.
    ///
    /// # Errors
    /// A [`RecoveryRejectReason`] if no directory of the cluster is readable and names a
    /// membership, if several clusters are surveyed and `cluster` names none, or if two directories
    /// belong to one node.
    pub fn choose(
        survey: &Survey,
        cluster: Option<ClusterId>,
    ) -> Result<RecoverySource, RecoveryRejectReason> {
        let cluster = match (cluster, survey.clusters().as_slice()) {
            (Some(cluster), clusters) if clusters.contains(&cluster) => cluster,
            (None, [cluster]) => *cluster,
            (None, clusters) if clusters.len() > 1 => {
                return Err(RecoveryRejectReason::SeveralClusters(clusters.to_vec()));
            }
            _ => return Err(RecoveryRejectReason::NoReadableDirectory),
        };
        let of_cluster = |(_, state): &(usize, &DirectoryState)| {
            state.opened.identity.cluster == cluster && !state.membership().is_empty()
        };
        let all: Vec<(usize, &DirectoryState)> = survey.states().filter(of_cluster).collect();
        for (place, (_, state)) in all.iter().enumerate() {
            let node = state.opened.identity.node;
            if all[..place].iter().any(|(_, other)| other.opened.identity.node == node) {
                return Err(RecoveryRejectReason::DuplicateNode(node));
            }
        }
        let known = all.iter().map(|(_, state)| state.committed()).max_by_key(|id| id.index);
        let known = known.ok_or(RecoveryRejectReason::NoReadableDirectory)?;
        let candidates = all.iter().filter(|(_, state)| state.has(known));
        let order = |state: &DirectoryState| {
            (state.opened.last, !state.opened.is_quarantined, state.is_evidence())
        };
        // Of equal candidates, the reversed iterator chooses the one surveyed first.
        let chosen = candidates.rev().max_by_key(|(_, state)| order(state));
        let (directory, chosen) =
            *chosen.expect("a directory has each entry that it knows to be committed");
        let states: Vec<&DirectoryState> = all.iter().map(|(_, state)| *state).collect();
        let memberships = chosen.memberships_from(known.index);
        let loss = loss(chosen, &states, known.index, &memberships);
        let last_membership = chosen.membership();
        let undamaged = undamaged(&states, last_membership);
        assert!(chosen.opened.last.index >= known.index, "the source has what is committed");
        assert!(memberships[0].0 <= known.index, "the first active membership is committed");
        let surveyed: Vec<NodeId> = states.iter().map(|state| state.opened.identity.node).collect();
        assert!(surveyed.contains(&chosen.opened.identity.node), "the source was surveyed");
        let has_directory = |node: &NodeId| surveyed.contains(node);
        assert!(undamaged.iter().all(has_directory), "an undamaged node has a directory");
        Ok(RecoverySource {
            cluster,
            directory,
            location: survey.directories()[directory].location.clone(),
            node: chosen.opened.identity.node,
            last: chosen.opened.last,
            committed: known.index,
            memberships: memberships.iter().map(|(_, membership)| (*membership).clone()).collect(),
            undamaged,
            surveyed,
            loss,
        })
    }

    /// Returns the last membership of the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.memberships.last().expect("a membership is always active")
    }
}

/// Returns the nodes with undamaged directories. A directory whose incarnation is not the one that
/// the membership names does not count, because it is not the member's.
pub(super) fn undamaged(states: &[&DirectoryState], membership: &Membership) -> Vec<NodeId> {
    let is_undamaged = |state: &&&DirectoryState| {
        let identity = state.opened.identity;
        let named = membership.member(identity.node).map(|member| member.incarnation);
        let named = named.unwrap_or_default();
        state.is_evidence() && (named == Incarnation::default() || named == identity.incarnation)
    };
    let mut nodes: Vec<NodeId> =
        states.iter().filter(is_undamaged).map(|state| state.opened.identity.node).collect();
    nodes.sort_unstable();
    nodes
}

/// Returns the possible loss with `chosen` as the source. Its log is known to be committed through
/// `committed`. `memberships` are the membership that is active there and the later ones in the
/// log, as in [`RecoverySource::memberships`].
fn loss(
    chosen: &DirectoryState,
    states: &[&DirectoryState],
    committed: Index,
    memberships: &[(Index, &Membership)],
) -> DataLoss {
    let from = committed.next();
    let named = states.iter().map(|state| state.named_committed).max();
    if let Some(through) = named.filter(|named| *named > chosen.opened.last.index) {
        assert!(through >= from, "no entry that the source has committed is lost");
        return DataLoss::Certain { from, through };
    }
    for (at, membership) in memberships {
        let here = undamaged(states, membership);
        let absent = |id: NodeId| !here.contains(&id);
        if *at > committed && !may_be_committed(chosen, states, *at, membership) {
            break;
        }
        // The incoming voters decide alone after the change. Any later membership needs a quorum of
        // them too; unless the absent voters are one, a surveyed directory has that membership.
        if is_quorum(&alone(membership.incoming()), absent) {
            return DataLoss::Possible { from };
        }
    }
    DataLoss::None
}

/// Returns the membership of these voters alone.
fn alone(voters: &Voters) -> Membership {
    let membership = Membership::new(voters.iter().copied());
    match voters.casting() {
        Some(holder) => membership.with_casting(holder),
        None => membership,
    }
}

/// Returns true if the membership at `at` of the chosen log may be committed: the nodes that have
/// it, and those without an undamaged directory, are a quorum.
fn may_be_committed(
    chosen: &DirectoryState,
    states: &[&DirectoryState],
    at: Index,
    membership: &Membership,
) -> bool {
    assert!(at > chosen.opened.snapshot.last.index, "what a snapshot covers is committed");
    let here = undamaged(states, membership);
    let id = chosen.id_at(at).expect("the membership is in the log");
    let has = |node: NodeId| {
        let mut own = states.iter().filter(|state| state.opened.identity.node == node);
        own.any(|state| state.has(id))
    };
    is_quorum(membership, |node| !here.contains(&node) || has(node))
}

texts! {
    DataLoss:
    Self::None => "no committed entry is lost: every quorum has an undamaged directory here";
    Self::Possible { from } =>
        "committed entries may be lost: those from {from} on, which the missing nodes may have \
         committed";
    Self::Certain { from, through } =>
        "committed entries are lost: the entries through {through} were committed, but those from \
         {from} on may differ or be missing";
}

impl fmt::Display for RecoverySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecoverySource { cluster, location, node, last, committed, .. } = self;
        writeln!(
            f,
            "cluster {cluster} continues from {location} of {node}, with its log up to {last}"
        )?;
        if last.index > *committed {
            let from = committed.next();
            let through = last.index;
            writeln!(
                f,
                "entries from {from} through {through} become committed; it is unknown whether \
                 they were committed before"
            )?;
        }
        writeln!(f, "{}", self.loss)
    }
}
