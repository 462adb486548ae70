//! The state machine of the orders system.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::iter;
use std::ops::Bound;

use quorate::machine::StateMachine;
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::orders::message::{NAME_BYTES_MAX, Order, PAGE_MAX, Query, Record, RejectReason, Reply};

/// The maximum number of orders of all customers together.
pub const ORDERS_MAX: usize = 200_000;

/// The state machine: the orders of every customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The orders by customer, in order of number. A customer without orders is not in the map, and
    /// the number of the last order equals the count.
    customers: BTreeMap<String, Vec<Placed>>,
    count: usize,
}

/// An order without its customer and number.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Placed {
    engineer: String,
    admin: String,
}

impl Orders {
    /// Returns the number of orders of all customers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of the last order of a customer; 0 before the first.
    #[must_use]
    pub fn last(&self, customer: &str) -> u64 {
        self.customers.get(customer).map_or(0, |orders| orders.len() as u64)
    }

    fn place(&mut self, order: Order) -> Reply {
        if let Some(invalid) = order.names().into_iter().find(|name| !is_name(name)) {
            return invalid_name(invalid);
        }
        let next = self.last(&order.customer) + 1;
        let number = order.number.unwrap_or(next);
        let Order { customer, engineer, admin, .. } = order;
        if let Some(existing) = self.record(&customer, number) {
            return match (&existing.engineer, &existing.admin) == (&engineer, &admin) {
                true => Reply::Placed(existing),
                false => Reply::Rejected(RejectReason::Taken(existing)),
            };
        }
        if number != next {
            return Reply::Rejected(RejectReason::NotNext { customer, number, next });
        }
        if self.count >= ORDERS_MAX {
            return Reply::Rejected(RejectReason::Full);
        }
        let record = Record { customer, number, engineer, admin };
        self.add(record.clone());
        Reply::Placed(record)
    }

    /// Appends an order to those of its customer.
    fn add(&mut self, Record { customer, engineer, admin, .. }: Record) {
        self.customers.entry(customer).or_default().push(Placed { engineer, admin });
        self.count += 1;
    }

    fn record(&self, customer: &str, number: u64) -> Option<Record> {
        let orders = self.customers.get(customer)?;
        let placed = orders.get(usize::try_from(number.checked_sub(1)?).ok()?)?;
        let Placed { engineer, admin } = placed.clone();
        Some(Record { customer: customer.to_owned(), number, engineer, admin })
    }

    fn find(&self, customer: String, number: Option<u64>) -> Reply {
        if !is_name(&customer) {
            return invalid_name(&customer);
        }
        let last = self.last(&customer);
        if last == 0 {
            return Reply::Rejected(RejectReason::UnknownCustomer(customer));
        }
        let number = number.unwrap_or(last);
        match self.record(&customer, number) {
            Some(record) => Reply::Found(record),
            None => Reply::Rejected(RejectReason::UnknownOrder { customer, number, last }),
        }
    }

    fn page(&self, after: Option<String>) -> Reply {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let customers = self.customers.range((from, Bound::Unbounded)).take(PAGE_MAX);
        let row =
            |(customer, orders): (&String, &Vec<Placed>)| (customer.clone(), orders.len() as u64);
        Reply::Customers(customers.map(row).collect())
    }
}

