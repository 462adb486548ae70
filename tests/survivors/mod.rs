//! Three nodes with `Config::survivor`, in every order of crashes and restarts.
//!
//! The cluster is that of the spec scripts, with their safety checks after each step: a term has
//! one leader, and each leader has every acknowledged entry. This test adds the liveness rules of
//! `docs/SURVIVOR.md`.

use std::time::Duration;

use quorate::raft::{Config, RoleName, Survivor};
use quorate::types::{Acknowledge, EntryId, NodeId};

use crate::specs_runner::change::InitialMembership;
use crate::specs_runner::cluster::Cluster;
use crate::specs_runner::command::{ClusterSetup, Command, KeptWrites, Pick};
use crate::specs_runner::message::Selector;
use crate::specs_runner::network::NO_MESSAGE;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// The number of crashes and restarts in each run.
const TURNS: usize = 4;
const HEARTBEAT: Duration = Duration::from_millis(200);
const AFTER: Duration = Duration::from_millis(3000);
/// The time until silent nodes are dead, there is a leader, and returned nodes are voters that may
/// take over.
const LONG: Duration = Duration::from_millis(5000);

/// The pause after a crash or a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// No pause: the last messages are still in flight.
    None,
    /// A pause of two heartbeats.
    Short,
    /// A pause until the cluster has stabilized.
    Long,
}

const PAUSES: [Pause; 3] = [Pause::None, Pause::Short, Pause::Long];

/// A cluster after some crashes and restarts of its nodes.
#[derive(Clone)]
struct History {
    cluster: Cluster,
    /// The steps so far, for failure messages.
    history: Vec<String>,
    /// The nodes that were voters under a leader when the cluster last was stable, and have not
    /// crashed since: each of them may be the last survivor.
    may_take_over: Vec<NodeId>,
}

#[test]
fn three_nodes_survive_two_crashes_in_any_order() {
    let mut ends = 0;
    let mut begun = History::begin();
    begun.rest();
    explore(&begun, TURNS, &mut ends);
    assert_eq!(ends, 9_usize.pow(TURNS as u32), "each of three nodes, with each of three pauses");
}

/// Tries every continuation of the run for this number of turns.
fn explore(run: &History, turns: usize, ends: &mut usize) {
    if turns == 0 {
        *ends += 1;
        return run.clone().end();
    }
    for id in NODES {
        let mut after_turn = run.clone();
        after_turn.turn(id);
        for pause in PAUSES {
            let mut next = after_turn.clone();
            next.wait(pause);
            explore(&next, turns - 1, ends);
        }
    }
}

impl History {
    fn begin() -> History {
        let mut config = Config::new(NODES[0]);
        config.heartbeat_interval = HEARTBEAT;
        config.election_timeout_min = HEARTBEAT * 3;
        config.election_timeout_max = AFTER / 4;
        config.survivor = Some(Survivor { after: AFTER });
        let setup = ClusterSetup {
            membership: InitialMembership::with_voters(3),
            spares: Vec::new(),
            seed: 1,
            config,
        };
        let (cluster, history, may_take_over) = (Cluster::new(), Vec::new(), Vec::new());
        let mut run = History { cluster, history, may_take_over };
        run.execute(Command::Cluster(Box::new(setup)));
        run.execute(Command::Show(Vec::new()));
        run.execute(Command::Elect(NODES[0]));
        run
    }

    fn execute(&mut self, command: Command) {
        if let Err(error) = self.cluster.carry_out(command) {
            panic!("{error}, after: {}", self.history.join(", "));
        }
    }

    fn is_up(&self, id: NodeId) -> bool {
        self.cluster.node(id).is_ok_and(|node| node.raft().is_some())
    }

    /// Returns the leader of the highest term.
    fn leader(&self) -> Option<NodeId> {
        let status = |id: &NodeId| self.cluster.node(*id).ok()?.status();
        let leaders = NODES.iter().filter_map(status).filter(|it| it.role == RoleName::Leader);
        leaders.max_by_key(|status| status.term).map(|status| status.id)
    }

    /// Proposes a command at the leader, if there is one. After the command has reached one other
    /// node, and its reply the leader, the node crashes or restarts. Its messages in flight are
    /// lost.
    fn turn(&mut self, id: NodeId) {
        self.propose();
        self.reach_one();
        if self.is_up(id) {
            self.history.push(format!("{id} crashes"));
            self.may_take_over.retain(|other| *other != id);
            self.execute(Command::Crash { node: id, keep: KeptWrites::First(0) });
            for messages in [between(Some(id), None), between(None, Some(id))] {
                self.execute_if_in_flight(Command::Drop(messages));
            }
        } else {
            self.history.push(format!("{id} restarts"));
            self.execute(Command::Restart { node: id, tail: None });
        }
    }

