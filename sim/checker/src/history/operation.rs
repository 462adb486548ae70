//! One operation of one client, and all of them.

use std::fmt;

/// The number of an operation in its history: its place in the order of invocation, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// The place of an invocation or a return in the order of all of them, from 0. No two events
/// share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u32);

impl Moment {
    /// After everything that happens.
    pub const NEVER: Moment = Moment(u32::MAX);
}

/// One sequential client: it has at most one operation open, and none after one whose outcome it
/// never learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u32);

/// What a client knows of what became of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It took effect between its invocation and `at`, and gave `ret`.
    Returned {
        /// When the client learned of it.
        at: Moment,
        /// What it was told.
        ret: R,
    },
    /// It certainly had no effect, and shows nothing.
    Failed,
    /// It took effect at some moment after its invocation, however late, or never.
    Unknown,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// Whose it is.
    pub client: Client,
    /// What was asked.
    pub op: O,
    /// When.
    pub invoked: Moment,
    /// What came of it.
    pub outcome: Outcome<R>,
}

impl<O, R> Operation<O, R> {
    /// When it returned; [`Moment::NEVER`] if its outcome is unknown or a failure.
    #[must_use]
    pub fn returned(&self) -> Moment {
        match self.outcome {
            Outcome::Returned { at, .. } => at,
            Outcome::Failed | Outcome::Unknown => Moment::NEVER,
        }
    }

    /// What it returned, if that is known.
    #[must_use]
    pub fn ret(&self) -> Option<&R> {
        match &self.outcome {
            Outcome::Returned { ret, .. } => Some(ret),
            Outcome::Failed | Outcome::Unknown => None,
        }
    }
}

/// A history: every operation in the order of invocation, so that an [`OpId`] is a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O, R> {
    operations: Vec<Operation<O, R>>,
}

/// Why operations are no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is not invoked after the one before it.
    OutOfOrder(OpId),
    /// It returns before it is invoked, or at [`Moment::NEVER`].
    ReturnsTooEarly(OpId),
    /// Its client had an operation open, or one whose outcome it never learned.
    ClientBusy(OpId),
    /// There are more than four billion.
    TooMany,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::OutOfOrder(OpId(id)) => {
                write!(f, "operation {id} is not invoked after the one before it")
            }
            Malformed::ReturnsTooEarly(OpId(id)) => {
                write!(f, "operation {id} returns before it is invoked")
            }
            Malformed::ClientBusy(OpId(id)) => {
                write!(f, "operation {id} is invoked while its client waits for another")
            }
            Malformed::TooMany => f.write_str("a history has at most four billion operations"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<O, R> Default for History<O, R> {
    fn default() -> History<O, R> {
        History { operations: Vec::new() }
    }
}

impl<O, R> History<O, R> {
    /// The history of `operations`.
    ///
    /// # Errors
    /// What makes them none.
    pub fn new(operations: Vec<Operation<O, R>>) -> Result<History<O, R>, Malformed> {
        if u32::try_from(operations.len()).is_err() {
            return Err(Malformed::TooMany);
        }
        let mut free: std::collections::BTreeMap<Client, Moment> =
            std::collections::BTreeMap::new();
        let mut previous = None;
        for (id, operation) in (0..).map(OpId).zip(&operations) {
            if previous >= Some(operation.invoked) {
                return Err(Malformed::OutOfOrder(id));
            }
            previous = Some(operation.invoked);
            if let Outcome::Returned { at, .. } = operation.outcome
                && (at <= operation.invoked || at == Moment::NEVER)
            {
                return Err(Malformed::ReturnsTooEarly(id));
            }
            let free_at = match operation.outcome {
                Outcome::Failed => operation.invoked,
                _ => operation.returned(),
            };
            let before = free.insert(operation.client, free_at);
            if before.is_some_and(|before| before > operation.invoked) {
                return Err(Malformed::ClientBusy(id));
            }
        }
        Ok(History { operations })
    }

    /// Every operation, in the order of invocation.
    #[must_use]
    pub fn operations(&self) -> &[Operation<O, R>] {
        &self.operations
    }

    /// One operation.
    ///
    /// # Panics
    /// If the history has no such operation.
    #[must_use]
    pub fn operation(&self, id: OpId) -> &Operation<O, R> {
        &self.operations[id.0 as usize]
    }

    /// The same operations with other outcomes, as `outcome` says of each. Where outcomes only
    /// become [`Outcome::Unknown`], nothing that was linearizable stops being so.
    ///
    /// # Panics
    /// In debug builds, if one returns before it is invoked.
    #[must_use]
    pub fn with_outcomes(
        &self,
        mut outcome: impl FnMut(OpId, &Operation<O, R>) -> Outcome<R>,
    ) -> History<O, R>
    where
        O: Clone,
    {
        let changed = |(id, operation): (u32, &Operation<O, R>)| Operation {
            client: operation.client,
            op: operation.op.clone(),
            invoked: operation.invoked,
            outcome: outcome(OpId(id), operation),
        };
        let operations: Vec<Operation<O, R>> = (0..).zip(&self.operations).map(changed).collect();
        debug_assert!(operations.iter().all(|operation| operation.returned() > operation.invoked));
        History { operations }
    }
}
