//! Clients, one for each node, all on one thread. Requests are measured in turn at every node, so
//! that other load on the machine affects all of them equally.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::Instant;

use quorate::runtime::{Client, ClientError};
use quorate::types::ReadLevel;
use tokio::runtime::{Builder, Runtime};

use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::local_cluster::LocalCluster;
use crate::coordinator::bench::measured::{Load, LoadResult, NodeResult, Request};
use crate::coordinator::bench::writer::KEY;
use crate::coordinator::message::Query;

/// The number of warm-up rounds, which are not recorded.
const WARM: u64 = 50;

/// The clients, each with its own connection.
pub(super) struct Readers {
    runtime: Runtime,
    readers: Vec<Reader>,
}

struct Reader {
    client: Client,
    address: String,
    id: u64,
}

impl Readers {
    /// Creates a client for each node.
    ///
    /// # Errors
    /// The operating system provides no event queue, or the configuration of a client is invalid.
    pub(super) fn connect(nodes: &LocalCluster) -> CommandResult<Readers> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| CommandError::usage(format!("cannot wait for sockets: {error}")))?;
        let inside = runtime.enter();
        let reader = |(id, address)| {
            let client = Client::new(nodes.client_config()).map_err(CommandError::usage)?;
            Ok(Reader { client, address, id })
        };
        let readers: CommandResult<_> = (1..).zip(nodes.addresses()).map(reader).collect();
        let readers = readers?;
        drop(inside);
        Ok(Readers { runtime, readers })
    }

    /// Measures each request `rounds` times at each node. The caller adds the latencies of the
    /// writes.
    ///
    /// # Errors
    /// A request was not answered, or `stop` returned true.
    pub(super) fn measure(
        &self,
        load: Load,
        rounds: u64,
        stop: impl Fn() -> bool,
    ) -> CommandResult<LoadResult> {
        self.runtime.block_on(async {
            let mut nodes = Vec::new();
            for reader in &self.readers {
                let status = reader.client.report(&reader.address).await?.status;
                let leads = status.leader == Some(status.id);
                nodes.push(NodeResult { id: reader.id, leads, requests: Default::default() });
            }
            for round in 0..WARM + rounds {
                if stop() {
                    return Err(CommandError::new(Exit::Unavailable, "interrupted by a signal"));
                }
                for (reader, node) in self.readers.iter().zip(&mut nodes) {
                    for request in order(round) {
                        let started = Instant::now();
                        reader.send(request).await?;
                        if round >= WARM {
                            node.requests[request as usize].add(started.elapsed());
                        }
                    }
                }
            }
            Ok(LoadResult { load, nodes, writes: None })
        })
    }
}

/// Returns the order of requests in a round. A node answers a request faster right after another
/// one, so the order changes from round to round: six rounds use each of the six orders once.
fn order(round: u64) -> [Request; Request::ALL.len()] {
    let mut order = Request::ALL;
    order.rotate_left((round % 3) as usize);
    if round / 3 % 2 == 1 {
        order.reverse();
    }
    order
}

impl Reader {
    async fn send(&self, request: Request) -> Result<(), ClientError> {
        let get = || codec::encode(&Query::Get(KEY.to_owned()));
        let (level, query) = match request {
            Request::Nothing => (ReadLevel::Local, Vec::new()),
            Request::Replica => (ReadLevel::Replica, get()),
            Request::Linearizable => (ReadLevel::Linearizable, get()),
        };
        self.client.read_at(&self.address, level, &query).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_order_is_used() {
        let orders: BTreeSet<_> = (0..6).map(|round| order(round).map(|it| it as u8)).collect();
        assert_eq!(orders.len(), 6);
    }
}
