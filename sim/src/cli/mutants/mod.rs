//! `cargo sim mutants`: plants the bugs of `sim/mutants.toml` in a copy of the sources and hunts
//! each with a sweep or a test.

mod builds;
mod campaigns;
mod emitted;
mod explained;
mod fold;
mod hunt;
mod kills;
mod ladder;
mod programs;
mod results;
mod small;
mod sources;
mod table;
mod tested;
mod tree;
mod trial;

use crate::cli::args::MutantsArguments;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::emitted::Proof;
use crate::cli::mutants::hunt::Verdict;
use crate::cli::mutants::results::Results;
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::{Hunter, Mutant};
use crate::rung::Rung;

/// Hunts the mutants and prints the kill table.
pub(crate) fn go(arguments: &MutantsArguments) -> Result<Exit, Trouble> {
    let sources = Sources::read(sources::root()?)?;
    let all = table::read(&sources.root, &[])?;
    let mutants = table::read(&sources.root, &arguments.only)?;
    let impossible = table::impossible(&sources.root)?;
    let builds = Builds::make(sources, &all, &mutants)?;
    let folded = all.len() - builds.alone.len();
    let others = if builds.alone.is_empty() { "" } else { "; not so:" };
    eprintln!("{folded} of {} bugs are folded into one build{others}", all.len());
    builds.alone.iter().for_each(|(id, why)| eprintln!("  {id}: {why}"));
    if arguments.explain {
        return explained::go(arguments, &builds, &mutants);
    }
    let hunt = |rung, mutants: &[Mutant]| {
        let results = Results::open(&builds.sources.folder(), builds.sources.fingerprint)?;
        campaigns::all(arguments, &builds, mutants, rung, results)
    };
    if arguments.rungs {
        let (swept, tested): (Vec<Mutant>, Vec<Mutant>) =
            mutants.into_iter().partition(|mutant| mutant.hunter == Hunter::Simulator);
        let mut rungs = Vec::new();
        for rung in Rung::ALL {
            rungs.push((rung, kills::rows(&swept, &hunt(rung, &swept)?)));
        }
        let tested = kills::rows(&tested, &hunt(arguments.rung, &tested)?);
        console::say(&ladder::markdown(&rungs, &tested, arguments.seeds.get()));
        return Ok(Exit::Fine);
    }
    let campaigns = hunt(arguments.rung, &mutants)?;
    let rows = kills::rows(&mutants, &campaigns);
    let text = match arguments.json {
        true => kills::json(&rows),
        false => kills::table(&rows, &impossible),
    };
    console::say(&text);
    let mut all_killed = campaigns.iter().all(|campaign| campaign.verdict == Verdict::Killed);
    if arguments.shrink {
        let Proof { tests, wrong } = emitted::prove(&builds, &mutants, &campaigns)?;
        let right = tests - wrong.len().min(tests);
        eprintln!("{right} of {tests} emitted tests fail with their bug and pass without");
        wrong.iter().for_each(|wrong| eprintln!("  {wrong}"));
        all_killed &= wrong.is_empty();
    }
    Ok(if all_killed { Exit::Fine } else { Exit::Vacuous })
}
