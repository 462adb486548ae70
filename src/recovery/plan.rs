//! Recovery plans: a new cluster that continues the log of one directory of an old cluster.

use std::io;

use crate::recovery::copy::{CopyError, copy_snapshot};
use crate::recovery::directory_state::DirectoryState;
use crate::recovery::quorum_check::reject_if_quorum_available;
use crate::recovery::reject_reason::{Consent, RecoveryRejectReason};
use crate::recovery::source::RecoverySource;
use crate::recovery::survey::Survey;
use crate::storage::{
    ClusterId, Disk, FileName, Identity, Inspection, OpenError, Origin, SnapshotReader,
    StorageConfig, StorageError, StorageImport,
};
use crate::types::text::texts;
use crate::types::{Entry, EntryId, Incarnation, Index, Membership, NodeId, Payload, Term};

/// The plan of a recovery: the source directory, the id of the new cluster and its membership.
/// [`Plan::create_directory`] creates the directory of each member. No member may start before all
/// directories are created.
///
/// In the new cluster the whole log of the source is committed, at the same indices. Memberships of
/// the old cluster become no-op entries, and the snapshot has the new membership. A node of the new
/// cluster that has only the first part of the log thus never takes the old voters for active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    source: RecoverySource,
    /// The state of the source directory when it was surveyed.
    state: DirectoryState,
    cluster: ClusterId,
    membership: Membership,
    /// The highest term of any surveyed directory of the cluster.
    term: Term,
}

/// The error that prevented the creation of a directory. The target may be incomplete: no node can
/// start with it, and it must be emptied before another attempt. A target that was not empty is
/// unchanged, and so is the source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The source directory cannot be read.
    Source(OpenError),
    /// The source directory was changed since it was surveyed.
    SourceChanged,
    /// The node is not a member of the new cluster.
    NotMember(NodeId),
    /// The new directory cannot be written.
    Target(OpenError),
}

impl Plan {
    /// Plans the recovery of the surveyed cluster, or of `old` if there are several, as `cluster`
    /// with `membership`, whose members must have new incarnations. `alive` are the members of the
    /// old cluster that still run.
    ///
    /// # Errors
    /// A [`RecoveryRejectReason`]. [`Consent::TwoClusters`] omits the checks that no quorum of the
    /// old cluster is alive or available, and that each alive node was surveyed.
    pub fn new(
        survey: &Survey,
        old: Option<ClusterId>,
        alive: &[NodeId],
        consent: Consent,
        cluster: ClusterId,
        membership: Membership,
    ) -> Result<Plan, RecoveryRejectReason> {
        let source = RecoverySource::choose(survey, old)?;
        let all = survey.states().map(|(_, state)| state);
        let same = |state: &&DirectoryState| state.opened.identity.cluster == source.cluster;
        let states: Vec<&DirectoryState> = all.clone().filter(same).collect();
        if consent == Consent::None {
            reject_if_quorum_available(&source, &states, alive)?;
        }
        let uses_id = |state: &DirectoryState| {
            let origin = state.opened.origin.map(|origin| origin.cluster);
            [Some(state.opened.identity.cluster), origin].contains(&Some(cluster))
        };
        if all.clone().any(uses_id) {
            return Err(RecoveryRejectReason::SameCluster(cluster));
        }
        check_membership(&membership)?;
        let is_used = |incarnation: Incarnation| {
            all.clone().any(|state| state.opened.identity.incarnation == incarnation)
        };
        if let Some(member) = membership.members().iter().find(|member| is_used(member.incarnation))
        {
            return Err(RecoveryRejectReason::IncarnationNotNew(member.id));
        }
        let term = states.iter().map(|state| state.opened.hard_state.term);
        let term = term.max().unwrap_or_default();
        let state = survey.directories()[source.directory].state();
        let state = state.expect("the source is readable").clone();
        assert_eq!(state.opened.identity.cluster, source.cluster, "the source is of the cluster");
        assert_ne!(source.cluster, cluster, "the new cluster has another id");
        assert!(term >= state.opened.hard_state.term, "the new cluster begins in no earlier term");
        Ok(Plan { source, state, cluster, membership, term })
    }

    /// Returns the source directory, with the possible data loss.
    #[must_use]
    pub fn source(&self) -> &RecoverySource {
        &self.source
    }

