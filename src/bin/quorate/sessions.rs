//! `quorate sessions`: shows and sets the bounds of the client sessions.

use clap::{Args, Subcommand};
use quorate::types::{MachineUsage, SessionBounds};
use serde_json::{Value, json};

use crate::client::{ClientFlags, applied_report};
use crate::exit::{CommandError, CommandResult, Exit};
use crate::output::{print, report};
use crate::values::{Bytes, COUNTS, number};

/// The flags of `sessions`.
#[derive(Args, Debug)]
pub(crate) struct SessionsFlags {
    #[command(subcommand)]
    request: Sessions,
}

/// The requests about the bounds, which are a part of the replicated state.
#[derive(Debug, Subcommand)]
enum Sessions {
    /// Show the bounds of the client sessions, and their use on the leader
    #[command(after_help = "Example:\n  quorate sessions show")]
    Show {
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Set bounds of the client sessions on every node; a bound that is not given stays as it is
    #[command(after_help = "\
Example:
  quorate sessions set --per-principal 256

A principal is the name in a client's certificate; without TLS all clients are one principal.
Sessions beyond the new bounds expire, the least recently used ones first. Clients whose sessions
are larger than a bound are rejected: `put`, `cas`, `delete` and `bench` need a window of 1 and 1MiB
of replies, and other clients what their programs ask for. For administrators.")]
    Set {
        #[command(flatten)]
        bounds: Box<BoundsFlags>,
        #[command(flatten)]
        client: ClientFlags,
    },
}

/// The bounds to set, at least one.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct BoundsFlags {
    /// Maximum number of sessions
    #[arg(long, value_name = "N", value_parser = number::<u32>(COUNTS))]
    max: Option<u32>,
    /// Maximum number of sessions of one principal
    #[arg(long, value_name = "N", value_parser = number::<u32>(COUNTS))]
    per_principal: Option<u32>,
    /// Largest window of a session, which is the number of requests that it stores
    #[arg(long, value_name = "N", value_parser = number::<u32>(COUNTS))]
    window: Option<u32>,
    /// Maximum number of requests that all sessions store
    #[arg(long, value_name = "N", value_parser = number::<u32>(COUNTS))]
    requests: Option<u32>,
    /// Maximum number of requests that the sessions of one principal store
    #[arg(long, value_name = "N", value_parser = number::<u32>(COUNTS))]
    requests_per_principal: Option<u32>,
    /// Maximum size of the replies that all sessions store
    #[arg(long, value_name = "SIZE")]
    replies: Option<Bytes>,
    /// Maximum size of the replies that the sessions of one principal store
    #[arg(long, value_name = "SIZE")]
    replies_per_principal: Option<Bytes>,
    /// Maximum size of the replies that one session stores
    #[arg(long, value_name = "SIZE")]
    replies_per_session: Option<Bytes>,
}

pub(crate) fn run(flags: &SessionsFlags, json: bool) -> CommandResult {
    match &flags.request {
        Sessions::Show { client } => {
            let usage = client.run(async |client| Ok(client.report_of_leader().await?.usage))?;
            print(&if json { json_of(&usage).to_string() } else { text_of(&usage) })?;
        }
        Sessions::Set { bounds, client } => {
            let timeout = client.timeout.0;
            let now = client.run(async |client| {
                // The other bounds stay as they are, so they must not be those of a node that lags.
                let report = applied_report(&client, timeout).await?;
                let now = bounds.change(report.usage.bounds)?;
                client.set_session_bounds(now).await?;
                Ok(now)
            })?;
            let usage = MachineUsage { bounds: now, ..MachineUsage::default() };
            let text = if json { json_of(&usage).to_string() } else { "the bounds are set".into() };
            report(json, &text);
        }
    }
    Ok(Exit::Done)
}

impl BoundsFlags {
    /// Returns `bounds` with the changes of the flags.
    fn change(&self, bounds: SessionBounds) -> CommandResult<SessionBounds> {
        let of_session = match self.replies_per_session {
            None => bounds.replies_bytes_per_session_max,
            Some(Bytes(bytes)) => u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        let bytes = |flag: Option<Bytes>, now| flag.map_or(now, |Bytes(bytes)| bytes);
        let of_principal = bounds.replies_bytes_per_principal_max;
        let changed = SessionBounds {
            sessions_max: self.max.unwrap_or(bounds.sessions_max),
            sessions_per_principal_max: self
                .per_principal
                .unwrap_or(bounds.sessions_per_principal_max),
            window_max: self.window.unwrap_or(bounds.window_max),
            requests_per_principal_max: self
                .requests_per_principal
                .unwrap_or(bounds.requests_per_principal_max),
            requests_max: self.requests.unwrap_or(bounds.requests_max),
            replies_bytes_per_session_max: of_session,
            replies_bytes_per_principal_max: bytes(self.replies_per_principal, of_principal),
            replies_bytes_max: bytes(self.replies, bounds.replies_bytes_max),
        };
        match changed.error() {
            None => Ok(changed),
            Some(error) => Err(CommandError::invalid_input(error)),
        }
    }
}

fn json_of(usage: &MachineUsage) -> Value {
    let bounds = &usage.bounds;
    json!({
        "sessions": usage.sessions,
        "sessions_max": bounds.sessions_max,
        "sessions_per_principal_max": bounds.sessions_per_principal_max,
        "window_max": bounds.window_max,
        "requests": usage.requests,
        "requests_max": bounds.requests_max,
        "requests_per_principal_max": bounds.requests_per_principal_max,
        "replies_bytes": usage.replies_bytes,
        "replies_bytes_max": bounds.replies_bytes_max,
        "replies_bytes_per_principal_max": bounds.replies_bytes_per_principal_max,
        "replies_bytes_per_session_max": bounds.replies_bytes_per_session_max,
    })
}

fn text_of(usage: &MachineUsage) -> String {
    let bounds = &usage.bounds;
    let rows = [
        ("sessions", usage.sessions, u64::from(bounds.sessions_max)),
        ("stored requests", usage.requests, u64::from(bounds.requests_max)),
        ("stored replies, bytes", usage.replies_bytes, bounds.replies_bytes_max),
    ];
    let rows = rows.map(|(name, used, max)| format!("{name}: {used} of {max}\n"));
    format!(
        "{}of one principal: {} sessions, {} stored requests, {} bytes of replies\n\
         of one session: a window of {}, {} bytes of replies",
        rows.concat(),
        bounds.sessions_per_principal_max,
        bounds.requests_per_principal_max,
        bounds.replies_bytes_per_principal_max,
        bounds.window_max,
        bounds.replies_bytes_per_session_max,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_changes_one_bound_and_invalid_bounds_are_rejected() {
        let mut flags = BoundsFlags {
            max: None,
            per_principal: Some(7),
            window: None,
            requests: None,
            requests_per_principal: None,
            replies: None,
            replies_per_principal: None,
            replies_per_session: Some(Bytes(9)),
        };
        let expected = SessionBounds {
            sessions_per_principal_max: 7,
            replies_bytes_per_session_max: 9,
            ..SessionBounds::DEFAULT
        };
        assert_eq!(flags.change(SessionBounds::DEFAULT), Ok(expected));
        flags.max = Some(6);
        let error = flags.change(SessionBounds::DEFAULT).expect_err("fewer than 7");
        assert!(error.text.contains("at most those of all"), "{error:?}");
    }
}
