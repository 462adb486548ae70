//! What a node tells a browser and a Prometheus server, over a small HTTP server that trusts
//! nobody: one request a connection, little time for it, and nothing that anybody could change.
//!
//! ```no_run
//! use quorate::http::{Endpoint, Serves};
//! use quorate::runtime::{Client, ClientConfig, Server, ServerConfig};
//! # use quorate::machine::StateMachine;
//!
//! # async fn run(config: ServerConfig, machine: impl StateMachine + Send + 'static)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let others = Client::new(ClientConfig::of_node(&config))?;
//! let mut server = Server::start(config, machine).await?;
//! let page = Serves::Page { others: Some(others) };
//! let endpoint = Endpoint::bind("127.0.0.1:7180".parse()?, page, server.handle()).await?;
//! tokio::spawn(endpoint.run());
//! server.ended().await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod cluster;
mod endpoint;
mod health;
mod others;
mod site;

pub use endpoint::{Endpoint, Serves};
