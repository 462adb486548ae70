//! The driver's queue of requests, in which origins take turns.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;

use crate::runtime::metrics::{Counts, REQUESTS};
use crate::runtime::request::{DriverRequest, NodeRequest};
use crate::runtime::request_limits::{ClientLimits, Share};
use crate::runtime::turn_queue::TurnQueue;
use crate::wire::{ReplyBody, RequestBody};

/// Sends requests to the driver's queue.
#[derive(Clone, Debug)]
pub(super) struct RequestSender {
    channel: Sender<DriverRequest>,
    /// The limits of the requests of the program, which wait for their permits.
    program: ClientLimits,
}

/// The requests that the driver has not executed. As soon as the driver runs, it receives all of
/// them from a bounded channel. So a request waits only for the turn of its origin, and not for all
/// requests that were sent before it. Their number is bounded, because each holds permits of the
/// limits of the service or of the program.
pub(super) struct RequestQueue {
    channel: Receiver<DriverRequest>,
    /// All requests but proposals.
    received: TurnQueue<DriverRequest>,
    /// The proposals, which may have to wait for room in the log while the others do not.
    proposals: TurnQueue<DriverRequest>,
    /// Whether the next turn is that of a proposal.
    is_proposals_turn: bool,
    /// The limits of the program, which are closed when the queue is dropped.
    program: ClientLimits,
    counts: Arc<Counts>,
}

impl RequestSender {
    /// Returns the sender of a channel with room for `requests_max` requests. The program may have
    /// as many in each share, with this number of KiB.
    pub(super) fn new(
        requests_max: usize,
        kib_max: u32,
    ) -> (RequestSender, Receiver<DriverRequest>) {
        let (channel, received) = mpsc::channel(requests_max.min(Semaphore::MAX_PERMITS));
        let program = ClientLimits::of_program(requests_max, kib_max);
        (RequestSender { channel, program }, received)
    }

    /// Sends a request of a client, or [`DriverRequest::Close`]; drops it if the node has stopped.
    /// Waits while the channel is full.
    pub(super) async fn send(&self, request: DriverRequest) {
        drop(self.channel.send(request).await);
    }

    /// Sends a request of the program with a command or query of this size, which is made once
    /// there are permits for it. Returns the receiver of its reply; `None` if the node has stopped.
    pub(super) async fn send_of_program(
        &self,
        share: Share,
        bytes: usize,
        body: impl FnOnce() -> RequestBody,
    ) -> Option<oneshot::Receiver<ReplyBody>> {
        // A stopped node closes the limits.
        let permits = self.program.wait_and_acquire(share, bytes).await?;
        let (request, mut reply) = NodeRequest::new(body(), Some(permits));
        self.channel.send(DriverRequest::Execute(request)).await.ok()?;
        if self.channel.is_closed() {
            // The node has stopped, maybe after it dropped the requests in the channel and before
            // this one arrived there. The call would then never end. A reply that was sent stays.
            reply.close();
        }
        Some(reply)
    }
}

impl RequestQueue {
    /// Returns the queue, and its sender ([`RequestSender::new`]).
    pub(super) fn new(
        requests_max: usize,
        kib_max: u32,
        counts: &Arc<Counts>,
    ) -> (RequestSender, RequestQueue) {
        let (sender, channel) = RequestSender::new(requests_max, kib_max);
        counts.network.watch(REQUESTS, &sender.channel);
        let (received, proposals) = (TurnQueue::default(), TurnQueue::default());
        let (program, counts) = (sender.program.clone(), Arc::clone(counts));
        let is_proposals_turn = false;
        let queue =
            RequestQueue { channel, received, proposals, is_proposals_turn, program, counts };
        (sender, queue)
    }

    /// Waits until there is a request. If requests are left, only lets the other tasks of this
    /// thread run: those of connections, which may have a request of another origin. Proposals that
    /// are left count only if there is room for them. Dropping the future loses no request.
    pub(super) async fn wait(&mut self, has_room: bool) {
        if !self.received.is_empty() || (has_room && !self.proposals.is_empty()) {
            return yield_now().await;
        }
        // The driver holds a sender, so the channel is open.
        if let Some(request) = self.channel.recv().await {
            self.push(request);
        }
    }

