//! The driver loop: feeds arriving packets, requests and completions to the node as inputs, and
//! executes the outputs of the node.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::recording::Recorder;
use crate::replica::{Input, Node, Output, Work, WorkResult};
use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::clock::Clock;
use crate::runtime::conditions::Conditions;
use crate::runtime::directory_check::DirectoryCheck;
use crate::runtime::environment::Environment;
use crate::runtime::handle::{Handle, Leadership};
use crate::runtime::lanes::{Event, Lanes};
use crate::runtime::metrics::{Counts, SnapshotStep};
use crate::runtime::output_log::{log_comparison, log_output};
use crate::runtime::proposal_window::ProposalWindow;
use crate::runtime::recording::RecordingLane;
use crate::runtime::request::{DriverRequest, NodeRequest, PendingRequests};
use crate::runtime::request_queue::{RequestQueue, RequestSender};
use crate::runtime::role_history::RoleHistory;
use crate::runtime::transport::connection_registry::ConnectionRegistry;
use crate::runtime::transport::{InboundQueues, Transport};
use crate::storage::{DiskError, ErrorCause, StorageError};
use crate::types::{Membership, Packet, Report, RoleChange, RoleName, Tag};
use crate::wire::{ReplyBody, RequestBody};

/// The maximum number of items taken from one queue before the other queues get their turn.
const BATCH: usize = 256;

/// The longest wait of the driver, after which it records the metrics again.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A node, with the clock that it reads, the lanes and the transport that execute its outputs, and
/// the queues of its inputs.
pub(super) struct Driver {
    node: Node,
    clock: Clock,
    environment: Environment,
    lanes: Lanes,
    recording: RecordingLane,
    transport: Box<dyn Transport>,
    pending: PendingRequests,
    window: ProposalWindow,
    queues: Queues,
    busy_poll: BusyPoll,
    leadership: watch::Sender<Leadership>,
    membership: watch::Sender<Membership>,
    counts: Arc<Counts>,
    /// Reused between steps, to keep its allocation.
    outputs: Vec<Output>,
    role_history: RoleHistory,
    /// The number of damaged entries of the log at the last check, for [`Driver::log_damage`].
    damaged_entries: usize,
    conditions: Conditions,
    directory_check: DirectoryCheck,
    stage: Stage,
    _stop_record: StopRecord,
}

/// Records in the metrics, when it is dropped, that the node has stopped, even after a panic.
struct StopRecord(Arc<Counts>);

/// The receiving ends of the driver's queues, and senders that keep the queues of packets and
/// requests open until the node stops.
pub(super) struct Queues {
    pub(super) lane_events: UnboundedReceiver<Vec<Event>>,
    pub(super) urgent: Receiver<Packet>,
    pub(super) bulk: Receiver<Packet>,
    pub(super) requests: RequestQueue,
    pub(super) request_sender: RequestSender,
    pub(super) _inbound: InboundQueues,
}

/// The parts from which [`Driver::new`] makes a driver.
pub(super) struct DriverParts {
    pub(super) node: Node,
    pub(super) clock: Clock,
    pub(super) environment: Environment,
    pub(super) lanes: Lanes,
    pub(super) recording: RecordingLane,
    pub(super) transport: Box<dyn Transport>,
    pub(super) queues: Queues,
    pub(super) busy_poll: BusyPoll,
}

/// The stage of the shutdown.
enum Stage {
    Running,
    /// The leader transfers its leadership before it closes.
    TransferringLeadership(oneshot::Receiver<ReplyBody>),
    Closing,
    Stopped(Result<(), StorageError>),
}

