//! Tests of the world: crashes lose the right writes, packets outlive their senders, pauses delay
//! events, and clones continue identically.

use std::time::Duration;

use quorate::raft::{Lease, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Message, NodeId, Packet, Term};

use super::*;
use crate::faults::{
    Clog, Crash, ExpectedAnswer, Flap, KeptWrites, Misroute, NodeSelector, Partition,
    ScriptedOperation, ScriptedRequest, Simulated, UNTIL_STABILIZATION, Verb,
};
use crate::plan::{Op, Trigger, TriggerCondition, When};
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;
use crate::values::choice::{Overrides, purposes};
use crate::values::time::SimTime;
use crate::workload::kv::Kv;
use crate::world::cluster::node::Node;
use crate::world::cluster::processes::Exit;
use crate::world::faults::node_faults;
use crate::world::network::links::Links;
use crate::world::place::Place;

const SEED: u64 = 11;

fn workload() -> AnyWorkload {
    AnyWorkload::new(Kv::new(8, 8))
}

fn no_fault_settings() -> Settings {
    let choices = Choices::new(SEED, Overrides::new());
    let profile = Profile::by_name("no-faults").expect("the profile exists");
    let mut settings = Settings::draw(profile, Strategy::default(), &choices, 1, 64);
    (settings.voters, settings.learners) = (3, 0);
    settings
}

fn world_of(settings: Settings, ops: Vec<Op>) -> World {
    let choices = Choices::new(SEED, Overrides::new());
    let observer = Observer::new(&settings, Some(&workload()), None, None);
    World::new(settings, workload(), Plan { ops }, choices, observer)
}

fn advance_until(world: &mut World, done: impl Fn(&World) -> bool) {
    for _ in 0..200_000 {
        if done(world) {
            return;
        }
        assert!(world.advance() && world.run.observer.may_continue(world.run.scheduler.now()));
    }
    panic!("the condition is never met");
}

fn when(trigger: Trigger) -> When {
    let (from, to) = (SimTime(0), SimTime(u64::MAX));
    When::On(TriggerCondition::next(trigger, from, to))
}

fn crash_on(trigger: Trigger, keep: KeptWrites) -> Vec<Op> {
    vec![Op {
        when: when(trigger),
        verb: Crash { node: NodeSelector::It, keep, down: Duration::from_secs(1) }.into(),
    }]
}

fn is_down(node: &Node) -> bool {
    node.start().number > 1 && node.running().is_none()
}

fn crashes(world: &mut World) -> Place {
    advance_until(world, |world| world.cluster.nodes().any(is_down));
    world.cluster.nodes().find(|node| is_down(node)).expect("a node has crashed").place
}

/// Returns the status of a node right after its restart.
fn starts_again(world: &mut World, place: Place) -> Status {
    advance_until(world, |world| world.cluster[place].running().is_some());
    world.cluster[place].running().expect("the node runs").status.to_owned()
}

#[test]
fn a_crash_before_the_flush_forgets_the_vote() {
    let ops = crash_on(Trigger::SubmitsVote, KeptWrites::None);
    let mut world = world_of(no_fault_settings(), ops);
    let crashed = crashes(&mut world);
    assert_eq!(world.cluster[crashed].disk.device.pending().len(), 0);
    let status = starts_again(&mut world, crashed);
    assert_eq!((status.term, status.vote), (Term::ZERO, None));
}

#[test]
fn a_crash_that_keeps_all_remembers_the_vote() {
    let ops = crash_on(Trigger::SubmitsVote, KeptWrites::All);
    let mut world = world_of(no_fault_settings(), ops);
    let crashed = crashes(&mut world);
    let status = starts_again(&mut world, crashed);
    assert_eq!(status.term, Term(1));
    assert!(status.vote.is_some());
}

