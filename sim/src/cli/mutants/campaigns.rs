//! The campaigns against all mutants, several mutants at a time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crate::cli::args::MutantsArguments;
use crate::cli::exit::Trouble;
use crate::cli::mutants::builds::{Builds, cores};
use crate::cli::mutants::hunt::{self, Campaign, Verdict};
use crate::cli::mutants::kills;
use crate::cli::mutants::programs::Planted;
use crate::cli::mutants::results::Results;
use crate::cli::mutants::small;
use crate::cli::mutants::sources::hash;
use crate::cli::mutants::table::{Hunter, Mutant};
use crate::cli::mutants::trial;
use crate::rung::Rung;

/// What the campaigns against one mutant have in common.
struct Hunting<'a> {
    arguments: &'a MutantsArguments,
    builds: &'a Builds,
    rung: Rung,
    /// How many seeds each campaign runs at a time.
    jobs: NonZeroUsize,
    results: Mutex<Results>,
}

/// Hunts each mutant on this rung. They are told, and returned, in their order.
pub(crate) fn all(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutants: &[Mutant],
    rung: Rung,
    results: Results,
) -> Result<Vec<Campaign>, Trouble> {
    let hunters = arguments.jobs.unwrap_or(cores()).get().min(mutants.len());
    let jobs = NonZeroUsize::new(cores().get() / hunters.max(1)).unwrap_or(NonZeroUsize::MIN);
    let hunting = Hunting { arguments, builds, rung, jobs, results: Mutex::new(results) };
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..hunters {
            let (send, next, hunting) = (send.clone(), &next, &hunting);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = mutants.get(at) else { break };
                    // Nobody listens any more where another hunt met trouble.
                    if send.send((at, hunting.one(mutant))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut campaigns = Vec::new();
        let mut told = 0;
        for (at, hunted) in receive {
            early.insert(at, hunted?);
            while let Some(hunted) = early.remove(&told) {
                let Mutant { id, wrong, .. } = &mutants[told];
                told += 1;
                eprintln!("{told} of {}: {id}: {wrong}", mutants.len());
                hunted.iter().for_each(|one| eprintln!("  {}", kills::campaign_line(one)));
                campaigns.extend(hunted);
            }
        }
        Ok(campaigns)
    })
}

impl Hunting<'_> {
    /// All campaigns against one mutant; those that an earlier hunt finished are not run again. A
    /// test is run once: it has no seeds.
    fn one(&self, mutant: &Mutant) -> Result<Vec<Campaign>, Trouble> {
        // Each rung has the same number of runs.
        let seeds_max = self.arguments.seeds.get().div_ceil(self.rung.runs());
        let edits = format!("{:016x}", edits_hash(mutant));
        let numbers = match mutant.hunter {
            Hunter::Simulator => 0..self.arguments.campaigns.get(),
            Hunter::Test => 0..1,
        };
        let mut built = None;
        let mut campaigns = Vec::new();
        for number in numbers {
            let budget = (self.rung, seeds_max);
            let known = self.results().known(&mutant.id, &edits, number, budget).cloned();
            let is_small = |known: &Campaign| known.shrunk.is_some() || mutant.test.is_some();
            if let Some(known) = known.filter(|known| !self.arguments.shrink || is_small(known)) {
                campaigns.push(known);
                continue;
            }
            let mut campaign = Campaign {
                sources: String::new(),
                mutant: mutant.id.clone(),
                edits: edits.clone(),
                campaign: number,
                seeds_max,
                rung: self.rung.name().to_owned(),
                verdict: Verdict::Unbuildable,
                note: String::new(),
                failure: None,
                test_seconds: None,
                shrunk: None,
            };
            if let Some(test) = &mutant.test {
                let (verdict, note, took) = trial::hunt(self.builds, mutant, test)?;
                (campaign.verdict, campaign.note) = (verdict, note);
                campaign.test_seconds = took.map(|took| took.as_secs_f64());
            } else {
                let built = match &mut built {
                    Some(built) => built,
                    none => none.insert(self.builds.planted(mutant)?),
                };
                match built {
                    Ok(planted) => self.sweep(mutant, planted, &mut campaign)?,
                    Err(said) => campaign.note.clone_from(said),
                }
            }
            campaigns.push(self.results().add(campaign)?);
        }
        Ok(campaigns)
    }

    /// One campaign of the simulator.
    fn sweep(
        &self,
        mutant: &Mutant,
        planted: &Planted,
        campaign: &mut Campaign,
    ) -> Result<(), Trouble> {
        let hunt = self.builds.hunt(mutant, planted, self.rung, self.jobs);
        let number = campaign.campaign;
        (campaign.verdict, campaign.note, campaign.failure) =
            hunt::hunt(hunt, number, campaign.seeds_max)?;
        if let (true, Verdict::Killed, Some(failure)) =
            (self.arguments.shrink, campaign.verdict, &campaign.failure)
        {
            let (folder, name) = (self.builds.scenarios(), format!("{}-{number}", mutant.id));
            match small::shrink(hunt, failure, &folder, &name)? {
                Ok(left) => campaign.shrunk = Some(left),
                Err(wrong) => campaign.note = wrong,
            }
        }
        Ok(())
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn edits_hash(mutant: &Mutant) -> u64 {
    let hunter = [&mutant.profile, &mutant.test].map(|told| told.as_deref().unwrap_or_default());
    let hunter = hunter.iter().fold(0, |state, text| hash(state, text.as_bytes()));
    mutant.edit.iter().fold(hunter, |state, edit| {
        let file = edit.file.to_string_lossy();
        let texts = [file.as_ref(), &edit.find, &edit.replace];
        texts.iter().fold(state, |state, text| hash(state, text.as_bytes()))
    })
}
