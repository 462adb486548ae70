//! The command line: its orders, and what each of them takes.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::backup::BackupFlags;
use crate::bench::BenchFlags;
use crate::certs::CertsFlags;
use crate::inspect::InspectFlags;
use crate::keys::{CasFlags, DeleteFlags, GetFlags, PutFlags, ScanFlags};
use crate::lead::{SnapshotFlags, TransferFlags};
use crate::lin_kv::LinKvFlags;
use crate::members::MembersFlags;
use crate::recover::RecoverFlags;
use crate::restore::RestoreFlags;
use crate::serve::ServeFlags;
use crate::status::StatusFlags;

/// A durable, replicated key-value store on Raft.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) order: Order,
    /// Answer as JSON: one object on one line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  the answer is no: no such key, another value than expected, damage found
  2  the command line, a configuration or a file is wrong, or what was asked for cannot be printed
  3  nothing happened, because nobody could be asked, or it was interrupted: safe to try again
  4  unknown: it may have happened, or happen yet
  5  refused: nothing happened, and nothing will unless something is changed
  6  the node stopped by itself: its last words say why

Three nodes on this machine, one command in each of three terminals:
  quorate serve --id 1 --data-dir d1 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  quorate serve --id 2 --data-dir d2 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  quorate serve --id 3 --data-dir d3 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103";

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Run a node
    Serve(Box<ServeFlags>),
    /// Give a key a value
    Put(PutFlags),
    /// Print the value of a key
    Get(GetFlags),
    /// Give a key a value if it has the one expected
    Cas(CasFlags),
    /// Delete a key
    Delete(DeleteFlags),
    /// List keys and their values
    Scan(ScanFlags),
    /// Show every member of the cluster, and how far it is
    Status(StatusFlags),
    /// Change who is in the cluster
    Members(MembersFlags),
    /// Have the leader hand its leadership over
    Transfer(TransferFlags),
    /// Have a node take a snapshot now
    Snapshot(SnapshotFlags),
    /// Measure how many commands a cluster answers, and how fast
    Bench(BenchFlags),
    /// Make the certificates of nodes, clients and administrators
    Certs(CertsFlags),
    /// Show what a data directory holds, and what is damaged; changes nothing
    Inspect(InspectFlags),
    /// Make a new cluster of what is left after the loss of a quorum
    Recover(RecoverFlags),
    /// Write the last snapshot of a data directory to one file
    Backup(BackupFlags),
    /// Check a backup, and make a new cluster that begins with it
    Restore(RestoreFlags),
    /// Run a node that speaks JSON lines, for test benches of processes
    LinKv(LinKvFlags),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  quorate completions bash > /etc/bash_completion.d/quorate")]
    Completions {
        /// The shell
        shell: Shell,
    },
}
