//! Measures mutants: which seeds reach them, and which check kills them.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cli::args::MutantsArguments;
use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::interrupt;
use crate::cli::mutants::auto::build::AutoBuild;
use crate::cli::mutants::auto::catalog::AutoMutant;
use crate::cli::mutants::auto::records::{AutoRecord, Header, Killer, Records, Verdict};
use crate::cli::mutants::auto::seeds::{SeedResults, SeedRunner, Seen};
use crate::cli::mutants::auto::worker::SeedRecord;
use crate::cli::mutants::builds::cores;
use crate::cli::mutants::parallel;
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::tree::copy_binary;
use crate::cli::progress::CountProgress;

/// A seed with a mutant counts as hung after this many times the CPU time of the slowest seed
/// without a mutant.
const SLOWER_MAX: u32 = 20;
/// The smallest limit of CPU time after which a seed with a mutant counts as hung.
const CPU_LIMIT_MIN: Duration = Duration::from_secs(10);
/// The CPU time after which a seed without a mutant counts as hung.
const CPU_MAX_ORIGINAL: Duration = Duration::from_secs(600);

/// Measures the mutants, except for those with records in the file. Returns the records in the
/// order of the mutants; an interrupted measurement has fewer.
pub(crate) fn run_all(
    sources: &Sources,
    build: &AutoBuild,
    header: &Header,
    arguments: &MutantsArguments,
    chosen: &[&AutoMutant],
    records: Records,
) -> CommandResult<Vec<AutoRecord>> {
    if chosen.iter().any(|mutant| records.known(&mutant.id()).is_none()) {
        eprintln!("building them, and running the seeds without a mutant");
        build.build()?;
        Measurement::prepare(sources, build, header, arguments)?.run_all(chosen, records)
    } else {
        Ok(chosen.iter().filter_map(|mutant| known(mutant, &records)).collect())
    }
}

/// Returns the record of a mutant that was measured before, with the number that it has now.
fn known(mutant: &AutoMutant, records: &Records) -> Option<AutoRecord> {
    let record = records.known(&mutant.id())?.clone();
    Some(AutoRecord { number: mutant.number, ..record })
}

/// The seeds without a mutant, with which all mutants are compared.
struct Measurement<'a> {
    build: &'a AutoBuild,
    header: &'a Header,
    threads: usize,
    profiles: Vec<ProbedProfile>,
}

/// The seeds of one profile without a mutant.
struct ProbedProfile {
    name: String,
    cpu_max: Duration,
    /// The seeds that fail without a mutant.
    failing: BTreeSet<u64>,
    /// By mutant, the first seeds that reach its place.
    seen: BTreeMap<usize, Seen>,
}

