//! Carries out the faults of a run, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::NodeId;
use quorate_sim::faults::{BitRot, DamagedBody, KeptWrites, LinkFault, NodeSelector, Verb};
use quorate_sim::plan::{Op, When};
use turmoil::Sim;

use crate::clocks::Clocks;
use crate::disk::NodeDisk;
use crate::faults::Faults;
use crate::lasting::Lasting;
use crate::triggers::Triggers;
use crate::world::{CHECK, Draws, NodeState, Shared, State};

/// The time after which the supervisor of a node starts it again.
const RESTART: Duration = Duration::from_secs(2);
/// The time for which the host of a node that has shut down still sends segments.
const LAST_SEGMENTS: Duration = Duration::from_millis(200);

/// The faults of a run, and what they have done so far.
pub(crate) struct Schedule {
    /// The operations that are not due yet, the latest one first.
    ops: Vec<Op>,
    /// The names of all hosts except for that of the check: the nodes from node 1 on, the services,
    /// and the clients, of which faults strike the links only.
    hosts: Vec<String>,
    disks: Vec<NodeDisk>,
    draws: Draws,
    links: Vec<LinksFault>,
    /// The directed links that are blocked, by the numbers of their hosts.
    blocked: BTreeSet<(u64, u64)>,
    /// The hosts that are down, with the time of their restart.
    down: BTreeMap<u64, Duration>,
    /// The nodes that are shutting down, or have, with their downtime.
    stopping: BTreeMap<u64, Duration>,
    /// The nodes that have shut down, with the time at which their processes end.
    ending: BTreeMap<u64, Duration>,
    /// The nodes with slow disks, with the additional times of their flushes.
    slow: Lasting<Duration>,
    /// The nodes with full disks.
    full: Lasting<()>,
    /// The hosts that are paused.
    paused: Lasting<()>,
    triggers: Triggers,
    clocks: Clocks,
}

/// A fault of links.
struct LinksFault {
    links: Vec<(u64, u64)>,
    from: Duration,
    to: Duration,
    /// Whether segments are held back instead of lost.
    is_clog: bool,
    /// The time for which the links are blocked, and work, in turn; none if they stay blocked.
    period: Option<Duration>,
}

impl LinksFault {
    fn blocks(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.from);
        let phase = self.period.map_or(0, |period| since.as_nanos() / period.as_nanos().max(1));
        now < self.to && phase.is_multiple_of(2)
    }
}

impl Schedule {
    /// Returns the schedule of the faults for these hosts, the first of which are nodes with disks.
    pub(crate) fn new(
        faults: &Faults,
        hosts: Vec<String>,
        disks: Vec<NodeDisk>,
        seed: u64,
    ) -> Schedule {
        let timed = faults.ops.iter().filter(|op| matches!(op.when, When::At(_)));
        let ops = timed.rev().cloned().collect();
        let triggers = Triggers::new(&faults.ops, disks.len());
        Schedule {
            ops,
            hosts,
            disks,
            draws: Draws::new(seed, "schedule"),
            links: Vec::new(),
            blocked: BTreeSet::new(),
            down: BTreeMap::new(),
            stopping: BTreeMap::new(),
            ending: BTreeMap::new(),
            slow: Lasting::default(),
            full: Lasting::default(),
            paused: Lasting::default(),
            triggers,
            clocks: Clocks::default(),
        }
    }

