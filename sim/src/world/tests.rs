//! What the world promises: crashes lose what they should, packets outlive their senders, pauses
//! delay, clones go on alike.

use std::time::Duration;

use quorate::types::{EntryId, NodeId, Term};

use super::*;
use crate::choice::Overrides;
use crate::plan::{FOREVER, Keep, Occasion, Op, Trigger, Verb, When, Who};
use crate::profile::Profile;
use crate::rung::Rung;
use crate::workload::kv::Kv;

const SEED: u64 = 11;

fn workload() -> AnyWorkload {
    AnyWorkload::new(Kv::new(8, 8))
}

fn calm_settings() -> Settings {
    let choices = Choices::new(SEED, Overrides::new());
    let profile = Profile::by_name("calm").expect("the profile exists");
    let mut settings = Settings::draw((profile, Rung::default()), &choices, 1, 64);
    (settings.voters, settings.learners) = (3, 0);
    settings
}

fn world_of(settings: Settings, ops: Vec<Op>) -> (World, Witness) {
    let choices = Choices::new(SEED, Overrides::new());
    let witness = Witness::new(&settings, Some(&workload()), None, None);
    (World::new(settings, workload(), Plan { ops }, choices), witness)
}

fn advance_until(world: &mut World, witness: &mut Witness, done: impl Fn(&World) -> bool) {
    for _ in 0..200_000 {
        if done(world) {
            return;
        }
        assert!(world.advance(witness) && witness.is_content(world.now));
    }
    panic!("it never happens");
}

fn when(trigger: Trigger) -> When {
    let (from, to) = (SimTime(0), SimTime(u64::MAX));
    When::On(Occasion::next(trigger, from, to))
}

fn crash_on(trigger: Trigger, keep: Keep) -> Vec<Op> {
    vec![Op { when: when(trigger), verb: Verb::Crash(Who::It, keep, Duration::from_secs(1)) }]
}

fn is_down(node: &Node) -> bool {
    node.incarnation > 1 && node.running.is_none()
}

fn crashes(world: &mut World, witness: &mut Witness) -> Place {
    advance_until(world, witness, |world| world.nodes.iter().any(is_down));
    world.nodes.iter().find(|node| is_down(node)).expect("one crashed").place
}

/// What a node that is down says of itself as soon as it has started again.
fn starts_again(world: &mut World, witness: &mut Witness, place: Place) -> Status {
    let place = place.0 as usize;
    advance_until(world, witness, |world| world.nodes[place].running.is_some());
    world.nodes[place].running.as_ref().expect("it runs").status
}

#[test]
fn a_crash_before_the_flush_forgets_the_vote() {
    let ops = crash_on(Trigger::SubmitsVote, Keep::None);
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    let crashed = crashes(&mut world, &mut witness);
    assert_eq!(world.nodes[crashed.0 as usize].disk.pending().len(), 0);
    let status = starts_again(&mut world, &mut witness, crashed);
    assert_eq!((status.term, status.vote), (Term::ZERO, None));
}

#[test]
fn a_crash_that_keeps_all_remembers_the_vote() {
    let ops = crash_on(Trigger::SubmitsVote, Keep::All);
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    let crashed = crashes(&mut world, &mut witness);
    let status = starts_again(&mut world, &mut witness, crashed);
    assert_eq!(status.term, Term(1));
    assert!(status.vote.is_some());
}

#[test]
fn a_crash_may_fall_before_the_write_that_it_loses() {
    let ops = crash_on(Trigger::AboutToSubmit, Keep::All);
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    let crashed = crashes(&mut world, &mut witness);
    let status = starts_again(&mut world, &mut witness, crashed);
    assert_eq!((status.term, status.vote), (Term::ZERO, None));
}

#[test]
fn packets_outlive_the_start_that_sent_them() {
    let ops = crash_on(Trigger::Promises, Keep::None);
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    let crashed = crashes(&mut world, &mut witness);
    let mut parcels = (0..64).filter_map(|slot| world.network.peek(slot));
    let travels = parcels.any(|parcel| parcel.unpack().from() == crashed.id());
    assert!(travels, "the promise is on its way although its sender is down");
}

