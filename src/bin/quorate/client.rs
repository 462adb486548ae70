//! The flags of every command that talks to a cluster, and the client made from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate::machine::SessionLimits;
use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, Client, ClientConfig, ClientError, Mismatch, RejectCause, Report,
};
use quorate::types::ReadLevel;
use quorate::wire::ServiceRejectReason;
use tokio::time::sleep;

use crate::certs;
use crate::exit::{CommandError, CommandResult, Exit};
use crate::kv::Query;
use crate::values::{ClientPrincipal, Cluster, ServerAddress, Span, positive_span};

/// The smallest limits with which a command works, because the administrator may have lowered the
/// bounds of sessions: one request at a time, and a reply with the longest value.
const SESSION: SessionLimits = SessionLimits { window: 1, replies_bytes_max: 1 << 20 };

/// The flags with which a client reaches a cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientFlags {
    /// Addresses of nodes, HOST:PORT; not all are needed, because the client learns the others from
    /// these
    #[arg(
        long,
        env = "QUORATE_NODES",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103"
    )]
    pub(crate) nodes: Vec<ServerAddress>,
    /// Name of the cluster, or its id in 32 hexadecimal digits [default: the cluster in the
    /// certificate; without certificates, any unnamed cluster]
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Option<Cluster>,
    /// Timeout of each request, including retries; a command may make several requests
    #[arg(long, env = "QUORATE_TIMEOUT", value_name = "TIME", default_value = "10s",
        value_parser = positive_span)]
    pub(crate) timeout: Span,
    /// Use TLS with the certificates in this directory, made by `quorate certs`
    #[arg(long, env = "QUORATE_CERTS", value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Identity whose certificate to present: client/NAME or admin/NAME
    #[arg(long = "as", env = "QUORATE_AS", value_name = "ROLE/NAME")]
    principal: Option<ClientPrincipal>,
    /// Allow plaintext connections to nodes beyond loopback addresses, without TLS
    #[arg(long, env = "QUORATE_PLAINTEXT", num_args = 0..=1, default_missing_value = "true",
        default_value_t = false, require_equals = true, value_name = "BOOL")]
    plaintext: bool,
}

impl ClientFlags {
    /// Creates a client that is not connected yet. Must be called within a Tokio runtime.
    pub(crate) fn client(&self) -> CommandResult<Client> {
        let named = self.cluster.map(|cluster| cluster.0);
        let cluster = named.unwrap_or(ANY_UNNAMED_CLUSTER);
        let mut config = ClientConfig::new(cluster, self.nodes.iter().map(|node| node.0.clone()));
        config.deadline = self.timeout.0;
        config.plaintext = self.plaintext;
        config.session = SESSION;
        if let Some((certs, principal)) = self.certificate()? {
            let files = certs::files(certs, &principal.0)
                .map_err(|error| CommandError::invalid_input(format!("--certs: {error}")))?;
            if named.is_none() {
                let principal = files.principal().map_err(CommandError::invalid_input)?;
                config.cluster = principal.0;
            }
            config.tls = Some(files);
        }
        Client::new(config).map_err(CommandError::invalid_input)
    }

    /// Returns the directory of the certificates and the identity whose certificate to present, if
    /// the client uses TLS.
    fn certificate(&self) -> CommandResult<Option<(&PathBuf, &ClientPrincipal)>> {
        let missing = match (&self.certs, &self.principal) {
            (Some(certs), Some(principal)) => return Ok(Some((certs, principal))),
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                "--as (or QUORATE_AS) names a certificate, but not where it is: add --certs DIR, \
                 the directory that `quorate certs` has made, or remove --as"
            }
            (Some(_), None) => {
                "--certs (or QUORATE_CERTS) does not say which certificate to present: add --as \
                 client/NAME or --as admin/NAME, or remove --certs"
            }
        };
        Err(CommandError::invalid_input(missing))
    }

    /// Runs `work` with a client, on this thread.
    pub(crate) fn run<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> CommandResult<T>,
    ) -> CommandResult<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            CommandError::invalid_input(format!("cannot start the client: {error}"))
        })?;
        let done = runtime.block_on(async { work(self.client()?).await });
        // The lookup of a host name may outlast every timeout, and is not waited for.
        runtime.shutdown_background();
        done
    }
}

/// The interval at which the leader is asked again.
const POLL: Duration = Duration::from_millis(20);

/// Returns the report of the leader, once its state machine has applied everything that was
/// committed before this call. `timeout` limits the time that a new leader takes to apply it.
pub(crate) async fn applied_report(client: &Client, timeout: Duration) -> CommandResult<Report> {
    let query = Query::Get { key: b"" }.encode();
    let index_min = client.read(ReadLevel::Linearizable, &query).await?.index;
    let reported = tokio::time::timeout(timeout, async {
        loop {
            let report = client.report_of_leader().await?;
            if report.status.applied >= index_min {
                return Ok(report);
            }
            sleep(POLL).await;
        }
    });
    reported.await.unwrap_or_else(|_| {
        let text = format!(
            "nothing was changed: the leader has not applied everything up to index {index_min} \
             in time; see `quorate status`"
        );
        Err(CommandError::new(Exit::NotExecuted, text))
    })
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        let exit = match error {
            ClientError::NotExecuted(_) => Exit::NotExecuted,
            ClientError::Rejected(RejectCause::Service(ServiceRejectReason::NotAllowed)) => {
                Exit::NotAllowed
            }
            ClientError::Rejected(_) => Exit::Rejected,
            ClientError::Mismatch { mismatch: Mismatch::Protocol, .. } => Exit::InvalidInput,
            ClientError::Mismatch { mismatch: Mismatch::Cluster, .. } => Exit::OtherCluster,
            ClientError::Mismatch { mismatch: Mismatch::Encryption, .. } => Exit::OtherEncryption,
            ClientError::Mismatch { mismatch: Mismatch::Certificate, .. } => {
                Exit::CertificateNotAccepted
            }
            _ => Exit::Unknown,
        };
        match exit {
            Exit::OtherEncryption => CommandError::new(
                exit,
                format_args!("{error} (a client has `--certs` and `--as`, a node has `--certs`)"),
            ),
            _ => CommandError::new(exit, error),
        }
    }
}
