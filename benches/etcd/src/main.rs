//! Throughput and latency of a replicated map, quorate's and etcd's, by one load generator on both:
//! three processes each on loopback and on one disk, both synchronous, every client with one
//! request outstanding, rounds of both in turn. While one is measured, the other's processes are
//! stopped: even without requests etcd's take a sixth of two processors for a while.

mod cluster;
mod etcd;
mod load;
mod node;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Etcd, Quorate};
use crate::load::{Kind, Load};
use crate::table::Table;

/// Compares quorate with etcd
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    /// How many clients there are, each with one request outstanding
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    clients: Vec<usize>,
    /// How many connections the clients share, at most; each has its own if this is not said
    #[arg(long)]
    connections: Option<usize>,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is repeated; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a value is, in bytes
    #[arg(long, default_value_t = 128)]
    value_bytes: usize,
    /// Where both keep their data; one disk for both
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// How long quorate's nodes look out for what comes next before they sleep, in microseconds
    #[arg(long, default_value_t = 0)]
    poll_micros: u64,
    /// TLS between all of quorate's processes; etcd's stay in the clear
    #[arg(long)]
    tls: bool,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Runs a node of quorate's; the benchmark starts these itself
    #[command(hide = true)]
    Node(node::NodeArgs),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse();
    // One thread for all sockets is woken least, of a node's as of the clients'.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match args.order.take() {
        Some(Order::Node(node)) => runtime.block_on(node::run(node)),
        None => runtime.block_on(compare(args)),
    }
}

/// Ends with the measurements, or with a signal: then every process that was started ends, too.
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
