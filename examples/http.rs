//! HTTP in front of a replicated map: with the three processes of `examples/kv.rs` running,
//! `cargo run --features tokio --example http`, and then `curl -X PUT localhost:8080/name -d value`
//! and `curl localhost:8080/name`. Run as many of these as you like: they keep nothing.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use quorate::runtime::{Client, ClientConfig, ClientError};
use quorate::storage::ClusterId;
use quorate::types::ReadLevel;

type Answer = Result<Vec<u8>, (StatusCode, String)>;

/// Puts a value, once, and answers with the one before.
async fn put(State(map): State<Client>, Path(name): Path<String>, value: String) -> Answer {
    let before = map.propose(format!("{name}={value}").as_bytes()).await.map_err(refusal)?;
    Ok(before.to_vec())
}

/// Gets the value that was put last, by whomever.
async fn value(State(map): State<Client>, Path(name): Path<String>) -> Answer {
    let read = map.read(ReadLevel::Linearizable, name.as_bytes()).await.map_err(refusal)?;
    Ok(read.answer)
}

/// Whether it is worth trying again is the first thing that a caller has to know.
fn refusal(error: ClientError) -> (StatusCode, String) {
    let status = match error {
        ClientError::NotProposed(_) => StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Unknown(_) => StatusCode::GATEWAY_TIMEOUT,
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
