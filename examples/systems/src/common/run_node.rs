//! Runs one node until a signal ends it, with an optional status page.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};

use quorate::http::{Endpoint, EndpointContent};
use quorate::machine::StateMachine;
use quorate::runtime::{Client, ClientConfig, Handle, Server, ServerConfig, ServerError};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::common::exit::{CommandError, CommandResult, Exit};

/// Runs the node until SIGTERM or Ctrl-C shuts it down cleanly, or an error stops it. On SIGHUP, it
/// reloads its certificates.
pub(super) async fn run_node(
    config: ServerConfig,
    machine: impl StateMachine + Send + 'static,
    ui: Option<SocketAddr>,
) -> CommandResult {
    let (id, has_tls, hangups) =
        (config.replica.raft.id, config.tls.is_some(), HangupSignals::listen());
    let others = ui.map(|_| Client::new(ClientConfig::of_node(&config))).transpose();
    let others = others.map_err(CommandError::usage)?;
    // Before the start: a node whose status page cannot listen does not start.
    let listener = ui.map(page_listener).transpose()?;
    let mut server = Server::start(config, machine).await.map_err(|error| start_error(&error))?;
    info!(%id, address = %server.address(), "serving; Ctrl-C shuts the node down");
    let mut page = match listener {
        Some(listener) => page(listener, server.handle(), others.clone())?,
        None => JoinSet::new(),
    };
    let mut reloads = hangups.each(reload(has_tls, server.handle(), others));
    let failed = |failure| CommandError::new(Exit::NodeFailed, failure);
    tokio::select! {
        ended = server.stopped() => return ended.map(|()| Exit::Success).map_err(failed),
        () = signal() => info!("shutting down"),
        never = log_panics(&mut page, "the status page") => match never {},
        never = log_panics(&mut reloads, "the reload of certificates at SIGHUP") => match never {},
    }
    server.shutdown().await.map(|()| Exit::Success).map_err(failed)
}

/// Logs each task of the set that panics, and never returns.
async fn log_panics<T: 'static>(tasks: &mut JoinSet<T>, name: &str) -> Infallible {
    while let Some(ended) = tasks.join_next().await {
        if let Err(failure) = ended {
            error!(%failure, "{name} has stopped; the node runs without it until its restart");
        }
    }
    std::future::pending().await
}

/// Returns the error of a node that does not start; its exit code says whether a later start may
/// succeed.
fn start_error(error: &ServerError) -> CommandError {
    let exit = if error.is_transient() { Exit::Unavailable } else { Exit::Usage };
    CommandError::new(exit, error)
}

fn page_listener(address: SocketAddr) -> CommandResult<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let error = start_error(&ServerError::Listen(address, error));
        CommandError { text: format!("--ui: {}", error.text), ..error }
    })
}

/// Serves the status page until the returned set is dropped.
fn page(
    listener: TcpListener,
    handle: Handle,
    others: Option<Client>,
) -> CommandResult<JoinSet<Infallible>> {
    let failed = |error| CommandError::usage(format!("--ui: cannot listen: {error}"));
    let content = EndpointContent::Page { peer_client: others };
    let endpoint = Endpoint::with_listener(listener, content, handle).map_err(failed)?;
    info!("status page at http://{}/", endpoint.address().map_err(failed)?);
    let mut serving = JoinSet::new();
    serving.spawn(endpoint.run());
    Ok(serving)
}

/// Returns the function that reloads the certificates, if there are any.
fn reload(has_tls: bool, handle: Handle, others: Option<Client>) -> impl Fn() + Send + 'static {
    move || match handle.reload_tls() {
        Ok(()) if !has_tls => info!("no certificates to reload"),
        Ok(()) => {
            info!("certificates reloaded");
            if let Some(Err(error)) = others.as_ref().map(Client::reload_tls) {
                warn!(%error, "the status page keeps its old certificate for other nodes");
            }
        }
        Err(error) => warn!(%error, "cannot reload certificates; the old ones stay in use"),
    }
}

/// The SIGHUP signals of the process, on Unix. Once this exists, SIGHUP no longer ends the process.
struct HangupSignals(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl HangupSignals {
    #[cfg(unix)]
    fn listen() -> HangupSignals {
        use tokio::signal::unix::{SignalKind, signal};
        HangupSignals(signal(SignalKind::hangup()).ok())
    }

    #[cfg(not(unix))]
    fn listen() -> HangupSignals {
        HangupSignals()
    }

    /// Calls `work` on each signal, until the returned set is dropped.
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

/// Waits for SIGTERM (on Unix) or Ctrl-C.
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
    // If no handler can be installed, Ctrl-C ends the process.
    let _ = tokio::signal::ctrl_c().await;
}
