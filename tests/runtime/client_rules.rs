//! The retry rules of the client, against simulated nodes: which requests it sends again, how
//! often, and which outcome it reports.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::machine::{Request, SessionId};
use quorate::runtime::{
    AttemptError, Client, ClientConfig, ClientError, ProposalOutcome, RejectCause,
};
use quorate::types::{
    Acknowledge, Address, Change, EntryId, Freshness, Index, MachineVersion, NodeId, ReadLevel,
    RejectReason, SessionBounds,
};
use quorate::wire::{
    ClientHello, ClientReply, Frame, FrameReader, LeaderHint, ReplyBody, RequestBody,
    ServiceRejectReason, Versions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::CLUSTER;

/// A deadline that a call does not reach.
const LONG: Duration = Duration::from_secs(30);
/// A deadline that a call reaches once its request is sent.
const SHORT: Duration = Duration::from_millis(700);

/// The reaction of a simulated node to a request.
enum Action {
    Reply(ReplyBody),
    /// The node closes the connection.
    Disconnect,
    /// The node never replies.
    Ignore,
}

/// A simulated node. `script` returns its reaction to a request, given the number of earlier
/// requests.
struct SimulatedNode {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RequestBody>>>,
    _tasks: JoinSet<()>,
}

impl SimulatedNode {
    async fn start(
        script: impl Fn(usize, &RequestBody) -> Action + Send + Sync + 'static,
    ) -> SimulatedNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        SimulatedNode::at(listener, script)
    }

    fn at(
        listener: TcpListener,
        script: impl Fn(usize, &RequestBody) -> Action + Send + Sync + 'static,
    ) -> SimulatedNode {
        let address = listener.local_addr().expect("the listener is bound");
        let requests = Arc::default();
        let mut tasks = JoinSet::new();
        let (script, log) = (Arc::new(script), Arc::clone(&requests));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                connections.spawn(async move { talk(stream, &*script, &log).await.unwrap_or(()) });
            }
        });
        SimulatedNode { address, requests, _tasks: tasks }
    }

    /// Returns the received requests in their order.
    fn requests(&self) -> Vec<RequestBody> {
        self.requests.lock().expect("no panic").clone()
    }

    /// Returns a client that knows only this node, with short waits between retries.
    fn client(&self, deadline: Duration) -> Client {
        let config = ClientConfig::new(CLUSTER, [self.address]);
        let (retry_min, retry_max) = (Duration::from_millis(1), Duration::from_millis(10));
        let config = ClientConfig { deadline, retry_min, retry_max, ..config };
        Client::new(config).expect("the configuration is valid")
    }
}

async fn talk(
    mut stream: TcpStream,
    script: &(impl Fn(usize, &RequestBody) -> Action + Send + Sync),
    requests: &Mutex<Vec<RequestBody>>,
) -> std::io::Result<()> {
    let (mut frames, mut buffer) = (FrameReader::new(), vec![0; 64 << 10]);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut bytes = &buffer[..count];
        while let Some(frame) = frames.read(&mut bytes).expect("the client sends valid frames") {
            let mut reply = Vec::new();
            match frame {
                Frame::ClientHello(hello) => {
                    let (versions, node) = (Versions::SUPPORTED, Some(NodeId(1)));
                    ClientHello { versions, node, ..hello }.encode(&mut reply);
                }
                // The connection's own request, for the membership.
                Frame::Request(request) if request.body == RequestBody::Report => {}
                Frame::Request(request) => {
                    let index = {
                        let mut requests = requests.lock().expect("no panic");
                        requests.push(request.body.clone());
                        requests.len() - 1
                    };
                    match script(index, &request.body) {
                        Action::Reply(body) => {
                            let reply_frame = ClientReply { number: request.number, body };
                            reply_frame.encode(&mut reply).expect("the value is short");
                        }
                        Action::Disconnect => return Ok(()),
                        Action::Ignore => {}
                    }
                }
                _ => {}
            }
            stream.write_all(&reply).await?;
        }
    }
}

