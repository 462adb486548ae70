//! The command `cargo explore`: explores scopes completely, or up to a limit, and prints results.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use quorate::types::parse_number;
use quorate_explore::explore::{Progress, Reached, Report, Verdict, explore};
use quorate_explore::{repair, scope, scopes};

/// Explores every state of a small cluster within bounds
#[derive(Debug, Parser)]
#[command(name = "cargo-explore", bin_name = "cargo explore", version)]
struct Arguments {
    /// The scopes to explore [default: all]
    #[arg(value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Stop a scope after this many distinct states of the whole cluster
    #[arg(long, value_name = "N", default_value = "4000000000", value_parser = number)]
    states: u64,
    /// Stop a scope after this many minutes
    #[arg(long, value_name = "MINUTES", default_value = "30", value_parser = number)]
    minutes: u64,
    /// Stop a scope when the memory of this process exceeds this many MiB
    #[arg(long, value_name = "MIB", default_value = "8192", value_parser = number)]
    memory: u64,
    /// Use the short bounds, with which a scope takes seconds
    #[arg(long)]
    short: bool,
    /// Leave out each part of the repair protocol in turn, and print the violation it leads to
    #[arg(long, conflicts_with = "scopes")]
    omissions: bool,
    /// List all scopes, and exit
    #[arg(long)]
    list: bool,
}

/// Parses a limit: at least 1, and so small that this many MiB, in bytes, fit in 64 bits.
fn number(text: &str) -> Result<u64, String> {
    parse_number(text, 1..=u64::MAX >> 20)
}

/// A scope of either system: the real `Raft`, or the model of the repair protocol.
enum Scope {
    Raft(scope::Scope),
    Repair(repair::Scope),
}

impl Scope {
    fn name(&self) -> &'static str {
        match self {
            Scope::Raft(scope) => scope.name,
            Scope::Repair(scope) => scope.name,
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Scope::Raft(scope) => scope.description,
            Scope::Repair(scope) => scope.description,
        }
    }

    fn shortened(self) -> Scope {
        match self {
            Scope::Raft(scope) => Scope::Raft(scope.shortened()),
            Scope::Repair(scope) => Scope::Repair(scope.shortened()),
        }
    }

    /// Explores the scope. Returns the report, and a line of further counts.
    fn explore(&self, states: u64, go_on: impl FnMut(&Progress) -> bool) -> (Report, String) {
        match self {
            Scope::Raft(scope) => (explore(scope, states, go_on), String::new()),
            Scope::Repair(scope) => {
                let (report, counts) = repair::explore(scope, states, go_on);
                let repair::Counts { recovers, may_halt, stepped_down } = counts;
                let counts = format!(
                    "; {recovers} states recover, after at most {stepped_down} leaders that step \
                     down, {may_halt} may halt"
                );
                (report, counts)
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut scopes: Vec<Scope> = scopes::all().into_iter().map(Scope::Raft).collect();
    scopes.extend(repair::scopes::all().into_iter().map(Scope::Repair));
    if arguments.list {
        scopes.iter().for_each(|scope| println!("{:<16} {}", scope.name(), scope.description()));
        return ExitCode::SUCCESS;
    }
    if arguments.omissions {
        return omissions(&arguments);
    }
    if !arguments.scopes.is_empty() {
        let is_known = |name: &&String| scopes.iter().any(|scope| scope.name() == name.as_str());
        if let Some(unknown) = arguments.scopes.iter().find(|name| !is_known(name)) {
            eprintln!("error: there is no scope `{unknown}`; --list lists all scopes");
            return ExitCode::from(2);
        }
        scopes.retain(|scope| arguments.scopes.iter().any(|name| name == scope.name()));
    }
    let mut worst = ExitCode::SUCCESS;
    for scope in scopes {
        let scope = if arguments.short { scope.shortened() } else { scope };
        if !run(&arguments, &scope) {
            worst = ExitCode::from(10);
        }
    }
    worst
}

/// Explores the repair model without each part of its protocol. Every omission has a violation.
fn omissions(arguments: &Arguments) -> ExitCode {
    let mut worst = ExitCode::SUCCESS;
    for (omission, name, _) in repair::OMISSIONS {
        let scope = repair::scopes::named(name).expect("the scope exists");
        println!("{omission:?}");
        if run(arguments, &Scope::Repair(scope.shortened().without(omission))) {
            worst = ExitCode::from(10);
        }
    }
    worst
}

/// Explores one scope and prints its line. Returns true if no violation was found.
fn run(arguments: &Arguments, scope: &Scope) -> bool {
    let started = now();
    let limit = Duration::from_secs(60 * arguments.minutes);
    let (mut reported, mut peak) = (0, memory_mib());
    let (report, counts) = scope.explore(arguments.states, |progress| {
        let memory = memory_mib();
        peak = peak.max(memory);
        let minutes = spent(started).as_secs() / 60;
        if minutes > reported {
            reported = minutes;
            eprintln!("{}", line(scope, "running", progress, spent(started), peak));
        }
        spent(started) < limit && memory < arguments.memory
    });
    let Report { verdict, progress } = report;
    let ended = match &verdict {
        Verdict::Exhausted => "exhausted at this bound".to_owned(),
        Verdict::LimitReached => format!("limit reached at {} states", progress.distinct),
        Verdict::Violation { message, .. } => format!("VIOLATION {message}"),
    };
    println!("{}{counts}", line(scope, &ended, &progress, spent(started), peak));
    match verdict {
        Verdict::Violation { trace, .. } => {
            println!("{trace}");
            false
        }
        Verdict::Exhausted | Verdict::LimitReached => true,
    }
}

fn line(scope: &Scope, ended: &str, progress: &Progress, spent: Duration, peak: u64) -> String {
    let Progress { events, distinct, depth, waiting, nodes, messages, reached } = progress;
    let Reached { terms, committed, changes } = reached;
    format!(
        "{:<15} {ended}: {events} events, {distinct} distinct, depth {depth}, {waiting} queued; \
         {nodes} states of nodes, {messages} messages; {terms} terms, {committed} committed, \
         {changes} changes; {}.{} s, {peak} MiB",
        scope.name(),
        spent.as_secs(),
        spent.subsec_millis() / 100
    )
}

#[expect(clippy::disallowed_methods, reason = "time limits are for interactive use")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "time limits are for interactive use")]
fn spent(since: std::time::Instant) -> Duration {
    since.elapsed()
}

/// Returns the memory of this process, or 0 where the system does not report it. It is not the
/// peak, which includes the earlier scopes.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_of_an_earlier_scope_does_not_count() {
        let before = memory_mib();
        let used = std::hint::black_box(vec![1_u8; 256 << 20]);
        let during = memory_mib();
        drop(used);
        assert!(during >= before + 200, "{before} MiB, then {during} MiB");
        assert!(memory_mib() < before + 100, "{before} MiB, then {} MiB", memory_mib());
    }
}