impl StateMachine for Orders {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(command) {
            Some(order) => self.place(order),
            None => Reply::Rejected(RejectReason::InvalidRequest),
        })
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(query) {
            Some(Query::Last(customer)) => self.find(customer, None),
            Some(Query::Find(customer, number)) => self.find(customer, Some(number)),
            Some(Query::Customers(after)) => self.page(after),
            None => Reply::Rejected(RejectReason::InvalidRequest),
        })
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let records = |(customer, orders): (String, Vec<Placed>)| {
            iter::zip(1.., orders).map(move |(number, Placed { engineer, admin })| Record {
                customer: customer.clone(),
                number,
                engineer,
                admin,
            })
        };
        rows::write(self.customers.clone().into_iter().flat_map(records))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        *self = Orders::default();
        rows::read(snapshot, |record| self.add(record))
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// Returns the rejection of a name that is not valid. The rejection has only the beginning of the
/// name, because the size of a reply is bounded.
fn invalid_name(name: &str) -> Reply {
    Reply::Rejected(RejectReason::Name(name.chars().take(NAME_BYTES_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(customer: &str, number: Option<u64>) -> Order {
        let [customer, engineer, admin] = [customer, "eve", "adam"].map(str::to_owned);
        Order { customer, number, engineer, admin }
    }

    fn record(customer: &str, number: u64) -> Record {
        let [customer, engineer, admin] = [customer, "eve", "adam"].map(str::to_owned);
        Record { customer, number, engineer, admin }
    }

    fn place(orders: &mut Orders, order: &Order) -> Reply {
        let reply = orders.apply(Index(1), &codec::encode(order));
        codec::decode(&reply).expect("it is a reply")
    }

    fn query(orders: &Orders, query: &Query) -> Reply {
        codec::decode(&orders.query(&codec::encode(query))).expect("it is a reply")
    }

    fn with(customers: &[&str]) -> Orders {
        let mut orders = Orders::default();
        for customer in customers {
            let reply = place(&mut orders, &order(customer, None));
            assert!(matches!(reply, Reply::Placed(_)), "{reply:?}");
        }
        orders
    }

    #[test]
    fn order_numbers_of_a_customer_are_consecutive() {
        let mut orders = Orders::default();
        assert_eq!(place(&mut orders, &order("ann", None)), Reply::Placed(record("ann", 1)));
        assert_eq!(place(&mut orders, &order("bob", Some(1))), Reply::Placed(record("bob", 1)));
        assert_eq!(place(&mut orders, &order("ann", Some(2))), Reply::Placed(record("ann", 2)));
        assert_eq!((orders.count(), orders.last("ann"), orders.last("bob")), (3, 2, 1));
    }

    #[test]
    fn a_number_that_is_not_the_next_is_rejected() {
        let mut orders = with(&["ann"]);
        for number in [0, 3, u64::MAX] {
            let customer = "ann".to_owned();
            let reason = RejectReason::NotNext { customer, number, next: 2 };
            let reply = place(&mut orders, &order("ann", Some(number)));
            assert_eq!(reply, Reply::Rejected(reason));
        }
        assert_eq!(orders, with(&["ann"]), "the state is unchanged");
    }

    #[test]
    fn a_repeated_order_with_a_number_is_placed_once() {
        let mut orders = with(&["ann", "ann"]);
        let again = order("ann", Some(1));
        assert_eq!(place(&mut orders, &again), Reply::Placed(record("ann", 1)));
        let other = Order { engineer: "tim".to_owned(), ..again };
        let taken = Reply::Rejected(RejectReason::Taken(record("ann", 1)));
        assert_eq!(place(&mut orders, &other), taken);
        assert_eq!(orders, with(&["ann", "ann"]), "the state is unchanged");
    }

    #[test]
    fn existing_orders_are_found_and_missing_ones_are_reported() {
        let orders = with(&["ann", "ann"]);
        let ann = || "ann".to_owned();
        assert_eq!(query(&orders, &Query::Last(ann())), Reply::Found(record("ann", 2)));
        assert_eq!(query(&orders, &Query::Find(ann(), 1)), Reply::Found(record("ann", 1)));
        for number in [0, 3] {
            let reason = RejectReason::UnknownOrder { customer: ann(), number, last: 2 };
            assert_eq!(query(&orders, &Query::Find(ann(), number)), Reply::Rejected(reason));
        }
        let unknown = Reply::Rejected(RejectReason::UnknownCustomer("bob".to_owned()));
        assert_eq!(query(&orders, &Query::Last("bob".to_owned())), unknown);
        assert_eq!(query(&orders, &Query::Find("bob".to_owned(), 1)), unknown);
    }

    #[test]
    fn customers_are_paged_by_name() {
        let names: Vec<String> = (0..PAGE_MAX + 2).map(|number| format!("c{number:04}")).collect();
        let orders = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let row = |name: &String| (name.clone(), 1);
        let first = names[..PAGE_MAX].iter().map(row).collect();
        assert_eq!(query(&orders, &Query::Customers(None)), Reply::Customers(first));
        let rest = names[PAGE_MAX..].iter().map(row).collect();
        let after = Some(names[PAGE_MAX - 1].clone());
        assert_eq!(query(&orders, &Query::Customers(after)), Reply::Customers(rest));
    }

    #[test]
    fn requests_out_of_bounds_are_rejected() {
        let mut orders = Orders { count: ORDERS_MAX, ..with(&["ann"]) };
        let before = orders.clone();
        for name in [String::new(), "x".repeat(NAME_BYTES_MAX + 1)] {
            for reply in [
                place(&mut orders, &order(&name, None)),
                query(&orders, &Query::Last(name.clone())),
                query(&orders, &Query::Find(name.clone(), 1)),
            ] {
                assert!(matches!(reply, Reply::Rejected(RejectReason::Name(_))), "{reply:?}");
            }
        }
        assert_eq!(place(&mut orders, &order("ann", None)), Reply::Rejected(RejectReason::Full));
        let again = place(&mut orders, &order("ann", Some(1)));
        assert_eq!(again, Reply::Placed(record("ann", 1)), "order 1 exists");
        let invalid = codec::encode(&Reply::Rejected(RejectReason::InvalidRequest));
        assert_eq!(orders.apply(Index(1), b"?"), invalid);
        assert_eq!(orders.query(b"?"), invalid);
        assert_eq!(orders, before, "the state is unchanged");
    }

    #[test]
    fn the_longest_page_fits_in_a_reply() {
        let name = |number| format!("{number:0>width$}", width = NAME_BYTES_MAX);
        let page = Reply::Customers((0..PAGE_MAX).map(|number| (name(number), 1)).collect());
        assert!(codec::encode(&page).len() <= codec::ENCODED_BYTES_MAX);
    }

    #[test]
    fn a_snapshot_restores_every_order() {
        let orders = with(&["ann", "bob", "ann"]);
        let mut restored = with(&["tim"]);
        restored.restore(&mut orders.snapshot()).expect("it is a snapshot");
        assert_eq!(restored, orders);
        assert_eq!(place(&mut restored, &order("ann", None)), Reply::Placed(record("ann", 3)));
    }
}
