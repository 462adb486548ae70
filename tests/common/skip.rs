//! How a test says that it lacks something this machine does not have.

use std::io::Write;

/// Says that the test `name` was skipped, and why: `SKIPPED name: reason`. The test then returns.
///
/// The line is written past the test runner's capture, so that it is seen when the test passes;
/// `.ci/run` counts such lines.
pub(crate) fn skipped(name: &str, reason: &str) {
    assert!(!name.contains(' '), "the name is one word");
    let line = format!("SKIPPED {name}: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is open");
}
