//! Tests of answers that are not written when their connection ends.

use std::time::Duration;

use tokio::time::sleep;

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::request_limits::{ServiceLimits, Share};
use crate::runtime::service::connection::UNWRITTEN_HOLD;
use crate::runtime::service::requests::Rights;
use crate::runtime::service::tests::{MIB, TestConnection, origin, read, simulate_node};

#[tokio::test(start_paused = true)]
async fn unwritten_answers_count_for_a_while_after_the_end_of_their_connection() {
    let (handle, requests) = Handle::for_test();
    tokio::spawn(simulate_node(requests));
    let config = ServiceConfig { requests_kib_per_origin_max: 4 << 10, ..ServiceConfig::default() };
    let rights = Rights { principal: None, forwards: false };
    let (network, limits) = (NetworkConfig::default(), ServiceLimits::new(&config));
    let connection = TestConnection::open_within(handle, rights, network, config, &limits);
    let mut connection = connection.await;
    for number in 0..4 {
        connection.send(number, read()).await;
    }
    // The node replies, and the client reads nothing.
    sleep(Duration::from_millis(1)).await;
    drop(connection.stream);
    let _ = connection.served.await.expect("no panic");
    let acquire = |bytes| limits.of(&origin(1), false).acquire(Share::Reads, bytes);
    sleep(UNWRITTEN_HOLD / 2).await;
    assert!(acquire(1).is_none(), "the answers count");
    sleep(UNWRITTEN_HOLD).await;
    assert!(acquire(4 * MIB).is_some(), "no answer counts for longer");
}
