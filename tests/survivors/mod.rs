//! Three nodes with `Config::survivor`, and every order in which they die and come back.
//!
//! The cluster is that of the scripts, and so are the promises that are held against each of its
//! steps: a term has one leader, and who leads has all that was acknowledged before. What is added
//! here is who must go on: `docs/SURVIVOR.md`.

use std::time::Duration;

use quorate::raft::{Config, RoleName, Survivor};
use quorate::types::{Acknowledge, EntryId, NodeId};

use crate::specs_runner::change::Founders;
use crate::specs_runner::cluster::Cluster;
use crate::specs_runner::command::{Command, Founding, Keep, Pick};
use crate::specs_runner::message::Selector;
use crate::specs_runner::network::NO_MESSAGE;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// So many nodes die or come back, one by one.
const TURNS: usize = 4;
const HEARTBEAT: Duration = Duration::from_millis(200);
const AFTER: Duration = Duration::from_millis(3000);
/// Until the silent are dead, somebody leads, and who is back has its vote and counts.
const LONG: Duration = Duration::from_millis(5000);

/// How long nothing else happens once a node has died or come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Not at all: what was just sent is still on its way.
    AtOnce,
    /// For two heartbeats.
    Soon,
    /// Until the cluster has come to rest.
    Late,
}

const THENS: [Then; 3] = [Then::AtOnce, Then::Soon, Then::Late];

/// A cluster after some of its nodes have died and come back.
#[derive(Clone)]
struct Story {
    cluster: Cluster,
    /// What happened.
    told: Vec<String>,
    /// Who was a voter under a leader when the cluster last was at rest, and has not died since:
    /// any of them may be the last.
    counts: Vec<NodeId>,
}

#[test]
fn three_nodes_outlast_two_whatever_the_order() {
    let mut ends = 0;
    let mut begun = Story::begin();
    begun.rest();
    go_on(&begun, TURNS, &mut ends);
    assert_eq!(ends, 9_usize.pow(TURNS as u32), "each of three nodes, and each of three waits");
}

/// Tries everything that can happen next, so many turns ahead.
fn go_on(story: &Story, turns: usize, ends: &mut usize) {
    if turns == 0 {
        *ends += 1;
        return story.clone().end();
    }
    for id in NODES {
        let mut turned = story.clone();
        turned.turn(id);
        for then in THENS {
            let mut next = turned.clone();
            next.wait(then);
            go_on(&next, turns - 1, ends);
        }
    }
}

impl Story {
    fn begin() -> Story {
        let mut config = Config::new(NODES[0]);
        config.heartbeat_interval = HEARTBEAT;
        config.election_timeout_min = HEARTBEAT * 3;
        config.election_timeout_max = AFTER / 4;
        config.survivor = Some(Survivor { after: AFTER });
        let founding = Founding { founders: Founders::of(3), spares: Vec::new(), seed: 1, config };
        let (cluster, told, counts) = (Cluster::new(), Vec::new(), Vec::new());
        let mut story = Story { cluster, told, counts };
        story.carry_out(Command::Cluster(Box::new(founding)));
        story.carry_out(Command::Show(Vec::new()));
        story.carry_out(Command::Elect(NODES[0]));
        story
    }

    fn carry_out(&mut self, command: Command) {
        if let Err(what) = self.cluster.carry_out(command) {
            panic!("{what}, after: {}", self.told.join(", "));
        }
    }

    fn is_up(&self, id: NodeId) -> bool {
        self.cluster.node(id).is_ok_and(|node| node.raft().is_some())
    }

    /// Whoever leads in the highest term.
    fn leader(&self) -> Option<NodeId> {
        let status = |id: &NodeId| self.cluster.node(*id).ok()?.status();
        let leaders = NODES.iter().filter_map(status).filter(|it| it.role == RoleName::Leader);
        leaders.max_by_key(|status| status.term).map(|status| status.id)
    }

    /// The leader, if there is one, is given a command; and when that has got to one of the others,
    /// and its answer back, the node dies, or comes back. What it said to others dies with it.
    fn turn(&mut self, id: NodeId) {
        self.propose();
        self.reach_one();
        if self.is_up(id) {
            self.told.push(format!("{id} dies"));
            self.counts.retain(|other| *other != id);
            self.carry_out(Command::Crash { node: id, keep: Keep::First(0) });
            for way in [between(Some(id), None), between(None, Some(id))] {
                self.perhaps(Command::Drop(way));
            }
        } else {
            self.told.push(format!("{id} comes back"));
            self.carry_out(Command::Restart { node: id, tail: None });
        }
    }

