//! The first membership of a cluster, and who never founds a second one.

use std::collections::BTreeMap;

use quorate::raft::{Action, Config, Input, Raft, RoleName};
use quorate::types::{
    Body, Bringer, Change, Entry, EntryId, HardState, Incarnation, Index, Instant, Membership,
    Message, NodeId, Payload, Restored, SnapshotMeta, Tag, Term, Write,
};

use crate::harness::plain;

const FOUNDERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// A founder, what its disk has, and what it said and was not delivered yet.
struct Founder {
    raft: Raft,
    disk: Disk,
    now: Instant,
    strange: bool,
}

#[derive(Clone, Default)]
struct Disk {
    incarnation: u128,
    hard_state: HardState,
    membership: Membership,
}

/// Founders whose disks work at once, and messages that are delivered as the test likes.
#[derive(Default)]
struct World {
    founders: BTreeMap<NodeId, Founder>,
    messages: Vec<Message>,
    starts: u64,
}

impl World {
    fn new() -> World {
        let mut world = World::default();
        for id in FOUNDERS {
            world.start(id, Disk { incarnation: u128::from(id.0), ..Disk::default() });
        }
        world
    }

    /// Starts the node on a disk: one that it had, or another.
    fn start(&mut self, id: NodeId, disk: Disk) {
        self.starts += 1;
        let config = Config { founders: Some(Membership::new(FOUNDERS)), ..plain(id) };
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, disk.membership.clone());
        let restored = Restored {
            incarnation: Incarnation(disk.incarnation),
            hard_state: disk.hard_state,
            snapshot,
            ..Restored::default()
        };
        let raft = Raft::new(config, restored, self.starts, Instant::ZERO).expect("it starts");
        self.founders.insert(id, Founder { raft, disk, now: Instant::ZERO, strange: false });
    }

    fn input(&mut self, id: NodeId, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let founder = self.founders.get_mut(&id).expect("a founder");
            let mut actions = Vec::new();
            founder.raft.step(founder.now, input, &mut actions);
            for action in actions {
                match action {
                    Action::Send(message) => self.messages.push(message),
                    Action::Persist(Write { id, hard_state, install, .. }) => {
                        founder.disk.hard_state = hard_state.unwrap_or(founder.disk.hard_state);
                        if let Some(meta) = install {
                            founder.disk.membership = meta.membership;
                        }
                        inputs.push(Input::Persisted(id));
                    }
                    Action::Stranger { .. } => founder.strange = true,
                    _ => {}
                }
            }
        }
    }

    /// The node tells whom it has met.
    fn tell(&mut self, id: NodeId) {
        let founder = self.founders.get_mut(&id).expect("a founder");
        founder.now = founder.now.max(founder.raft.deadline());
        self.input(id, Input::Timeout);
    }

    /// Delivers what waits and is `wanted`, and what it causes.
    fn deliver(&mut self, wanted: impl Fn(&Message) -> bool) {
        while let Some(place) = self.messages.iter().position(&wanted) {
            let message = self.messages.remove(place);
            self.input(message.to, Input::Message(message));
        }
    }

    /// Everybody tells everybody, a few times.
    fn meet(&mut self) {
        for _ in 0..3 {
            FOUNDERS.iter().for_each(|id| self.tell(*id));
            self.deliver(|_| true);
        }
    }

    fn founder(&self, id: u64) -> &Founder {
        &self.founders[&NodeId(id)]
    }

    /// Which start the founder says to be, when it tells whom it has met; nobody hears it.
    fn boot(&mut self, id: u64) -> u64 {
        self.tell(NodeId(id));
        let said = self.messages.last().expect("it tells the others");
        let Body::Meet { met } = &said.body else { panic!("it has founded nothing") };
        let boot = met.iter().find(|founder| founder.id.0 == id).expect("it is one").boot;
        self.messages.clear();
        boot
    }

    fn incarnations(&self, id: u64) -> Vec<u128> {
        let membership = self.founder(id).raft.membership();
        membership.members().iter().map(|member| member.incarnation.0).collect()
    }
}

/// What a node says that has the disk of its number.
fn said(from: u64, to: u64, term: Term, body: Body) -> Message {
    let incarnation = Incarnation(from.into());
    Message { from: NodeId(from), incarnation, to: NodeId(to), term, body }
}

fn is_meet(message: &Message) -> bool {
    matches!(message.body, Body::Meet { .. })
}

#[test]
fn who_has_met_everyone_founds_the_cluster_and_it_elects() {
    let mut world = World::new();
    world.meet();
    for id in [1, 2, 3] {
        assert_eq!(world.incarnations(id), [1, 2, 3], "of node {id}");
        assert_eq!(world.founder(id).disk.membership, *world.founder(id).raft.membership());
    }
    world.input(NodeId(1), Input::Campaign);
    world.deliver(|_| true);
    assert_eq!(world.founder(1).raft.status().role, RoleName::Leader);
}

