//! The client of the coordinator, without a command line.

use quorate::runtime::ClientConfig;
use quorate::types::{Acknowledge, ReadLevel};

use crate::common::calls::Calls;
use crate::common::codec;
use crate::common::exit::CommandResult;
use crate::coordinator::message::{Command, Query, Reply};

/// Configures a client whose writes are acknowledged once every live node has them.
pub fn configure(config: &mut ClientConfig) {
    config.acknowledge = Acknowledge::AllLive;
}

/// The keys of the cluster, as a client writes and reads them.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    calls: Calls<'a>,
    read_level: ReadLevel,
}

impl<'a> Keys<'a> {
    /// Returns the keys. One node answers each read, locally if it holds a lease.
    #[must_use]
    pub fn new(calls: Calls<'a>) -> Keys<'a> {
        Keys { calls, read_level: ReadLevel::Replica }
    }

    /// Returns the same keys, read at another level.
    #[must_use]
    pub fn at_level(self, read_level: ReadLevel) -> Keys<'a> {
        Keys { read_level, ..self }
    }

    /// Proposes a command and returns its reply.
    ///
    /// # Errors
    /// The cluster rejected the command, or its outcome is unknown.
    pub async fn propose(&self, command: &Command) -> CommandResult<Reply> {
        self.calls.propose(&codec::encode(command)).await
    }

    /// Reads from the node at this address, or from any one, and returns the reply.
    ///
    /// # Errors
    /// The cluster rejected the query, or no node answers.
    pub async fn read(&self, at: Option<&str>, query: &Query) -> CommandResult<Reply> {
        self.calls.read(at, self.read_level, &codec::encode(query)).await
    }

    /// Reads all pairs page by page, and passes each page to `each`; the last page is empty. Values
    /// may change between two pages.
    ///
    /// # Errors
    /// The cluster rejected a query, no node answers, or the error of `each`.
    pub async fn pages(
        &self,
        at: Option<&str>,
        mut each: impl FnMut(Reply) -> CommandResult<()>,
    ) -> CommandResult<()> {
        let mut after = None;
        loop {
            let page = self.read(at, &Query::Pairs(after)).await?;
            after = match &page {
                Reply::Pairs(pairs) => pairs.last().map(|(key, _)| key.clone()),
                _ => None,
            };
            each(page)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
