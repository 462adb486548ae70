//! Sweeps with each mutant, several mutants in parallel.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use crate::cli::args::MutantsArguments;
use crate::cli::exit::CommandResult;
use crate::cli::mutants::builds::{Builds, cores};
use crate::cli::mutants::kills;
use crate::cli::mutants::mutant_sweep::{self, MutantSweep, Verdict};
use crate::cli::mutants::parallel;
use crate::cli::mutants::programs::MutantBinary;
use crate::cli::mutants::results::Results;
use crate::cli::mutants::shrink;
use crate::cli::mutants::sources::hash;
use crate::cli::mutants::table::{Detector, Mutant};
use crate::cli::mutants::test_verdict;
use crate::settings::strategy::Strategy;

/// The state that the sweeps with all mutants share.
struct SweepRunner<'a> {
    arguments: &'a MutantsArguments,
    builds: &'a Builds,
    strategy: Strategy,
    /// The number of seeds that one sweep runs in parallel.
    jobs: NonZeroUsize,
}

/// Runs the sweeps with each mutant and this strategy. Prints and returns their results in the
/// order of `mutants`.
pub(crate) fn run_all(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutants: &[Mutant],
    strategy: Strategy,
    results: Results,
) -> CommandResult<Vec<MutantSweep>> {
    let threads = arguments.jobs.unwrap_or(cores()).get().min(mutants.len());
    let jobs = NonZeroUsize::new(cores().get() / threads.max(1)).unwrap_or(NonZeroUsize::MIN);
    let runner = SweepRunner { arguments, builds, strategy, jobs };
    let places: Vec<usize> = (0..mutants.len()).collect();
    let mut early = BTreeMap::new();
    let mut printed = 0;
    let sweeps = parallel::for_all(
        &places,
        threads,
        |&at| runner.run_mutant(&mutants[at], &results).map(|sweeps| Some((at, sweeps))),
        |(at, sweeps)| {
            early.insert(*at, sweeps.iter().map(kills::sweep_line).collect::<Vec<_>>());
            while let Some(lines) = early.remove(&printed) {
                let Mutant { id, wrong, .. } = &mutants[printed];
                printed += 1;
                eprintln!("{printed} of {}: {id}: {wrong}", mutants.len());
                lines.iter().for_each(|line| eprintln!("  {line}"));
            }
        },
    )?;
    Ok(sweeps.into_iter().flat_map(|(_, sweeps)| sweeps).collect())
}

/// Runs all sweeps with one mutant, except for those that an earlier invocation finished. If tests
/// must detect the mutant, there is one sweep, because they have no seeds. `run` fills in the
/// result.
fn run_unknown(
    arguments: &MutantsArguments,
    mutant: &Mutant,
    strategy: Strategy,
    results: &Results,
    mut run: impl FnMut(&mut MutantSweep) -> CommandResult<()>,
) -> CommandResult<Vec<MutantSweep>> {
    // Every strategy gets the same number of runs.
    let seeds_max = arguments.seeds_max().div_ceil(strategy.runs());
    let edits = format!("{:016x}", edits_hash(mutant));
    let numbers = match mutant.detector() {
        Detector::Simulator => 0..arguments.sweeps.get(),
        Detector::Test => 0..1,
    };
    let mut sweeps = Vec::new();
    for number in numbers {
        let known = results.known(&mutant.id, &edits, number, strategy, seeds_max);
        let is_done = |known: &MutantSweep| known.shrunk.is_some() || known.failure.is_none();
        if let Some(known) = known.filter(|known| !arguments.shrink || is_done(known)) {
            sweeps.push(known);
            continue;
        }
        let mut sweep = MutantSweep {
            sources: String::new(),
            mutant: mutant.id.clone(),
            edits: edits.clone(),
            number,
            seeds_max,
            strategy: strategy.name().to_owned(),
            verdict: Verdict::Unbuildable,
            note: String::new(),
            failure: None,
            test_seconds: None,
            shrunk: None,
        };
        run(&mut sweep)?;
        sweeps.push(results.add(sweep)?);
    }
    Ok(sweeps)
}