#[test]
fn a_crash_can_precede_the_write_that_it_loses() {
    let ops = crash_on(Trigger::AboutToWrite, KeptWrites::All);
    let mut world = world_of(no_fault_settings(), ops);
    let crashed = crashes(&mut world);
    let status = starts_again(&mut world, crashed);
    assert_eq!((status.term, status.vote), (Term::ZERO, None));
}

#[test]
fn packets_outlive_the_start_that_sent_them() {
    let ops = crash_on(Trigger::Acknowledges, KeptWrites::None);
    let mut world = world_of(no_fault_settings(), ops);
    let crashed = crashes(&mut world);
    let mut envelopes = (0..64).filter_map(|slot| world.network.in_flight.get(slot));
    let travels = envelopes.any(|envelope| envelope.decode().from() == crashed.id());
    assert!(travels, "the acknowledgement is in flight although its sender is down");
}

#[test]
fn a_clog_without_an_end_ends_with_the_fault_phase() {
    let clog = Clog { node: NodeSelector::Node(NodeId(1)), duration: UNTIL_STABILIZATION };
    let at = SimTime::default().after(Duration::from_millis(5));
    let ops = vec![Op { when: When::At(at), verb: clog.into() }];
    let mut world = world_of(no_fault_settings(), ops);
    advance_until(&mut world, |world| !world.in_fault_phase());
    let (arrives, ends) = (world.network.latest_arrival, world.run.setup.fault_phase_end());
    assert!(arrives >= ends, "the clog has delayed a message");
    assert!(arrives <= ends.after(world.run.setup.settings.latency.max));
}

#[test]
fn a_crashed_node_starts_again_with_its_disk() {
    let ops = crash_on(Trigger::BecomesLeader, KeptWrites::All);
    let mut world = world_of(no_fault_settings(), ops);
    let crashed = crashes(&mut world);
    let status = starts_again(&mut world, crashed);
    assert_eq!((status.term, status.vote), (Term(1), Some(crashed.id())));
    let running = world.cluster[crashed].running().expect("the node runs");
    let applied = running.worker.machine().applied();
    assert_eq!(applied, EntryId::ZERO, "the state machine starts from nothing");
}

#[test]
fn a_paused_node_gets_missed_events_together_and_late() {
    let mut world = world_of(no_fault_settings(), Vec::new());
    let leads = |world: &World| world.cluster.leader().is_some();
    advance_until(&mut world, leads);
    let follower = if world.cluster.leader() == Some(Place(0)) { Place(1) } else { Place(0) };
    let duration = world.run.setup.settings.config.heartbeat_interval;
    let pause =
        |world: &mut World| world.cluster[follower].pause(duration, &mut world.run.scheduler);
    assert!(pause(&mut world));
    assert!(!pause(&mut world), "it is paused until then already");
    let steps =
        |world: &World| world.cluster[follower].running().map(|running| running.counts.steps);
    let (before, end) = (steps(&world), world.run.scheduler.now().after(duration));
    let deferred = |world: &World| world.cluster[follower].deferred().len();
    advance_until(&mut world, |world| deferred(world) > 1);
    assert_eq!(steps(&world), before);
    advance_until(&mut world, |world| world.run.scheduler.now() > end);
    assert!(steps(&world) > before && !world.cluster[follower].is_paused());
}

#[test]
fn a_pause_lasts_until_the_latest_end_of_those_that_overlap() {
    let mut world = world_of(no_fault_settings(), Vec::new());
    let pause = |world: &mut World, millis| {
        let duration = Duration::from_millis(millis);
        world.cluster[Place(0)].pause(duration, &mut world.run.scheduler)
    };
    advance_until(&mut world, |world| world.cluster[Place(0)].running().is_some());
    let start = world.run.scheduler.now();
    for (millis, takes_effect) in [(600, true), (1_800, true), (1_200, false)] {
        assert_eq!(pause(&mut world, millis), takes_effect, "{millis} ms");
    }
    for (millis, is_paused) in [(700, true), (1_300, true), (1_500, true), (1_900, false)] {
        let time = start.after(Duration::from_millis(millis));
        advance_until(&mut world, |world| world.run.scheduler.now() >= time);
        assert_eq!(world.cluster[Place(0)].is_paused(), is_paused, "after {millis} ms");
    }
}

