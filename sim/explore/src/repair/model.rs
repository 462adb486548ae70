//! The repair protocol as a system that the search explores: bounds, symmetry and traces.

use std::fmt::Write;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::history::Reached;
use crate::intern::Interned;
use crate::repair::checks::{check, must_recover};
use crate::repair::events::{Event, EventKind, MASK_ENTRIES, MASK_NODES, describe};
use crate::repair::healing::{HALTS, heal};
use crate::repair::scopes::{Bounds, Scope, Start, all};
use crate::repair::state::{Cluster, History, Leader, NODES_MAX, Node, Role, Slot, TERMS_MAX};
use crate::search::{Model, NextWorld};
use crate::world::World;

/// The reached states of nodes, the histories, and the counts of states that recover or may halt.
#[derive(Debug)]
pub(crate) struct Repair {
    scope: Scope,
    nodes: Interned<Node>,
    histories: Interned<History>,
    /// The orders of the nodes that are not distinguished: of the clusters that differ only in such
    /// an order, one is explored.
    orders: Vec<Vec<usize>>,
    /// The hashes of the states from which progress was checked.
    healed: HashSet<u128, FixedState>,
    reached: Reached,
    pub(crate) counts: Counts,
}

/// The number of distinct states from which the cluster has to recover, and of those from which it
/// may halt; the maximum number of leaders that had to step down before a recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The states in which all assumptions hold, so that the cluster has to recover.
    pub recovers: u64,
    /// The states in which an assumption does not hold.
    pub may_halt: u64,
    /// The maximum number of leaders that stepped down before a recovery, because they could not
    /// decide about a damaged entry.
    pub stepped_down: u32,
}

/// Returns the orders of `count` nodes that leave the first `fixed` at their places.
fn orders(count: usize, fixed: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1).filter(|_| count > fixed) else {
        return vec![(0..count).collect()];
    };
    let insert = |order: &Vec<usize>, at: usize| {
        let mut next = order.clone();
        next.insert(at, last);
        next
    };
    let shorter = orders(last, fixed);
    let places = (fixed..count).rev();
    places.flat_map(|at| shorter.iter().map(move |order| insert(order, at))).collect()
}

/// The limited kinds of events, in the order of their counters, which have four bits each.
const COUNTERS: [EventKind; 8] = [
    EventKind::Crash,
    EventKind::Damage,
    EventKind::Erase,
    EventKind::LoseEnd,
    EventKind::TakeSnapshot,
    EventKind::DamageMany,
    EventKind::CopyDisk,
    EventKind::RollBack,
];

impl Repair {
    pub(crate) fn new(scope: Scope) -> (Repair, World) {
        let mut repair = Repair {
            orders: orders(scope.nodes, scope.fixed_places()),
            nodes: Interned::new(),
            histories: Interned::new(),
            healed: HashSet::with_hasher(FixedState::default()),
            reached: Reached::default(),
            counts: Counts::default(),
            scope,
        };
        let mut start = World::default();
        let cluster = repair.start();
        let (cluster, _) = repair.normal_form(&cluster);
        repair.encode(&cluster, 0, &mut start);
        (repair, start)
    }

    fn start(&self) -> Cluster {
        let mut cluster = Cluster {
            nodes: [Node::new(); NODES_MAX],
            count: self.scope.nodes,
            history: History::default(),
            late: self.scope.late,
            loses_ends: self.scope.bounds.lost_ends > 0,
            rolls_back: self.scope.bounds.rollbacks > 0,
            omitted: self.scope.omitted,
        };
        let entries = match self.scope.start {
            Start::Empty => return cluster,
            Start::Atlas => MASK_ENTRIES as u8,
            Start::OneFollower => 1,
            Start::Led => 0,
        };
        let holders = if self.scope.start == Start::Atlas { MASK_NODES } else { 2 };
        let mut leader = Leader { is_open: true, ..Leader::default() };
        for place in 0..holders {
            (1..=entries).for_each(|at| cluster.nodes[place].log.set(at, Slot::Intact(1)));
            (leader.counted[place], leader.intact[place]) = (entries, entries);
        }
        for node in cluster.nodes.iter_mut().take(cluster.count) {
            node.term = 1;
            node.commit = if holders == MASK_NODES { entries } else { 0 };
        }
        if self.scope.start == Start::Led {
            cluster.places().for_each(|place| assert!(cluster.copy_disk(place)));
        }
        cluster.nodes[0].role = Role::Leader(leader);
        check(&mut cluster).expect("the start violates nothing");
        cluster
    }

