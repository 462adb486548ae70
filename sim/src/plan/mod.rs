//! The plan of a run: every planned fault and scripted request, timed or triggered, one per line.
//!
//! A plan is drawn from the seed before the run starts, and prints as scenario lines. Removing one
//! operation changes no other.

mod crash_again;
mod draw;
mod elections;
mod leases;
mod members;
mod print;
pub mod read;
mod scripted_request;
mod single_fault;
mod snapshot_lag;
mod topology;
mod words;

use std::time::Duration;

use quorate::types::{Change, NodeId, ReadLevel};

use crate::fault::Fault;
use crate::time::SimTime;

/// The planned operations of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations; their order does not matter, because each has its own time or trigger.
    pub ops: Vec<Op>,
}

/// The duration of a fault without an end of its own: longer than any run. The stabilization phase
/// treats such a fault like every other one.
pub const UNTIL_STABILIZATION: Duration = Duration::from_secs(1_000_000_000);

/// One planned operation: what it does, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The time or the trigger of the operation.
    pub when: When,
    /// The effect of the operation.
    pub verb: Verb,
}

/// The time or the trigger of a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time of the run.
    At(SimTime),
    /// When a node meets the trigger condition.
    On(TriggerCondition),
}

/// The condition that fires a triggered operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerCondition {
    /// The event at the node that fires the operation.
    pub trigger: Trigger,
    /// The node to watch; any node if `None`.
    pub node: Option<NodeId>,
    /// The earliest time at which it fires.
    pub from: SimTime,
    /// The latest time at which it fires.
    pub to: SimTime,
    /// The first match that fires, counted from 1; later matches fire, too.
    pub nth: u32,
    /// The largest number of times that it fires.
    pub times: u32,
    /// The delay between the trigger and the operation. At zero the operation runs before the node
    /// takes any other step.
    pub delay: Duration,
}

impl TriggerCondition {
    /// Returns a condition that fires once, without delay, when any node next meets the trigger
    /// between the two times.
    #[must_use]
    pub fn next(trigger: Trigger, from: SimTime, to: SimTime) -> TriggerCondition {
        TriggerCondition { trigger, node: None, from, to, nth: 1, times: 1, delay: Duration::ZERO }
    }
}

impl When {
    /// Returns the time before which the operation does nothing.
    #[must_use]
    pub fn earliest(&self) -> SimTime {
        match *self {
            When::At(at) => at,
            When::On(TriggerCondition { from, .. }) => from,
        }
    }
}

/// An event at a node that can fire a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The node has restarted.
    Restarts,
    /// The node's process has ended, by a crash or by a clean shutdown.
    GoesDown,
    /// The node is about to submit a write to its disk.
    AboutToWrite,
    /// The node has submitted a vote to its disk, and the vote is not durable yet.
    SubmitsVote,
    /// The node has submitted entries to its disk, and they are not durable yet.
    SubmitsEntries,
    /// The node has submitted a write that replaces entries of its log.
    TruncatesLog,
    /// A write of the node is durable, and the node has not been notified of it yet.
    CompletesFlush,
    /// The node has sent a granted vote, or an acknowledgement of entries.
    Acknowledges,
    /// The node has sent a heartbeat.
    SendsHeartbeat,
    /// The node becomes leader.
    BecomesLeader,
    /// The node starts a pre-vote.
    BecomesPreCandidate,
    /// The node starts an election.
    BecomesCandidate,
    /// The node's commit index rises.
    AdvancesCommit,
    /// The node has written a part of the superblock, which is not durable yet.
    UpdatesSuperblock,
    /// The node's disk has created a segment, and the node has not been notified of it yet.
    CreatesSegment,
    /// The node has written the first flush of a segment, which is not durable yet.
    BeginsSegment,
    /// The node has removed a file, and the removal is not durable yet.
    RemovesFile,
    /// The node has asked for a view of its state machine, to write a snapshot of it.
    TakesSnapshot,
    /// The node has written a part of a snapshot, which is not durable yet.
    WritesSnapshot,
    /// The node has renamed a complete snapshot to its final name, and the name is not durable yet.
    RenamesSnapshot,
    /// The node has received a part of a snapshot.
    ReceivesPart,
    /// The node has sent a part of a snapshot.
    SendsPart,
    /// The node has written to the superblock that a snapshot replaces its log, not durably yet.
    InstallsSnapshot,
    /// The node's state machine has restored a snapshot.
    RestoresSnapshot,
    /// The last membership in the node's log has changed.
    ChangesMembership,
}

