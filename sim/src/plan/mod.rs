//! The plan of a run: every planned fault, timed or triggered, one per line.
//!
//! A plan is drawn from the seed before the run and printed as it is; taking a line out changes
//! no other.

mod draw;
mod elections;
mod errand;
mod laggard;
mod leases;
mod members;
mod print;
pub mod read;
mod relapse;
mod strike;
mod topology;
mod words;

use std::time::Duration;

use quorate::types::{Change, NodeId, ReadLevel};

use crate::fault::Fault;
use crate::time::SimTime;

/// The planned operations of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations; their order does not matter.
    pub ops: Vec<Op>,
}

/// How long a fault lasts that has no end of its own: longer than any run. What still lasts when
/// the storm is over is dealt with as all faults are then.
pub const FOREVER: Duration = Duration::from_secs(1_000_000_000);

/// One planned operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// When it happens.
    pub when: When,
    /// What happens.
    pub verb: Verb,
}

/// When a planned operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At a time.
    At(SimTime),
    /// When a node does something.
    On(Occasion),
}

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// What a node does.
    pub trigger: Trigger,
    /// Which node; any, if none is named.
    pub by: Option<NodeId>,
    /// Not before this time.
    pub from: SimTime,
    /// Not after this time.
    pub to: SimTime,
    /// Fires at this match, from 1, and at the ones after it.
    pub nth: u32,
    /// How often it fires at most.
    pub times: u32,
    /// How long after the trigger it fires; at once, before the node does anything else, if zero.
    pub later: Duration,
}

impl Occasion {
    /// The next time that any node does this, from one time to another, and at once.
    #[must_use]
    pub fn next(trigger: Trigger, from: SimTime, to: SimTime) -> Occasion {
        Occasion { trigger, by: None, from, to, nth: 1, times: 1, later: Duration::ZERO }
    }
}

impl When {
    /// Before this nothing happens.
    #[must_use]
    pub fn begins(&self) -> SimTime {
        match *self {
            When::At(at) => at,
            When::On(Occasion { from, .. }) => from,
        }
    }
}

/// What a node does that a planned operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// It has started again.
    Starts,
    /// Its process has ended: it has crashed, or stopped in good order.
    Falls,
    /// It is about to give a write to its disk.
    AboutToSubmit,
    /// It has given a vote to its disk, and the vote is not durable yet.
    SubmitsVote,
    /// It has given entries to its disk, and they are not durable yet.
    SubmitsEntries,
    /// It has given a write to its disk that replaces entries there.
    CutsLog,
    /// A write of it is durable, and it has not heard of it.
    Flushes,
    /// It has given a granted vote, or an acknowledgement of entries, to the network.
    Promises,
    /// It has given a heartbeat to the network.
    Beats,
    /// It begins to lead.
    BecomesLeader,
    /// It begins to ask whether it would win.
    BecomesPreCandidate,
    /// It begins to campaign.
    BecomesCandidate,
    /// Its commit index rises.
    AdvancesCommit,
    /// It has written a part of the superblock, not durably.
    UpdatesSuperblock,
    /// It has created a segment of which it does not know.
    CreatesSegment,
    /// It has written the first flush of a segment, not durably.
    BeginsSegment,
    /// It has removed a file, not durably.
    RemovesFile,
    /// It has asked for a view of its state machine.
    TakesSnapshot,
    /// It has written a part of a snapshot, not durably.
    WritesSnapshot,
    /// A whole snapshot has its final name, not durably.
    NamesSnapshot,
    /// It has got a part of a snapshot.
    ReceivesPart,
    /// It has given a part of a snapshot to the network.
    SendsPart,
    /// It has written to the superblock, not durably, that a snapshot takes the place of its log.
    InstallsSnapshot,
    /// Its state machine has started over from a snapshot.
    RestoresSnapshot,
    /// Another membership is the last in its log.
    ChangesMembership,
}

/// Whom an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This node.
    Node(NodeId),
    /// The node of the trigger.
    It,
    /// The node on the other side of what the trigger saw: whom it votes for, whose entries it
    /// takes; if there is none, the node of the trigger.
    Other,
    /// The leader with the highest term, if any node leads.
    Leader,
}

/// What a crash keeps of the writes that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    None,
    /// A part of them that is chosen when it happens.
    Part,
    /// Everything.
    All,
}

