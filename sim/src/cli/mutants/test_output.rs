//! Parses the output of the Rust test harness.

use std::collections::BTreeSet;
use std::time::Duration;

/// The result of a test run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TestRun {
    /// The tests ran to their end.
    Ran {
        /// The names of the passed tests.
        passed: BTreeSet<String>,
        /// The names of the failed tests.
        failed: BTreeSet<String>,
        /// The sum of the wall-clock times that the test binaries report, without compilation.
        took: Duration,
    },
    /// The run reached the time limit.
    Hung,
    /// The tests do not compile without warnings. The text has the compiler errors.
    Unbuildable(String),
}

/// Parses the output of one or more test binaries.
pub(crate) fn read(output: &str) -> TestRun {
    let ended = |how: &str| {
        let name = |line: &str| line.strip_prefix("test ")?.strip_suffix(how).map(str::to_owned);
        output.lines().filter_map(name).collect()
    };
    let took = |line: &str| {
        let (_, seconds) = line.strip_prefix("test result: ")?.rsplit_once("; finished in ")?;
        Duration::try_from_secs_f64(seconds.strip_suffix('s')?.parse().ok()?).ok()
    };
    let took = output.lines().filter_map(took).sum();
    TestRun::Ran { passed: ended(" ... ok"), failed: ended(" ... FAILED"), took }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_test_binaries_is_parsed() {
        let output = "running 2 tests\ntest a::b ... ok\ntest c ... FAILED\n\ntest result: FAILED. \
                    1 passed; 1 failed; finished in 1.25s\n\nrunning 0 tests\n\ntest result: ok. \
                    0 passed; 0 failed; finished in 0.50s\n";
        let ran = TestRun::Ran {
            passed: BTreeSet::from(["a::b".to_owned()]),
            failed: BTreeSet::from(["c".to_owned()]),
            took: Duration::from_millis(1_750),
        };
        assert_eq!(read(output), ran);
    }
}