/// The node that an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSelector {
    /// The node with this id.
    Node(NodeId),
    /// The node that met the trigger.
    It,
    /// The peer in the event that fired the trigger: the candidate it votes for, or the leader
    /// whose entries it takes. The node that met the trigger if there is no peer.
    Other,
    /// The leader with the highest term, if any node leads.
    Leader,
}

/// The part of the unflushed writes that survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptWrites {
    /// No unflushed write survives.
    None,
    /// A part survives, chosen when the crash happens.
    Part,
    /// All unflushed writes survive.
    All,
}

/// A call of a node to its disk that a scenario can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A write to a file.
    Write,
    /// The creation of a file.
    Create,
    /// The renaming of a file.
    Rename,
    /// The removal of a file.
    Remove,
    /// A flush of a file (fsync).
    Flush,
    /// A flush of the directory (fsync).
    FlushDirectory,
    /// A read from a file.
    Read,
}

/// A region of the durable data on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// A copy of the superblock.
    Superblock,
    /// The entry headers of a segment.
    Headers,
    /// The entry bodies of a segment.
    Bodies,
    /// The bytes of a snapshot file.
    Snapshot,
}

/// An error of a node's state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineFault {
    /// The state machine does not apply a command.
    SkippedCommand,
    /// The state machine applies a command twice.
    RepeatedCommand,
    /// The state machine returns a wrong reply to a command.
    WrongReply,
    /// A bit of the state machine's state flips.
    BitFlip,
}

/// The effect of a planned operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The node crashes, and restarts after the duration.
    Crash(NodeSelector, KeptWrites, Duration),
    /// The node loses its disk, and restarts on an empty one after the duration.
    Wipe(NodeSelector, Duration),
    /// The node's disk is copied; after the first duration the node crashes, and after the second
    /// one it restarts on the copy.
    RollBack(NodeSelector, Duration, Duration),
    /// The node shuts down cleanly, and restarts after the duration.
    Stop(NodeSelector, Duration),
    /// The node receives this many commands at once.
    LoadSpike(NodeSelector, u32),
    /// A client reads at the node, once per first duration, until the second one is over.
    PollReads(NodeSelector, Duration, Duration),
    /// The node makes no steps for the duration.
    Pause(NodeSelector, Duration),
    /// Blocks all messages to and from the node.
    Isolate(NodeSelector, Duration),
    /// Blocks all messages to the node.
    BlockInbound(NodeSelector, Duration),
    /// Blocks all messages from the node.
    BlockOutbound(NodeSelector, Duration),
    /// The first node keeps only its links with the second one.
    Strand(NodeSelector, NodeSelector, Duration),
    /// Blocks messages from the first node to the second one.
    Cut(NodeSelector, NodeSelector, Duration),
    /// Blocks all messages between these nodes and the others.
    Split(Vec<NodeSelector>, Duration),
    /// Blocks all messages except between these pairs of nodes.
    Only(Vec<(NodeId, NodeId)>, Duration),
    /// The link between the two goes down and up again, each time for the first duration.
    Flap(NodeSelector, NodeSelector, Duration, Duration),
    /// Holds back all messages from the node, and delivers them together at the end.
    Clog(NodeSelector, Duration),
    /// The node's clock runs fast by this many parts per million, or slow if negative.
    ClockDrift(NodeSelector, i32, Duration),
    /// The node's clock steps forward by the duration.
    ClockStep(NodeSelector, Duration),
    /// Each flush of the node takes longer by the first duration.
    SlowDisk(NodeSelector, Duration, Duration),
    /// The node's state machine takes longer for each batch by the first duration.
    SlowApply(NodeSelector, Duration, Duration),
    /// The node receives this many messages that no correct node would send to it.
    Misroute(NodeSelector, u32),
    /// The node receives this many old messages again.
    Replay(NodeSelector, u32),
    /// The node starts an election.
    Campaign(NodeSelector),
    /// A disk call of the node fails, after this many others of the kind; this many sectors of the
    /// failed call are done.
    FailCall(NodeSelector, Call, u32, u32),
    /// The node's disk accepts only this many more bytes, for the duration.
    FillDisk(NodeSelector, u32, Duration),
    /// The node's disk completes no call for the duration.
    StallDisk(NodeSelector, Duration),
    /// Flips bits in this region of the node's disk.
    Corrupt(NodeSelector, Region),
    /// A write of the node, after this many others, goes to this region of its disk instead.
    MisdirectWrite(NodeSelector, Region, u32),
    /// A write of the node, after this many others, is reported as done but not stored.
    LoseWrite(NodeSelector, u32),
    /// Asks the node to change the membership.
    Change(NodeSelector, Change),
    /// Asks the node to cancel the membership change in progress.
    CancelChange(NodeSelector),
    /// Asks the node to transfer the leadership to this node, or to the best target.
    Transfer(NodeSelector, Option<NodeId>),
    /// The node's state machine makes this error with the next command.
    MachineFault(NodeSelector, MachineFault),
    /// A client sends a request to the key-value store.
    Request(ScriptedRequest),
}

