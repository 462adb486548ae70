//! The client of a cluster whose state machine is a [`TypedMachine`].

use std::marker::PhantomData;

use crate::runtime::client::calls::Client;
use crate::runtime::client::error::ClientError;
use crate::typed::{TypedError, TypedMachine, decode_reply, encode};
use crate::types::ReadLevel;

/// A client of a cluster that runs the [`TypedMachine`] `M`: a [`Client`] that proposes and returns
/// values. [`Client::typed`] makes one.
pub struct TypedClient<M> {
    client: Client,
    machine: PhantomData<fn() -> M>,
}

impl Client {
    /// Returns this client with the typed commands and queries of the state machine `M`, which the
    /// nodes must run: a node of another machine rejects what it cannot decode.
    #[must_use]
    pub fn typed<M: TypedMachine>(self) -> TypedClient<M> {
        TypedClient { client: self, machine: PhantomData }
    }
}

impl<M> Clone for TypedClient<M> {
    fn clone(&self) -> TypedClient<M> {
        TypedClient { client: self.client.clone(), machine: PhantomData }
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

    /// Sends the query, by the rules of [`Client::read`], and returns the answer.
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

    /// Returns the client of bytes, for memberships, reports and all other calls without typed
    /// values.
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
