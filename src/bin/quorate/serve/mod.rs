//! `quorate serve`: runs one node until a signal or an error stops it.

mod new_cluster;
mod server_config;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use clap::{ArgMatches, Args};
use quorate::http::{Endpoint, EndpointContent};
use quorate::replica::OpenError;
use quorate::runtime::{AUDIT_TARGET, Client, ClientConfig, Handle, Server, ServerError};
use quorate::storage;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tracing::{error, info, level_filters::LevelFilter, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::exit::{CommandError, CommandResult, Exit};
use crate::kv::Store;
use crate::serve::server_config::NodePlan;
use crate::service_manager;
use crate::service_output::{self, LogWriter, OutputStream};
use crate::settings::{Level, Settings, Sources};
use crate::signals;
use crate::values::ListenAddress;

/// The flags of `serve`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeFlags {
    /// Configuration file in TOML, with the flags' names as keys; flags and environment variables
    /// override it
    #[arg(long, env = "QUORATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  Bootstrap a new cluster of three nodes, here its first one:
    quorate serve --id 1 --data-dir d1 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  Start a node that waits to be added by `quorate members add 4=127.0.0.1:7104`:
    quorate serve --id 4 --data-dir d4 --listen 127.0.0.1:7104 \\
      --join 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  Restart a node; its data directory holds its id, its cluster and the members:
    quorate serve --data-dir d1
  With a file that has `id = 1`, `data-dir = \"d1\"`, `members = [\"1=127.0.0.1:7101\", …]`:
    quorate serve --config quorate.toml

On SIGTERM or Ctrl-C a leader transfers its leadership, and the node shuts down cleanly. A second
signal ends the process at once, without loss of acknowledged data. While the node is starting, the
first signal ends it at once, with exit code 0. On SIGHUP the node reloads its
certificates.";

/// Runs the node; `matches` distinguishes the flags of the command line from variables of the
/// environment.
pub(crate) fn run(flags: Box<ServeFlags>, matches: &ArgMatches, json: bool) -> CommandResult {
    let settings = flags.settings.without_overridden_variables(matches);
    let (settings, sources) = settings.with_file(flags.config.as_deref())?;
    let _flush_at_end = service_output::start().map_err(no_threads)?;
    log_to_stderr(settings.log.unwrap_or_default());
    let done = run_node(&settings, &sources);
    Ok(done.unwrap_or_else(|error| {
        service_output::print(OutputStream::Error, &error.line(json));
        error.exit
    }))
}

fn run_node(settings: &Settings, sources: &Sources) -> CommandResult {
    let plan = server_config::node_plan(settings, sources)?;
    // Without certificates the driver and the connections share one thread: then a request that
    // passes between them wakes no thread, and requests that arrive together are handled together.
    // With certificates the runtime has several threads, because the computation of a handshake
    // must not delay the driver. With busy polling it always has one, because a busy-polling thread
    // would keep waking the others.
    let has_threads = plan.config.tls.is_some() && plan.config.busy_poll_max.is_zero();
    let runtime = match has_threads {
        true => Runtime::new(),
        false => Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(no_threads)?;
    let done = runtime.block_on(serve(plan, settings, sources));
    // The process ends without waiting for look-ups of host names.
    runtime.shutdown_background();
    done
}

fn no_threads(error: io::Error) -> CommandError {
    CommandError::invalid_input(format!("cannot start threads: {error}")).into_transient()
}

async fn serve(plan: NodePlan, settings: &Settings, sources: &Sources) -> CommandResult {
    let signals = signals::Signals::listen().map_err(|error| {
        CommandError::invalid_input(format!("cannot listen for signals: {error}"))
    })?;
    let hangups = signals::Hangups::listen();
    let NodePlan { mut config, ask_for_cluster } = plan;
    let (id, uses_tls) = (config.replica.raft.id, config.tls.is_some());
    // Before the start: a node whose endpoints cannot listen does not start.
    let listeners = endpoint_listeners(settings, sources)?;
    let starting = begin_start(&listeners)?;
    if !ask_for_cluster.is_empty() {
        config.cluster = new_cluster::ask_for_cluster(&ask_for_cluster, settings, sources).await?;
    }
    let cluster = config.cluster;
    let client = settings.ui.map(|_| Client::new(ClientConfig::of_node(&config))).transpose();
    let client = client.map_err(CommandError::invalid_input)?;
    let directory = config.directory.clone();
    // This opens the node's storage, which blocks the thread.
    let server = Server::start(config, Store::default()).await;
    starting.end().await;
    let mut server = server.map_err(|error| match error {
        ServerError::Open(OpenError::Storage(storage::OpenError::Failed(damage))) => {
            server_config::damaged(&directory, &damage)
        }
        ServerError::Open(OpenError::Storage(error @ storage::OpenError::NoSuperblock(_))) => {
            CommandError::invalid_input(format!("{}: {error}", directory.display()))
        }
        ServerError::OpenFiles { needed, limit } => {
            let text = format!(
                "the node may need {needed} open files, but this process may open {limit}: raise \
                 the limit (ulimit -Hn, or LimitNOFILE of the service) to {needed}, or lower \
                 --connections-max"
            );
            sources.error("connections_max", text)
        }
        error if error.is_transient() => CommandError::invalid_input(error).into_transient(),
        error => CommandError::invalid_input(error),
    })?;
    let listening = format!("{id} of cluster {cluster} is listening on {}", server.address());
    service_output::print(OutputStream::Standard, &listening);
    let mut endpoints = endpoints(listeners, &server.handle(), client.as_ref(), sources)?;
    // A node is ready without a leader: the others may wait for this one to start.
    service_manager::notify(&format!("READY=1\nSTATUS={listening}"));
    let handle = server.handle();
    let reloads = hangups.spawn_reloads(move || match handle.reload_tls() {
        Ok(()) if !uses_tls => info!("SIGHUP ignored: the node uses no certificates"),
        Ok(()) => {
            info!("certificates reloaded");
            if let Some(Err(error)) = client.as_ref().map(Client::reload_tls) {
                warn!(%error, "the status page keeps its old certificate");
            }
        }
        Err(error) => warn!(%error, "certificates not reloaded; the old ones stay in use"),
    });
    let mut reloads = reloads.map_err(no_threads)?;
    let signal = signals.wait();
    let failed = |failure| CommandError::new(Exit::NodeStopped, failure);
    tokio::select! {
        ended = server.stopped() => return ended.map(|()| Exit::Done).map_err(failed),
        signal = signal => info!(signal, "shutting down"),
        never = log_panics(&mut endpoints, "an HTTP endpoint") => match never {},
        never = log_panics(&mut reloads, "the reload of certificates at SIGHUP") => match never {},
    }
    service_manager::notify("STOPPING=1");
    server.shutdown().await.map(|()| Exit::Done).map_err(failed)
}

/// Begins the start of the node. Until [`signals::Starting::end`], a signal ends the process at
/// once, without loss of acknowledged data, and the HTTP endpoints reply that the node is starting.
fn begin_start(listeners: &[EndpointListener]) -> CommandResult<signals::Starting> {
    let mut starting = signals::Starting::listen().map_err(|error| {
        CommandError::invalid_input(format!("cannot listen for signals: {error}"))
    })?;
    for (_, listener) in listeners {
        let Ok(listener) = listener.try_clone() else { continue };
        starting.spawn_until_started(async move {
            // An error is reported when the node serves the endpoint.
            let _ = Endpoint::run_before_start(listener).await;
        });
    }
    Ok(starting)
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

/// The setting of an HTTP endpoint, and its listener.
type EndpointListener = (&'static str, TcpListener);

/// Listens at the addresses of the HTTP endpoints.
fn endpoint_listeners(
    settings: &Settings,
    sources: &Sources,
) -> CommandResult<Vec<EndpointListener>> {
    let mut listeners = Vec::new();
    for (field, address) in [("metrics", settings.metrics), ("ui", settings.ui)] {
        let Some(ListenAddress(address)) = address else { continue };
        let listener = TcpListener::bind(address).map_err(|error| {
            let error = ServerError::Listen(address, error);
            let named = sources.error(field, &error);
            if error.is_transient() { named.into_transient() } else { named }
        })?;
        listeners.push((field, listener));
    }
    Ok(listeners)
}

/// Serves the HTTP endpoints until the returned set is dropped.
fn endpoints(
    listeners: Vec<EndpointListener>,
    handle: &Handle,
    peer_client: Option<&Client>,
    sources: &Sources,
) -> CommandResult<JoinSet<Infallible>> {
    let mut running = JoinSet::new();
    for (field, listener) in listeners {
        let content = match field {
            "ui" => EndpointContent::Page { peer_client: peer_client.cloned() },
            _ => EndpointContent::Metrics,
        };
        let failed = |error| sources.error(field, format!("cannot listen: {error}"));
        let endpoint =
            Endpoint::with_listener(listener, content, handle.clone()).map_err(failed)?;
        let address = endpoint.address().map_err(failed)?;
        let text = format!("{field} at http://{address}/");
        service_output::print(OutputStream::Standard, &text);
        running.spawn(endpoint.run());
    }
    Ok(running)
}

/// Writes log lines to standard error, those of the audit log at any level.
fn log_to_stderr(level: Level) {
    let shown =
        Targets::new().with_default(filter(level)).with_target(AUDIT_TARGET, LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogWriter);
    tracing_subscriber::registry().with(lines.with_filter(shown)).init();
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}
