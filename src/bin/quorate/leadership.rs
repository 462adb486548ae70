//! `quorate transfer` and `quorate snapshot`: requests to a node to act now.

use std::time::Duration;

use clap::Args;
use quorate::types::{NodeId, ReadLevel};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult, Exit};
use crate::kv::Query;
use crate::output::report;
use crate::values::{ServerAddress, parse_id};

/// The flags of `transfer`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate transfer
  quorate transfer 2")]
pub(crate) struct TransferFlags {
    /// Id of the new leader [default: the most up-to-date voter that is ready to lead]
    #[arg(value_parser = parse_id)]
    id: Option<u64>,
    #[command(flatten)]
    client: ClientFlags,
}

/// The flags of `snapshot`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  quorate snapshot 127.0.0.1:7101

Waits until the snapshot is on the node's disk. Nodes take snapshots on their own; use this command
before a backup, to include everything acknowledged so far.")]
pub(crate) struct SnapshotFlags {
    /// Address of the node, HOST:PORT
    address: ServerAddress,
    #[command(flatten)]
    client: ClientFlags,
}

/// The interval at which a node's status is polled.
const POLL: Duration = Duration::from_millis(20);

pub(crate) fn transfer(flags: &TransferFlags, json: bool) -> CommandResult {
    let leader = flags.client.run(async |client| {
        client.transfer_leadership(flags.id.map(NodeId)).await?;
        // The transfer is complete: if the new leader does not reply in time, that is not an error.
        let new_leader = timeout(flags.client.timeout.0, async {
            loop {
                let report = client.report_of_leader().await.ok();
                if let Some(leader) = report.and_then(|report| report.status.leader) {
                    return leader;
                }
                sleep(POLL).await;
            }
        });
        Ok(new_leader.await.ok())
    })?;
    report(
        json,
        &match (json, leader) {
            (true, leader) => json!({ "leader": leader.map(|leader| leader.0) }).to_string(),
            (false, Some(leader)) => format!("{leader} is the leader"),
            (false, None) => {
                "leadership was transferred; see `quorate status` for the new leader".to_owned()
            }
        },
    );
    Ok(Exit::Done)
}

pub(crate) fn snapshot(flags: &SnapshotFlags, json: bool) -> CommandResult {
    let ServerAddress(address) = &flags.address;
    let taken = flags.client.run(async |client| {
        // The snapshot must cover everything acknowledged before. This read is answered only once a
        // slow node has caught up.
        let query = Query::Get { key: b"" }.encode();
        let level = ReadLevel::Linearizable;
        let index_min = client.read_at(address, level, &query).await?.index;
        client.snapshot(address).await?;
        let taken = timeout(flags.client.timeout.0, async {
            loop {
                let report = client.report(address).await.ok();
                if let Some(taken) = report.map(|report| report.status.snapshot)
                    && taken >= index_min
                {
                    return taken;
                }
                sleep(POLL).await;
            }
        });
        let late = format!("the snapshot of {address} is not complete: see `quorate status`");
        taken.await.map_err(|_| CommandError::new(Exit::Unknown, late))
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
