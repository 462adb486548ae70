//! The programs that hunt: commands and cargo, with a bug on or without.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cli::clock::{self, Stopwatch};
use crate::cli::exit::Trouble;

/// What the environment of a folded build names the bug in that is on.
pub(crate) const SWITCH: &str = "PLANTED_BUG";

/// How long one process may run before it counts as hung.
const PROCESS_TIME_MAX: Duration = Duration::from_secs(900);

/// A command, and the bug in it that is to be on.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) command: PathBuf,
    /// None if the command has no bug, or always the same one.
    pub(crate) on: Option<String>,
}

impl Planted {
    /// A command that needs no switch.
    pub(crate) fn alone(command: PathBuf) -> Planted {
        Planted { command, on: None }
    }

    /// The command, ready for its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        switch(&mut command, self.on.as_deref());
        command
    }
}

/// Puts this bug on where many are folded in, or none.
pub(crate) fn switch(command: &mut Command, on: Option<&str>) {
    match on {
        Some(id) => command.env(SWITCH, id),
        None => command.env_remove(SWITCH),
    };
}

/// Runs cargo, however long it takes.
pub(crate) fn ended(cargo: &mut Command) -> Result<Output, Trouble> {
    let output = cargo.stdin(Stdio::null()).output();
    output.map_err(|error| Trouble(format!("mutants: cargo cannot be run: {error}")))
}

/// Runs a command. Returns whether it succeeded, and what it printed; `None` if it did not end in
/// time.
pub(crate) fn finish(command: &mut Command) -> Result<Option<(bool, String)>, Trouble> {
    let program = command.get_program().to_owned();
    let failed = |error| Trouble::file("mutants", Path::new(&program), &error);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // What it prints is read aside: it could fill the pipe.
    let mut pipe = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut text).map(|_| text)
    });
    let watch = Stopwatch::start();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break Some(status.success());
        }
        if watch.elapsed() > PROCESS_TIME_MAX {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            break None;
        }
        clock::pause(Duration::from_millis(5));
    };
    let text = reader.join().expect("reading does not panic").map_err(failed)?;
    Ok(ended.map(|succeeded| (succeeded, text)))
}