    /// Receives the requests that have been sent.
    pub(super) fn receive(&mut self) {
        while let Ok(request) = self.channel.try_recv() {
            self.push(request);
        }
    }

    /// Removes and returns a request of the origin whose turn it is; a proposal only if there is
    /// room for it. Proposals and all others take turns, too.
    pub(super) fn pop(&mut self, has_room: bool) -> Option<DriverRequest> {
        let takes_proposal = has_room && (self.is_proposals_turn || self.received.is_empty());
        self.is_proposals_turn = !self.is_proposals_turn;
        let proposal = if takes_proposal { self.proposals.pop() } else { None };
        let popped = proposal.or_else(|| self.received.pop());
        self.count();
        popped
    }

    fn push(&mut self, request: DriverRequest) {
        let queue = if request.is_proposal() { &mut self.proposals } else { &mut self.received };
        queue.push(request.origin(), request);
        self.count();
    }

    fn count(&self) {
        let waiting = self.received.len() + self.proposals.len();
        self.counts.network.requests_in_turn.set(waiting as u64);
    }
}

impl Drop for RequestQueue {
    fn drop(&mut self) {
        // Calls that wait for a permit must end, even if a request that arrives in the channel
        // after this keeps its permits.
        self.program.close();
        self.counts.network.requests_in_turn.set(0);
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::runtime::config::ServiceConfig;
    use crate::runtime::origin::Origin;
    use crate::runtime::request::{NodeRequest, Operation, PendingRequests};
    use crate::runtime::request_limits::ServiceLimits;
    use crate::storage::ClusterId;
    use crate::types::{Acknowledge, Change, Command, NodeId, ReadLevel};
    use crate::wire::RequestBody;

    const CHANNEL_MAX: usize = 1024;

    fn queue() -> (RequestSender, RequestQueue) {
        queue_of(CHANNEL_MAX, u32::MAX)
    }

    fn queue_of(requests_max: usize, kib_max: u32) -> (RequestSender, RequestQueue) {
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        RequestQueue::new(requests_max, kib_max, &counts)
    }

    async fn send(
        sender: RequestSender,
        body: RequestBody,
    ) -> Option<oneshot::Receiver<ReplyBody>> {
        let Operation { share, bytes, .. } = Operation::of(&body);
        sender.send_of_program(share, bytes, || body).await
    }

    fn command(bytes: usize) -> RequestBody {
        let command = Command::from(vec![7; bytes]);
        RequestBody::ProposeFor { acknowledge: Acknowledge::Default, command }
    }

    fn body(name: &str) -> RequestBody {
        RequestBody::Read { level: ReadLevel::Local, query: name.as_bytes().to_vec() }
    }

    fn of_program(name: &str) -> DriverRequest {
        DriverRequest::Execute(NodeRequest::new(body(name), None).0)
    }

    /// Returns a request of the client with this last part of its address.
    fn of_client(limits: &ServiceLimits, last: u8, name: &str) -> DriverRequest {
        let origin = Origin::new(None, [127, 0, 0, last].into());
        let permits = limits.of(&origin, false).acquire(Share::Reads, 0).expect("it has room");
        let replies = mpsc::unbounded_channel().0;
        DriverRequest::Execute(NodeRequest::queued(body(name), 0, permits, replies))
    }

    fn name_of(request: DriverRequest) -> String {
        match request {
            DriverRequest::Execute(request) => match request.body {
                RequestBody::Read { query, .. } => String::from_utf8_lossy(&query).into_owned(),
                other => panic!("{other:?}"),
            },
            DriverRequest::Close => "close".to_owned(),
        }
    }

    #[test]
    fn a_flood_of_requests_of_one_client_delays_no_other_by_more_than_a_turn() {
        let limits = ServiceLimits::new(&ServiceConfig::default());
        let of_client = |last, name| of_client(&limits, last, name);
        let (sender, mut queue) = queue();
        let send = |request| sender.channel.try_send(request).expect("the channel has room");
        // The permits keep the numbers of the origins.
        let greedy: Vec<_> = (0..CHANNEL_MAX - 3).map(|_| of_client(1, "greedy")).collect();
        greedy.into_iter().for_each(send);
        send(of_client(2, "first"));
        send(of_client(2, "second"));
        send(of_program("program"));
        queue.receive();
        let order: Vec<_> = (0..6).filter_map(|_| queue.pop(true)).map(name_of).collect();
        assert_eq!(order, ["greedy", "first", "program", "greedy", "second", "greedy"]);
        let rest = std::iter::from_fn(|| queue.pop(true)).map(name_of);
        assert_eq!(rest.filter(|name| name == "greedy").count(), CHANNEL_MAX - 6);
    }

    #[test]
    fn proposals_wait_for_room_and_delay_no_other_request() {
        let limits = ServiceLimits::new(&ServiceConfig::default());
        let propose = |last| {
            let origin = Origin::new(None, [127, 0, 0, last].into());
            let permits = limits.of(&origin, false).acquire(Share::Proposals, 0).expect("room");
            let replies = mpsc::unbounded_channel().0;
            DriverRequest::Execute(NodeRequest::queued(command(1), 0, permits, replies))
        };
        let (sender, mut queue) = queue();
        let greedy: Vec<_> = (0..9).map(|_| propose(1)).collect();
        let honest = propose(2);
        let number = honest.origin();
        let reads = (0..2).map(|_| of_client(&limits, 1, "read"));
        for request in greedy.into_iter().chain([honest]).chain(reads) {
            sender.channel.try_send(request).expect("the channel has room");
        }
        queue.receive();
        let without_room: Vec<_> = std::iter::from_fn(|| queue.pop(false)).map(name_of).collect();
        assert_eq!(without_room, ["read", "read"]);
        assert!(queue.pop(true).is_some_and(|first| first.origin() != number));
        assert!(queue.pop(true).is_some_and(|second| second.origin() == number), "its turn");
        assert_eq!(std::iter::from_fn(|| queue.pop(true)).count(), 8);
    }

    #[test]
    fn requests_of_the_program_other_than_proposals_stay_in_order() {
        let (sender, mut queue) = queue();
        let requests = (0..CHANNEL_MAX - 1).map(|number| of_program(&number.to_string()));
        for request in requests.chain([DriverRequest::Close]) {
            sender.channel.try_send(request).expect("the channel has room");
        }
        queue.receive();
        let mut names: Vec<_> = std::iter::from_fn(|| queue.pop(true)).map(name_of).collect();
        assert_eq!(names.pop().as_deref(), Some("close"), "it comes after the earlier ones");
        assert!((0..CHANNEL_MAX - 1).map(|number| number.to_string()).eq(names));
    }

    #[tokio::test]
    async fn a_flood_of_calls_of_the_program_is_bounded_and_delays_no_client() {
        const CALLS: usize = 3 * CHANNEL_MAX;
        let (sender, mut queue) = queue();
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            let sent = send(sender.clone(), body("program"));
            calls.spawn(async move { sent.await.is_some() });
        }
        let limits = ServiceLimits::new(&ServiceConfig::default());
        let request = of_client(&limits, 1, "client");
        calls.spawn(async move {
            sender.send(request).await;
            true
        });
        // Each turn lets some of the calls run.
        for _ in 0..CALLS {
            yield_now().await;
            queue.receive();
        }
        assert_eq!(queue.received.len(), CHANNEL_MAX + 1, "the other calls wait");
        let mut names: Vec<_> = (0..2).filter_map(|_| queue.pop(true)).map(name_of).collect();
        assert_eq!(names, ["program", "client"]);
        while let Some(request) = queue.pop(true) {
            names.push(name_of(request));
            yield_now().await;
            queue.receive();
        }
        assert_eq!(names.len(), CALLS + 1);
        assert!(calls.join_all().await.into_iter().all(|is_sent| is_sent));
    }