/// One request of a client to the simulator's key-value store.
///
/// The client resends it until it is answered or the request timeout is over. A write is executed
/// at most once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedRequest {
    /// The operation on the store.
    pub operation: ScriptedOperation,
    /// The node that gets the request first, or any node if `None`. A read is sent to this node
    /// only; a write is redirected from it to the leader.
    pub via: Option<NodeSelector>,
    /// Whether the scenario expects an outcome of the request.
    pub expected: bool,
}

/// An operation on the key-value store. A missing key has the value `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptedOperation {
    /// Sets the key to the value.
    Put(String, String),
    /// Sets the key to the second value if it has the first one (compare-and-swap).
    Swap(String, Option<String>, String),
    /// Reads the key at this read level; the last field is the value that the scenario expects, if
    /// any.
    Get(String, ReadLevel, Option<Option<String>>),
}

/// The outcome of a scripted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptedOutcome {
    /// The write was executed.
    Done,
    /// The key has this value. For a compare-and-swap: the value differs from the expected one, so
    /// nothing was written.
    Value(Option<String>),
    /// The client got no reply before its request timeout.
    NoReply,
}

impl Verb {
    /// Returns the fault kind of the operation, or `None` for a scripted request.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        Some(match self {
            Verb::Crash(..) => Fault::Crash,
            Verb::Wipe(..) => Fault::Wipe,
            Verb::RollBack(..) => Fault::Rollback,
            Verb::Stop(..) => Fault::Stop,
            Verb::LoadSpike(..) | Verb::PollReads(..) => Fault::LoadSpike,
            Verb::Pause(..) => Fault::Pause,
            Verb::Isolate(..) | Verb::Split(..) => Fault::Partition,
            Verb::BlockInbound(..) | Verb::BlockOutbound(..) | Verb::Cut(..) => Fault::OneWay,
            Verb::Strand(..) | Verb::Only(..) => Fault::Bridge,
            Verb::Flap(..) => Fault::Flap,
            Verb::Clog(..) => Fault::Clog,
            Verb::ClockDrift(..) => Fault::ClockDrift,
            Verb::ClockStep(..) => Fault::ClockStep,
            Verb::SlowDisk(..) => Fault::SlowDisk,
            Verb::SlowApply(..) => Fault::SlowApply,
            Verb::Misroute(..) => Fault::Misroute,
            Verb::Replay(..) => Fault::Replay,
            Verb::Campaign(..) => Fault::Campaign,
            Verb::FailCall(_, Call::Flush | Call::FlushDirectory, ..) => Fault::FailedFlush,
            Verb::FailCall(_, Call::Read, ..) => Fault::FailedRead,
            Verb::FailCall(..) => Fault::FailedWrite,
            Verb::FillDisk(..) => Fault::FullDisk,
            Verb::StallDisk(..) => Fault::StalledDisk,
            Verb::Corrupt(..) => Fault::BitRot,
            Verb::MisdirectWrite(..) => Fault::MisdirectedWrite,
            Verb::LoseWrite(..) => Fault::LostWrite,
            Verb::Change(..) | Verb::CancelChange(_) => Fault::Change,
            Verb::Transfer(..) => Fault::Transfer,
            Verb::MachineFault(..) => Fault::MachineFault,
            Verb::Request(_) => return None,
        })
    }
}

