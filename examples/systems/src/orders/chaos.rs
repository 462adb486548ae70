//! Chaos tests of the orders system: client operations and invariants.

use std::collections::{BTreeMap, BTreeSet};

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::{Object, Workload};

use crate::common::codec;
use crate::orders::counts;
use crate::orders::machine::Orders;
use crate::orders::message::{Order, Query, Record, RejectReason, Reply};

/// The number of customers; small, so that operations conflict.
const CUSTOMERS: u64 = 3;
/// Explicit order numbers are drawn below this limit.
const NUMBERS: u64 = 12;

/// Clients that place and read orders of a few customers.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The orders of every customer, according to the log.
    placed: BTreeMap<String, Vec<Record>>,
    /// The engineers of all orders; each operation has a unique one.
    engineers: BTreeSet<String>,
}

fn customer(draw: &mut Draw<'_>) -> String {
    format!("cust{}", draw.below(CUSTOMERS))
}

impl Clients {
    /// Returns the expected answer to a query.
    fn expected(&self, query: Query) -> Reply {
        let orders = |customer: &str| self.placed.get(customer).map_or(&[][..], Vec::as_slice);
        let unknown = |customer| Reply::Rejected(RejectReason::UnknownCustomer(customer));
        match query {
            Query::Last(customer) => match orders(&customer).last() {
                Some(record) => Reply::Found(record.clone()),
                None => unknown(customer),
            },
            Query::Find(customer, number) => {
                let orders = orders(&customer);
                let last = orders.len() as u64;
                match orders.iter().find(|record| record.number == number) {
                    Some(record) => Reply::Found(record.clone()),
                    None if last == 0 => unknown(customer),
                    None => Reply::Rejected(RejectReason::UnknownOrder { customer, number, last }),
                }
            }
            Query::Customers(after) => {
                let is_after = |customer: &String| after.as_ref().is_none_or(|it| customer > it);
                let rows = self.placed.iter().filter(|(customer, _)| is_after(customer));
                let row = |(customer, orders): (&String, &Vec<Record>)| {
                    (customer.clone(), orders.len() as u64)
                };
                Reply::Customers(rows.map(row).collect())
            }
        }
    }
}

impl Workload for Clients {
    type Machine = Orders;

    fn machine(&self) -> Orders {
        Orders::default()
    }

