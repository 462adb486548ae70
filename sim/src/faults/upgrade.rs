//! Builds that have different versions of the state machine's rules, and the raise of the version.

use std::fmt;

use crate::faults::argument::{Argument, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{AdminRequest, NodeStrike, ONE_VERSION, Simulated, Strike};
use crate::values::words::{SyntaxError, Words};

operation! {
    /// A step of a rolling upgrade or of a downgrade.
    enum Upgrade {
        /// The node crashes, and restarts with a build of its state machine that has the rules up
        /// to this version.
        Install "install" (node: NodeSelector as Node, build: u32 as RulesVersion)
        /// Asks the node to raise the version of the rules by which all state machines apply
        /// commands.
        Raise "raise version" (node: NodeSelector as Node, version: u32 as RulesVersion)
    }
    draw |draw, node, _| {
        let version = draw.between(0, Upgrade::VERSION_MAX.into()) as u32;
        match draw.chance(700) {
            true => Upgrade::Install(node, version),
            false => Upgrade::Raise(NodeSelector::Leader, version.max(1)),
        }
    };
    strike |upgrade| match *upgrade {
        Upgrade::Install(node, build) => Strike::Simulated(node, Simulated::Install(build)),
        Upgrade::Raise(node, version) => {
            Strike::Node(node, NodeStrike::Admin(AdminRequest::RaiseVersion(version)))
        }
    };
    on_processes |_| Err(ONE_VERSION);
}

impl Upgrade {
    /// The highest version of the rules that operations are drawn with.
    pub(crate) const VERSION_MAX: u32 = 2;
}

/// A version of the rules of the state machine.
pub(super) struct RulesVersion;

impl Argument for RulesVersion {
    type Value = u32;
    const USAGE: &'static str = "VERSION";

    fn read(words: &mut Words<'_>) -> Result<u32, SyntaxError> {
        words.read("a version of the rules, like 1", |word| word.parse().ok())
    }

    fn write(version: &u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {version}")
    }
}
