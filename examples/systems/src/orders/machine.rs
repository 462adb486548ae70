//! The orders' state, and what commands do to it. It knows nothing of nodes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::iter;
use std::ops::Bound;

use quorate::machine::StateMachine;
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::orders::message::{NAME_BYTES_MAX, Order, PAGE_MAX, Query, Record, Refusal, Reply};

/// The most orders of all customers together.
pub const ORDERS_MAX: usize = 200_000;

/// Every customer's orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// By customer, the first order first: nobody is here without an order, and the number of the
    /// last one is how many there are.
    customers: BTreeMap<String, Vec<Placed>>,
    count: usize,
}

/// What an order has beside its customer and its number.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Placed {
    engineer: String,
    admin: String,
}

impl Orders {
    /// How many orders there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of the customer's last order; 0 before the first.
    #[must_use]
    pub fn last(&self, customer: &str) -> u64 {
        self.customers.get(customer).map_or(0, |orders| orders.len() as u64)
    }

    fn place(&mut self, order: Order) -> Reply {
        if let Some(wrong) = order.names().into_iter().find(|name| !is_name(name)) {
            return Reply::Refused(Refusal::Name(wrong.chars().take(NAME_BYTES_MAX).collect()));
        }
        let next = self.last(&order.customer) + 1;
        let number = order.number.unwrap_or(next);
        let Order { customer, engineer, admin, .. } = order;
        if let Some(there) = self.record(&customer, number) {
            return match (&there.engineer, &there.admin) == (&engineer, &admin) {
                true => Reply::Placed(there),
                false => Reply::Refused(Refusal::Taken(there)),
            };
        }
        if number != next {
            return Reply::Refused(Refusal::NotNext { customer, number, next });
        }
        if self.count >= ORDERS_MAX {
            return Reply::Refused(Refusal::Full);
        }
        let record = Record { customer, number, engineer, admin };
        self.add(record.clone());
        Reply::Placed(record)
    }

