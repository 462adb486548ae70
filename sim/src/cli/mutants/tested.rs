//! What a test harness says of a run of tests.

use std::collections::BTreeSet;
use std::time::Duration;

/// What a run of tests came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// They ran.
    Ran {
        /// The tests that passed.
        passed: BTreeSet<String>,
        /// The tests that failed.
        failed: BTreeSet<String>,
        /// How long they ran, by the clock.
        took: Duration,
    },
    /// They did not end in time.
    Hung,
    /// They do not compile without warnings; what the compiler said.
    Unbuildable(String),
}

/// What harnesses, one after the other, say of their tests.
pub(crate) fn read(said: &str) -> Trial {
    let ended = |how: &str| {
        let name = |line: &str| line.strip_prefix("test ")?.strip_suffix(how).map(str::to_owned);
        said.lines().filter_map(name).collect()
    };
    let took = |line: &str| {
        let (_, seconds) = line.strip_prefix("test result: ")?.rsplit_once("; finished in ")?;
        Duration::try_from_secs_f64(seconds.strip_suffix('s')?.parse().ok()?).ok()
    };
    let took = said.lines().filter_map(took).sum();
    Trial::Ran { passed: ended(" ... ok"), failed: ended(" ... FAILED"), took }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_harness_says_is_read() {
        let said = "running 2 tests\ntest a::b ... ok\ntest c ... FAILED\n\ntest result: FAILED. \
                    1 passed; 1 failed; finished in 1.25s\n\nrunning 0 tests\n\ntest result: ok. \
                    0 passed; 0 failed; finished in 0.50s\n";
        let ran = Trial::Ran {
            passed: BTreeSet::from(["a::b".to_owned()]),
            failed: BTreeSet::from(["c".to_owned()]),
            took: Duration::from_millis(1_750),
        };
        assert_eq!(read(said), ran);
    }
}