    #[tokio::test]
    async fn calls_of_the_program_wait_for_the_replies_to_those_of_their_kind() {
        let (sender, mut queue) = queue_of(1, 4);
        let mut calls = JoinSet::new();
        for body in [body("first"), body("second"), command(1), RequestBody::Campaign] {
            calls.spawn(send(sender.clone(), body));
        }
        let sent = sent_requests(&mut queue).await;
        assert_eq!(sent.len(), 3, "the second read waits");
        drop(sent);
        queue.wait(true).await;
        assert_eq!(queue.pop(true).map(name_of).as_deref(), Some("second"));
    }

    /// Lets the calls run, and returns the requests that they have sent.
    async fn sent_requests(queue: &mut RequestQueue) -> Vec<DriverRequest> {
        let mut sent = Vec::new();
        for _ in 0..10 {
            yield_now().await;
            queue.receive();
            sent.extend(queue.pop(true));
        }
        sent
    }

    #[tokio::test]
    async fn commands_of_the_program_wait_for_room_for_their_bytes() {
        let (sender, mut queue) = queue_of(16, 4);
        let mut calls = JoinSet::new();
        // Each counts with what the leader adds to it, and the last one takes all of the room.
        for bytes in [1 << 10, 1 << 10, 1, 1 << 20] {
            calls.spawn(send(sender.clone(), command(bytes)));
        }
        calls.spawn(send(sender.clone(), body(&"x".repeat(4 << 10))));
        let mut sent = sent_requests(&mut queue).await;
        assert_eq!(sent.len(), 3, "two commands, and a query");
        let command = sent.iter().position(DriverRequest::is_proposal);
        drop(sent.remove(command.expect("a command was sent")));
        let third = sent_requests(&mut queue).await;
        assert_eq!(third.len(), 1);
        drop((sent, third));
        assert_eq!(sent_requests(&mut queue).await.len(), 1, "it is alone");
    }

