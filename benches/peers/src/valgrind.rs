//! Instructions and allocations, counted by valgrind: they do not vary with the load of the
//! machine.

use std::env;
use std::process::Command;

use crate::System;

/// The instructions and allocations of one entry.
pub struct Counts {
    pub instructions: f64,
    pub allocations: f64,
}

/// Whether `valgrind` can be run.
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Counts the instructions and allocations of one entry: the difference of two runs, one of which
/// commits more entries, so that start and election cancel out.
pub fn count(system: System, nodes: usize, batch: usize) -> Option<Counts> {
    let few = 500_usize.next_multiple_of(batch);
    let per_entry = |tool: &[&str], line: &str| {
        let total = |entries| run(tool, line, system, nodes, batch, entries);
        // Each run commits a quarter of its entries before, to warm up.
        Some((total(3 * few)? - total(few)?) / (2 * few + 2 * few / batch / 4 * batch) as f64)
    };
    Some(Counts {
        instructions: per_entry(
            &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
            "Collected :",
        )?,
        allocations: per_entry(&["--tool=memcheck", "--leak-check=no"], "total heap usage:")?,
    })
}

/// Runs this program for one system under valgrind, and returns the first number after `label`.
fn run(
    tool: &[&str],
    label: &str,
    system: System,
    nodes: usize,
    batch: usize,
    entries: usize,
) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(env::current_exe().ok()?)
        .args(["--system", &system.name()])
        .args(["--nodes", &nodes.to_string()])
        .args(["--batch", &batch.to_string()])
        .args(["--entries", &entries.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let (_, rest) = report.split_once(label)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}