    fn propose(&mut self) {
        let Some(to) = self.leader() else { return };
        let commands = vec!["x".to_owned()];
        self.execute(Command::Propose {
            to,
            acknowledge: Acknowledge::Quorum,
            commands,
            at_once: false,
        });
    }

    /// Delivers the leader's messages to the first other node, and the replies to the leader.
    fn reach_one(&mut self) {
        let leader = self.leader();
        let other = NODES.into_iter().find(|id| Some(*id) != leader && self.is_up(*id));
        if leader.is_some() && other.is_some() {
            self.execute_if_in_flight(Command::Deliver(between(leader, other)));
            self.execute_if_in_flight(Command::Deliver(between(other, leader)));
        }
    }

    /// Executes a command about messages in flight, unless there are none.
    fn execute_if_in_flight(&mut self, command: Command) {
        match self.cluster.carry_out(command) {
            Err(error) if error != NO_MESSAGE => {
                panic!("{error}, after: {}", self.history.join(", "))
            }
            _ => {}
        }
    }

    fn wait(&mut self, pause: Pause) {
        match pause {
            Pause::None => {}
            Pause::Short => {
                self.history.push("a short pause".to_owned());
                self.execute(Command::Run(HEARTBEAT * 2));
            }
            Pause::Long => self.rest(),
        }
    }

    /// Advances the time until the cluster has stabilized, and checks that there is a leader if
    /// there must be one.
    fn rest(&mut self) {
        self.history.push("a long pause".to_owned());
        self.execute(Command::Run(LONG));
        let leader = self.leader();
        assert!(
            leader.is_some() || !self.must_have_leader(),
            "there is no leader, after: {}",
            self.history.join(", ")
        );
        if let Some(leader) = leader {
            self.expect_progress();
            let raft = self.cluster.node(leader).ok().and_then(|node| node.raft());
            let voters = raft.expect("a leader is up").membership();
            let up: Vec<NodeId> = NODES.into_iter().filter(|id| self.is_up(*id)).collect();
            let history = self.history.join(", ");
            assert_eq!(
                voters.incoming()[..],
                up[..],
                "the running nodes are the voters, after: {history}"
            );
            assert!(voters.is_settled(), "{voters}, after: {history}");
            self.may_take_over = up;
        }
    }

    /// Returns true if there must be a leader once silent nodes are dead: if a node that may take
    /// over is up, or if all voters of the longest log are up.
    fn must_have_leader(&self) -> bool {
        let last = |id: NodeId| self.cluster.node(id).ok()?.status().map(|status| status.last);
        let up = NODES.into_iter().filter(|id| self.is_up(*id));
        let Some(longest) = up.max_by_key(|id| last(*id).unwrap_or(EntryId::ZERO)) else {
            return false;
        };
        let raft = self.cluster.node(longest).ok().and_then(|node| node.raft());
        let membership = raft.expect("it is up").membership();
        !self.may_take_over.is_empty() || membership.voters().all(|id| self.is_up(id))
    }

    /// Asserts that a command is acknowledged within two heartbeats.
    fn expect_progress(&mut self) {
        let before = self.cluster.safety.acknowledged();
        self.propose();
        self.execute(Command::Run(HEARTBEAT * 2));
        let history = self.history.join(", ");
        assert!(
            self.cluster.safety.acknowledged() > before,
            "nothing is committed, after: {history}"
        );
    }

    /// Restarts all nodes, with a long pause after each, and asserts that their logs are equal.
    fn end(mut self) {
        for id in NODES {
            if !self.is_up(id) {
                self.turn(id);
                self.rest();
            }
        }
        self.rest();
        let logs = NODES.map(|id| self.cluster.node(id).map(|node| node.disk.image.log.clone()));
        let history = self.history.join(", ");
        assert!(logs[0].as_ref().is_ok_and(|log| !log.is_empty()), "{history}");
        assert!(
            logs.windows(2).all(|pair| pair[0] == pair[1]),
            "the logs differ, after: {history}"
        );
        assert_eq!(self.may_take_over, NODES, "all may take over, after: {history}");
    }
}

/// Selects every message in flight between the two nodes; `None` is any node.
fn between(from: Option<NodeId>, to: Option<NodeId>) -> Pick {
    Pick { selector: Selector::between(from, to), newest: false, count: None }
}
