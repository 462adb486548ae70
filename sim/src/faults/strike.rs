//! The effects of operations, as data. The simulated world carries out all of them; the driver of
//! real processes carries out those that exist on processes.

use std::time::Duration;

use quorate::types::{Change, NodeId};

use crate::disk::{self, SimDisk};
use crate::faults::argument::named;
use crate::faults::selector::NodeSelector;
use crate::values::choice::Draw;

/// The effect of an operation when it is due.
pub(crate) enum Strike<'a> {
    /// Changes these links for the duration of the operation.
    Links(LinkFault, SelectLinks<'a>),
    /// Changes a node, in the simulator or as a process.
    Node(NodeSelector, NodeStrike),
    /// Changes a node of the simulator; it cannot be done to a process.
    Simulated(NodeSelector, Simulated<'a>),
    /// A client sends a request: the operation is a scripted request.
    Request,
}

/// Selects links, if the nodes that selectors mean are known.
pub(crate) type SelectLinks<'a> = Box<dyn Fn(Resolve<'_>) -> Option<LinkSelector> + 'a>;

/// Selects directed links by their sender and their receiver.
pub(crate) type LinkSelector = Box<dyn Fn(NodeId, NodeId) -> bool>;

/// Finds the node that a selector means, if there is one.
pub(crate) type Resolve<'a> = &'a dyn Fn(NodeSelector) -> Option<NodeId>;

/// The change of links for the duration of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// The links are blocked.
    Block,
    /// The links are blocked and work in turn, each time for this duration.
    Flap(Duration),
    /// The links hold back messages, and deliver them together at the end.
    Clog,
}

/// The change of a node, in the simulator or as a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeStrike {
    /// The node crashes with these unflushed writes kept, and restarts after the duration.
    Crash(KeptWrites, Duration),
    /// The node shuts down cleanly, and restarts after the duration.
    Stop(Duration),
    /// The node takes no steps for the duration.
    Pause(Duration),
    /// The node loses its disk, and restarts on an empty one after the duration.
    Wipe(Duration),
    /// The disk is copied; after the first duration the copy replaces the disk, and after the
    /// second one the node restarts.
    RollBack(Duration, Duration),
    /// The node receives this many commands at once.
    Commands(u32),
    /// A client reads at the node at once and then after every period, for the duration of the
    /// operation.
    PollReads(Duration),
    /// The operator sends the request to the node.
    Admin(AdminRequest),
}

/// The change of a node of the simulator only.
pub(crate) enum Simulated<'a> {
    /// The node campaigns, as if its election timeout had passed.
    Campaign,
    /// The node receives this many messages that no correct node would send to it.
    Misroute(u32),
    /// The node receives this many old messages again.
    Replay(u32),
    /// The node's state machine makes this error with the next command.
    MachineFault(MachineFault),
    /// The node restarts with a build that has the rules up to this version.
    Install(u32),
    /// The node's clock steps forward by this time.
    ClockStep(Duration),
    /// The node's disk completes no call for this time, except writes of the log and of the
    /// superblock, which use the cache.
    StalledDisk(Duration),
    /// A call of the node to its disk fails in this way, after this many other calls of its kind.
    FailedCall(disk::Fault, u32),
    /// Durable data on the node's disk changes now, or by a later write, unless too many nodes
    /// would lose theirs.
    Damage(DamageDisk<'a>),
    /// Data that other nodes can repair changes on the node's disk, if every other voter has an
    /// intact disk.
    DamageEntries(DamageEntries<'a>),
    /// The node changes in this way for the duration of the operation.
    Lasting(Lasting),
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

named! {
    /// An error of a node's state machine.
    MachineFault "FAULT" "machine fault" {
        /// The state machine does not apply a command.
        SkippedCommand "skipped command",
        /// The state machine applies a command twice.
        RepeatedCommand "repeated command",
        /// The state machine returns a wrong reply to a command.
        WrongReply "wrong reply",
        /// A bit of the state machine's state flips.
        BitFlip "bit flip",
    }
}

/// A request of the operator to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdminRequest {
    Change(Change),
    CancelChange,
    Transfer(Option<NodeId>),
    /// Raises the version of the user's rules.
    RaiseVersion(u32),
}

/// Damages a disk, or arms it to do damage, with the given choices.
pub(crate) type DamageDisk<'a> = Box<dyn Fn(&mut SimDisk, &mut Draw<'_>) -> Damage + 'a>;

