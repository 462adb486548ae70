//! `orders bench`: what the size of a cluster costs, with batching and without, on this machine.

mod cpu;
mod load;
mod measured;
mod plot;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::nodes::{Nodes, ended_by_signal};
use crate::orders::SYSTEM;
use crate::orders::bench::load::Load;
use crate::orders::bench::measured::{Measured, Setup};
use crate::orders::machine::ORDERS_MAX;

/// What `bench` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  orders bench
  orders bench --orders 400 --sizes 1,3 --repetitions 1 --out small

Nodes are processes of this machine, on loopback addresses of their own, in a temporary directory;
they end with the command, however it ends. DIR/table.md, DIR/table.json and DIR/plot.svg are
written.")]
pub struct Flags {
    /// How many orders each cluster is given, by all clients together
    #[arg(long, value_name = "N", default_value = "40000",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=ORDERS_MAX as u64))]
    orders: u64,
    /// How many nodes the clusters have
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,3,5,7",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=9))]
    sizes: Vec<u64>,
    /// How often each is measured, each time by a new cluster
    #[arg(long, value_name = "N", default_value = "3",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=100))]
    repetitions: u64,
    /// How many clients, each a thread with a connection of its own and one order at a time
    #[arg(long, value_name = "N", default_value = "4",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=64))]
    threads: u64,
    /// Where the table and the plot go; made if it is missing
    #[arg(long, value_name = "DIR", default_value = "orders-bench")]
    out: PathBuf,
    /// Where the nodes' directories are made, and removed: on the disk that is to be measured
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Measures every size, writes the table and the plot, and prints the table.
///
/// # Errors
/// A file cannot be written, a node does not start or ends, an order is not placed, or the maps of
/// the nodes differ at the end.
pub fn run(flags: &Flags) -> Done {
    let out = |name: &str| flags.out.join(name);
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Trouble::wrong(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&flags.out).map_err(|error| failed(&flags.out, &error))?;
    let stop = ended_by_signal()?;
    let measured = measure(flags, &stop)?;
    let text = table::text(&measured, flags.orders, flags.threads);
    for (name, text) in [("table.md", &text), ("table.json", &table::json(&measured))] {
        fs::write(out(name), text).map_err(|error| failed(&out(name), &error))?;
    }
    let plot = out("plot.svg");
    plot::write(&plot, &measured).map_err(|error| failed(&plot, &error))?;
    print!("{text}");
    eprintln!("written: table.md, table.json and plot.svg in {}", flags.out.display());
    Ok(Exit::Done)
}

/// Every cluster in turn, and all of them again: what else the machine does meets all of them.
fn measure(flags: &Flags, stop: &AtomicBool) -> Result<Vec<Measured>, Trouble> {
    let setups = flags
        .sizes
        .iter()
        .flat_map(|nodes| [true, false].map(|batching| Setup { nodes: *nodes, batching }));
    let mut measured: Vec<Measured> = setups.map(Measured::new).collect();
    for repetition in 1..=flags.repetitions {
        for measured in &mut measured {
            let setup = measured.setup;
            let name = format!("{setup}, {repetition} of {}", flags.repetitions);
            let one_by_one = if setup.batching { &[][..] } else { &["--one-by-one"] };
            let scratch = flags.scratch.as_deref();
            let nodes = Nodes::start(SYSTEM, setup.nodes, one_by_one, scratch)?;
            let load = Load { orders: flags.orders, threads: flags.threads, name: &name, stop };
            let run = load.run(&nodes, &mut measured.latencies)?;
            eprintln!("{name}: {:.0} orders a second", run.per_second());
            measured.runs.push(run);
        }
    }
    Ok(measured)
}