impl Verb {
    /// Returns how long the effect lasts, or `None` if it has no duration.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        match self {
            Verb::Crash(_, _, duration)
            | Verb::Wipe(_, duration)
            | Verb::RollBack(_, _, duration)
            | Verb::Stop(_, duration)
            | Verb::PollReads(_, _, duration)
            | Verb::Pause(_, duration)
            | Verb::Isolate(_, duration)
            | Verb::BlockInbound(_, duration)
            | Verb::BlockOutbound(_, duration)
            | Verb::Strand(_, _, duration)
            | Verb::Cut(_, _, duration)
            | Verb::Split(_, duration)
            | Verb::Only(_, duration)
            | Verb::Flap(_, _, _, duration)
            | Verb::Clog(_, duration)
            | Verb::ClockDrift(_, _, duration)
            | Verb::SlowDisk(_, _, duration)
            | Verb::SlowApply(_, _, duration)
            | Verb::FillDisk(_, _, duration)
            | Verb::StallDisk(_, duration) => Some(*duration),
            Verb::ClockStep(..)
            | Verb::LoadSpike(..)
            | Verb::Misroute(..)
            | Verb::Replay(..)
            | Verb::Campaign(_)
            | Verb::FailCall(..)
            | Verb::Corrupt(..)
            | Verb::MisdirectWrite(..)
            | Verb::LoseWrite(..)
            | Verb::Change(..)
            | Verb::CancelChange(_)
            | Verb::Transfer(..)
            | Verb::MachineFault(..)
            | Verb::Request(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::choice::{Choices, Key, Kind, Overrides};
    use crate::profile::Profile;
    use crate::settings::Settings;
    use crate::strategy::Strategy;

    use super::*;

    fn drawn(seed: u64, overrides: &Overrides) -> Plan {
        let choices = Choices::new(seed, overrides.clone());
        let settings =
            Settings::draw((<&Profile>::default(), Strategy::default()), &choices, 1, 64);
        Plan::draw((&settings, Strategy::default()), &choices)
    }

    #[test]
    fn a_plan_is_a_function_of_the_seed() {
        for seed in 0..50 {
            assert_eq!(drawn(seed, &Overrides::new()), drawn(seed, &Overrides::new()));
        }
        assert_ne!(drawn(1, &Overrides::new()), drawn(2, &Overrides::new()));
    }

    #[test]
    fn emptying_one_slot_changes_no_other() {
        let seed = (0..).find(|seed| drawn(*seed, &Overrides::new()).ops.len() > 8);
        let seed = seed.expect("some seed has many operations");
        let whole = drawn(seed, &Overrides::new());
        for slot in 1..=4 {
            let key = Key { peer: slot, ..Kind::Plan.key() };
            let less = drawn(seed, &Overrides::from([(key, 0)]));
            let mut rest = whole.ops.iter();
            assert!(less.ops.iter().all(|op| rest.any(|other| other == op)), "slot {slot}");
        }
    }

    #[test]
    fn every_operation_prints_as_one_line() {
        let plan = drawn(3, &Overrides::new());
        assert_eq!(plan.to_string().lines().count(), plan.ops.len());
    }
}
