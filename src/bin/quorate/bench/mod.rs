//! `quorate bench`: a closed-loop benchmark, in which each client has one request at a time.

mod measurements;

use std::io::{IsTerminal, stderr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use quorate::runtime::Client;
use quorate::types::ReadLevel;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::bench::measurements::Measurements;
use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult};
use crate::keys::propose;
use crate::kv::{Command, Query};
use crate::output::print;
use crate::patient_write::write_to_stderr;
use crate::signals::Signals;
use crate::values::{Bytes, COUNTS, Span, number, positive_span};

/// The flags of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate bench
  quorate bench --clients 64 --time 30s --size 1KiB --reads 90

Writes keys that begin with `bench/`, and does not delete them. Every write is durable on a quorum
before it is acknowledged, and every read is linearizable.")]
pub(crate) struct BenchFlags {
    /// Number of clients, each with its own connection and one request at a time; an administrator
    /// may have only 32 connections to a node: for more clients, use the certificate of a client
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = number::<u32>(1..=65_536))]
    clients: u32,
    /// Duration of the benchmark
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_span)]
    time: Span,
    /// Size of a value
    #[arg(long, value_name = "SIZE", default_value = "100")]
    size: Bytes,
    /// Number of different keys
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = number::<u32>(COUNTS))]
    keys: u32,
    /// Percentage of reads, from 0 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = number::<u32>(0..=100))]
    reads: u32,
    #[command(flatten)]
    client: ClientFlags,
}

/// The largest size of a value, in bytes: less than the size limit of a command.
const SIZE_MAX: u64 = 512 << 10;

/// The pause of a client after a command that failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(flags: &BenchFlags, json: bool) -> CommandResult {
    if flags.size.0 > SIZE_MAX {
        let text = format!("--size is {} bytes: it must be at most 512KiB", flags.size.0);
        return Err(CommandError::invalid_input(text));
    }
    // A single thread takes the least processor time from nodes on the same machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| CommandError::invalid_input(format!("cannot start threads: {error}")))?;
    let measurements = runtime.block_on(load(flags))?;
    print(&if json { measurements.json().to_string() } else { measurements.text() })?;
    Ok(measurements.exit())
}

/// Runs every client until the time is over or a signal arrives, and waits for the pending
/// requests. A first signal during that wait drops the requests; a second signal ends the process.
async fn load(flags: &BenchFlags) -> CommandResult<Measurements> {
    let signals = Signals::listen().map_err(|error| {
        CommandError::invalid_input(format!("cannot listen for signals: {error}"))
    })?;
    let mut signal = pin!(signals.wait());
    let finished = Arc::new(AtomicBool::new(false));
    let total = Arc::new(Measurements::default());
    let mut clients = JoinSet::new();
    for number in 0..flags.clients {
        let client = flags.client.client()?;
        let (flags, finished, total) = (flags.clone(), Arc::clone(&finished), Arc::clone(&total));
        clients.spawn(async move { work(&client, number, &flags, &finished, &total).await });
    }
    let started = Instant::now();
    let progress = async {
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            if stderr().is_terminal() {
                let seconds = started.elapsed().as_secs();
                write_to_stderr(&format!("\r{seconds:>4} s  {}   ", total.progress()));
            }
        }
    };
    let is_interrupted = tokio::select! {
        () = sleep(flags.time.0) => false,
        () = progress => false,
        _ = &mut signal => true,
    };
    total.set_elapsed(started.elapsed());
    finished.store(true, Ordering::Relaxed);
    tokio::select! {
        () = all_ended(&mut clients) => {}
        _ = &mut signal, if !is_interrupted => clients.shutdown().await,
    }
    if stderr().is_terminal() {
        write_to_stderr("\n");
    }
    Ok(Arc::into_inner(total).expect("every client has ended"))
}

async fn all_ended(clients: &mut JoinSet<()>) {
    while clients.join_next().await.is_some() {}
}

/// Runs one client: sends the next request once the last one is answered.
async fn work(
    client: &Client,
    number: u32,
    flags: &BenchFlags,
    finished: &AtomicBool,
    total: &Measurements,
) {
    let size = usize::try_from(flags.size.0).unwrap_or_default();
    let value = vec![b'v'; size];
    // Every client starts at a different key, and cycles through all keys.
    let mut turn = number.wrapping_mul(7919);
    while !finished.load(Ordering::Relaxed) {
        turn = turn.wrapping_add(1);
        let key = format!("bench/{:08}", turn % flags.keys);
        // Spreads the reads over each hundred requests; each cycle reads different keys.
        let reads = turn.wrapping_mul(37).wrapping_add(turn / flags.keys) % 100 < flags.reads;
        let started = Instant::now();
        let done = if reads {
            let query = Query::Get { key: key.as_bytes() }.encode();
            client.read(ReadLevel::Linearizable, &query).await.map(drop).map_err(CommandError::from)
        } else {
            let command = Command::Put { key: key.as_bytes(), value: &value };
            propose(client, command).await.map(drop)
        };
        total.add(reads, started.elapsed(), done.as_ref().err());
        if done.is_err() {
            // Otherwise a client whose commands are rejected at once would send without a pause.
            sleep(FAILURE_PAUSE).await;
        }
    }
}
