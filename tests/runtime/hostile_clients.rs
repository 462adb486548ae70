//! Hostile clients of a real node: they can neither act as another client nor fill the node's
//! memory.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use quorate::machine::{
    Nonce, Proposer, Request, Sequence, SessionId, SessionLimits, StateMachine,
};
use quorate::runtime::{Client, ClientConfig, ClientError, RejectCause, Server};
#[cfg(feature = "certs")]
use quorate::runtime::{Principal, TlsConfig};
use quorate::types::{
    Acknowledge, Command, Index, MachineRejectReason, NodeId, QuotaUsage, ReadLevel, SessionBounds,
};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Frame, ReplyBody, RequestBody, ServiceRejectReason,
    Versions, encode_keepalive,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::clients::config_of;
use crate::cluster::{CLUSTER, Cluster, eventually};
use crate::raw::Raw;

/// A client that chooses every byte of its requests.
struct Attacker<S> {
    raw: Raw<S>,
    number: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Attacker<S> {
    /// Sends the hello of a client; it names a node, as the hello of a node that forwards does.
    async fn over(mut raw: Raw<S>, node: Option<NodeId>) -> Attacker<S> {
        let mut bytes = Vec::new();
        let versions = Versions::SUPPORTED;
        ClientHello { versions, cluster: CLUSTER.0, node, full: false }.encode(&mut bytes);
        raw.write(&bytes).await;
        assert!(matches!(raw.read_frame().await, Some(Frame::ClientHello(_))));
        Attacker { raw, number: 0 }
    }

    async fn send(&mut self, body: RequestBody) -> ReplyBody {
        self.number += 1;
        let mut bytes = Vec::new();
        ClientRequest { number: self.number, body }.encode(&mut bytes).expect("it is short");
        self.raw.write(&bytes).await;
        loop {
            match self.raw.read_frame().await {
                Some(Frame::Reply(ClientReply { number, body })) if number == self.number => {
                    return body;
                }
                Some(Frame::Keepalive) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn propose(&mut self, request: Request<'_>) -> ReplyBody {
        let (acknowledge, command) = (Acknowledge::Quorum, request.encode());
        self.send(RequestBody::Propose { acknowledge, command }).await
    }

    async fn register(&mut self, nonce: u128) -> SessionId {
        let limits = SessionLimits::default();
        match self.propose(Request::Register { nonce: Nonce(nonce), limits }).await {
            ReplyBody::Registered { session, .. } => SessionId(session),
            other => panic!("{other:?}"),
        }
    }
}

fn in_session(session: SessionId, sequence: u64, command: &[u8]) -> Request<'_> {
    let sequence = Sequence(sequence);
    Request::InSession { session, sequence, acknowledged: Sequence::FIRST, command }
}

#[cfg(feature = "certs")]
mod with_certificates {
    use std::sync::Mutex;

    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::cluster::{Lines, TEST_TIMEOUT, eventually};
    use crate::tls::connect;

    type TlsClient = Attacker<TlsStream<TcpStream>>;

    impl TlsClient {
        /// Sends `count` local reads with this query, and then waits for a report: the node has
        /// passed all of the reads to the state machine before it replies.
        async fn query_and_report(&mut self, query: &str, count: u64) {
            let mut bytes = Vec::new();
            for _ in 0..count {
                self.number += 1;
                let body = RequestBody::Read { level: ReadLevel::Local, query: query.into() };
                ClientRequest { number: self.number, body }
                    .encode(&mut bytes)
                    .expect("it is short");
            }
            self.raw.write(&bytes).await;
            let report = self.send(RequestBody::Report).await;
            assert!(matches!(report, ReplyBody::Report(_)), "{report:?}");
        }
    }

    /// The queries that a state machine has answered, in their order.
    type Queries = Arc<Mutex<Vec<String>>>;

    /// A state machine that answers no query until the sender is dropped.
    #[derive(Debug)]
    struct Gated(mpsc::Receiver<()>, Queries);

    impl StateMachine for Gated {
        fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
        fn query(&self, query: &[u8]) -> Vec<u8> {
            let _ = self.0.recv();
            self.1.lock().expect("no panic").push(String::from_utf8_lossy(query).into_owned());
            Vec::new()
        }
        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(io::empty())
        }
        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }
        fn quota(&self) -> Option<QuotaUsage> {
            None
        }
    }

    fn issue(cluster: &Cluster, principal: Option<Principal>) -> TlsConfig {
        let principal = principal.expect("the name is valid");
        cluster.certs().issue(CLUSTER, &principal, 1).expect("the directory is writable")
    }

    /// Connects once there is a leader.
    async fn client(cluster: &Cluster, at: NodeId, name: &str) -> TlsClient {
        cluster.leader().await;
        let files = issue(cluster, Principal::client(name));
        Attacker::over(connect(cluster.address(at), Some(&files)).await, None).await
    }

    fn is_expired(reply: &ReplyBody) -> bool {
        matches!(reply, ReplyBody::SessionExpired { .. })
    }

    fn text_of(reply: ReplyBody) -> String {
        let ReplyBody::Replied { reply, .. } = reply else { panic!("{reply:?}") };
        String::from_utf8_lossy(&reply).into_owned()
    }

    #[tokio::test]
    async fn a_client_cannot_use_the_session_of_another() {
        let cluster = Cluster::start_with_tls(1).await;
        let mut alice = client(&cluster, NodeId(1), "alice").await;
        let mut mallory = client(&cluster, NodeId(1), "mallory").await;
        let session = alice.register(7).await;
        assert_ne!(mallory.register(7).await, session, "the nonce is that of another client");
        for request in [
            in_session(session, 1, b"evil"),
            Request::InSession {
                session,
                sequence: Sequence::MAX,
                acknowledged: Sequence::MAX,
                command: b"evil",
            },
        ] {
            let reply = mallory.propose(request).await;
            assert!(is_expired(&reply), "{reply:?}");
        }
        assert_eq!(text_of(alice.propose(in_session(session, 1, b"good")).await), "1");
        let stolen = mallory.propose(in_session(session, 1, b"")).await;
        assert!(is_expired(&stolen), "{stolen:?}");
        assert_eq!(text_of(alice.propose(in_session(session, 1, b"good")).await), "1");
        assert_eq!(cluster.read(NodeId(1)).await, "good\n");
    }

    #[tokio::test]
    async fn a_client_cannot_forge_its_name_or_send_admin_commands() {
        let cluster = Cluster::start_with_tls(1).await;
        let mut mallory = client(&cluster, NodeId(1), "mallory").await;
        let stamped = Request::Plain(b"evil").encode_for(Proposer::Admin("ops"));
        let acknowledge = Acknowledge::Quorum;
        let not_allowed = ReplyBody::ServiceRejected(ServiceRejectReason::NotAllowed);
        let forwarded = RequestBody::ProposeFor { acknowledge, command: stamped.clone() };
        assert_eq!(mallory.send(forwarded).await, not_allowed);
        let inside = RequestBody::Propose { acknowledge, command: stamped };
        assert!(matches!(mallory.send(inside).await, ReplyBody::Malformed { .. }));
        let bounds = Request::SetBounds(SessionBounds::DEFAULT);
        assert_eq!(mallory.propose(bounds).await, not_allowed);
        assert_eq!(mallory.propose(Request::Admin(b"command")).await, not_allowed);
        assert_eq!(cluster.read(NodeId(1)).await, "");
    }

    #[tokio::test]
    async fn a_forwarded_proposal_keeps_its_client() {
        let mut cluster = Cluster::unstarted_with_tls(3);
        for id in (1..=3).map(NodeId) {
            let mut config = cluster.config(id);
            config.service.forwards = true;
            let server = Server::start(config, Lines::default()).await.expect("it is new");
            cluster.servers.insert(id, server);
        }
        let leader = cluster.leader().await;
        let follower = (1..=3).map(NodeId).find(|id| *id != leader).expect("there are three");
        let handle = cluster.handle(follower);
        eventually("the follower knows who leads", async || {
            handle.leadership().borrow().leader == Some(leader)
        })
        .await;
        let mut alice = client(&cluster, follower, "alice").await;
        let session = alice.register(7).await;
        let mut mallory = client(&cluster, leader, "mallory").await;
        let stolen = mallory.propose(in_session(session, 1, b"evil")).await;
        assert!(is_expired(&stolen), "{stolen:?}");
        let mut alice = client(&cluster, leader, "alice").await;
        assert_eq!(text_of(alice.propose(in_session(session, 1, b"good")).await), "1");
    }

    #[tokio::test]
    async fn the_query_of_a_client_overtakes_the_queries_of_another() {
        const FLOOD: u64 = 100;
        let mut cluster = Cluster::unstarted_with_tls(1);
        let ((release, gate), queries) = (mpsc::channel(), Queries::default());
        let machine = Gated(gate, Arc::clone(&queries));
        let server = Server::start(cluster.config(NodeId(1)), machine).await;
        cluster.servers.insert(NodeId(1), server.expect("the directory is new"));
        let mut alice = client(&cluster, NodeId(1), "alice").await;
        let mut mallory = client(&cluster, NodeId(1), "mallory").await;
        mallory.query_and_report("the gate", 1).await;
        mallory.query_and_report("mallory", FLOOD).await;
        alice.query_and_report("alice", 1).await;
        drop(release);
        let ran = || queries.lock().expect("no panic").clone();
        eventually("all queries are answered", async || ran().len() as u64 == FLOOD + 2).await;
        assert_ne!(ran().last().map(String::as_str), Some("alice"), "she waited for all others");
    }

    #[tokio::test]
    async fn unread_answers_of_one_client_leave_room_for_another() {
        let read = |bytes: usize| {
            let query = bytes.to_string().into_bytes();
            RequestBody::Read { level: ReadLevel::Linearizable, query }
        };
        let mut cluster = Cluster::unstarted_with_tls(1);
        let mut config = cluster.config(NodeId(1));
        config.service.requests_kib_per_origin_max = 4 << 10;
        // Only the end of the test ends the connection that reads no answer.
        config.service.stall_max = TEST_TIMEOUT;
        let server = Server::start(config, Large).await.expect("the directory is new");
        cluster.servers.insert(NodeId(1), server);
        let mut alice = client(&cluster, NodeId(1), "alice").await;
        let mut mallory = client(&cluster, NodeId(1), "mallory").await;
        let mut flood = Vec::new();
        // More than the limit holds.
        for number in 0..60 {
            let body = read(100_000);
            ClientRequest { number, body }.encode(&mut flood).expect("it is short");
        }
        let mut again = client(&cluster, NodeId(1), "mallory").await;
        eventually("unread answers use up the limit of their client", async || {
            // The system's buffers of the connection take the first answers.
            mallory.raw.write(&flood).await;
            let reply = again.send(read(100_000)).await;
            reply == ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded)
        })
        .await;
        for bytes in 1..20 {
            let reply = alice.send(read(bytes)).await;
            let ReplyBody::Answered { answer, .. } = reply else { panic!("{reply:?}") };
            assert_eq!(answer, vec![0; bytes]);
            let reply = alice.propose(Request::Plain(bytes.to_string().as_bytes())).await;
            assert!(matches!(reply, ReplyBody::Replied { .. }), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn sessions_of_a_hostile_client_expire_no_others() {
        let cluster = Cluster::start_with_tls(1).await;
        let files = issue(&cluster, Principal::admin("ops"));
        let config = ClientConfig { tls: Some(files), ..config_of(&cluster, [1]) };
        let admin = Client::new(config).expect("the configuration is valid");
        let bounds = SessionBounds { sessions_per_principal_max: 3, ..SessionBounds::DEFAULT };
        admin.set_session_bounds(bounds).await.expect("an administrator may");
        let mut alice = client(&cluster, NodeId(1), "alice").await;
        let session = alice.register(7).await;
        let mut mallory = client(&cluster, NodeId(1), "mallory").await;
        for nonce in 0..20 {
            mallory.register(nonce).await;
        }
        assert_eq!(text_of(alice.propose(in_session(session, 1, b"good")).await), "1");
        let report = cluster.handle(NodeId(1)).report().await.expect("the node runs");
        assert_eq!((report.usage.sessions, report.usage.bounds), (4, bounds));
    }
}

#[tokio::test]
async fn without_certificates_a_forwarded_name_proves_nothing() {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    config.service.forwards = true;
    let server = Server::start(config, Large).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.leader().await;
    let raw = Raw::connect(cluster.address(NodeId(1))).await;
    let mut attacker = Attacker::over(raw, Some(NodeId(1))).await;
    let session = attacker.register(7).await;
    let command = in_session(session, 1, b"4").encode_for(Proposer::Client("alice"));
    let acknowledge = Acknowledge::Quorum;
    // The session belongs to the clients without a name, and so does the request.
    let reply = attacker.send(RequestBody::ProposeFor { acknowledge, command }).await;
    assert!(matches!(reply, ReplyBody::Replied { .. }), "{reply:?}");
}

/// A state machine that replies to each command and query with as many zeros as it says.
#[derive(Debug)]
pub(crate) struct Large;

impl StateMachine for Large {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let length = String::from_utf8_lossy(command).parse().unwrap_or_default();
        vec![0; length]
    }
    fn query(&self, query: &[u8]) -> Vec<u8> {
        let length = String::from_utf8_lossy(query).parse().unwrap_or_default();
        vec![0; length]
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::empty())
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
    fn quota(&self) -> Option<QuotaUsage> {
        None
    }
}

/// A state machine that counts its queries, and answers each with 100,000 zeros.
#[derive(Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl StateMachine for Counted {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed);
        vec![0; 100_000]
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::empty())
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
    fn quota(&self) -> Option<QuotaUsage> {
        None
    }
}