/// What a node asks of its disk, as far as it may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To write.
    Write,
    /// To make a file.
    Create,
    /// To give a file another name.
    Rename,
    /// To remove a file.
    Remove,
    /// To flush a file.
    Flush,
    /// To flush the directory.
    FlushDirectory,
    /// To read.
    Read,
}

/// A part of what a disk has durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// A copy of the superblock.
    Superblock,
    /// The headers of a segment.
    Headers,
    /// The bodies of a segment.
    Bodies,
    /// A snapshot.
    Snapshot,
}

/// How a state machine errs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// It does not carry out a command.
    Skips,
    /// It carries a command out twice.
    Repeats,
    /// It replies something else.
    Misspeaks,
    /// A bit of its state flips.
    Forgets,
}

/// What a planned operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The node crashes, and starts again after a while.
    Crash(Who, Keep, Duration),
    /// The node loses its disk, and starts on an empty one after a while.
    Wipe(Who, Duration),
    /// The node starts, after the second duration, on its disk as it was the first one before.
    Rollback(Who, Duration, Duration),
    /// The node stops in good order, and starts again after a while.
    Stop(Who, Duration),
    /// So many commands reach the node at once.
    Surge(Who, u32),
    /// Somebody reads at the node after every first duration, for as long as the second one.
    Consult(Who, Duration, Duration),
    /// The node does nothing for a while.
    Pause(Who, Duration),
    /// The node neither hears nor is heard.
    Isolate(Who, Duration),
    /// The node hears nobody, but is heard.
    Deafen(Who, Duration),
    /// The node hears, but is not heard.
    Mute(Who, Duration),
    /// The first node keeps its links with the second alone.
    Strand(Who, Who, Duration),
    /// What the first node sends does not reach the second.
    Cut(Who, Who, Duration),
    /// These nodes and the others do not hear one another.
    Split(Vec<Who>, Duration),
    /// Only these pairs hear one another.
    Only(Vec<(NodeId, NodeId)>, Duration),
    /// The link between the two goes down and up again, each time for the first duration.
    Flap(Who, Who, Duration, Duration),
    /// Nothing the node sends arrives until the end; then all of it does.
    Clog(Who, Duration),
    /// The node's clock runs fast by so many parts per million, or slow if negative.
    Drift(Who, i32, Duration),
    /// The node's clock jumps ahead by the duration.
    Jump(Who, Duration),
    /// Each of the node's flushes takes longer by the first duration.
    SlowDisk(Who, Duration, Duration),
    /// Each batch takes the node's state machine longer by the first duration.
    SlowApply(Who, Duration, Duration),
    /// So many messages no correct node would send reach the node.
    Stray(Who, u32),
    /// So many old messages reach the node again.
    Replay(Who, u32),
    /// The node campaigns.
    Campaign(Who),
    /// A call of the node to its disk fails, after so many others of the kind; so many sectors of
    /// what it is about are done.
    Fail(Who, Call, u32, u32),
    /// The node's disk has room for so many bytes more, until the end.
    Fill(Who, u32, Duration),
    /// The node's disk does nothing until the end.
    Stall(Who, Duration),
    /// Bits flip in that part of the node's disk.
    Rot(Who, Region),
    /// A write of the node's, after so many others, hits that part of its disk instead.
    Misdirect(Who, Region, u32),
    /// A write of the node's, after so many others, is not stored.
    LoseWrite(Who, u32),
    /// The node is asked to change the membership.
    Change(Who, Change),
    /// The node is asked to give up the change under way.
    GiveUp(Who),
    /// The node is asked to let another one lead: this one, or the best.
    Transfer(Who, Option<NodeId>),
    /// The node's state machine errs, with the next command.
    Slip(Who, Slip),
    /// A client asks for something.
    Ask(Errand),
}

/// One operation of a client on the key-value store at hand.
///
/// Its client asks until it is answered or has waited as long as clients do. What changes
/// something is carried out once, however often it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// What is asked.
    pub task: Task,
    /// The node that is asked: a read asks no other, anything else goes on from there to whoever
    /// leads. If none is named, it begins anywhere.
    pub via: Option<Who>,
    /// Whether the run is to be held against what comes of it.
    pub expected: bool,
}

/// What a client asks the key-value store. A value that is none is that of a missing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The key gets this value.
    Put(String, String),
    /// The key gets the second value if it has the first.
    Swap(String, Option<String>, String),
    /// The value of the key, so fresh; this one, if one is expected.
    Get(String, ReadLevel, Option<Option<String>>),
}