/// Changes data on a disk that other nodes have, with the given choices; returns false if there is
/// none.
pub(crate) type DamageEntries<'a> = Box<dyn Fn(&mut SimDisk, &mut Draw<'_>) -> bool + 'a>;

/// The damage that a fault has done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing was there to be damaged.
    None,
    /// The disk will damage data with a later call.
    Armed,
    /// Data on the disk is damaged.
    Done,
}

/// A change of a node that is lifted at the end of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// The clock runs fast by this many parts per million, or slow if negative.
    ClockDrift(i32),
    /// Each flush takes longer by this time.
    SlowFlushes(Duration),
    /// Each batch of the state machine, and each step of a snapshot, takes longer by this time.
    SlowBatches(Duration),
    /// The disk accepts only this many more bytes.
    FullDisk(u32),
}

/// The reason why disk faults do not exist on real processes.
const DISK: &str = "disk faults at a call or a byte cannot be injected into a process";
/// The reason why clock faults do not exist on real processes.
const CLOCK: &str = "all processes share the clock of this machine";
/// The reason why upgrades do not exist on real processes.
pub(super) const ONE_VERSION: &str = "the state machine of `quorate` has one version";
/// The reason why faults of a state machine do not exist on real processes.
const MACHINE: &str = "the state machine of `quorate` cannot be made slow or wrong";

impl<'a> Strike<'a> {
    /// Returns the strike of an operation that changes the selected links.
    pub(super) fn links(
        fault: LinkFault,
        select: impl Fn(Resolve<'_>) -> Option<LinkSelector> + 'a,
    ) -> Strike<'a> {
        Strike::Links(fault, Box::new(select))
    }

    /// Returns the strike of an operation that damages the disk of a node.
    pub(super) fn damage(
        node: NodeSelector,
        damage: impl Fn(&mut SimDisk, &mut Draw<'_>) -> Damage + 'a,
    ) -> Strike<'a> {
        Strike::Simulated(node, Simulated::Damage(Box::new(damage)))
    }
}

impl Simulated<'_> {
    /// Returns why the change does not exist on real processes.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Simulated::Campaign => "no command makes a node campaign: use `transfer leader to`",
            Simulated::Misroute(_) | Simulated::Replay(_) => {
                "real processes cannot send forged or misrouted messages"
            }
            Simulated::MachineFault(_) | Simulated::Lasting(Lasting::SlowBatches(_)) => MACHINE,
            Simulated::Install(_) => ONE_VERSION,
            Simulated::ClockStep(_) | Simulated::Lasting(Lasting::ClockDrift(_)) => CLOCK,
            Simulated::StalledDisk(_)
            | Simulated::FailedCall(..)
            | Simulated::Damage(_)
            | Simulated::DamageEntries(_)
            | Simulated::Lasting(Lasting::SlowFlushes(_) | Lasting::FullDisk(_)) => DISK,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::faults::Verb;
    use crate::values::words::Words;

    use super::*;

    #[test]
    fn an_operation_selects_links() {
        let cases = [
            ("isolate n1", "n1->n2 n1->n3 n2->n1 n3->n1"),
            ("block inbound leader", "n1->n2 n3->n2"),
            ("block outbound n1", "n1->n2 n1->n3"),
            ("strand n1 with n3", "n1->n2 n2->n1"),
            ("cut n1 -> n3", "n1->n3"),
            ("split n1 n3", "n1->n2 n2->n1 n2->n3 n3->n2"),
            ("only n1-n2", "n1->n3 n2->n3 n3->n1 n3->n2"),
            ("flap n2-n3 every 1s", "n2->n3 n3->n2"),
            ("clog n1", "n1->n2 n1->n3"),
        ];
        let resolve = |selector| match selector {
            NodeSelector::Node(node) => Some(node),
            _ => Some(NodeId(2)),
        };
        for (line, expected) in cases {
            let verb = Verb::read(&mut Words::of(line, 1)).expect("the line is valid");
            let Strike::Links(_, select) = verb.strike() else { panic!("{verb} selects no links") };
            let selected = select(&resolve).expect("its nodes are known");
            let pairs = (1..=3).flat_map(|from| (1..=3).map(move |to| (NodeId(from), NodeId(to))));
            let links = pairs.filter(|(from, to)| from != to && selected(*from, *to));
            let links: Vec<String> = links.map(|(from, to)| format!("{from}->{to}")).collect();
            assert_eq!(links.join(" "), expected, "{line}");
        }
    }
}