    /// Draws an order. Each operation has a unique engineer, so an order identifies its operation.
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let number = (draw.below(4) == 3).then(|| draw.below(NUMBERS));
        let (engineer, admin) = (format!("e{}", op.0), "chaos".to_owned());
        codec::encode(&Order { customer: customer(draw), number, engineer, admin })
    }

    fn command_bytes_max(&self) -> usize {
        96
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        codec::encode(&match draw.below(3) {
            0 => Query::Customers(None),
            1 => Query::Last(customer(draw)),
            _ => Query::Find(customer(draw), draw.below(NUMBERS)),
        })
    }

    fn describe_command(&self, command: &[u8]) -> String {
        codec::decode(command)
            .map_or_else(|| "invalid order".to_owned(), |order: Order| order.to_string())
    }

    /// Returns the object of the history check: the number of orders of each customer.
    fn object(&self) -> Option<Object> {
        Some(counts::object())
    }

    /// Checks that the order numbers of a customer have no gaps, and that a placed order does not
    /// change.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("the reply cannot be decoded")?;
        let Reply::Placed(record) = reply else { return Ok(()) };
        let order: Order = codec::decode(command).ok_or("the command cannot be decoded")?;
        let names = [&record.customer, &record.engineer, &record.admin];
        if order.names() != names || order.number.is_some_and(|number| number != record.number) {
            return Err(format!("the reply to `{order}` is `{record}`"));
        }
        let orders = self.placed.entry(record.customer.clone()).or_default();
        let last = orders.len() as u64;
        if record.number == last + 1 {
            if !self.engineers.insert(record.engineer.clone()) {
                return Err(format!("`{record}` was placed twice"));
            }
            orders.push(record);
            return Ok(());
        }
        match orders.iter().find(|placed| placed.number == record.number) {
            Some(placed) if *placed == record && order.number.is_some() => Ok(()),
            Some(placed) => Err(format!("`{record}` was placed over `{placed}`")),
            None => Err(format!("`{record}` was placed after order {last}")),
        }
    }

    /// Checks that an answer has exactly the orders that were placed.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query = codec::decode(query).ok_or("the query cannot be decoded")?;
        let answer: Reply = codec::decode(answer).ok_or("the answer cannot be decoded")?;
        let expected = self.expected(query);
        match answer == expected {
            true => Ok(()),
            false => Err(format!("the answer is {answer:?}, expected {expected:?}")),
        }
    }

    /// Checks that the map has as many orders as were placed, in all and for each customer.
    fn check_state(&self, machine: &Orders) -> Result<(), String> {
        let (count, placed) = (machine.count(), self.engineers.len());
        if count != placed {
            return Err(format!("the map has {count} orders, expected {placed}"));
        }
        for (customer, orders) in &self.placed {
            let (last, placed) = (machine.last(customer), orders.len());
            if last != placed as u64 {
                return Err(format!("the last order of {customer} is {last}, expected {placed}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::chaos;

    use super::*;

    #[test]
    fn orders_are_placed_once_and_numbers_have_no_gaps_in_every_chaos_run() {
        let tally =
            chaos::run(Clients::default(), 10..20).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.commands_committed > 0, "no command was committed");
    }

    fn order(number: Option<u64>, engineer: &str) -> Order {
        let [customer, engineer, admin] = ["ann", engineer, "adam"].map(str::to_owned);
        Order { customer, number, engineer, admin }
    }

    /// Checks the reply that placed this order with this number.
    fn check_placed(clients: &mut Clients, order: &Order, number: u64) -> Result<(), String> {
        let Order { customer, engineer, admin, .. } = order.clone();
        let record = Record { customer, number, engineer, admin };
        clients.check_reply(&codec::encode(order), &codec::encode(&Reply::Placed(record)))
    }

    #[test]
    fn gaps_and_repeated_numbers_are_detected() {
        let mut clients = Clients::default();
        assert_eq!(check_placed(&mut clients, &order(None, "e1"), 1), Ok(()));
        assert!(check_placed(&mut clients, &order(None, "e2"), 1).is_err(), "number 1 exists");
        assert!(check_placed(&mut clients, &order(None, "e2"), 3).is_err(), "number 2 is missing");
        assert!(
            check_placed(&mut clients, &order(Some(1), "e2"), 1).is_err(),
            "number 1 is another order"
        );
        assert_eq!(
            check_placed(&mut clients, &order(Some(1), "e1"), 1),
            Ok(()),
            "the order is repeated"
        );
        assert!(
            check_placed(&mut clients, &order(Some(1), "e1"), 2).is_err(),
            "the client requested number 1"
        );
    }

    #[test]
    fn a_map_that_differs_from_the_log_is_detected() {
        let clients = Clients::default();
        let mut machine = clients.machine();
        assert_eq!(clients.check_state(&machine), Ok(()));
        let command = codec::encode(&order(None, "e1"));
        machine.apply(Index(1), &command);
        assert!(clients.check_state(&machine).is_err(), "the model does not have it");
    }

    #[test]
    fn an_answer_that_differs_from_the_orders_is_detected() {
        let (mut clients, mut machine) = (Clients::default(), Orders::default());
        let ann = || "ann".to_owned();
        let queries = [
            Query::Last(ann()),
            Query::Find(ann(), 1),
            Query::Find(ann(), 3),
            Query::Customers(None),
        ];
        let queries = queries.map(|query| codec::encode(&query));
        let check = |clients: &Clients, machine: &Orders| {
            queries.each_ref().map(|query| clients.check_answer(query, &machine.query(query)))
        };
        assert_eq!(check(&clients, &machine), [const { Ok(()) }; 4]);
        for number in [1, 2] {
            let order = order(None, &format!("e{number}"));
            let before = machine.clone();
            machine.apply(Index(number), &codec::encode(&order));
            assert_eq!(check_placed(&mut clients, &order, number), Ok(()));
            assert_eq!(check(&clients, &machine), [const { Ok(()) }; 4]);
            let is_found = check(&clients, &before).map(|answer| answer.is_err());
            assert_eq!(is_found, [true, number == 1, true, true], "the answers are stale");
        }
        let mut other = Orders::default();
        for engineer in ["e9", "e2"] {
            other.apply(Index(1), &codec::encode(&order(None, engineer)));
        }
        let is_found = check(&clients, &other).map(|answer| answer.is_err());
        assert_eq!(is_found, [false, true, false, false], "the first order is another one");
    }

    #[test]
    fn an_order_that_was_placed_twice_is_detected() {
        let mut clients = Clients::default();
        assert_eq!(check_placed(&mut clients, &order(None, "e1"), 1), Ok(()));
        assert!(
            check_placed(&mut clients, &order(None, "e1"), 2).is_err(),
            "one order was placed twice"
        );
    }
}
