//! The faults that concern one node alone: its process, its clock, its disk.

use std::time::Duration;

use crate::faults::{Damage, DamageDisk, DamageEntries, Fault, Lasting, Simulated};
use crate::observe::Observation;
use crate::values::choice::{Key, Kind};
use crate::world::cluster::node::Node;
use crate::world::run::Run;
use crate::world::scheduler::Event;

/// Lets a fault that does not last strike a node; returns true if it has struck. `may_damage` says
/// whether the node may lose durable data: for damage, whether a majority of every set of voters
/// keeps an intact disk; for damage that other nodes can repair, whether every other voter has one.
pub(crate) fn strike(
    node: &mut Node,
    strike: &Simulated<'_>,
    may_damage: bool,
    run: &mut Run,
) -> bool {
    let has_files = node.disk.formatted;
    match strike {
        Simulated::Campaign if node.role().is_some() => {
            run.scheduler.at_once(Event::Campaign { place: node.place });
        }
        Simulated::ClockStep(by) => {
            note_bound(node, u32::MAX, run);
            node.change_clock(&mut run.scheduler, |clock, now| clock.step(now, *by));
        }
        Simulated::StalledDisk(duration) if has_files => {
            // The stabilization phase has no stalled disks.
            let until = run.scheduler.now().after(*duration).min(run.setup.fault_phase_end());
            node.disk.stalled_until = node.disk.stalled_until.max(until);
        }
        Simulated::FailedCall(fault, after) if has_files => {
            // The fault strikes only if enough calls follow.
            node.disk.device.arm(*fault, (*after).into());
            return false;
        }
        Simulated::Damage(damage) if has_files && may_damage => {
            return damage_disk(node, damage, run) == Damage::Done;
        }
        Simulated::DamageEntries(damage) if has_files && may_damage => {
            return damage_entries(node, damage, run);
        }
        Simulated::Campaign
        | Simulated::StalledDisk(_)
        | Simulated::FailedCall(..)
        | Simulated::Damage(_)
        | Simulated::DamageEntries(_) => return false,
        // These faults last, or concern more than the node.
        Simulated::Misroute(_)
        | Simulated::Replay(_)
        | Simulated::MachineFault(_)
        | Simulated::Install(_)
        | Simulated::Lasting(_) => return false,
    }
    true
}

/// Begins a fault that lasts; returns false if the node has nothing to strike.
pub(crate) fn begin(node: &mut Node, fault: Lasting, run: &mut Run) -> bool {
    match fault {
        Lasting::FullDisk(_) if !node.disk.formatted => return false,
        Lasting::ClockDrift(ppm) => note_bound(node, ppm.unsigned_abs(), run),
        Lasting::FullDisk(_) | Lasting::SlowFlushes(_) | Lasting::SlowBatches(_) => {}
    }
    node.begin_fault(fault, &mut run.scheduler);
    true
}

/// Pauses the process for the duration, or extends its pause; its clock stops if clocks stop during
/// pauses in this run. If an event of the node triggers the pause, the process still takes the step
/// of that event.
pub(crate) fn pause(node: &mut Node, duration: Duration, run: &mut Run) {
    let was_paused = node.is_paused();
    if !node.pause(duration, &mut run.scheduler) {
        return;
    }
    run.observer.fault(Fault::Pause, node.role());
    if was_paused {
        return;
    }
    run.observer.pauses(run.scheduler.now(), node.place.id());
    if run.setup.settings.clocks.stop_while_paused {
        node.clock.stop(run.scheduler.now());
        note_bound(node, u32::MAX, run);
    }
}

/// Asks the process to shut down; it restarts after `down`.
pub(crate) fn stop(node: &mut Node, down: Duration, run: &mut Run) {
    if node.role().is_some() {
        run.observer.fault(Fault::Stop, node.role());
        node.stop_downtime = down;
        run.scheduler.at_once(Event::Stop { place: node.place });
    }
}

/// Counts a fault that may destroy durable data, and lets it strike.
fn damage_disk(node: &mut Node, damage: &DamageDisk<'_>, run: &Run) -> Damage {
    let peer = node.disk.count_damage_fault();
    let key = Key { node: node.place.0 + 1, peer, ..Kind::Damage.key() };
    let damaged = damage(&mut node.disk.device, &mut run.setup.choices.draw(key));
    if damaged == Damage::Done {
        node.disk.note_damage();
    }
    damaged
}

/// Counts a fault that damages data which other nodes can repair, and lets it strike.
fn damage_entries(node: &mut Node, damage: &DamageEntries<'_>, run: &Run) -> bool {
    let peer = node.disk.count_entry_damage_fault();
    let key = Key { node: node.place.0 + 1, peer, counter: 100, ..Kind::Damage.key() };
    damage(&mut node.disk.device, &mut run.setup.choices.draw(key))
}

/// Records a clock error in parts per million that exceeds the bound of the leases.
fn note_bound(node: &Node, ppm: u32, run: &mut Run) {
    if run.setup.settings.config.lease.is_some_and(|lease| ppm > lease.drift_ppm) {
        let node = node.place.id();
        run.observe(Observation::ClockBoundExceeded { node });
    }
}
