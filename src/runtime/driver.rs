//! The loop around a node: what arrives goes in, what comes out is carried out.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::replica::{Input, Node, Output, Verdict, Work};
use crate::runtime::ask::{Ask, Told, Waiting};
use crate::runtime::clock::Clock;
use crate::runtime::handle::{Handle, Leadership};
use crate::runtime::lanes::{Event, Lanes};
use crate::runtime::lookout::Lookout;
use crate::runtime::metrics::{Counts, SnapshotStep};
use crate::runtime::transport::gate::Gate;
use crate::runtime::transport::{Arrivals, Transport};
use crate::storage::{Cause, Failure};
use crate::types::{Membership, Packet, Report, RoleName};

/// How much of one sort is taken before the others get their turn.
const BATCH: usize = 256;

/// A node, and everything that it meets the world by.
pub(super) struct Driver {
    node: Node,
    clock: Clock,
    lanes: Lanes,
    peers: Box<dyn Transport>,
    waiting: Waiting,
    queues: Queues,
    lookout: Lookout,
    leadership: watch::Sender<Leadership>,
    membership: watch::Sender<Membership>,
    counts: Arc<Counts>,
    /// Kept between steps for its memory alone.
    outputs: Vec<Output>,
    stage: Stage,
}

/// What arrives. The senders kept here keep a queue from ending before the node does.
pub(super) struct Queues {
    pub(super) done: UnboundedReceiver<Vec<Event>>,
    pub(super) urgent: Receiver<Packet>,
    pub(super) bulk: Receiver<Packet>,
    pub(super) asks: Receiver<Ask>,
    pub(super) _arrivals: Arrivals,
    pub(super) _asks: Sender<Ask>,
}

/// How far a node is from its end.
enum Stage {
    Runs,
    /// It hands its leadership over first.
    Resigns(oneshot::Receiver<Told<()>>),
    Closes,
    Over(Result<(), Failure>),
}

impl Driver {
    /// A driver of a node that was just opened, and how users reach it: by `asks`.
    pub(super) fn new(
        node: Node,
        clock: Clock,
        (lanes, peers): (Lanes, Box<dyn Transport>),
        (queues, lookout): (Queues, Lookout),
        (asks, gate): (Sender<Ask>, Arc<Gate>),
    ) -> (Driver, Handle) {
        let status = node.status();
        let leadership = Leadership { role: status.role, term: status.term, leader: status.leader };
        let (leadership, leadership_seen) = watch::channel(leadership);
        let membership = node.raft().log().membership().clone();
        gate.counts.membership(&membership);
        let (membership, membership_seen) = watch::channel(membership);
        let driver = Driver {
            node,
            clock,
            lanes,
            peers,
            waiting: Waiting::default(),
            queues,
            lookout,
            leadership,
            membership,
            counts: Arc::clone(&gate.counts),
            outputs: Vec::new(),
            stage: Stage::Runs,
        };
        let handle =
            Handle { asks, leadership: leadership_seen, membership: membership_seen, gate };
        (driver, handle)
    }

    /// Runs until the node is closed or has stopped by itself; then gives back what tells that the
    /// lanes have ended, too.
    pub(super) async fn run(mut self) -> (Result<(), Failure>, UnboundedReceiver<Vec<Event>>) {
        let mut outputs = Vec::new();
        self.node.start(&mut outputs);
        for output in outputs {
            self.carry_out(output);
        }
        self.lanes.go();
        loop {
            self.counts.observe(&self.node);
            if let Stage::Over(end) = self.stage {
                self.counts.state.stopped.set(1);
                return (end, self.queues.done);
            }
            let first = self.wait().await;
            self.take_all(first);
            if self.clock.now() >= self.node.deadline() {
                self.step(Input::Timeout);
            }
            self.go_on_closing();
        }
    }

    /// Waits until something arrives, or the node's deadline does.
    async fn wait(&mut self) -> Option<Arrival> {
        let wait = self.node.deadline().since(self.clock.now());
        let queues = &mut self.queues;
        tokio::select! {
            biased;
            packet = queues.urgent.recv() => packet.map(Arrival::Packet),
            events = queues.done.recv() => events.map(Arrival::Events),
            packet = queues.bulk.recv() => packet.map(Arrival::Packet),
            ask = queues.asks.recv() => ask.map(Arrival::Ask),
            never = self.lookout.keep() => never,
            () = sleep(wait) => None,
        }
    }

    /// Takes what has arrived, of every sort some: none waits for long because of another.
    fn take_all(&mut self, first: Option<Arrival>) {
        let mut ask = None;
        match first {
            Some(Arrival::Packet(packet)) => self.step(Input::Packet(packet)),
            Some(Arrival::Events(events)) => self.hear(events),
            Some(Arrival::Ask(first)) => ask = Some(first),
            None => {}
        }
        for _ in 0..BATCH {
            let Ok(packet) = self.queues.urgent.try_recv() else { break };
            self.step(Input::Packet(packet));
        }
        for _ in 0..BATCH {
            let Ok(events) = self.queues.done.try_recv() else { break };
            self.hear(events);
        }
        for _ in 0..BATCH {
            let Ok(packet) = self.queues.bulk.try_recv() else { break };
            self.step(Input::Packet(packet));
        }
        self.take_asks(ask);
    }

