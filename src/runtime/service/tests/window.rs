//! Tests of a window that is full of requests without an outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::principal::Principal;
use crate::runtime::request::DriverRequest;
use crate::runtime::service::requests::Rights;
use crate::runtime::service::tests::{TestConnection, propose, read};
use crate::wire::{ReplyBody, RequestBody, ServiceRejectReason};

#[tokio::test(start_paused = true)]
async fn a_control_request_is_read_although_the_window_is_full_of_requests_that_hang() {
    let (handle, mut requests) = Handle::for_test();
    let config = ServiceConfig { requests_per_connection_max: 2, ..ServiceConfig::default() };
    let (network, rights) = (NetworkConfig::default(), Rights { principal: None, forwards: false });
    let mut connection = TestConnection::open_to(handle, rights, network, config).await;
    for number in 1..=3 {
        connection.send(number, propose(1)).await;
    }
    connection.send(4, RequestBody::CancelMembershipChange).await;
    for number in 5..50 {
        connection.send(number, read()).await;
    }
    connection.send(50, RequestBody::Report).await;
    let mut hanging = Vec::new();
    for _ in 0..2 {
        hanging.push(requests.recv().await.expect("the connection passes the request on"));
    }
    let further = timeout(Duration::from_millis(500), requests.recv()).await;
    assert!(further.is_err(), "the third waits for room in the window");
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let Some(DriverRequest::Execute(request)) = requests.recv().await else {
            panic!("the connection passes it on")
        };
        bodies.push(request.body.clone());
        request.reply.send(ReplyBody::Unknown);
    }
    assert_eq!(bodies, [RequestBody::CancelMembershipChange, RequestBody::Report]);
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    let mut replies = BTreeMap::new();
    for _ in 3..=50 {
        let (number, reply) = connection.receive().await;
        replies.insert(number, reply);
    }
    let expected =
        |number| if matches!(number, 4 | 50) { &ReplyBody::Unknown } else { &overloaded };
    for (number, reply) in &replies {
        assert_eq!(reply, expected(*number), "{number}");
    }
    assert_eq!(replies.into_keys().collect::<Vec<_>>(), (3..=50).collect::<Vec<_>>());
    // An outcome makes room for further requests.
    drop(hanging);
    assert_eq!(connection.receive().await, (1, ReplyBody::Unknown));
    assert_eq!(connection.receive().await, (2, ReplyBody::Unknown));
    connection.send(51, propose(1)).await;
    assert!(requests.recv().await.is_some(), "the window has room");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_no_administrator_waits_although_its_window_hangs() {
    let (handle, mut requests) = Handle::for_test();
    let config = ServiceConfig { requests_per_connection_max: 2, ..ServiceConfig::default() };
    let rights = Rights { principal: Principal::client("app"), forwards: false };
    let mut connection =
        TestConnection::open_to(handle, rights, NetworkConfig::default(), config).await;
    for number in 1..=3 {
        connection.send(number, propose(1)).await;
    }
    let mut hanging = Vec::new();
    for _ in 0..2 {
        hanging.push(requests.recv().await.expect("the connection passes the request on"));
    }
    let rejected = timeout(Duration::from_secs(10), connection.receive()).await;
    assert!(rejected.is_err(), "the third request waits: {rejected:?}");
    drop(hanging.remove(0));
    assert_eq!(connection.receive().await, (1, ReplyBody::Unknown));
    assert!(requests.recv().await.is_some(), "the window has room");
}