    /// Returns the least of the clusters that differ only in the order of the nodes, and the order.
    fn normal_form(&self, cluster: &Cluster) -> (Cluster, &[usize]) {
        let mut least = (*cluster, self.orders[0].as_slice());
        for order in &self.orders[1..] {
            let other = cluster.reordered(order);
            if other.nodes < least.0.nodes {
                least = (other, order);
            }
        }
        least
    }

    fn encode(&mut self, cluster: &Cluster, used: u32, world: &mut World) {
        world.used.0 = used;
        world.history = self.histories.number(cluster.history).0;
        world.states.clear();
        for place in cluster.places() {
            world.states.push(self.nodes.number(cluster.nodes[place]).0);
        }
    }

    fn decode(&self, world: &World) -> Cluster {
        let mut nodes = [Node::new(); NODES_MAX];
        for (node, state) in nodes.iter_mut().zip(&world.states) {
            *node = *self.nodes.get(*state);
        }
        Cluster {
            nodes,
            count: self.scope.nodes,
            history: *self.histories.get(world.history),
            late: self.scope.late,
            loses_ends: self.scope.bounds.lost_ends > 0,
            rolls_back: self.scope.bounds.rollbacks > 0,
            omitted: self.scope.omitted,
        }
    }

    /// Checks that a state recovers, once for each state.
    fn check_progress(&mut self, cluster: &Cluster, world: &World) -> Result<(), String> {
        if self.scope.omitted.is_some_and(|omission| !omission.is_of_progress()) {
            return Ok(());
        }
        let state = World { used: Default::default(), ..world.clone() };
        if !self.healed.insert(state.hash()) {
            return Ok(());
        }
        if !must_recover(cluster) {
            self.counts.may_halt += 1;
            return Ok(());
        }
        self.counts.recovers += 1;
        let stepped_down = heal(cluster).map_err(|how| format!("progress: {how}"))?;
        self.counts.stepped_down = self.counts.stepped_down.max(stepped_down);
        Ok(())
    }

    fn count_reached(&mut self, cluster: &Cluster) {
        let terms = cluster.places().map(|place| usize::from(cluster.nodes[place].term));
        let committed = cluster.history.committed.iter().flatten().count();
        self.reached.terms = self.reached.terms.max(terms.max().unwrap_or(0));
        self.reached.committed = self.reached.committed.max(committed);
    }

    /// Whether the bounds allow an event after those that `used` counts by their limited kinds.
    fn is_allowed(&self, event: Event, used: u32) -> bool {
        let Bounds { crashes, damages, erasures, lost_ends, .. } = self.scope.bounds;
        let Bounds { snapshots, copies, rollbacks, .. } = self.scope.bounds;
        let masks = u8::from(self.scope.start == Start::Atlas);
        let bounds = [crashes, damages, erasures, lost_ends, snapshots, masks, copies, rollbacks];
        // In the atlas, everything else comes after the damage.
        let masked = masks == 0 || counter(EventKind::DamageMany, used) == 1;
        match COUNTERS.iter().position(|kind| *kind == counted(event.kind)) {
            Some(at) => {
                let is_mask = event.kind == EventKind::DamageMany;
                (masked || is_mask) && counter(COUNTERS[at], used) < bounds[at]
            }
            None => masked,
        }
    }
}

const LEADER_EVENTS: [EventKind; 5] = [
    EventKind::StepDown,
    EventKind::Flush,
    EventKind::Commit,
    EventKind::LeaderLosesUnflushed,
    EventKind::LeaderDamagesUnflushed,
];

/// The kind as which an event is counted.
fn counted(kind: EventKind) -> EventKind {
    match kind {
        EventKind::LeaderLosesUnflushed | EventKind::LeaderDamagesUnflushed => EventKind::Crash,
        EventKind::LoseTruncation => EventKind::LoseEnd,
        other => other,
    }
}

