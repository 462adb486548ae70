//! `cargo sim replay`: replays recordings of real nodes, describes what they did, and checks it;
//! and the other commands that also take recordings.

pub(crate) mod arguments;
mod diff;
mod explain;
mod files;
mod found;
mod json;
mod page;
mod step;
mod text;
mod wall_time;
mod window;

use std::fs;

use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::recordings::arguments::ReplayArguments;
use crate::cli::recordings::files::exit_of_found;
use crate::cli::recordings::found::Found;
use crate::cli::recordings::window::Window;
use crate::cli::text::quantity;
use crate::recordings::Skeleton;
use crate::settings::Settings;

pub(crate) use diff::diff;
pub(crate) use explain::{explain, why_not};
pub(crate) use files::{exit_of, read};

pub(crate) fn execute(arguments: &ReplayArguments) -> CommandResult {
    let (recordings, unread) = panics::silenced(|| read(&arguments.files))?;
    if arguments.selects_steps() {
        let is_found = panics::silenced(|| step::print(&recordings, arguments));
        let errors = recordings.iter().flat_map(|recording| &recording.errors).chain(&unread);
        errors.for_each(|error| console::print_line(&format!("error: {error}")));
        let exit = exit_of(&arguments.files, &recordings, &unread);
        return Ok(if is_found || exit != Exit::Success { exit } else { Exit::Usage });
    }
    let mut skeleton = Skeleton::default();
    let found = Found::new(recordings, unread, |event| skeleton.observe(event));
    let window = Window::new(&arguments.window, &found.merged, &found.lines)?;
    // The result is printed first, because a file that cannot be written must not lose it.
    match arguments.json {
        true => console::print_line(&json::of(&found, &window).to_string()),
        false => console::print_line(text::of(&found, &window).trim_end()),
    }
    let exit = exit_of_found(&arguments.files, &found);
    match write_files(arguments, &found, &window, &skeleton) {
        Ok(()) => Ok(exit),
        Err(error) if exit == Exit::Success => Err(error),
        Err(error) => {
            eprintln!("error: {error}");
            Ok(exit)
        }
    }
}

/// Writes the scenario and the page.
fn write_files(
    arguments: &ReplayArguments,
    found: &Found,
    window: &Window,
    skeleton: &Skeleton,
) -> CommandResult<()> {
    if let Some(file) = &arguments.scenario {
        let written = fs::write(file, skeleton.text(&found.lines, Settings::NODES_MAX));
        written.map_err(|error| CommandError::file("--scenario", file, &error))?;
    }
    if let Some(file) = &arguments.html {
        let events = page::write(file, found, window)?;
        if !arguments.json {
            console::print_line(&format!("{}: {}", file.display(), quantity(events, "event")));
        }
    }
    Ok(())
}