#[test]
fn nobody_founds_while_one_is_missing_and_nobody_votes() {
    let mut world = World::new();
    for _ in 0..5 {
        world.tell(NodeId(1));
        world.tell(NodeId(2));
        world.deliver(|message| message.to != NodeId(3));
    }
    let last = EntryId::ZERO;
    let ask = Body::RequestVote { last, transfer: true };
    world.input(NodeId(1), Input::Campaign);
    world.input(NodeId(1), Input::Message(said(2, 1, Term(5), ask)));
    let status = world.founder(1).raft.status();
    assert!(world.founder(1).raft.membership().is_nobody());
    assert_eq!((status.role, status.term, status.vote), (RoleName::Follower, Term(0), None));
}

#[test]
fn who_was_away_when_the_others_founded_founds_by_their_word() {
    let mut world = World::new();
    for _ in 0..3 {
        FOUNDERS.iter().for_each(|id| world.tell(*id));
        world.deliver(|message| message.to != NodeId(3));
        // The third hears once, and then no more before the others have founded.
        if world.incarnations(1).is_empty() {
            world.deliver(|message| message.to == NodeId(3) && is_meet(message));
        }
    }
    let kept = world.founder(3).disk.clone();
    world.start(NodeId(3), Disk { membership: Membership::default(), ..kept });
    world.messages.clear();
    world.meet();
    assert_eq!(world.incarnations(3), [1, 2, 3]);
    assert!(!world.founder(3).strange);
}

#[test]
fn an_emptied_disk_neither_founds_again_nor_votes() {
    let mut world = World::new();
    world.meet();
    world.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    // A third that has not founded is no help either, whatever it has heard.
    world.start(NodeId(3), Disk { incarnation: 3, ..Disk::default() });
    world.meet();
    assert!(world.founder(2).strange, "it is told so");
    assert!(world.founder(2).raft.membership().is_nobody());
    assert_eq!(world.incarnations(3), [1, 2, 3], "and the other one is not misled");
    let term = Term(world.founder(1).raft.status().term.0 + 9);
    let ask = Body::RequestVote { last: EntryId::new(term, Index(9)), transfer: true };
    world.input(NodeId(2), Input::Message(said(1, 2, term, ask)));
    assert_eq!(world.founder(2).raft.status().vote, None, "it gives no vote");
}

#[test]
fn who_hears_of_two_disks_of_a_founder_begins_anew() {
    let mut world = World::new();
    FOUNDERS.iter().for_each(|id| world.tell(*id));
    world.deliver(|_| true);
    // Everybody has met everybody; before anybody knows that, the second one loses its disk.
    world.messages.clear();
    world.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    world.meet();
    for id in [1, 2, 3] {
        assert_eq!(world.incarnations(id), [1, 22, 3], "of node {id}");
    }
}

#[test]
fn what_was_said_in_an_earlier_start_is_no_agreement() {
    let mut world = World::new();
    FOUNDERS.iter().for_each(|id| world.tell(*id));
    world.deliver(|_| true);
    // Each says the same list, and only the third one's word to the first is on its way when the
    // second one loses its disk and the others hear of that.
    FOUNDERS.iter().for_each(|id| world.tell(*id));
    let late = |message: &Message| message.to == NodeId(1) && message.from == NodeId(3);
    world.deliver(|message| message.to == NodeId(1) && !late(message));
    let place = world.messages.iter().position(late).expect("it is on its way");
    let late = world.messages.remove(place);
    world.messages.clear();
    world.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    world.tell(NodeId(2));
    world.deliver(|_| true);
    world.messages.push(late);
    world.deliver(|_| true);
    assert!(world.founder(1).raft.membership().is_nobody(), "the list of before is void");
    world.meet();
    assert_eq!(world.incarnations(1), [1, 22, 3]);
}

/// What the first one says when it has founded the cluster, and nobody else has: its answer to the
/// third one, which is on its way.
fn founded_alone(world: &mut World) -> Message {
    FOUNDERS.iter().for_each(|id| world.tell(*id));
    world.deliver(|_| true);
    FOUNDERS.iter().for_each(|id| world.tell(*id));
    world.deliver(|message| message.to == NodeId(1));
    assert_eq!(world.incarnations(1), [1, 2, 3]);
    world.messages.clear();
    world.tell(NodeId(3));
    world.deliver(|message| message.to == NodeId(1));
    let answer = |message: &Message| matches!(message.body, Body::Founded { .. });
    let place = world.messages.iter().position(answer).expect("it answers");
    let answer = world.messages.remove(place);
    world.messages.clear();
    answer
}

#[test]
fn the_word_of_one_who_founded_is_for_one_start_alone() {
    let mut world = World::new();
    let late = founded_alone(&mut world);
    // The only one who founded loses its disk, and the third one starts again.
    world.start(NodeId(1), Disk { incarnation: 11, ..Disk::default() });
    for id in [2, 3] {
        let disk = world.founder(id).disk.clone();
        world.start(NodeId(id), disk);
    }
    world.messages.push(late);
    world.deliver(|_| true);
    assert!(world.founder(3).raft.membership().is_nobody());
    world.meet();
    assert_eq!(world.incarnations(3), [11, 2, 3]);
}