fn shift(kind: EventKind) -> Option<usize> {
    COUNTERS.iter().position(|other| *other == counted(kind)).map(|at| 4 * at)
}

fn counter(kind: EventKind, used: u32) -> u8 {
    shift(kind).map_or(0, |bits| (used >> bits & 15) as u8)
}

/// Tries every mask of damage, with all nodes running or all started again, and returns the number
/// of masks from which the cluster recovers and the number of those from which it halts.
///
/// # Errors
/// The first mask from which the cluster has to recover and does not, or from which it recovers
/// although an entry is lost.
pub fn atlas(restarts: bool) -> Result<(u32, u32), String> {
    let scope = Scope { start: Start::Atlas, ..all().remove(0) };
    let (repair, _) = Repair::new(scope);
    let (mut recovered, mut halted) = (0, 0);
    for mask in 0..1_u16 << (MASK_NODES * MASK_ENTRIES) {
        let mut cluster = repair.start();
        Event::new(EventKind::DamageMany, 0, usize::from(restarts), mask).apply(&mut cluster);
        match (must_recover(&cluster), heal(&cluster)) {
            (true, Ok(_)) => recovered += 1,
            (false, Err(how)) if HALTS.iter().any(|end| how.ends_with(end)) => halted += 1,
            (_, Err(how)) => return Err(format!("mask {mask:012b}: {how}")),
            (false, Ok(_)) => {
                return Err(format!("mask {mask:012b}: it recovers without an entry"));
            }
        }
    }
    Ok((recovered, halted))
}

/// Adds the events of the elections of a node, up to a term. Where disks are rolled back, an
/// election has several; the events of the node's old disk are added, too.
fn election_events(
    cluster: &Cluster,
    place: usize,
    term: u8,
    add: &mut impl FnMut(EventKind, usize, usize, u16),
) {
    if cluster.rolls_back {
        for kind in [EventKind::Win, EventKind::CopyDisk, EventKind::RollBack] {
            add(kind, place, 0, 0);
        }
        if cluster.nodes[place].term < term {
            add(EventKind::Campaign, place, 0, 0);
        }
        cluster.places().for_each(|voter| add(EventKind::Vote, place, voter, 0));
        return;
    }
    for voters in (1..1_usize << cluster.count).filter(|set| set >> place & 1 == 1) {
        if cluster.next_term(voters as u8) <= term {
            add(EventKind::Elect, place, voters, 0);
        }
    }
}

impl Model for Repair {
    type Event = Event;

    fn code(event: Event) -> u32 {
        event.code()
    }

    fn event_of(code: u32) -> Event {
        Event::of(code)
    }

    fn events(&self, world: &World, events: &mut Vec<Event>) {
        events.clear();
        let cluster = self.decode(world);
        let Bounds { term, entries, .. } = self.scope.bounds;
        let mut add = |kind, place, other, index| {
            let event = Event::new(kind, place, other, index);
            if self.is_allowed(event, world.used.0) {
                events.push(event);
            }
        };
        let has_mask = counter(EventKind::DamageMany, world.used.0) == 1;
        if self.scope.start == Start::Atlas && !has_mask {
            let masks = 0..1_u16 << (MASK_NODES * MASK_ENTRIES);
            masks.for_each(|mask| (0..2).for_each(|at| add(EventKind::DamageMany, 0, at, mask)));
        }
        for place in cluster.places() {
            let node = &cluster.nodes[place];
            election_events(&cluster, place, term, &mut add);
            for index in 1..=u16::from(node.shadow.last()) {
                add(EventKind::LoseTruncation, place, 0, index);
            }
            let leads = node.leader().is_some();
            if leads && node.log.last() < entries {
                add(EventKind::Propose, place, 0, 0);
                cluster.places().for_each(|other| add(EventKind::RequestLogEnd, place, other, 0));
            }
            add(EventKind::TakeSnapshot, place, 0, 0);
            add(EventKind::Crash, place, 0, 0);
            for kind in LEADER_EVENTS.into_iter().filter(|_| leads) {
                add(kind, place, 0, 0);
            }
            for index in 0..=node.log.last() {
                for kind in [EventKind::LoseEnd, EventKind::Damage, EventKind::Erase] {
                    add(kind, place, 0, u16::from(index));
                }
                for other in cluster.places().filter(|_| leads) {
                    add(EventKind::Append, place, other, u16::from(index));
                }
                for other in cluster.places().filter(|_| !node.log.is_intact(index)) {
                    add(EventKind::Repair, place, other, u16::from(index));
                }
            }
            for other in cluster.places() {
                if leads {
                    add(EventKind::AnswerUncertain, place, other, 0);
                    add(EventKind::Ask, place, other, 0);
                }
                if node.snapshot > 0 {
                    add(EventKind::Install, place, other, 0);
                }
            }
            for term in 1..TERMS_MAX {
                for index in 1..=u16::from(cluster.history.led[term].last()) {
                    add(EventKind::AppendLate, place, term, index);
                }
            }
        }
    }

