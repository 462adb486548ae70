//! A node's state machine makes an error.

use crate::faults::argument::{Node, named};
use crate::faults::{NodeSelector, Simulated, Strike, operation};

operation! {
    /// The node's state machine makes this error with the next command.
    struct FaultyMachine "machine fault" {
        /// The node of the state machine.
        node: NodeSelector as Node,
        /// The error that the state machine makes.
        fault: MachineFault as MachineFault,
    }
    draw |draw, node, _| FaultyMachine { node, fault: draw.pick(MachineFault::ALL).0 };
    strike |it| Strike::Simulated(it.node, Simulated::MachineFault(it.fault));
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
