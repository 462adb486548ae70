//! The command line: the subcommands and their flags.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::backup::BackupFlags;
use crate::bench::BenchFlags;
use crate::certs::CertsFlags;
use crate::inspect::InspectFlags;
use crate::keys::{CasFlags, DeleteFlags, GetFlags, PutFlags, ScanFlags};
use crate::leadership::{SnapshotFlags, TransferFlags};
use crate::lin_kv::LinKvFlags;
use crate::mark_restored::MarkRestoredFlags;
use crate::members::MembersFlags;
use crate::quota::QuotaFlags;
use crate::record::RecordFlags;
use crate::recover::RecoverFlags;
use crate::restore::RestoreFlags;
use crate::serve::ServeFlags;
use crate::sessions::SessionsFlags;
use crate::status::StatusFlags;
use crate::upgrade::UpgradeFlags;
use crate::values::Cluster;

/// A durable, replicated key-value store on Raft.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: CliCommand,
    /// Print machine-readable JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Adds a tip to the error of a command line that passes `--members` to a command that takes
/// `--nodes`, or `--nodes` to `serve`, which takes `--members` and `--join`.
pub(crate) fn with_tip(
    mut error: clap::Error,
    words: impl Iterator<Item = OsString>,
) -> clap::Error {
    let command = Args::command();
    let named = words.skip(1).find_map(|word| command.find_subcommand(word));
    let takes = |flag: &str| {
        let mut flags = named.into_iter().flat_map(clap::Command::get_arguments);
        flags.any(|argument| argument.get_long() == Some(flag))
    };
    let tip = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if flag == "--members" && takes("nodes") => {
            "this command takes the addresses of nodes with '--nodes HOST:PORT,…'; '--members' is \
             for a new cluster"
        }
        Some(ContextValue::String(flag)) if flag == "--nodes" && takes("join") => {
            "this command takes the nodes and their ids with '--members ID=ADDRESS,…', or with \
             '--join' if the cluster exists"
        }
        _ => return error,
    };
    if error.kind() == clap::error::ErrorKind::UnknownArgument {
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

const AFTER_HELP: &str = "\
Exit codes:
  0  success
  1  negative result: no such key, compare failed, writes fail or a member does
     not answer (status), the alarm of the quota is on, a recording could not
     be copied completely, or damage found
  2  invalid command line, configuration or file, an address at which
     another service answers, or the output cannot be written
  3  not executed, safe to retry: no node accepted the command in time
     (unreachable, busy, disk full, or another membership change is in flight),
     a signal interrupted it, a running node has the data directory open
     (inspect, mark-restored), or a node cannot start yet (its address or
     directory is in use, or its disk is full)
  4  unknown: the command may have been executed, or may still be executed
  5  rejected: not executed, and a retry fails again unless something changes
  6  the node stopped because of an error, which its log output names
  7  not executed: the nodes do not belong to the cluster that was named
  8  not executed: only one of the client and the nodes uses TLS
  9  not executed: the client does not accept a node's certificate, or the
     nodes do not accept the client's
  10 not executed: the command requires an administrator's certificate
  11 compare failed (cas), and no value is printed: the key does not exist, or
     its value is long

Start a cluster of three nodes on this machine, each command in its own terminal:
  quorate serve --id 1 --data-dir d1 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  quorate serve --id 2 --data-dir d2 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
  quorate serve --id 3 --data-dir d3 --members 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103";

/// Lets flags take values with a minus sign, such as `-1..3`, so that the parser of the flag says
/// which values are valid. Of the arguments that take any text or may have no value, and of those
/// without a flag, only numbers may be negative, because the next word may be a flag.
pub(crate) fn with_negative_values(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let parsed = argument.get_value_parser().type_id();
        let takes_text = [
            parsed == TypeId::of::<String>(),
            parsed == TypeId::of::<PathBuf>(),
            parsed == TypeId::of::<Cluster>(),
            parsed == TypeId::of::<quorate::runtime::Principal>(),
        ]
        .contains(&true);
        let is_optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
        let is_parsed_flag = argument.get_long().is_some() && !takes_text && !is_optional;
        match argument.get_action().takes_values() {
            true if is_parsed_flag => argument.allow_hyphen_values(true),
            true => argument.allow_negative_numbers(true),
            false => argument,
        }
    });
    command.mut_subcommands(with_negative_values)
}

