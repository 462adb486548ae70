//! One run for each mask of damaged copies: which clusters recover, which wait, and that nothing is
//! lost.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::storage::{Disk, FileAction, Inspection};
use quorate::types::{Entry, Freshness, Index, ReadLevel};
use quorate_sim::disk::{ChangeOrder, SectorDamage, SimDisk};

use super::cluster::{Cluster, NODES, SCRUB_PERIOD, config};
use super::places::{SECTOR, Sector, read};

/// The time within which a cluster that can recover has repaired everything.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);
/// The time for which a cluster that cannot recover is observed: five election timeouts.
const WAITS_FOR: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// A set of copies: bit 4n + e is copy e on node n.
pub(crate) type Mask = u32;

/// Three disks, and the copies that a mask selects.
pub(crate) struct Atlas {
    pub(crate) name: &'static str,
    pub(crate) disks: Vec<SimDisk>,
    /// The acknowledged commands, in order.
    pub(crate) lines: String,
    /// The entries of the log.
    pub(crate) entries: BTreeMap<Index, Entry>,
    /// The sectors of each copy.
    pub(crate) copies: Vec<Vec<Sector>>,
    /// Whether the cluster must recover by itself.
    pub(crate) must_recover: fn(Mask) -> bool,
    /// The copies that come back after the cluster has waited: then it must recover.
    pub(crate) restored: fn(Mask) -> Mask,
}

/// The number of masks with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counts {
    /// Everything was served, and every copy is intact again.
    pub(crate) recovered: u32,
    /// Like `recovered`, but with a node that named the reason why it does not start.
    pub(crate) without_a_node: u32,
    /// Nothing was served, until a copy came back.
    pub(crate) waited: u32,
    /// Like `waited`, with at least one node that named the reason why it does not start.
    pub(crate) waited_without_a_node: u32,
}

impl Atlas {
    /// Starts a cluster for each of these sets of damaged copies, and counts the outcomes.
    pub(crate) fn run(&self, masks: impl Iterator<Item = Mask>) -> Counts {
        let mut counts = Counts::default();
        for mask in masks {
            self.run_one(mask, &mut counts);
        }
        counts
    }

    fn run_one(&self, mask: Mask, counts: &mut Counts) {
        let mut cluster = Cluster::start(self.damaged(mask));
        let has_failed_start = (0..3).any(|node| cluster.error(node).is_some());
        if (self.must_recover)(mask) {
            self.recovers(cluster, mask);
            *(if has_failed_start { &mut counts.without_a_node } else { &mut counts.recovered }) +=
                1;
            return;
        }
        self.waits(&mut cluster, mask);
        *(if has_failed_start { &mut counts.waited_without_a_node } else { &mut counts.waited }) +=
            1;
        let back = (self.restored)(mask);
        assert!(
            (self.must_recover)(mask & !back),
            "{}: the copies that come back suffice",
            self.at(mask)
        );
        let mut disks = stopped(cluster);
        self.undo(&mut disks, mask & back);
        self.recovers(Cluster::start(disks), mask);
    }

    /// Runs these masks, with the copies damaged while the nodes run, after all entries have left
    /// the memory. Every entry is applied by then, so the cluster must recover from each mask.
    /// Returns the number of masks with which a node took a snapshot.
    pub(crate) fn run_while_up(&self, masks: impl Iterator<Item = Mask>) -> usize {
        let takes_snapshot = |mask: &Mask| {
            let mut cluster = Cluster::start(self.disks.clone());
            cluster.advance(Duration::from_secs(2));
            let leader = cluster.leader().expect("there is a leader");
            cluster.propose(leader, &"filler ".repeat(300));
            cluster.advance(Duration::from_secs(1));
            for (copy, place) in self.selected(*mask) {
                cluster.damage_sector(copy / 4, place, SectorDamage::BitFlip(31 + 5 * copy));
            }
            cluster.advance(SCRUB_PERIOD * 2);
            let taken = cluster.snapshots_taken();
            let disks = self.recovers(cluster, *mask);
            self.recovers(Cluster::start(disks), *mask);
            taken > 0
        };
        masks.filter(takes_snapshot).count()
    }

    fn at(&self, mask: Mask) -> String {
        let nodes = (0..3).map(|node| format!("{:04b}", mask >> (4 * node) & 15));
        format!("{}, damaged copies {}", self.name, nodes.collect::<Vec<_>>().join(" "))
    }

    /// Returns the places of the copies that a mask selects, each with the number of its copy.
    fn selected(&self, mask: Mask) -> impl Iterator<Item = (usize, Sector)> {
        let selected = move |copy: &usize| mask >> copy & 1 == 1;
        let copies = (0..self.copies.len()).filter(selected);
        copies.flat_map(|copy| self.copies[copy].iter().map(move |place| (copy, *place)))
    }

