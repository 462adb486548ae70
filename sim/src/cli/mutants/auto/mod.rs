//! `cargo sim mutants --auto`: mutants that rules make from the syntax tree of the library, so that
//! the result does not depend on which bugs a person thought of.

mod build;
mod catalog;
mod draw;
mod fold;
mod measure;
mod modules;
mod operators;
mod page;
mod records;
mod seeds;
mod sites;
#[cfg(test)]
mod tests;
mod worker;

use std::fs;

use crate::cli::args::{MutantSeedsArguments, MutantsArguments};
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::interrupt;
use crate::cli::mutants::auto::build::AutoBuild;
use crate::cli::mutants::auto::catalog::{Catalog, MODULES};
use crate::cli::mutants::auto::records::{Header, Records, Verdict};
use crate::cli::mutants::builds;
use crate::cli::mutants::sources::Sources;
use crate::cli::program::Program;
use crate::settings::profile::Profile;

/// Runs seeds in this process, in which a mutant may be active.
pub(crate) fn run_seeds(program: &Program, arguments: &MutantSeedsArguments) -> CommandResult {
    worker::execute(program, arguments)
}

/// Measures the mutants and prints the table of the modules.
pub(crate) fn execute(arguments: &MutantsArguments, sources: &Sources) -> CommandResult {
    let automatic = &arguments.automatic;
    if let Some(unknown) =
        automatic.module.iter().find(|module| !MODULES.contains(&module.as_str()))
    {
        let known = MODULES.join(", ");
        return Err(CommandError(format!(
            "--module: unknown module `{unknown}`; known modules: {known}"
        )));
    }
    let header = Header {
        sources: catalog::fingerprint(sources),
        strategy: arguments.strategy.name().to_owned(),
        seeds: arguments.seeds_max(),
        profiles: profiles(&automatic.profile).iter().map(|one| one.name.to_owned()).collect(),
    };
    let path = automatic
        .results
        .clone()
        .unwrap_or_else(|| sources.folder().join(format!("auto-{}.jsonl", header.name())));
    let _lock = builds::lock(&sources.folder())?;
    let records = Records::open(&path, &header)?;
    let catalog = Catalog::read(sources)?;
    let build = AutoBuild::prepare(sources, &catalog)?;
    let chosen = draw::choose(&catalog.mutants, &build.left_out, automatic);
    let known = chosen.iter().filter(|mutant| records.known(&mutant.id()).is_some()).count();
    let (all, compiled) = (catalog.mutants.len(), catalog.mutants.len() - build.left_out.len());
    eprintln!("{compiled} of {all} mutants compile; to measure: {}", chosen.len() - known);
    let measured = measure::run_all(sources, &build, &header, arguments, &chosen, records)?;
    if let Some(page) = &automatic.html {
        let text = page::document(&catalog, &build.left_out, &measured);
        fs::write(page, text).map_err(|error| CommandError::file("--html", page, &error))?;
    }
    let rows = modules::rows(&catalog, &build.left_out, &measured, &automatic.module);
    console::print_line(&match arguments.json {
        true => modules::json(&rows, &measured),
        false => modules::table(&rows, &measured, &header),
    });
    let is_alive = measured.iter().any(|record| record.verdict == Verdict::Alive);
    Ok(match interrupt::interrupted() {
        true => Exit::Interrupted,
        false if is_alive => Exit::ExpectationNotMet,
        false => Exit::Success,
    })
}

/// Returns the profiles in their order; by default all, the default profile first.
fn profiles(chosen: &[&'static Profile]) -> Vec<&'static Profile> {
    match chosen {
        [] => Profile::all().iter().collect(),
        chosen => chosen.to_vec(),
    }
}
