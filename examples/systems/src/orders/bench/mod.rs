//! `orders bench`: measures clusters of several sizes on this machine, with and without batching.

mod cpu;
mod load;
mod measured;
mod plot;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;

use crate::common::exit::{CommandError, CommandResult, print_note};
use crate::common::local_cluster::{LocalCluster, stop_flag_on_signal};
use crate::common::number::number;
use crate::common::output::print_text;
use crate::orders::SYSTEM;
use crate::orders::bench::load::Load;
use crate::orders::bench::measured::{Setup, SetupResult};
use crate::orders::machine::ORDERS_MAX;

/// The flags of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  orders bench
  orders bench --orders 400 --sizes 1,3 --repetitions 1 --out small

The nodes are processes on loopback addresses with data in a temporary directory; they end with the
command. The results are written to DIR/table.md, DIR/table.json and DIR/plot.svg.")]
pub struct Flags {
    /// Number of orders per run, by all clients together
    #[arg(long, value_name = "N", default_value = "40000",
        value_parser = number(1..=ORDERS_MAX as u64))]
    orders: u64,
    /// Numbers of nodes in the measured clusters
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,3,5,7",
        value_parser = number(1..=9))]
    sizes: Vec<u64>,
    /// Number of runs of each setup, each with a new cluster
    #[arg(long, value_name = "N", default_value = "3",
        value_parser = number(1..=100))]
    repetitions: u64,
    /// Number of clients, each with its own thread and connection and one order at a time
    #[arg(long, value_name = "N", default_value = "4",
        value_parser = number(1..=64))]
    threads: u64,
    /// Directory of the results; created if missing
    #[arg(long, value_name = "DIR", default_value = "orders-bench")]
    out: PathBuf,
    /// Directory for temporary data; determines the disk of the nodes
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Runs the benchmark, writes the tables and the plot, and prints the Markdown table.
///
/// # Errors
/// A file cannot be written, a node does not start or exits, an order is not placed, or the maps of
/// the nodes differ at the end.
pub fn run(flags: &Flags) -> CommandResult {
    let out = |name: &str| flags.out.join(name);
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        CommandError::usage(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&flags.out).map_err(|error| failed(&flags.out, &error))?;
    let stop = stop_flag_on_signal()?;
    let measured = measure(flags, &stop)?;
    let text = table::text(&measured, flags.orders, flags.threads);
    for (name, text) in [("table.md", &text), ("table.json", &table::json(&measured))] {
        fs::write(out(name), text).map_err(|error| failed(&out(name), &error))?;
    }
    let plot = out("plot.svg");
    plot::write(&plot, &measured).map_err(|error| failed(&plot, &error))?;
    let out = flags.out.display();
    print_note(format_args!("written: table.md, table.json and plot.svg in {out}"));
    print_text(&text)
}

/// Measures all setups in turn, repeatedly, so that other load on the machine affects all of them.
fn measure(flags: &Flags, stop: &AtomicBool) -> CommandResult<Vec<SetupResult>> {
    let setups = flags
        .sizes
        .iter()
        .flat_map(|nodes| [true, false].map(|batching| Setup { nodes: *nodes, batching }));
    let mut measured: Vec<SetupResult> = setups.map(SetupResult::new).collect();
    for repetition in 1..=flags.repetitions {
        for measured in &mut measured {
            let setup = measured.setup;
            let name = format!("{setup}, {repetition} of {}", flags.repetitions);
            let one_by_one = if setup.batching { &[][..] } else { &["--one-by-one"] };
            let scratch = flags.scratch.as_deref();
            let nodes = LocalCluster::start(SYSTEM, setup.nodes, one_by_one, scratch)?;
            let load = Load { orders: flags.orders, threads: flags.threads, name: &name, stop };
            let run = load.run(&nodes, &mut measured.latencies)?;
            print_note(format_args!("{name}: {:.0} orders a second", run.per_second()));
            measured.runs.push(run);
        }
    }
    Ok(measured)
}
