//! Three nodes, each at a place of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::load::Load;
use crate::nodes::{Processes, leader, serving};
use crate::told::{Told, command, quorate_in};

/// Where a node is.
pub(crate) struct Place {
    /// Where the others reach it.
    pub(crate) address: SocketAddr,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    pub(crate) directory: PathBuf,
    /// The command that runs it where it is; none runs it here.
    pub(crate) within: Vec<String>,
}

/// Nodes and their places.
pub(crate) struct Town {
    // The processes end before their directories go.
    processes: Processes,
    places: BTreeMap<u64, Place>,
    /// Whether everything is said through TLS.
    tls: bool,
    root: TempDir,
}

impl Town {
    /// Nobody runs yet. `root` is where clients are, and certificates, if there is TLS.
    pub(crate) fn new(root: TempDir, places: BTreeMap<u64, Place>, tls: bool) -> Town {
        if tls {
            let words = ["certs", "certs", "--nodes", "1,2,3", "--clients", "app"];
            quorate_in(root.path(), words.into_iter().chain(["--admins", "ops"])).ok();
        }
        Town { processes: Processes::default(), places, tls, root }
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.places.keys().copied().collect()
    }

    pub(crate) fn directory(&self, id: u64) -> &Path {
        &self.places[&id].directory
    }

    pub(crate) fn serve_all(&mut self) {
        self.ids().into_iter().for_each(|id| self.serve(id));
    }

    /// Starts the node, for the first time or again.
    pub(crate) fn serve(&mut self, id: u64) {
        let place = &self.places[&id];
        let one = |(id, place): (&u64, &Place)| format!("{id}={}", place.address);
        let members: Vec<String> = self.places.iter().map(one).collect();
        let quorate = command();
        let mut command = match place.within.split_first() {
            None => quorate,
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(quorate.get_program());
                command
            }
        };
        command.current_dir(self.root.path());
        serving(&mut command, id, &place.directory).args([
            "--members",
            &members.join(","),
            "--listen",
            &place.listen.to_string(),
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

    /// Runs a client's command until it ends.
    pub(crate) fn ask(&self, words: &[&str]) -> Told {
        let nodes = self.addresses().join(",");
        let words =
            words.iter().map(OsString::from).chain([OsString::from("--nodes"), nodes.into()]);
        let how = self.how("admin/ops").into_iter().map(OsString::from);
        quorate_in(self.root.path(), words.chain(how))
    }

    /// Whoever leads, as soon as somebody does.
    pub(crate) fn leader(&self) -> u64 {
        leader(|words| self.ask(&[words, &["--timeout", "5s"]].concat()))
    }

    pub(crate) fn load(&self, seed: u64) -> Load {
        Load::on(self.root.path(), self.addresses(), self.how("client/app"), seed)
    }

    fn addresses(&self) -> Vec<String> {
        self.places.values().map(|place| place.address.to_string()).collect()
    }

    /// How clients speak.
    fn how(&self, who: &str) -> Vec<String> {
        let words: &[&str] =
            if self.tls { &["--certs", "certs", "--as", who] } else { &["--plaintext"] };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
