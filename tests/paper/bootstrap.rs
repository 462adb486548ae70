//! The first membership of a cluster, and the rule that no cluster is bootstrapped twice.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::{Action, Config, Input, Raft, RoleName};
use quorate::types::{
    Body, Change, Entry, EntryId, HardState, Incarnation, Index, Instant, Member, Membership,
    MembershipSource, Message, NodeId, Payload, Restored, SnapshotMeta, Tag, Term, Write,
};

use crate::harness::{TICK, plain};
use crate::paper::heartbeat;

const PEERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// How long a peer listens before it agrees to a first membership.
fn listening() -> Duration {
    plain(NodeId(1)).election_timeout_max * 2
}

/// A bootstrap peer with its disk and its clock.
struct Peer {
    raft: Raft,
    disk: Disk,
    now: Instant,
    is_unknown: bool,
}

#[derive(Clone, Default)]
struct Disk {
    incarnation: u128,
    hard_state: HardState,
    membership: Membership,
}

/// Bootstrap peers whose writes are durable at once, and the messages in flight, which the test
/// delivers.
#[derive(Default)]
struct Bootstrap {
    peers: BTreeMap<NodeId, Peer>,
    messages: Vec<Message>,
    starts: u64,
}

impl Bootstrap {
    fn new() -> Bootstrap {
        let mut bootstrap = Bootstrap::default();
        for id in PEERS {
            bootstrap.start(id, Disk { incarnation: u128::from(id.0), ..Disk::default() });
        }
        bootstrap
    }

    /// Starts the node on its own disk or on another one, and lets it listen for a cluster.
    fn start(&mut self, id: NodeId, disk: Disk) {
        self.start_with(id, disk, Membership::new(PEERS));
        self.peers.get_mut(&id).expect("it has started").now = Instant::ZERO.after(listening());
    }

    /// Starts the node with these bootstrap peers.
    fn start_with(&mut self, id: NodeId, disk: Disk, peers: Membership) {
        self.starts += 1;
        let config = Config { bootstrap_peers: Some(peers), ..plain(id) };
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, disk.membership.clone());
        let restored = Restored {
            incarnation: Incarnation(disk.incarnation),
            hard_state: disk.hard_state,
            snapshot,
            ..Restored::default()
        };
        let raft =
            Raft::new(config, restored, self.starts, Instant::ZERO).expect("the node starts");
        self.peers.insert(id, Peer { raft, disk, now: Instant::ZERO, is_unknown: false });
    }

    fn input(&mut self, id: NodeId, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let peer = self.peers.get_mut(&id).expect("a bootstrap peer");
            let mut actions = Vec::new();
            peer.raft.step(peer.now, input, &mut actions);
            for action in actions {
                match action {
                    Action::Send(message) => self.messages.push(message),
                    Action::Persist(Write { id, hard_state, install, .. }) => {
                        peer.disk.hard_state = hard_state.unwrap_or(peer.disk.hard_state);
                        if let Some(meta) = install {
                            peer.disk.membership = meta.membership;
                        }
                        inputs.push(Input::Persisted(id));
                    }
                    Action::UnknownIncarnation { .. } => peer.is_unknown = true,
                    _ => {}
                }
            }
        }
    }

    /// Makes the node send its bootstrap probes.
    fn send_probes(&mut self, id: NodeId) {
        let peer = self.peers.get_mut(&id).expect("a bootstrap peer");
        peer.now = peer.now.max(peer.raft.deadline());
        self.input(id, Input::Timeout);
    }

    /// Delivers the `selected` messages in flight, and those that they cause.
    fn deliver(&mut self, selected: impl Fn(&Message) -> bool) {
        while let Some(place) = self.messages.iter().position(&selected) {
            let message = self.messages.remove(place);
            self.input(message.to, Input::Message(message));
        }
    }

    /// Lets every peer probe all others, four times.
    fn run(&mut self) {
        for _ in 0..4 {
            PEERS.iter().for_each(|id| self.send_probes(*id));
            self.deliver(|message| PEERS.contains(&message.to));
        }
    }

    fn peer(&self, id: u64) -> &Peer {
        &self.peers[&NodeId(id)]
    }

    /// Returns the number of the peer's current start, from a probe that is then dropped.
    fn start_id(&mut self, id: u64) -> u64 {
        self.send_probes(NodeId(id));
        let probe = self.messages.last().expect("the peer sends probes");
        let Body::BootstrapProbe { seen } = &probe.body else {
            panic!("the peer has a membership")
        };
        let start_id =
            seen.iter().find(|peer| peer.id.0 == id).expect("the node is a peer").start_id;
        self.messages.clear();
        start_id
    }

    fn incarnations(&self, id: u64) -> Vec<u128> {
        let membership = self.peer(id).raft.membership();
        membership.members().iter().map(|member| member.incarnation.0).collect()
    }
}