    /// Carries out the operations that are due, and ends the faults whose time is over.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>, shared: &Shared, now: Duration) {
        while let Some(op) = self.ops.pop_if(|op| Duration::from_nanos(op.when.earliest().0) <= now)
        {
            self.strike(&op.verb, None, sim, shared, now);
        }
        let due = self.triggers.due(&shared.state(), now);
        for (verb, node) in due {
            self.strike(&verb, Some(node), sim, shared, now);
        }
        self.finish_stops(sim, shared, now);
        self.end_failed(sim, shared, now);
        while let Some((&host, _)) = self.down.iter().find(|(_, until)| **until <= now) {
            self.down.remove(&host);
            sim.bounce(self.name(host));
        }
        self.full.end_due(now);
        self.empty_disks();
        self.slow.end_due(now);
        for (node, id) in shared.state().nodes.iter_mut().zip(1..) {
            node.lane_wait = self.slow.of(id).sum();
        }
        self.clocks.step(&mut shared.state(), now);
        self.links.retain(|fault| now < fault.to);
        self.block_links(sim, now);
        self.paused.end_due(now);
        let clogs = self.links.iter().filter(|fault| fault.is_clog);
        let clogged = clogs.flat_map(|fault| fault.links.iter().copied()).collect();
        shared.hold(self.paused.hosts().collect(), clogged);
    }

    /// Ends every fault; [`Schedule::step`] completes it.
    pub(crate) fn stabilize(&mut self, shared: &Shared, now: Duration) {
        self.ops.clear();
        self.triggers.clear();
        self.clocks.clear();
        self.paused.clear();
        self.slow.clear();
        self.full.clear();
        self.links.clear();
        self.down.values_mut().for_each(|until| *until = now);
        self.stopping.values_mut().for_each(|down| *down = Duration::ZERO);
        shared.line("-", "all faults are over");
    }

    fn name(&self, host: u64) -> String {
        self.hosts[host as usize - 1].clone()
    }

    /// Carries out an operation; `it` is the node that met its trigger.
    fn strike(
        &mut self,
        verb: &Verb,
        it: Option<NodeId>,
        sim: &mut Sim<'_>,
        shared: &Shared,
        now: Duration,
    ) {
        match it {
            Some(it) => shared.line("-", &format!("{verb}; it is {it}")),
            None => shared.line("-", &verb.to_string()),
        }
        let leader = leader(&shared.state());
        let hosts = self.hosts.len() as u64;
        let resolve = |selector| match selector {
            NodeSelector::Node(node) => (node.0 <= hosts).then_some(node),
            NodeSelector::Leader => leader,
            // The triggers that exist here have no other node.
            NodeSelector::It | NodeSelector::Other => it,
        };
        if let Some((fault, selected)) = verb.links(&resolve) {
            let pairs = (1..=hosts).flat_map(|from| (1..=hosts).map(move |to| (from, to)));
            let selected =
                |&(from, to): &(u64, u64)| from != to && selected(NodeId(from), NodeId(to));
            let period = match fault {
                LinkFault::Flap(period) => Some(period),
                LinkFault::Block | LinkFault::Clog => None,
            };
            let is_clog = fault == LinkFault::Clog;
            let to = now + verb.duration().unwrap_or(Duration::MAX / 2);
            self.links.push(LinksFault {
                links: pairs.filter(selected).collect(),
                from: now,
                to,
                is_clog,
                period,
            });
            return;
        }
        self.strike_host(verb, &resolve, sim, shared, now);
    }

    /// Carries out an operation on one host.
    fn strike_host(
        &mut self,
        verb: &Verb,
        resolve: &dyn Fn(NodeSelector) -> Option<NodeId>,
        sim: &mut Sim<'_>,
        shared: &Shared,
        now: Duration,
    ) {
        let nodes = self.disks.len() as u64;
        let node_of = |selector| resolve(selector).map(|node| node.0).filter(|node| *node <= nodes);
        match verb {
            Verb::Crash(crash) => {
                if let Some(host) = resolve(crash.node) {
                    self.crash(host.0, crash.keep, "crashed", sim, shared);
                    self.down.entry(host.0).or_insert(now + crash.down);
                }
            }
            Verb::Stop(stop) => match node_of(stop.node) {
                Some(node) if !self.down.contains_key(&node) => {
                    self.stopping.entry(node).or_insert(stop.down);
                    shared.state().nodes[node as usize - 1].stop_requested = true;
                }
                _ => {}
            },
            Verb::Pause(pause) => {
                if let Some(host) = resolve(pause.node) {
                    self.paused.begin(host.0, (), now + pause.duration);
                }
            }
            Verb::SlowDisk(slow) => {
                if let Some(node) = node_of(slow.node) {
                    self.slow.begin(node, slow.by, now + slow.duration);
                }
            }
            Verb::BitRot(BitRot { node, .. }) | Verb::DamagedBody(DamagedBody { node }) => {
                if let Some(node) = node_of(*node) {
                    self.damage(node, verb, shared);
                }
            }
            Verb::FullDisk(full) => {
                if let Some(node) = node_of(full.node) {
                    self.disks[node as usize - 1].fill(full.free);
                    self.full.begin(node, (), now + full.duration);
                }
            }
            Verb::ClockDrift(drift) => {
                if let Some(node) = node_of(drift.node) {
                    self.clocks.drift(node, drift.ppm, now + drift.duration);
                }
            }
            Verb::ClockStep(step) => {
                if let Some(node) = node_of(step.node) {
                    shared.state().nodes[node as usize - 1].clock_gain += step.by;
                }
            }
            _ => {}
        }
    }

    /// Damages the disk of a node, if enough other nodes have intact disks. Damage that the others
    /// must repair strikes only if all of at least two others are intact and no leader may suspend
    /// voters, as in the simulator: after suspensions one node alone may be a quorum, and no other
    /// node needs to have its entries. Other damage strikes if the intact others are a majority of
    /// all nodes.
    fn damage(&mut self, node: u64, verb: &Verb, shared: &Shared) {
        let others = self.disks.iter().zip(1..).filter(|(_, id)| *id != node);
        let damaged = others.filter(|(disk, _)| !disk.is_intact()).count();
        let nodes = self.disks.len();
        let may_suspend = shared.state().nodes.iter().any(|node| node.may_suspend);
        let may_strike = match verb {
            Verb::DamagedBody(_) => damaged == 0 && nodes >= 3 && !may_suspend,
            _ => (damaged + 1) * 2 < nodes,
        };
        let seed = self.draws.next();
        if !may_strike || !self.disks[node as usize - 1].damage(verb, seed) {
            shared.line("-", "nothing on the disk is damaged");
        }
    }

    /// Removes the bounds of the disks that are no longer full.
    fn empty_disks(&self) {
        let full: BTreeSet<u64> = self.full.hosts().collect();
        for (disk, _) in self.disks.iter().zip(1..).filter(|(_, id)| !full.contains(id)) {
            disk.empty();
        }
    }

    /// Ends the processes of nodes that have failed because of their disks.
    fn end_failed(&mut self, sim: &mut Sim<'_>, shared: &Shared, now: Duration) {
        let failed = |(node, id): (&NodeState, u64)| node.has_failed.then_some(id);
        let failed: Vec<u64> = shared.state().nodes.iter().zip(1..).filter_map(failed).collect();
        for node in failed {
            self.crash(node, KeptWrites::All, "ended", sim, shared);
            self.down.insert(node, now + RESTART);
        }
    }

    /// Ends the process of a host, unless it is down; `how` is the line of the event.
    fn crash(
        &mut self,
        host: u64,
        keep: KeptWrites,
        how: &str,
        sim: &mut Sim<'_>,
        shared: &Shared,
    ) {
        if self.down.contains_key(&host) {
            return;
        }
        let name = self.name(host);
        // As at a power failure, no connection is closed. So the order in which tokio drops the
        // tasks, which depends on other runs in the process, is not visible to other hosts.
        let others: Vec<u64> = (1..=self.hosts.len() as u64).filter(|it| *it != host).collect();
        for other in &others {
            sim.partition_oneway(name.as_str(), self.name(*other));
        }
        sim.partition_oneway(name.as_str(), CHECK);
        sim.crash(name.as_str());
        sim.repair_oneway(name.as_str(), CHECK);
        for other in others {
            if !self.blocked.contains(&(host, other)) {
                sim.repair_oneway(name.as_str(), self.name(other));
            }
        }
        self.paused.end_at(host);
        let at = host as usize - 1;
        let Some(disk) = self.disks.get(at) else {
            return shared.line(&name, how);
        };
        let lost = disk.crash(keep, &mut self.draws);
        self.stopping.remove(&host);
        self.ending.remove(&host);
        let mut state = shared.state();
        let node = &mut state.nodes[at];
        (node.handle, node.stop_requested) = (None, false);
        (node.has_stopped, node.has_failed) = (false, false);
        node.clock_gain = Duration::ZERO;
        node.ends += 1;
        drop(state);
        shared.line(&name, &format!("{how}; its disk {lost}"));
    }

    /// Ends the processes of nodes that have shut down.
    fn finish_stops(&mut self, sim: &mut Sim<'_>, shared: &Shared, now: Duration) {
        let stopping: Vec<(u64, Duration)> =
            self.stopping.iter().map(|(node, down)| (*node, *down)).collect();
        for (node, down) in stopping {
            if !shared.state().nodes[node as usize - 1].has_stopped {
                continue;
            }
            // Until then its last segments arrive.
            if *self.ending.entry(node).or_insert(now + LAST_SEGMENTS) <= now {
                self.crash(node, KeptWrites::All, "ended", sim, shared);
                self.down.insert(node, now + down);
            }
        }
    }

    /// Blocks the links that the faults of this time block, and no others.
    fn block_links(&mut self, sim: &Sim<'_>, now: Duration) {
        let blocking = self.links.iter().filter(|fault| !fault.is_clog && fault.blocks(now));
        let blocked: BTreeSet<(u64, u64)> =
            blocking.flat_map(|fault| fault.links.iter().copied()).collect();
        for &(from, to) in blocked.difference(&self.blocked) {
            sim.partition_oneway(self.name(from), self.name(to));
        }
        for &(from, to) in self.blocked.difference(&blocked) {
            sim.repair_oneway(self.name(from), self.name(to));
        }
        self.blocked = blocked;
    }
}

/// Returns the leader with the highest term, if any node leads.
fn leader(state: &State) -> Option<NodeId> {
    let leads = |(at, handle): (usize, &quorate::runtime::Handle)| {
        let leadership = *handle.leadership().borrow();
        (leadership.role == RoleName::Leader).then_some((leadership.term, NodeId(at as u64 + 1)))
    };
    let running = state.nodes.iter().enumerate();
    let running = running.filter_map(|(at, node)| Some((at, node.handle.as_ref()?)));
    running.filter_map(leads).max().map(|(_, node)| node)
}
