//! The algorithm: one door in, one door out.

mod action;
mod config;
mod input;
mod status;
mod trace;

pub use action::{Action, Refusal, RejectReason, RoleName};
pub use config::{Config, ConfigError};
pub use input::{Consumer, Input};
pub use status::{PeerStatus, Refusals, Status};

use alloc::vec::Vec;
use core::fmt;

use crate::types::{Instant, Membership, Restored};

/// One node of the cluster, without clock, network or disk.
#[derive(Clone, Debug)]
pub struct Raft {}

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration makes no sense.
    Config(ConfigError),
    /// What was restored contradicts itself; the text names the field.
    Restored(&'static str),
}

impl Raft {
    /// Starts a node.
    ///
    /// # Errors
    /// A [`StartError`].
    pub fn new(
        _config: Config,
        _restored: Restored,
        _seed: u64,
        _now: Instant,
    ) -> Result<Raft, StartError> {
        unimplemented!()
    }

    /// Takes one input, appends to `actions` what is to be done.
    pub fn step(&mut self, _now: Instant, _input: Input, _actions: &mut Vec<Action>) {
        unimplemented!()
    }

    /// When the node wants `Input::Timeout` at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        unimplemented!()
    }

    /// The node's state at a glance.
    #[must_use]
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// The membership in force.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        unimplemented!()
    }

    /// How many messages were refused, by reason.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        unimplemented!()
    }

    /// How far each peer is; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        unimplemented!()
    }

    /// Panics if the node's parts contradict one another. `step` does so by itself in builds with
    /// debug assertions; a simulator calls it in others.
    pub fn assert_invariants(&self) {
        unimplemented!()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Restored(what) => write!(f, "the restored state is wrong: {what}"),
        }
    }
}

impl core::error::Error for StartError {}
