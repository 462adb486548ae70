//! `quorate bench`: clients with one command at a time each, and how long they wait.

mod measured;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use quorate::runtime::Client;
use quorate::types::ReadLevel;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::bench::measured::Measured;
use crate::client::ClientFlags;
use crate::exit::{Exit, Trouble};
use crate::keys::propose;
use crate::kv::{Command, Query};
use crate::output::print;
use crate::values::{Bytes, Span};

/// What `bench` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate bench
  quorate bench --clients 64 --time 30s --size 1KiB --reads 90

It writes keys that begin with `bench/`, which stay. Every write is on the disks of a quorum before
it is answered, and every read is linearizable.")]
pub(crate) struct BenchFlags {
    /// How many clients, each with a connection of its own and one command at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: u32,
    /// For how long
    #[arg(long, value_name = "TIME", default_value = "10s")]
    time: Span,
    /// The size of a value
    #[arg(long, value_name = "SIZE", default_value = "100")]
    size: Bytes,
    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 1000)]
    keys: u32,
    /// How many of a hundred commands read
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=100))]
    reads: u32,
    #[command(flatten)]
    client: ClientFlags,
}

/// The largest value: a command has a bound.
const SIZE_MAX: u64 = 512 << 10;

pub(crate) fn run(flags: &BenchFlags, json: bool) -> Result<Exit, Trouble> {
    if flags.size.0 > SIZE_MAX || flags.clients == 0 || flags.keys == 0 {
        return Err(Trouble::wrong(
            "--size is 512KiB at most, and --clients and --keys are from 1",
        ));
    }
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
    let measured = runtime.block_on(load(flags))?;
    print(&if json { measured.json().to_string() } else { measured.text() })?;
    Ok(if measured.is_empty() { Exit::Unreached } else { Exit::Done })
}

/// Runs every client until the time is over; whoever then waits for an answer still gets it.
async fn load(flags: &BenchFlags) -> Result<Measured, Trouble> {
    let over = Arc::new(AtomicBool::new(false));
    let total = Arc::new(Measured::default());
    let mut clients = JoinSet::new();
    for number in 0..flags.clients {
        let client = flags.client.client()?;
        let (flags, over, total) = (flags.clone(), Arc::clone(&over), Arc::clone(&total));
        clients.spawn(async move { work(&client, number, &flags, &over, &total).await });
    }
    let started = Instant::now();
    let progress = async {
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            if stderr().is_terminal() {
                eprint!("\r{:>4} s  {}   ", started.elapsed().as_secs(), total.progress());
            }
        }
    };
    tokio::select! {
        () = sleep(flags.time.0) => {}
        () = progress => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    total.took(started.elapsed());
    over.store(true, Ordering::Relaxed);
    while clients.join_next().await.is_some() {}
    if stderr().is_terminal() {
        eprintln!();
    }
    Ok(Arc::into_inner(total).expect("every client has ended"))
}

/// One client: the next command once the last is answered.
async fn work(
    client: &Client,
    number: u32,
    flags: &BenchFlags,
    over: &AtomicBool,
    total: &Measured,
) {
    let size = usize::try_from(flags.size.0).unwrap_or_default();
    let value = vec![b'v'; size];
    // Every client begins somewhere else, and goes through all keys.
    let mut turn = number.wrapping_mul(7919);
    while !over.load(Ordering::Relaxed) {
        turn = turn.wrapping_add(1);
        let key = format!("bench/{:08}", turn % flags.keys);
        // Spread over the hundred, and not the same keys in each round of them.
        let reads = turn.wrapping_mul(37).wrapping_add(turn / flags.keys) % 100 < flags.reads;
        let started = Instant::now();
        let done = if reads {
            let query = Query::Get { key: key.as_bytes() }.encode();
            client.read(ReadLevel::Linearizable, &query).await.map(drop).map_err(Trouble::from)
        } else {
            let command = Command::Put { key: key.as_bytes(), value: &value };
            propose(client, command).await.map(drop)
        };
        total.add(reads, started.elapsed(), done.as_ref().err());
    }
}
