//! Operations, their outcomes, and the history that holds them.

/// The number of an operation in its history: its place in the order of invocation, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// The index of an event (an invocation or a response) in the total order of all events of a
/// history, from 0. No two events share an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIndex(pub u32);

impl EventIndex {
    /// An index greater than that of every event.
    pub const NEVER: EventIndex = EventIndex(u32::MAX);
}

/// A sequential client. It has at most one pending operation, and invokes nothing after an
/// operation whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u32);

/// The outcome of an operation, as far as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The operation took effect between its invocation and `at`, and returned `ret`.
    Returned {
        /// The index of the response.
        at: EventIndex,
        /// The value that the operation returned.
        ret: R,
    },
    /// The operation certainly had no effect. It constrains nothing.
    Failed,
    /// The operation took effect at any point after its invocation, or never.
    Unknown,
}

/// One operation of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// The client that invoked the operation.
    pub client: Client,
    /// The operation and its arguments.
    pub op: O,
    /// The index of the invocation.
    pub invoked: EventIndex,
    /// The outcome of the operation.
    pub outcome: Outcome<R>,
}

impl<O, R> Operation<O, R> {
    /// Returns the index of the response, or [`EventIndex::NEVER`] if the operation failed or its
    /// outcome is unknown.
    #[must_use]
    pub fn returned(&self) -> EventIndex {
        match self.outcome {
            Outcome::Returned { at, .. } => at,
            Outcome::Failed | Outcome::Unknown => EventIndex::NEVER,
        }
    }

    /// Returns the returned value, if the operation returned.
    #[must_use]
    pub fn ret(&self) -> Option<&R> {
        match &self.outcome {
            Outcome::Returned { ret, .. } => Some(ret),
            Outcome::Failed | Outcome::Unknown => None,
        }
    }
}

/// A history: all operations in the order of invocation. An [`OpId`] is a position in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O, R> {
    operations: Vec<Operation<O, R>>,
}

/// The reason why a list of operations is not a well-formed history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The operation is not invoked after the operation before it in the list.
    #[error("operation {} is not invoked after the operation before it", .0.0)]
    OutOfOrder(OpId),
    /// The operation does not return after its invocation, or returns at [`EventIndex::NEVER`].
    #[error("operation {} does not return at an event after its invocation", .0.0)]
    ReturnsTooEarly(OpId),
    /// The operation returns at an event that is also an event of the other operation.
    #[error("operation {} returns at an event of operation {}", .0.0, .1.0)]
    SharedEvent(OpId, OpId),
    /// The client already had a pending operation, or one whose outcome is unknown.
    #[error("operation {} is invoked while its client has a pending operation", .0.0)]
    ClientBusy(OpId),
    /// The list has more than `u32::MAX` operations.
    #[error("a history has at most four billion operations")]
    TooManyOperations,
}

impl<O, R> Default for History<O, R> {
    fn default() -> History<O, R> {
        History { operations: Vec::new() }
    }
}

impl<O, R> History<O, R> {
    /// Creates the history of `operations`, which must be in the order of invocation.
    ///
    /// No two events share an index. A caller whose events have times numbers them such that of
    /// those with one time the invocations come first: then operations that may have overlapped do.
    ///
    /// # Errors
    /// Returns a [`HistoryError`] for the first operation that is not well-formed.
    pub fn new(operations: Vec<Operation<O, R>>) -> Result<History<O, R>, HistoryError> {
        if u32::try_from(operations.len()).is_err() {
            return Err(HistoryError::TooManyOperations);
        }
        let mut free: std::collections::BTreeMap<Client, EventIndex> =
            std::collections::BTreeMap::new();
        let mut previous = None;
        for (id, operation) in (0..).map(OpId).zip(&operations) {
            if previous >= Some(operation.invoked) {
                return Err(HistoryError::OutOfOrder(id));
            }
            previous = Some(operation.invoked);
            if let Outcome::Returned { at, .. } = operation.outcome
                && (at <= operation.invoked || at == EventIndex::NEVER)
            {
                return Err(HistoryError::ReturnsTooEarly(id));
            }
            let free_at = match operation.outcome {
                Outcome::Failed => operation.invoked,
                _ => operation.returned(),
            };
            let before = free.insert(operation.client, free_at);
            if before.is_some_and(|before| before > operation.invoked) {
                return Err(HistoryError::ClientBusy(id));
            }
        }
        match shared_event(&operations) {
            Some((one, other)) => Err(HistoryError::SharedEvent(one, other)),
            None => Ok(History { operations }),
        }
    }

    /// Returns all operations, in the order of invocation.
    #[must_use]
    pub fn operations(&self) -> &[Operation<O, R>] {
        &self.operations
    }

