//! What a test harness says of a run of tests.

use std::collections::BTreeSet;

/// What a run of tests came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// They ran.
    Ran {
        /// The tests that passed.
        passed: BTreeSet<String>,
        /// The tests that failed.
        failed: BTreeSet<String>,
    },
    /// They did not end in time.
    Hung,
    /// They do not compile without warnings; what the compiler said.
    Unbuildable(String),
}

/// The names of the tests that a harness says have passed, and those that have failed.
pub(crate) fn read(said: &str) -> Trial {
    let ended = |how: &str| {
        let name = |line: &str| line.strip_prefix("test ")?.strip_suffix(how).map(str::to_owned);
        said.lines().filter_map(name).collect()
    };
    Trial::Ran { passed: ended(" ... ok"), failed: ended(" ... FAILED") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_harness_says_is_read() {
        let said = "running 2 tests\ntest a::b ... ok\ntest c ... FAILED\n\ntest result: FAILED.\n";
        let ran = Trial::Ran {
            passed: BTreeSet::from(["a::b".to_owned()]),
            failed: BTreeSet::from(["c".to_owned()]),
        };
        assert_eq!(read(said), ran);
    }
}
