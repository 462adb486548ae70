//! A node's state machine makes an error.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, Planned, Syntax, named};
use crate::faults::processes::MACHINE;
use crate::faults::selector::NodeSelector;

/// The node's state machine makes this error with the next command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyMachine {
    /// The node of the state machine.
    pub node: NodeSelector,
    /// The error.
    pub fault: MachineFault,
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

impl MachineFault {
    /// Every machine fault with its scenario words, in the order of declaration.
    pub const ALL: [(MachineFault, &'static str); 4] = [
        (MachineFault::SkippedCommand, "skipped command"),
        (MachineFault::RepeatedCommand, "repeated command"),
        (MachineFault::WrongReply, "wrong reply"),
        (MachineFault::BitFlip, "bit flip"),
    ];

    /// Returns the scenario words of the machine fault.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl FaultyMachine {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> FaultyMachine {
        FaultyMachine { node, fault: draw.pick(&MachineFault::ALL).0 }
    }
}

impl Planned for FaultyMachine {
    fn syntax<V: From<FaultyMachine>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "machine fault",
            arguments: "NODE FAULT",
            summary: "The node's state machine makes this error with the next command.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                let fault = named(w, "machine fault", &MachineFault::ALL)?;
                Ok(FaultyMachine { node, fault }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(MACHINE)
    }
}

impl fmt::Display for FaultyMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine fault {} {}", self.node, self.fault.name())
    }
}