#[test]
fn what_a_clog_without_an_end_holds_back_arrives_when_the_storm_is_over() {
    let clog = Verb::Clog(Who::Node(NodeId(1)), FOREVER);
    let at = SimTime::default().after(Duration::from_millis(5));
    let ops = vec![Op { when: When::At(at), verb: clog }];
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    advance_until(&mut world, &mut witness, |world| world.calm.is_some());
    let (arrives, ends) = (world.network.latest_arrival(), world.storm_end());
    assert!(arrives >= ends, "it has held something back");
    assert!(arrives <= ends.after(world.settings.latency.most));
}

#[test]
fn a_crashed_node_starts_again_with_its_disk() {
    let ops = crash_on(Trigger::BecomesLeader, Keep::All);
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    let crashed = crashes(&mut world, &mut witness);
    let status = starts_again(&mut world, &mut witness, crashed);
    assert_eq!((status.term, status.vote), (Term(1), Some(crashed.id())));
    let running = world.nodes[crashed.0 as usize].running.as_ref().expect("it runs");
    let applied = running.worker.machine().applied();
    assert_eq!(applied, EntryId::ZERO, "the state machine starts from nothing");
}

#[test]
fn a_paused_node_gets_what_it_missed_at_once_and_late() {
    let (mut world, mut witness) = world_of(calm_settings(), Vec::new());
    let leads = |world: &World| world.leader().is_some();
    advance_until(&mut world, &mut witness, leads);
    let follower = if world.leader() == Some(Place(0)) { Place(1) } else { Place(0) };
    let lasting = world.settings.config.heartbeat_interval;
    assert!(world.pause(follower, lasting));
    assert!(!world.pause(follower, lasting), "it stands still already");
    let steps = |world: &World| {
        world.nodes[follower.0 as usize].running.as_ref().map(|running| running.counts.steps)
    };
    let (before, end) = (steps(&world), world.now.after(lasting));
    let held = |world: &World| world.nodes[follower.0 as usize].held.as_ref().map(Vec::len);
    advance_until(&mut world, &mut witness, |world| held(world) > Some(1));
    assert_eq!(steps(&world), before);
    advance_until(&mut world, &mut witness, |world| world.now > end);
    assert!(steps(&world) > before && held(&world).is_none());
}

#[test]
fn an_isolated_node_neither_hears_nor_is_heard() {
    let isolate = Verb::Isolate(Who::It, Duration::from_secs(2));
    let ops = vec![Op { when: when(Trigger::BecomesLeader), verb: isolate }];
    let (mut world, mut witness) = world_of(calm_settings(), ops);
    advance_until(&mut world, &mut witness, |world| world.leader().is_some());
    let leader = world.leader().expect("it leads");
    for other in (0..3).map(Place).filter(|other| *other != leader) {
        assert!(!world.network.is_open(leader, other) && !world.network.is_open(other, leader));
    }
    let end = world.now.after(Duration::from_secs(2));
    advance_until(&mut world, &mut witness, |world| world.now > end);
    assert!(world.network.is_open(leader, Place((leader.0 + 1) % 3)));
}

#[test]
fn a_clone_goes_on_exactly_as_the_original() {
    let choices = Choices::new(SEED, Overrides::new());
    let settings = Settings::draw((<&Profile>::default(), Rung::default()), &choices, 1, 64);
    let plan = Plan::draw((&settings, Rung::default()), &choices);
    let mut world = World::new(settings.clone(), workload(), plan, choices);
    let mut witness = Witness::new(&settings, None, None, None);
    for _ in 0..5_000 {
        world.advance(&mut witness);
    }
    let mut clone = world.clone();
    world.run(&mut witness, u64::MAX);
    clone.run(&mut Witness::new(&settings, None, None, None), u64::MAX);
    assert_eq!((world.digest(), world.events), (clone.digest(), clone.events));
}

#[test]
fn strangers_have_no_place() {
    assert_eq!(Place::of(NodeId(0), 3), None);
    assert_eq!(Place::of(NodeId(4), 3), None);
    assert_eq!(Place::of(NodeId(3), 3), Some(Place(2)));
}

#[test]
fn time_that_stands_still_is_a_failure() {
    let (mut world, mut witness) = world_of(calm_settings(), Vec::new());
    world.events_now = EVENTS_AT_ONE_INSTANT_MAX;
    world.queue.push(world.now, Event::Look);
    assert!(!world.advance(&mut witness));
    assert!(world.stalled().is_some());
}
