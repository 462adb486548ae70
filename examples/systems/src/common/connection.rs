//! The connection of a client to its cluster. Node addresses and certificates come from flags,
//! environment variables, the values remembered from the last success, or defaults.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use quorate::runtime::blocking::Client;
use quorate::runtime::{ClientConfig, Principal, Role};
use quorate::types::{Membership, ReadLevel};
use serde::de::DeserializeOwned;

use crate::common::calls::{ATTEMPT_MAX, Calls};
use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult};
use crate::common::output::Output;
use crate::common::system::{System, replace_file};
use crate::common::time::positive_time;
use crate::common::tls::{default_principal, parse_client_or_admin};

/// The flags of a cluster connection.
#[derive(Args, Clone, Debug)]
pub struct ConnectionFlags {
    /// Addresses of nodes; a subset is enough. Remembered once a node has answered
    ///
    /// Default: the environment variable NAME_NODES (e.g. DIRECTORY_NODES), then the remembered
    /// addresses, then the addresses that the system's README.md uses.
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        value_delimiter = ',',
        value_parser = node_address
    )]
    nodes: Vec<String>,
    /// Time limit for an answer
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "10s",
        value_parser = positive_time
    )]
    timeout: Duration,
    /// Use TLS with the certificates in this directory. Remembered once a node has answered
    ///
    /// Default: the environment variable NAME_CERTS (e.g. COURIER_CERTS), then the remembered
    /// directory.
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "plaintext")]
    certs: Option<PathBuf>,
    /// Certificate to use [default: client/user, or admin/admin for administrator commands]
    #[arg(long, global = true, value_name = "ROLE/NAME", value_parser = parse_client_or_admin)]
    certificate: Option<Principal>,
    /// Allow plaintext connections beyond loopback; without this flag and without certificates,
    /// only loopback addresses are allowed, and `courier` does not start
    #[arg(long, global = true)]
    plaintext: bool,
    /// Print each line of a client command as a JSON object; errors stay text on standard error
    #[arg(long, global = true)]
    json: bool,
}

/// Parses the address of a node: a host, and the port at which the node listens.
///
/// # Errors
/// The text has another form.
pub fn node_address(text: &str) -> Result<String, String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    match text.trim().rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && is_port(port) => Ok(text.trim().to_owned()),
        _ => Err(format!("`{text}` is not an address like 127.0.0.1:7400")),
    }
}

/// A client of a system, with the addresses that it remembers.
pub struct ClusterConnection {
    /// The client, which connects on its first request.
    pub client: Client,
    /// The system that the client belongs to.
    pub system: System,
    /// The time limit of each request: `--timeout`, unless the system adjusts it.
    pub deadline: Duration,
    /// The form of the output, from `--json`.
    pub output: Output,
    /// The addresses with which the client starts.
    nodes: Vec<String>,
    /// The directory of its certificates, if it uses TLS.
    certs: Option<PathBuf>,
    /// Whether the addresses and the path of the certificates were stored.
    is_remembered: AtomicBool,
}

impl ConnectionFlags {
    /// Returns a client of the system; `adjust` changes its configuration.
    ///
    /// # Errors
    /// A flag is invalid, or a certificate is missing.
    pub fn connect(
        &self,
        system: System,
        adjust: impl FnOnce(&mut ClientConfig),
    ) -> CommandResult<ClusterConnection> {
        self.connect_as(Role::Client, system, adjust)
    }

    /// Returns a client with the administrator role.
    ///
    /// # Errors
    /// A flag is invalid, or a certificate is missing.
    pub fn connect_as_admin(&self, system: System) -> CommandResult<ClusterConnection> {
        self.connect_as(Role::Admin, system, |_| {})
    }

    /// Returns the form of the output.
    #[must_use]
    pub fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }

    fn connect_as(
        &self,
        role: Role,
        system: System,
        adjust: impl FnOnce(&mut ClientConfig),
    ) -> CommandResult<ClusterConnection> {
        let nodes = match self.nodes.is_empty() {
            false => self.nodes.clone(),
            true => system.default_nodes(),
        };
        let mut config = ClientConfig::new(system.cluster, nodes.iter().cloned());
        config.deadline = self.timeout;
        config.attempt_max = ATTEMPT_MAX;
        config.plaintext = self.plaintext;
        let certs = self.certs(&system)?;
        if let Some(certs) = &certs {
            let principal = self.certificate.clone().unwrap_or_else(|| default_principal(role));
            config.tls = Some(system.tls_config(certs, &principal)?);
        }
        adjust(&mut config);
        let deadline = config.deadline;
        let client = Client::new(config).map_err(CommandError::usage)?;
        let output = self.output();
        let is_remembered = AtomicBool::new(false);
        Ok(ClusterConnection { client, system, deadline, output, nodes, certs, is_remembered })
    }

    /// Returns the directory of certificates, or `None` for plaintext.
    fn certs(&self, system: &System) -> CommandResult<Option<PathBuf>> {
        if self.plaintext {
            return Ok(None);
        }
        let certs =
            system.certs_directory(self.certs.as_deref()).or_else(|| system.remembered_certs());
        match certs {
            None if system.tls_by_default => Err(system.missing_certificates()),
            certs => Ok(certs),
        }
    }
}

