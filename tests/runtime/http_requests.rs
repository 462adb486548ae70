//! The invariants of HTTP requests, for tests and fuzzing.

use quorate::http::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Sends the bytes as a request, and then a liveness check, each on a connection of its own.
pub(crate) async fn drive(endpoint: &Endpoint, bytes: &[u8]) {
    // Otherwise the endpoint would wait for the rest of an incomplete request.
    let is_last = true;
    let reply = exchange(endpoint, bytes, is_last).await;
    let text = String::from_utf8_lossy(&reply);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| digits.parse::<u16>().ok());
    assert!(reply.is_empty() || status.is_some_and(|status| status >= 200), "{text}");
    let live = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let live = exchange(endpoint, live, false).await;
    assert!(live.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&live));
}

/// Returns all bytes that the endpoint sends on a connection with this request. If `is_last`, the
/// client then shuts down its sending side.
async fn exchange(endpoint: &Endpoint, request: &[u8], is_last: bool) -> Vec<u8> {
    let (mut client, served) = duplex(1 << 20);
    let asking = async {
        // The endpoint may close the connection before it has read everything.
        let _ = client.write_all(request).await;
        if is_last {
            let _ = client.shutdown().await;
        }
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply).await;
        reply
    };
    tokio::join!(endpoint.serve(served), asking).1
}
