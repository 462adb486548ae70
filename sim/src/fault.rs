//! The kinds of faults, and sets of them.

use std::fmt;

/// One kind of trouble a run may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// A message vanishes.
    Loss,
    /// A message arrives twice.
    Duplicate,
    /// A message takes far longer than others, up to several election timeouts.
    Delay,
    /// A message overtakes an earlier one on the same link.
    Reorder,
    /// A link delivers nothing for a while, then all at once.
    Clog,
    /// A link works in one direction only.
    OneWay,
    /// The nodes fall into groups that do not hear each other.
    Partition,
    /// Some pairs of nodes hear each other only through others: a bridge, a star, a chain.
    Bridge,
    /// A link goes up and down again and again.
    Flap,
    /// A node loses its memory and its unflushed writes, stays down, and starts again.
    Crash,
    /// A node does nothing for a while; what arrives meanwhile it gets late, all at once.
    Pause,
    /// A node's clock runs fast or slow.
    Drift,
    /// A node's clock jumps ahead.
    Jump,
    /// A node's flushes take long.
    SlowDisk,
    /// A node's state machine takes long.
    SlowApply,
    /// A node's driver carries out actions late, one by one, between further inputs.
    Lag,
    /// A message that no correct node would send in this place arrives.
    Stray,
    /// A message of long ago, even of an earlier start of its sender, arrives again.
    Replay,
    /// A node campaigns although its leader is well.
    Campaign,
    /// A node stops in good order, stays down, and starts again.
    Stop,
    /// Many requests reach a node, at once or one soon after the other.
    Surge,
    /// A flush of a node's fails, of a file or of the directory.
    FailedFlush,
    /// A write of a node's fails half-way, or the making, renaming or removing of a file does.
    FailedWrite,
    /// A read of a node's fails.
    FailedRead,
    /// A node's disk has no room for new files.
    FullDisk,
    /// A node's disk does nothing for many election timeouts.
    StalledDisk,
    /// What a node has durably changes on its disk.
    Rot,
    /// A write goes to another place on a node's disk, and seems to succeed.
    MisdirectedWrite,
    /// A node's disk does not store a write, which seems to succeed and to be flushed.
    LostWrite,
    /// The operator wants the membership changed, or a change given up.
    Change,
    /// The operator wants another node to lead.
    Transfer,
    /// A node loses its disk and starts on an empty one, under its id.
    Wipe,
    /// A node starts on an older image of its disk: nobody can bear that, and none may panic. In
    /// runs that have it, more nodes may lose their disks than can be borne, too.
    Rollback,
    /// A node's state machine errs.
    Slip,
}

/// A set of fault kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults(u64);

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 34] = [
        Fault::Loss,
        Fault::Duplicate,
        Fault::Delay,
        Fault::Reorder,
        Fault::Clog,
        Fault::OneWay,
        Fault::Partition,
        Fault::Bridge,
        Fault::Flap,
        Fault::Crash,
        Fault::Pause,
        Fault::Drift,
        Fault::Jump,
        Fault::SlowDisk,
        Fault::SlowApply,
        Fault::Lag,
        Fault::Stray,
        Fault::Replay,
        Fault::Campaign,
        Fault::Stop,
        Fault::Surge,
        Fault::FailedFlush,
        Fault::FailedWrite,
        Fault::FailedRead,
        Fault::FullDisk,
        Fault::StalledDisk,
        Fault::Rot,
        Fault::MisdirectedWrite,
        Fault::LostWrite,
        Fault::Change,
        Fault::Transfer,
        Fault::Wipe,
        Fault::Rollback,
        Fault::Slip,
    ];

    /// The kinds that concern who counts and who leads.
    pub(crate) const OF_MEMBERS: [Fault; 2] = [Fault::Change, Fault::Transfer];

    /// The kinds in which one disk takes the place of another.
    pub(crate) const OF_IDENTITY: [Fault; 2] = [Fault::Wipe, Fault::Rollback];

    /// The kinds that befall disks, save crashes and slowness.
    pub(crate) const OF_DISKS: [Fault; 8] = [
        Fault::FailedFlush,
        Fault::FailedWrite,
        Fault::FailedRead,
        Fault::FullDisk,
        Fault::StalledDisk,
        Fault::Rot,
        Fault::MisdirectedWrite,
        Fault::LostWrite,
    ];

    /// The kind's name in summaries and marks.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Loss => "loss",
            Fault::Duplicate => "duplicate",
            Fault::Delay => "delay",
            Fault::Reorder => "reorder",
            Fault::Clog => "clog",
            Fault::OneWay => "one-way",
            Fault::Partition => "partition",
            Fault::Bridge => "bridge",
            Fault::Flap => "flap",
            Fault::Crash => "crash",
            Fault::Pause => "pause",
            Fault::Drift => "drift",
            Fault::Jump => "jump",
            Fault::SlowDisk => "slow-disk",
            Fault::SlowApply => "slow-apply",
            Fault::Lag => "lag",
            Fault::Stray => "stray",
            Fault::Replay => "replay",
            Fault::Campaign => "campaign",
            Fault::Stop => "stop",
            Fault::Surge => "surge",
            Fault::FailedFlush => "failed-flush",
            Fault::FailedWrite => "failed-write",
            Fault::FailedRead => "failed-read",
            Fault::FullDisk => "full-disk",
            Fault::StalledDisk => "stalled-disk",
            Fault::Rot => "rot",
            Fault::MisdirectedWrite => "misdirected-write",
            Fault::LostWrite => "lost-write",
            Fault::Change => "change",
            Fault::Transfer => "transfer",
            Fault::Wipe => "wipe",
            Fault::Rollback => "rollback",
            Fault::Slip => "slip",
        }
    }
}

impl Faults {
    /// No kind at all.
    pub const NONE: Faults = Faults(0);
    /// Every kind.
    pub const ALL: Faults = Faults((1 << Fault::ALL.len()) - 1);

    /// These kinds.
    pub(crate) const fn of(kinds: &[Fault]) -> Faults {
        let (mut set, mut at) = (0, 0);
        while at < kinds.len() {
            set |= 1 << kinds[at] as u8;
            at += 1;
        }
        Faults(set)
    }

    /// The kinds of both sets.
    pub(crate) const fn and(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// Whether the set has `fault`.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u8) != 0
    }

    /// Puts `fault` into the set.
    pub fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u8;
    }

    /// The set without these kinds.
    pub(crate) const fn without(self, other: Faults) -> Faults {
        Faults(self.0 & !other.0)
    }

    /// The kinds in the set, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Faults {
        let mut set = Faults::NONE;
        faults.into_iter().for_each(|fault| set.insert(fault));
        set
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
