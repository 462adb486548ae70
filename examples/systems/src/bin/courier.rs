//! The command `courier`: a node of it, its clients, and what its administrator needs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::exit::{EXIT_CODES, tell};
use quorate_systems::common::members::{self, Members};
use quorate_systems::common::reach::ReachFlags;
use quorate_systems::common::secure::{self, CERTS_HELP, CertsFlags};
use quorate_systems::common::talk::orders::prompt;
use quorate_systems::courier::SYSTEM;
use quorate_systems::courier::client::{Order, desk, obey};
use quorate_systems::courier::server::{self, CourierFlags};

/// Messages between users, on nodes that come and go, spoken through TLS.
#[derive(Debug, Parser)]
#[command(name = "courier", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    task: Task,
    #[command(flatten)]
    reach: ReachFlags,
    /// Who speaks, of those who are logged in here; without it whoever logged in last
    #[arg(long = "as", global = true, value_name = "USER", env = "COURIER_USER")]
    speaker: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  courier certs certs                  # for nodes 1 to 3, a client and an administrator
  courier --certs certs create ann     # remembered from then on
  courier login ann
  courier send bob hello there
  courier send bob --fast hello        # taken by the leader, and may be lost
  courier --as bob receive
  courier list --at n2                 # as a backup has it, and how old that is
  courier add 4=127.0.0.1:7604         # a node that was started with --join
  courier prompt                       # the same orders, and messages as they come
  courier status";

#[derive(Debug, Subcommand)]
enum Task {
    /// Make certificates: for nodes, for clients and for administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node
    #[command(after_help = SERVE_HELP)]
    Serve(CourierFlags),
    /// Ask again and again, with history and help, and see messages as they come
    Prompt,
    #[command(flatten)]
    Change(Members),
    #[command(flatten)]
    Ask(Order),
}

const SERVE_HELP: &str = "\
Examples:
  Three nodes on this machine, one command in each of three terminals, with N from 1 to 3
    M=1=127.0.0.1:7601,2=127.0.0.1:7602,3=127.0.0.1:7603
    courier serve --certs certs --id N --data-dir courier-N --members $M
  A fourth one, which waits until `courier add 4=127.0.0.1:7604` lets it in
    courier serve --certs certs --id 4 --data-dir courier-4 --listen 127.0.0.1:7604 --join $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.task {
        Task::Certs(flags) => secure::certs(&SYSTEM, &flags),
        Task::Serve(flags) => server::serve(&flags),
        Task::Change(change) => {
            let reach = args.reach.reach_as_admin(SYSTEM);
            reach.and_then(|reach| members::change(&reach, &change))
        }
        Task::Ask(order) => desk(&args.reach, args.speaker).and_then(|desk| obey(&desk, order)),
        Task::Prompt => desk(&args.reach, args.speaker).and_then(|desk| prompt(desk, obey)),
    };
    tell(done).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use quorate_systems::common::prompt::grammar;

    use super::*;

    #[test]
    fn the_grammar_is_consistent_and_the_help_has_examples() {
        Args::command().debug_assert();
        grammar::<Order>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("courier login ann") && help.contains("Exit codes"), "{help}");
    }
}