#[test]
fn the_word_of_one_who_founded_is_not_taken_by_who_met_another_disk() {
    let mut world = World::new();
    let late = founded_alone(&mut world);
    world.start(NodeId(1), Disk { incarnation: 11, ..Disk::default() });
    let disk = world.founder(3).disk.clone();
    world.start(NodeId(3), disk);
    let boot = world.boot(3);
    let Body::Founded { membership, bringer, .. } = late.body else { panic!("an answer") };
    let body = Body::Founded { boot, membership, bringer };
    world.tell(NodeId(1));
    world.deliver(|message| message.to == NodeId(3));
    world.messages.clear();
    world.input(NodeId(3), Input::Message(Message { body, ..late }));
    assert!(world.founder(3).raft.membership().is_nobody(), "it may have agreed to another list");
    world.meet();
    assert_eq!(world.incarnations(3), [11, 2, 3]);
}

#[test]
fn a_founder_that_comes_late_starts_from_the_first_membership() {
    let mut world = World::new();
    founded_alone(&mut world);
    world.tell(NodeId(2));
    world.deliver(|message| message.to != NodeId(3) && message.from != NodeId(3));
    world.input(NodeId(1), Input::Campaign);
    world.deliver(|message| message.to != NodeId(3) && message.from != NodeId(3));
    assert_eq!(world.founder(1).raft.status().role, RoleName::Leader);
    let change = Change::new().priority(NodeId(3), 7);
    world.input(NodeId(1), Input::ChangeMembership { tag: Tag(1), change });
    assert_eq!(world.founder(1).raft.membership().priority(NodeId(3)), 7);
    world.messages.clear();
    world.tell(NodeId(3));
    world.deliver(|message| message.to == NodeId(1));
    world.deliver(|message| message.to == NodeId(3) && !is_meet(message));
    assert_eq!(world.founder(3).disk.membership.priority(NodeId(3)), 100, "the first one");
    assert_eq!(world.founder(3).disk.membership, world.founder(2).disk.membership);
}

#[test]
fn no_log_begins_before_the_first_membership_is_known() {
    let mut world = World::new();
    let answer = founded_alone(&mut world);
    let Body::Founded { boot, membership, .. } = answer.body.clone() else { panic!("an answer") };
    let forgotten = Body::Founded { boot, membership, bringer: Bringer::Snapshot };
    let say = |world: &mut World, body: Body| {
        world.messages.clear();
        let message = Message { body, from: NodeId(2), term: Term(1), ..answer.clone() };
        world.input(NodeId(3), Input::Message(message));
    };
    let entry = Entry { id: EntryId { index: Index(1), term: Term(1) }, payload: Payload::Noop };
    let first =
        Body::AppendEntries { prev: EntryId::ZERO, entries: vec![entry], committed: Index::ZERO };
    say(&mut world, forgotten);
    say(&mut world, first.clone());
    assert_eq!(world.founder(3).raft.log().last(), EntryId::ZERO, "who counts is no entry");
    world.tell(NodeId(3));
    assert!(world.messages.iter().any(is_meet), "it asks on");
    say(&mut world, answer.body.clone());
    assert_eq!(world.incarnations(3), [1, 2, 3]);
    say(&mut world, first);
    assert_eq!(world.founder(3).raft.log().last().index, Index(1));
}

#[test]
fn a_founder_asks_whoever_else_speaks_to_it() {
    let mut world = World::new();
    let answer = founded_alone(&mut world);
    let Body::Founded { boot, membership, .. } = answer.body.clone() else { panic!("an answer") };
    // None of the other founders is left; the fourth node leads.
    let say = |world: &mut World, body: Body| {
        let message = Message { body, from: NodeId(4), term: Term(1), ..answer.clone() };
        world.input(NodeId(3), Input::Message(message));
    };
    let prev = EntryId { index: Index(7), term: Term(1) };
    let append = Body::AppendEntries { prev, entries: Vec::new(), committed: Index::ZERO };
    say(&mut world, append.clone());
    let asked = |message: &Message| is_meet(message) && message.to == NodeId(4);
    assert!(world.messages.iter().any(asked), "{:?}", world.messages);
    say(&mut world, Body::Founded { boot, membership, bringer: Bringer::Log });
    world.messages.clear();
    say(&mut world, append);
    let heard = |message: &Message| matches!(message.body, Body::AppendEntriesReply(_));
    assert!(world.messages.iter().any(heard), "{:?}", world.messages);
}

#[test]
fn a_node_without_founders_waits_to_be_made_a_member() {
    let mut world = World::new();
    world.meet();
    let config = plain(NodeId(4));
    let mut raft = Raft::new(config, Restored::default(), 9, Instant::ZERO).expect("it starts");
    let mut actions = Vec::new();
    raft.step(raft.deadline(), Input::Timeout, &mut actions);
    assert_eq!(actions, [], "it asks for nothing");
    assert_eq!(raft.log().membership_index(), Index::ZERO);
}