    fn propose(&mut self) {
        let Some(to) = self.leader() else { return };
        let commands = vec!["x".to_owned()];
        self.carry_out(Command::Propose {
            to,
            acknowledge: Acknowledge::Quorum,
            commands,
            at_once: false,
        });
    }

    /// What the leader has said gets to the first of the others, and what that says to it.
    fn reach_one(&mut self) {
        let leader = self.leader();
        let other = NODES.into_iter().find(|id| Some(*id) != leader && self.is_up(*id));
        if leader.is_some() && other.is_some() {
            self.perhaps(Command::Deliver(between(leader, other)));
            self.perhaps(Command::Deliver(between(other, leader)));
        }
    }

    /// Carries out what concerns messages in flight, if there are any such.
    fn perhaps(&mut self, command: Command) {
        match self.cluster.carry_out(command) {
            Err(what) if what != NO_MESSAGE => panic!("{what}, after: {}", self.told.join(", ")),
            _ => {}
        }
    }

    fn wait(&mut self, then: Then) {
        match then {
            Then::AtOnce => {}
            Then::Soon => {
                self.told.push("a little later".to_owned());
                self.carry_out(Command::Run(HEARTBEAT * 2));
            }
            Then::Late => self.rest(),
        }
    }

    /// Time passes until the cluster has come to rest. Whoever can go on by then has done so.
    fn rest(&mut self) {
        self.told.push("long after".to_owned());
        self.carry_out(Command::Run(LONG));
        let leader = self.leader();
        assert!(
            leader.is_some() || !self.goes_on(),
            "nobody goes on, after: {}",
            self.told.join(", ")
        );
        if let Some(leader) = leader {
            self.expect_progress();
            let raft = self.cluster.node(leader).ok().and_then(|node| node.raft());
            let voters = raft.expect("a leader is up").membership();
            let up: Vec<NodeId> = NODES.into_iter().filter(|id| self.is_up(*id)).collect();
            let told = self.told.join(", ");
            assert_eq!(voters.incoming()[..], up[..], "those that are up vote, after: {told}");
            assert!(voters.is_settled(), "{voters}, after: {told}");
            self.counts = up;
        }
    }

    /// Whether somebody must lead once the silent are dead: if one that counts is up, or if nobody
    /// can have gone on without the voters that are up, by the longest of their logs.
    fn goes_on(&self) -> bool {
        let last = |id: NodeId| self.cluster.node(id).ok()?.status().map(|status| status.last);
        let up = NODES.into_iter().filter(|id| self.is_up(*id));
        let Some(longest) = up.max_by_key(|id| last(*id).unwrap_or(EntryId::ZERO)) else {
            return false;
        };
        let raft = self.cluster.node(longest).ok().and_then(|node| node.raft());
        let membership = raft.expect("it is up").membership();
        !self.counts.is_empty() || membership.voters().all(|id| self.is_up(id))
    }

    /// A command is acknowledged within two heartbeats.
    fn expect_progress(&mut self) {
        let before = self.cluster.promises.acknowledged();
        self.propose();
        self.carry_out(Command::Run(HEARTBEAT * 2));
        let told = self.told.join(", ");
        assert!(
            self.cluster.promises.acknowledged() > before,
            "nothing is committed, after: {told}"
        );
    }

    /// All come back, one long after the other: they go on, and their logs are equal.
    fn end(mut self) {
        for id in NODES {
            if !self.is_up(id) {
                self.turn(id);
                self.rest();
            }
        }
        self.rest();
        let logs = NODES.map(|id| self.cluster.node(id).map(|node| node.disk.image.log.clone()));
        let told = self.told.join(", ");
        assert!(logs[0].as_ref().is_ok_and(|log| !log.is_empty()), "{told}");
        assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "the logs differ, after: {told}");
        assert_eq!(self.counts, NODES, "all count, after: {told}");
    }
}

/// Every message in flight from the one to the other, or to anybody.
fn between(from: Option<NodeId>, to: Option<NodeId>) -> Pick {
    Pick { selector: Selector::between(from, to), newest: false, count: None }
}
