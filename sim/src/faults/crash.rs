//! Faults of a node's process: it crashes, shuts down or pauses.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::{Argument, For, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{KeptWrites, NodeStrike, Strike};
use crate::values::words::{SyntaxError, Words};

operation! {
    /// The node crashes, loses its memory and its unflushed writes, and restarts after the
    /// duration; `keep` keeps a part or all of the unflushed writes.
    struct Crash "crash" {
        /// The node that crashes.
        node: NodeSelector as Node,
        /// The part of its unflushed writes that survives.
        keep: KeptWrites as KeptWrites,
        /// How long the node stays down.
        down: Duration as For,
    }
    draw |draw, node, _| {
        let keep = *draw.pick(&[KeptWrites::Part, KeptWrites::None, KeptWrites::All]);
        Crash { node, keep, down: draw.downtime() }
    };
    strike |it| Strike::Node(it.node, NodeStrike::Crash(it.keep, it.down));
    on_processes |crash| match crash.keep {
        KeptWrites::None | KeptWrites::All => Ok(()),
        KeptWrites::Part => Err("the kernel keeps all writes of a killed process"),
    };
}

operation! {
    /// The node shuts down cleanly, and restarts after the duration.
    struct Stop "stop" {
        /// The node that shuts down.
        node: NodeSelector as Node,
        /// How long the node stays down.
        down: Duration as For,
    }
    draw |draw, node, _| Stop { node, down: draw.downtime() };
    strike |it| Strike::Node(it.node, NodeStrike::Stop(it.down));
}

operation! {
    /// The node takes no steps; messages that arrive meanwhile are delivered together at the end.
    struct Pause "pause" {
        /// The node that pauses.
        node: NodeSelector as Node,
        /// How long the node pauses.
        duration: Duration as For,
    }
    draw |_, node, duration| Pause { node, duration };
    strike |it| Strike::Node(it.node, NodeStrike::Pause(it.duration));
}

impl Argument for KeptWrites {
    type Value = KeptWrites;
    const USAGE: &'static str = "[keep=part|all]";

    fn read(words: &mut Words<'_>) -> Result<KeptWrites, SyntaxError> {
        let kept = |word: &str| match word {
            "keep=none" => Some(KeptWrites::None),
            "keep=part" => Some(KeptWrites::Part),
            "keep=all" => Some(KeptWrites::All),
            _ => None,
        };
        match words.peek().is_some_and(|word| word.starts_with("keep=")) {
            true => words.read("keep=none, keep=part or keep=all", kept),
            false => Ok(KeptWrites::None),
        }
    }

    fn write(keep: &KeptWrites, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match keep {
            KeptWrites::None => "",
            KeptWrites::Part => " keep=part",
            KeptWrites::All => " keep=all",
        })
    }
}
