//! `quorate serve`: one node, until somebody ends it or it cannot go on.

mod plan;

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Args};
use quorate::http::{Endpoint, Serves};
use quorate::runtime::{Client, ClientConfig, Handle, Server, ServerConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tracing::{info, level_filters::LevelFilter, warn};

use crate::exit::{Exit, Trouble};
use crate::kv::Store;
use crate::settings::{Level, Settings, Sources};
use crate::signals;
use crate::values::At;

/// What `serve` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeFlags {
    /// A TOML file with settings: its keys are the flags' names. Flags and variables go before it
    #[arg(long, env = "QUORATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

const AFTER_HELP: &str = "\
Examples:
  One of three nodes that found a cluster:
    quorate serve --id 1 --data-dir d1 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  A fourth one, which waits until `quorate members add 4=127.0.0.1:7104` lets it in:
    quorate serve --id 4 --data-dir d4 --listen 127.0.0.1:7104 --join 1=127.0.0.1:7101
  Any of them again: its directory knows the rest
    quorate serve --data-dir d1
  With a file that has `id = 1`, `data-dir = \"d1\"`, `members = [\"1=127.0.0.1:7101\", …]`:
    quorate serve --config quorate.toml

SIGTERM or Ctrl-C hands the leadership over and ends the node in good order; a second one ends the
process at once, which loses nothing either.";

/// `given` says which of the flags were on the command line, and which are variables.
pub(crate) fn run(flags: Box<ServeFlags>, given: &ArgMatches) -> Result<Exit, Trouble> {
    let settings = flags.settings.flags_first(given);
    let (settings, sources) = settings.with_file(flags.config.as_deref())?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(filter(settings.log.unwrap_or_default()))
        .with_target(false)
        .init();
    let config = plan::server_config(&settings, &sources)?;
    // Several threads of a runtime would wake each other all the time that one of them looks out.
    let runtime = match config.poll_max.is_zero() {
        true => Runtime::new(),
        false => Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
    runtime.block_on(serve(config, &settings, &sources))
}

async fn serve(
    config: ServerConfig,
    settings: &Settings,
    sources: &Sources,
) -> Result<Exit, Trouble> {
    let signals = signals::Signals::listen()
        .map_err(|error| Trouble::wrong(format!("cannot listen for signals: {error}")))?;
    let hangups = signals::Hangups::listen();
    let (id, cluster, safe) = (config.replica.raft.id, config.cluster, config.tls.is_some());
    let client = settings.ui.map(|_| Client::new(ClientConfig::of_node(&config))).transpose();
    let client = client.map_err(Trouble::wrong)?;
    let mut server = Server::start(config, Store::default()).await.map_err(Trouble::wrong)?;
    // Nobody has to read it.
    let _ =
        writeln!(std::io::stdout(), "{id} of cluster {cluster} listens at {}", server.address());
    let _endpoints = endpoints(&server.handle(), client.clone(), settings, sources).await?;
    let handle = server.handle();
    let _reloads = hangups.each(move || match handle.reload_tls() {
        Ok(()) if !safe => info!("there are no certificates to read anew"),
        Ok(()) => {
            info!("certificates are read anew");
            if let Some(Err(error)) = client.as_ref().map(Client::reload_tls) {
                warn!(%error, "the page asks other nodes by the certificate it had");
            }
        }
        Err(error) => warn!(%error, "certificates stay what they were"),
    });
    let signal = signals.wait();
    let failed = |failure| Trouble::new(Exit::Failed, failure);
    tokio::select! {
        ended = server.ended() => return ended.map(|()| Exit::Done).map_err(failed),
        signal = signal => info!(signal, "shutting down"),
    }
    server.shutdown().await.map(|()| Exit::Done).map_err(failed)
}

/// What the node tells over HTTP, until this is dropped.
async fn endpoints(
    handle: &Handle,
    others: Option<Client>,
    settings: &Settings,
    sources: &Sources,
) -> Result<JoinSet<Infallible>, Trouble> {
    let mut running = JoinSet::new();
    let page = Serves::Page { others };
    let wanted = [("metrics", settings.metrics, Serves::Metrics), ("ui", settings.ui, page)];
    for (field, at, serves) in wanted {
        let Some(At(address)) = at else { continue };
        let endpoint = Endpoint::bind(address, serves, handle.clone()).await;
        let endpoint = endpoint.map_err(|error| {
            sources.mistake(field, format!("cannot listen at {address}: {error}"))
        })?;
        let address = endpoint.address().unwrap_or(address);
        // Nobody has to read it.
        let _ = writeln!(std::io::stdout(), "{field} at http://{address}/");
        running.spawn(endpoint.run());
    }
    Ok(running)
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}