#[tokio::test]
async fn a_query_is_not_executed_if_its_answer_has_no_room() {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    // Room for ten answers. The state machine has made about forty before the node handles the
    // first of them.
    config.service.requests_kib_per_origin_max = 1 << 10;
    let window = config.service.requests_per_connection_max;
    let executed = Arc::<AtomicUsize>::default();
    let server = Server::start(config, Counted(Arc::clone(&executed))).await;
    cluster.servers.insert(NodeId(1), server.expect("the directory is new"));
    cluster.leader().await;
    let mut attacker = Attacker::over(Raw::connect(cluster.address(NodeId(1))).await, None).await;
    let mut flood = Vec::new();
    for number in 0..window as u64 {
        let body = RequestBody::Read { level: ReadLevel::Linearizable, query: Vec::new() };
        ClientRequest { number, body }.encode(&mut flood).expect("it is short");
    }
    attacker.raw.write(&flood).await;
    let (mut answered, mut rejected, mut keepalive) = (0, 0, Vec::new());
    encode_keepalive(&mut keepalive);
    while answered + rejected < window {
        match attacker.raw.read_frame().await {
            Some(Frame::Reply(ClientReply { body: ReplyBody::Answered { .. }, .. })) => {
                answered += 1;
            }
            Some(Frame::Reply(ClientReply { body, .. })) => {
                assert_eq!(body, ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded));
                rejected += 1;
            }
            Some(Frame::Keepalive) => attacker.raw.write(&keepalive).await,
            other => panic!("{other:?}"),
        }
    }
    let wasted = executed.load(Ordering::Relaxed) - answered;
    assert!(wasted < window / 2, "{wasted} queries were executed for nothing, {rejected} rejected");
}