/// Returns a message of a node whose disk has the node's number as incarnation.
fn message(from: u64, to: u64, term: Term, body: Body) -> Message {
    let incarnation = Incarnation(from.into());
    Message { from: NodeId(from), incarnation, to: NodeId(to), term, body }
}

fn is_probe(message: &Message) -> bool {
    matches!(message.body, Body::BootstrapProbe { .. })
}

#[test]
fn peers_that_have_seen_all_others_bootstrap_the_cluster() {
    let mut bootstrap = Bootstrap::new();
    bootstrap.run();
    for id in [1, 2, 3] {
        assert_eq!(bootstrap.incarnations(id), [1, 2, 3], "of node {id}");
        assert_eq!(bootstrap.peer(id).disk.membership, *bootstrap.peer(id).raft.membership());
    }
    bootstrap.input(NodeId(1), Input::Campaign);
    bootstrap.deliver(|_| true);
    assert_eq!(bootstrap.peer(1).raft.status().role, RoleName::Leader);
}

#[test]
fn no_node_bootstraps_or_votes_while_one_peer_is_missing() {
    let mut bootstrap = Bootstrap::new();
    for _ in 0..5 {
        bootstrap.send_probes(NodeId(1));
        bootstrap.send_probes(NodeId(2));
        bootstrap.deliver(|message| message.to != NodeId(3));
    }
    let last = EntryId::ZERO;
    let ask = Body::RequestVote { last, transfer: true };
    bootstrap.input(NodeId(1), Input::Campaign);
    bootstrap.input(NodeId(1), Input::Message(message(2, 1, Term(5), ask)));
    let status = bootstrap.peer(1).raft.status();
    assert!(bootstrap.peer(1).raft.membership().is_empty());
    assert_eq!((status.role, status.term, status.vote), (RoleName::Follower, Term(0), None));
}

#[test]
fn an_absent_peer_gets_the_membership_from_the_others() {
    let mut bootstrap = Bootstrap::new();
    for _ in 0..3 {
        PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
        bootstrap.deliver(|message| message.to != NodeId(3));
        // Node 3 sees the others once, and gets no more messages before they have bootstrapped.
        if bootstrap.incarnations(1).is_empty() {
            bootstrap.deliver(|message| message.to == NodeId(3) && is_probe(message));
        }
    }
    let kept = bootstrap.peer(3).disk.clone();
    bootstrap.start(NodeId(3), Disk { membership: Membership::default(), ..kept });
    bootstrap.messages.clear();
    bootstrap.run();
    assert_eq!(bootstrap.incarnations(3), [1, 2, 3]);
    assert!(!bootstrap.peer(3).is_unknown);
}

#[test]
fn an_emptied_disk_neither_bootstraps_again_nor_votes() {
    let mut bootstrap = Bootstrap::new();
    bootstrap.run();
    bootstrap.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    // A third node without a membership does not help either, although it has seen the others.
    bootstrap.start(NodeId(3), Disk { incarnation: 3, ..Disk::default() });
    bootstrap.run();
    assert!(bootstrap.peer(2).is_unknown, "the disk is reported as unknown");
    assert!(bootstrap.peer(2).raft.membership().is_empty());
    assert_eq!(bootstrap.incarnations(3), [1, 2, 3], "node 3 keeps the first membership");
    let term = Term(bootstrap.peer(1).raft.status().term.0 + 9);
    let ask = Body::RequestVote { last: EntryId::new(term, Index(9)), transfer: true };
    bootstrap.input(NodeId(2), Input::Message(message(1, 2, term, ask)));
    assert_eq!(
        bootstrap.peer(2).raft.status().vote,
        None,
        "a node without a membership gives no vote"
    );
}

#[test]
fn a_peer_that_sees_two_disks_of_one_peer_restarts_the_bootstrap() {
    let mut bootstrap = Bootstrap::new();
    PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
    bootstrap.deliver(|_| true);
    // All peers have seen one another; before any of them knows that, node 2 loses its disk.
    bootstrap.messages.clear();
    bootstrap.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    bootstrap.run();
    for id in [1, 2, 3] {
        assert_eq!(bootstrap.incarnations(id), [1, 22, 3], "of node {id}");
    }
}

