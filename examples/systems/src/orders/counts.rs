//! The history model of the orders system: the number of orders of each customer.

use quorate_checker::model::{Effect, Model};
use quorate_sim::workload::{Object, RequestBytes};

use crate::common::codec;
use crate::orders::message::{Order, Query, RejectReason, Reply};

/// The model: a counter per customer. The chaos tests check the contents of orders separately.
#[derive(Clone, Copy, Debug)]
struct Counts;

/// An operation on the orders of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CountOperation {
    customer: u64,
    call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    /// Places the next order.
    Next,
    /// Places the order with this number.
    Number(u64),
    /// Returns the last order.
    Last,
    /// Returns the order with a number.
    Find,
}

/// The information in a reply about the last order number of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CountResult {
    /// An order with this number was placed.
    Placed(u64),
    /// The last number of the customer is this one.
    Last(u64),
    /// The last number of the customer is this one or a larger one.
    AtLeast(u64),
}

/// Returns the object against which the chaos tests check their histories.
pub(super) fn object() -> Object {
    Object::new(
        Counts,
        |_, request| operation(request),
        |_, operation, reply| result(operation.call, reply),
    )
}

fn operation(request: RequestBytes<'_>) -> Option<CountOperation> {
    let (customer, call) = match request {
        RequestBytes::Command(command) => {
            let Order { customer, number, .. } = codec::decode(command)?;
            (customer, number.map_or(Call::Next, Call::Number))
        }
        RequestBytes::Query(query) => match codec::decode(query)? {
            Query::Last(customer) => (customer, Call::Last),
            Query::Find(customer, _) => (customer, Call::Find),
            // A page covers all customers.
            Query::Customers(_) => return None,
        },
    };
    let customer = customer.strip_prefix("cust")?.parse().ok()?;
    Some(CountOperation { customer, call })
}

/// Returns the result of a reply, or `None` if the reply has no number and the request had no
/// effect.
fn result(call: Call, reply: &[u8]) -> Option<CountResult> {
    match codec::decode(reply)? {
        Reply::Placed(record) => Some(CountResult::Placed(record.number)),
        Reply::Found(record) if call == Call::Last => Some(CountResult::Last(record.number)),
        Reply::Found(record) => Some(CountResult::AtLeast(record.number)),
        Reply::Rejected(reason) => match reason {
            RejectReason::UnknownCustomer(_) => Some(CountResult::Last(0)),
            RejectReason::UnknownOrder { last, .. } => Some(CountResult::Last(last)),
            RejectReason::NotNext { next, .. } => Some(CountResult::Last(next.checked_sub(1)?)),
            RejectReason::Taken(record) => Some(CountResult::AtLeast(record.number)),
            RejectReason::Name(_) | RejectReason::Full | RejectReason::InvalidRequest => None,
        },
        Reply::Customers(_) => None,
    }
}

impl Model for Counts {
    type State = u64;
    type Op = CountOperation;
    type Ret = CountResult;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, last: &u64, op: &CountOperation, result: Option<&CountResult>) -> Option<u64> {
        let next = last + 1;
        let after = match (op.call, result) {
            (Call::Next, None | Some(CountResult::Placed(_))) => next,
            (Call::Number(number), None | Some(CountResult::Placed(_))) if number == next => next,
            _ => *last,
        };
        let is_legal = match result {
            None => true,
            Some(CountResult::Placed(number)) => {
                *number == next || op.call != Call::Next && number < &next
            }
            Some(CountResult::Last(number)) => number == last,
            Some(CountResult::AtLeast(number)) => number <= last,
        };
        is_legal.then_some(after)
    }

    fn key(&self, op: &CountOperation) -> Option<u64> {
        Some(op.customer)
    }

    fn effect(&self, op: &CountOperation, result: Option<&CountResult>) -> Effect {
        match (op.call, result) {
            (Call::Last | Call::Find, _)
            | (_, Some(CountResult::Last(_) | CountResult::AtLeast(_))) => Effect::ReadOnly,
            _ => Effect::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_the_last_one_and_a_stale_answer_is_rejected() {
        let step = |last: u64, call, result| {
            Counts.step(&last, &CountOperation { customer: 0, call }, result)
        };
        assert_eq!(step(2, Call::Next, Some(&CountResult::Placed(3))), Some(3));
        assert_eq!(step(2, Call::Next, Some(&CountResult::Placed(2))), None);
        assert_eq!(step(2, Call::Next, None), Some(3));
        assert_eq!(step(2, Call::Number(3), Some(&CountResult::Placed(3))), Some(3));
        assert_eq!(
            step(2, Call::Number(1), Some(&CountResult::Placed(1))),
            Some(2),
            "the order is repeated"
        );
        assert_eq!(step(2, Call::Number(5), Some(&CountResult::Placed(5))), None);
        assert_eq!(step(2, Call::Number(5), None), Some(2));
        assert_eq!(step(2, Call::Number(5), Some(&CountResult::Last(2))), Some(2));
        assert_eq!(step(2, Call::Last, Some(&CountResult::Last(1))), None, "a stale answer");
        assert_eq!(step(2, Call::Find, Some(&CountResult::AtLeast(2))), Some(2));
        assert_eq!(step(2, Call::Find, Some(&CountResult::AtLeast(3))), None);
    }
}
