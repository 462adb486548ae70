//! `quorate completions`: prints a shell completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::{CommandResult, Exit};
use crate::output::print;

pub(crate) fn run(shell: Shell) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "quorate", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