    fn next(&mut self, world: &World, event: Event, next: &mut World) -> Result<NextWorld, String> {
        let before = self.decode(world);
        let mut cluster = before;
        let is_mask = event.kind == EventKind::DamageMany;
        if !event.apply(&mut cluster) || cluster == before && !is_mask {
            return Ok(NextWorld::Same);
        }
        check(&mut cluster)?;
        let (cluster, _) = self.normal_form(&cluster);
        let used = world.used.0 + shift(event.kind).map_or(0, |bits| 1 << bits);
        self.encode(&cluster, used, next);
        self.check_progress(&cluster, next)?;
        self.count_reached(&cluster);
        Ok(NextWorld::Reached)
    }

    fn trace(&mut self, start: &World, path: &[Event]) -> String {
        let mut text = String::new();
        let mut cluster = self.decode(start);
        for event in path {
            let (_, order) = self.normal_form(&cluster);
            let event = event.reordered(order);
            let before = cluster;
            event.apply(&mut cluster);
            // A violation is reported by the last event, whose path is traced.
            let _ = check(&mut cluster);
            writeln!(text, "{event}").expect("writing to a string succeeds");
            let changed = |place: &usize| cluster.nodes[*place] != before.nodes[*place];
            for place in cluster.places().filter(changed) {
                writeln!(text, "    {}", describe(&cluster, place))
                    .expect("writing to a string succeeds");
            }
        }
        text
    }

    fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), 0)
    }

    fn reached(&self) -> Reached {
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the nodes may be exchanged before an event or after it, so exploring one order
    /// is enough.
    #[test]
    fn every_event_treats_all_nodes_alike() {
        let mut applied = 0;
        for scope in all().into_iter().filter(|scope| scope.start != Start::Atlas) {
            let (mut repair, start) = Repair::new(scope);
            let (mut world, mut next, mut events) = (start.clone(), World::default(), Vec::new());
            for step in 0..4_000_usize {
                if step % 40 == 0 {
                    world.clone_from(&start);
                }
                repair.events(&world, &mut events);
                let cluster = repair.decode(&world);
                let event = events[(step * 7_919 + step / 40 * 104_729) % events.len()];
                let order = repair.orders[step % repair.orders.len()].clone();
                let (mut one, mut other) = (cluster.reordered(&order), cluster);
                let happens = event.apply(&mut one);
                let name = repair.scope.name;
                assert_eq!(happens, event.reordered(&order).apply(&mut other), "{name}: {event}");
                assert!(!happens || one == other.reordered(&order), "{name}: {event}");
                applied += u32::from(happens && one != cluster.reordered(&order));
                if repair.next(&world, event, &mut next) == Ok(NextWorld::Reached) {
                    core::mem::swap(&mut world, &mut next);
                }
            }
        }
        assert!(applied > 1_000, "only {applied} events change a cluster");
    }

    #[test]
    fn every_order_keeps_the_first_places() {
        assert_eq!(orders(3, 3), [[0, 1, 2]]);
        assert_eq!(orders(3, 1), [[0, 1, 2], [0, 2, 1]]);
        let mut all = orders(5, 0);
        assert_eq!(all[0], [0, 1, 2, 3, 4], "the first order changes nothing");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 120);
    }

    #[test]
    fn an_event_is_decoded_from_its_code() {
        for kind in [EventKind::Elect, EventKind::AppendLate, EventKind::DamageMany] {
            let event = Event::new(kind, 4, 31, 4095);
            assert_eq!(Event::of(event.code()), event);
        }
    }
}