impl Driver {
    /// Returns the driver of a node that was just opened, and a handle to it.
    pub(super) fn new(parts: DriverParts, registry: Arc<ConnectionRegistry>) -> (Driver, Handle) {
        let DriverParts {
            node,
            clock,
            environment,
            lanes,
            recording,
            transport,
            queues,
            busy_poll,
        } = parts;
        let status = node.status();
        let leadership = Leadership { role: status.role, term: status.term, leader: status.leader };
        let (leadership, leadership_receiver) = watch::channel(leadership);
        let membership = node.raft().log().membership().clone();
        registry.counts.set_membership(&membership);
        let (membership, membership_receiver) = watch::channel(membership);
        let requests = queues.request_sender.clone();
        let directory_check = DirectoryCheck::new(&environment, clock.now());
        let command_bytes_max = node.raft().config().command_bytes_max;
        let driver = Driver {
            node,
            clock,
            environment,
            lanes,
            recording,
            transport,
            pending: PendingRequests::default(),
            window: ProposalWindow::default(),
            queues,
            busy_poll,
            leadership,
            membership,
            counts: Arc::clone(&registry.counts),
            outputs: Vec::new(),
            role_history: RoleHistory::default(),
            damaged_entries: 0,
            conditions: Conditions::default(),
            directory_check,
            stage: Stage::Running,
            _stop_record: StopRecord(Arc::clone(&registry.counts)),
        };
        let handle = Handle {
            requests,
            leadership: leadership_receiver,
            membership: membership_receiver,
            registry,
            command_bytes_max,
        };
        (driver, handle)
    }

    /// Ends the lanes and the thread of the recording. Returns the queue of lane events, which ends
    /// once all of them have ended.
    pub(super) fn into_lane_events(self) -> UnboundedReceiver<Vec<Event>> {
        self.queues.lane_events
    }

    /// Runs until the node is closed or stops after a failure.
    pub(super) async fn run(&mut self) -> Result<(), StorageError> {
        let mut outputs = Vec::new();
        self.node.start(&mut outputs);
        for output in outputs {
            self.execute(output);
        }
        self.lanes.submit();
        self.record();
        loop {
            let status = self.node.status();
            self.pending.release_applied(&status);
            self.counts.observe(&self.node, &status);
            self.log_damage(status.damaged_entries);
            self.conditions.log_changes(self.clock.now(), &self.node);
            if let Stage::Stopped(end) = &self.stage {
                let end = end.clone();
                self.node.recorder().into_iter().for_each(Recorder::finish_block);
                self.record();
                return end;
            }
            let first = self.wait().await;
            self.environment.resumed().await;
            self.drain_queues(first);
            if self.clock.now() >= self.node.deadline() {
                self.step(Input::Timeout);
            }
            self.continue_closing();
            if self.directory_check.starts(self.clock.now()) {
                self.lanes.verify_disk();
            }
        }
    }

    /// Waits for the next item of a queue; returns `None` if that is a request, at the node's
    /// deadline, or after [`WAIT_MAX`].
    async fn wait(&mut self) -> Option<Received> {
        let wait = self.node.deadline().since(self.clock.now()).min(WAIT_MAX);
        let has_room = self.room_for_proposals() > 0;
        let queues = &mut self.queues;
        tokio::select! {
            biased;
            packet = queues.urgent.recv() => packet.map(Received::Packet),
            events = queues.lane_events.recv() => events.map(Received::LaneEvents),
            packet = queues.bulk.recv() => packet.map(Received::Packet),
            () = queues.requests.wait(has_room) => None,
            never = self.busy_poll.keep_awake() => never,
            () = sleep(wait) => None,
        }
    }

    /// Takes items from each queue, at most [`BATCH`] from one, so that no queue starves another.
    fn drain_queues(&mut self, first: Option<Received>) {
        match first {
            Some(Received::Packet(packet)) => self.step(Input::Packet(packet)),
            Some(Received::LaneEvents(events)) => self.handle_lane_events(events),
            None => {}
        }
        for _ in 0..BATCH {
            let Ok(packet) = self.queues.urgent.try_recv() else { break };
            self.step(Input::Packet(packet));
        }
        for _ in 0..BATCH {
            let Ok(events) = self.queues.lane_events.try_recv() else { break };
            self.handle_lane_events(events);
        }
        for _ in 0..BATCH {
            let Ok(packet) = self.queues.bulk.try_recv() else { break };
            self.step(Input::Packet(packet));
        }
        self.drain_requests();
    }

