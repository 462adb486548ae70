//! An abstract model of the repair protocol: disks lose entries, and peers provide them again.
//!
//! `docs/REPAIR.md` states the protocol, and what the model covers.

mod checks;
mod events;
mod healing;
mod model;
mod omissions;
mod protocol;
pub mod scopes;
mod state;
mod uncertain;

pub use model::{Counts, atlas};
pub use omissions::Omission;
pub use scopes::{OMISSIONS, Scope};

use crate::repair::model::Repair;
use crate::search::{Progress, Report, search};

/// Explores the scope, up to `distinct_max` worlds, as long as `go_on` returns true.
pub fn explore(
    scope: &Scope,
    distinct_max: u64,
    go_on: impl FnMut(&Progress) -> bool,
) -> (Report, Counts) {
    let (mut model, start) = Repair::new(scope.clone());
    let report = search(&mut model, &start, distinct_max, go_on);
    (report, model.counts)
}
