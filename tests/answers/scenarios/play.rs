//! The player of a scenario, on a cluster of real Raft cores.

use std::collections::BTreeMap;

use quorate::raft::{Config, Input};
use quorate::types::{
    AppendOutcome, Body, Change, EntryId, HardState, Heartbeat, Incarnation, Index, Instant,
    Membership, Message, NodeId, Payload, Restored, SnapshotMeta, Term,
};

use super::script::{Expect, Injected, Persisted, Propose, Read, Scenario, Step, Which};
use crate::answers::tables::role_named;
use crate::harness::{Cluster, MessageKind, TICK, entries_after, entry_id, plain, terms};

/// The tightness of the bounds. No expectation depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    Wide,
    /// Every bound is so low that entries are split and fetched from the disk wherever possible.
    Tight,
}

fn tighten(config: &mut Config) {
    config.message_entries_max = 1;
    config.inflight_messages_max = 2;
    config.inflight_entries_max = 2;
    config.tail_bytes_max = 1;
    config.apply_bytes_max = 1;
}

pub(crate) struct Play {
    cluster: Cluster,
    /// The nodes whose election timeout the scenario sets.
    timeouts: BTreeMap<NodeId, FixedTimeout>,
}

/// The election timeout of a node that campaigns after a fixed number of ticks instead of a random
/// one. The player ignores the random deadline of the node, and passes `Campaign` once the ticks
/// have passed.
struct FixedTimeout {
    ticks: u32,
    /// The node's current deadline, and the ticks since it was set. A new deadline means that the
    /// node heard from its leader, or campaigned.
    deadline: Option<Instant>,
    waited: u32,
}

impl Play {
    pub(crate) fn new(scenario: &Scenario, bounds: Bounds) -> Play {
        assert!(!scenario.manual, "an outline is not played");
        let membership =
            Membership::new(ids(&scenario.voters)).with_learners(ids(&scenario.learners));
        let mut cluster = Cluster::empty();
        for id in membership.ids().chain(ids(&scenario.spare)) {
            let mut config = plain(id);
            if bounds == Bounds::Tight {
                tighten(&mut config);
            }
            config.pre_vote = scenario.config.pre_vote;
            config.check_quorum = scenario.config.check_quorum;
            config.stickiness = scenario.config.check_quorum;
            let configured = membership.is_member(id).then(|| membership.clone());
            let restored = restored(configured, scenario.persisted.get(&id.0));
            cluster.add(config, restored);
        }
        let timeout = |(&id, &ticks): (&u64, &u32)| {
            let timeout = FixedTimeout { ticks, deadline: None, waited: 0 };
            (NodeId(id), timeout)
        };
        Play { cluster, timeouts: scenario.config.timeout.iter().map(timeout).collect() }
    }

    /// The number of fetches from the nodes' disks.
    pub(crate) fn fetches(&self) -> u64 {
        self.cluster.nodes().map(|(_, node)| node.fetches()).sum()
    }

    pub(crate) fn run(&mut self, steps: &[Step]) {
        for (number, step) in (1..).zip(steps) {
            println!("step {number}");
            self.step(step);
            self.cluster.settle();
        }
    }

    fn step(&mut self, step: &Step) {
        let cluster = &mut self.cluster;
        match step {
            Step::Campaign { node } => cluster.campaign(NodeId(*node)),
            Step::Heartbeat { node } => cluster.heartbeat(NodeId(*node)),
            Step::Tick { node, n } => (0..*n).for_each(|_| self.tick(&[NodeId(*node)])),
            Step::TickAll { n } => {
                let all = cluster.ids();
                (0..*n).for_each(|_| self.tick(&all));
            }
            Step::Propose(propose) => self.propose(propose),
            Step::Read(read) => self.read(read),
            Step::Conf(conf) => {
                cluster.change(NodeId(conf.node), change(&conf.changes));
            }
            Step::Transfer { node, to } => {
                cluster.transfer(NodeId(*node), NodeId(*to));
            }
            Step::Compact { .. } => {}
            Step::Cut { a, b } => cluster.cut(NodeId(*a), NodeId(*b)),
            Step::Uncut { a, b } => cluster.uncut(NodeId(*a), NodeId(*b)),
            Step::Isolate { node } => cluster.isolate(NodeId(*node)),
            Step::Rejoin { node } => cluster.network.rejoin(NodeId(*node)),
            Step::Heal {} => cluster.network.heal(),
            Step::DropKinds { kinds } => {
                let kinds = kinds.iter().flat_map(|kind| kinds_named(kind));
                cluster.network.drop_kinds(kinds.copied());
            }
            Step::Hold {} => cluster.hold(),
            Step::Release {} => cluster.release(),
            Step::Run {} => cluster.run(),
            Step::Deliver(which) => cluster.deliver_where(|message| is_one(message, which)),
            Step::DeliverAll {} => cluster.deliver_where(|_| true),
            Step::Drop(which) => {
                cluster.network.take(|message| is_one(message, which));
            }
            Step::Crash { node } => cluster.crash(NodeId(*node)),
            Step::Restart { node } => cluster.restart(NodeId(*node)),
            Step::Inject { node, msg } => {
                let message = injected(NodeId(*node), msg);
                cluster.input(NodeId(*node), Input::Message(message));
            }
            Step::Expect(expect) => self.expect(expect),
        }
    }

