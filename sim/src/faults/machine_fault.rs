//! A node's state machine makes an error.

use crate::faults::argument::Node;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{MachineFault, Simulated, Strike};

operation! {
    /// The node's state machine makes this error with the next command. The line does nothing if
    /// half of the voters or more could then have a wrong state.
    struct FaultyMachine "machine fault" {
        /// The node of the state machine.
        node: NodeSelector as Node,
        /// The error that the state machine makes.
        fault: MachineFault as MachineFault,
    }
    draw |draw, node, _| FaultyMachine { node, fault: draw.pick(MachineFault::ALL).0 };
    strike |it| Strike::Simulated(it.node, Simulated::MachineFault(it.fault));
}