impl<'a> Measurement<'a> {
    /// Runs the seeds of each profile without a mutant, in the original command and in the one with
    /// all mutants, where they mark which mutants they would reach. Both must behave alike.
    fn prepare(
        sources: &Sources,
        build: &'a AutoBuild,
        header: &'a Header,
        arguments: &MutantsArguments,
    ) -> CommandResult<Measurement<'a>> {
        let original = sources.folder().join(format!("auto-original{}", env::consts::EXE_SUFFIX));
        let this = env::current_exe();
        let this = this.map_err(|error| CommandError::file("mutants", &original, &error))?;
        copy_binary(&this, &original)?;
        let threads = arguments.jobs.unwrap_or(cores()).get();
        let mut progress = CountProgress::start("profiles", header.profiles.len());
        let mut done = 0;
        let profiles = parallel::for_all(
            &header.profiles,
            threads,
            |name| ProbedProfile::run(name, &original, build, header).map(Some),
            |_| {
                done += 1;
                progress.advance(done, "measured without a mutant");
            },
        )?;
        progress.finish();
        Ok(Measurement { build, header, threads, profiles })
    }

    /// Measures the mutants, several at a time. Returns the records in their order.
    fn run_all(&self, chosen: &[&AutoMutant], records: Records) -> CommandResult<Vec<AutoRecord>> {
        // The first Ctrl-C stops the measurement; the running mutants get no record.
        interrupt::listen(true);
        let records = Mutex::new(records);
        let mut progress = CountProgress::start("mutants", chosen.len());
        let (mut done, mut killed, mut alive) = (0, 0, 0);
        let measured = parallel::for_all(
            chosen,
            self.threads,
            |mutant| self.measure(mutant, &records),
            |record| {
                done += 1;
                killed += usize::from(record.verdict == Verdict::Killed);
                alive += usize::from(record.verdict == Verdict::Alive);
                progress.advance(done, &format!("{killed} killed, {alive} alive"));
            },
        )?;
        progress.finish();
        Ok(measured)
    }

    /// Measures a mutant unless an earlier run did. Returns `None` after an interruption, which
    /// also stops the running seeds.
    fn measure(
        &self,
        mutant: &AutoMutant,
        records: &Mutex<Records>,
    ) -> CommandResult<Option<AutoRecord>> {
        let locked = || records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known(mutant, &locked()) {
            return Ok(Some(known));
        }
        if interrupt::interrupted() {
            return Ok(None);
        }
        let (verdict, killer) = self.verdict(mutant.number)?;
        if interrupt::interrupted() {
            return Ok(None);
        }
        let change = &mutant.change;
        let record = AutoRecord {
            id: mutant.id(),
            number: mutant.number,
            module: mutant.module.to_owned(),
            file: mutant.file.display().to_string(),
            line: change.line,
            column: change.column,
            function: change.function.clone(),
            kind: change.kind.to_owned(),
            change: change.text.clone(),
            verdict,
            killer,
        };
        locked().add(&record)?;
        Ok(Some(record))
    }

    /// Runs the seeds of each profile from the first that the mutant can change: until then, a run
    /// with the mutant is equal to the one without it.
    fn verdict(&self, number: usize) -> CommandResult<(Verdict, Option<Killer>)> {
        let mut verdict = Verdict::NotReached;
        for profile in &self.profiles {
            let Some(seen) = profile.seen.get(&number) else { continue };
            verdict = verdict.max(Verdict::NotDifferent);
            let mut from = seen.different.unwrap_or(self.header.seeds);
            while from < self.header.seeds {
                let runner = SeedRunner {
                    command: &self.build.command,
                    profile: &profile.name,
                    strategy: &self.header.strategy,
                    cpu_max: profile.cpu_max,
                };
                let results = runner.run(Some(&number.to_string()), from..self.header.seeds)?;
                if results.seen.get(&number).is_some_and(|seen| seen.different.is_some()) {
                    verdict = verdict.max(Verdict::Alive);
                }
                let Some(SeedRecord { seed, failure: Some(failure), .. }) =
                    results.seeds.into_iter().last()
                else {
                    break;
                };
                if !profile.failing.contains(&seed) {
                    let killer = Killer {
                        profile: profile.name.clone(),
                        seed,
                        after_seeds: seed + 1,
                        is_first: self.header.profiles.first() == Some(&profile.name),
                        failure,
                    };
                    return Ok((Verdict::Killed, Some(killer)));
                }
                from = seed + 1;
            }
        }
        Ok((verdict, None))
    }
}

impl ProbedProfile {
    /// Runs the seeds of a profile without a mutant, and compares the two commands.
    fn run(
        name: &str,
        original: &Path,
        build: &AutoBuild,
        header: &Header,
    ) -> CommandResult<ProbedProfile> {
        let runner = |command| SeedRunner {
            command,
            profile: name,
            strategy: &header.strategy,
            cpu_max: CPU_MAX_ORIGINAL,
        };
        let plain = all_seeds(runner(original), None, header.seeds)?;
        let probe = all_seeds(runner(&build.command), Some("probe"), header.seeds)?;
        if let Some(seed) = first_difference(&plain, &probe) {
            return Err(CommandError(format!(
                "mutants: the build with all mutants changes seed {seed} of profile {name} \
                 although none is active: {}",
                build.command.display()
            )));
        }
        let slowest = plain.seeds.iter().map(|seed| seed.cpu_seconds).fold(0.0, f64::max);
        let slowest = Duration::try_from_secs_f64(slowest).unwrap_or_default();
        let failed = plain.seeds.iter().filter(|seed| seed.failure.is_some());
        Ok(ProbedProfile {
            name: name.to_owned(),
            cpu_max: CPU_LIMIT_MIN.max(slowest * SLOWER_MAX),
            failing: failed.map(|seed| seed.seed).collect(),
            seen: probe.seen,
        })
    }
}

/// Runs all seeds without an active mutant, also those after one that fails.
fn all_seeds(
    runner: SeedRunner<'_>,
    active: Option<&str>,
    count: u64,
) -> CommandResult<SeedResults> {
    let mut all = SeedResults::default();
    let mut from = 0;
    while from < count {
        let part = runner.run(active, from..count)?;
        from = part.seeds.last().map_or(count, |last| last.seed + 1);
        all.seeds.extend(part.seeds);
        for (number, seen) in part.seen {
            let before = all.seen.entry(number).or_default();
            before.reached = before.reached.or(seen.reached);
            before.different = before.different.or(seen.different);
        }
    }
    Ok(all)
}

fn first_difference(plain: &SeedResults, probe: &SeedResults) -> Option<u64> {
    let mut pairs = plain.seeds.iter().zip(&probe.seeds);
    pairs.find(|(plain, probe)| plain.digest != probe.digest).map(|(plain, _)| plain.seed)
}
