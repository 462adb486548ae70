//! The serde form of the tail: its entries in one list.

use crate::log::tail::{Tail, total_bytes};
use crate::types::{Entries, Index};

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Fields {
    entries: Entries,
    first: Index,
    bytes: usize,
}

impl From<Tail> for Fields {
    fn from(tail: Tail) -> Fields {
        Fields { entries: tail.entries().cloned().collect(), first: tail.first, bytes: tail.bytes }
    }
}

impl From<Fields> for Tail {
    fn from(fields: Fields) -> Tail {
        let mut tail = Tail::new(fields.first);
        let bytes = total_bytes(&fields.entries);
        tail.extend(fields.entries, bytes);
        tail
    }
}
