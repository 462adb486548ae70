//! The file of finished sweeps, from which an interrupted `cargo sim mutants` resumes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::mutant_sweep::{MutantSweep, Verdict};
use crate::settings::strategy::Strategy;

/// The finished sweeps with the mutants of one version of the sources, one JSON line each. Several
/// threads add to them; no method returns the lock, so that no thread holds it while a sweep runs.
pub(crate) struct Results {
    path: PathBuf,
    sources: String,
    written: Mutex<WrittenResults>,
}

struct WrittenResults {
    file: File,
    sweeps: Vec<MutantSweep>,
}

impl Results {
    pub(crate) fn open(folder: &Path, fingerprint: u64) -> CommandResult<Results> {
        let sources = format!("{fingerprint:016x}");
        let path = folder.join(format!("{sources}.jsonl"));
        let present = fs::read_to_string(&path).unwrap_or_default();
        // The last line may be incomplete if the process was stopped while it wrote it.
        let sweeps = present.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| CommandError::file("mutants", &path, &error))?;
        if !present.is_empty() && !present.ends_with('\n') {
            let ended = writeln!(file);
            ended.map_err(|error| CommandError::file("mutants", &path, &error))?;
        }
        Ok(Results { path, sources, written: Mutex::new(WrittenResults { file, sweeps }) })
    }

    /// Returns the finished sweep `number` with this mutant and strategy, if its result is valid
    /// for a sweep of `seeds_max` seeds, which then need not run.
    pub(crate) fn known(
        &self,
        id: &str,
        edits: &str,
        number: u64,
        strategy: Strategy,
        seeds_max: u64,
    ) -> Option<MutantSweep> {
        let written = self.written();
        let known = written.sweeps.iter().rev().find(|sweep| {
            let same = (sweep.mutant.as_str(), sweep.edits.as_str(), sweep.strategy.as_str())
                == (id, edits, strategy.name());
            let enough = match (sweep.verdict, &sweep.failure) {
                (Verdict::Killed, Some(failure)) => failure.after_seeds <= seeds_max,
                (Verdict::Killed, None) => true,
                (Verdict::Survived, _) => sweep.seeds_max >= seeds_max,
                _ => false,
            };
            same && sweep.number == number && enough
        });
        known.cloned()
    }

    pub(crate) fn add(&self, mut sweep: MutantSweep) -> CommandResult<MutantSweep> {
        sweep.sources.clone_from(&self.sources);
        let line = serde_json::to_string(&sweep).expect("a record is always valid JSON");
        let mut written = self.written();
        let added = writeln!(written.file, "{line}");
        added.map_err(|error| CommandError::file("mutants", &self.path, &error))?;
        written.sweeps.push(sweep.clone());
        Ok(sweep)
    }

    fn written(&self) -> MutexGuard<'_, WrittenResults> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(number: u64, seeds_max: u64, verdict: Verdict) -> MutantSweep {
        MutantSweep {
            sources: String::new(),
            mutant: "EL01".to_owned(),
            edits: "e".to_owned(),
            number,
            seeds_max,
            strategy: Strategy::Swarm.name().to_owned(),
            verdict,
            note: String::new(),
            failure: None,
            test_seconds: None,
            shrunk: None,
        }
    }

    #[test]
    fn a_stopped_invocation_resumes_from_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let results = Results::open(folder.path(), 7).expect("it opens");
        results.add(sweep(0, 100, Verdict::Survived)).expect("it is written");
        results.add(sweep(1, 100, Verdict::Hung)).expect("it is written");
        write!(results.written().file, "{{\"cut sho").expect("it is written");
        drop(results);

        let results = Results::open(folder.path(), 7).expect("it opens");
        let strategy = Strategy::Swarm;
        assert_eq!(results.written().sweeps.len(), 2);
        assert!(results.known("EL01", "e", 0, strategy, 100).is_some());
        assert!(results.known("EL01", "e", 0, strategy, 101).is_none(), "it ran too few seeds");
        assert!(results.known("EL01", "other", 0, strategy, 100).is_none(), "the edits changed");
        let other = Strategy::Nemeses;
        assert!(results.known("EL01", "e", 0, other, 100).is_none(), "the strategy differs");
        assert!(
            results.known("EL01", "e", 1, strategy, 100).is_none(),
            "a hung sweep has no result"
        );
        results.add(sweep(2, 100, Verdict::Survived)).expect("it is written");
        assert_eq!(Results::open(folder.path(), 7).expect("it opens").written().sweeps.len(), 3);
        assert_eq!(Results::open(folder.path(), 8).expect("it opens").written().sweeps.len(), 0);
    }
}
