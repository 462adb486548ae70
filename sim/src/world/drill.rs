//! A drill of disaster recovery, at the end of each phase: a new cluster is made from copies of the
//! disks of some nodes. The nodes and their disks do not change.

use std::io::Read;

use quorate::recovery::{
    Backup, BackupHeader, Consent, Plan, RecoveryRejectReason, RecoverySource, Survey, backup,
    restore,
};
use quorate::storage::{ClusterId, Inspection, SnapshotReader, Storage, StorageConfig};
use quorate::types::{EntryId, Incarnation, Member, Membership, NodeId, SnapshotMeta};

use crate::disk::SimDisk;
use crate::observe::Observation;
use crate::observe::recovery_drill::RecoveryDrill;
use crate::values::choice::{Draw, Key, Kind};
use crate::world::World;
use crate::world::place::{CLUSTER, Place};

/// The id of the new cluster.
const NEW_CLUSTER: ClusterId = ClusterId(0x52);

/// The new cluster's only member.
const MEMBER: NodeId = NodeId(1);

impl World {
    /// Recovers a new cluster from the disks of some nodes, and reports the result. With
    /// last-survivor takeover there is no drill, because a node may have continued without those
    /// whose disks survive.
    pub(super) fn drill_recovery(&mut self) {
        let setup = &self.run.setup;
        if setup.settings.config.survivor.is_some() || !self.run.observer.has_checks() {
            return;
        }
        let counter = if self.stabilization.is_some() { 200 } else { 300 };
        let mut draw = setup.choices.draw(Key { counter, ..Kind::Core.key() });
        let intact: Vec<Place> =
            self.cluster.places().filter(|place| self.may_survive(*place)).collect();
        let mut places: Vec<Place> = intact.iter().copied().filter(|_| draw.chance(600)).collect();
        if places.is_empty() {
            places.extend(intact.first());
        }
        if places.is_empty() {
            return;
        }
        let copy = |place: &Place| self.cluster[*place].disk.device.durable_copy();
        let survivors: Vec<NodeId> = places.iter().map(|place| place.id()).collect();
        let copies = places.iter().map(copy).collect();
        let storage = &setup.settings.storage;
        let drill = Drill { survivors: &survivors, copies, storage };
        let result = drill.recover(&mut draw);
        let result = result.as_ref().map_err(String::as_str);
        self.run.observe(Observation::RecoveryDrilled { survivors: &survivors, result });
    }

    /// Whether the node runs with a membership on its disk, is certain of its log, and no fault has
    /// damaged that disk.
    fn may_survive(&self, place: Place) -> bool {
        let node = &self.cluster[place];
        let Some(running) = node.running() else { return false };
        let (log, status) = (running.node.raft().log(), &running.status);
        node.bootstrapped
            && !log.membership().is_empty()
            && log.membership_index() <= status.durable
            && log.damaged_entries() == 0
            && !status.is_uncertain
            && node.disk.is_intact()
    }
}

/// The copied disks, and the configuration of their stores.
struct Drill<'a> {
    survivors: &'a [NodeId],
    copies: Vec<SimDisk>,
    storage: &'a StorageConfig,
}