    /// Takes what users ask for. Proposals that came together share a write and a message.
    fn take_asks(&mut self, mut first: Option<Ask>) {
        let mut proposals = Vec::new();
        for _ in 0..BATCH {
            let Some(ask) = first.take().or_else(|| self.queues.asks.try_recv().ok()) else {
                break;
            };
            match self.waiting.put(ask) {
                Ok(Input::Propose(more)) => proposals.extend(more),
                Ok(input) => self.step(input),
                Err(Ask::Report(sender)) => {
                    // Whoever asked may have gone.
                    let _ = sender.send(self.report());
                }
                Err(_) => self.begin_closing(),
            }
        }
        if !proposals.is_empty() {
            self.step(Input::Propose(proposals));
        }
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Input(input) => self.step(input),
                Event::View(view) => self.lanes.keep(view),
                Event::Broken(lane) => {
                    error!(lane, "a lane panicked: the node stops");
                    self.stage = Stage::Over(Err(broken(lane)));
                }
            }
        }
    }

    fn step(&mut self, input: Input) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.node.step(self.clock.now(), input, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(output);
        }
        self.lanes.go();
        self.outputs = outputs;
    }

    fn carry_out(&mut self, output: Output) {
        if let Output::Work(Work::Restore(_) | Work::Rebuild(_)) = &output {
            self.counts.events.snapshots.add(&SnapshotStep::Installed, 1);
        }
        let Some(output) = self.lanes.take(output) else { return };
        let Some(output) = self.waiting.tell(output, &self.counts) else { return };
        match output {
            Output::Send(packet) => self.peers.send(packet),
            Output::MembershipChanged(membership) => {
                info!(%membership, "membership");
                self.peers.meet(&membership);
                self.counts.membership(&membership);
                self.membership.send_replace(membership);
            }
            Output::RoleChanged { role, term, leader } => {
                info!(?role, %term, leader = leader.map(tracing::field::display), "role");
                let Leadership { term: old_term, leader: old_leader, .. } =
                    self.leadership.send_replace(Leadership { role, term, leader });
                self.counts.role(role, (term, leader), (old_term, old_leader));
            }
            Output::Stopped(failure) => {
                error!(%failure, "the node has stopped");
                self.stage = Stage::Over(Err(failure));
            }
            Output::Closed => self.stage = Stage::Over(Ok(())),
            Output::Refused { from, message, reason } => {
                debug!(%from, message, ?reason, "refused");
                self.counts.events.refusals.add(&reason, 1);
            }
            Output::Judged(verdict) => {
                self.counts.events.verdicts.add(&verdict, 1);
                judged(verdict);
            }
            told => report(&told),
        }
    }

    fn report(&mut self) -> Report {
        // It tells how long a lease still lasts: by the clock as it is now.
        self.step(Input::Timeout);
        Report {
            status: self.node.status(),
            peers: self.node.peers(),
            membership: self.node.raft().log().membership().clone(),
            standing: self.node.standing(),
            comparisons: self.node.comparisons(),
            lease: self.node.lease_left(),
        }
    }

    /// A leader with others to lead hands over first: they need not wait for its silence.
    fn begin_closing(&mut self) {
        if !matches!(self.stage, Stage::Runs) {
            return;
        }
        let others = self.node.raft().log().membership().voters().count() > 1;
        if self.node.status().role == RoleName::Leader && others {
            let (input, told) = self.waiting.resign();
            self.stage = Stage::Resigns(told);
            self.step(input);
        } else {
            self.close();
        }
    }

    fn go_on_closing(&mut self) {
        if let Stage::Resigns(told) = &mut self.stage
            && !matches!(told.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        {
            self.close();
        }
    }

    fn close(&mut self) {
        self.stage = Stage::Closes;
        self.step(Input::Close);
    }
}

/// The failure of a node some part of which panicked.
pub(super) fn broken(lane: &str) -> Failure {
    Failure { file: None, offset: 0, what: format!("{lane} panicked"), cause: Cause::Panic }
}

/// A thing that arrived.
enum Arrival {
    Packet(Packet),
    Ask(Ask),
    Events(Vec<Event>),
}

/// Says what an operator should know.
fn report(output: &Output) {
    match output {
        Output::Stranger { from } => {
            error!(%from, "the cluster does not count on this disk: remove the node, add it again");
        }
        Output::Forked { from } => {
            error!(%from, "this node went another way: wipe it, and add it again");
        }
        Output::OlderImage { node, acknowledged, durable } => {
            error!(%node, %acknowledged, %durable, "its disk is an older image of itself");
        }
        other => debug!(?other, "unexpected"),
    }
}

fn judged(verdict: Verdict) {
    match verdict {
        Verdict::Sound { .. } | Verdict::Unavailable { .. } => {
            debug!(?verdict, "results compared");
        }
        Verdict::Rebuilt { .. } => info!(?verdict, "results compared"),
        Verdict::Undecided { .. } | Verdict::Quarantined { .. } | Verdict::Divided { .. } => {
            warn!(?verdict, "results differ between nodes");
        }
    }
}
