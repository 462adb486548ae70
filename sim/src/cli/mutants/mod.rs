//! `cargo sim mutants`: plants the bugs of `sim/mutants.toml`, one at a time in a copy of the
//! sources, and hunts each with a sweep or a test.

mod explained;
mod hunt;
mod kills;
mod small;
mod table;
mod tested;
mod tree;
mod trial;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::MutantsArguments;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::mutants::hunt::{Campaign, Ending, Hunt, Verdict};
use crate::cli::mutants::table::{Hunter, Mutant};
use crate::cli::mutants::tree::Tree;
use crate::rung::Rung;

/// Hunts the mutants and prints the kill table.
pub(crate) fn go(arguments: &MutantsArguments) -> Result<Exit, Trouble> {
    let sources = tree::sources()?;
    let mutants = table::read(&sources, &arguments.only)?;
    let tree = Tree::copy(&sources)?;
    if arguments.explain {
        return explained::go(arguments, &tree, &sources, &mutants);
    }
    let mut results = Results::open(&tree::folder(&sources), tree.fingerprint)?;
    let mut campaigns = Vec::new();
    for (at, mutant) in mutants.iter().enumerate() {
        eprintln!("{} of {}: {}: {}", at + 1, mutants.len(), mutant.id, mutant.wrong);
        campaigns.extend(hunt_one(arguments, &tree, mutant, &mut results)?);
    }
    let rows = kills::rows(&mutants, &campaigns);
    let impossible = table::impossible(&sources)?;
    let text = match arguments.json {
        true => kills::json(&rows),
        false => kills::table(&rows, &impossible),
    };
    console::say(&text);
    let all_killed = campaigns.iter().all(|campaign| campaign.verdict == Verdict::Killed);
    Ok(if all_killed { Exit::Fine } else { Exit::Vacuous })
}

/// All campaigns against one mutant; those that an earlier hunt finished are not run again. A test
/// is run once: it has no seeds.
fn hunt_one(
    arguments: &MutantsArguments,
    tree: &Tree,
    mutant: &Mutant,
    results: &mut Results,
) -> Result<Vec<Campaign>, Trouble> {
    let seeds_max = arguments.seeds.get();
    let edits = format!("{:016x}", edits_hash(mutant));
    let numbers = match mutant.hunter {
        Hunter::Simulator => 0..arguments.campaigns.get(),
        Hunter::Test => 0..1,
    };
    let mut built = None;
    let mut campaigns = Vec::new();
    for number in numbers {
        let known = results.known(&mutant.id, &edits, number, (arguments.rung, seeds_max)).cloned();
        let small = |campaign: &Campaign| campaign.shrunk.is_some() || mutant.test.is_some();
        let campaign = match known {
            Some(known) if !arguments.shrink || small(&known) => known,
            _ => {
                let (verdict, mut note, failure) = match &mutant.test {
                    Some(test) => trial::hunt(tree, mutant, test)?,
                    None => sweep(tree, mutant, &mut built, number, (arguments.rung, seeds_max))?,
                };
                let mut shrunk = None;
                if let (true, Some(Ok(binary)), Verdict::Killed, Some(failure)) =
                    (arguments.shrink, &built, verdict, &failure)
                {
                    let hunt = hunt_of(tree, mutant, binary, arguments.rung);
                    let (folder, name) = (tree.scenarios(), format!("{}-{number}", mutant.id));
                    match small::shrink(hunt, failure, &folder, &name)? {
                        Ok(left) => shrunk = Some(left),
                        Err(wrong) => note = wrong,
                    }
                }
                results.add(Campaign {
                    sources: results.sources.clone(),
                    mutant: mutant.id.clone(),
                    edits: edits.clone(),
                    campaign: number,
                    seeds_max,
                    rung: arguments.rung.name().to_owned(),
                    verdict,
                    note,
                    failure,
                    shrunk,
                })?
            }
        };
        eprintln!("  {}", kills::campaign_line(&campaign));
        campaigns.push(campaign);
    }
    Ok(campaigns)
}

/// One campaign of the simulator. The first one builds the mutant.
fn sweep(
    tree: &Tree,
    mutant: &Mutant,
    built: &mut Option<Result<PathBuf, String>>,
    campaign: u64,
    (rung, seeds_max): (Rung, u64),
) -> Result<Ending, Trouble> {
    let built = match built {
        Some(built) => built,
        None => {
            let held = tree.plant(mutant)?;
            let binary = tree.build();
            tree.restore(&held)?;
            built.insert(binary?)
        }
    };
    match built {
        Ok(binary) => hunt::hunt(hunt_of(tree, mutant, binary, rung), campaign, seeds_max),
        Err(said) => Ok((Verdict::Unbuildable, said.clone(), None)),
    }
}

/// The commands that hunt a mutant which is built.
fn hunt_of<'a>(tree: &'a Tree, mutant: &'a Mutant, binary: &'a Path, rung: Rung) -> Hunt<'a> {
    Hunt { mutant: binary, original: &tree.original, profile: mutant.profile.as_deref(), rung }
}

fn edits_hash(mutant: &Mutant) -> u64 {
    let hunter = [&mutant.profile, &mutant.test].map(|told| told.as_deref().unwrap_or_default());
    let hunter = hunter.iter().fold(0, |state, text| tree::hash(state, text.as_bytes()));
    mutant.edit.iter().fold(hunter, |state, edit| {
        let file = edit.file.to_string_lossy();
        let texts = [file.as_ref(), &edit.find, &edit.replace];
        texts.iter().fold(state, |state, text| tree::hash(state, text.as_bytes()))
    })
}

/// The campaigns finished so far against one state of the sources, one JSON line each: a hunt
/// that was stopped goes on where it was.
struct Results {
    path: PathBuf,
    file: File,
    sources: String,
    known: Vec<Campaign>,
}

impl Results {
    fn open(folder: &Path, fingerprint: u64) -> Result<Results, Trouble> {
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
    fn known(
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

    fn add(&mut self, campaign: Campaign) -> Result<Campaign, Trouble> {
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