    #[tokio::test]
    async fn a_control_request_does_not_wait_for_the_one_that_it_may_end() {
        let (sender, mut queue) = queue_of(1, 4);
        let (mut pending, mut replies) = (PendingRequests::default(), Vec::new());
        for body in [
            RequestBody::ChangeMembership(Change::new().remove(NodeId(2))),
            RequestBody::CancelMembershipChange,
            RequestBody::TransferLeadership(None),
            RequestBody::Report,
        ] {
            let call = tokio::spawn(send(sender.clone(), body));
            let mut sent = sent_requests(&mut queue).await;
            let Some(DriverRequest::Execute(request)) = sent.pop() else { panic!("it waits") };
            drop(pending.submit(request));
            replies.push(call.await.expect("no panic"));
        }
    }

    #[tokio::test]
    async fn a_call_that_waits_for_a_permit_ends_with_the_node() {
        let (sender, queue) = queue_of(1, 4);
        let mut calls = JoinSet::new();
        for _ in 0..2 {
            let sent = send(sender.clone(), body("program"));
            calls.spawn(async move {
                match sent.await {
                    Some(reply) => reply.await.ok(),
                    None => None,
                }
            });
        }
        yield_now().await;
        drop(queue);
        assert_eq!(calls.join_all().await, [None, None]);
    }

    #[tokio::test]
    async fn other_tasks_run_before_the_rest_of_the_requests() {
        let (sender, mut queue) = queue();
        let late = sender.clone();
        let waiting = timeout(Duration::from_millis(1), queue.wait(true)).await;
        assert!(waiting.is_err(), "there is no request");
        sender.send(of_program("first")).await;
        queue.wait(true).await;
        tokio::spawn(async move { late.send(of_program("late")).await });
        queue.wait(true).await;
        queue.receive();
        let names: Vec<_> = std::iter::from_fn(|| queue.pop(true)).map(name_of).collect();
        assert_eq!(names, ["first", "late"]);
    }
}