#[test]
fn a_probe_of_an_earlier_start_is_no_agreement() {
    let mut bootstrap = Bootstrap::new();
    PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
    bootstrap.deliver(|_| true);
    // All peers report the same list, and only node 3's probe to node 1 is in flight when node 2
    // loses its disk and the others learn of that.
    PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
    let late = |message: &Message| message.to == NodeId(1) && message.from == NodeId(3);
    bootstrap.deliver(|message| message.to == NodeId(1) && !late(message));
    let place = bootstrap.messages.iter().position(late).expect("the probe is in flight");
    let late = bootstrap.messages.remove(place);
    bootstrap.messages.clear();
    bootstrap.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    bootstrap.send_probes(NodeId(2));
    bootstrap.deliver(|_| true);
    bootstrap.messages.push(late);
    bootstrap.deliver(|_| true);
    assert!(bootstrap.peer(1).raft.membership().is_empty(), "the earlier list does not count");
    bootstrap.run();
    assert_eq!(bootstrap.incarnations(1), [1, 22, 3]);
}

/// Bootstraps node 1 alone, and returns its reply to node 3, which it takes off the network.
fn bootstrap_one_peer(bootstrap: &mut Bootstrap) -> Message {
    PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
    bootstrap.deliver(|_| true);
    PEERS.iter().for_each(|id| bootstrap.send_probes(*id));
    bootstrap.deliver(|message| message.to == NodeId(1));
    assert_eq!(bootstrap.incarnations(1), [1, 2, 3]);
    bootstrap.messages.clear();
    bootstrap.send_probes(NodeId(3));
    bootstrap.deliver(|message| message.to == NodeId(1));
    let answer = |message: &Message| matches!(message.body, Body::Bootstrapped { .. });
    let place = bootstrap.messages.iter().position(answer).expect("the node answers");
    let answer = bootstrap.messages.remove(place);
    bootstrap.messages.clear();
    answer
}

#[test]
fn a_bootstrapped_reply_counts_for_one_start_only() {
    let mut bootstrap = Bootstrap::new();
    let late = bootstrap_one_peer(&mut bootstrap);
    // The only node with a membership loses its disk, and node 3 restarts.
    bootstrap.start(NodeId(1), Disk { incarnation: 11, ..Disk::default() });
    for id in [2, 3] {
        let disk = bootstrap.peer(id).disk.clone();
        bootstrap.start(NodeId(id), disk);
    }
    bootstrap.messages.push(late);
    bootstrap.deliver(|_| true);
    assert!(bootstrap.peer(3).raft.membership().is_empty());
    bootstrap.run();
    assert_eq!(bootstrap.incarnations(3), [11, 2, 3]);
}

#[test]
fn a_bootstrapped_reply_is_rejected_after_seeing_another_disk() {
    let mut bootstrap = Bootstrap::new();
    let late = bootstrap_one_peer(&mut bootstrap);
    bootstrap.start(NodeId(1), Disk { incarnation: 11, ..Disk::default() });
    let disk = bootstrap.peer(3).disk.clone();
    bootstrap.start(NodeId(3), disk);
    let start_id = bootstrap.start_id(3);
    let Body::Bootstrapped { membership, source, .. } = late.body else {
        panic!("not a Bootstrapped message")
    };
    let body = Body::Bootstrapped { start_id, membership, source };
    bootstrap.send_probes(NodeId(1));
    bootstrap.deliver(|message| message.to == NodeId(3));
    bootstrap.messages.clear();
    bootstrap.input(NodeId(3), Input::Message(Message { body, ..late }));
    assert!(
        bootstrap.peer(3).raft.membership().is_empty(),
        "the peer may have agreed to another list"
    );
    bootstrap.run();
    assert_eq!(bootstrap.incarnations(3), [11, 2, 3]);
}

