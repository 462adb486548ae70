//! `cargo sim procs FILE`: a scenario on real processes, each in a network namespace of its own.

mod apart;
mod asking;
mod chance;
mod net;
mod nodes;
mod relay;
mod run;
mod unreal;
mod verdict;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::ProcsArguments;
use crate::cli::clock::own_number;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::interrupt;
use crate::cli::procs::chance::Chance;
use crate::cli::procs::net::Net;
use crate::cli::procs::run::Course;
use crate::cli::procs::unreal::Unreal;
use crate::cli::scenario;
use crate::run::RunOptions;

/// Runs the scenario, if all of it can be made real or the rest may be left out.
pub(crate) fn go(arguments: &ProcsArguments) -> Result<Exit, Trouble> {
    let file = &arguments.file;
    let scenario = scenario::read(file, &RunOptions::default())?;
    let unreal = unreal::lines(&scenario);
    for Unreal { line, what, why } in &unreal {
        console::say(&format!("cannot be made real  {}:{line}: {what}: {why}", file.display()));
    }
    if !unreal.is_empty() && !arguments.skip {
        let count = unreal.len();
        let lines = if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
        return Err(Trouble(format!(
            "{}: {lines} cannot be made real on processes: leave them out with --skip",
            file.display()
        )));
    }
    let binary = binary(arguments.binary.as_deref())?;
    interrupt::listen_and_clean_up();
    let nodes = scenario.case.settings.nodes().into();
    let net = Net::lay(nodes, Chance::of(&scenario)).map_err(Trouble)?;
    let folder = folder()?;
    console::say(&format!("{}, processes in {}", file.display(), folder.display()));
    let left_out: Vec<usize> = unreal.iter().map(|unreal| unreal.line).collect();
    let course = Course::new(&scenario, &left_out, net, &binary, &folder);
    let seen = course.run();
    let exit = verdict::tell(&scenario, &left_out, &seen);
    for Unreal { line, what, .. } in &unreal {
        console::say(&format!("skipped  {}:{line}: {what}", file.display()));
    }
    match exit {
        Exit::Fine => {
            fs::remove_dir_all(&folder)
                .map_err(|error| Trouble::file("to clean up", &folder, &error))?;
        }
        _ => console::say(&format!("logs and data are kept in {}", folder.display())),
    }
    Ok(exit)
}

/// The program whose processes are run.
fn binary(given: Option<&Path>) -> Result<PathBuf, Trouble> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join("quorate")));
    let built = ["release", "debug"].map(|profile| workspace.join(profile).join("quorate"));
    let places = match given {
        Some(path) => vec![path.to_owned()],
        None => beside.into_iter().chain(built).collect(),
    };
    let found = places.into_iter().find(|path| path.is_file());
    let found = found.and_then(|path| path.canonicalize().ok());
    found.ok_or_else(|| {
        let wanted = given.map_or("quorate".into(), |path| path.display().to_string());
        Trouble(format!(
            "{wanted}: there is no such program: `cargo build --release --features cli --bin \
             quorate` makes it, and --binary says where it is"
        ))
    })
}

/// A new directory for data and logs.
fn folder() -> Result<PathBuf, Trouble> {
    let path = env::temp_dir().join(format!("quorate-procs-{}", own_number()));
    fs::create_dir(&path).map_err(|error| Trouble::file("data and logs", &path, &error))?;
    Ok(path)
}
