//! What a client does when nodes err, against nodes that are played: what it asks again, how often,
//! and what it says that may have happened.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::machine::{Request, SessionId};
use quorate::runtime::{Client, ClientConfig, ClientError, Proposed, Rejection, Trouble};
use quorate::types::{
    Acknowledge, Address, EntryId, Freshness, Index, NodeId, ReadLevel, RejectReason,
};
use quorate::wire::{
    ClientHello, ClientReply, Denial, Frame, FrameReader, LeaderHint, Told, Versions, Wanted,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::CLUSTER;

/// Longer than a call takes that is to end by itself.
const LONG: Duration = Duration::from_secs(30);
/// Enough for calls that are to end at it, once what was asked for is on its way.
const SHORT: Duration = Duration::from_millis(700);

/// What a played node does about a request.
enum Does {
    Tell(Told),
    /// It ends the connection.
    Break,
    /// It says nothing, and never will.
    Keep,
}

/// A node that is played: `script` says what it does about each request, by how many came before.
struct Played {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Wanted>>>,
    _tasks: JoinSet<()>,
}

impl Played {
    async fn start(script: impl Fn(usize, &Wanted) -> Does + Send + Sync + 'static) -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
        Played::at(listener, script)
    }

    fn at(
        listener: TcpListener,
        script: impl Fn(usize, &Wanted) -> Does + Send + Sync + 'static,
    ) -> Played {
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::default();
        let mut tasks = JoinSet::new();
        let (script, log) = (Arc::new(script), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                connections.spawn(async move { talk(stream, &*script, &log).await.unwrap_or(()) });
            }
        });
        Played { address, asked, _tasks: tasks }
    }

    /// What it was asked, in its order.
    fn asked(&self) -> Vec<Wanted> {
        self.asked.lock().expect("nobody panics").clone()
    }

    /// A client of this node alone, which waits long between rounds.
    fn client(&self, deadline: Duration) -> Client {
        let config = ClientConfig::new(CLUSTER, [self.address.to_string()]);
        let (retry_min, retry_max) = (Duration::from_millis(1), Duration::from_millis(10));
        let config = ClientConfig { deadline, retry_min, retry_max, ..config };
        Client::new(config).expect("the configuration makes sense")
    }
}

async fn talk(
    mut stream: TcpStream,
    script: &(impl Fn(usize, &Wanted) -> Does + Send + Sync),
    asked: &Mutex<Vec<Wanted>>,
) -> std::io::Result<()> {
    let (mut frames, mut buffer) = (FrameReader::new(), vec![0; 64 << 10]);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut bytes = &buffer[..count];
        while let Some(frame) = frames.read(&mut bytes).expect("clients make sense") {
            let mut reply = Vec::new();
            match frame {
                Frame::ClientHello(hello) => {
                    let (versions, node) = (Versions::SUPPORTED, Some(NodeId(1)));
                    ClientHello { versions, node, ..hello }.encode(&mut reply);
                }
                // The connection's own first question, of the members.
                Frame::Request(request) if request.wanted == Wanted::Report => {}
                Frame::Request(request) => {
                    let place = {
                        let mut asked = asked.lock().expect("nobody panics");
                        asked.push(request.wanted.clone());
                        asked.len() - 1
                    };
                    match script(place, &request.wanted) {
                        Does::Tell(told) => {
                            let told = ClientReply { number: request.number, told };
                            told.encode(&mut reply).expect("it is short");
                        }
                        Does::Break => return Ok(()),
                        Does::Keep => {}
                    }
                }
                _ => {}
            }
            stream.write_all(&reply).await?;
        }
    }
}

const ID: EntryId = EntryId::ZERO;

fn registered(session: u64) -> Does {
    Does::Tell(Told::Registered { id: ID, session: Index(session) })
}

fn replied(reply: &[u8]) -> Does {
    Does::Tell(Told::Replied { id: ID, reply: reply.into() })
}

fn answered() -> Does {
    let (freshness, index, applied) = (Freshness::Unknown, Index(1), Index(1));
    Does::Tell(Told::Answered { freshness, index, applied, answer: b"answer".to_vec() })
}

/// Another one leads: the one at `address`.
fn redirected(address: SocketAddr) -> Does {
    let (id, address) = (NodeId(2), Address::new(&address.to_string()).expect("it is short"));
    let reason = RejectReason::NotLeader { leader: Some(id) };
    Does::Tell(Told::Rejected { reason, leader: Some(LeaderHint { id, address }) })
}

