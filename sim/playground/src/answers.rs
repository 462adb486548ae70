//! Answers the requests of the page.

use crate::catalog::Catalog;
use crate::reply::Reply;
use crate::request::Request;
use crate::runs;

/// Answers one request of the page; both are JSON.
///
/// # Panics
/// If the run panics and panics cannot be caught, as in WebAssembly.
#[must_use]
pub fn answer(request: &str) -> String {
    let reply = match serde_json::from_str(request) {
        Ok(Request::Catalog) => Reply::Catalog(Catalog::new()),
        Ok(Request::Run(wanted)) => runs::run(&wanted),
        Err(error) => Reply::Error(format!("the request cannot be read: {error}")),
    };
    serde_json::to_string(&reply).expect("a reply has only names, numbers and texts")
}
