//! The orders in the simulator's storms: what their clients ask for, and what must always hold.

use std::collections::{BTreeMap, BTreeSet};

use quorate_sim::choice::Draw;
use quorate_sim::observe::OpId;
use quorate_sim::workload::{Object, Workload};

use crate::common::codec;
use crate::orders::counts;
use crate::orders::machine::Orders;
use crate::orders::message::{Order, Query, Record, Reply};

/// How many customers there are: few, so that operations meet.
const CUSTOMERS: u64 = 3;
/// Numbers that are asked for by themselves are drawn from so many.
const NUMBERS: u64 = 12;

/// Clients that place orders for a few customers and look at them.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// Every customer's orders, as the log has them.
    placed: BTreeMap<String, Vec<Record>>,
    /// The engineers of all of them: one operation has one.
    engineers: BTreeSet<String>,
}

fn customer(draw: &mut Draw<'_>) -> String {
    format!("cust{}", draw.below(CUSTOMERS))
}

impl Workload for Clients {
    type Machine = Orders;

    fn machine(&self) -> Orders {
        Orders::default()
    }

    /// Every operation has an engineer of its own, and so an order in the map tells whose it is.
    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let number = (draw.below(4) == 3).then(|| draw.below(NUMBERS));
        let (engineer, admin) = (format!("e{}", op.0), "storm".to_owned());
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

    fn words(&self, command: &[u8]) -> String {
        codec::decode(command)
            .map_or_else(|| "no order".to_owned(), |order: Order| order.to_string())
    }

    /// Nobody is ever shown fewer orders of a customer than anybody was told of before.
    fn object(&self) -> Option<Object> {
        Some(counts::object())
    }

    /// A customer's numbers go up without gaps, and an order that is there stays as it is.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("it replies what is no reply")?;
        let Reply::Placed(record) = reply else { return Ok(()) };
        let order: Order = codec::decode(command).ok_or("it places what is no order")?;
        let names = [&record.customer, &record.engineer, &record.admin];
        if order.names() != names || order.number.is_some_and(|number| number != record.number) {
            return Err(format!("`{order}` was told `{record}`"));
        }
        let orders = self.placed.entry(record.customer.clone()).or_default();
        let last = orders.len() as u64;
        if record.number == last + 1 {
            if !self.engineers.insert(record.engineer.clone()) {
                return Err(format!("`{record}` is in the log a second time"));
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

    /// There is an order in the map for every entry that placed one, and no other.
    fn check_state(&self, machine: &Orders) -> Result<(), String> {
        let (count, placed) = (machine.count(), self.engineers.len());
        if count != placed {
            return Err(format!("it has {count} orders, and {placed} were placed"));
        }
        for (customer, orders) in &self.placed {
            let (last, placed) = (machine.last(customer), orders.len());
            if last != placed as u64 {
                return Err(format!("{customer} stands at {last}, and {placed} were placed"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::storms::storms;

    use super::*;

    #[test]
    fn one_order_is_one_entry_and_numbers_have_no_gaps_in_every_storm() {
        let tally = storms(Clients::default(), 0..20).unwrap_or_else(|fallen| panic!("{fallen}"));
        assert!(tally.commands_committed > 0, "nothing was asked");
    }

    fn order(number: Option<u64>, engineer: &str) -> Order {
        let [customer, engineer, admin] = ["ann", engineer, "adam"].map(str::to_owned);
        Order { customer, number, engineer, admin }
    }

    /// Has the clients follow this order, which was placed with this number.
    fn follow(clients: &mut Clients, order: &Order, number: u64) -> Result<(), String> {
        let Order { customer, engineer, admin, .. } = order.clone();
        let record = Record { customer, number, engineer, admin };
        clients.check_reply(&codec::encode(order), &codec::encode(&Reply::Placed(record)))
    }

    #[test]
    fn gaps_and_numbers_that_are_given_twice_are_noticed() {
        let mut clients = Clients::default();
        assert_eq!(follow(&mut clients, &order(None, "e1"), 1), Ok(()));
        assert!(follow(&mut clients, &order(None, "e2"), 1).is_err(), "it is there");
        assert!(follow(&mut clients, &order(None, "e2"), 3).is_err(), "there is no order 2");
        assert!(follow(&mut clients, &order(Some(1), "e2"), 1).is_err(), "it is another's");
        assert_eq!(follow(&mut clients, &order(Some(1), "e1"), 1), Ok(()), "it is sent again");
        assert!(follow(&mut clients, &order(Some(1), "e1"), 2).is_err(), "it asked for 1");
    }

    #[test]
    fn maps_that_differ_from_the_log_are_noticed() {
        let clients = Clients::default();
        let mut machine = clients.machine();
        assert_eq!(clients.check_state(&machine), Ok(()));
        let command = codec::encode(&order(None, "e1"));
        machine.apply(Index(1), &command);
        assert!(clients.check_state(&machine).is_err(), "nobody placed it");
    }

    #[test]
    fn an_order_that_is_in_the_log_twice_is_noticed() {
        let mut clients = Clients::default();
        assert_eq!(follow(&mut clients, &order(None, "e1"), 1), Ok(()));
        assert!(follow(&mut clients, &order(None, "e1"), 2).is_err(), "it was one order");
    }
}
