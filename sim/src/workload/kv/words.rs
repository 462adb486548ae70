//! Readable descriptions of the store's commands.

use quorate_page::text::printable;

use crate::workload::kv::operation::Operation;

/// Returns a readable description of a command; other bytes are shown as text.
pub(super) fn describe(command: &[u8]) -> String {
    let Some(operation) = Operation::decode(command) else { return printable(command) };
    let key = printable(operation.key());
    match operation {
        Operation::Get { .. } => format!("get {key}"),
        Operation::Put { value, .. } => format!("put {key} {}", printable(value)),
        Operation::Delete { .. } => format!("delete {key}"),
        Operation::CompareAndSet { expected: None, value, .. } => {
            format!("put {key} {} if absent", printable(value))
        }
        Operation::CompareAndSet { expected: Some(expected), value, .. } => {
            format!("put {key} {} if {}", printable(value), printable(expected))
        }
        Operation::Append { value, .. } => format!("append {key} {}", printable(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_store_are_words_and_others_are_text() {
        let put = Operation::Put { key: b"k1", value: b"\xff\n" };
        assert_eq!(describe(&put.encode()), "put k1 \\xff\\x0a");
        let set = Operation::CompareAndSet { key: b"k", expected: None, value: b"v" };
        assert_eq!(describe(&set.encode()), "put k v if absent");
        assert_eq!(describe(b"\x09?"), "\\x09?");
    }
}
