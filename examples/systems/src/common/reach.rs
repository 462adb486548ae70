//! How a client reaches its cluster, and finds it again: by the flag, by the variable, by what it
//! was told before, or on this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate::runtime::ClientConfig;
use quorate::runtime::blocking::Client;
use quorate::storage::ClusterId;

use crate::common::exit::Trouble;

/// One system, as its clients know it.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Its name, which is that of its command.
    pub name: &'static str,
    /// Its cluster: no other one's nodes are spoken to.
    pub cluster: ClusterId,
    /// Where its nodes are, if nobody has said anything: as in its guide.
    pub nodes: &'static [&'static str],
}

/// How a cluster is reached.
#[derive(Args, Clone, Debug)]
pub struct ReachFlags {
    /// Where nodes are; some are enough. Remembered once one of them has answered
    ///
    /// Without it: the variable NAME_NODES of the system's name, as DIRECTORY_NODES; then what was
    /// remembered; then the nodes of the guide.
    #[arg(long, global = true, value_name = "ADDRESS", value_delimiter = ',')]
    nodes: Vec<String>,
    /// How long to wait for an answer in all, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10")]
    timeout: f64,
    /// Let words leave this machine in the clear: without it only loopback addresses are called
    #[arg(long, global = true)]
    plaintext: bool,
}

/// A client, and the nodes it is to remember.
pub struct Reach {
    /// The client, not connected yet.
    pub client: Client,
    /// The system it belongs to.
    pub system: System,
    /// How long each of the client's calls may take, as the user said.
    pub deadline: Duration,
    nodes: Vec<String>,
}

/// For how long one node is waited for before the next one is asked.
const ATTEMPT_MAX: Duration = Duration::from_secs(2);

impl ReachFlags {
    /// A client of the system; `adjust` changes what is its own.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub fn reach(
        &self,
        system: System,
        adjust: impl FnOnce(&mut ClientConfig),
    ) -> Result<Reach, Trouble> {
        let nodes = match self.nodes.is_empty() {
            false => self.nodes.clone(),
            true => system.known_nodes(),
        };
        let mut config = ClientConfig::new(system.cluster, nodes.iter().cloned());
        config.deadline = Duration::try_from_secs_f64(self.timeout)
            .map_err(|error| Trouble::wrong(format!("--timeout: {error}")))?;
        config.attempt_max = ATTEMPT_MAX;
        config.plaintext = self.plaintext;
        adjust(&mut config);
        let deadline = config.deadline;
        let client = Client::new(config).map_err(Trouble::wrong)?;
        Ok(Reach { client, system, deadline, nodes })
    }
}

impl Reach {
    /// A node has answered: these are the right ones, and are known from now on.
    pub fn remember(&self) {
        let Some(file) = self.system.file("nodes") else { return };
        let text = self.nodes.join("\n") + "\n";
        if fs::read_to_string(&file).is_ok_and(|known| known == text) {
            return;
        }
        // Whoever has no place for it says next time where nodes are.
        let _ = file.parent().map(fs::create_dir_all);
        let _ = fs::write(file, text);
    }
}

impl System {
    /// The nodes of the variable, those that the client was told before, or those of the guide.
    fn known_nodes(&self) -> Vec<String> {
        if let Ok(told) = env::var(format!("{}_NODES", self.name.to_uppercase())) {
            return told.split(',').map(str::to_owned).collect();
        }
        let known = self.file("nodes").and_then(|file| fs::read_to_string(file).ok());
        let known: Vec<String> = known.unwrap_or_default().lines().map(str::to_owned).collect();
        match known.is_empty() {
            true => self.nodes.iter().map(|node| (*node).to_owned()).collect(),
            false => known,
        }
    }

    /// A file of the user's for this system, `NAME.EXTENSION`, by the rules of XDG; none for a
    /// user without a home.
    #[must_use]
    pub fn file(&self, extension: &str) -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let state = set("XDG_STATE_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = state.or_else(home)?.join("quorate-systems");
        Some(folder.join(format!("{}.{extension}", self.name)))
    }
}
