//! `quorate transfer` and `quorate snapshot`: what an operator tells a node to do now.

use std::time::Duration;

use clap::Args;
use quorate::types::{NodeId, ReadLevel};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::client::ClientFlags;
use crate::exit::{Exit, Trouble};
use crate::kv::Query;
use crate::output::report;

/// What `transfer` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate transfer
  quorate transfer 2")]
pub(crate) struct TransferFlags {
    /// Who is to lead; without it, the best of the others
    id: Option<u64>,
    #[command(flatten)]
    client: ClientFlags,
}

/// What `snapshot` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  quorate snapshot 127.0.0.1:7101

It ends when the snapshot is on the node's disk. Nodes take snapshots by themselves; this is for a
backup of all that is there now.")]
pub(crate) struct SnapshotFlags {
    /// The node's address
    address: String,
    #[command(flatten)]
    client: ClientFlags,
}

/// How often a node is asked how far it is.
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn transfer(flags: &TransferFlags, json: bool) -> Result<Exit, Trouble> {
    let leader = flags.client.run(async |client| {
        client.transfer(flags.id.map(NodeId)).await?;
        // It is done: that nobody answers for a while makes it no failure.
        let heard = timeout(flags.client.timeout.0, async {
            loop {
                let report = client.report_of_leader().await.ok();
                if let Some(leader) = report.and_then(|report| report.status.leader) {
                    return leader;
                }
                sleep(POLL).await;
            }
        });
        Ok(heard.await.ok())
    })?;
    report(
        json,
        &match (json, leader) {
            (true, leader) => json!({ "leader": leader.map(|leader| leader.0) }).to_string(),
            (false, Some(leader)) => format!("{leader} leads"),
            (false, None) => {
                "handed over; who leads now is not known yet: see `quorate status`".to_owned()
            }
        },
    );
    Ok(Exit::Done)
}

pub(crate) fn snapshot(flags: &SnapshotFlags, json: bool) -> Result<Exit, Trouble> {
    let address = &flags.address;
    let taken = flags.client.run(async |client| {
        // As far as anything was acknowledged before: a node that lags catches up first.
        let query = Query::Get { key: b"" }.encode();
        let level = ReadLevel::Linearizable;
        let wanted = client.read_at(address, level, &query).await?.index;
        client.snapshot(address).await?;
        let taken = timeout(flags.client.timeout.0, async {
            loop {
                let report = client.report(address).await.ok();
                if let Some(taken) = report.map(|report| report.status.snapshot)
                    && taken >= wanted
                {
                    return taken;
                }
                sleep(POLL).await;
            }
        });
        let late = format!("{address} was told, and is not known to be done: see `quorate status`");
        taken.await.map_err(|_| Trouble::new(Exit::Unknown, late))
    })?;
    report(
        json,
        &match json {
            true => json!({ "snapshot": taken.0 }).to_string(),
            false => format!("{address} has a snapshot through index {taken}"),
        },
    );
    Ok(Exit::Done)
}
