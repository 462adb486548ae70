//! A new cluster that goes on from one directory of an old one, and its directories.

use std::fmt;
use std::io;

use crate::recovery::alive::refuse_if_needless;
use crate::recovery::choice::Choice;
use crate::recovery::fill::{FillError, fill};
use crate::recovery::holding::Holding;
use crate::recovery::refusal::{Consent, Refusal};
use crate::recovery::survey::Survey;
use crate::storage::{
    ClusterId, Disk, Failure, FileName, Foundation, Identity, Inspection, OpenError, Origin,
    SnapshotReader, StorageConfig,
};
use crate::types::{Entry, EntryId, Incarnation, Index, Membership, NodeId, Payload, Term};

/// How a cluster is recovered: from which directory, under which id, and who is in it. Each of its
/// members gets a directory by [`Plan::make`], and none may start before all have theirs.
///
/// In the new cluster everything that the chosen log holds is committed, at the indices it had. The
/// old memberships are not taken over: where one stood there is an empty entry, and the snapshot
/// names the new members. So a node of the new cluster that has only the beginning of the log never
/// believes that the old voters decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    choice: Choice,
    /// What the chosen directory held when it was looked at.
    holding: Holding,
    cluster: ClusterId,
    membership: Membership,
    /// The highest of any survivor.
    term: Term,
}

/// Why a directory was not made. What was begun of it is no node's; the source is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The directory to go on from.
    Source(OpenError),
    /// The directory to go on from does not hold any more what it held when it was looked at.
    Changed,
    /// The node is no member of the new cluster.
    NotMember(NodeId),
    /// The new directory.
    Target(OpenError),
}

impl Plan {
    /// Decides how the cluster of the survey, or `old` of its several, goes on as `cluster` with
    /// `membership`, whose every member names a new incarnation. `alive` are the nodes that
    /// answered as members of the old one when they were asked.
    ///
    /// # Errors
    /// A [`Refusal`]; that a quorum may be there is none with [`Consent::TwoClusters`].
    pub fn new(
        survey: &Survey,
        old: Option<ClusterId>,
        alive: &[NodeId],
        consent: Consent,
        cluster: ClusterId,
        membership: Membership,
    ) -> Result<Plan, Refusal> {
        let choice = Choice::of(survey, old)?;
        if consent == Consent::None {
            refuse_if_needless(&choice, alive)?;
        }
        let holdings = survey.holdings().map(|(_, holding)| holding);
        let taken = |holding: &Holding| {
            let origin = holding.opened.origin.map(|origin| origin.cluster);
            [Some(holding.opened.identity.cluster), origin].contains(&Some(cluster))
        };
        if holdings.clone().any(taken) {
            return Err(Refusal::SameCluster(cluster));
        }
        check_membership(&membership)?;
        let had = |incarnation: Incarnation| {
            holdings.clone().any(|holding| holding.opened.identity.incarnation == incarnation)
        };
        if let Some(member) = membership.members().iter().find(|member| had(member.incarnation)) {
            return Err(Refusal::NotFresh(member.id));
        }
        let same = |holding: &&Holding| holding.opened.identity.cluster == choice.cluster;
        let term = holdings.clone().filter(same).map(|holding| holding.opened.hard_state.term);
        let term = term.max().unwrap_or_default();
        let holding = survey.survivors()[choice.survivor].holding();
        let holding = holding.expect("a directory that can be read was chosen").clone();
        Ok(Plan { choice, holding, cluster, membership, term })
    }

    /// Which directory it goes on from, and what may be lost by it.
    #[must_use]
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Makes the directory of `node`, in an empty one, from the chosen one. That one is only read.
    ///
    /// # Errors
    /// A [`RecoveryError`]. What was written is no directory of a node, and has to be removed.
    pub fn make(
        &self,
        source: &mut impl Disk,
        node: NodeId,
        target: &mut impl Disk,
        config: &StorageConfig,
    ) -> Result<(), RecoveryError> {
        let member = self.membership.member(node).ok_or(RecoveryError::NotMember(node))?;
        let mut found = Inspection::of(source, config).map_err(RecoveryError::Source)?;
        if Holding::from(found.clone()) != self.holding {
            return Err(RecoveryError::Changed);
        }
        let (snapshot, last) = (&found.opened.snapshot.clone(), found.opened.last.index);
        let identity = Identity { cluster: self.cluster, node, incarnation: member.incarnation };
        let origin = Origin { cluster: self.choice.cluster, last: self.choice.last };
        let mut foundation =
            Foundation::begin(target, identity, origin, snapshot.last, &self.membership, config)
                .map_err(RecoveryError::Target)?;
        if snapshot.last > EntryId::ZERO {
            let content = SnapshotReader::open(source, self.choice.cluster, snapshot);
            let mut content = content.map_err(|failure| RecoveryError::Source(failure.into()))?;
            fill(&mut foundation, target, config, &mut content).map_err(|error| match error {
                FillError::Content(error) => {
                    RecoveryError::Source(damage_of(snapshot.last.index, &error).into())
                }
                FillError::Target(error) => RecoveryError::Target(error),
            })?;
        }
        let mut next = snapshot.last.index.next();
        while next <= last {
            let entries = found.entries(source, next, last).map_err(RecoveryError::Source)?;
            let entries: Vec<Entry> = entries.into_iter().map(without_membership).collect();
            next = entries.last().map_or(next, |entry| entry.id.index.next());
            foundation.append(target, entries).map_err(RecoveryError::Target)?;
        }
        foundation.finish(target, self.term).map_err(RecoveryError::Target)
    }
}

/// The same entry, empty if it was a membership of the old cluster.
fn without_membership(entry: Entry) -> Entry {
    match entry.payload {
        Payload::Membership(_) => Entry { payload: Payload::Noop, ..entry },
        Payload::Noop | Payload::Command(_) => entry,
    }
}

/// Whether a cluster can begin with the membership.
pub(crate) fn check_membership(membership: &Membership) -> Result<(), Refusal> {
    if membership.flaw().is_some() || membership.incoming().is_empty() || !membership.is_settled() {
        return Err(Refusal::Membership(membership.flaw()));
    }
    match membership.members().iter().find(|member| member.incarnation == Incarnation::default()) {
        Some(member) => Err(Refusal::NotFresh(member.id)),
        None => Ok(()),
    }
}

/// What is the matter with a snapshot that could not be read on.
fn damage_of(last: Index, error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    let unknown = || Failure::damage(FileName::Snapshot(last), 0, error.to_string());
    inner.cloned().unwrap_or_else(unknown)
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoveryError::Source(error) => write!(f, "the directory to go on from: {error}"),
            RecoveryError::Changed => f.write_str(
                "the directory to go on from was changed since it was looked at: look again",
            ),
            RecoveryError::NotMember(node) => write!(f, "{node} is no member of the new cluster"),
            RecoveryError::Target(error) => {
                write!(f, "the new directory, which is to be emptied: {error}")
            }
        }
    }
}

impl std::error::Error for RecoveryError {}
