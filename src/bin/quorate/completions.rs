//! `quorate completions`: what a shell needs to complete the command line.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::{Exit, Trouble};

pub(crate) fn run(shell: Shell) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "quorate", &mut script);
    match io::Write::write_all(&mut io::stdout().lock(), &script) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::wrong(format!("the output: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}
