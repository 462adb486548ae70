//! The verdict of the tests that must detect a mutant: a test kills it if the test fails twice with
//! the bug and passes without it.

use std::time::Duration;

use crate::cli::exit::CommandResult;
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::mutant_sweep::Verdict;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::test_output::TestRun;

/// The verdict, its details, and the run time of the tests that killed the mutant.
pub(crate) type TestOutcome = (Verdict, String, Option<Duration>);

/// Runs the tests that the argument `test` selects: twice with the bug and, if needed, without it.
pub(crate) fn run_tests(
    builds: &Builds,
    mutant: &Mutant,
    test: &str,
) -> CommandResult<TestOutcome> {
    let (first, again) = builds.test_twice(mutant, test)?;
    outcome(first, again, || builds.test_original(test))
}

/// Returns the outcome of two runs with the bug and, if a test failed in both, of one without it.
fn outcome(
    first: TestRun,
    again: TestRun,
    original: impl FnOnce() -> CommandResult<TestRun>,
) -> CommandResult<TestOutcome> {
    let hung =
        |which: &str| Ok((Verdict::Hung, format!("time limit of the tests {which} reached"), None));
    let rejected = |note: &str| Ok((Verdict::Rejected, note.to_owned(), None));
    let (failed, took) = match (first, again) {
        (TestRun::Unbuildable(errors), _) | (_, TestRun::Unbuildable(errors)) => {
            return Ok((Verdict::Unbuildable, errors, None));
        }
        (TestRun::Hung, _) | (_, TestRun::Hung) => return hung("with the bug"),
        (TestRun::Ran { failed, took, .. }, TestRun::Ran { failed: again, .. }) => {
            (&failed & &again, took)
        }
    };
    if failed.is_empty() {
        return Ok((Verdict::Survived, "no test failed in both runs".to_owned(), None));
    }
    match original()? {
        TestRun::Ran { passed, .. } if failed.is_subset(&passed) => {
            let names: Vec<String> = failed.into_iter().collect();
            Ok((Verdict::Killed, names.join(", "), Some(took)))
        }
        TestRun::Ran { .. } => rejected("the tests also fail without the bug"),
        TestRun::Hung => hung("without the bug"),
        TestRun::Unbuildable(errors) => Ok((Verdict::Unbuildable, errors, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(passed: &[&str], failed: &[&str]) -> TestRun {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let took = Duration::from_secs(failed.len() as u64);
        TestRun::Ran { passed: names(passed), failed: names(failed), took }
    }

    fn verdict(first: TestRun, again: TestRun, original: TestRun) -> Verdict {
        let (verdict, _, took) =
            outcome(first, again, || Ok(original)).expect("the runs have an outcome");
        assert_eq!(took.is_some(), verdict == Verdict::Killed);
        verdict
    }

    #[test]
    fn a_test_kills_if_it_fails_twice_and_passes_without_the_bug() {
        let (fails, passes) = (|| ran(&["a"], &["b"]), || ran(&["a", "b"], &[]));
        assert_eq!(verdict(fails(), fails(), passes()), Verdict::Killed);
        assert_eq!(verdict(fails(), passes(), passes()), Verdict::Survived);
        assert_eq!(verdict(passes(), passes(), passes()), Verdict::Survived);
        assert_eq!(verdict(fails(), fails(), fails()), Verdict::Rejected);
        assert_eq!(verdict(fails(), fails(), ran(&["a"], &[])), Verdict::Rejected);
        assert_eq!(verdict(fails(), TestRun::Hung, passes()), Verdict::Hung);
        let broken = TestRun::Unbuildable(String::new());
        assert_eq!(verdict(broken, TestRun::Hung, passes()), Verdict::Unbuildable);
    }
}