    /// Returns the operation with the number `id`.
    ///
    /// # Panics
    /// If the history has no such operation.
    #[must_use]
    pub fn operation(&self, id: OpId) -> &Operation<O, R> {
        &self.operations[id.0 as usize]
    }

    /// Returns the same operations, of which those that returned and are not `known` have an
    /// unknown outcome.
    pub(crate) fn with_known(&self, known: impl Fn(OpId) -> bool) -> History<O, R>
    where
        O: Clone,
        R: Clone,
    {
        self.with_outcomes(|id, operation| match &operation.outcome {
            Outcome::Returned { .. } if !known(id) => Outcome::Unknown,
            outcome => outcome.clone(),
        })
    }

    /// Returns the same operations with the outcomes that `outcome` returns. Changing outcomes only
    /// to [`Outcome::Unknown`] keeps a linearizable history linearizable.
    ///
    /// # Panics
    /// If an operation returns before its invocation, or at an event of another operation.
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
        let before = self.operations.iter().map(Operation::returned);
        let keeps = |(one, before): (&Operation<O, R>, EventIndex)| {
            [before, EventIndex::NEVER].contains(&one.returned())
        };
        if !operations.iter().zip(before).all(keeps) {
            assert!(operations.iter().all(|operation| operation.returned() > operation.invoked));
            assert_eq!(shared_event(&operations), None, "two operations share an event");
        }
        History { operations }
    }
}

/// Returns the first operation that returns at an event of another one, and the other one, if
/// there are any. The invocations of `operations` ascend.
fn shared_event<O, R>(operations: &[Operation<O, R>]) -> Option<(OpId, OpId)> {
    let returned = (0..).map(OpId).zip(operations).map(|(id, one)| (one.returned(), id));
    let mut returned: Vec<(EventIndex, OpId)> =
        returned.filter(|(at, _)| *at != EventIndex::NEVER).collect();
    returned.sort_unstable();
    let mut invoked = (0..).map(OpId).zip(operations).map(|(id, one)| (one.invoked, id)).peekable();
    let mut before = None;
    for (at, id) in returned {
        while invoked.next_if(|(other, _)| *other < at).is_some() {}
        let invoked = invoked.peek().copied().filter(|(other, _)| *other == at);
        if let Some((_, other)) = before.filter(|(other, _)| *other == at).or(invoked) {
            return Some((id, other));
        }
        before = Some((at, id));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_operations_share_no_event() {
        let operation = |client, invoked, at| Operation {
            client: Client(client),
            op: (),
            invoked: EventIndex(invoked),
            outcome: Outcome::Returned { at: EventIndex(at), ret: () },
        };
        let shared = |operations: Vec<Operation<(), ()>>| History::new(operations).err();
        let error = Some(HistoryError::SharedEvent(OpId(0), OpId(1)));
        assert_eq!(shared(vec![operation(0, 0, 4), operation(1, 4, 5)]), error);
        let error = Some(HistoryError::SharedEvent(OpId(2), OpId(0)));
        let three = [operation(0, 0, 7), operation(1, 1, 3), operation(2, 2, 7)];
        assert_eq!(shared(three.to_vec()), error);
        assert_eq!(shared(vec![operation(0, 0, 4), operation(1, 3, 5)]), None);
    }

    #[test]
    #[should_panic(expected = "two operations share an event")]
    fn changed_outcomes_share_no_event() {
        let one = Operation {
            client: Client(0),
            op: (),
            invoked: EventIndex(0),
            outcome: Outcome::<()>::Unknown,
        };
        let other = Operation { client: Client(1), invoked: EventIndex(1), ..one };
        let history = History::new(vec![one, other]).expect("two invocations");
        let _ = history.with_outcomes(|_, _| Outcome::Returned { at: EventIndex(2), ret: () });
    }

    #[test]
    fn a_client_goes_on_once_its_operation_has_an_outcome() {
        let returned = |at| Outcome::Returned { at: EventIndex(at), ret: () };
        let outcomes = [returned(1), Outcome::Failed, returned(3), Outcome::Unknown];
        for (outcome, goes_on) in std::iter::zip(outcomes, [true, true, false, false]) {
            for client in [0, 1] {
                let first =
                    Operation { client: Client(0), op: (), invoked: EventIndex(0), outcome };
                let (client, invoked) = (Client(client), EventIndex(2));
                let second = Operation { client, invoked, ..first };
                let second = Operation { outcome: Outcome::Failed, ..second };
                let history = History::new(vec![first, second]);
                let is_busy = history == Err(HistoryError::ClientBusy(OpId(1)));
                assert_eq!(is_busy, client == Client(0) && !goes_on, "{history:?}");
            }
        }
    }
}
