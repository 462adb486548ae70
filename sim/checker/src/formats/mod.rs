//! Histories in files: reads them, whatever notation they are in, and writes them. What the
//! notations are, byte for byte, is in `docs/HISTORY.md`.
//!
//! ```
//! use quorate_checker::budget::Budget;
//! use quorate_checker::formats::{self, Options};
//! use quorate_checker::verdict::Verdict;
//!
//! let text = br#"{"format":"history/1","model":"register","init":0}
//! {"type":"invoke","id":0,"process":1,"f":"write","value":5}
//! {"type":"ok","id":0,"process":1,"f":"write"}
//! {"type":"invoke","id":1,"process":2,"f":"read"}
//! {"type":"ok","id":1,"process":2,"f":"read","result":0}
//! "#;
//! let loaded = formats::parse(text, &Options::default()).expect("it is a history");
//! let verdict = loaded.history.check(&Budget::default());
//! assert!(matches!(verdict, Verdict::NotLinearizable(_)));
//!
//! let text = b"{\"format\":\"history/1\",\"model\":\"heap\"}";
//! let wrong = formats::parse(text, &Options::default());
//! assert!(wrong.is_err_and(|wrong| (wrong.line, wrong.column) == (1, 31)));
//! ```

mod any;
mod building;
mod collections;
mod edn;
mod fault;
mod form;
mod jepsen;
mod json;
mod lines;
mod notation;
mod object;
mod others;
mod packed;
mod porcupine;
mod reading;
mod registers;
mod scan;
mod writing;

use std::io::Read;

pub use any::{AnyHistory, Of, Visitor};
pub use fault::Wrong;
pub use object::Object;
pub use packed::ReadError;
pub use reading::{Loaded, Options, parse};
pub use writing::write;

/// Reads a history from `input`, unpacking it if it is packed by gzip.
///
/// # Errors
/// That it cannot be read, or what is wrong with it and where.
pub fn read(input: impl Read, options: &Options) -> Result<Loaded, ReadError> {
    let text = packed::text(input, options.text_bytes_max)?;
    parse(&text, options).map_err(ReadError::Wrong)
}
