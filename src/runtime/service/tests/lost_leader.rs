//! Tests of a proposal that is forwarded to a leader whose connection ends.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::runtime::client::Forwarder;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::request::DriverRequest;
use crate::runtime::request_limits::ServiceLimits;
use crate::runtime::service::requests::{Executor, Rights};
use crate::runtime::service::tests::{TestConnection, origin, propose};
use crate::runtime::transport::handshake::ConnectionReader;
use crate::runtime::transport::link::Links;
use crate::storage::ClusterId;
use crate::types::{Address, NodeId, RejectReason};
use crate::wire::{ClientHello, ClientRequest, Frame, LeaderHint, ReplyBody, RequestBody};

/// Forwards a proposal to a leader whose connection ends: if the leader `takes` the proposal, after
/// that, otherwise before. Returns the reply to the client.
async fn reply_of_lost_leader(takes: bool) -> ReplyBody {
    let (handle, mut requests) = Handle::for_test();
    let leader = TcpListener::bind("127.0.0.1:0").await.expect("loopback exists");
    let address = leader.local_addr().expect("it is bound").to_string();
    let address = Address::new(&address).expect("it is short");
    let hint = Some(LeaderHint { id: NodeId(2), address });
    tokio::spawn(async move {
        while let Some(DriverRequest::Execute(request)) = requests.recv().await {
            let reason = RejectReason::NotLeader { leader: Some(NodeId(2)) };
            request.reply.send(ReplyBody::Rejected { reason, leader: hint.clone() });
        }
    });
    tokio::spawn(async move {
        let (mut stream, _) = leader.accept().await.expect("the node connects");
        let mut frames = ConnectionReader::new();
        let Ok(Frame::ClientHello(hello)) = frames.next(&mut stream).await else {
            panic!("a client begins with a hello")
        };
        if !takes {
            return;
        }
        let mut bytes = Vec::new();
        ClientHello { node: Some(NodeId(2)), ..hello }.encode(&mut bytes);
        stream.write_all(&bytes).await.expect("the connection is open");
        loop {
            let frame = frames.next(&mut stream).await.expect("the node forwards the proposal");
            let Frame::Request(ClientRequest { body, .. }) = frame else { continue };
            if matches!(body, RequestBody::ProposeFor { .. }) {
                return;
            }
        }
    });
    let (config, network) = (ServiceConfig::default(), NetworkConfig::default());
    let forwarder = Forwarder::new(ClusterId(7), Links::for_test(), &network, &config);
    let executor = Executor { handle, forwarder: Some(forwarder), recording: None };
    let rights = Rights { principal: None, forwards: false };
    let limits = ServiceLimits::new(&config);
    let mut connection =
        TestConnection::open_for(origin(1), executor, rights, network, config, &limits).await;
    connection.send(1, propose(1)).await;
    timeout(Duration::from_secs(30), connection.receive()).await.expect("the client has a reply").1
}

#[tokio::test]
async fn a_proposal_that_a_lost_leader_may_have_is_neither_redirected_nor_rejected() {
    assert_eq!(reply_of_lost_leader(true).await, ReplyBody::Unknown);
    let redirected = reply_of_lost_leader(false).await;
    let reason = RejectReason::NotLeader { leader: Some(NodeId(2)) };
    assert!(matches!(&redirected, ReplyBody::Rejected { reason: got, .. } if *got == reason));
}
