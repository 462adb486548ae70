//! `coordinator bench`: measures reads at each node, answered locally or through the coordinator,
//! and compares them with an empty request.

mod measured;
mod readers;
mod table;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use crate::common::exit::{CommandError, CommandResult, print_note};
use crate::common::local_cluster::{LocalCluster, stop_flag_on_signal};
use crate::common::number::number;
use crate::common::output::print_text;
use crate::coordinator::SYSTEM;
use crate::coordinator::bench::measured::{Load, LoadResult};
use crate::coordinator::bench::readers::Readers;
use crate::coordinator::bench::writer::Writer;

/// The flags of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  coordinator bench
  coordinator bench --rounds 100 --out small

The nodes are processes on loopback addresses with data in a temporary directory; they end with the
command. The results are written to DIR/table.md and DIR/table.json.")]
pub struct Flags {
    /// Number of measurements of each request, node and load
    #[arg(long, value_name = "N", default_value = "3000",
        value_parser = number(1..=1_000_000))]
    rounds: u64,
    /// Number of nodes in the cluster
    #[arg(long, value_name = "N", default_value = "3",
        value_parser = number(1..=9))]
    size: u64,
    /// Directory of the results; created if missing
    #[arg(long, value_name = "DIR", default_value = "coordinator-bench")]
    out: PathBuf,
    /// Directory for temporary data; determines the disk of the nodes
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Runs the benchmark, writes the tables, and prints the Markdown table.
///
/// # Errors
/// A file cannot be written, a node does not start, or a request is not answered.
pub fn run(flags: &Flags) -> CommandResult {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        CommandError::usage(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&flags.out).map_err(|error| failed(&flags.out, &error))?;
    let stop = stop_flag_on_signal()?;
    let measured = measure(flags, &stop)?;
    let text = table::text(&measured, flags.rounds);
    for (name, text) in [("table.md", &text), ("table.json", &table::json(&measured))] {
        let path = flags.out.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    print_note(format_args!("written: table.md and table.json in {}", flags.out.display()));
    print_text(&text)
}

/// Measures one cluster with each load in turn.
fn measure(flags: &Flags, stop: &AtomicBool) -> CommandResult<Vec<LoadResult>> {
    let nodes = LocalCluster::start(SYSTEM, flags.size, &[], flags.scratch.as_deref())?;
    let readers = Readers::connect(&nodes)?;
    let mut all = Vec::new();
    for load in Load::ALL {
        let writer = Writer::start(load, &nodes)?;
        let measured = readers.measure(load, flags.rounds, || stop.load(Ordering::Relaxed));
        // The writer always ends here. If both fail, its error is returned.
        let writes = writer.end();
        all.push(LoadResult { writes: writes?, ..measured? });
    }
    Ok(all)
}