    /// Lets one tick pass on the given nodes.
    fn tick(&mut self, ids: &[NodeId]) {
        for &id in ids {
            let node = self.cluster.node_mut(id);
            if !node.is_up() {
                continue;
            }
            match self.timeouts.get_mut(&id).filter(|_| !node.leads()) {
                None => node.advance(TICK),
                Some(timeout) => {
                    node.oversleep(TICK);
                    if timeout.deadline != node.deadline() {
                        timeout.deadline = node.deadline();
                        timeout.waited = 0;
                    }
                    timeout.waited += 1;
                    if timeout.waited >= timeout.ticks {
                        node.input(Input::Campaign);
                        timeout.deadline = None;
                    }
                }
            }
        }
        self.cluster.settle();
    }

    fn propose(&mut self, propose: &Propose) {
        let node = NodeId(propose.node);
        for _ in 0..propose.count {
            let tag = self.cluster.propose(node, &propose.data);
            let rejected = self.cluster.node(node).reject_reason(tag);
            if let Some(accepted) = propose.accepted {
                assert_eq!(rejected.is_none(), accepted, "{rejected:?}");
            }
        }
    }

    fn read(&mut self, read: &Read) {
        let node = NodeId(read.node);
        let tag = self.cluster.read(node);
        let index = self.cluster.node(node).read_index(tag);
        if let Some(ok) = read.ok {
            assert_eq!(index.is_some(), ok, "the read is answered");
        }
        if read.index.is_some() {
            assert_eq!(index, read.index);
        }
    }

    fn expect(&self, expect: &Expect) {
        let cluster = &self.cluster;
        for (&id, role) in &expect.role {
            let shown = cluster.role(NodeId(id));
            if role == "not_leader" {
                assert!(!cluster.node(NodeId(id)).leads(), "role of {id}");
            } else {
                assert_eq!(shown, role_named(role), "role of {id}");
            }
        }
        let status = |id: u64| cluster.node(NodeId(id)).status();
        all(&expect.term, "term", |id| status(id).term.0);
        all(&expect.vote, "vote", |id| status(id).vote.map(|vote| vote.0));
        all(&expect.leader, "leader", |id| status(id).leader.map(|leader| leader.0));
        all(&expect.commit, "commit index", |id| status(id).committed.0);
        all(&expect.last_index, "last index", |id| status(id).last.index.0);
        all(&expect.applied, "applied commands", |id| cluster.node(NodeId(id)).applied_commands());
        all(&expect.applied_count, "number of applied commands", |id| {
            cluster.node(NodeId(id)).applied_commands().len()
        });
        all(&expect.log, "log", |id| terms(&cluster.node(NodeId(id)).log()));
        for (&id, prefix) in &expect.log_prefix {
            let log = terms(&cluster.node(NodeId(id)).log());
            assert!(log.starts_with(prefix), "log of {id}: {log:?} begins with {prefix:?}");
        }
        let logs: Vec<_> =
            expect.same_log.iter().map(|id| cluster.node(NodeId(*id)).log()).collect();
        assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "equal logs: {logs:?}");
        let membership = |id: u64| cluster.membership(NodeId(id));
        all(&expect.voters, "voters", |id| numbers(membership(id).incoming()));
        all(&expect.outgoing, "outgoing voters", |id| numbers(membership(id).outgoing()));
        all(&expect.learners, "learners", |id| {
            numbers(&membership(id).learners().collect::<Vec<_>>())
        });
        if expect.no_leader {
            assert_eq!(cluster.leaders(), [], "no node is the leader");
        }
        if let Some(strict) = &expect.strict {
            self.expect(strict);
        }
    }
}

