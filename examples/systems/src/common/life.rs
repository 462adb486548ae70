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
    let (id, safe, hangups) = (config.replica.raft.id, config.tls.is_some(), Hangups::listen());
    let others = ui.map(|_| Client::new(ClientConfig::of_node(&config))).transpose();
    let others = others.map_err(Trouble::wrong)?;
    let mut server = Server::start(config, machine).await.map_err(Trouble::wrong)?;
    info!(%id, address = %server.address(), "serving; Ctrl-C ends the node in good order");
    let _page = match ui {
        Some(address) => page(address, &server.handle(), others.clone()).await?,
        None => JoinSet::new(),
    };
    let _reloads = hangups.each(reload(safe, server.handle(), others));
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

/// What reads the certificates anew, if there are any.
fn reload(safe: bool, handle: Handle, others: Option<Client>) -> impl Fn() + Send + 'static {
    move || match handle.reload_tls() {
        Ok(()) if !safe => info!("there are no certificates to read anew"),
        Ok(()) => {
            info!("certificates are read anew");
            if let Some(Err(error)) = others.as_ref().map(Client::reload_tls) {
                warn!(%error, "the page asks other nodes by the certificate it had");
            }
        }
        Err(error) => warn!(%error, "certificates stay what they were"),
    }
}

/// Hears each SIGHUP, where there is one, from when it is made: none ends the process any more.
struct Hangups(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangups {
    #[cfg(unix)]
    fn listen() -> Hangups {
        use tokio::signal::unix::{SignalKind, signal};
        Hangups(signal(SignalKind::hangup()).ok())
    }

    #[cfg(not(unix))]
    fn listen() -> Hangups {
        Hangups()
    }

    /// Does this at each, until what is returned is dropped.
    fn each(self, work: impl Fn() + Send + 'static) -> JoinSet<()> {
        let mut listening = JoinSet::new();
        #[cfg(unix)]
        if let Some(mut hangup) = self.0 {
            listening.spawn(async move {
                while hangup.recv().await.is_some() {
                    work();
                }
            });
        }
        #[cfg(not(unix))]
        drop(work);
        listening
    }
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
