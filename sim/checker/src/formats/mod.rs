//! Histories in files: parses all notations and writes one. The notations are specified in
//! `docs/HISTORY.md`.
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
//! let loaded = formats::parse(text, &Options::default()).expect("the text is a history");
//! let verdict = loaded.history.check(&Budget::default());
//! assert!(matches!(verdict, Verdict::NotLinearizable(_)));
//!
//! let text = b"{\"format\":\"history/1\",\"model\":\"heap\"}";
//! let error = formats::parse(text, &Options::default());
//! assert!(error.is_err_and(|error| (error.line, error.column) == (1, 31)));
//! ```

mod any;
mod builder;
mod collections;
mod edn;
mod error;
mod form;
mod gzip;
mod jepsen;
mod json;
mod lines;
mod notation;
mod object;
mod others;
mod parse;
mod porcupine;
mod registers;
mod scan;
mod write;

use std::io::Read;

pub use any::{AnyHistory, ModelHistory, Visitor};
pub use error::ParseError;
pub use gzip::ReadError;
pub use object::Object;
pub use parse::{Loaded, Options, parse};
pub use write::write;

/// Reads a history from `input`, and decompresses it if it is a gzip file.
///
/// # Errors
/// Returns the input error, or the parse error with its position.
pub fn read(input: impl Read, options: &Options) -> Result<Loaded, ReadError> {
    let text = gzip::text(input, options.text_bytes_max())?;
    parse(&text, options).map_err(ReadError::Parse)
}
