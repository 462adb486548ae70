//! The life of one node: from its directory to a signal, with a page to look at if there is to be
//! one.

use std::convert::Infallible;
use std::net::SocketAddr;

use quorate::http::{Endpoint, Serves};
use quorate::machine::StateMachine;
use quorate::runtime::{Client, ClientConfig, Handle, Server, ServerConfig};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::common::exit::{Done, Exit, Trouble};

/// Runs the node until SIGTERM or Ctrl-C ends it in good order, or it cannot go on. At SIGHUP,
/// where there is one, it reads its certificates anew.
pub(super) async fn live(
    config: ServerConfig,
    machine: impl StateMachine + Send + 'static,
    ui: Option<SocketAddr>,
) -> Done {
    let id = config.replica.raft.id;
    let others = ui.and_then(|_| Client::new(ClientConfig::of_node(&config)).ok());
    let mut server = Server::start(config, machine).await.map_err(Trouble::wrong)?;
    info!(%id, address = %server.address(), "serving; Ctrl-C ends the node in good order");
    let _page = match ui {
        Some(address) => page(address, &server.handle(), others.clone()).await?,
        None => JoinSet::new(),
    };
    let _hangups = at_hangup(server.handle(), others);
    let failed = |failure| Trouble::new(Exit::Failed, failure);
    tokio::select! {
        ended = server.ended() => return ended.map(|()| Exit::Done).map_err(failed),
        () = signal() => info!("shutting down"),
    }
    server.shutdown().await.map(|()| Exit::Done).map_err(failed)
}

/// Serves the page until what is returned is dropped.
async fn page(
    address: SocketAddr,
    handle: &Handle,
    others: Option<Client>,
) -> Result<JoinSet<Infallible>, Trouble> {
    let endpoint = Endpoint::bind(address, Serves::Page { others }, handle.clone()).await;
    let endpoint = endpoint
        .map_err(|why| Trouble::wrong(format!("--ui: cannot listen at {address}: {why}")))?;
    let address = endpoint.address().unwrap_or(address);
    info!("the cluster is shown at http://{address}/");
    let mut serving = JoinSet::new();
    serving.spawn(endpoint.run());
    Ok(serving)
}

/// Reads certificates anew at every SIGHUP, until what is returned is dropped.
fn at_hangup(handle: Handle, others: Option<Client>) -> JoinSet<()> {
    let mut listening = JoinSet::new();
    let reload = move || {
        handle.reload_tls()?;
        others.as_ref().map_or(Ok(()), Client::reload_tls)
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut hangup) = signal(SignalKind::hangup()) {
            listening.spawn(async move {
                while hangup.recv().await.is_some() {
                    match reload() {
                        Ok(()) => info!("certificates are read anew"),
                        Err(error) => warn!(%error, "certificates stay what they were"),
                    }
                }
            });
        }
    }
    #[cfg(not(unix))]
    drop(reload);
    listening
}

/// Waits for SIGTERM, where there is such a thing, or Ctrl-C.
pub(super) async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    // Where it cannot be heard it ends the process by itself.
    let _ = tokio::signal::ctrl_c().await;
}
