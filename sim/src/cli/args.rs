//! The grammar of `cargo sim`, and one clear line for what is not in it.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use quorate::types::NodeId;
use quorate_checker::formats::Object;

use crate::cli::values::{self, Shard, Until, With};
use crate::profile::Profile;
use crate::record::EventId;
use crate::rung::Rung;
use crate::time::SimTime;

const EXIT_CODES: &str = "\
Exit codes: 0 fine · 2 wrong usage, or a file that cannot be read or written · 10 safety, or a \
history that is not linearizable · 11 liveness · 12 panic · 13 nondeterminism · 14 vacuous: \
something that had to be exercised or caught was not · 15 a check gave up · 130 interrupted.
With several failing seeds the smallest decides; with several histories the first of 130, 10, 2 \
and 15 that one of them has.";

/// Runs a cluster through seeded storms and checks every step.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-sim",
    version,
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    /// The sweep, unless there is a subcommand.
    #[command(flatten)]
    pub(crate) sweep: SweepArguments,
    /// What to do instead of a sweep.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures how fast the simulator is, in CPU time of one core
    Bench(BenchArguments),
    /// Decides whether histories in files are linearizable; docs/HISTORY.md says what files have
    Check(CheckArguments),
    /// Plants known bugs in a copy of the sources, and hunts them one by one
    Mutants(MutantsArguments),
    /// Adds up what the parts of a sweep printed with --json, each run with --shard
    Merge(MergeArguments),
    /// Makes a run that fails small: the fewest lines of a scenario that still fail alike
    Shrink(ShrinkArguments),
    /// Runs a scenario on real processes, with real faults; it takes root and `ip` of iproute2
    #[cfg(unix)]
    Procs(ProcsArguments),
    /// Draws one run as a page that needs nothing else
    View(ViewArguments),
    /// Tells in sentences why a run fails, from its first cause on
    Explain(ExplainArguments),
    /// Shows what the nodes of a run are like at some point
    At(AtArguments),
    /// Tells what kept a node from leading, or an index from being committed
    WhyNot(WhyNotArguments),
    /// Writes every event of a run to a file, one line each
    Record(RecordArguments),
    /// Shows the first event at which two runs part, or two builds; exits with 14 if they do
    Diff(DiffArguments),
}

/// The run that is looked at.
#[derive(Args, Debug)]
pub(crate) struct Replayed {
    /// The seed
    #[arg(long, value_name = "N", required_unless_present = "scenario")]
    pub(crate) seed: Option<u64>,
    /// The scenario in this file, instead of a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "rung"])]
    pub(crate) scenario: Option<PathBuf>,
    /// What the seed draws from.
    #[command(flatten)]
    pub(crate) family: Family,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
}

#[derive(Args, Debug)]
pub(crate) struct AtArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// At this time, like 1.9s, as events show it
    #[arg(long, value_name = "TIME", value_parser = values::moment, conflicts_with = "event")]
    pub(crate) time: Option<SimTime>,
    /// After the event of this number [default: after the last one]
    #[arg(long, value_name = "K", value_parser = values::event)]
    pub(crate) event: Option<EventId>,
    /// Only this node, like n3
    #[arg(long, value_name = "NODE", value_parser = values::node)]
    pub(crate) node: Option<NodeId>,
}

#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = false, args = ["leader", "commit"])]
pub(crate) struct WhyNotArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// Why this node did not lead
    #[arg(long, value_name = "NODE", value_parser = values::node)]
    pub(crate) leader: Option<NodeId>,
    /// Why this index was not committed
    #[arg(long, value_name = "INDEX", conflicts_with = "from")]
    pub(crate) commit: Option<u64>,
    /// From this time on, like 2s [default: the start]
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub(crate) from: Option<SimTime>,
    /// Up to this time, like 4s [default: the end]
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub(crate) to: Option<SimTime>,
}