fn is_registration(wanted: &Wanted) -> bool {
    let Wanted::Propose { command, .. } = wanted else { return false };
    matches!(Request::decode(command), Some(Request::Register { .. }))
}

/// The session and the number of a request.
fn numbered(wanted: &Wanted) -> (SessionId, u64) {
    let Wanted::Propose { command, .. } = wanted else { panic!("{wanted:?}") };
    match Request::decode(command) {
        Some(Request::InSession { session, sequence, .. }) => (session, sequence.0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_must_not_happen_twice_is_sent_once() {
    for does in [|| Does::Break, || Does::Tell(Told::Unknown)] {
        let node = Played::start(move |_, _| does()).await;
        let client = node.client(LONG);
        let told = client.propose_at_most_once(b"once", Acknowledge::Quorum).await;
        assert!(matches!(told, Err(ClientError::Unknown(_))), "{told:?}");
        assert_eq!(node.asked().len(), 1);
        let told = client.transfer(None).await;
        assert!(matches!(told, Err(ClientError::Unknown(_))), "{told:?}");
        assert_eq!(node.asked().len(), 2);
    }
}

#[tokio::test]
async fn what_did_not_happen_is_asked_again() {
    let reasons = [RejectReason::Busy, RejectReason::Stopped, RejectReason::NoLeader];
    let node = Played::start(move |place, _| match reasons.get(place) {
        Some(reason) => Does::Tell(Told::Rejected { reason: *reason, leader: None }),
        None if place == reasons.len() => Does::Tell(Told::Refused(Denial::Overloaded)),
        None => Does::Tell(Told::MayBeLost { id: ID }),
    })
    .await;
    let told = node.client(LONG).propose_at_most_once(b"once", Acknowledge::LeaderOnly).await;
    assert_eq!(told, Ok(Proposed::MayBeLost { id: ID }));
    assert_eq!(node.asked().len(), reasons.len() + 2);
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_and_is_never_unknown() {
    let node = Played::start(|place, _| match place {
        0 => Does::Break,
        1 => Does::Tell(Told::Unknown),
        2 => answered(),
        _ => Does::Keep,
    })
    .await;
    let client = node.client(LONG);
    let read = client.read(ReadLevel::Linearizable, b"").await.expect("the third is answered");
    assert_eq!((read.answer, node.asked().len()), (b"answer".to_vec(), 3));
    let late = client.with_deadline(SHORT).read(ReadLevel::Local, b"").await;
    assert!(matches!(late, Err(ClientError::NotProposed(Trouble::Unanswered { .. }))), "{late:?}");
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let node = Played::start(|place, _| match place {
        0 => Does::Tell(Told::Refused(Denial::NotAllowed)),
        _ => Does::Tell(Told::Rejected { reason: RejectReason::TooLarge, leader: None }),
    })
    .await;
    let client = node.client(LONG);
    let denied = client.read(ReadLevel::Local, b"").await;
    assert_eq!(denied, Err(ClientError::Rejected(Rejection::Denied(Denial::NotAllowed))));
    let rejected = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let reason = Rejection::Reason(RejectReason::TooLarge);
    assert_eq!(rejected, Err(ClientError::Rejected(reason)));
    assert_eq!(node.asked().len(), 2);
}

#[tokio::test]
async fn a_request_keeps_its_number_and_no_other_has_it() {
    let node = Played::start(|place, wanted| match place {
        _ if is_registration(wanted) => registered(5),
        1 => Does::Break,
        2 => Does::Tell(Told::Unknown),
        _ => replied(b"done"),
    })
    .await;
    let client = node.client(LONG);
    for _ in 0..2 {
        assert_eq!(&*client.propose(b"x").await.expect("it is carried out"), b"done");
    }
    let asked = node.asked();
    assert!(is_registration(&asked[0]));
    let numbers: Vec<_> = asked[1..].iter().map(numbered).collect();
    let (first, second) = ((SessionId(Index(5)), 1), (SessionId(Index(5)), 2));
    assert_eq!(numbers, [first, first, first, second]);
}

#[tokio::test]
async fn a_session_that_is_over_says_nothing_of_an_attempt_that_was_lost() {
    let expired = || Does::Tell(Told::SessionExpired { id: ID });
    let node = Played::start(move |place, wanted| match place {
        0 => registered(5),
        1 => Does::Break,
        2 => expired(),
        // The next one is over before anything was asked in it.
        _ if is_registration(wanted) => registered(5 + place as u64),
        4 => expired(),
        _ => replied(b"done"),
    })
    .await;
    let client = node.client(LONG);
    let told = client.propose(b"x").await;
    assert_eq!(told, Err(ClientError::Unknown(Trouble::SessionExpired)));
    assert_eq!(&*client.propose(b"y").await.expect("in a session that is open"), b"done");
    let asked = node.asked();
    let requests = asked.iter().filter(|wanted| !is_registration(wanted)).map(numbered);
    let sessions: Vec<u64> = requests.map(|(session, _)| session.0.0).collect();
    assert_eq!(sessions, [5, 5, 8, 10]);
}

#[tokio::test]
async fn nodes_that_send_a_client_round_in_circles_are_left_alone_for_a_while() {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().expect("bound"));
    let [first, second] = listeners.map(|listener| {
        listener.set_nonblocking(true).expect("it can be");
        TcpListener::from_std(listener).expect("there is a runtime")
    });
    let first = Played::at(first, move |_, _| redirected(addresses[1]));
    let second = Played::at(second, move |_, _| redirected(addresses[0]));
    let mut config = ClientConfig::new(CLUSTER, addresses.map(|address| address.to_string()));
    // The wait after the first round is beyond the deadline.
    (config.deadline, config.retry_min) = (LONG, 10 * LONG);
    config.retry_max = config.retry_min;
    let client = Client::new(config).expect("the configuration makes sense");
    let told = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let Err(ClientError::NotProposed(Trouble::Hindered { .. })) = told else { panic!("{told:?}") };
    assert_eq!(first.asked().len() + second.asked().len(), 4, "each twice");
}

#[tokio::test]
async fn a_node_that_says_nothing_is_left_for_the_next_one_where_that_is_safe() {
    let silent = Played::start(|_, _| Does::Keep).await;
    let speaks = Played::start(|_, wanted| match wanted {
        Wanted::Read { .. } => answered(),
        wanted if is_registration(wanted) => registered(5),
        _ => replied(b"done"),
    })
    .await;
    // As many clients begin with the one as with the other.
    for _ in 0..20 {
        let both = [silent.address, speaks.address].map(|address| address.to_string());
        let config = ClientConfig::new(CLUSTER, both);
        let attempt_max = Duration::from_millis(50);
        let config = ClientConfig { deadline: LONG, attempt_max, ..config };
        let client = Client::new(config).expect("the configuration makes sense");
        client.read(ReadLevel::Local, b"").await.expect("one of them answers");
        let told = client.propose(b"x").await.expect("one of them replies");
        assert_eq!(&told[..], b"done");
    }
    assert!(!silent.asked().is_empty(), "nobody began with it");

    let client = silent.client(SHORT);
    let told = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    assert!(matches!(told, Err(ClientError::Unknown(Trouble::Unanswered { .. }))), "{told:?}");
}

#[tokio::test]
async fn the_deadline_says_whether_it_may_have_happened() {
    let node = Played::start(|_, wanted| match is_registration(wanted) {
        true => registered(5),
        false => Does::Keep,
    })
    .await;
    let client = node.client(SHORT);
    let told = client.propose(b"x").await;
    assert!(matches!(told, Err(ClientError::Unknown(Trouble::Unanswered { .. }))), "{told:?}");

    // It takes the connection and says nothing: nothing was sent.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
    let address = silent.local_addr().expect("it is bound").to_string();
    let config = ClientConfig { connect_max: LONG, ..ClientConfig::new(CLUSTER, [address]) };
    let client = Client::new(ClientConfig { deadline: SHORT, ..config }).expect("it makes sense");
    let told = client.propose_at_most_once(b"x", Acknowledge::Quorum).await;
    let nothing = matches!(told, Err(ClientError::NotProposed(Trouble::Unreachable { .. })));
    assert!(nothing, "{told:?}");

    // What was withdrawn is not sent later, when the connection has come about.
    let (mut stream, _) = silent.accept().await.expect("it has called");
    let hello = ClientHello {
        versions: Versions::SUPPORTED,
        cluster: CLUSTER.0,
        node: Some(NodeId(1)),
        full: false,
    };
    let mut bytes = Vec::new();
    hello.encode(&mut bytes);
    stream.write_all(&bytes).await.expect("it is taken");
    drop(client);
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("it ends");
    let (mut frames, mut said) = (FrameReader::new(), &said[..]);
    while let Some(frame) = frames.read(&mut said).expect("clients make sense") {
        if let Frame::Request(request) = frame {
            assert_eq!(request.wanted, Wanted::Report);
        }
    }
}