#[test]
fn a_crash_ends_a_pause_and_a_requested_stop() {
    let mut settings = no_fault_settings();
    settings.clocks.stop_while_paused = true;
    let mut world = world_of(settings, Vec::new());
    advance_until(&mut world, |world| world.cluster.leader().is_some());
    let leader = world.cluster.leader().expect("a leader is elected");
    let World { run, cluster, .. } = &mut world;
    node_faults::pause(&mut cluster[leader], Duration::from_secs(9), run);
    node_faults::stop(&mut cluster[leader], Duration::from_secs(9), run);
    assert!(cluster[leader].clock.is_stopped());
    world.crash(leader, Exit::crash(KeptWrites::All, Duration::from_millis(1)));
    starts_again(&mut world, leader);
    let node = &world.cluster[leader];
    assert!(!node.is_paused() && !node.clock.is_stopped());
    assert_eq!(node.stop_downtime, Duration::ZERO);
}

#[test]
fn a_crash_frees_the_slots_of_what_a_paused_node_has_not_taken() {
    let mut world = world_of(no_fault_settings(), Vec::new());
    advance_until(&mut world, |world| world.cluster.leader().is_some());
    let leader = world.cluster.leader().expect("a leader is elected");
    assert!(world.cluster[leader].pause(Duration::from_secs(9), &mut world.run.scheduler));
    let request_slots = |world: &World| -> Vec<u32> {
        let slot = |event: &Event| match event {
            Event::Request { slot } => Some(*slot),
            _ => None,
        };
        world.cluster[leader].deferred().iter().filter_map(slot).collect()
    };
    let messages = |world: &World| {
        let missed = world.cluster[leader].deferred().iter();
        missed.filter(|event| matches!(event, Event::Arrive { .. })).count()
    };
    advance_until(&mut world, |world| request_slots(world).len() > 1 && messages(world) > 1);
    let (slots, messages) = (request_slots(&world), messages(&world));
    let tag =
        |world: &World, slot: u32| world.load.clients.requests.get(slot).map(|request| request.tag);
    let tags: Vec<_> = slots.iter().map(|slot| tag(&world, *slot)).collect();
    let in_flight = world.network.in_flight.len();
    world.crash(leader, Exit::crash(KeptWrites::All, Duration::from_millis(1)));
    assert_eq!(world.network.in_flight.len(), in_flight - messages);
    for (slot, missed) in slots.into_iter().zip(tags) {
        assert!(missed.is_some() && tag(&world, slot) != missed, "slot {slot} is not free");
    }
}

#[test]
fn an_isolated_node_exchanges_no_messages() {
    let isolate = Partition::Isolate(NodeSelector::It, Duration::from_secs(2));
    let ops = vec![Op { when: when(Trigger::BecomesLeader), verb: isolate.into() }];
    let mut world = world_of(no_fault_settings(), ops);
    advance_until(&mut world, |world| world.cluster.leader().is_some());
    let leader = world.cluster.leader().expect("a leader is elected");
    for other in (0..3).map(Place).filter(|other| *other != leader) {
        assert!(!world.network.is_open(leader, other) && !world.network.is_open(other, leader));
    }
    let end = world.run.scheduler.now().after(Duration::from_secs(2));
    advance_until(&mut world, |world| world.run.scheduler.now() > end);
    assert!(world.network.is_open(leader, Place((leader.0 + 1) % 3)));
}

