//! Models of common objects.

mod backward;
mod bank;
mod counter;
mod heap;
mod initial_values;
mod keyed;
mod kv;
mod list;
mod lock;
mod observable_since;
mod ordered;
mod queue;
mod register;
mod set;
mod transactions;
mod unknown_deadlines;

pub use bank::{Bank, BankOp, BankRet};
pub use counter::{Counter, CounterOp};
pub use initial_values::InitialValues;
pub use keyed::{Keyed, KeyedOp};
pub use kv::{Kv, KvCall, KvOp, KvRet};
pub use list::{List, ListOp, ListRet};
pub use lock::{Lock, LockOp};
pub use queue::{Queue, QueueOp, Stack, StackOp};
pub use register::{Register, RegisterOp, RegisterRet};
pub use set::{Set, SetOp, SetRet};
pub use transactions::{Access, Transactions};