#[test]
fn a_late_bootstrap_peer_starts_from_the_first_membership() {
    let mut bootstrap = Bootstrap::new();
    bootstrap_one_peer(&mut bootstrap);
    bootstrap.send_probes(NodeId(2));
    bootstrap.deliver(|message| message.to != NodeId(3) && message.from != NodeId(3));
    bootstrap.input(NodeId(1), Input::Campaign);
    bootstrap.deliver(|message| message.to != NodeId(3) && message.from != NodeId(3));
    assert_eq!(bootstrap.peer(1).raft.status().role, RoleName::Leader);
    let change = Change::new().priority(NodeId(3), 7);
    bootstrap.input(NodeId(1), Input::ChangeMembership { tag: Tag(1), change });
    assert_eq!(bootstrap.peer(1).raft.membership().priority(NodeId(3)), 7);
    bootstrap.messages.clear();
    bootstrap.send_probes(NodeId(3));
    bootstrap.deliver(|message| message.to == NodeId(1));
    bootstrap.deliver(|message| message.to == NodeId(3) && !is_probe(message));
    assert_eq!(bootstrap.peer(3).disk.membership.priority(NodeId(3)), 100, "the first membership");
    assert_eq!(bootstrap.peer(3).disk.membership, bootstrap.peer(2).disk.membership);
}

#[test]
fn no_entry_is_accepted_before_the_first_membership_is_known() {
    let mut bootstrap = Bootstrap::new();
    let answer = bootstrap_one_peer(&mut bootstrap);
    let Body::Bootstrapped { start_id, membership, .. } = answer.body.clone() else {
        panic!("not a Bootstrapped message")
    };
    let forgotten = Body::Bootstrapped { start_id, membership, source: MembershipSource::Snapshot };
    let say = |bootstrap: &mut Bootstrap, body: Body| {
        bootstrap.messages.clear();
        let message = Message { body, from: NodeId(2), term: Term(1), ..answer.clone() };
        bootstrap.input(NodeId(3), Input::Message(message));
    };
    let entry = Entry { id: EntryId { index: Index(1), term: Term(1) }, payload: Payload::Noop };
    let first = Body::AppendEntries {
        prev: EntryId::ZERO,
        entries: [entry].into(),
        committed: Index::ZERO,
    };
    say(&mut bootstrap, forgotten);
    say(&mut bootstrap, first.clone());
    assert_eq!(
        bootstrap.peer(3).raft.log().last(),
        EntryId::ZERO,
        "the first membership is not an entry"
    );
    bootstrap.send_probes(NodeId(3));
    assert!(bootstrap.messages.iter().any(is_probe), "the peer keeps probing");
    say(&mut bootstrap, answer.body.clone());
    assert_eq!(bootstrap.incarnations(3), [1, 2, 3]);
    say(&mut bootstrap, first);
    assert_eq!(bootstrap.peer(3).raft.log().last().index, Index(1));
}

#[test]
fn a_snapshot_ends_the_bootstrap() {
    let mut bootstrap = Bootstrap::new();
    let answer = bootstrap_one_peer(&mut bootstrap);
    let Body::Bootstrapped { start_id, membership, .. } = answer.body.clone() else {
        panic!("not a Bootstrapped message")
    };
    let say = |bootstrap: &mut Bootstrap, body: Body| {
        let message = Message { body, from: NodeId(2), term: Term(1), ..answer.clone() };
        bootstrap.input(NodeId(3), Input::Message(message));
    };
    let source = MembershipSource::Snapshot;
    let meta = SnapshotMeta::empty(EntryId::new(Term(1), Index(5)), membership.clone());
    say(&mut bootstrap, Body::Bootstrapped { start_id, membership, source });
    say(&mut bootstrap, Body::InstallSnapshot { meta: meta.clone() });
    bootstrap.input(NodeId(3), Input::SnapshotReceived { meta: meta.clone() });
    assert_eq!(bootstrap.peer(3).raft.log().last(), meta.last);
    say(&mut bootstrap, answer.body.clone());
    assert_eq!(bootstrap.peer(3).raft.log().last(), meta.last, "the late reply is rejected");
}