#[test]
fn a_paused_node_holds_no_lease() {
    let mut settings = no_fault_settings();
    settings.config.lease = Some(Lease { drift_ppm: 100, read_leases: false });
    let duration = settings.config.heartbeat_interval;
    let mut world = world_of(settings, Vec::new());
    let left = |world: &World| {
        let leader = world.cluster.leader().map(|place| &world.cluster[place]);
        leader.map_or(Duration::ZERO, |leader| leader.lease_left(world.run.scheduler.now()))
    };
    advance_until(&mut world, |world| !left(world).is_zero());
    let leader = world.cluster.leader().expect("a leader is elected");
    assert!(world.cluster[leader].pause(duration, &mut world.run.scheduler));
    assert!(left(&world).is_zero());
}

#[test]
fn a_flapping_link_is_up_when_its_time_is_over() {
    let (first, second) = (NodeSelector::Node(NodeId(1)), NodeSelector::Node(NodeId(2)));
    let [period, duration] = [300, 500].map(Duration::from_millis);
    let at = SimTime::default().after(Duration::from_secs(1));
    let flap = Flap { ends: (first, second), period, duration };
    let ops = vec![Op { when: When::At(at), verb: flap.into() }];
    let mut world = world_of(no_fault_settings(), ops);
    for (millis, is_open) in [(150, false), (450, true), (501, true), (850, true), (1_200, true)] {
        let time = at.after(Duration::from_millis(millis));
        advance_until(&mut world, |world| world.run.scheduler.now() >= time);
        assert_eq!(world.network.is_open(Place(0), Place(1)), is_open, "after {millis} ms");
    }
    let flap = Flap { ends: (first, second), period: duration * 2, duration };
    let mut world =
        world_of(no_fault_settings(), vec![Op { when: When::At(at), verb: flap.into() }]);
    for (millis, is_open) in [(450, false), (501, true)] {
        let time = at.after(Duration::from_millis(millis));
        advance_until(&mut world, |world| world.run.scheduler.now() >= time);
        assert_eq!(world.network.is_open(Place(0), Place(1)), is_open, "after {millis} ms");
    }
}

#[test]
fn draws_of_different_purposes_do_not_share_a_key() {
    let run = |seed: u64, profile: &Profile| {
        let choices = Choices::new(seed, Overrides::new());
        let settings = Settings::draw(profile, Strategy::default(), &choices, 1, 64);
        let plan = Plan::draw(&settings, Strategy::default(), &choices);
        let observer = Observer::new(&settings, None, None, None);
        let mut world = World::new(settings, workload(), plan, choices, observer);
        world.run(u64::MAX);
        assert!(world.ended, "seed {seed}");
    };
    for (seed, name) in (0..).zip(["default", "hostile-clients", "reads", "damage", "default"]) {
        let profile = Profile::by_name(name).expect("the profile exists");
        purposes::record(|| run(seed, profile));
    }
}

#[test]
fn a_scripted_write_that_is_lost_has_an_unknown_outcome() {
    let put = ScriptedOperation::Put("key".to_owned(), "value".to_owned());
    let expected = ExpectedAnswer::Unspecified;
    let request = ScriptedRequest { operation: put, via: None, expected };
    let at = SimTime::default().after(Duration::from_secs(3));
    let mut settings = no_fault_settings();
    (settings.clients, settings.request_timeout) = (0, Duration::from_secs(1));
    let ops = vec![Op { when: When::At(at), verb: Verb::ScriptedRequest(request) }];
    let mut world = world_of(settings, ops);
    advance_until(&mut world, |world| world.load.clients.waiting() > 0);
    let all = Links::between(world.cluster.places(), |_, _| true);
    world.network.block(all);
    advance_until(&mut world, |world| world.load.clients.waiting() == 0);
    world.run(u64::MAX);
    assert!(world.ended);
    assert_eq!(world.run.observer.violation(), None);
}

