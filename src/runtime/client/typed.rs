//! The client of a cluster whose state machine is [`Typed`](crate::typed::Typed).

use std::marker::PhantomData;

use crate::runtime::client::calls::Client;
use crate::runtime::client::error::ClientError;
use crate::typed::{TypedError, TypedMachine, decode_reply, encode};
use crate::types::ReadLevel;

/// A client of a cluster that runs [`Typed<M>`](crate::typed::Typed): a [`Client`] that proposes
/// and returns values.
pub struct TypedClient<M> {
    client: Client,
    machine: PhantomData<fn() -> M>,
}

impl<M> From<Client> for TypedClient<M> {
    fn from(client: Client) -> TypedClient<M> {
        TypedClient { client, machine: PhantomData }
    }
}

impl<M> Clone for TypedClient<M> {
    fn clone(&self) -> TypedClient<M> {
        TypedClient::from(self.client.clone())
    }
}

impl<M> std::fmt::Debug for TypedClient<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TypedClient").field(&self.client).finish()
    }
}

impl<M: TypedMachine> TypedClient<M> {
    /// Proposes the command, by the rules of [`Client::propose`], and returns its reply.
    ///
    /// # Errors
    /// A [`TypedClientError`].
    pub async fn propose(&self, command: &M::Command) -> Result<M::Reply, TypedClientError> {
        let reply = self.client.propose(&encode(command)?).await?;
        Ok(decode_reply(&reply)?)
    }

    /// Answers the query, by the rules of [`Client::read`].
    ///
    /// # Errors
    /// A [`TypedClientError`].
    pub async fn read(
        &self,
        level: ReadLevel,
        query: &M::Query,
    ) -> Result<M::Answer, TypedClientError> {
        let reply = self.client.read(level, &encode(query)?).await?;
        Ok(decode_reply(&reply.answer)?)
    }

    /// Returns the client of bytes, for memberships, reports and all else without values.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// The error of a call of a [`TypedClient`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedClientError {
    /// The call failed; [`ClientError`] says whether the request may have been executed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The request or its result could not be encoded or decoded.
    #[error(transparent)]
    Value(#[from] TypedError),
}