#[test]
fn a_bootstrap_peer_probes_any_other_sender() {
    let mut bootstrap = Bootstrap::new();
    let answer = bootstrap_one_peer(&mut bootstrap);
    let Body::Bootstrapped { start_id, membership, .. } = answer.body.clone() else {
        panic!("not a Bootstrapped message")
    };
    // None of the other bootstrap peers is left; node 4 leads.
    let say = |bootstrap: &mut Bootstrap, body: Body| {
        let message = Message { body, from: NodeId(4), term: Term(1), ..answer.clone() };
        bootstrap.input(NodeId(3), Input::Message(message));
    };
    let prev = EntryId { index: Index(7), term: Term(1) };
    let append = Body::AppendEntries { prev, entries: [].into(), committed: Index::ZERO };
    say(&mut bootstrap, append.clone());
    let is_probe_to_four = |message: &Message| is_probe(message) && message.to == NodeId(4);
    assert!(bootstrap.messages.iter().any(is_probe_to_four), "{:?}", bootstrap.messages);
    say(&mut bootstrap, Body::Bootstrapped { start_id, membership, source: MembershipSource::Log });
    bootstrap.messages.clear();
    say(&mut bootstrap, append);
    let heard = |message: &Message| matches!(message.body, Body::AppendEntriesReply(_));
    assert!(bootstrap.messages.iter().any(heard), "{:?}", bootstrap.messages);
}

#[test]
fn a_bootstrap_peer_votes_once_a_member_has_named_its_disk() {
    for source in [MembershipSource::Log, MembershipSource::Snapshot] {
        let mut bootstrap = Bootstrap::new();
        let answer = bootstrap_one_peer(&mut bootstrap);
        let Body::Bootstrapped { start_id, membership, .. } = answer.body.clone() else {
            panic!("not a Bootstrapped message")
        };
        // No bootstrap peer is left; node 4, which joined later, needs the vote of node 3.
        let say = |bootstrap: &mut Bootstrap, body: Body| {
            let message = Message { body, from: NodeId(4), term: Term(5), ..answer.clone() };
            bootstrap.input(NodeId(3), Input::Message(message));
        };
        let last = EntryId { index: Index(7), term: Term(1) };
        let ask = Body::RequestVote { last, transfer: false };
        say(&mut bootstrap, Body::PreVote { next_term: Term(6), last });
        let is_probe_to_four = |message: &Message| is_probe(message) && message.to == NodeId(4);
        assert!(bootstrap.messages.iter().any(is_probe_to_four), "{:?}", bootstrap.messages);
        say(&mut bootstrap, ask.clone());
        assert_eq!(bootstrap.peer(3).raft.status().vote, None, "the disk may be an emptied one");
        say(&mut bootstrap, Body::Bootstrapped { start_id, membership, source });
        say(&mut bootstrap, ask);
        assert!(bootstrap.peer(3).raft.membership().is_empty());
        assert_eq!(bootstrap.peer(3).raft.status().vote, Some(NodeId(4)), "{source:?}");
    }
}

#[test]
fn a_bootstrap_peer_with_an_entry_votes_before_its_log_has_a_membership() {
    let vote = |bootstrap_peers: Option<Membership>| {
        let config = Config { bootstrap_peers, ..plain(NodeId(3)) };
        let id = EntryId { index: Index(1), term: Term(1) };
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, Membership::default());
        let entries = vec![Entry { id, payload: Payload::Noop }];
        let state = HardState::new(Term(1), None);
        let restored = Restored {
            incarnation: Incarnation(3),
            ..Restored::with_log(state, Index::ZERO, snapshot, entries)
        };
        let mut raft = Raft::new(config, restored, 9, Instant::ZERO).expect("the node starts");
        let ask = Body::RequestVote { last: id, transfer: false };
        let ask = Input::Message(message(4, 3, Term(2), ask));
        raft.step(Instant::ZERO, ask, &mut Vec::new());
        raft.status().vote
    };
    assert_eq!(vote(Some(Membership::new(PEERS))), Some(NodeId(4)));
    assert_eq!(vote(None), None, "no membership may name the disk, and it may be a new one");
}

#[test]
fn a_node_without_bootstrap_peers_waits_to_be_added() {
    let mut bootstrap = Bootstrap::new();
    bootstrap.run();
    let config = plain(NodeId(4));
    let mut raft =
        Raft::new(config, Restored::default(), 9, Instant::ZERO).expect("the node starts");
    let mut actions = Vec::new();
    raft.step(raft.deadline(), Input::Timeout, &mut actions);
    assert_eq!(actions, [], "the node requests nothing");
    assert_eq!(raft.log().membership_index(), Index::ZERO);
}

/// Starts all peers on new disks, and delivers a heartbeat of node 4, a member of the cluster that
/// they have lost, to node 2.
fn lost_peers() -> Bootstrap {
    let mut bootstrap = Bootstrap::default();
    for id in PEERS {
        let disk = Disk { incarnation: u128::from(id.0) + 10, ..Disk::default() };
        bootstrap.start_with(id, disk, Membership::new(PEERS));
    }
    bootstrap.run();
    assert!(PEERS.iter().all(|id| bootstrap.incarnations(id.0).is_empty()), "they listen");
    bootstrap.input(NodeId(2), Input::Message(message(4, 2, Term(9), heartbeat())));
    bootstrap
}

