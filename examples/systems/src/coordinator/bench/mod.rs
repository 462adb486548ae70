//! `coordinator bench`: what a read costs at each node, answered by itself or through the
//! coordinator, beside a request to the same node that does nothing.

mod measured;
mod readers;
mod table;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::nodes::{Nodes, ended_by_signal};
use crate::coordinator::SYSTEM;
use crate::coordinator::bench::measured::{Load, Measured};
use crate::coordinator::bench::readers::Readers;
use crate::coordinator::bench::writer::Writer;

/// What `bench` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  coordinator bench
  coordinator bench --rounds 100 --out small

Nodes are processes of this machine, on loopback addresses of their own, in a temporary directory;
they end with the command, however it ends. DIR/table.md and DIR/table.json are written.")]
pub struct Flags {
    /// How often each request is measured at each node, beside each load
    #[arg(long, value_name = "N", default_value = "3000",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    rounds: u64,
    /// How many nodes there are
    #[arg(long, value_name = "N", default_value = "3",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=9))]
    size: u64,
    /// Where the table goes; made if it is missing
    #[arg(long, value_name = "DIR", default_value = "coordinator-bench")]
    out: PathBuf,
    /// Where the nodes' directories are made, and removed: on the disk that writes are to meet
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Measures, writes the table, and prints it.
///
/// # Errors
/// A file cannot be written, a node does not start, or something asked is not answered.
pub fn run(flags: &Flags) -> Done {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Trouble::wrong(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&flags.out).map_err(|error| failed(&flags.out, &error))?;
    let stop = ended_by_signal()?;
    let measured = measure(flags, &stop)?;
    let text = table::text(&measured, flags.rounds);
    for (name, text) in [("table.md", &text), ("table.json", &table::json(&measured))] {
        let path = flags.out.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    print!("{text}");
    eprintln!("written: table.md and table.json in {}", flags.out.display());
    Ok(Exit::Done)
}

/// One cluster, beside each load in turn.
fn measure(flags: &Flags, stop: &AtomicBool) -> Result<Vec<Measured>, Trouble> {
    let nodes = Nodes::start(SYSTEM, flags.size, &[], flags.scratch.as_deref())?;
    let readers = Readers::connect(&nodes)?;
    let mut all = Vec::new();
    for load in Load::ALL {
        let writer = Writer::start(load, &nodes)?;
        let measured = readers.measure(load, flags.rounds, || stop.load(Ordering::Relaxed));
        // It ends in any case: a node that fails is told of by whoever saw it first.
        let writes = writer.end();
        all.push(Measured { writes: writes?, ..measured? });
    }
    Ok(all)
}
