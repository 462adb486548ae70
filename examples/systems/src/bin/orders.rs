//! The command `orders`: a node of it, its clients, and the experiment on its size.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::exit::{EXIT_CODES, tell};
use quorate_systems::common::prompt;
use quorate_systems::common::reach::ReachFlags;
use quorate_systems::common::secure::{self, CERTS_HELP, CertsFlags};
use quorate_systems::orders::client::{Ask, obey, reach};
use quorate_systems::orders::{SYSTEM, bench, server};

/// Orders of customers, numbered without gaps: one leader, and reads at any node.
#[derive(Debug, Parser)]
#[command(name = "orders", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    task: Task,
    #[command(flatten)]
    reach: ReachFlags,
}

const AFTER_HELP: &str = "\
Examples:
  orders place ann eve adam                 # the next order of ann, done by eve, taken by adam
  orders place ann eve adam --number 2      # only as her second; safe to repeat
  orders last ann
  orders show ann 2 --at 127.0.0.1:7422     # at this node, leader or not
  orders list
  orders status
  orders bench --orders 4000 --sizes 1,3
  orders --nodes 10.0.0.1:7400,10.0.0.2:7400 last ann     # remembered from then on";

#[derive(Debug, Subcommand)]
enum Task {
    /// Make certificates: for nodes, for clients and for administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node
    #[command(after_help = SERVE_HELP)]
    Serve(server::Flags),
    /// Measure what clusters of several sizes cost, with nodes of its own on this machine
    Bench(bench::Flags),
    /// Ask again and again, with history and help
    Prompt,
    #[command(flatten)]
    Ask(Ask),
}

const SERVE_HELP: &str = "\
Example: three nodes on this machine, one command in each of three terminals, with N from 1 to 3
  M=1=127.0.0.1:7421,2=127.0.0.1:7422,3=127.0.0.1:7423
  orders serve --id N --data-dir orders-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.task {
        Task::Certs(flags) => secure::certs(&SYSTEM, &flags),
        Task::Serve(flags) => server::serve(&flags),
        Task::Bench(flags) => bench::run(&flags),
        Task::Ask(ask) => reach(&args.reach).and_then(|to| obey(&to, ask)),
        Task::Prompt => {
            reach(&args.reach).and_then(|to| prompt::run(&SYSTEM, |ask| obey(&to, ask)))
        }
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
        prompt::grammar::<Ask>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("orders last ann") && help.contains("Exit codes"), "{help}");
    }
}
