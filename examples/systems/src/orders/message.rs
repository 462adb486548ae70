//! The protocol of the orders system: the command that places an order, queries, and replies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of the name of a customer, an engineer or an admin, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The maximum number of customers in one page.
pub const PAGE_MAX: usize = 500;

/// The command that places an order; each is one log entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The name of the customer.
    pub customer: String,
    /// The order number of the customer, from 1, or `None` for the next one. An order with a number
    /// may be repeated and is placed once.
    pub number: Option<u64>,
    /// The engineer who executes the order.
    pub engineer: String,
    /// The administrator who accepted the order.
    pub admin: String,
}

/// A query, which does not change the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Returns the last order of a customer.
    Last(String),
    /// Returns the order of a customer with this number.
    Find(String, u64),
    /// Returns up to [`PAGE_MAX`] customers in order of name, after this one or from the first,
    /// with the numbers of their last orders.
    Customers(Option<String>),
}

/// The record of a placed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the customer.
    pub customer: String,
    /// The order number of the customer, from 1.
    pub number: u64,
    /// The engineer who executes the order.
    pub engineer: String,
    /// The administrator who accepted the order.
    pub admin: String,
}

/// A reply to a command or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The record of the placed order.
    Placed(Record),
    /// The record of the requested order.
    Found(Record),
    /// A page of customers in order of name, with the numbers of their last orders.
    Customers(Vec<(String, u64)>),
    /// The request was rejected and had no effect.
    Rejected(RejectReason),
}

/// The reason for a rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RejectReason {
    /// The customer of this name has no orders.
    #[error("customer `{0}` has no orders: check the name")]
    UnknownCustomer(String),
    /// The customer has no order with this number.
    #[error("customer `{customer}` has no order {number}: the last one is {last}")]
    UnknownOrder {
        /// The name of the customer.
        customer: String,
        /// The requested order number.
        number: u64,
        /// The number of the last order of the customer.
        last: u64,
    },
    /// The order number is neither the next one nor that of an earlier order.
    #[error(
        "{number} is not the next order number of `{customer}`, which is {next}; omit the \
        number to place the next order"
    )]
    NotNext {
        /// The name of the customer.
        customer: String,
        /// The requested order number.
        number: u64,
        /// The next order number of the customer.
        next: u64,
    },
    /// The different order that the customer already has with this number.
    #[error(
        "order {} of `{}` exists with engineer {} and admin {}: omit the number to place the next \
         order", .0.number, .0.customer, .0.engineer, .0.admin
    )]
    Taken(Record),
    /// A name is empty or has more than [`NAME_BYTES_MAX`] bytes.
    #[error("invalid name `{0}`: use 1 to {NAME_BYTES_MAX} bytes")]
    Name(String),
    /// The limit of orders is reached.
    #[error("the limit of orders is reached: start another cluster for new orders")]
    Full,
    /// The bytes are not a valid command or query.
    #[error("invalid request: client and node may have different versions")]
    InvalidRequest,
}

impl Order {
    /// Returns the names of the customer, the engineer and the admin.
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
