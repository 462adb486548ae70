//! `cargo sim procs FILE`: runs a scenario on real processes, each in its own network namespace.

mod clients;
mod detached;
mod net;
mod nodes;
mod random_faults;
mod relay;
mod run;
mod unsupported;
mod verdict;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::ProcsArguments;
use crate::cli::clock::pid;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::interrupt;
use crate::cli::procs::net::NamespaceNetwork;
use crate::cli::procs::random_faults::RandomFaults;
use crate::cli::procs::run::ScenarioRun;
use crate::cli::procs::unsupported::UnsupportedLine;
use crate::cli::scenario;
use crate::run::RunOptions;

/// Runs the scenario if all its lines are supported on real processes, or `--skip` is given.
pub(crate) fn execute(arguments: &ProcsArguments) -> CommandResult {
    let file = &arguments.file;
    let mut scenario = scenario::read(file, &RunOptions::default())?;
    let unsupported = unsupported::unsupported_lines(&scenario);
    for UnsupportedLine { line, text, reason } in &unsupported {
        console::print_line(&format!("unsupported  {}:{line}: {text}: {reason}", file.display()));
    }
    if !unsupported.is_empty() && !arguments.skip {
        let count = unsupported.len();
        let lines = if count == 1 { "1 line is".to_owned() } else { format!("{count} lines are") };
        return Err(CommandError(format!(
            "{}: {lines} not supported on real processes: use --skip to skip them",
            file.display()
        )));
    }
    let skipped: Vec<usize> = unsupported.iter().map(|unsupported| unsupported.line).collect();
    unsupported::leave_out(&mut scenario, &skipped);
    let binary = binary(arguments.binary.as_deref())?;
    interrupt::listen_and_clean_up();
    let nodes = scenario.case.settings.nodes().into();
    let net = NamespaceNetwork::create(nodes, RandomFaults::of(&scenario)).map_err(CommandError)?;
    let folder = folder()?;
    console::print_line(&format!("{}, processes in {}", file.display(), folder.display()));
    let run = ScenarioRun::new(&scenario, &skipped, net, &binary, &folder);
    let result = run.run();
    let exit = verdict::report(&scenario, &skipped, &result);
    for UnsupportedLine { line, text, .. } in &unsupported {
        console::print_line(&format!("skipped  {}:{line}: {text}", file.display()));
    }
    match exit {
        Exit::Success => {
            fs::remove_dir_all(&folder)
                .map_err(|error| CommandError::file("cannot remove", &folder, &error))?;
        }
        _ => console::print_line(&format!("logs and data are kept in {}", folder.display())),
    }
    Ok(exit)
}

/// Returns the path of the `quorate` binary.
fn binary(given: Option<&Path>) -> CommandResult<PathBuf> {
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
        CommandError(format!(
            "{wanted}: binary not found: build it with `cargo build --release --features cli --bin \
             quorate`, or pass its path with --binary"
        ))
    })
}

/// Creates a new directory for data and logs.
fn folder() -> CommandResult<PathBuf> {
    let path = env::temp_dir().join(format!("quorate-procs-{}", pid()));
    fs::create_dir(&path)
        .map_err(|error| CommandError::file("cannot create the data directory", &path, &error))?;
    Ok(path)
}
