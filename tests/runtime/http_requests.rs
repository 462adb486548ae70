//! The invariants of HTTP requests, for tests and fuzzing.

use quorate::http::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Sends the bytes as a request, and then a health check, each on a connection of its own.
pub(crate) async fn drive(endpoint: &Endpoint, bytes: &[u8]) {
    let reply = exchange(endpoint, bytes).await;
    let text = String::from_utf8_lossy(&reply);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| digits.parse::<u16>().ok());
    assert!(reply.is_empty() || status.is_some_and(|status| status >= 200), "{text}");
    let live = exchange(endpoint, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(live.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&live));
}

/// Returns all bytes that the endpoint sends on a connection with this request.
async fn exchange(endpoint: &Endpoint, request: &[u8]) -> Vec<u8> {
    let (mut client, served) = duplex(1 << 20);
    let asking = async {
        // The endpoint may close the connection before it has read everything.
        let _ = client.write_all(request).await;
        let _ = client.shutdown().await;
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply).await;
        reply
    };
    tokio::join!(endpoint.serve(served), asking).1
}
