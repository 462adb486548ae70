//! The kinds of simulated faults, and sets of them.

use std::fmt;

/// One kind of simulated fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// The network drops a message.
    Loss,
    /// A message arrives twice.
    Duplicate,
    /// A message takes far longer than others, up to several election timeouts.
    Delay,
    /// A message overtakes an earlier one on the same link.
    Reorder,
    /// A link holds back all messages for a while, then delivers them together.
    Clog,
    /// A link works in one direction only.
    OneWay,
    /// The network partitions the nodes into groups that cannot exchange messages.
    Partition,
    /// Some pairs of nodes can exchange messages only through other nodes: a bridge, a star, a
    /// chain.
    Bridge,
    /// A link goes up and down repeatedly.
    Flap,
    /// A node loses its memory and its unflushed writes, stays down, and restarts.
    Crash,
    /// A node makes no steps for a while; messages that arrive meanwhile are delivered together
    /// later.
    Pause,
    /// A node's clock runs fast or slow.
    ClockDrift,
    /// A node's clock steps forward.
    ClockStep,
    /// A node's flushes take long.
    SlowDisk,
    /// A node's state machine takes long to apply.
    SlowApply,
    /// A node's driver executes actions late, one by one, between further inputs.
    Lag,
    /// A message arrives that no correct node would send to this receiver.
    Misroute,
    /// An old message arrives again, possibly one from an earlier start of its sender.
    Replay,
    /// A node starts an election although its leader is healthy.
    Campaign,
    /// A node shuts down cleanly, stays down, and restarts.
    Stop,
    /// A node receives many requests, at once or in quick succession.
    LoadSpike,
    /// A flush fails, of a file or of the directory.
    FailedFlush,
    /// A write fails half-way, or the creation, renaming or removal of a file fails.
    FailedWrite,
    /// A read from the disk fails.
    FailedRead,
    /// A node's disk has no space for new files.
    FullDisk,
    /// A node's disk completes no call for many election timeouts.
    StalledDisk,
    /// Durable data on a node's disk changes.
    BitRot,
    /// A write goes to the wrong place on a node's disk, and is reported as done.
    MisdirectedWrite,
    /// A node's disk does not store a write, but reports it as done and flushed.
    LostWrite,
    /// The operator asks for a membership change, or for its cancellation.
    Change,
    /// The operator asks for a leadership transfer.
    Transfer,
    /// A node loses its disk, and starts on an empty one under the same id.
    Wipe,
    /// A node starts on an older copy of its disk. Safety cannot hold with this fault, but no node
    /// may panic. Runs with it may also lose more disks than the cluster survives.
    Rollback,
    /// A node's state machine makes an error.
    MachineFault,
}

/// A set of fault kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults(u64);

impl Fault {
    /// Every fault kind, in the order of declaration.
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
        Fault::ClockDrift,
        Fault::ClockStep,
        Fault::SlowDisk,
        Fault::SlowApply,
        Fault::Lag,
        Fault::Misroute,
        Fault::Replay,
        Fault::Campaign,
        Fault::Stop,
        Fault::LoadSpike,
        Fault::FailedFlush,
        Fault::FailedWrite,
        Fault::FailedRead,
        Fault::FullDisk,
        Fault::StalledDisk,
        Fault::BitRot,
        Fault::MisdirectedWrite,
        Fault::LostWrite,
        Fault::Change,
        Fault::Transfer,
        Fault::Wipe,
        Fault::Rollback,
        Fault::MachineFault,
    ];

    /// The fault kinds about membership and leadership, requested by the operator.
    pub(crate) const OF_MEMBERS: [Fault; 2] = [Fault::Change, Fault::Transfer];

    /// The fault kinds that replace a node's disk with another one.
    pub(crate) const OF_IDENTITY: [Fault; 2] = [Fault::Wipe, Fault::Rollback];

    /// The fault kinds of a disk, except crashes and slow disks.
    pub(crate) const OF_DISKS: [Fault; 8] = [
        Fault::FailedFlush,
        Fault::FailedWrite,
        Fault::FailedRead,
        Fault::FullDisk,
        Fault::StalledDisk,
        Fault::BitRot,
        Fault::MisdirectedWrite,
        Fault::LostWrite,
    ];

    /// Returns the name in scenarios, summaries and coverage marks.
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
            Fault::ClockDrift => "clock-drift",
            Fault::ClockStep => "clock-step",
            Fault::SlowDisk => "slow-disk",
            Fault::SlowApply => "slow-apply",
            Fault::Lag => "lag",
            Fault::Misroute => "misroute",
            Fault::Replay => "replay",
            Fault::Campaign => "campaign",
            Fault::Stop => "stop",
            Fault::LoadSpike => "load-spike",
            Fault::FailedFlush => "failed-flush",
            Fault::FailedWrite => "failed-write",
            Fault::FailedRead => "failed-read",
            Fault::FullDisk => "full-disk",
            Fault::StalledDisk => "stalled-disk",
            Fault::BitRot => "bit-rot",
            Fault::MisdirectedWrite => "misdirected-write",
            Fault::LostWrite => "lost-write",
            Fault::Change => "change",
            Fault::Transfer => "transfer",
            Fault::Wipe => "wipe",
            Fault::Rollback => "rollback",
            Fault::MachineFault => "machine-fault",
        }
    }
}

impl Faults {
    /// The empty set of fault kinds.
    pub const NONE: Faults = Faults(0);
    /// The set of all fault kinds.
    pub const ALL: Faults = Faults((1 << Fault::ALL.len()) - 1);

    /// Returns the set of these kinds.
    pub(crate) const fn of(kinds: &[Fault]) -> Faults {
        let (mut set, mut at) = (0, 0);
        while at < kinds.len() {
            set |= 1 << kinds[at] as u8;
            at += 1;
        }
        Faults(set)
    }

    /// Returns the union of both sets.
    pub(crate) const fn and(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// Returns true if the set contains `fault`.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u8) != 0
    }

    /// Inserts `fault` into the set.
    pub fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u8;
    }

    /// Returns the set without the kinds in `other`.
    pub(crate) const fn without(self, other: Faults) -> Faults {
        Faults(self.0 & !other.0)
    }

    /// Returns the kinds in the set, in the order of declaration.
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