#[test]
fn a_peer_that_hears_a_member_agrees_to_no_list_for_a_while() {
    let mut bootstrap = lost_peers();
    for id in PEERS {
        let peer = bootstrap.peers.get_mut(&id).expect("a bootstrap peer");
        peer.now = peer.now.after(listening() - TICK * 4);
    }
    bootstrap.run();
    assert!(bootstrap.incarnations(1).is_empty(), "node 2 has heard node 4");
    // Node 4 may be gone for good, or its message may have been late.
    let peer = bootstrap.peers.get_mut(&NodeId(2)).expect("a bootstrap peer");
    peer.now = peer.now.after(listening());
    bootstrap.run();
    for id in [1, 2, 3] {
        assert_eq!(bootstrap.incarnations(id), [11, 12, 13], "of node {id}");
    }
}

#[test]
fn peers_that_have_lost_their_disks_form_no_second_cluster() {
    let mut bootstrap = lost_peers();
    let is_probe_to_four = |message: &Message| is_probe(message) && message.to == NodeId(4);
    let probe = bootstrap.messages.iter().find(|message| is_probe_to_four(message));
    let Some(Message { body: Body::BootstrapProbe { seen }, .. }) = probe else {
        panic!("node 2 probes node 4")
    };
    let start_id = seen.iter().find(|peer| peer.id == NodeId(2)).expect("it is a peer").start_id;
    let named = |id: u64| Member { incarnation: Incarnation(id.into()), ..Member::new(NodeId(id)) };
    let voters = Membership::new([1, 2, 3, 4].map(NodeId));
    let membership = [1, 2, 3, 4].map(named).into_iter().fold(voters, Membership::with_member);
    let body = Body::Bootstrapped { start_id, membership, source: MembershipSource::Log };
    bootstrap.input(NodeId(2), Input::Message(message(4, 2, Term(9), body)));
    assert!(bootstrap.peer(2).is_unknown, "the cluster names another disk");
    for _ in 0..3 {
        for id in PEERS {
            let peer = bootstrap.peers.get_mut(&id).expect("a bootstrap peer");
            peer.now = peer.now.after(listening());
        }
        bootstrap.run();
    }
    assert!(PEERS.iter().all(|id| bootstrap.incarnations(id.0).is_empty()));
}

#[test]
fn a_peer_that_waits_for_a_snapshot_forms_no_second_cluster() {
    let mut bootstrap = Bootstrap::new();
    let start_id = bootstrap.start_id(1);
    let own = Member { incarnation: Incarnation(1), ..Member::new(NodeId(1)) };
    let membership = Membership::new([1, 2, 3, 4].map(NodeId)).with_member(own);
    let body = Body::Bootstrapped { start_id, membership, source: MembershipSource::Snapshot };
    bootstrap.input(NodeId(1), Input::Message(message(4, 1, Term(9), body)));
    // The other peers have lost their disks, and agree to anything; then one loses another disk.
    bootstrap.run();
    assert!(bootstrap.incarnations(1).is_empty());
    bootstrap.start(NodeId(2), Disk { incarnation: 22, ..Disk::default() });
    bootstrap.run();
    assert!(PEERS.iter().all(|id| bootstrap.incarnations(id.0).is_empty()));
}

#[test]
fn the_peer_with_the_lowest_id_determines_the_addresses_and_priorities() {
    let mut bootstrap = Bootstrap::default();
    let priority = |priority| Member { priority, ..Member::new(NodeId(3)) };
    for id in PEERS {
        let disk = Disk { incarnation: u128::from(id.0), ..Disk::default() };
        let peers = Membership::new(PEERS).with_member(priority(10 * id.0 as u8));
        bootstrap.start_with(id, disk, peers);
        bootstrap.peers.get_mut(&id).expect("it has started").now =
            Instant::ZERO.after(listening());
    }
    bootstrap.run();
    for id in [1, 2, 3] {
        assert_eq!(bootstrap.incarnations(id), [1, 2, 3], "of node {id}");
        assert_eq!(bootstrap.peer(id).disk.membership.priority(NodeId(3)), 10, "of node {id}");
    }
}
