//! `quorate quota`: shows and sets the quota of the store, and clears its alarm.

use clap::{Args, Subcommand};
use quorate::machine::QuotaCommand;
use quorate::types::QuotaUsage;
use serde_json::json;

use crate::client::ClientFlags;
use crate::exit::{CommandResult, Exit};
use crate::keys::wrong_state_machine;
use crate::kv::Reply;
use crate::output::{print, report};
use crate::values::Bytes;

/// The flags of `quota`.
#[derive(Args, Debug)]
pub(crate) struct QuotaFlags {
    #[command(subcommand)]
    request: Quota,
}

/// The requests about the quota. The quota is a part of the replicated state: every node has the
/// same quota.
#[derive(Debug, Subcommand)]
enum Quota {
    /// Show the quota, how much of it is used, and whether the alarm is on
    #[command(after_help = "\
Example:
  quorate quota show

Exit code 1: the alarm is on, and writes that grow the store are rejected.")]
    Show {
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Set the quota of every node
    #[command(after_help = "\
Example:
  quorate quota set 4GiB

The quota is 2 GiB until it is set. Each pair counts as the bytes of its key and value, plus 64. If
the store exceeds the new quota, the alarm is raised. For administrators.")]
    Set {
        /// The quota: 4096, 64KiB, 16MiB, 1GiB
        bytes: Bytes,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Clear the alarm, after keys were deleted or the quota was raised
    #[command(after_help = "\
Example:
  quorate quota clear

Exit code 1: the store still exceeds its quota, and the alarm stays on. For administrators.")]
    Clear {
        #[command(flatten)]
        client: ClientFlags,
    },
}

pub(crate) fn run(flags: &QuotaFlags, json: bool) -> CommandResult {
    match &flags.request {
        Quota::Show { client } => show(client, json),
        Quota::Set { bytes, client } => {
            administer(client, QuotaCommand::SetBytes(bytes.0))?;
            let text = format!("the quota is {} bytes", bytes.0);
            report(json, &if json { json!({ "quota": bytes.0 }).to_string() } else { text });
            Ok(Exit::Done)
        }
        Quota::Clear { client } => {
            let cleared = administer(client, QuotaCommand::ClearAlarm)?;
            let text = match (json, cleared) {
                (true, cleared) => json!({ "cleared": cleared }).to_string(),
                (false, true) => "the alarm is off".to_owned(),
                (false, false) => {
                    "the alarm stays on: delete keys, or raise the quota (`quorate quota set`)"
                        .to_owned()
                }
            };
            report(json, &text);
            Ok(if cleared { Exit::Done } else { Exit::Negative })
        }
    }
}

/// Sends the command, and returns whether the store carried it out.
fn administer(client: &ClientFlags, command: QuotaCommand) -> CommandResult<bool> {
    let reply = client.run(async |client| Ok(client.administer(&command.encode()).await?))?;
    match Reply::decode(&reply) {
        Some(Reply::Done(_)) => Ok(true),
        Some(Reply::NoSpace(_)) => Ok(false),
        Some(Reply::Differs(_) | Reply::DiffersFromLargeValue(_) | Reply::Invalid) | None => {
            Err(wrong_state_machine())
        }
    }
}

fn show(client: &ClientFlags, json: bool) -> CommandResult {
    let quota = client.run(async |client| Ok(client.report_of_leader().await?.usage.quota))?;
    let quota = quota.ok_or_else(wrong_state_machine)?;
    let text = match json {
        true => json_of(&quota).to_string(),
        false => text_of(&quota),
    };
    print(&text)?;
    Ok(if quota.alarm { Exit::Negative } else { Exit::Done })
}

/// Returns the quota and its use as JSON.
pub(crate) fn json_of(quota: &QuotaUsage) -> serde_json::Value {
    json!({ "used": quota.used_bytes, "quota": quota.bytes_max, "alarm": quota.alarm })
}

/// Returns the quota and its use as text.
pub(crate) fn text_of(quota: &QuotaUsage) -> String {
    let QuotaUsage { used_bytes, bytes_max, alarm } = quota;
    let alarm = if *alarm { ", the alarm is on" } else { "" };
    format!("{used_bytes} of {bytes_max} bytes{alarm}")
}
