//! The driver's queue of requests, in which origins take turns.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::yield_now;

use crate::runtime::metrics::{Counts, REQUESTS};
use crate::runtime::origin::OriginNumber;
use crate::runtime::request::DriverRequest;
use crate::runtime::turn_queue::TurnQueue;

/// The number of requests of the program in the queue at which the driver receives no more. Those
/// of clients need no such bound, because each holds permits of the service's limits.
const PROGRAM_MAX: usize = 256;

/// The requests that the driver has not executed. The driver receives them from a bounded channel
/// as soon as it runs, so that a request waits for the turn of its origin only, and not for all
/// requests that were sent before it.
pub(super) struct RequestQueue {
    channel: Receiver<DriverRequest>,
    received: TurnQueue<DriverRequest>,
    counts: Arc<Counts>,
}

impl RequestQueue {
    /// Returns the queue, and the sender to its channel, which has room for `channel_max` requests.
    pub(super) fn new(
        channel_max: usize,
        counts: &Arc<Counts>,
    ) -> (Sender<DriverRequest>, RequestQueue) {
        let (sender, channel) = mpsc::channel(channel_max);
        counts.network.watch(REQUESTS, &sender);
        let (received, counts) = (TurnQueue::default(), Arc::clone(counts));
        (sender, RequestQueue { channel, received, counts })
    }

    /// Waits until there is a request. If requests are left, only lets the other tasks of this
    /// thread run: those of connections, which may have a request of another origin. Dropping the
    /// future loses no request.
    pub(super) async fn wait(&mut self) {
        if !self.received.is_empty() {
            return yield_now().await;
        }
        // The driver holds a sender, so the channel is open.
        if let Some(request) = self.channel.recv().await {
            self.push(request);
        }
    }

    /// Receives the requests that have been sent.
    pub(super) fn receive(&mut self) {
        while self.received.len_of(OriginNumber::default()) < PROGRAM_MAX
            && let Ok(request) = self.channel.try_recv()
        {
            self.push(request);
        }
    }

    /// Removes and returns a request of the origin whose turn it is.
    pub(super) fn pop(&mut self) -> Option<DriverRequest> {
        let popped = self.received.pop();
        self.count();
        popped
    }

    fn push(&mut self, request: DriverRequest) {
        self.received.push(request.origin(), request);
        self.count();
    }

    fn count(&self) {
        self.counts.network.requests_in_turn.set(self.received.len() as u64);
    }
}

impl Drop for RequestQueue {
    fn drop(&mut self) {
        self.counts.network.requests_in_turn.set(0);
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::runtime::config::ServiceConfig;
    use crate::runtime::metrics::RequestMetric;
    use crate::runtime::origin::Origin;
    use crate::runtime::request::NodeRequest;
    use crate::runtime::request_limits::{ServiceLimits, Share};
    use crate::storage::ClusterId;
    use crate::types::{NodeId, ReadLevel};
    use crate::wire::RequestBody;

    const CHANNEL_MAX: usize = 1024;

    fn queue() -> (Sender<DriverRequest>, RequestQueue) {
        RequestQueue::new(CHANNEL_MAX, &Arc::new(Counts::new(NodeId(1), ClusterId(7))))
    }

    fn body(name: &str) -> RequestBody {
        RequestBody::Read { level: ReadLevel::Local, query: name.as_bytes().to_vec() }
    }

    fn of_program(name: &str) -> DriverRequest {
        DriverRequest::Execute(NodeRequest::new(body(name)).0)
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
        let (replies, _unwritten) = mpsc::unbounded_channel();
        let of_client = |last, name: &str| {
            let origin = Origin::new(None, [127, 0, 0, last].into());
            let permits = limits.of(&origin, false).acquire(Share::Reads, 0).expect("it has room");
            let (metric, replies) = (RequestMetric::None, replies.clone());
            DriverRequest::Execute(NodeRequest::queued(body(name), metric, 0, permits, replies))
        };
        let (sender, mut queue) = queue();
        let send = |request| sender.try_send(request).expect("the channel has room");
        // The permits keep the numbers of the origins.
        let greedy: Vec<_> = (0..CHANNEL_MAX - 3).map(|_| of_client(1, "greedy")).collect();
        greedy.into_iter().for_each(send);
        send(of_client(2, "first"));
        send(of_client(2, "second"));
        send(of_program("program"));
        queue.receive();
        let order: Vec<_> = (0..6).filter_map(|_| queue.pop()).map(name_of).collect();
        assert_eq!(order, ["greedy", "first", "program", "greedy", "second", "greedy"]);
        let rest = std::iter::from_fn(|| queue.pop()).map(name_of);
        assert_eq!(rest.filter(|name| name == "greedy").count(), CHANNEL_MAX - 6);
    }

    #[test]
    fn requests_of_the_program_stay_in_order_and_are_bounded() {
        let (sender, mut queue) = queue();
        for number in 0..CHANNEL_MAX - 1 {
            let request = of_program(&number.to_string());
            sender.try_send(request).expect("the channel has room");
        }
        sender.try_send(DriverRequest::Close).expect("the channel has room");
        queue.receive();
        assert_eq!(queue.received.len(), PROGRAM_MAX);
        let mut names = Vec::new();
        while let Some(request) = queue.pop() {
            names.push(name_of(request));
            queue.receive();
        }
        assert_eq!(names.pop().as_deref(), Some("close"), "it comes after the earlier ones");
        assert!((0..CHANNEL_MAX - 1).map(|number| number.to_string()).eq(names));
    }

    #[tokio::test]
    async fn other_tasks_run_before_the_rest_of_the_requests() {
        let (sender, mut queue) = queue();
        let late = sender.clone();
        let waiting = timeout(Duration::from_millis(1), queue.wait()).await;
        assert!(waiting.is_err(), "there is no request");
        sender.send(of_program("first")).await.expect("the queue exists");
        queue.wait().await;
        tokio::spawn(async move { late.send(of_program("late")).await });
        queue.wait().await;
        queue.receive();
        let names: Vec<_> = std::iter::from_fn(|| queue.pop()).map(name_of).collect();
        assert_eq!(names, ["first", "late"]);
    }
}
