//! HTTP in front of a replicated map. While the three processes of `examples/kv.rs` run, run
//! `cargo run --features tokio --example http`, and then `curl -X PUT localhost:8080/name -d value`
//! and `curl localhost:8080/name`. Any number of these servers can run, because they keep no state.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use quorate::runtime::{Client, ClientConfig, ClientError};
use quorate::storage::ClusterId;
use quorate::types::ReadLevel;

type Answer = Result<Vec<u8>, (StatusCode, String)>;

/// Puts a value exactly once, and responds with the previous value. A command is `name=value`.
async fn put(State(map): State<Client>, Path(name): Path<String>, value: String) -> Answer {
    if name.contains('=') {
        return Err((StatusCode::BAD_REQUEST, "a name has no `=`".to_owned()));
    }
    let before = map.propose(format!("{name}={value}").as_bytes()).await.map_err(error_response)?;
    Ok(before.to_vec())
}

/// Responds with the value of the most recent put by any client.
async fn value(State(map): State<Client>, Path(name): Path<String>) -> Answer {
    let read = map.read(ReadLevel::Linearizable, name.as_bytes()).await.map_err(error_response)?;
    Ok(read.answer)
}

/// Maps an error to a status code that says whether the caller may safely retry.
fn error_response(error: ClientError) -> (StatusCode, String) {
    let status = match error {
        ClientError::NotExecuted(_) => StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Unknown(_) => StatusCode::GATEWAY_TIMEOUT,
        ClientError::Mismatch { .. } => StatusCode::BAD_GATEWAY,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nodes = ["localhost:7001", "localhost:7002", "localhost:7003"];
    let client = Client::new(ClientConfig::new(ClusterId(0x6b76), nodes))?;
    let routes = Router::new().route("/{name}", get(value).put(put)).with_state(client);
    let listener = tokio::net::TcpListener::bind("localhost:8080").await?;
    println!("listening at {}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}