/// What came of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The key has this value. Of a swap: and not the one that it must have, so nothing happened.
    Value(Option<String>),
    /// Nothing that its client has heard of.
    Silence,
}

impl Verb {
    /// The kind of fault that the operation is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        Some(match self {
            Verb::Crash(..) => Fault::Crash,
            Verb::Wipe(..) => Fault::Wipe,
            Verb::Rollback(..) => Fault::Rollback,
            Verb::Stop(..) => Fault::Stop,
            Verb::Surge(..) | Verb::Consult(..) => Fault::Surge,
            Verb::Pause(..) => Fault::Pause,
            Verb::Isolate(..) | Verb::Split(..) => Fault::Partition,
            Verb::Deafen(..) | Verb::Mute(..) | Verb::Cut(..) => Fault::OneWay,
            Verb::Strand(..) | Verb::Only(..) => Fault::Bridge,
            Verb::Flap(..) => Fault::Flap,
            Verb::Clog(..) => Fault::Clog,
            Verb::Drift(..) => Fault::Drift,
            Verb::Jump(..) => Fault::Jump,
            Verb::SlowDisk(..) => Fault::SlowDisk,
            Verb::SlowApply(..) => Fault::SlowApply,
            Verb::Stray(..) => Fault::Stray,
            Verb::Replay(..) => Fault::Replay,
            Verb::Campaign(..) => Fault::Campaign,
            Verb::Fail(_, Call::Flush | Call::FlushDirectory, ..) => Fault::FailedFlush,
            Verb::Fail(_, Call::Read, ..) => Fault::FailedRead,
            Verb::Fail(..) => Fault::FailedWrite,
            Verb::Fill(..) => Fault::FullDisk,
            Verb::Stall(..) => Fault::StalledDisk,
            Verb::Rot(..) => Fault::Rot,
            Verb::Misdirect(..) => Fault::MisdirectedWrite,
            Verb::LoseWrite(..) => Fault::LostWrite,
            Verb::Change(..) | Verb::GiveUp(_) => Fault::Change,
            Verb::Transfer(..) => Fault::Transfer,
            Verb::Slip(..) => Fault::Slip,
            Verb::Ask(_) => return None,
        })
    }
}

impl Verb {
    /// How long the operation's effect lasts, if it ends by itself.
    #[must_use]
    pub fn lasting(&self) -> Option<Duration> {
        match self {
            Verb::Crash(_, _, lasting)
            | Verb::Wipe(_, lasting)
            | Verb::Rollback(_, _, lasting)
            | Verb::Stop(_, lasting)
            | Verb::Consult(_, _, lasting)
            | Verb::Pause(_, lasting)
            | Verb::Isolate(_, lasting)
            | Verb::Deafen(_, lasting)
            | Verb::Mute(_, lasting)
            | Verb::Strand(_, _, lasting)
            | Verb::Cut(_, _, lasting)
            | Verb::Split(_, lasting)
            | Verb::Only(_, lasting)
            | Verb::Flap(_, _, _, lasting)
            | Verb::Clog(_, lasting)
            | Verb::Drift(_, _, lasting)
            | Verb::SlowDisk(_, _, lasting)
            | Verb::SlowApply(_, _, lasting)
            | Verb::Fill(_, _, lasting)
            | Verb::Stall(_, lasting) => Some(*lasting),
            Verb::Jump(..)
            | Verb::Surge(..)
            | Verb::Stray(..)
            | Verb::Replay(..)
            | Verb::Campaign(_)
            | Verb::Fail(..)
            | Verb::Rot(..)
            | Verb::Misdirect(..)
            | Verb::LoseWrite(..)
            | Verb::Change(..)
            | Verb::GiveUp(_)
            | Verb::Transfer(..)
            | Verb::Slip(..)
            | Verb::Ask(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::choice::{Choices, Key, Kind, Overrides};
    use crate::profile::Profile;
    use crate::rung::Rung;
    use crate::settings::Settings;

    use super::*;

    fn drawn(seed: u64, overrides: &Overrides) -> Plan {
        let choices = Choices::new(seed, overrides.clone());
        let settings = Settings::draw((<&Profile>::default(), Rung::default()), &choices, 1, 64);
        Plan::draw((&settings, Rung::default()), &choices)
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
