//! What hunts came to so far, in a file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::exit::Trouble;
use crate::cli::mutants::hunt::{Campaign, Verdict};
use crate::rung::Rung;

/// The campaigns finished so far against one state of the sources, one JSON line each: a hunt
/// that was stopped goes on where it was.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
    pub(crate) sources: String,
    known: Vec<Campaign>,
}

impl Results {
    pub(crate) fn open(folder: &Path, fingerprint: u64) -> Result<Results, Trouble> {
        let sources = format!("{fingerprint:016x}");
        let path = folder.join(format!("{sources}.jsonl"));
        let present = fs::read_to_string(&path).unwrap_or_default();
        // The last line may have been cut short when the hunt was stopped.
        let known = present.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| Trouble::file("mutants", &path, &error))?;
        if !present.is_empty() && !present.ends_with('\n') {
            let ended = writeln!(file);
            ended.map_err(|error| Trouble::file("mutants", &path, &error))?;
        }
        Ok(Results { path, file, sources, known })
    }

    /// A finished campaign that answers what a new one would.
    pub(crate) fn known(
        &self,
        id: &str,
        edits: &str,
        number: u64,
        (rung, seeds_max): (Rung, u64),
    ) -> Option<&Campaign> {
        self.known.iter().rev().find(|campaign| {
            let same = (campaign.mutant.as_str(), campaign.edits.as_str(), campaign.rung.as_str())
                == (id, edits, rung.name());
            let enough = match (campaign.verdict, &campaign.failure) {
                (Verdict::Killed, Some(failure)) => failure.after_seeds <= seeds_max,
                (Verdict::Killed, None) => true,
                (Verdict::Survived, _) => campaign.seeds_max >= seeds_max,
                _ => false,
            };
            same && campaign.campaign == number && enough
        })
    }

    pub(crate) fn add(&mut self, mut campaign: Campaign) -> Result<Campaign, Trouble> {
        campaign.sources.clone_from(&self.sources);
        let line = serde_json::to_string(&campaign).expect("a record has nothing JSON lacks");
        let written = writeln!(self.file, "{line}");
        written.map_err(|error| Trouble::file("mutants", &self.path, &error))?;
        self.known.push(campaign.clone());
        Ok(campaign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(number: u64, seeds_max: u64, verdict: Verdict) -> Campaign {
        Campaign {
            sources: String::new(),
            mutant: "EL01".to_owned(),
            edits: "e".to_owned(),
            campaign: number,
            seeds_max,
            rung: Rung::Swarm.name().to_owned(),
            verdict,
            note: String::new(),
            failure: None,
            test_seconds: None,
            shrunk: None,
        }
    }

    #[test]
    fn a_stopped_hunt_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut results = Results::open(folder.path(), 7).expect("it opens");
        results.add(campaign(0, 100, Verdict::Survived)).expect("it is written");
        results.add(campaign(1, 100, Verdict::Hung)).expect("it is written");
        write!(results.file, "{{\"cut sho").expect("it is written");
        drop(results);

        let mut results = Results::open(folder.path(), 7).expect("it opens");
        let rung = Rung::Swarm;
        assert_eq!(results.known.len(), 2);
        assert!(results.known("EL01", "e", 0, (rung, 100)).is_some());
        assert!(results.known("EL01", "e", 0, (rung, 101)).is_none(), "it ran too few seeds");
        assert!(results.known("EL01", "other", 0, (rung, 100)).is_none(), "the edits changed");
        let other = (Rung::Nemeses, 100);
        assert!(results.known("EL01", "e", 0, other).is_none(), "it was another rung");
        assert!(results.known("EL01", "e", 1, (rung, 100)).is_none(), "it decided nothing");
        results.add(campaign(2, 100, Verdict::Survived)).expect("it is written");
        assert_eq!(Results::open(folder.path(), 7).expect("it opens").known.len(), 3);
        assert_eq!(Results::open(folder.path(), 8).expect("it opens").known.len(), 0);
    }
}
