//! Three nodes, each at its own location: a directory, an address and perhaps a network namespace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cli::{CommandOutput, command, quorate_in};
use crate::load::Load;
use crate::nodes::{Processes, leader, serving};

/// The location of a node.
pub(crate) struct NodeLocation {
    /// The address at which the other nodes reach it.
    pub(crate) address: SocketAddr,
    /// The address on which it listens.
    pub(crate) listen: SocketAddr,
    pub(crate) directory: PathBuf,
    /// The command prefix that runs a command at this location; empty to run it directly.
    pub(crate) within: Vec<String>,
}

/// The nodes and their locations.
pub(crate) struct Cluster {
    // Dropped first: the processes end before their directories are removed.
    processes: Processes,
    locations: BTreeMap<u64, NodeLocation>,
    /// Whether all connections use TLS.
    tls: bool,
    root: TempDir,
}

impl Cluster {
    /// Creates the cluster without starting a node. `root` is the clients' directory, with the
    /// certificates if there is TLS.
    pub(crate) fn new(root: TempDir, locations: BTreeMap<u64, NodeLocation>, tls: bool) -> Cluster {
        if tls {
            let words = ["certs", "certs", "--nodes", "1,2,3", "--clients", "app"];
            quorate_in(root.path(), words.into_iter().chain(["--admins", "ops"])).ok();
        }
        Cluster { processes: Processes::default(), locations, tls, root }
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.locations.keys().copied().collect()
    }

    pub(crate) fn directory(&self, id: u64) -> &Path {
        &self.locations[&id].directory
    }

    pub(crate) fn serve_all(&mut self) {
        self.ids().into_iter().for_each(|id| self.serve(id));
    }

    /// Starts the node, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let location = &self.locations[&id];
        let one = |(id, location): (&u64, &NodeLocation)| format!("{id}={}", location.address);
        let members: Vec<String> = self.locations.iter().map(one).collect();
        let quorate = command();
        let mut command = match location.within.split_first() {
            None => quorate,
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(quorate.get_program());
                command
            }
        };
        command.current_dir(self.root.path());
        serving(&mut command, id, &location.directory).args([
            "--members",
            &members.join(","),
            "--listen",
            &location.listen.to_string(),
        ]);
        if self.tls {
            command.args(["--certs", "certs"]);
        } else {
            command.arg("--plaintext");
        }
        let log = self.root.path().join(format!("{id}.log"));
        self.processes.spawn(&id.to_string(), &mut command, &log);
    }

    pub(crate) fn kill(&mut self, id: u64) {
        self.processes.kill(&id.to_string());
    }

    /// Runs a client command until it ends.
    pub(crate) fn ask(&self, words: &[&str]) -> CommandOutput {
        let nodes = self.addresses().join(",");
        let words =
            words.iter().map(OsString::from).chain([OsString::from("--nodes"), nodes.into()]);
        let flags = self.flags("admin/ops").into_iter().map(OsString::from);
        quorate_in(self.root.path(), words.chain(flags))
    }

    /// Waits for a leader and returns its id.
    pub(crate) fn leader(&self) -> u64 {
        leader(|words| self.ask(&[words, &["--timeout", "5s"]].concat()))
    }

    pub(crate) fn load(&self, seed: u64) -> Load {
        Load::on(self.root.path(), self.addresses(), self.flags("client/app"), seed)
    }

    fn addresses(&self) -> Vec<String> {
        self.locations.values().map(|location| location.address.to_string()).collect()
    }

    /// Returns the flags of clients for TLS or plaintext.
    fn flags(&self, principal: &str) -> Vec<String> {
        let words: &[&str] =
            if self.tls { &["--certs", "certs", "--as", principal] } else { &["--plaintext"] };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
