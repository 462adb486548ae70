//! Models of common objects.
//!
//! Operations and results contain [`ValueId`](crate::value::ValueId)s. Most models have a table
//! `values`, which gives each value its id, and by which an explanation prints the values.
//!
//! ```
//! use quorate_checker::budget::Budget;
//! use quorate_checker::check::check;
//! use quorate_checker::explain::{describe, minimise};
//! use quorate_checker::history::{Client, Recorder};
//! use quorate_checker::models::{Register, RegisterOp, RegisterRet};
//! use quorate_checker::verdict::Verdict;
//!
//! let register = Register::default(); // it contains null at first
//! let [one, two] = [1, 2].map(|number| register.values.intern(number));
//! let recorder = Recorder::new();
//! recorder.invoke(Client(1), RegisterOp::Write(one)).returned(RegisterRet::Written);
//! let write = recorder.invoke(Client(1), RegisterOp::Write(two));
//! recorder.invoke(Client(2), RegisterOp::Read).returned(RegisterRet::Value(two));
//! recorder.invoke(Client(2), RegisterOp::Read).returned(RegisterRet::Value(one)); // stale
//! write.unknown(); // its client saw a timeout
//!
//! let (history, budget) = (recorder.history(), Budget::default());
//! let Verdict::NotLinearizable(found) = check(&register, &history, &budget) else {
//!     panic!("the register returned to an older value");
//! };
//! let smallest = minimise(&register, &history, &found, &budget);
//! println!("{}", describe(&register, &history, &smallest));
//! ```

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
pub use kv::{Kv, KvCall, KvOp, KvRet, KvValue};
pub use list::{List, ListOp, ListRet};
pub use lock::{Lock, LockOp};
pub use queue::{Queue, QueueOp, Stack, StackOp};
pub use register::{Register, RegisterOp, RegisterRet};
pub use set::{Set, SetOp, SetRet};
pub use transactions::{Access, Transactions};