#[derive(Args, Debug)]
pub(crate) struct RecordArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// The file
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// Another seed, or a file that `record` of another build wrote
    #[arg(long, value_name = "SEED|FILE", value_parser = values::with)]
    pub(crate) with: With,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArguments {
    /// The seeds to run, from A up to and without B [default: 0..1000]
    #[arg(long, value_name = "A..B", value_parser = values::seed_range)]
    pub(crate) seeds: Option<RangeInclusive<u64>>,
    /// Replays one seed
    #[arg(
        long,
        value_name = "N",
        group = "one run",
        conflicts_with_all = ["seeds", "time", "until", "shard", "jobs"]
    )]
    pub(crate) seed: Option<u64>,
    /// Runs the scenario in a file; docs/SCENARIOS.md says what it may have
    #[arg(
        long,
        value_name = "FILE",
        group = "one run",
        conflicts_with_all = [
            "seeds", "seed", "time", "until", "shard", "jobs", "profile", "failures_max", "shrink",
            "json", "junit", "report", "github"
        ]
    )]
    pub(crate) scenario: Option<PathBuf>,
    /// Makes the first failing seed of each kind of failure small
    #[arg(long, conflicts_with = "json")]
    pub(crate) shrink: bool,
    /// Goes on until the time is up, like 60s or 5m
    #[arg(long, value_name = "SPAN", value_parser = values::span)]
    pub(crate) time: Option<Duration>,
    /// Goes on until `stable`: 500 seeds in a row in which no coverage mark was reached more
    /// often than in any seed before, by a power of two
    #[arg(long, value_name = "SIGNAL", value_parser = values::until)]
    pub(crate) until: Option<Until>,
    /// How many threads run seeds [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// What the seeds draw from.
    #[command(flatten)]
    pub(crate) family: Family,
    /// Runs only part K of N of the seeds
    #[arg(long, value_name = "K/N", value_parser = values::shard)]
    pub(crate) shard: Option<Shard>,
    /// Runs seeds that come so many times the length of the range later: with the number of the
    /// run, each run of a CI has seeds of its own
    #[arg(long, value_name = "N", conflicts_with_all = ["seed", "scenario"])]
    pub(crate) rotate: Option<u64>,
    /// Ends the sweep after so many failing seeds
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) failures_max: NonZeroU64,
    /// Prints one line per event of the seed, or of the scenario
    #[arg(long, requires = "one run", conflicts_with = "json")]
    pub(crate) trace: bool,
    /// How to tell what came of it.
    #[command(flatten)]
    pub(crate) told: ToldArguments,
}

/// What seeds draw from.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    /// Which storms the seeds draw from
    #[arg(long, value_name = "NAME", value_parser = values::profile(), default_value = "default")]
    pub(crate) profile: &'static Profile,
    /// How far to go to meet what is rare
    #[arg(long, value_name = "RUNG", value_parser = values::rung(), default_value = "nemeses")]
    pub(crate) rung: Rung,
}

