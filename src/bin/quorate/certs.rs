//! `quorate certs`: creates the certificate authorities of a cluster, and issues certificates.

use std::path::{Path, PathBuf};

use clap::Args;
use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, TlsConfig};
use quorate::types::NodeId;
use serde_json::json;

use crate::exit::{CommandError, Exit};
use crate::output::report;
use crate::values::{Cluster, parse_admin, parse_client};

/// The flags of `certs`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate certs certs --nodes 1,2,3 --admins ops --clients app
  quorate serve --id 1 --data-dir d1 --members 1=10.0.0.1:7100,… --certs certs
  quorate put colour blue --certs certs --as client/app

The first run creates three certificate authorities: for nodes, for clients and for administrators.
Every run issues a new certificate for each name given, which is also how to renew one. Keep the
private keys of the authorities, *-authority.key, off the nodes: a node needs only its own two files
and the three *-authority.pem.")]
pub(crate) struct CertsFlags {
    /// Directory of the certificates and keys, created if it is missing
    directory: PathBuf,
    /// Ids of nodes to issue certificates for
    #[arg(long, value_name = "N", value_delimiter = ',')]
    nodes: Vec<u64>,
    /// Names of clients to issue certificates for; clients may read and write
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_client)]
    clients: Vec<Principal>,
    /// Names of administrators to issue certificates for; administrators may do everything
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_admin)]
    admins: Vec<Principal>,
    /// Validity of the certificates, in days
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
    /// Name of the cluster, or its id in 32 hexadecimal digits [default: quorate]
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Option<Cluster>,
}

pub(crate) fn run(flags: &CertsFlags, json: bool) -> Result<Exit, CommandError> {
    let nodes = flags.nodes.iter().map(|id| Principal::Node(NodeId(*id)));
    let cluster = flags.cluster.unwrap_or_default().0;
    let directory = Directory::open(&flags.directory).map_err(CommandError::invalid_input)?;
    let mut issued = Vec::new();
    for principal in nodes.chain(flags.clients.iter().chain(&flags.admins).cloned()) {
        let files = directory
            .issue(cluster, &principal, flags.days)
            .map_err(CommandError::invalid_input)?;
        issued.push((principal.to_string(), files.certificate.display().to_string()));
    }
    if issued.is_empty() {
        return Err(CommandError::invalid_input(
            "no certificate requested: give --nodes, --clients or --admins",
        ));
    }
    report(
        json,
        &match json {
            true => {
                let one = |(principal, file): &(String, String)| {
                    let (principal, certificate) = (principal, file);
                    json!({ "principal": principal, "certificate": certificate })
                };
                json!({ "issued": issued.iter().map(one).collect::<Vec<_>>() }).to_string()
            }
            false => {
                issued.iter().map(|(principal, file)| format!("{principal}: {file}\n")).collect()
            }
        },
    );
    Ok(Exit::Done)
}

/// Returns the files of a principal in an existing directory.
///
/// # Errors
/// A text if the directory does not exist, or cannot be read.
pub(crate) fn files(directory: &Path, principal: &Principal) -> Result<TlsConfig, String> {
    if !directory.is_dir() {
        let directory = directory.display();
        return Err(format!("{directory} does not exist: create it with `quorate certs`"));
    }
    let directory = Directory::open(directory).map_err(|error| error.to_string())?;
    Ok(directory.config(principal))
}
