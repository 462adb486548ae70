//! `quorate certs`: the authorities of a cluster, and certificates for who takes part in it.

use std::path::{Path, PathBuf};

use clap::Args;
use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, TlsConfig};
use quorate::types::NodeId;
use serde_json::json;

use crate::exit::{Exit, Trouble};
use crate::output::report;
use crate::values::Cluster;

/// What `certs` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate certs certs --nodes 1,2,3 --admins ops --clients app
  quorate serve --id 1 --data-dir d1 --members 1=10.0.0.1:7100,… --certs certs
  quorate put colour blue --certs certs --as client/app

The first time three authorities are made: for nodes, for clients and for administrators. Whoever is
named gets a new certificate each time; that is also how one is renewed. Keep the keys of the
authorities, *-authority.key, away from the nodes: each needs its own two files and the three
*-authority.pem.")]
pub(crate) struct CertsFlags {
    /// Where the files are, or are to be
    directory: PathBuf,
    /// Ids of nodes
    #[arg(long, value_name = "N", value_delimiter = ',')]
    nodes: Vec<u64>,
    /// Names of clients, which may read and write
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    clients: Vec<String>,
    /// Names of administrators, who may do everything
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    admins: Vec<String>,
    /// For how many days
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
    /// The cluster's name, or its id in 32 hexadecimal digits [default: quorate]
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Option<Cluster>,
}

pub(crate) fn run(flags: &CertsFlags, json: bool) -> Result<Exit, Trouble> {
    let nodes = flags.nodes.iter().map(|id| Principal::Node(NodeId(*id)));
    let clients = flags.clients.iter().map(|name| Principal::Client(name.as_str().into()));
    let admins = flags.admins.iter().map(|name| Principal::Admin(name.as_str().into()));
    let cluster = flags.cluster.unwrap_or_default().0;
    let directory = Directory::open(&flags.directory).map_err(Trouble::wrong)?;
    let mut made = Vec::new();
    for principal in nodes.chain(clients).chain(admins) {
        let files = directory.issue(cluster, &principal, flags.days).map_err(Trouble::wrong)?;
        made.push((principal.to_string(), files.certificate.display().to_string()));
    }
    if made.is_empty() {
        return Err(Trouble::wrong("for whom? say --nodes, --clients or --admins"));
    }
    report(
        json,
        &match json {
            true => {
                let one =
                    |(who, file): &(String, String)| json!({ "who": who, "certificate": file });
                json!({ "made": made.iter().map(one).collect::<Vec<_>>() }).to_string()
            }
            false => made.iter().map(|(who, file)| format!("{who}: {file}\n")).collect(),
        },
    );
    Ok(Exit::Done)
}

/// The files of one of those who take part, in a directory that is there.
///
/// # Errors
/// There is no such directory.
pub(crate) fn files(directory: &Path, principal: &Principal) -> Result<TlsConfig, String> {
    if !directory.is_dir() {
        return Err(format!("{}: there is no such directory", directory.display()));
    }
    let directory = Directory::open(directory).map_err(|error| error.to_string())?;
    Ok(directory.config(principal))
}