impl ClusterConnection {
    /// Proposes a command and decodes its reply.
    ///
    /// # Errors
    /// The request was rejected, its outcome is unknown, or the reply is not valid.
    pub fn propose<R: DeserializeOwned>(&self, command: &[u8]) -> CommandResult<R> {
        self.run(async |calls| calls.propose(command).await)
    }

    /// Reads from the node at the address `at`, or from the node that the level selects, and
    /// decodes the answer.
    ///
    /// # Errors
    /// The request was rejected or not answered, or the answer is not valid.
    pub fn read<R: DeserializeOwned>(
        &self,
        at: Option<&str>,
        level: ReadLevel,
        query: &[u8],
    ) -> CommandResult<R> {
        self.run(async |calls| calls.read(at, level, query).await)
    }

    /// Runs calls of the client, and remembers the connection once a node has replied.
    pub fn run<T>(&self, calls: impl AsyncFnOnce(Calls<'_>) -> T) -> T {
        self.client.run(async |client| calls(Calls::new(client, &|| self.remember())).await)
    }

    /// Decodes the reply of a node, and remembers the connection.
    ///
    /// # Errors
    /// The reply is not valid.
    pub fn decode<R: DeserializeOwned>(&self, reply: &[u8]) -> CommandResult<R> {
        self.remember();
        codec::decode(reply).ok_or_else(CommandError::unexpected_reply)
    }

    /// Returns the addresses of the nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str)
    }

    /// Stores the addresses, and the path of the certificates, as defaults, after a node has
    /// answered for the first time. Later answers do not store them again, because another client
    /// may have stored the addresses of a new membership since.
    pub fn remember(&self) {
        if self.is_remembered.swap(true, Ordering::Relaxed) {
            return;
        }
        self.remember_nodes(&self.nodes);
        let certs = self.certs.as_ref().and_then(|certs| fs::canonicalize(certs).ok());
        if let Some(certs) = certs.as_ref().and_then(|certs| certs.to_str()) {
            self.write_state_file("certs", &format!("{certs}\n"));
        }
    }

    /// Stores the addresses of a new membership as defaults.
    pub fn remember_members(&self, membership: &Membership) {
        let addresses = membership.members().iter().map(|member| member.address.as_str());
        let addresses = addresses.filter(|address| !address.is_empty()).map(str::to_owned);
        self.remember();
        self.remember_nodes(&addresses.collect::<Vec<_>>());
    }

    fn remember_nodes(&self, nodes: &[String]) {
        self.write_state_file("nodes", &(nodes.join("\n") + "\n"));
    }

    fn write_state_file(&self, extension: &str, text: &str) {
        let Some(file) = self.system.state_file(extension) else { return };
        if fs::read_to_string(&file).is_ok_and(|known| known == text) {
            return;
        }
        // If the file cannot be written, the user has to pass the flags next time.
        let _ = replace_file(&file, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_replaced_as_a_whole_or_not_at_all() {
        let root = tempfile::tempdir().expect("there is room");
        let file = root.path().join("a/b/any.nodes");
        let text = || fs::read_to_string(&file).expect("it was written");
        replace_file(&file, "old").expect("there is room");
        assert_eq!(text(), "old");
        let next = file.with_file_name(format!("any.nodes~{}", std::process::id()));
        fs::create_dir(&next).expect("there is room");
        replace_file(&file, "new").expect_err("its place is taken");
        assert_eq!(text(), "old");
        fs::remove_dir(next).expect("it is empty");
        replace_file(&file, "new").expect("there is room");
        assert_eq!(text(), "new");
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for address in ["127.0.0.1:7400", "node-1.example:1", "[::1]:7400"] {
            assert_eq!(node_address(&format!(" {address}")).as_deref(), Ok(address));
        }
        for text in ["", "n1", "host", "host:", ":7400", "host:http", "host:0", "host:70000"] {
            let error = node_address(text).expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
