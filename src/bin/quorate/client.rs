//! What every command has that talks to a cluster: where its nodes are, and how long to wait.

use std::path::PathBuf;

use clap::Args;
use quorate::runtime::{Client, ClientConfig, ClientError};
use quorate::storage::ClusterId;

use crate::certs;
use crate::exit::{Exit, Trouble};
use crate::values::{Cluster, Guest, Span};

/// How a cluster is reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientFlags {
    /// Where nodes are; some are enough, and the others are learned from them
    #[arg(
        long,
        env = "QUORATE_NODES",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103"
    )]
    pub(crate) nodes: Vec<String>,
    /// The cluster's name, or its id in 32 hexadecimal digits [default: quorate]
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Option<Cluster>,
    /// How long to wait in all
    #[arg(long, env = "QUORATE_TIMEOUT", value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,
    /// Speak TLS, with the certificates that `quorate certs` made in this directory
    #[arg(long, env = "QUORATE_CERTS", value_name = "DIR", requires = "principal")]
    certs: Option<PathBuf>,
    /// Whose certificate to show: client/NAME or admin/NAME
    #[arg(long = "as", env = "QUORATE_AS", value_name = "ROLE/NAME")]
    principal: Option<Guest>,
    /// Let words leave this machine in the clear: without it only loopback addresses are called
    #[arg(long, env = "QUORATE_PLAINTEXT", num_args = 0..=1, default_missing_value = "true",
        default_value_t = false, require_equals = true, value_name = "BOOL")]
    plaintext: bool,
}

impl ClientFlags {
    /// The cluster that is meant: no other one's nodes are spoken to.
    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster.unwrap_or_default().0
    }

    /// A client that is not connected yet. Must be called within a runtime.
    pub(crate) fn client(&self) -> Result<Client, Trouble> {
        let mut config = ClientConfig::new(self.cluster(), self.nodes.iter().cloned());
        config.deadline = self.timeout.0;
        config.plaintext = self.plaintext;
        if let (Some(certs), Some(guest)) = (&self.certs, &self.principal) {
            let files = certs::files(certs, &guest.0);
            config.tls = Some(files.map_err(|what| Trouble::wrong(format!("--certs: {what}")))?);
        }
        Client::new(config).map_err(Trouble::wrong)
    }

    /// Runs `work` with a client, on this thread.
    pub(crate) fn run<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::wrong(format!("no sockets: {error}")))?;
        runtime.block_on(async { work(self.client()?).await })
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        let exit = match error {
            ClientError::NotProposed(_) => Exit::Unreached,
            ClientError::Rejected(_) => Exit::Refused,
            _ => Exit::Unknown,
        };
        Trouble::new(exit, error)
    }
}
