//! The faults that concern one node alone: its process, its clock, its disk.

use std::time::Duration;

use crate::fault::Fault;
use crate::plan::Verb;
use crate::world::cluster::node::Node;
use crate::world::faults::effect::Effect;
use crate::world::faults::{clock, disk};
use crate::world::run::Run;
use crate::world::scheduler::queue::Event;

/// Lets a fault strike a node, and returns its effect if it lasts. `may_damage` says whether enough
/// nodes with intact disks remain to elect a leader if this one loses durable data.
pub(crate) fn strike(
    node: &mut Node,
    verb: &Verb,
    may_damage: bool,
    run: &mut Run<'_>,
) -> Option<Effect> {
    let has_files = node.disk.is_formatted();
    match *verb {
        Verb::Pause(_, duration) => pause(node, duration, run),
        Verb::Stop(_, down) => stop(node, down, run),
        Verb::Campaign(_) => campaign(node, run),
        Verb::ClockDrift(_, ppm, _) => {
            return Some(clock::drift(node, ppm, run));
        }
        Verb::ClockStep(_, by) => clock::step(node, by, run),
        Verb::SlowDisk(_, by, _) => return Some(disk::slow(node, by)),
        Verb::SlowApply(_, by, _) => return Some(disk::slow_apply(node, by)),
        Verb::FillDisk(_, room, _) => return has_files.then(|| disk::fill(node, room)),
        Verb::FailCall(_, call, after, sectors) if has_files => {
            disk::fail_call(node, call, after, sectors);
        }
        Verb::StallDisk(_, duration) if has_files => {
            disk::stall(node, duration, run);
        }
        Verb::Corrupt(_, region) if has_files && may_damage => {
            disk::corrupt(node, region, run);
        }
        Verb::MisdirectWrite(_, region, after) if has_files && may_damage => {
            disk::misdirect_write(node, region, after, run.setup);
        }
        Verb::LoseWrite(_, after) if has_files && may_damage => disk::lose_write(node, after),
        Verb::FailCall(..)
        | Verb::StallDisk(..)
        | Verb::Corrupt(..)
        | Verb::MisdirectWrite(..)
        | Verb::LoseWrite(..) => {}
        // They concern other owners, too.
        Verb::Crash(..)
        | Verb::Wipe(..)
        | Verb::RollBack(..)
        | Verb::LoadSpike(..)
        | Verb::PollReads(..)
        | Verb::Isolate(..)
        | Verb::BlockInbound(..)
        | Verb::BlockOutbound(..)
        | Verb::Strand(..)
        | Verb::Cut(..)
        | Verb::Split(..)
        | Verb::Only(..)
        | Verb::Flap(..)
        | Verb::Clog(..)
        | Verb::Misroute(..)
        | Verb::Replay(..)
        | Verb::Change(..)
        | Verb::CancelChange(_)
        | Verb::Transfer(..)
        | Verb::MachineFault(..)
        | Verb::Request(_) => {}
    }
    None
}

/// Pauses the process for the duration.
fn pause(node: &mut Node, duration: Duration, run: &mut Run<'_>) {
    if !node.pause(duration, run.scheduler) {
        return;
    }
    run.observer.fault(Fault::Pause, node.role());
    run.observer.pauses(run.scheduler.now(), node.place.id());
    clock::stop(node, run);
}

/// Asks the process to shut down; it restarts after `down`.
fn stop(node: &mut Node, down: Duration, run: &mut Run<'_>) {
    if node.role().is_some() {
        run.observer.fault(Fault::Stop, node.role());
        node.set_stop_downtime(down);
        run.scheduler.at_once(Event::Stop { place: node.place });
    }
}

/// Asks the process to start an election.
fn campaign(node: &Node, run: &mut Run<'_>) {
    if node.role().is_some() {
        run.observer.fault(Fault::Campaign, node.role());
        run.scheduler.at_once(Event::Campaign { place: node.place });
    }
}