#[test]
fn an_impossible_acknowledgement_stays_impossible_for_a_paused_leader() {
    let mut world = world_of(no_fault_settings(), Vec::new());
    advance_until(&mut world, |world| world.cluster.leader().is_some());
    let leader = world.cluster.leader().expect("a leader is elected");
    let misroute = Misroute { node: NodeSelector::It, count: 200 };
    let World { run, cluster, network, faults, .. } = &mut world;
    let strike = Simulated::Misroute(misroute.count);
    faults.strike_simulated(&misroute.into(), leader, &strike, cluster, network, run);
    let last = cluster[leader].running().expect("the node runs").status.last.index;
    let sent = (0..1_000).filter_map(|slot| network.in_flight.get(slot));
    let matched = sent.filter_map(|envelope| match envelope.decode() {
        Packet::Message(Message { from, body: Body::AppendEntriesReply(outcome), .. }) => {
            let is_member = from.0 <= 3;
            let AppendOutcome::Accepted { matched } = outcome else { return None };
            (is_member && matched > last).then_some(matched)
        }
        _ => None,
    });
    let matched: Vec<Index> = matched.collect();
    assert!(!matched.is_empty());
    assert!(matched.iter().all(|matched| matched.0 > Index::MAX.0 / 2), "{matched:?}");
}

#[test]
fn only_bootstrap_peers_wait_for_the_bootstrap() {
    let mut settings = no_fault_settings();
    (settings.bootstraps, settings.learners, settings.spares) = (true, 1, 1);
    let world = world_of(settings, Vec::new());
    let bootstrapped: Vec<bool> = world.cluster.nodes().map(|node| node.bootstrapped).collect();
    assert_eq!(bootstrapped, [false, false, false, true, true]);
}

#[test]
fn no_trigger_fires_when_the_stabilization_phase_begins() {
    let crash = Crash {
        node: NodeSelector::Node(NodeId(1)),
        keep: KeptWrites::None,
        down: Duration::from_secs(1),
    };
    let ops = vec![Op { when: when(Trigger::GoesDown), verb: crash.into() }];
    let mut world = world_of(no_fault_settings(), ops);
    advance_until(&mut world, |world| world.cluster.leader().is_some());
    // The other nodes restart with the newest build.
    world.cluster[Place(0)].builds.install(1);
    let end = world.run.setup.fault_phase_end();
    advance_until(&mut world, |world| world.run.scheduler.next() >= end);
    world.begin_stabilization();
    assert!(!world.in_fault_phase());
    let starts: Vec<u32> = world.cluster.nodes().map(|node| node.start().number).collect();
    assert_eq!(starts, [1, 2, 2]);
}

#[test]
fn a_node_may_start_more_than_65_536_times() {
    let mut world = world_of(no_fault_settings(), Vec::new());
    let World { cluster, run, .. } = &mut world;
    for _ in 0..70_000 {
        cluster[Place(1)].postpone_start(Duration::from_secs(1), &mut run.scheduler);
    }
    assert_eq!(cluster[Place(1)].start().number, 70_001);
}

#[test]
fn a_clone_continues_exactly_as_the_original() {
    let choices = Choices::new(SEED, Overrides::new());
    let settings = Settings::draw(<&Profile>::default(), Strategy::default(), &choices, 1, 64);
    let plan = Plan::draw(&settings, Strategy::default(), &choices);
    let observer = || Observer::new(&settings, None, None, None);
    let mut world = World::new(settings.clone(), workload(), plan, choices, observer());
    for _ in 0..5_000 {
        world.advance();
    }
    let Run { setup, scheduler, .. } = &world.run;
    let mut clone = World {
        run: Run { setup: setup.clone(), scheduler: scheduler.clone(), observer: observer() },
        cluster: world.cluster.clone(),
        network: world.network.clone(),
        load: world.load.clone(),
        faults: world.faults.clone(),
        stabilization: world.stabilization.clone(),
        ended: world.ended,
        results: world.results.clone(),
    };
    world.run(u64::MAX);
    clone.run(u64::MAX);
    let end = |world: &World| (world.run.scheduler.digest, world.run.scheduler.events);
    assert_eq!(end(&world), end(&clone));
}