    /// Takes requests, at most [`BATCH`], in the turns of their origins. Their proposals share one
    /// log write, and one message to each peer.
    fn drain_requests(&mut self) {
        self.queues.requests.receive();
        let (mut proposals, mut bytes, room) = (Vec::new(), 0, self.room_for_proposals());
        for _ in 0..BATCH {
            let Some(request) = self.queues.requests.pop(bytes < room) else { break };
            let request = match request {
                DriverRequest::Execute(request) => request,
                DriverRequest::Close => {
                    self.start_closing();
                    continue;
                }
            };
            match self.pending.submit(request) {
                Ok(Input::Propose(more)) => {
                    bytes += more.iter().map(|it| it.command.len()).sum::<usize>();
                    proposals.extend(more);
                }
                Ok(input) => self.step(input),
                Err(reply) => reply.send(ReplyBody::Report(Box::new(self.report()))),
            }
        }
        if !proposals.is_empty() {
            let before = self.node.raft().log().last();
            self.step(Input::Propose(proposals));
            let last = self.node.raft().log().last();
            // The node may have rejected all of them.
            if last != before {
                self.window.push(last.index, bytes);
            }
        }
    }

    /// Returns the bytes of proposals that may be appended now. The window is full once those that
    /// are appended and not committed have as many bytes as may be in flight to a peer, because
    /// more would only wait in the log. A node that closes rejects proposals, and needs no limit.
    fn room_for_proposals(&mut self) -> usize {
        if !matches!(self.stage, Stage::Running) {
            return usize::MAX;
        }
        let raft = self.node.raft();
        self.window.room(raft.log().committed(), raft.config().inflight_bytes_max)
    }