impl Drill<'_> {
    /// Surveys the copied disks, and makes a new cluster from one of them.
    fn recover(mut self, draw: &mut Draw<'_>) -> Result<RecoveryDrill, String> {
        let mut survey = Survey::default();
        for (id, copy) in self.survivors.iter().zip(&mut self.copies) {
            survey.inspect(id.to_string(), copy, self.storage);
        }
        let states = survey.directories().iter().map(|directory| &directory.result);
        for (id, state) in self.survivors.iter().zip(states) {
            let state =
                state.as_ref().map_err(|error| format!("{id}'s disk is unusable: {error}"))?;
            if let Some(damage) = &state.damage {
                return Err(format!("{id}'s disk counts as damaged: {damage}"));
            }
        }
        let source = RecoverySource::choose(&survey, None).map_err(|reason| reason.to_string())?;
        let membership = alone(Incarnation(u128::MAX));
        let plan = |alive: &[NodeId], consent, cluster, membership| {
            Plan::new(&survey, None, alive, consent, cluster, membership)
        };
        let is_quorum_available = match plan(&[], Consent::None, NEW_CLUSTER, membership.clone()) {
            Ok(_) => false,
            Err(RecoveryRejectReason::QuorumAvailable(_)) => true,
            Err(reason) => return Err(reason.to_string()),
        };
        let voters: Vec<NodeId> = source.membership().voters().collect();
        let alive = plan(&voters, Consent::None, NEW_CLUSTER, membership.clone());
        if !matches!(alive, Err(RecoveryRejectReason::QuorumAlive(_))) {
            return Err("it is accepted although every voter is alive".to_owned());
        }
        let same = plan(&[], Consent::TwoClusters, CLUSTER, membership.clone());
        if !matches!(same, Err(RecoveryRejectReason::SameCluster(_))) {
            return Err("it is accepted with the id of the old cluster".to_owned());
        }
        let old = source.directory;
        let used = survey.directories()[old].state().map(|state| state.opened.identity.incarnation);
        let again = plan(&[], Consent::TwoClusters, NEW_CLUSTER, alone(used.unwrap_or_default()));
        if !matches!(again, Err(RecoveryRejectReason::IncarnationNotNew(_))) {
            return Err("it is accepted with the incarnation of an old disk".to_owned());
        }
        let made = plan(&[], Consent::TwoClusters, NEW_CLUSTER, membership.clone());
        let made = made.map_err(|reason| reason.to_string())?;
        let from = &mut self.copies[old];
        let mut target = SimDisk::default();
        made.create_directory(from, MEMBER, &mut target, self.storage)
            .map_err(|error| error.to_string())?;
        let drill =
            self.open(&mut target.durable_copy(), source, is_quorum_available, membership)?;
        self.back_up(&drill, draw)?;
        Ok(drill)
    }

    /// Reads the directory of the new cluster, as it is after a power failure.
    fn open(
        &mut self,
        target: &mut SimDisk,
        source: RecoverySource,
        is_quorum_available: bool,
        membership: Membership,
    ) -> Result<RecoveryDrill, String> {
        let found = Inspection::open(target, self.storage).and_then(Inspection::with_snapshot);
        let mut found = found.map_err(|error| format!("no node can start with it: {error}"))?;
        if let Some(damage) = &found.damage {
            return Err(format!("its directory is damaged: {damage}"));
        }
        let directory = found.opened.clone();
        let (mut next, mut entries) = (directory.snapshot.last.index.next(), Vec::new());
        while next <= directory.last.index {
            let read = found.entries(target, next, directory.last.index).map_err(text)?;
            next = read.last().map_or(next, |entry| entry.id.index.next());
            entries.extend(read);
        }
        let snapshot = &directory.snapshot;
        if snapshot.last > EntryId::ZERO {
            let old = &mut self.copies[source.directory];
            let meta = Inspection::open(old, self.storage).map_err(text)?.opened.snapshot;
            if content(old, CLUSTER, &meta)? != content(target, NEW_CLUSTER, snapshot)? {
                return Err("its state differs from that of the source".to_owned());
            }
        }
        let (_, opened) = Storage::open(target, NEW_CLUSTER, MEMBER, self.storage).map_err(text)?;
        if (opened.last, opened.committed) != (directory.last, directory.committed) {
            return Err(format!("its node would start with a log up to {} only", opened.last));
        }
        Ok(RecoveryDrill { source, is_quorum_available, membership, directory, entries })
    }

    /// Backs up the snapshot of the source, and restores it into another new cluster. A backup with
    /// a changed byte must be rejected.
    fn back_up(&mut self, drill: &RecoveryDrill, draw: &mut Draw<'_>) -> Result<(), String> {
        let old = &mut self.copies[drill.source.directory];
        let meta = Inspection::open(old, self.storage).map_err(text)?.opened.snapshot;
        if meta.last == EntryId::ZERO || meta.membership.is_empty() {
            return Ok(());
        }
        let SnapshotMeta { last, ref membership, .. } = meta;
        let (cluster, membership) = (CLUSTER, membership.clone());
        let chunk_bytes = *draw.pick(&[4096, 512, 1024]);
        let head = BackupHeader { cluster, last, membership, chunk_bytes };
        let mut bytes = Vec::new();
        let mut reader = SnapshotReader::open(old, CLUSTER, &meta).map_err(text)?;
        let root = backup(&head, &mut reader, &mut bytes).map_err(text)?;
        let expected = content(old, CLUSTER, &meta)?;
        let mut read = Vec::new();
        let mut rest = &bytes[..];
        let mut opened = Backup::open(&mut rest).map_err(text)?;
        opened.read_to_end(&mut read).map_err(text)?;
        if read != expected || *opened.head() != head {
            return Err("a backup returns another state".to_owned());
        }
        let make = |bytes: &[u8], target: &mut SimDisk| {
            let mut from = bytes;
            restore(&mut from, NEW_CLUSTER, &drill.membership, MEMBER, target, self.storage)
        };
        let mut target = SimDisk::default();
        let restored = make(&bytes, &mut target).map_err(text)?;
        let mut target = target.durable_copy();
        let found = Inspection::open(&mut target, self.storage).map_err(text)?.opened;
        let is_same = restored == root
            && (found.base, found.last, found.committed) == (last, last, last.index)
            && found.snapshot.membership == drill.membership
            && (found.hard_state.term, found.hard_state.vote) == (last.term, None)
            && content(&mut target, NEW_CLUSTER, &found.snapshot)? == expected;
        if !is_same {
            return Err(format!("a backup of the state at {last} restores another one"));
        }
        let place = draw.below(bytes.len() as u64) as usize;
        bytes[place] ^= 1 << draw.below(8);
        match make(&bytes, &mut SimDisk::default()) {
            Ok(_) => Err(format!("a backup is restored although its byte {place} has changed")),
            Err(_) => Ok(()),
        }
    }
}

/// A membership of the new cluster's member with this incarnation.
fn alone(incarnation: Incarnation) -> Membership {
    Membership::new([MEMBER]).with_member(Member { incarnation, ..Member::new(MEMBER) })
}

/// Returns the state in a snapshot.
fn content(disk: &mut SimDisk, cluster: ClusterId, meta: &SnapshotMeta) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = SnapshotReader::open(disk, cluster, meta).map_err(text)?;
    reader.read_to_end(&mut bytes).map_err(text)?;
    Ok(bytes)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
