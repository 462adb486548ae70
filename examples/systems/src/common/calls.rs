//! The calls of a client to its cluster, without a command line: replies are decoded, and errors
//! have the exit codes of a command.

use std::time::Duration;

use quorate::runtime::Client;
use quorate::types::ReadLevel;
use serde::de::DeserializeOwned;

use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult};

/// The time limit of one attempt at a node, after which the client tries the next node.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(2);

/// The calls of a client. A command makes them through its connection, which remembers the
/// addresses of nodes that reply.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    client: &'a Client,
    /// Called whenever a node has replied.
    on_reply: &'a dyn Fn(),
}

impl<'a> Calls<'a> {
    /// Returns the calls of this client; each reply of a node calls `on_reply`.
    pub fn new(client: &'a Client, on_reply: &'a dyn Fn()) -> Calls<'a> {
        Calls { client, on_reply }
    }

    /// Proposes a command and decodes its reply.
    ///
    /// # Errors
    /// The request was rejected, or its outcome is unknown, for example because its reply is not
    /// valid.
    pub async fn propose<R: DeserializeOwned>(&self, command: &[u8]) -> CommandResult<R> {
        let reply = self.client.propose(checked(command)?).await?;
        (self.on_reply)();
        proposal_reply(&reply)
    }

    /// Reads from the node at the address `at`, or from the node that the level selects, and
    /// decodes the answer.
    ///
    /// # Errors
    /// The request was rejected or not answered, or the answer is not valid.
    pub async fn read<R: DeserializeOwned>(
        &self,
        at: Option<&str>,
        level: ReadLevel,
        query: &[u8],
    ) -> CommandResult<R> {
        let query = checked(query)?;
        let reply = match at {
            Some(address) => self.client.read_at(address, level, query).await?,
            None => self.client.read(level, query).await?,
        };
        self.answered(&reply.answer)
    }

    /// Calls `on_reply`, because a node has replied, and decodes the answer to a read.
    fn answered<R: DeserializeOwned>(&self, reply: &[u8]) -> CommandResult<R> {
        (self.on_reply)();
        codec::decode(reply).ok_or_else(CommandError::unexpected_reply)
    }
}

/// Returns the request, or an error if it is longer than what nodes decode. Such a request would be
/// rejected as if client and node had different versions.
///
/// # Errors
/// The request is too long.
pub fn checked(request: &[u8]) -> CommandResult<&[u8]> {
    if codec::is_too_long(request) {
        let (length, max) = (request.len(), codec::ENCODED_BYTES_MAX);
        let text = format!(
            "the request is too long: it has {length} bytes, and at most {max} are allowed"
        );
        return Err(CommandError::usage(text));
    }
    Ok(request)
}

/// Decodes the reply to a proposal. The proposal was executed, so the outcome of an invalid reply
/// is unknown, and not rejected.
fn proposal_reply<R: DeserializeOwned>(reply: &[u8]) -> CommandResult<R> {
    codec::decode(reply).ok_or_else(CommandError::unknown_reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::exit::Exit;

    #[test]
    fn the_outcome_of_a_proposal_with_an_invalid_reply_is_unknown() {
        let error = proposal_reply::<String>(&[0xFF; 3]).expect_err("no string");
        assert_eq!(error.exit, Exit::Unknown);
        assert_eq!(proposal_reply::<String>(&codec::encode(&"text")), Ok("text".to_owned()));
    }
}
