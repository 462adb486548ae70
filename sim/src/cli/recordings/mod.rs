//! `cargo sim replay`: replays recordings of real nodes, describes what they did, and checks it.

pub(crate) mod arguments;
mod found;
mod json;
mod step;
mod text;
mod wall_time;
mod window;

use std::fs;
use std::path::{Path, PathBuf};

use quorate::recording::RecordingErrorReason;
use quorate::types::NodeId;

use crate::cli::console;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::panics;
use crate::cli::recordings::arguments::ReplayArguments;
use crate::cli::recordings::found::Found;
use crate::cli::recordings::window::Window;
use crate::recordings::{
    Account, Leadership, NodeRecording, PlaybackError, RecordingChecks, Skeleton, Source, by_node,
    merge, survey,
};
use crate::settings::Settings;

pub(crate) fn execute(arguments: &ReplayArguments) -> Result<Exit, CommandError> {
    panics::silence_in_seeds();
    let (recordings, unread) = panics::silenced(|| read(&arguments.files))?;
    if arguments.record.is_some() || arguments.to_next.is_some() {
        let is_found = panics::silenced(|| step::print(&recordings, arguments));
        let errors = recordings.iter().flat_map(|recording| &recording.errors).chain(&unread);
        errors.for_each(|error| console::print_line(&format!("error: {error}")));
        let exit = exit_of(&arguments.files, &recordings, &unread);
        return Ok(if is_found || exit != Exit::Success { exit } else { Exit::Usage });
    }
    let nodes: Vec<NodeId> = recordings.iter().map(|recording| recording.node).collect();
    let (mut account, mut checks) = (Account::default(), RecordingChecks::new(&nodes));
    let mut skeleton = Skeleton::default();
    let merged = panics::silenced(|| {
        merge(&recordings, |event| {
            account.observe(event);
            checks.observe(event);
            skeleton.observe(event);
        })
    });
    let lines = account.lines().to_vec();
    let window = Window::new(&arguments.window, &merged, &lines)?;
    if let Some(file) = &arguments.scenario {
        let written = fs::write(file, skeleton.text(&lines, Settings::NODES_MAX));
        written.map_err(|error| CommandError::file("--scenario", file, &error))?;
    }
    let (leaders, checks) = (Leadership::all(&lines), checks.finish(&merged));
    let found = Found { recordings, unread, lines, leaders, merged, checks };
    match arguments.json {
        true => console::print_line(&json::of(&found, &window).to_string()),
        false => console::print_line(text::of(&found, &window).trim_end()),
    }
    Ok(match found.checks.iter().any(|checked| checked.violation.is_some()) {
        true => Exit::Safety,
        false => exit_of(&arguments.files, &found.recordings, &found.unread),
    })
}

/// Replays the recordings in these files, one for each node.
pub(crate) fn read(
    files: &[PathBuf],
) -> Result<(Vec<NodeRecording>, Vec<PlaybackError>), CommandError> {
    let paths: Result<Vec<_>, _> = files.iter().map(|path| sources(path)).collect();
    let (groups, mut unread) = by_node(paths?);
    let mut found: Vec<NodeRecording> = Vec::new();
    for group in groups {
        match survey(group) {
            Ok(recording) => found.push(recording),
            Err(error) => unread.push(error),
        }
    }
    let Some(first) = found.first() else { return Ok((found, unread)) };
    if let Some(other) = found.iter().find(|other| other.cluster != first.cluster) {
        let (first, other) = (&first.sources[0], &other.sources[0]);
        return Err(CommandError(format!(
            "{first} and {other} are recordings of different clusters"
        )));
    }
    Ok((found, unread))
}

fn sources(path: &Path) -> Result<Vec<Source>, CommandError> {
    Source::find(path).map_err(|error| CommandError(format!("{}: {error}", path.display())))
}

/// The exit code: that of a divergence if there is one, else that of a file that cannot be read. A
/// file may end in half a block because its node was killed or still runs; that is not an error
/// unless the command line names the file.
pub(crate) fn exit_of(
    files: &[PathBuf],
    recordings: &[NodeRecording],
    unread: &[PlaybackError],
) -> Exit {
    let is_named = |file: &str| files.iter().any(|path| path.display().to_string() == file);
    let errors = || recordings.iter().flat_map(|recording| &recording.errors).chain(unread);
    let exits = errors().map(|error| match error.error.reason {
        RecordingErrorReason::Cut { .. } if !is_named(&error.file) => Exit::Success,
        RecordingErrorReason::Panicked { .. } => Exit::Panic,
        _ if !error.is_divergence() => Exit::Usage,
        _ if error.is_of_other_version() => Exit::ExpectationNotMet,
        _ => Exit::Nondeterminism,
    });
    let order =
        [Exit::Panic, Exit::Nondeterminism, Exit::ExpectationNotMet, Exit::Usage, Exit::Success];
    let place = |exit: &Exit| order.iter().position(|other| other == exit);
    exits.min_by_key(place).unwrap_or(Exit::Success)
}