    /// Creates the data directory of `node` in the empty directory `target`. The directory `source`
    /// is only read.
    ///
    /// # Errors
    /// A [`RecoveryError`]. No node can start with the incomplete target, which must be emptied
    /// before another attempt.
    pub fn create_directory(
        &self,
        source: &mut dyn Disk,
        node: NodeId,
        target: &mut dyn Disk,
        config: &StorageConfig,
    ) -> Result<(), RecoveryError> {
        let member = self.membership.member(node).ok_or(RecoveryError::NotMember(node))?;
        let found = Inspection::open(source, config).and_then(Inspection::with_snapshot);
        let mut found = found.map_err(RecoveryError::Source)?;
        if DirectoryState::from(found.clone()) != self.state {
            return Err(RecoveryError::SourceChanged);
        }
        let (snapshot, last) = (&found.opened.snapshot.clone(), found.opened.last.index);
        assert_eq!(found.opened.last, self.source.last, "the whole log of the source is copied");
        assert_ne!(
            member.incarnation,
            Incarnation::default(),
            "a checked member has an incarnation"
        );
        let identity = Identity { cluster: self.cluster, node, incarnation: member.incarnation };
        let origin = Origin { cluster: self.source.cluster, last: self.source.last };
        let mut import =
            StorageImport::begin(target, identity, origin, snapshot.last, &self.membership, config)
                .map_err(RecoveryError::Target)?;
        if snapshot.last > EntryId::ZERO {
            let content = SnapshotReader::open(source, self.source.cluster, snapshot);
            let mut content =
                content.map_err(|failure| RecoveryError::Source(failure.of_inspection().into()))?;
            copy_snapshot(&mut import, target, config, &mut content).map_err(
                |error| match error {
                    CopyError::Content(error) => {
                        RecoveryError::Source(damage_of(snapshot.last.index, &error).into())
                    }
                    CopyError::Target(error) => RecoveryError::Target(error),
                },
            )?;
        }
        let mut next = snapshot.last.index.next();
        while next <= last {
            let entries = found.entries(source, next, last);
            let entries = entries.map_err(|error| RecoveryError::Source(error.of_inspection()))?;
            let entries: Vec<Entry> = entries.into_iter().map(without_membership).collect();
            assert_eq!(
                entries.first().map(|entry| entry.id.index),
                Some(next),
                "no entry is left out"
            );
            next = entries.last().map_or(next, |entry| entry.id.index.next());
            assert!(next <= last.next(), "no entry after the last one is read");
            import.append(target, entries).map_err(RecoveryError::Target)?;
        }
        import.finish(target, self.term).map_err(RecoveryError::Target)
    }
}

/// Returns the entry; a membership of the old cluster is replaced by a no-op.
fn without_membership(entry: Entry) -> Entry {
    match entry.payload {
        Payload::Membership(_) => Entry { payload: Payload::Noop, ..entry },
        Payload::Noop | Payload::Command(_) => entry,
    }
}

/// Checks that a cluster can start with the membership.
pub(crate) fn check_membership(membership: &Membership) -> Result<(), RecoveryRejectReason> {
    if membership.violation().is_some()
        || membership.incoming().is_empty()
        || !membership.is_settled()
    {
        return Err(RecoveryRejectReason::Membership(membership.violation()));
    }
    match membership.members().iter().find(|member| member.incarnation == Incarnation::default()) {
        Some(member) => Err(RecoveryRejectReason::IncarnationNotNew(member.id)),
        None => Ok(()),
    }
}

/// Returns the storage error in an error of reading a snapshot.
fn damage_of(last: Index, error: &io::Error) -> StorageError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StorageError>());
    let unknown = || StorageError::damage(FileName::Snapshot(last), 0, error.to_string());
    inner.cloned().map_or_else(unknown, StorageError::of_inspection)
}

texts! {
    RecoveryError:
    Self::Source(error) => "the source directory cannot be read: {error}";
    Self::SourceChanged =>
        "the source directory was changed since it was surveyed: survey it and plan again";
    Self::NotMember(node) => "{node} is not a member of the new cluster";
    Self::Target(error @ OpenError::NotEmpty(_)) => "{error}";
    Self::Target(error) => "the new directory is incomplete and must be emptied: {error}";
}

impl std::error::Error for RecoveryError {}