/// In which forms a summary is told.
#[derive(Args, Debug)]
pub(crate) struct ToldArguments {
    /// Prints the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes a JUnit report: one case per way of failing
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Writes a page that needs nothing else: summary, coverage, failures
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Prints annotations for GitHub Actions and adds to the step's summary
    #[arg(long)]
    pub(crate) github: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MergeArguments {
    /// What `cargo sim --shard K/N --json` printed: a file for each K
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How to tell what they come to.
    #[command(flatten)]
    pub(crate) told: ToldArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ProcsArguments {
    /// The scenario; docs/SCENARIOS.md says which of its lines can be made real
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The program `quorate` [default: the one beside this program, or the last one built]
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// Leave out the lines that cannot be made real
    #[arg(long)]
    pub(crate) skip: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ShrinkArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// Writes what is left as a scenario that expects the failure
    #[arg(long, value_name = "FILE")]
    pub(crate) emit_scenario: Option<PathBuf>,
    /// Writes what is left as a test of Rust, which passes once nothing fails
    #[arg(long, value_name = "FILE.rs")]
    pub(crate) emit_test: Option<PathBuf>,
    /// Draws the run and what is left of it, side by side, as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// How many threads run candidates; the result is the same [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The most runs
    #[arg(long, value_name = "N", default_value = "5000")]
    pub(crate) runs: NonZeroU64,
    /// Makes do with what there is after this time; the result may depend on it
    #[arg(long, value_name = "SPAN", value_parser = values::span, default_value = "60s")]
    pub(crate) time: Duration,
    /// Prints what is left as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    /// How often each measurement is repeated; the least of each seed counts
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) repetitions: NonZeroUsize,
    /// Prints the measurements as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MutantsArguments {
    /// Only these mutants
    #[arg(long, value_name = "ID,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How far the sweeps go to meet what is rare
    #[arg(long, value_name = "RUNG", value_parser = values::rung(), default_value = "nemeses")]
    pub(crate) rung: Rung,
    /// The most seeds a campaign runs before the mutant counts as survived; of the rung `guided`
    /// a seed counts as the 64 that it is
    #[arg(long, value_name = "N", default_value = "10000")]
    pub(crate) seeds: NonZeroU64,
    /// How many campaigns there are; the first begins with the seeds of the default sweep,
    /// each other one has seeds of its own
    #[arg(long, value_name = "K", default_value = "3")]
    pub(crate) campaigns: NonZeroU64,
    /// Explains those that have a file in sim/tests/explained/ or are named, and compares; a file
    /// that is not there is written
    #[arg(long, conflicts_with_all = ["campaigns", "json", "rung", "shrink"])]
    pub(crate) explain: bool,
    /// Makes each run that killed a mutant small, and proves that what is left fails with the bug
    /// and passes without it
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Hunts on every rung, or by a test, and prints what each took to find each mutant as Markdown
    #[arg(long, conflicts_with_all = ["explain", "json", "rung"])]
    pub(crate) rungs: bool,
    /// How many mutants are hunted at a time [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Prints the kill table as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// Histories as JSON lines, in Jepsen's or in Porcupine's notation, packed by gzip or not;
    /// `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What they are histories of, where they do not say: register, kv, multi-register,
    /// rw-register, list, mutex, set, counter, queue, stack or bank
    #[arg(long, value_name = "NAME", value_parser = values::object)]
    pub(crate) model: Option<Object>,
    /// The object before the first operation, whatever the files say
    #[arg(long, value_name = "JSON")]
    pub(crate) init: Option<String>,
    /// In Jepsen's notations: a compare-and-set that failed found another value, and did not
    /// just have no effect
    #[arg(long)]
    pub(crate) failed_cas_shows: bool,
    /// Gives up on a history after this time
    #[arg(long, value_name = "SPAN", value_parser = values::span, default_value = "60s")]
    pub(crate) time: Duration,
    /// Gives up on a history when the search holds so much, like 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "4G")]
    pub(crate) memory: usize,
    /// Writes a page that shows why the first history that is not linearizable is not
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
    /// Prints the verdicts as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ViewArguments {
    #[command(flatten)]
    pub(crate) replayed: Replayed,
    /// Where the page is written
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: PathBuf,
}

/// What reading the command line came to, if not arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The user asked for this text.
    Told(String),
    /// The command line is wrong; one line says how.
    Wrong(String),
}

/// Reads the words after `program`.
pub(crate) fn parse(
    program: &str,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, Stop> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    let grammar = Arguments::command().bin_name(program);
    let words = std::iter::once(program.into()).chain(words);
    let read = grammar.try_get_matches_from(words);
    let read = read.and_then(|matches| Arguments::from_arg_matches(&matches));
    read.map_err(|error| match error.kind() {
        DisplayHelp | DisplayVersion => Stop::Told(error.to_string()),
        _ => Stop::Wrong(one_line(&error.to_string())),
    })
}

