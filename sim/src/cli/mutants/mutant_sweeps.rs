//! Sweeps with each mutant, several mutants in parallel.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    results: Mutex<Results>,
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
    let runner = SweepRunner { arguments, builds, strategy, jobs, results: Mutex::new(results) };
    let places: Vec<usize> = (0..mutants.len()).collect();
    let mut early = BTreeMap::new();
    let mut printed = 0;
    let sweeps = parallel::for_all(
        &places,
        threads,
        |&at| runner.run_mutant(&mutants[at]).map(|sweeps| Some((at, sweeps))),
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

impl SweepRunner<'_> {
    /// Runs all sweeps with one mutant, except for those that an earlier invocation finished. If
    /// tests must detect the mutant, runs the tests once instead, because they have no seeds.
    fn run_mutant(&self, mutant: &Mutant) -> CommandResult<Vec<MutantSweep>> {
        // Every strategy gets the same number of runs.
        let seeds_max = self.arguments.seeds_max().div_ceil(self.strategy.runs());
        let edits = format!("{:016x}", edits_hash(mutant));
        let numbers = match mutant.detector() {
            Detector::Simulator => 0..self.arguments.sweeps.get(),
            Detector::Test => 0..1,
        };
        let mut built = None;
        let mut sweeps = Vec::new();
        for number in numbers {
            // The lock is released here: the result of the sweep is added below.
            let known =
                self.results().known(&mutant.id, &edits, number, self.strategy, seeds_max).cloned();
            let is_done = |known: &MutantSweep| known.shrunk.is_some() || mutant.test.is_some();
            if let Some(known) = known.filter(|known| !self.arguments.shrink || is_done(known)) {
                sweeps.push(known);
                continue;
            }
            let mut sweep = MutantSweep {
                sources: String::new(),
                mutant: mutant.id.clone(),
                edits: edits.clone(),
                number,
                seeds_max,
                strategy: self.strategy.name().to_owned(),
                verdict: Verdict::Unbuildable,
                note: String::new(),
                failure: None,
                test_seconds: None,
                shrunk: None,
            };
            if let Some(test) = &mutant.test {
                let (verdict, note, took) = test_verdict::run_tests(self.builds, mutant, test)?;
                (sweep.verdict, sweep.note) = (verdict, note);
                sweep.test_seconds = took.map(|took| took.as_secs_f64());
            } else {
                let built = match &mut built {
                    Some(built) => built,
                    none => none.insert(self.builds.binary(mutant)?),
                };
                match built {
                    Ok(planted) => self.sweep(mutant, planted, &mut sweep)?,
                    Err(errors) => sweep.note.clone_from(errors),
                }
            }
            sweeps.push(self.results().add(sweep)?);
        }
        Ok(sweeps)
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

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
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