    fn handle_lane_events(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Input(input) => self.step(input),
                Event::NotExecuted(tag) => self.end_query(tag),
                Event::View(view, token) => self.lanes.hold_view(view, token),
                Event::ViewDropped => {}
                Event::Paused => self.lanes.resume_machine(),
                Event::Verified(verified) => self.on_verified(verified),
                Event::Panicked(lane) => {
                    error!(lane, "a lane panicked; the node stops");
                    // If a failure has already stopped the node, that failure caused the panic, and
                    // stays the reason.
                    if !matches!(self.stage, Stage::Stopped(_)) {
                        self.stage = Stage::Stopped(Err(panic_failure(lane)));
                    }
                }
            }
        }
    }

    /// Rejects a read whose query was not executed, and ends it in the node, which waits for an
    /// answer.
    fn end_query(&mut self, tag: Tag) {
        self.pending.reject_query(tag, &self.counts);
        let (applied, answer) = (self.node.raft().log().applied(), Vec::new());
        self.step(Input::WorkDone(WorkResult::Answered { tag, applied, answer }));
    }

    /// Stops the node if its directory is not at its path any more. If that cannot be found out,
    /// the reads and writes themselves show whether the disk works.
    fn on_verified(&mut self, verified: Result<(), DiskError>) {
        self.directory_check.ended(self.clock.now());
        if let Err(error @ DiskError::Replaced { .. }) = verified
            && !matches!(self.stage, Stage::Stopped(_))
        {
            let failure = StorageError::disk(None, 0, &error);
            error!(%failure, "the node has stopped");
            self.stage = Stage::Stopped(Err(failure));
        }
    }

    fn step(&mut self, input: Input) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.node.step(self.clock.now(), input, &mut outputs);
        for output in outputs.drain(..) {
            self.execute(output);
        }
        self.lanes.submit();
        self.record();
        self.outputs = outputs;
    }

    /// Passes the finished blocks of the recording to its thread.
    fn record(&mut self) {
        if let Some(recorder) = self.node.recorder()
            && !self.recording.take(recorder)
        {
            self.node.stop_recording();
        }
    }

    fn execute(&mut self, output: Output) {
        if let Output::Work(Work::Restore(_) | Work::Rebuild(_)) = &output {
            self.counts.events.snapshots.add(&SnapshotStep::Installed, 1);
        }
        let pending = &self.pending;
        let receiver_of = |tag| pending.answer_receiver(tag);
        let Some(output) = self.lanes.take(output, receiver_of) else { return };
        let Some(output) = self.pending.complete(output, &self.node, &self.counts) else { return };
        match output {
            Output::Send(packet) => self.transport.send(packet),
            Output::ActiveMembershipChanged(membership) => {
                info!(%membership, "membership");
                self.transport.update_membership(&membership);
                self.counts.set_membership(&membership);
                self.membership.send_replace(membership);
            }
            Output::RoleChanged { role, term, leader, cause } => {
                info!(?role, %term, leader = leader.map(tracing::field::display), %cause, "role");
                self.window.clear();
                let old = self.leadership.send_replace(Leadership { role, term, leader });
                let is_new_leader = leader.is_some() && (term, leader) != (old.term, old.leader);
                self.counts.role_changed(role, cause, is_new_leader);
                let change = RoleChange { age: Duration::ZERO, role, term, leader, cause };
                self.role_history.record(self.clock.now(), change);
            }
            Output::Stopped(failure) => {
                error!(%failure, "the node has stopped");
                self.stage = Stage::Stopped(Err(failure));
            }
            Output::Closed => self.stage = Stage::Stopped(Ok(())),
            Output::MessageRejected { from, message, reason } => {
                debug!(%from, message, ?reason, "message rejected");
                self.counts.events.rejected_messages.add(&reason, 1);
            }
            Output::StateCompared(result) => {
                self.counts.events.comparisons.add(&result, 1);
                log_comparison(result);
            }
            output => {
                match output {
                    Output::UnknownIncarnation { .. } => {
                        self.counts.disk_is_unknown(self.node.status().committed);
                    }
                    Output::DamagedSuperblock(_) => self.counts.events.superblock_repairs.add(1),
                    _ => {}
                }
                log_output(&output);
            }
        }
    }

    /// Logs when `damaged`, the number of damaged entries, has risen, and when all of them are
    /// repaired.
    fn log_damage(&mut self, damaged: usize) {
        let before = std::mem::replace(&mut self.damaged_entries, damaged);
        if damaged > before {
            warn!(
                entries = damaged,
                "the disk has lost the content of entries of the log; the node asks the other \
                 members for it"
            );
        } else if damaged == 0 && before > 0 {
            info!("every damaged entry of the log is repaired");
        }
    }

    fn report(&mut self) -> Report {
        // In this step the node acts on a deadline that has passed, and takes the current time, at
        // which it computes the rest of the lease.
        self.step(Input::Timeout);
        Report {
            status: self.node.status(),
            peers: self.node.peers(),
            membership: self.node.raft().log().membership().clone(),
            verification: self.node.verification(),
            comparisons: self.node.comparisons(),
            lease: self.node.lease_remaining(),
            usage: self.node.usage(),
            version_max: self.node.raft().version_max(),
            version_required: self.node.version_required(),
            role_changes: self.role_history.at(self.clock.now()),
        }
    }

    /// Starts the shutdown. A leader with other voters transfers its leadership first, so that the
    /// cluster need not wait for an election timeout.
    fn start_closing(&mut self) {
        if !matches!(self.stage, Stage::Running) {
            return;
        }
        let others = self.node.raft().log().membership().voters().count() > 1;
        if self.node.status().role == RoleName::Leader && others {
            let (request, reply) = NodeRequest::new(RequestBody::TransferLeadership(None), None);
            self.stage = Stage::TransferringLeadership(reply);
            if let Ok(input) = self.pending.submit(request) {
                self.step(input);
            }
        } else {
            self.close();
        }
    }

    fn continue_closing(&mut self) {
        if let Stage::TransferringLeadership(reply) = &mut self.stage
            && !matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        {
            self.close();
        }
    }

    fn close(&mut self) {
        self.stage = Stage::Closing;
        self.step(Input::Close);
    }
}

impl Drop for StopRecord {
    fn drop(&mut self) {
        self.0.state.stopped.set(1);
    }
}

/// Returns the failure of a node of which this part panicked.
pub(super) fn panic_failure(part: &str) -> StorageError {
    StorageError {
        file: None,
        offset: 0,
        message: format!("{part} panicked"),
        cause: ErrorCause::Panic,
    }
}

/// One item received from a queue other than that of requests.
enum Received {
    Packet(Packet),
    LaneEvents(Vec<Event>),
}