#[tokio::test]
async fn unacknowledged_replies_take_bounded_memory() {
    const SESSIONS: u64 = 20;
    let mut cluster = Cluster::unstarted(1);
    let server = Server::start(cluster.config(NodeId(1)), Large).await;
    cluster.servers.insert(NodeId(1), server.expect("the directory is new"));
    cluster.leader().await;
    let mut attacker = Attacker::over(Raw::connect(cluster.address(NodeId(1))).await, None).await;
    let largest = SessionBounds::DEFAULT.replies_bytes_per_session_max;
    let asks = |nonce, replies_bytes_max| {
        let limits = SessionLimits { replies_bytes_max, ..SessionLimits::default() };
        Request::Register { nonce: Nonce(nonce), limits }
    };
    let reply = attacker.propose(asks(0, largest + 1)).await;
    let reason = MachineRejectReason::RepliesBytesPerSession { max: largest };
    assert!(
        matches!(reply, ReplyBody::MachineRejected { reason: found, .. } if found == reason),
        "{reply:?}"
    );
    for _ in 0..SESSIONS {
        let client = Client::new(config_of(&cluster, [1])).expect("the configuration is valid");
        client.propose(b"1000000").await.expect("it is applied");
    }
    let usage = cluster.handle(NodeId(1)).report().await.expect("the node runs").usage;
    assert_eq!(usage.sessions, SESSIONS);
    assert!(usage.replies_bytes <= 16 << 20, "{usage:?}");
    assert!(usage.replies_bytes > 15 << 20, "the bound was reached: {usage:?}");
}

