//! CPU time, instructions, allocations and messages of one committed entry, for quorate's core, the
//! cores of other libraries, and a floor. Every system runs its nodes in memory, on one thread,
//! with a network and disks that take no time. All systems are measured alternately.

mod floor;
mod omnipaxos;
mod quorate;
mod raft_rs;
mod valgrind;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use clap::{Parser, ValueEnum};

/// The payload of every command.
const BYTES: [u8; 128] = [7; 128];

/// A cluster of one system that commits commands.
trait Cluster {
    /// Proposes `batch` commands at once to the leader, and returns once the leader and every
    /// follower know that they are committed and have passed them to the state machine. The floor
    /// has no state machine, and only its leader knows the commit index.
    fn commit(&mut self, batch: usize);

    /// The number of messages sent since the start.
    fn messages(&self) -> u64;
}

/// A system under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum System {
    Quorate,
    Omnipaxos,
    RaftRs,
    /// The same copies and counts without a protocol.
    Floor,
}

impl System {
    const ALL: [System; 4] = [System::Quorate, System::Omnipaxos, System::RaftRs, System::Floor];

    fn name(self) -> &'static str {
        match self {
            System::Quorate => "quorate",
            System::Omnipaxos => "omnipaxos",
            System::RaftRs => "raft-rs",
            System::Floor => "floor",
        }
    }

    fn start(self, nodes: usize) -> Box<dyn Cluster> {
        match self {
            System::Quorate => Box::new(quorate::Nodes::start(nodes)),
            System::Omnipaxos => Box::new(omnipaxos::Nodes::start(nodes)),
            System::RaftRs => Box::new(raft_rs::Nodes::start(nodes)),
            System::Floor => Box::new(floor::Nodes::start(nodes)),
        }
    }
}

/// The loads: name, commands proposed at a time, and entries measured.
const LOADS: [(&str, usize, usize); 3] = [
    ("one at a time", 1, 50_000),
    ("batches of 64", 64, 320_000),
    ("1,000 at a time", 1_000, 320_000),
];

fn positive() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

#[derive(Parser)]
#[command(about = "The cores of consensus libraries, measured side by side")]
struct Args {
    /// The number of rounds; each time is the median of all rounds.
    #[arg(long, default_value_t = 11, value_parser = positive())]
    rounds: usize,
    /// Leaves out instructions and allocations, which need valgrind.
    #[arg(long)]
    times_only: bool,
    /// Measures this system alone, once, and prints one line: nanoseconds and messages per entry.
    #[arg(long)]
    system: Option<System>,
    /// The number of nodes of that system.
    #[arg(long, default_value_t = 3, value_parser = positive())]
    nodes: usize,
    /// The number of commands proposed to that system at a time.
    #[arg(long, default_value_t = 1, value_parser = positive())]
    batch: usize,
    /// The number of entries measured on that system.
    #[arg(long, default_value_t = 20_000, value_parser = positive())]
    entries: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(system) = args.system {
        let cost = measure(system, args.nodes, args.batch, args.entries);
        println!("{} ns, {:.2} messages", cost.nanos, cost.messages);
        return ExitCode::SUCCESS;
    }
    let valgrind = !args.times_only && valgrind::is_installed();
    if !args.times_only && !valgrind {
        eprintln!("valgrind is not installed: no instructions, no allocations");
    }
    println!("One committed entry of {} bytes, medians of {} rounds\n", BYTES.len(), args.rounds);
    println!("| nodes, load | system | ns | instructions | allocations | messages |");
    println!("|---|---|---:|---:|---:|---:|");
    for nodes in [3, 5] {
        for (load, batch, entries) in LOADS {
            let mut costs = System::ALL.map(|_| Vec::new());
            for _ in 0..args.rounds {
                for (system, costs) in System::ALL.into_iter().zip(&mut costs) {
                    costs.push(measure(system, nodes, batch, entries));
                }
            }
            for (system, costs) in System::ALL.into_iter().zip(&mut costs) {
                costs.sort_unstable_by_key(|cost| cost.nanos);
                let Cost { nanos, messages } = costs[costs.len() / 2];
                let counts = if valgrind { valgrind::count(system, nodes, batch) } else { None };
                let counts = counts.map_or(String::from("- | -"), |counts| {
                    format!("{:.0} | {:.1}", counts.instructions, counts.allocations)
                });
                let name = system.name();
                println!("| {nodes}, {load} | {name} | {nanos} | {counts} | {messages:.2} |");
            }
        }
    }
    ExitCode::SUCCESS
}

/// The cost of one entry.
#[derive(Clone, Copy, Debug)]
struct Cost {
    nanos: u128,
    messages: f64,
}

/// Commits a quarter of `entries` to warm up, then `entries`, and returns the cost of one of these.
fn measure(system: System, nodes: usize, batch: usize, entries: usize) -> Cost {
    let mut cluster = system.start(nodes);
    let batches = entries.div_ceil(batch);
    for _ in 0..batches / 4 {
        cluster.commit(batch);
    }
    let (start, sent) = (cpu_time(), cluster.messages());
    for _ in 0..batches {
        cluster.commit(batch);
    }
    let (end, committed) = (cpu_time(), batches * batch);
    let nanos = (end - start).as_nanos() / committed as u128;
    Cost { nanos, messages: (cluster.messages() - sent) as f64 / committed as f64 }
}

/// The CPU time of this thread, or the elapsed time where the system does not report it.
fn cpu_time() -> Duration {
    // The kernel updates its accounting at a context switch.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = account.and_then(|account| account.split(' ').next()?.parse().ok());
    nanos.filter(|nanos| *nanos > 0).map_or_else(wall_time, Duration::from_nanos)
}

fn wall_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