/// The first paragraph of an error and the tip, if it has one, without the usage after them.
fn one_line(text: &str) -> String {
    let paragraph: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = paragraph.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line).to_owned();
    match text.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        Some(tip) => format!("{line} ({tip})"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, Stop> {
        parse("cargo sim", line.split_whitespace().map(Into::into))
    }

    fn wrong(line: &str) -> String {
        match read(line) {
            Err(Stop::Wrong(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_grammar_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn flags_are_read() {
        let line = "--seeds 5..9 --time 60s --until stable --jobs 3 --shard 2/3 --profile calm";
        let sweep = read(line).expect("the line is right").sweep;
        assert_eq!(sweep.seeds, Some(5..=8));
        assert_eq!(sweep.time, Some(Duration::from_secs(60)));
        assert_eq!(sweep.until, Some(Until::Stable));
        assert_eq!(sweep.jobs, NonZeroUsize::new(3));
        assert_eq!(sweep.shard, Some(Shard { number: 2, of: 3 }));
        assert_eq!(sweep.family.profile.name, "calm");
        assert!(read("mutants --only EL01,CM01 --seeds 5 --campaigns 1").is_ok());
        assert!(read("explain --seed 7 --profile disk").is_ok());
        assert!(read("at --seed 7 --time 1.9s --node n3").is_ok());
        assert!(read("why-not --seed 7 --leader n3 --from 2s --to 4.25s").is_ok());
        assert!(read("why-not --seed 7 --commit 9").is_ok());
        assert!(read("diff --seed 7 --with 8").is_ok());
        assert!(read("record --seed 7 --to events.txt").is_ok());
        assert!(read("procs a.scenario --binary quorate --skip").is_ok());
        assert!(read("bench --repetitions 3 --json").is_ok());
        assert!(read("view --seed 7 --profile calm --html a.html").is_ok());
        assert!(read("--scenario a.scenario --trace").is_ok());
        assert!(read("shrink --seed 7 --profile disk --emit-test a.rs --runs 9 --time 3s").is_ok());
        assert!(read("check - a.jsonl --model kv --time 5m --memory 2G --html a.html").is_ok());
    }

    #[test]
    fn each_wrong_line_is_one_line_that_names_the_word() {
        let cases = [
            ("--sed 5", "'--sed'"),
            ("--seeds 5..2", "5..2"),
            ("--seed x", "'x'"),
            ("--seed", "--seed"),
            ("--profile no-such", "no-such"),
            ("--shard 5/3", "5/3"),
            ("--jobs 0", "--jobs"),
            ("--time 60", "'60'"),
            ("--until never", "never"),
            ("--trace", "--seed"),
            ("--seed 1 --seeds 0..5", "--seeds"),
            ("--seed 1 --trace --json", "--json"),
            ("--seeds 0..5 bench", "bench"),
            ("shrink", "--seed"),
            ("shrink --seed 1 --scenario a", "--scenario"),
            ("--scenario a --seed 1", "--seed"),
            ("--scenario a --profile calm", "--profile"),
            ("shring", "shrink"),
            ("help", "help"),
            ("explain", "--seed"),
            ("at --seed 7 --time 1x", "'1x'"),
            ("at --seed 7 --event 0", "'0'"),
            ("at --seed 7 --node 3", "'3'"),
            ("why-not --seed 7", "--leader"),
            ("mutants --campaigns 0", "--campaigns"),
            ("mutants --explain --rung swarm", "--rung"),
            ("mutants --explain --shrink", "--shrink"),
            ("mutants --rungs --rung swarm", "--rung"),
            ("check", "<FILE>"),
            ("check a --model heap", "heap"),
            ("check a --memory 4", "'4'"),
            ("check a --time 0s", "0s"),
        ];
        for (line, named) in cases {
            let text = wrong(line);
            assert!(text.contains(named), "{line}: {text}");
            assert!(!text.contains('\n') && !text.contains("Usage"), "{line}: {text}");
        }
    }

    #[test]
    fn help_is_not_an_error() {
        assert!(matches!(read("--help"), Err(Stop::Told(text)) if text.contains("Exit codes")));
        assert!(matches!(read("--version"), Err(Stop::Told(_))));
    }

    #[test]
    fn the_help_says_what_each_profile_is_for() {
        let Err(Stop::Told(help)) = read("--help") else { panic!("no help") };
        let words: Vec<&str> = help.split_whitespace().collect();
        for Profile { name, summary, .. } in Profile::all() {
            let line = format!("- {name}: {summary}");
            let line: Vec<&str> = line.split_whitespace().collect();
            assert!(words.windows(line.len()).any(|said| said == line), "{name}: {help}");
        }
        assert!(wrong("--profile no-such").contains("snapshot"), "a wrong name is told the right");
    }
}
