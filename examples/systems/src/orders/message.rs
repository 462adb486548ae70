//! What clients say to the orders and are told: one command, which places an order, the queries,
//! and the replies to both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most letters, in bytes, of the name of a customer, an engineer or an admin.
pub const NAME_BYTES_MAX: usize = 64;
/// The most customers on one page of them.
pub const PAGE_MAX: usize = 500;

/// The command: an order to be placed. It is one entry of the log, and no entry has two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who orders.
    pub customer: String,
    /// Which of the customer's orders this is, from 1; none for whichever comes next. An order
    /// with a number may be placed again, and is placed once.
    pub number: Option<u64>,
    /// Who is to do it.
    pub engineer: String,
    /// Who took it down.
    pub admin: String,
}

/// What is asked without changing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The last order of a customer.
    Last(String),
    /// This order of a customer.
    Find(String, u64),
    /// Customers and the numbers of their last orders, by name: up to [`PAGE_MAX`] of those after
    /// this one, or of the first.
    Customers(Option<String>),
}

/// The record of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who ordered.
    pub customer: String,
    /// Which of the customer's orders it is, from 1.
    pub number: u64,
    /// Who is to do it.
    pub engineer: String,
    /// Who took it down.
    pub admin: String,
}

/// What is replied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The order is placed.
    Placed(Record),
    /// This is the order.
    Found(Record),
    /// Customers by name, each with the number of its last order.
    Customers(Vec<(String, u64)>),
    /// Nothing happened.
    Refused(Refusal),
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The customer has never ordered.
    UnknownCustomer(String),
    /// The customer has no order of this number.
    UnknownOrder {
        /// The customer.
        customer: String,
        /// The number.
        number: u64,
        /// The number of the customer's last order.
        last: u64,
    },
    /// The number of an order is neither the next one nor that of an earlier order.
    NotNext {
        /// The customer.
        customer: String,
        /// The number.
        number: u64,
        /// The one that comes next.
        next: u64,
    },
    /// The customer has another order of this number: this one.
    Taken(Record),
    /// A name is empty, or has more than [`NAME_BYTES_MAX`] bytes.
    Name(String),
    /// There is no room for another order.
    Full,
    /// The bytes are no command, or no query.
    Malformed,
}

impl Order {
    /// The names in it: of the customer, the engineer and the admin.
    #[must_use]
    pub fn names(&self) -> [&str; 3] {
        [&self.customer, &self.engineer, &self.admin]
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { customer, number, engineer, admin } = self;
        match number {
            Some(number) => write!(f, "place {customer} {number}")?,
            None => write!(f, "place {customer} next")?,
        }
        write!(f, " engineer {engineer} admin {admin}")
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { customer, number, engineer, admin } = self;
        write!(f, "{customer} {number} engineer {engineer} admin {admin}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownCustomer(customer) => {
                write!(f, "`{customer}` has never ordered: see how the name is written")
            }
            Refusal::UnknownOrder { customer, number, last } => {
                write!(f, "`{customer}` has no order {number}: the last one is {last}")
            }
            Refusal::NotNext { customer, number, next } => write!(
                f,
                "{number} is not the next order of `{customer}`: that is {next}; leave the number \
                 out to take whichever comes next"
            ),
            Refusal::Taken(record) => write!(
                f,
                "order {} of `{}` is another one, of engineer {} and admin {}: leave the number \
                 out to take the next one",
                record.number, record.customer, record.engineer, record.admin
            ),
            Refusal::Name(name) => {
                write!(f, "`{name}` is no name: one has 1 to {NAME_BYTES_MAX} bytes")
            }
            Refusal::Full => {
                f.write_str("there is no room for another order: start a cluster for new ones")
            }
            Refusal::Malformed => f.write_str(
                "the node does not understand that: client and node are of different versions",
            ),
        }
    }
}