    fn damaged(&self, mask: Mask) -> Vec<SimDisk> {
        let mut disks = self.disks.clone();
        for (copy, (file, sector)) in self.selected(mask) {
            let how = SectorDamage::BitFlip(31 + 5 * copy);
            assert!(disks[copy / 4].damage_sector(file, sector, how), "{file} has the sector");
        }
        disks
    }

    /// Restores the content of the sectors of these copies.
    fn undo(&self, disks: &mut [SimDisk], mask: Mask) {
        for (copy, (file, sector)) in self.selected(mask) {
            let offset = sector * SECTOR;
            let bytes = read(&self.disks[copy / 4], file, offset, SECTOR);
            for action in [FileAction::Write { file, offset, bytes }, FileAction::Sync { file }] {
                disks[copy / 4].execute(&action).expect("the file is still there");
            }
        }
    }

    /// Checks that the cluster serves everything, takes a new write, and repairs every copy.
    /// Returns the disks of the killed nodes.
    fn recovers(&self, mut cluster: Cluster, mask: Mask) -> Vec<SimDisk> {
        let (mut waited, mut is_read, before) = (Duration::ZERO, false, cluster.replies());
        while !(is_read && cluster.replies() > before && cluster.is_whole()) {
            assert!(waited < RECOVERS_WITHIN, "{} does not recover: {cluster}", self.at(mask));
            cluster.advance(PAUSE);
            waited += PAUSE;
            if let Some(leader) = cluster.leader().filter(|_| cluster.replies() == before) {
                cluster.propose(leader, "new");
            }
            cluster.read(ReadLevel::Linearizable);
            is_read |= self.check(&mut cluster, mask);
        }
        let errors = NODES.map(|id| cluster.error(id.0 as usize - 1).map(str::to_owned));
        let mut disks = stopped(cluster);
        for ((disk, id), error) in disks.iter_mut().zip(NODES).zip(errors) {
            if error.is_none() {
                self.is_intact(disk, mask, &format!("{id}"));
            }
        }
        disks
    }

    /// Checks that nothing is served while the cluster waits.
    fn waits(&self, cluster: &mut Cluster, mask: Mask) {
        let mut waited = Duration::ZERO;
        while waited < WAITS_FOR {
            cluster.advance(PAUSE);
            waited += PAUSE;
            if let Some(leader) = cluster.leader() {
                cluster.propose(leader, "new");
            }
            cluster.read(ReadLevel::Linearizable);
            cluster.read(ReadLevel::Local);
            assert!(!self.check(cluster, mask), "{}: a read is answered", self.at(mask));
            assert_eq!(cluster.replies(), 0, "{}: a write is acknowledged", self.at(mask));
        }
    }

    /// Checks every answer and every state machine. Returns true if a linearizable read was
    /// answered.
    fn check(&self, cluster: &mut Cluster, mask: Mask) -> bool {
        let mut is_read = false;
        let agrees = |text: &str| text.starts_with(&self.lines) || self.lines.starts_with(text);
        for (freshness, answer) in cluster.take_answers() {
            let is_whole = answer.starts_with(&self.lines);
            is_read |= freshness == Freshness::Linearizable;
            let is_right = is_whole || freshness != Freshness::Linearizable && agrees(&answer);
            assert!(is_right, "{}: {freshness:?} answer {answer:?}", self.at(mask));
        }
        for lines in (0..3).filter_map(|node| cluster.lines(node)) {
            assert!(agrees(lines), "{}: applied {lines:?}", self.at(mask));
        }
        is_read
    }

    /// Checks that the log of a disk has every acknowledged entry, or that its snapshot covers it.
    fn is_intact(&self, disk: &mut SimDisk, mask: Mask, node: &str) {
        let config = config(NODES[0]).storage;
        let at = || format!("{}, {node}", self.at(mask));
        let mut found =
            Inspection::open(disk, &config).unwrap_or_else(|error| panic!("{}: {error}", at()));
        assert_eq!(found.damaged_snapshot, None, "{}", at());
        let opened = found.repairable.as_ref().unwrap_or(&found.opened);
        let (base, last, covered) =
            (opened.base.index, opened.last.index, opened.snapshot.last.index);
        assert!(base <= covered, "{}", at());
        assert_eq!(found.damage, None, "{}", at());
        let damaged: Vec<Index> = opened.damaged.iter().map(|damaged| damaged.id.index).collect();
        assert!(damaged.iter().all(|index| *index <= covered), "{}: {damaged:?}", at());
        for (index, entry) in self.entries.range(base.next()..) {
            assert!(*index < last, "{}: the log has the new entry, too", at());
            if damaged.contains(index) {
                continue;
            }
            let read = found.entries(disk, *index, *index).expect("the log is intact");
            assert_eq!(read.iter().collect::<Vec<_>>(), [entry], "{}", at());
        }
    }
}

/// Kills all nodes, and returns their disks.
pub(crate) fn stopped(cluster: Cluster) -> Vec<SimDisk> {
    let mut disks = cluster.into_disks();
    for disk in &mut disks {
        disk.crash(ChangeOrder::PerFile, |_| true);
    }
    disks
}