impl SweepRunner<'_> {
    /// Runs the sweeps with one mutant, or the tests that must detect it. The mutant is built
    /// before its first sweep.
    fn run_mutant(&self, mutant: &Mutant, results: &Results) -> CommandResult<Vec<MutantSweep>> {
        let mut built = None;
        run_unknown(self.arguments, mutant, self.strategy, results, |sweep| {
            if let Some(test) = &mutant.test {
                let (verdict, note, took) = test_verdict::run_tests(self.builds, mutant, test)?;
                (sweep.verdict, sweep.note) = (verdict, note);
                sweep.test_seconds = took.map(|took| took.as_secs_f64());
                return Ok(());
            }
            let built = match &mut built {
                Some(built) => built,
                none => none.insert(self.builds.binary(mutant)?),
            };
            match built {
                Ok(planted) => self.sweep(mutant, planted, sweep),
                Err(errors) => {
                    sweep.note.clone_from(errors);
                    Ok(())
                }
            }
        })
    }

    /// Runs one sweep with the mutant, and shrinks its failing run if that is requested.
    fn sweep(
        &self,
        mutant: &Mutant,
        planted: &MutantBinary,
        sweep: &mut MutantSweep,
    ) -> CommandResult<()> {
        let command = self.builds.sweep_command(mutant, planted, self.strategy, self.jobs);
        let number = sweep.number;
        (sweep.verdict, sweep.note, sweep.failure) =
            mutant_sweep::run_sweep(command, number, sweep.seeds_max)?;
        if let (true, Verdict::Killed, Some(failure)) =
            (self.arguments.shrink, sweep.verdict, &sweep.failure)
        {
            let (folder, name) = (self.builds.scenarios(), format!("{}-{number}", mutant.id));
            match shrink::shrink(command, failure, &folder, &name)? {
                Ok(left) => sweep.shrunk = Some(left),
                Err(wrong) => sweep.note = wrong,
            }
        }
        Ok(())
    }
}

fn edits_hash(mutant: &Mutant) -> u64 {
    let detector = [&mutant.profile, &mutant.test].map(|text| text.as_deref().unwrap_or_default());
    let detector = detector.iter().fold(0, |state, text| hash(state, text.as_bytes()));
    mutant.edit.iter().fold(detector, |state, edit| {
        let file = edit.file.to_string_lossy();
        let inside = edit.inside.as_deref().unwrap_or_default();
        let texts = [file.as_ref(), inside, &edit.find, &edit.replace];
        texts.iter().fold(state, |state, text| hash(state, text.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{self, Command};

    fn arguments(words: &str) -> MutantsArguments {
        let words = words.split_whitespace().map(Into::into);
        let command = args::parse("cargo sim", words).expect("the words are valid").command;
        let Some(Command::Mutants(arguments)) = command else { panic!("another command") };
        arguments
    }

    #[test]
    fn every_sweep_of_a_mutant_runs_once_and_its_result_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let results = Results::open(folder.path(), 7).expect("it opens");
        let mutant = |rest: &str| -> Mutant {
            toml::from_str(&format!("id = \"X1\"\nwrong = \"x\"\n{rest}edit = []")).expect("TOML")
        };
        let runs = |words: &str, mutant: &Mutant, strategy, verdict| {
            let mut runs = Vec::new();
            let all = run_unknown(&arguments(words), mutant, strategy, &results, |sweep| {
                sweep.verdict = verdict;
                runs.push((sweep.number, sweep.seeds_max));
                Ok(())
            });
            let verdicts = all.expect("nothing fails").into_iter().map(|sweep| sweep.verdict);
            (runs, verdicts.collect::<Vec<_>>())
        };
        let (few, survived) = ("mutants --sweeps 2 --seeds 64", Verdict::Survived);
        let (seeds, nemeses) = (mutant(""), Strategy::Nemeses);
        let first = runs(few, &seeds, nemeses, survived);
        assert_eq!(first, (vec![(0, 64), (1, 64)], vec![survived; 2]));
        for known in [few, "mutants --sweeps 2 --seeds 9 --shrink"] {
            assert_eq!(runs(known, &seeds, nemeses, survived), (vec![], vec![survived; 2]));
        }
        let more = runs("mutants --seeds 64", &seeds, nemeses, Verdict::Hung);
        assert_eq!(more, (vec![(2, 64)], vec![survived, survived, Verdict::Hung]));
        let again = runs("mutants --seeds 64", &seeds, nemeses, survived);
        assert_eq!(again.0, [(2, 64)], "a sweep without a result is repeated");
        let guided = runs(few, &seeds, Strategy::Guided, survived);
        assert_eq!(guided.0, [(0, 1), (1, 1)], "a guided seed has 64 runs");
        let tested = mutant("test = \"--test specs\"\n");
        assert_eq!(runs(few, &tested, nemeses, Verdict::Killed).0.len(), 1);
        assert_eq!(runs("mutants --shrink", &tested, nemeses, survived).0.len(), 0);
    }
}
