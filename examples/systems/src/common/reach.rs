//! How a client reaches its cluster, and finds it again: by the flag, by the variable, by what it
//! was told before, or on this machine.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate::runtime::blocking::Client;
use quorate::runtime::{ClientConfig, Principal, Role};
use quorate::types::Membership;

use crate::common::exit::Trouble;
use crate::common::secure::{guest, usual};
use crate::common::system::System;

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
    /// Speak TLS, with the certificates in this directory. Remembered once a node has answered
    ///
    /// Without it: the variable NAME_CERTS of the system's name, as COURIER_CERTS; then what was
    /// remembered.
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "plaintext")]
    certs: Option<PathBuf>,
    /// Whose certificate to show: client/user if this says nothing, or admin/admin for what only an
    /// administrator may do
    #[arg(long, global = true, value_name = "ROLE/NAME", value_parser = guest)]
    certificate: Option<Principal>,
    /// Let words leave this machine in the clear: without it, and without certificates, only
    /// loopback addresses are called
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
    /// Where its certificates are, if it has any.
    certs: Option<PathBuf>,
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
        self.reach_as(Role::Client, system, adjust)
    }

    /// The same, for what only an administrator may do.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub fn reach_as_admin(&self, system: System) -> Result<Reach, Trouble> {
        self.reach_as(Role::Admin, system, |_| {})
    }

    fn reach_as(
        &self,
        role: Role,
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
        let certs = self.certs(&system)?;
        if let Some(certs) = &certs {
            let principal = self.certificate.clone().unwrap_or_else(|| usual(role));
            config.tls = Some(system.papers(certs, &principal)?);
        }
        adjust(&mut config);
        let deadline = config.deadline;
        let client = Client::new(config).map_err(Trouble::wrong)?;
        Ok(Reach { client, system, deadline, nodes, certs })
    }

    /// Where the certificates are; none for who is to speak in the clear.
    fn certs(&self, system: &System) -> Result<Option<PathBuf>, Trouble> {
        if self.plaintext {
            return Ok(None);
        }
        let certs = system.certs(self.certs.as_deref()).or_else(|| system.known_certs());
        match certs {
            None if system.secure => Err(system.insecure()),
            certs => Ok(certs),
        }
    }
}

impl Reach {
    /// The nodes that the client was told of.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str)
    }

    /// A node has answered: these are the right ones, and are known from now on.
    pub fn remember(&self) {
        self.remember_nodes(&self.nodes);
        let certs = self.certs.as_ref().and_then(|certs| fs::canonicalize(certs).ok());
        if let Some(certs) = certs.as_ref().and_then(|certs| certs.to_str()) {
            self.keep("certs", &format!("{certs}\n"));
        }
    }

    /// The members have changed: from now on these are known.
    pub fn remember_members(&self, membership: &Membership) {
        let addresses = membership.members().iter().map(|member| member.address.as_str());
        let addresses = addresses.filter(|address| !address.is_empty()).map(str::to_owned);
        self.remember();
        self.remember_nodes(&addresses.collect::<Vec<_>>());
    }

    fn remember_nodes(&self, nodes: &[String]) {
        self.keep("nodes", &(nodes.join("\n") + "\n"));
    }

    fn keep(&self, extension: &str, text: &str) {
        let Some(file) = self.system.file(extension) else { return };
        if fs::read_to_string(&file).is_ok_and(|known| known == text) {
            return;
        }
        // Whoever has no place for it says next time where things are.
        let _ = file.parent().map(fs::create_dir_all);
        let _ = fs::write(file, text);
    }
}
