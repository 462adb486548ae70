//! A customer's orders as clients count them: what their histories are held against in the storms.

use quorate_checker::model::{Effect, Model};
use quorate_sim::workload::{Object, Question};

use crate::common::codec;
use crate::orders::message::{Order, Query, Refusal, Reply};

/// How many orders each customer has. Whose they are, the storms look up in the log.
#[derive(Clone, Copy, Debug)]
struct Counts;

/// What a customer's orders are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    customer: u64,
    call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    /// To place the next one.
    Next,
    /// To place the one of this number.
    Number(u64),
    /// To show the last one.
    Last,
    /// To show one.
    Find,
}

/// What that shows of the customer's last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    /// An order of this number is placed.
    Placed(u64),
    /// It is this.
    Last(u64),
    /// It is no less than this.
    AtLeast(u64),
}

/// The object of the storms' clients.
pub(super) fn object() -> Object {
    Object::new(Counts, |_, question| asked(question), |_, asked, reply| told(asked.call, reply))
}

fn asked(question: Question<'_>) -> Option<Asked> {
    let (customer, call) = match question {
        Question::Command(command) => {
            let Order { customer, number, .. } = codec::decode(command)?;
            (customer, number.map_or(Call::Next, Call::Number))
        }
        Question::Query(query) => match codec::decode(query)? {
            Query::Last(customer) => (customer, Call::Last),
            Query::Find(customer, _) => (customer, Call::Find),
            // One page is of all customers.
            Query::Customers(_) => return None,
        },
    };
    let customer = customer.strip_prefix("cust")?.parse().ok()?;
    Some(Asked { customer, call })
}

/// Nothing, if it says nothing of a number and nothing happened.
fn told(call: Call, reply: &[u8]) -> Option<Told> {
    match codec::decode(reply)? {
        Reply::Placed(record) => Some(Told::Placed(record.number)),
        Reply::Found(record) if call == Call::Last => Some(Told::Last(record.number)),
        Reply::Found(record) => Some(Told::AtLeast(record.number)),
        Reply::Refused(refusal) => match refusal {
            Refusal::UnknownCustomer(_) => Some(Told::Last(0)),
            Refusal::UnknownOrder { last, .. } => Some(Told::Last(last)),
            Refusal::NotNext { next, .. } => Some(Told::Last(next.checked_sub(1)?)),
            Refusal::Taken(record) => Some(Told::AtLeast(record.number)),
            Refusal::Name(_) | Refusal::Full | Refusal::Malformed => None,
        },
        Reply::Customers(_) => None,
    }
}

impl Model for Counts {
    type State = u64;
    type Op = Asked;
    type Ret = Told;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, last: &u64, op: &Asked, told: Option<&Told>) -> Option<u64> {
        let next = last + 1;
        let after = match (op.call, told) {
            (Call::Next, None | Some(Told::Placed(_))) => next,
            (Call::Number(number), None | Some(Told::Placed(_))) if number == next => next,
            _ => *last,
        };
        let fits = match told {
            None => true,
            Some(Told::Placed(number)) => {
                *number == next || op.call != Call::Next && number < &next
            }
            Some(Told::Last(number)) => number == last,
            Some(Told::AtLeast(number)) => number <= last,
        };
        fits.then_some(after)
    }

    fn key(&self, op: &Asked) -> Option<u64> {
        Some(op.customer)
    }

    fn effect(&self, op: &Asked, told: Option<&Told>) -> Effect {
        match (op.call, told) {
            (Call::Last | Call::Find, _) | (_, Some(Told::Last(_) | Told::AtLeast(_))) => {
                Effect::Observe
            }
            _ => Effect::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_the_last_one_and_an_old_answer_does_not_fit() {
        let step = |last: u64, call, told| Counts.step(&last, &Asked { customer: 0, call }, told);
        assert_eq!(step(2, Call::Next, Some(&Told::Placed(3))), Some(3));
        assert_eq!(step(2, Call::Next, Some(&Told::Placed(2))), None);
        assert_eq!(step(2, Call::Next, None), Some(3));
        assert_eq!(step(2, Call::Number(3), Some(&Told::Placed(3))), Some(3));
        assert_eq!(step(2, Call::Number(1), Some(&Told::Placed(1))), Some(2), "placed again");
        assert_eq!(step(2, Call::Number(5), Some(&Told::Placed(5))), None);
        assert_eq!(step(2, Call::Number(5), None), Some(2));
        assert_eq!(step(2, Call::Number(5), Some(&Told::Last(2))), Some(2));
        assert_eq!(step(2, Call::Last, Some(&Told::Last(1))), None, "an old answer");
        assert_eq!(step(2, Call::Find, Some(&Told::AtLeast(2))), Some(2));
        assert_eq!(step(2, Call::Find, Some(&Told::AtLeast(3))), None);
    }
}
