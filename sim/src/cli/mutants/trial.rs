//! The hunt by a test: it fails with the bug, and again, and passes without it.

use std::time::Duration;

use crate::cli::exit::Trouble;
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::hunt::Verdict;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::tested::Trial;

/// The verdict, more about it, and how long the tests ran until they had failed.
pub(crate) type Judged = (Verdict, String, Option<Duration>);

/// Hunts the mutant with `test`.
pub(crate) fn hunt(builds: &Builds, mutant: &Mutant, test: &str) -> Result<Judged, Trouble> {
    let (first, again) = builds.trials(mutant, test)?;
    judge(first, again, || builds.trial_of_original(test))
}

/// What the two runs with the bug, and if they failed the one without it, show.
fn judge(
    first: Trial,
    again: Trial,
    original: impl FnOnce() -> Result<Trial, Trouble>,
) -> Result<Judged, Trouble> {
    let hung = |which: &str| Ok((Verdict::Hung, format!("the tests {which} did not end"), None));
    let rejected = |note: &str| Ok((Verdict::Rejected, note.to_owned(), None));
    let (failed, took) = match (first, again) {
        (Trial::Unbuildable(said), _) | (_, Trial::Unbuildable(said)) => {
            return Ok((Verdict::Unbuildable, said, None));
        }
        (Trial::Hung, _) | (_, Trial::Hung) => return hung("with the bug"),
        (Trial::Ran { failed, took, .. }, Trial::Ran { failed: again, .. }) => {
            (&failed & &again, took)
        }
    };
    if failed.is_empty() {
        return Ok((Verdict::Survived, "every test passed".to_owned(), None));
    }
    match original()? {
        Trial::Ran { passed, .. } if failed.is_subset(&passed) => {
            let names: Vec<String> = failed.into_iter().collect();
            Ok((Verdict::Killed, names.join(", "), Some(took)))
        }
        Trial::Ran { .. } => rejected("the tests fail without the bug too"),
        Trial::Hung => hung("without the bug"),
        Trial::Unbuildable(said) => Ok((Verdict::Unbuildable, said, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(passed: &[&str], failed: &[&str]) -> Trial {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let took = Duration::from_secs(failed.len() as u64);
        Trial::Ran { passed: names(passed), failed: names(failed), took }
    }

    fn verdict(first: Trial, again: Trial, original: Trial) -> Verdict {
        let (verdict, _, took) = judge(first, again, || Ok(original)).expect("it is judged");
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
        assert_eq!(verdict(fails(), Trial::Hung, passes()), Verdict::Hung);
        let broken = Trial::Unbuildable(String::new());
        assert_eq!(verdict(broken, Trial::Hung, passes()), Verdict::Unbuildable);
    }
}
