//! A small HTTP server for the status page, for health checks and for a Prometheus server. It
//! serves one request per connection, within a time limit, and no request changes anything.
//!
//! ```no_run
//! use quorate::http::{Endpoint, EndpointContent};
//! use quorate::runtime::{Client, ClientConfig, Server, ServerConfig};
//! # use quorate::machine::StateMachine;
//!
//! # async fn run(config: ServerConfig, machine: impl StateMachine + Send + 'static)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let peer_client = Client::new(ClientConfig::of_node(&config))?;
//! let mut server = Server::start(config, machine).await?;
//! let page = EndpointContent::Page { peer_client: Some(peer_client) };
//! let endpoint = Endpoint::bind("127.0.0.1:7180".parse()?, page, server.handle()).await?;
//! tokio::spawn(endpoint.run());
//! server.stopped().await?;
//! # Ok(())
//! # }
//! ```

mod cluster_view;
mod endpoint;
mod health;
mod peer_reports;
mod places;
mod routes;
mod site;

pub use endpoint::{Endpoint, EndpointContent};