/// A state machine that applies nothing until the sender is dropped.
#[derive(Debug)]
struct Blocked(mpsc::Receiver<()>);

impl StateMachine for Blocked {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        let _ = self.0.recv();
        Vec::new()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::empty())
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
    fn quota(&self) -> Option<QuotaUsage> {
        None
    }
}

#[tokio::test]
async fn commands_that_may_be_lost_count_until_they_are_applied() {
    let mut cluster = Cluster::unstarted(1);
    let (blocking, blocked) = mpsc::channel();
    let mut config = cluster.config(NodeId(1));
    config.service.requests_kib_per_origin_max = 8;
    config.replica.raft.command_bytes_max = 8 << 10;
    let server = Server::start(config, Blocked(blocked)).await;
    cluster.servers.insert(NodeId(1), server.expect("the directory is new"));
    cluster.leader().await;
    let mut attacker = Attacker::over(Raw::connect(cluster.address(NodeId(1))).await, None).await;
    let propose = |command| {
        let acknowledge = Acknowledge::LeaderOnly;
        RequestBody::Propose { acknowledge, command }
    };
    let (long, empty) =
        (propose(Request::Plain(&[7; 1500]).encode()), propose(Command::from(Vec::new())));
    let accepted = [vec![long.clone(); 3], vec![empty.clone(); 2]].concat();
    for command in accepted {
        let reply = attacker.send(command).await;
        assert!(matches!(reply, ReplyBody::MayBeLost { .. }), "{reply:?}");
    }
    for command in [&long, &empty] {
        let reply = attacker.send(command.clone()).await;
        assert_eq!(reply, ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded));
    }
    drop(blocking);
    eventually("the commands are applied", async || {
        let reply = attacker.send(long.clone()).await;
        matches!(reply, ReplyBody::MayBeLost { .. })
    })
    .await;
}

#[tokio::test]
async fn an_error_names_the_bound_that_a_session_exceeds() {
    let cluster = Cluster::start(1).await;
    let bounds = SessionBounds { window_max: 8, ..SessionBounds::DEFAULT };
    let admin = Client::new(config_of(&cluster, [1])).expect("the configuration is valid");
    admin.set_session_bounds(bounds).await.expect("it is applied");
    let error = admin.propose(b"line").await.expect_err("the window is too large");
    let reason = MachineRejectReason::Window { max: 8 };
    assert_eq!(error, ClientError::Rejected(RejectCause::Machine(reason)));
    assert!(error.to_string().contains("window_max = 8"), "{error}");
    let session = SessionLimits { window: 8, ..SessionLimits::default() };
    let config = ClientConfig { session, ..config_of(&cluster, [1]) };
    let client = Client::new(config).expect("the configuration is valid");
    client.propose(b"line").await.expect("the window fits");
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the read is answered");
    assert_eq!(read.answer, b"line\n");
}
