//! `quorate certs`: creates the certificate authorities of a cluster, and issues certificates.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, TlsConfig};
use quorate::storage::{ClusterId, open_regular_file, read_bounded_text};
use quorate::types::NodeId;
use serde_json::json;

use crate::atomic_file::AtomicFile;
use crate::exit::{CommandError, CommandResult, Exit};
use crate::output::report;
use crate::values::{COUNTS, Cluster, number, parse_admin, parse_client, parse_node_id};

/// The flags of `certs`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate certs certs --nodes 1,2,3 --admins ops --clients app
  quorate serve --id 1 --data-dir d1 --members 1=10.0.0.1:7100,… --certs certs
  quorate put colour blue --certs certs --as client/app

The first run creates three certificate authorities: for nodes, for clients and for administrators.
Every run issues a new certificate for each name given: run it again to renew certificates. Keep the
private keys of the authorities, *-authority.key, off the nodes: a node needs only its own two files
and the three *-authority.pem.")]
pub(crate) struct CertsFlags {
    /// Directory of the certificates and keys, created if it is missing
    directory: PathBuf,
    /// Ids of nodes to issue certificates for
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_node_id)]
    nodes: Vec<NodeId>,
    /// Names of clients to issue certificates for; clients may read and write
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_client)]
    clients: Vec<Principal>,
    /// Names of administrators to issue certificates for; administrators may do everything
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_admin)]
    admins: Vec<Principal>,
    /// Validity of the certificates, in days
    #[arg(long, value_name = "N", default_value_t = 365,
        value_parser = number::<u32>(COUNTS))]
    days: u32,
    /// Name of the cluster, or its id in 32 hexadecimal digits [default: the cluster of the
    /// directory; its first run draws a random id]. A directory keeps the cluster of its first run
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Option<Cluster>,
}

pub(crate) fn run(flags: &CertsFlags, json: bool) -> CommandResult {
    let nodes = flags.nodes.iter().map(|id| Principal::Node(*id));
    let others = flags.clients.iter().chain(&flags.admins).cloned();
    let principals: Vec<Principal> = nodes.chain(others).collect();
    if principals.is_empty() {
        return Err(CommandError::invalid_input(
            "no certificate requested: give --nodes, --clients or --admins",
        ));
    }
    let directory = Directory::open(&flags.directory).map_err(CommandError::invalid_input)?;
    let cluster = cluster_of(&flags.directory, flags.cluster)?;
    let mut issued = Vec::new();
    for principal in principals {
        let files = directory
            .issue(cluster, &principal, flags.days)
            .map_err(CommandError::invalid_input)?;
        issued.push((principal.to_string(), files.certificate.display().to_string()));
    }
    report(
        json,
        &match json {
            true => {
                let issued = issued.iter().map(
                    |(principal, file)| json!({ "principal": principal, "certificate": file }),
                );
                let issued: Vec<_> = issued.collect();
                json!({ "cluster": cluster.to_string(), "issued": issued }).to_string()
            }
            false => {
                issued.iter().map(|(principal, file)| format!("{principal}: {file}\n")).collect()
            }
        },
    );
    Ok(Exit::Done)
}

/// The file in a directory of certificates that holds the id of their cluster.
const CLUSTER_FILE: &str = "cluster";

/// The maximum size of that file, in bytes: more than an id or a name of a cluster has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Returns the cluster that the certificates name. The directory stores it; a new directory stores
/// the given cluster, or a random one if none is given.
///
/// # Errors
/// A [`CommandError`] if the directory stores a cluster other than the given one, because its
/// authorities would then issue certificates for both.
fn cluster_of(directory: &Path, given: Option<Cluster>) -> CommandResult<ClusterId> {
    let path = directory.join(CLUSTER_FILE);
    let with_path =
        |error: &dyn Display| CommandError::invalid_input(format!("{}: {error}", path.display()));
    let kept = loop {
        let read = |file| read_bounded_text(file, FILE_BYTES_MAX);
        match open_regular_file(&path).and_then(read) {
            Ok(text) => {
                let parsed: Result<Cluster, String> = text.trim().parse();
                break parsed.map_err(|error| with_path(&error))?.0;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new = given.map_or_else(|| ClusterId(entropy()), |given| given.0);
                if write_new(&path, new).map_err(|error| with_path(&error))? {
                    return Ok(new);
                }
            }
            Err(error) => return Err(with_path(&error)),
        }
    };
    match given {
        Some(Cluster(given)) if given != kept => Err(with_path(&format_args!(
            "the certificates in this directory are for cluster {kept}, not for {given}: remove \
             --cluster (or QUORATE_CLUSTER), or name another directory; if the cluster was \
             recovered under a new id, delete this file: the authorities stay in use"
        ))),
        _ => Ok(kept),
    }
}

/// Writes the file of the cluster; returns false if a concurrent command has written it. The file
/// gets its name only once it is complete, so that such a command reads all of it.
fn write_new(path: &Path, cluster: ClusterId) -> io::Result<bool> {
    let file = AtomicFile::create(path)?;
    #[cfg(unix)]
    file.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    writeln!(file.file(), "{cluster}")?;
    file.commit_new()
}

#[expect(clippy::disallowed_methods, reason = "no two clusters share an id")]
fn entropy() -> u128 {
    rand::random()
}

/// Returns the files of a principal in an existing directory.
///
/// # Errors
/// A message if the directory does not exist, or cannot be read.
pub(crate) fn files(directory: &Path, principal: &Principal) -> Result<TlsConfig, String> {
    if !directory.is_dir() {
        let directory = directory.display();
        return Err(format!("{directory} does not exist: create it with `quorate certs`"));
    }
    let directory = Directory::open(directory).map_err(|error| error.to_string())?;
    Ok(directory.config(principal))
}
