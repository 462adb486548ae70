//! The command `directory`: a node of it, and its clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::exit::{EXIT_CODES, tell};
use quorate_systems::common::prompt;
use quorate_systems::common::reach::ReachFlags;
use quorate_systems::common::secure::{self, CERTS_HELP, CertsFlags};
use quorate_systems::common::serve::ServeFlags;
use quorate_systems::directory::client::{Order, obey, reach};
use quorate_systems::directory::{SYSTEM, server};

/// Who is where, and numbers that are never given twice: one master, three replicas.
#[derive(Debug, Parser)]
#[command(name = "directory", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    task: Task,
    #[command(flatten)]
    reach: ReachFlags,
    /// Who asks, as others are told: name@host
    #[arg(long, global = true, value_name = "NAME", env = "USER", default_value = "somebody")]
    origin: String,
}

const AFTER_HELP: &str = "\
Examples:
  directory connect ann 10.0.0.9:5000
  directory lookup ann bob
  directory next
  directory status
  directory prompt
  directory --nodes 10.0.0.1:7400,10.0.0.2:7400 lookup ann     # remembered from then on";

#[derive(Debug, Subcommand)]
enum Task {
    /// Make certificates: for nodes, for clients and for administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node
    #[command(after_help = SERVE_HELP)]
    Serve(ServeFlags),
    /// Ask again and again, with history and help
    Prompt,
    #[command(flatten)]
    Ask(Order),
}

const SERVE_HELP: &str = "\
Example: four nodes on this machine, one command in each of four terminals, with N from 1 to 4
  M=1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403,4=127.0.0.1:7404
  directory serve --id N --data-dir directory-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.task {
        Task::Certs(flags) => secure::certs(&SYSTEM, &flags),
        Task::Serve(flags) => server::serve(&flags),
        Task::Ask(order) => reach(&args.reach).and_then(|to| obey(&to, &args.origin, order)),
        Task::Prompt => reach(&args.reach)
            .and_then(|to| prompt::run(&SYSTEM, |order| obey(&to, &args.origin, order))),
    };
    tell(done).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent_and_the_help_has_examples() {
        Args::command().debug_assert();
        prompt::grammar::<Order>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("directory lookup ann bob") && help.contains("Exit codes"), "{help}");
    }
}
