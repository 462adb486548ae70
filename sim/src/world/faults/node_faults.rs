//! The faults that concern one node alone: its process, its clock, its disk.

use std::time::Duration;

use crate::faults::{
    BitRot, ClockDrift, ClockStep, FailedCall, Fault, FullDisk, LostWrite, MisdirectedWrite, Pause,
    SlowApply, SlowDisk, StalledDisk, Stop, Verb,
};
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
        Verb::Pause(Pause { duration, .. }) => pause(node, duration, run),
        Verb::Stop(Stop { down, .. }) => stop(node, down, run),
        Verb::Campaign(_) => campaign(node, run),
        Verb::ClockDrift(ClockDrift { ppm, .. }) => {
            return Some(clock::drift(node, ppm, run));
        }
        Verb::ClockStep(ClockStep { by, .. }) => clock::step(node, by, run),
        Verb::SlowDisk(SlowDisk { by, .. }) => return Some(disk::slow(node, by)),
        Verb::SlowApply(SlowApply { by, .. }) => return Some(disk::slow_apply(node, by)),
        Verb::FullDisk(FullDisk { room, .. }) => return has_files.then(|| disk::fill(node, room)),
        Verb::FailedCall(FailedCall { call, after, sectors, .. }) if has_files => {
            disk::fail_call(node, call, after, sectors);
        }
        Verb::StalledDisk(StalledDisk { duration, .. }) if has_files => {
            disk::stall(node, duration, run);
        }
        Verb::BitRot(BitRot { region, .. }) if has_files && may_damage => {
            disk::corrupt(node, region, run);
        }
        Verb::MisdirectedWrite(MisdirectedWrite { region, after, .. })
            if has_files && may_damage =>
        {
            disk::misdirect_write(node, region, after, run.setup);
        }
        Verb::LostWrite(LostWrite { after, .. }) if has_files && may_damage => {
            disk::lose_write(node, after)
        }
        Verb::FailedCall(_)
        | Verb::StalledDisk(_)
        | Verb::BitRot(_)
        | Verb::MisdirectedWrite(_)
        | Verb::LostWrite(_) => {}
        // They concern other owners, too.
        Verb::Crash(_)
        | Verb::Wipe(_)
        | Verb::Rollback(_)
        | Verb::LoadSpike(_)
        | Verb::Partition(_)
        | Verb::OneWay(_)
        | Verb::Bridge(_)
        | Verb::Flap(_)
        | Verb::Clog(_)
        | Verb::Misroute(_)
        | Verb::Replay(_)
        | Verb::MembershipChange(_)
        | Verb::Transfer(_)
        | Verb::FaultyMachine(_)
        | Verb::ScriptedRequest(_) => {}
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