const ID: EntryId = EntryId::ZERO;

fn registered(session: u64) -> Action {
    Action::Reply(ReplyBody::Registered { id: ID, session: Index(session) })
}

fn replied(reply: &[u8]) -> Action {
    Action::Reply(ReplyBody::Replied { id: ID, reply: reply.into() })
}

fn read_reply() -> Action {
    let (freshness, index, applied) = (Freshness::Unknown, Index(1), Index(1));
    Action::Reply(ReplyBody::Answered { freshness, index, applied, answer: b"answer".to_vec() })
}

/// Redirects the client to the leader at `address`.
fn redirected(address: SocketAddr) -> Action {
    let (id, address) = (NodeId(2), Address::new(&address.to_string()).expect("it is short"));
    let reason = RejectReason::NotLeader { leader: Some(id) };
    Action::Reply(ReplyBody::Rejected { reason, leader: Some(LeaderHint { id, address }) })
}

fn is_registration(body: &RequestBody) -> bool {
    let RequestBody::Propose { command, .. } = body else { return false };
    matches!(Request::decode(command), Some(Request::Register { .. }))
}

/// Returns the session and the sequence number of a request.
fn numbered(body: &RequestBody) -> (SessionId, u64) {
    let RequestBody::Propose { command, .. } = body else { panic!("{body:?}") };
    match Request::decode(command) {
        Some(Request::InSession { session, sequence, .. }) => (session, sequence.0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_sent_once() {
    for action in [|| Action::Disconnect, || Action::Reply(ReplyBody::Unknown)] {
        let node = SimulatedNode::start(move |_, _| action()).await;
        let client = node.client(LONG);
        let errors = [
            client.propose_at_most_once(b"once", Acknowledge::Quorum).await.err(),
            client.administer(b"once").await.err(),
            client.set_session_bounds(SessionBounds::DEFAULT).await.err(),
            client.raise_version(MachineVersion::default()).await.err(),
            client.change_membership(Change::new()).await.err(),
            client.cancel_membership_change().await.err(),
            client.transfer_leadership(None).await.err(),
        ];
        for error in &errors {
            assert!(matches!(error, Some(ClientError::Unknown(_))), "{errors:?}");
        }
        assert_eq!(node.requests().len(), errors.len());
    }
}

#[tokio::test]
async fn a_request_that_only_starts_work_is_sent_again() {
    let node = SimulatedNode::start(|index, _| match index % 3 {
        0 => Action::Disconnect,
        1 => Action::Reply(ReplyBody::Unknown),
        _ => Action::Reply(ReplyBody::Started),
    })
    .await;
    let (client, address) = (node.client(LONG), node.address.to_string());
    client.campaign(&address).await.expect("the third attempt is answered");
    client.snapshot(&address).await.expect("the third attempt is answered");
    assert_eq!(node.requests().len(), 6);
}

#[tokio::test]
async fn a_temporarily_rejected_request_is_retried() {
    let reasons = [
        RejectReason::Busy,
        RejectReason::Stopped,
        RejectReason::NoLeader,
        RejectReason::DiskFull,
        RejectReason::Transferring,
        RejectReason::MembershipChangeInFlight,
    ];
    let node = SimulatedNode::start(move |index, _| match reasons.get(index) {
        Some(reason) => Action::Reply(ReplyBody::Rejected { reason: *reason, leader: None }),
        None if index == reasons.len() => {
            Action::Reply(ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded))
        }
        None => Action::Reply(ReplyBody::MayBeLost { id: ID }),
    })
    .await;
    let result = node.client(LONG).propose_at_most_once(b"once", Acknowledge::LeaderOnly).await;
    assert_eq!(result, Ok(ProposalOutcome::MayBeLost { id: ID }));
    assert_eq!(node.requests().len(), reasons.len() + 2);
}

#[tokio::test]
async fn a_read_is_retried_and_its_outcome_is_never_unknown() {
    let node = SimulatedNode::start(|index, _| match index {
        0 => Action::Disconnect,
        1 => Action::Reply(ReplyBody::Unknown),
        2 => read_reply(),
        _ => Action::Ignore,
    })
    .await;
    let client = node.client(LONG);
    let read =
        client.read(ReadLevel::Linearizable, b"").await.expect("the third attempt is answered");
    assert_eq!((read.answer, node.requests().len()), (b"answer".to_vec(), 3));
    let late = client.with_deadline(SHORT).read(ReadLevel::Local, b"").await;
    assert!(
        matches!(late, Err(ClientError::NotExecuted(AttemptError::TimedOut { .. }))),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_permanently_rejected_request_is_not_retried() {
    let node = SimulatedNode::start(|index, _| match index {
        0 => Action::Reply(ReplyBody::ServiceRejected(ServiceRejectReason::NotAllowed)),
        _ => Action::Reply(ReplyBody::Rejected { reason: RejectReason::TooLarge, leader: None }),
    })
    .await;
    let client = node.client(LONG);
    let not_allowed = client.read(ReadLevel::Local, b"").await;
    assert_eq!(
        not_allowed,
        Err(ClientError::Rejected(RejectCause::Service(ServiceRejectReason::NotAllowed)))
    );
    let rejected = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let reason = RejectCause::Node(RejectReason::TooLarge);
    assert_eq!(rejected, Err(ClientError::Rejected(reason)));
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test]
async fn a_retried_request_keeps_its_sequence_number() {
    let node = SimulatedNode::start(|index, body| match index {
        _ if is_registration(body) => registered(5),
        1 => Action::Disconnect,
        2 => Action::Reply(ReplyBody::Unknown),
        _ => replied(b"done"),
    })
    .await;
    let client = node.client(LONG);
    for _ in 0..2 {
        assert_eq!(&*client.propose(b"x").await.expect("it is applied"), b"done");
    }
    let requests = node.requests();
    assert!(is_registration(&requests[0]));
    let numbers: Vec<_> = requests[1..].iter().map(numbered).collect();
    let (first, second) = ((SessionId(Index(5)), 1), (SessionId(Index(5)), 2));
    assert_eq!(numbers, [first, first, first, second]);
}

/// Clients of one principal that displace each other's sessions do so at the pace of retries.
#[tokio::test]
async fn a_new_session_after_an_expired_one_is_a_retry() {
    let node = SimulatedNode::start(|_, body| match is_registration(body) {
        true => registered(5),
        false => Action::Reply(ReplyBody::SessionExpired { id: ID }),
    })
    .await;
    let config = ClientConfig::new(CLUSTER, [node.address]);
    let (retry_min, retry_max) = (2 * LONG, 2 * LONG);
    let config = ClientConfig { deadline: LONG, retry_min, retry_max, ..config };
    let client = Client::new(config).expect("the configuration is valid");
    // A call ends without a wait that would exceed its deadline.
    let result = client.propose(b"x").await;
    assert_eq!(result, Err(ClientError::NotExecuted(AttemptError::SessionExpired)));
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test]
async fn an_expired_session_leaves_a_lost_attempt_unknown() {
    let expired = || Action::Reply(ReplyBody::SessionExpired { id: ID });
    let node = SimulatedNode::start(move |index, body| match index {
        0 => registered(5),
        1 => Action::Disconnect,
        2 => expired(),
        // The next session expires, too, but no attempt in it is lost.
        _ if is_registration(body) => registered(5 + index as u64),
        4 => expired(),
        _ => replied(b"done"),
    })
    .await;
    let client = node.client(LONG);
    let result = client.propose(b"x").await;
    assert_eq!(result, Err(ClientError::Unknown(AttemptError::SessionExpired)));
    assert_eq!(&*client.propose(b"y").await.expect("the session is open"), b"done");
    let requests = node.requests();
    let requests = requests.iter().filter(|body| !is_registration(body)).map(numbered);
    let sessions: Vec<u64> = requests.map(|(session, _)| session.0.0).collect();
    assert_eq!(sessions, [5, 5, 8, 10]);
}

#[tokio::test]
async fn redirects_in_a_circle_are_followed_by_a_wait() {
    let listeners =
        [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let addresses =
        listeners.each_ref().map(|listener| listener.local_addr().expect("the listener is bound"));
    let [first, second] = listeners.map(|listener| {
        listener.set_nonblocking(true).expect("the listener can be non-blocking");
        TcpListener::from_std(listener).expect("the test has a runtime")
    });
    let first = SimulatedNode::at(first, move |_, _| redirected(addresses[1]));
    let second = SimulatedNode::at(second, move |_, _| redirected(addresses[0]));
    let mut config = ClientConfig::new(CLUSTER, addresses);
    // The wait after the first round exceeds the deadline.
    (config.deadline, config.retry_min) = (LONG, 10 * LONG);
    config.retry_max = config.retry_min;
    let client = Client::new(config).expect("the configuration is valid");
    let result = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let Err(ClientError::NotExecuted(AttemptError::NotReady { .. })) = result else {
        panic!("{result:?}")
    };
    assert_eq!(first.requests().len() + second.requests().len(), 4, "each node twice");
}

#[tokio::test]
async fn a_silent_node_is_left_for_the_next_one_if_a_retry_is_safe() {
    let silent = SimulatedNode::start(|_, _| Action::Ignore).await;
    let speaks = SimulatedNode::start(|_, body| match body {
        RequestBody::Read { .. } => read_reply(),
        body if is_registration(body) => registered(5),
        _ => replied(b"done"),
    })
    .await;
    // Clients start with a random node, so about half of them start with each.
    for _ in 0..20 {
        let config = ClientConfig::new(CLUSTER, [silent.address, speaks.address]);
        let attempt_max = Duration::from_millis(50);
        let config = ClientConfig { deadline: LONG, attempt_max, ..config };
        let client = Client::new(config).expect("the configuration is valid");
        client.read(ReadLevel::Local, b"").await.expect("one node replies");
        let result = client.propose(b"x").await.expect("one node replies");
        assert_eq!(&result[..], b"done");
    }
    assert!(!silent.requests().is_empty(), "some clients start with the silent node");

    let client = silent.client(SHORT);
    let result = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    assert!(
        matches!(result, Err(ClientError::Unknown(AttemptError::TimedOut { .. }))),
        "{result:?}"
    );
}

#[tokio::test]
async fn at_the_deadline_the_error_depends_on_whether_the_request_was_sent() {
    let node = SimulatedNode::start(|_, body| match is_registration(body) {
        true => registered(5),
        false => Action::Ignore,
    })
    .await;
    let client = node.client(SHORT);
    let result = client.propose(b"x").await;
    assert!(
        matches!(result, Err(ClientError::Unknown(AttemptError::TimedOut { .. }))),
        "{result:?}"
    );

    // The node accepts the connection and sends nothing, so no request is sent.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = silent.local_addr().expect("the listener is bound").to_string();
    let config = ClientConfig { connect_timeout: LONG, ..ClientConfig::new(CLUSTER, [address]) };
    let client = Client::new(ClientConfig { deadline: SHORT, ..config })
        .expect("the configuration is valid");
    let result = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let not_sent =
        matches!(result, Err(ClientError::NotExecuted(AttemptError::Unreachable { .. })));
    assert!(not_sent, "{result:?}");

    // A withdrawn request is not sent later, when the connection is established.
    let (mut stream, _) = silent.accept().await.expect("the client connects");
    let hello = ClientHello {
        versions: Versions::SUPPORTED,
        cluster: CLUSTER.0,
        node: Some(NodeId(1)),
        full: false,
    };
    let mut bytes = Vec::new();
    hello.encode(&mut bytes);
    stream.write_all(&bytes).await.expect("the connection is open");
    drop(client);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.expect("the connection ends");
    let (mut frames, mut received) = (FrameReader::new(), &received[..]);
    while let Some(frame) = frames.read(&mut received).expect("the client sends valid frames") {
        if let Frame::Request(request) = frame {
            assert_eq!(request.body, RequestBody::Report);
        }
    }
}