/// The subcommands of `quorate`.
#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    /// Run a node of a cluster
    Serve(Box<ServeFlags>),
    /// Set the value of a key
    Put(PutFlags),
    /// Print the value of a key
    Get(GetFlags),
    /// Compare and set: replace the value of a key if the key has the expected value
    Cas(CasFlags),
    /// Delete a key and its value
    Delete(DeleteFlags),
    /// List keys and their values
    Scan(ScanFlags),
    /// Show the status of every member of the cluster
    Status(StatusFlags),
    /// Add, remove, replace or promote members of the cluster
    Members(MembersFlags),
    /// Transfer leadership to another member
    Transfer(TransferFlags),
    /// Make a node take a snapshot now
    Snapshot(SnapshotFlags),
    /// Show or set the quota of the store, or clear its alarm
    Quota(QuotaFlags),
    /// Show or set the bounds of the client sessions
    Sessions(SessionsFlags),
    /// Raise the version by which all nodes apply commands, after a rolling upgrade
    Upgrade(UpgradeFlags),
    /// Benchmark a cluster: throughput and latency of puts and gets
    Bench(BenchFlags),
    /// Create TLS certificates for nodes, clients and administrators
    Certs(CertsFlags),
    /// Check a data directory for damage and print its contents, without changing it
    Inspect(InspectFlags),
    /// Mark a data directory that was replaced by an older copy of itself, before its node starts
    MarkRestored(MarkRestoredFlags),
    /// Create a new cluster from the surviving data directories after the loss of a quorum
    Recover(RecoverFlags),
    /// Back up the last snapshot of a data directory to a file
    Backup(BackupFlags),
    /// Copy the recordings of nodes to files, for `cargo sim replay`
    Record(RecordFlags),
    /// Verify a backup, and create a new cluster from it
    Restore(RestoreFlags),
    /// Run a node of linearizable registers with a JSON protocol on standard I/O, for Maelstrom
    LinKv(LinKvFlags),
    /// Generate a shell completion script
    #[command(after_help = "Example:\n  quorate completions bash > /etc/bash_completion.d/quorate")]
    Completions {
        /// The shell to generate the script for
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    /// Phrases of the standard library and of clap, in whose place the flags have errors that name
    /// the expected form of a number.
    const TERSE: [&str; 6] = [
        "invalid digit",
        "number too large",
        "number would be zero",
        "cannot parse integer",
        "is not in",
        "out of range",
    ];

    /// Returns the flags of the command and its subcommands that take a value, with the words
    /// before them.
    fn flags_with_values(command: &clap::Command, path: &[String]) -> Vec<Vec<String>> {
        let flag = |argument: &clap::Arg| {
            let flag = argument.get_long().filter(|_| argument.get_action().takes_values())?;
            Some([path, &[format!("--{flag}")]].concat())
        };
        let mut flags: Vec<_> = command.get_arguments().filter_map(flag).collect();
        for subcommand in command.get_subcommands() {
            let path = [path, &[subcommand.get_name().to_owned()]].concat();
            flags.extend(flags_with_values(subcommand, &path));
        }
        flags
    }

    #[test]
    fn an_invalid_number_is_named_with_its_flag_and_the_form_that_is_expected() {
        let command = with_negative_values(Args::command());
        let flags = flags_with_values(&command, &[]);
        assert!(flags.len() > 20, "{flags:?}");
        let mut rejected = 0;
        let negative = ["-1", "-1..3", "-1s", "-x"];
        let others = ["x", "1.5", "0", "+1", "18446744073709551616", "5..2", "9s9"];
        for flag in flags {
            let error = |value: Option<&str>| {
                let words = ["program"].into_iter().chain(flag.iter().map(String::as_str));
                command.clone().try_get_matches_from(words.chain(value)).err()
            };
            let fails = |value, kind| error(value).is_some_and(|error| error.kind() == kind);
            let takes_text = !fails(Some("x..y"), ErrorKind::ValueValidation);
            let is_optional = !fails(None, ErrorKind::InvalidValue);
            assert!(error(Some("--x")).is_some(), "{flag:?} takes the flag after it");
            for value in negative.into_iter().chain(others) {
                let Some(error) = error(Some(value)) else { continue };
                if error.kind() != ErrorKind::ValueValidation {
                    let may_be_a_flag = takes_text || is_optional;
                    assert!(may_be_a_flag || !negative.contains(&value), "{error}");
                    continue;
                }
                rejected += 1;
                let text = error.to_string();
                let name = flag.last().expect("a flag");
                assert!(text.contains(name) && text.contains(value), "{text}");
                assert!(!TERSE.iter().any(|terse| text.contains(terse)), "{text}");
            }
        }
        assert!(rejected > 50, "{rejected}");
    }
}
