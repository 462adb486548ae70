//! How operations are executed on real processes, and why some are not.

use std::time::Duration;

use quorate::types::{Change, NodeId};

use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::selector::NodeSelector;

/// The execution of an operation on real processes.
pub(crate) enum ProcessAction<'a> {
    /// Kills the process, and restarts it after the duration.
    Kill(NodeSelector, Duration),
    /// Lets the process shut down cleanly, and restarts it after the duration.
    ShutDown(NodeSelector, Duration),
    /// Kills the process, removes its data directory, and restarts it after the duration.
    Wipe(NodeSelector, Duration),
    /// Copies the data directory; after the first duration the copy replaces the directory, and
    /// after the second one the process restarts.
    RollBack(NodeSelector, Duration, Duration),
    /// Stops the process, and continues it after the duration.
    Pause(NodeSelector, Duration),
    /// Cuts the links for the duration.
    Cut(SelectLinks<'a>, Duration),
    /// Cuts the links and heals them in turn, each time for the first duration, until the second
    /// one is over.
    Flap(SelectLinks<'a>, Duration, Duration),
    /// Sends this many commands at once.
    SendCommands(NodeSelector, u32),
    /// Reads once per first duration, until the second one is over.
    PollReads(NodeSelector, Duration, Duration),
    /// Sends the scripted request.
    SendRequest,
    /// Asks the leader for this change of the membership.
    ChangeMembership(&'a Change),
    /// Asks the leader to cancel the membership change in progress.
    CancelChange,
    /// Asks the leader to transfer the leadership to this node, or to the best target.
    Transfer(Option<NodeId>),
}

/// Selects links, if the nodes that selectors mean are known.
pub(crate) type SelectLinks<'a> = Box<dyn Fn(Resolve<'_>) -> Option<LinkSelector> + 'a>;

/// The execution, or the reason why the operation does not exist on real processes.
pub(crate) type OnProcesses<'a> = Result<ProcessAction<'a>, &'static str>;

/// The reason of the disk faults.
pub(crate) const DISK: &str = "disk faults at a call or a byte cannot be injected into a process";
/// The reason of the clock faults.
pub(crate) const CLOCK: &str = "all processes share the clock of this machine";
/// The reason of the faults of a state machine.
pub(super) const MACHINE: &str = "the state machine of `quorate` is correct";
/// The reason of messages that no correct node would send.
pub(super) const FORGED: &str = "real processes cannot send forged or misrouted messages";
