//! Throughput and latency of a replicated map on quorate and on etcd, under one load generator:
//! three processes of each on loopback, with their data on one disk. Both systems sync writes
//! before they answer, and every client has one request outstanding. The systems are measured
//! alternately. While one is measured, the processes of the other one are paused, because etcd's
//! processes use a third of a processor for a while even without requests.

mod cluster;
mod etcd;
mod load;
mod node;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Etcd, Quorate};
use crate::load::{Kind, Load};
use crate::table::Table;

fn positive() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Compares quorate with etcd
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    /// Numbers of clients to measure, each client with one request outstanding
    #[arg(long, value_delimiter = ',', default_value = "1,64,256", value_parser = positive())]
    clients: Vec<usize>,
    /// Connections that the clients share; each client has its own if this is not given
    #[arg(long, value_parser = positive())]
    connections: Option<usize>,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of rounds; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = positive())]
    rounds: usize,
    /// Size of a value, in bytes
    #[arg(long, default_value_t = 128)]
    value_bytes: usize,
    /// Directory for the data of both, on one disk
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Polling time of quorate's threads before they sleep, in microseconds
    #[arg(long, default_value_t = 0)]
    poll_micros: u64,
    /// Use TLS between all of quorate's processes; etcd does not use TLS
    #[arg(long)]
    tls: bool,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Runs one node of quorate; the benchmark starts these itself
    #[command(hide = true)]
    Node(node::NodeArgs),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse();
    // One thread for all sockets needs the fewest wake-ups, in a node as in the clients.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match args.command.take() {
        Some(NodeCommand::Node(node)) => runtime.block_on(node::run(node)),
        None => runtime.block_on(compare(args)),
    }
}

/// Runs until the measurements end or a signal arrives; every process that was started ends then.
async fn compare(args: Args) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = measure(args) => done,
        done = tokio::signal::ctrl_c() => done.map_err(Into::into).and(Err("interrupted".into())),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn measure(args: Args) -> Result<(), Box<dyn Error>> {
    let root = tempfile::Builder::new().prefix("quorate-bench-").tempdir_in(&args.dir)?;
    let mut etcd = Etcd::start(root.path()).await?;
    etcd.pause()?;
    let mut quorate = Quorate::start(root.path(), args.tls, args.poll_micros).await?;
    quorate.pause()?;
    let span = Duration::from_secs(args.seconds);
    let mut table = Table::default();
    for round in 1..=args.rounds {
        for clients in &args.clients {
            for kind in [Kind::Put, Kind::Get] {
                eprintln!("round {round} of {}: {kind} by {clients}", args.rounds);
                let connections = args.connections.unwrap_or(*clients).clamp(1, *clients);
                let value_bytes = args.value_bytes;
                let load = Load { kind, clients: *clients, connections, span, value_bytes };
                etcd.resume().await?;
                table.add("etcd", kind, *clients, load.run(&etcd).await?);
                etcd.pause()?;
                quorate.resume().await?;
                table.add("quorate", kind, *clients, load.run(&quorate).await?);
                quorate.pause()?;
            }
        }
    }
    println!("{table}");
    Ok(())
}
