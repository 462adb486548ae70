//! The guest whose nodes run either build, and the two builds as guests of their own.

use quorate_guests::disk::{Bytes, Disk, Snapshot};
use quorate_guests::guest::{Effects, Guest, Member, NodeId, ReadReply, Statement, Status};

pub use crate::frame::Frame;
pub use crate::present::node::Quorate as Present;
pub use crate::previous::node::Quorate as Previous;

/// The record of the build that a node ran last.
pub(crate) const BUILD: &str = "build";

/// A node of the previous release or of this tree: the member's `build` decides at each start.
/// Without rollbacks a node never returns to the previous release.
pub enum Mixed<const ROLLBACKS: bool> {
    /// The node runs the previous release.
    Previous(Box<Previous>),
    /// The node runs this tree.
    Present(Box<Present>),
}

macro_rules! either {
    ($mixed:expr, $node:ident => $result:expr) => {
        match $mixed {
            Mixed::Previous($node) => $result,
            Mixed::Present($node) => $result,
        }
    };
}

impl<const ROLLBACKS: bool> Guest for Mixed<ROLLBACKS> {
    type Message = Frame;

    const BUILDS: &'static [&'static str] = &["previous", "present"];

    fn start(member: &Member, disk: &Disk) -> Mixed<ROLLBACKS> {
        match member.build {
            0 => Mixed::Previous(Box::new(Previous::start(member, disk))),
            _ => Mixed::Present(Box::new(Present::start(member, disk))),
        }
    }

    fn tick(&mut self) {
        either!(self, node => node.tick());
    }

    fn receive(&mut self, from: NodeId, message: Frame) {
        either!(self, node => node.receive(from, message));
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        either!(self, node => node.propose(command))
    }

    fn take_effects(&mut self, effects: &mut Effects<Frame>) {
        either!(self, node => node.take_effects(effects));
    }

    fn status(&self) -> Status {
        either!(self, node => node.status())
    }

    /// Without rollbacks, the build that the node ran last is the oldest one. A release that
    /// changes the rules of its state machine by a command in the log needs a rule of its own here:
    /// after that command, no build without the new rules may start.
    fn oldest_build(disk: &Disk) -> usize {
        let last = disk.records.get(BUILD).and_then(|record| record.first());
        last.filter(|_| !ROLLBACKS).map_or(0, |build| usize::from(*build))
    }

    fn read(&mut self, read: u64) -> ReadReply {
        either!(self, node => node.read(read))
    }

    fn compact(&mut self, snapshot: Snapshot) {
        either!(self, node => node.compact(snapshot));
    }

    fn statement(from: NodeId, to: NodeId, message: &Frame) -> Statement {
        Present::statement(from, to, message)
    }
}