    /// Puts an order behind the customer's others.
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
        let last = self.last(&customer);
        if last == 0 {
            return Reply::Refused(Refusal::UnknownCustomer(customer));
        }
        let number = number.unwrap_or(last);
        match self.record(&customer, number) {
            Some(record) => Reply::Found(record),
            None => Reply::Refused(Refusal::UnknownOrder { customer, number, last }),
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
            None => Reply::Refused(Refusal::Malformed),
        })
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(query) {
            Some(Query::Last(customer)) => self.find(customer, None),
            Some(Query::Find(customer, number)) => self.find(customer, Some(number)),
            Some(Query::Customers(after)) => self.page(after),
            None => Reply::Refused(Refusal::Malformed),
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
        let told = orders.apply(Index(1), &codec::encode(order));
        codec::decode(&told).expect("it is a reply")
    }

    fn ask(orders: &Orders, query: &Query) -> Reply {
        codec::decode(&orders.query(&codec::encode(query))).expect("it is a reply")
    }

    fn with(customers: &[&str]) -> Orders {
        let mut orders = Orders::default();
        for customer in customers {
            let told = place(&mut orders, &order(customer, None));
            assert!(matches!(told, Reply::Placed(_)), "{told:?}");
        }
        orders
    }

    #[test]
    fn numbers_of_a_customer_go_up_one_by_one() {
        let mut orders = Orders::default();
        assert_eq!(place(&mut orders, &order("ann", None)), Reply::Placed(record("ann", 1)));
        assert_eq!(place(&mut orders, &order("bob", Some(1))), Reply::Placed(record("bob", 1)));
        assert_eq!(place(&mut orders, &order("ann", Some(2))), Reply::Placed(record("ann", 2)));
        assert_eq!((orders.count(), orders.last("ann"), orders.last("bob")), (3, 2, 1));
    }

    #[test]
    fn a_number_that_is_not_the_next_is_refused() {
        let mut orders = with(&["ann"]);
        for number in [0, 3, u64::MAX] {
            let customer = "ann".to_owned();
            let refusal = Refusal::NotNext { customer, number, next: 2 };
            let told = place(&mut orders, &order("ann", Some(number)));
            assert_eq!(told, Reply::Refused(refusal));
        }
        assert_eq!(orders, with(&["ann"]), "nothing happened");
    }

    #[test]
    fn an_order_that_is_placed_again_by_its_number_is_there_once() {
        let mut orders = with(&["ann", "ann"]);
        let again = order("ann", Some(1));
        assert_eq!(place(&mut orders, &again), Reply::Placed(record("ann", 1)));
        let other = Order { engineer: "tim".to_owned(), ..again };
        let taken = Reply::Refused(Refusal::Taken(record("ann", 1)));
        assert_eq!(place(&mut orders, &other), taken);
        assert_eq!(orders, with(&["ann", "ann"]), "nothing happened");
    }

    #[test]
    fn orders_are_found_and_those_that_are_not_there_are_named() {
        let orders = with(&["ann", "ann"]);
        let ann = || "ann".to_owned();
        assert_eq!(ask(&orders, &Query::Last(ann())), Reply::Found(record("ann", 2)));
        assert_eq!(ask(&orders, &Query::Find(ann(), 1)), Reply::Found(record("ann", 1)));
        for number in [0, 3] {
            let refusal = Refusal::UnknownOrder { customer: ann(), number, last: 2 };
            assert_eq!(ask(&orders, &Query::Find(ann(), number)), Reply::Refused(refusal));
        }
        let unknown = Reply::Refused(Refusal::UnknownCustomer("bob".to_owned()));
        assert_eq!(ask(&orders, &Query::Last("bob".to_owned())), unknown);
        assert_eq!(ask(&orders, &Query::Find("bob".to_owned(), 1)), unknown);
    }

    #[test]
    fn customers_are_paged_by_name() {
        let names: Vec<String> = (0..PAGE_MAX + 2).map(|number| format!("c{number:04}")).collect();
        let orders = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let row = |name: &String| (name.clone(), 1);
        let first = names[..PAGE_MAX].iter().map(row).collect();
        assert_eq!(ask(&orders, &Query::Customers(None)), Reply::Customers(first));
        let rest = names[PAGE_MAX..].iter().map(row).collect();
        let after = Some(names[PAGE_MAX - 1].clone());
        assert_eq!(ask(&orders, &Query::Customers(after)), Reply::Customers(rest));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut orders = Orders { count: ORDERS_MAX, ..with(&["ann"]) };
        let before = orders.clone();
        for name in [String::new(), "x".repeat(NAME_BYTES_MAX + 1)] {
            let told = place(&mut orders, &order(&name, None));
            assert!(matches!(told, Reply::Refused(Refusal::Name(_))), "{told:?}");
        }
        assert_eq!(place(&mut orders, &order("ann", None)), Reply::Refused(Refusal::Full));
        let again = place(&mut orders, &order("ann", Some(1)));
        assert_eq!(again, Reply::Placed(record("ann", 1)), "that one is there");
        let malformed = codec::encode(&Reply::Refused(Refusal::Malformed));
        assert_eq!(orders.apply(Index(1), b"?"), malformed);
        assert_eq!(orders.query(b"?"), malformed);
        assert_eq!(orders, before, "nothing happened");
    }

    #[test]
    fn the_longest_page_fits_in_a_reply() {
        let name = |number| format!("{number:0>width$}", width = NAME_BYTES_MAX);
        let page = Reply::Customers((0..PAGE_MAX).map(|number| (name(number), 1)).collect());
        assert!(codec::encode(&page).len() <= codec::WORD_BYTES_MAX);
    }

    #[test]
    fn a_snapshot_brings_every_order_back() {
        let orders = with(&["ann", "bob", "ann"]);
        let mut restored = with(&["tim"]);
        restored.restore(&mut orders.snapshot()).expect("it is a snapshot");
        assert_eq!(restored, orders);
        assert_eq!(place(&mut restored, &order("ann", None)), Reply::Placed(record("ann", 3)));
    }
}