/// Checks one kind of expectation on every node that has it.
fn all<T: PartialEq + core::fmt::Debug>(
    expected: &BTreeMap<u64, T>,
    label: &str,
    shown: impl Fn(u64) -> T,
) {
    for (&id, expected) in expected {
        assert_eq!(shown(id), *expected, "{label} of {id}");
    }
}

/// Reads a change in the syntax of the scenarios and of etcd's tables.
pub(crate) fn change(tokens: &[String]) -> Change {
    tokens.iter().fold(Change::new(), |change, token| {
        let (kind, id) = token.split_at(1);
        let id = NodeId(id.parse().expect("an id follows"));
        match kind {
            "v" => change.voter(id),
            "l" => change.learner(id),
            "r" => change.remove(id),
            _ => panic!("unknown change {token}"),
        }
    })
}

fn ids(numbers: &[u64]) -> impl Iterator<Item = NodeId> {
    numbers.iter().copied().map(NodeId)
}

fn numbers(ids: &[NodeId]) -> Vec<u64> {
    ids.iter().map(|id| id.0).collect()
}

/// Returns the restored state of a node: by default only its configured membership. The entries of
/// a log given by its terms have no command.
fn restored(membership: Option<Membership>, persisted: Option<&Persisted>) -> Restored {
    let membership = membership.unwrap_or_default();
    let Some(persisted) = persisted else { return Restored::fresh(membership) };
    let vote = persisted.vote.filter(|vote| *vote != 0).map(NodeId);
    let hard_state = HardState::new(Term(persisted.term), vote);
    let mut entries = entries_after(EntryId::ZERO, &persisted.log);
    entries.iter_mut().for_each(|entry| entry.payload = Payload::Noop);
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    Restored::with_log(hard_state, Index(persisted.commit), snapshot, entries)
}

/// Returns the kinds of messages that a name in a scenario stands for.
fn kinds_named(name: &str) -> &'static [MessageKind] {
    match name {
        "append_request" => &[MessageKind::AppendEntries],
        "append_reply" => &[MessageKind::AppendEntriesReply],
        "vote_request" => &[MessageKind::RequestVote],
        "vote_reply" => &[MessageKind::RequestVoteReply],
        "pre_vote_request" | "prevote_request" => &[MessageKind::PreVote],
        "pre_vote_reply" | "prevote_reply" => &[MessageKind::PreVoteReply],
        "heartbeat" | "heartbeat_request" => &[MessageKind::Heartbeat],
        "heartbeat_reply" => &[MessageKind::HeartbeatReply],
        "read_index" | "read_index_request" => &[MessageKind::ReadIndex],
        "read_index_reply" => &[MessageKind::ReadIndexReply],
        other => panic!("unknown message {other}"),
    }
}

fn is_one(message: &Message, which: &Which) -> bool {
    let kind = message.body.kind();
    which.from.is_none_or(|from| from == message.from.0)
        && which.to.is_none_or(|to| to == message.to.0)
        && which.kind.as_ref().is_none_or(|name| kinds_named(name).contains(&kind))
}

fn injected(to: NodeId, message: &Injected) -> Message {
    let (from, term, body) = match *message {
        Injected::AppendRequest { from, term, prev_index, prev_term, ref entries, commit } => {
            let prev = entry_id(prev_term, prev_index);
            let mut entries = entries_after(prev, entries);
            entries.iter_mut().for_each(|entry| entry.payload = Payload::Noop);
            (
                from,
                term,
                Body::AppendEntries { prev, entries: entries.into(), committed: Index(commit) },
            )
        }
        Injected::AppendReply { from, term, match_index } => {
            let outcome = AppendOutcome::Accepted { matched: Index(match_index) };
            (from, term, Body::AppendEntriesReply(outcome))
        }
        Injected::VoteRequest { from, term, last_index, last_term } => (
            from,
            term,
            Body::RequestVote { last: entry_id(last_term, last_index), transfer: false },
        ),
        Injected::VoteReply { from, term, granted } => {
            (from, term, Body::RequestVoteReply { granted, committed: Index::ZERO })
        }
        Injected::Heartbeat { from, term, commit } => {
            (from, term, Body::Heartbeat(Heartbeat::new(1, Index(commit))))
        }
    };
    Message { from: NodeId(from), incarnation: Incarnation::default(), to, term: Term(term), body }
}
