//! The reasons for which a server does not start.

use std::io;
use std::net::SocketAddr;

use crate::replica::OpenError;
use crate::runtime::config_error::ServerConfigError;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsError;
use crate::storage::{self, DiskError, ErrorCause};
use crate::types::{Address, NodeId};

/// The reasons for which a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration is invalid.
    #[error("{0}")]
    Config(ServerConfigError),
    /// The directory cannot be opened or locked.
    #[error("{0}")]
    Disk(DiskError),
    /// The node cannot recover from the contents of the disk.
    #[error("{0}")]
    Open(OpenError),
    /// A TLS file of the configuration cannot be used.
    #[cfg(feature = "tls")]
    #[error("{0}")]
    Tls(TlsError),
    /// The server cannot listen at the address.
    #[error("cannot listen at {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Another process answers for this node at the node's address in the cluster, on the original
    /// or a copy of the directory.
    #[error(
        "another process of {node} runs already, and answers at {address}, the address of {node} \
         in the cluster: stop that process first, because two processes of one node must not run; \
         a further node needs an id and an empty directory of its own"
    )]
    RunsAlready {
        /// The node of both processes.
        node: NodeId,
        /// The address at which the other process answers.
        address: Address,
    },
    /// This process may not open as many files as the configuration permits.
    #[error(
        "the node may need {needed} open files, but this process may open {limit}: raise the limit \
         (ulimit -Hn, or LimitNOFILE of the service) to {needed}, or lower \
         network.connections_max"
    )]
    OpenFiles {
        /// The number of open files that the configuration permits.
        needed: u64,
        /// The hard limit, or the current limit if the operating system refuses to raise it.
        limit: u64,
    },
    /// The operating system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Threads(io::Error),
}

impl ServerError {
    /// Returns true if a later start with the same configuration may succeed: the address or the
    /// directory is in use, the machine does not have the address yet, the disk is full, or the
    /// process or the machine lacks a resource, such as threads or open files.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            ServerError::Disk(DiskError::Full | DiskError::Exhausted(_)) => true,
            ServerError::Disk(error) => error.is_in_use(),
            ServerError::Open(OpenError::Storage(storage::OpenError::Full)) => true,
            ServerError::Open(
                OpenError::Storage(storage::OpenError::Failed(failure))
                | OpenError::Snapshot(failure),
            ) => failure.cause == ErrorCause::Exhausted,
            // The other process may end, and networks come up late.
            ServerError::Listen(_, error) => {
                matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
            }
            ServerError::Threads(_) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::StorageError;

    #[test]
    fn a_start_may_succeed_later_unless_an_operator_has_to_change_something() {
        let address = ([127, 0, 0, 1], 1).into();
        let listen = |kind: io::ErrorKind| ServerError::Listen(address, kind.into());
        let open = |error| ServerError::Open(OpenError::Storage(error));
        let failed = |cause| {
            let message = "cannot read the log".to_owned();
            storage::OpenError::Failed(StorageError { file: None, offset: 0, message, cause })
        };
        for error in [
            listen(io::ErrorKind::AddrInUse),
            listen(io::ErrorKind::AddrNotAvailable),
            ServerError::Threads(io::ErrorKind::WouldBlock.into()),
            ServerError::Disk(DiskError::Full),
            ServerError::Disk(DiskError::Exhausted("too many open files".to_owned())),
            open(storage::OpenError::Full),
            open(failed(ErrorCause::Exhausted)),
        ] {
            assert!(error.is_transient(), "{error}");
        }
        for error in [
            listen(io::ErrorKind::PermissionDenied),
            // This directory is most likely a copy, which must not start when the other ends.
            ServerError::RunsAlready { node: NodeId(1), address: Address::default() },
            ServerError::Disk(DiskError::Failed("d1: cannot open".to_owned())),
            ServerError::OpenFiles { needed: 2, limit: 1 },
            open(failed(ErrorCause::Environment)),
            open(storage::OpenError::NotFormatted),
        ] {
            assert!(!error.is_transient(), "{error}");
        }
    }
}
