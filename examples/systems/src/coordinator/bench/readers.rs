//! One client for each node, all on one thread: every request is measured in turn at every node, so
//! that what else the machine does meets all of them alike.
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::time::Instant;

use quorate::runtime::{Client, ClientError};
use quorate::types::ReadLevel;
use tokio::runtime::{Builder, Runtime};

use crate::common::codec;
use crate::common::exit::{Exit, Trouble};
use crate::common::nodes::Nodes;
use crate::coordinator::bench::measured::{AtNode, Load, Measured, Request};
use crate::coordinator::bench::writer::KEY;
use crate::coordinator::message::Query;

/// How many rounds nobody looks at: connections come about, memory is touched.
const WARM: u64 = 50;

/// Clients, each with a connection of its own.
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
    /// A client for each node.
    ///
    /// # Errors
    /// The system has no threads.
    pub(super) fn connect(nodes: &Nodes) -> Result<Readers, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
        let inside = runtime.enter();
        let reader = |(id, address)| {
            let client = Client::new(nodes.client_config()).map_err(Trouble::wrong)?;
            Ok(Reader { client, address, id })
        };
        let readers: Result<_, Trouble> = (1..).zip(nodes.addresses()).map(reader).collect();
        let readers = readers?;
        drop(inside);
        Ok(Readers { runtime, readers })
    }

    /// Measures each request so many times at each node; the writes are for others to add.
    ///
    /// # Errors
    /// Something was not answered, or it is to `stop`.
    pub(super) fn measure(
        &self,
        load: Load,
        rounds: u64,
        stop: impl Fn() -> bool,
    ) -> Result<Measured, Trouble> {
        self.runtime.block_on(async {
            let mut nodes = Vec::new();
            for reader in &self.readers {
                let status = reader.client.report(&reader.address).await?.status;
                let leads = status.leader == Some(status.id);
                nodes.push(AtNode { id: reader.id, leads, requests: Default::default() });
            }
            for round in 0..WARM + rounds {
                if stop() {
                    return Err(Trouble::new(Exit::Unreached, "stopped before it was over"));
                }
                for (reader, node) in self.readers.iter().zip(&mut nodes) {
                    for request in order(round) {
                        let asked = Instant::now();
                        reader.ask(request).await?;
                        if round >= WARM {
                            node.requests[request as usize].add(asked.elapsed());
                        }
                    }
                }
            }
            Ok(Measured { load, nodes, writes: None })
        })
    }
}

/// The order of a round: each comes first as often as any other, and after each as often, for a
/// node that was asked just now answers sooner.
fn order(round: u64) -> [Request; Request::ALL.len()] {
    let mut order = Request::ALL;
    order.rotate_left((round % 3) as usize);
    if round / 3 % 2 == 1 {
        order.reverse();
    }
    order
}

impl Reader {
    async fn ask(&self, request: Request) -> Result<(), ClientError> {
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
    fn every_order_has_its_turn() {
        let orders: BTreeSet<_> = (0..6).map(|round| order(round).map(|it| it as u8)).collect();
        assert_eq!(orders.len(), 6);
    }
}
