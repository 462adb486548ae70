//! The command line of `cargo sim`: flags, subcommands and one-line usage errors.

use std::any::TypeId;
use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use quorate::types::NodeId;
use quorate_checker::formats::Object;

use crate::cli::analysis_arguments::{
    DiffArguments, ExplainArguments, TraceArguments, WhyNotArguments,
};
use crate::cli::auto_arguments::{AutoArguments, SeedsOfMutant};
use crate::cli::exit::EXIT_CODES;
use crate::cli::recordings::arguments::ReplayArguments;
use crate::cli::run_arguments::{RunArguments, SeedOptions};
use crate::cli::values::{self, DiffTarget, Shard, StopCondition};
use crate::record::EventId;
use crate::settings::strategy::Strategy;
use crate::values::time::SimTime;

/// Runs simulated Raft clusters with injected faults, one or more runs per seed, and checks every
/// step
#[derive(Debug, Parser)]
#[command(
    name = "cargo-sim",
    version,
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    /// The sweep to run if no subcommand is given.
    #[command(flatten)]
    pub(crate) sweep: SweepArguments,
    /// The subcommand that replaces the sweep.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures the speed of the simulator in CPU time of one core
    Bench(BenchArguments),
    /// Checks history files for linearizability (file formats: docs/HISTORY.md)
    Check(CheckArguments),
    /// Runs mutation tests: plants known bugs in a copy of the sources, one at a time, and runs
    /// seeds or tests until each bug is detected
    Mutants(MutantsArguments),
    /// Runs seeds for `mutants --auto`, which starts this command with a mutant
    #[command(hide = true)]
    MutantSeeds(MutantSeedsArguments),
    /// Merges the --json summaries of a sweep that was run in parts with --shard
    Merge(MergeArguments),
    /// Shrinks a failing run to a short scenario that fails in the same way
    Shrink(ShrinkArguments),
    /// Runs a scenario on real processes with real faults; requires root and `ip` of iproute2
    #[cfg(unix)]
    Procs(ProcsArguments),
    /// Writes a timeline of one run as a self-contained HTML page
    View(ViewArguments),
    /// Explains why a run fails: the last events that led to the failure, and the cause
    Explain(ExplainArguments),
    /// Prints the state of the nodes at a point of a run
    At(AtArguments),
    /// Explains why a node was not elected, or why an index was not committed
    WhyNot(WhyNotArguments),
    /// Writes all events of a run to a file, one line per event
    Record(RecordArguments),
    /// Replays the recordings of real nodes, describes what they did, and checks it
    Replay(ReplayArguments),
    /// Writes a run, or recordings, as a trace for the TLA+ specification (docs/tla/README.md)
    Trace(TraceArguments),
    /// Prints the first event that differs between two runs or builds
    Diff(DiffArguments),
}

#[derive(Args, Debug)]
pub(crate) struct AtArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Simulated time in seconds, e.g. 1.9s
    #[arg(long, value_name = "TIME", value_parser = values::sim_time, conflicts_with = "event")]
    pub(crate) time: Option<SimTime>,
    /// State after the event with this number [default: the last event]
    #[arg(long, value_name = "K", value_parser = values::event)]
    pub(crate) event: Option<EventId>,
    /// Print only this node, e.g. n3
    #[arg(long, value_name = "NODE", value_parser = values::node)]
    pub(crate) node: Option<NodeId>,
}

#[derive(Args, Debug)]
pub(crate) struct RecordArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// File to write the events to
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArguments {
    /// Seeds to run: A inclusive to B exclusive [default: 0..1000]
    #[arg(long, value_name = "A..B", value_parser = values::seed_range)]
    pub(crate) seeds: Option<RangeInclusive<u64>>,
    /// Replay this one seed
    #[arg(
        long,
        value_name = "N",
        value_parser = values::seed,
        group = "one run",
        conflicts_with_all = ["seeds", "time", "until", "shard", "jobs"]
    )]
    pub(crate) seed: Option<u64>,
    /// Run the scenario in this file (format: docs/SCENARIOS.md)
    #[arg(
        long,
        value_name = "FILE",
        group = "one run",
        conflicts_with_all = [
            "seeds", "seed", "time", "until", "shard", "jobs", "profile", "strategy",
            "failures_max", "shrink", "shrink_to", "json", "junit", "report", "github"
        ]
    )]
    pub(crate) scenario: Option<PathBuf>,
    /// Run seeds until this much time has passed, e.g. 60s or 5m
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) time: Option<Duration>,
    /// Run seeds until coverage is `stable`: 500 seeds in a row add no coverage. A seed adds
    /// coverage if its count of a coverage mark reaches a power of two that no earlier seed reached
    #[arg(long, value_name = "CONDITION", value_parser = values::stop_condition)]
    pub(crate) until: Option<StopCondition>,
    /// Number of threads that run seeds [default: one per core]
    #[arg(long, value_name = "N", value_parser = values::threads)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The profile and the search strategy of the runs.
    #[command(flatten)]
    pub(crate) seed_options: SeedOptions,
    /// Run only part K of N of the seeds
    #[arg(long, value_name = "K/N", value_parser = values::shard)]
    pub(crate) shard: Option<Shard>,
    /// Shift the seed range by N times its length; pass the number of the CI run to test new seeds
    /// in each CI run
    #[arg(
        long,
        value_name = "N",
        value_parser = values::number::<u64>(0..=u64::MAX),
        conflicts_with_all = ["seed", "scenario"]
    )]
    pub(crate) rotate: Option<u64>,
    /// Stop after this many failing seeds
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::count)]
    pub(crate) failures_max: NonZeroU64,
    /// Print a trace of the seed or scenario, one line per event
    #[arg(long, requires = "one run", conflicts_with = "json")]
    pub(crate) trace: bool,
    /// The output formats of the summary.
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// The output formats of a summary.
#[derive(Args, Debug)]
pub(crate) struct OutputArguments {
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a JUnit report with one test case per kind of failure
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a self-contained HTML page with summary, coverage and failures
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Print GitHub Actions annotations, and append the summary to the step summary of the job;
    /// has no effect outside GitHub Actions
    #[arg(long)]
    pub(crate) github: bool,
    /// Shrink the first failing seed of each kind of failure; with --json, the text goes to
    /// standard error
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Shrink as with --shrink, and write each shrunk run to this directory, as a scenario and as
    /// an HTML page
    #[arg(long, value_name = "DIR")]
    pub(crate) shrink_to: Option<PathBuf>,
}

impl OutputArguments {
    /// Returns true if one run of each kind of failure is to be shrunk.
    pub(crate) fn shrinks(&self) -> bool {
        self.shrink || self.shrink_to.is_some()
    }
}

#[derive(Args, Debug)]
pub(crate) struct MergeArguments {
    /// Output files of `cargo sim --shard K/N --json`, one for each K
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The output formats of the merged summary.
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ProcsArguments {
    /// Scenario to run; docs/SCENARIOS.md lists the lines that work on real processes
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Path of the `quorate` binary [default: beside this program, else in target/release, else in
    /// target/debug]
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// Skip lines that do not work on real processes instead of rejecting the scenario
    #[arg(long)]
    pub(crate) skip: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ShrinkArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Write the shrunk run as a scenario file that expects the failure
    #[arg(long, value_name = "FILE")]
    pub(crate) emit_scenario: Option<PathBuf>,
    /// Write the shrunk run as a Rust test that passes once the failure is fixed
    #[arg(long, value_name = "FILE.rs")]
    pub(crate) emit_test: Option<PathBuf>,
    /// Write a self-contained HTML page that opens on the shrunk run and also has the original
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Number of threads that run candidate scenarios; does not change the result [default: one per
    /// core]
    #[arg(long, value_name = "N", value_parser = values::threads)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Maximum number of runs
    #[arg(long, value_name = "N", default_value = "5000", value_parser = values::count)]
    pub(crate) runs: NonZeroU64,
    /// Stop after this time with the best result so far; the result then depends on machine speed
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "60s")]
    pub(crate) time: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    /// Number of repetitions of each measurement; the fastest run of each seed counts
    #[arg(long, value_name = "N", default_value = "3", value_parser = values::items)]
    pub(crate) repetitions: NonZeroUsize,
    /// Print the measurements as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The mutants whose explanations `cargo sim mutants --explain` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainedMutants {
    /// Those with a file in sim/tests/explained/ and those named with --only
    Files,
    /// Every mutant that a sweep must detect
    All,
}

#[derive(Args, Debug)]
pub(crate) struct MutantsArguments {
    /// Run only these mutants, by their ids in sim/mutants.toml
    #[arg(long, value_name = "ID,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Search strategy of the sweeps
    #[arg(long, value_name = "NAME", value_parser = values::strategy(), default_value = "nemeses")]
    pub(crate) strategy: Strategy,
    /// Number of seeds per sweep that a mutant must pass to survive; a seed of the strategy
    /// `guided` counts as 64, because it has up to 64 runs [default: 10000; with --auto 50 of each
    /// profile]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) seeds: Option<NonZeroU64>,
    /// Number of sweeps per mutant; sweep K of them begins at seed (K - 1) x 1,000,000
    #[arg(long, value_name = "K", default_value = "3", value_parser = values::count)]
    pub(crate) sweeps: NonZeroU64,
    /// Explain a failing run of each mutant that has a file in sim/tests/explained/ or is named
    /// with --only, and compare the explanation with that file; a missing file is written. With
    /// `all`, explain every mutant that a sweep must detect. Either way, compare each cause with
    /// the first event that the mutant changed
    #[arg(
        long,
        value_name = "MUTANTS",
        num_args = 0..=1,
        default_missing_value = "files",
        conflicts_with_all = ["sweeps", "json", "strategy", "shrink"]
    )]
    pub(crate) explain: Option<ExplainedMutants>,
    /// Shrink each run that killed a mutant, and verify that the shrunk run fails with the bug and
    /// passes without it
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Run each mutant with every search strategy, or with the tests that its entry in
    /// sim/mutants.toml names, and print the comparison as Markdown tables
    #[arg(long, conflicts_with_all = ["explain", "json", "strategy"])]
    pub(crate) strategies: bool,
    /// Number of mutants tested in parallel [default: one per core]
    #[arg(long, value_name = "N", value_parser = values::threads)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Print the kill table as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The options of the mutants that `--auto` derives from the syntax tree.
    #[command(flatten)]
    pub(crate) automatic: AutoArguments,
}

impl MutantsArguments {
    /// Returns the number of seeds of one sweep.
    pub(crate) fn seeds_max(&self) -> u64 {
        let default = if self.automatic.auto { 50 } else { 10_000 };
        self.seeds.map_or(default, NonZeroU64::get)
    }
}

#[derive(Args, Debug)]
pub(crate) struct MutantSeedsArguments {
    #[command(flatten)]
    pub(crate) of: SeedsOfMutant,
    #[command(flatten)]
    pub(crate) seed_options: SeedOptions,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// History files as JSON lines, in Jepsen's or in Porcupine's format, or gzipped copies of
    /// these; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Model to check against: register, kv, multi-register, rw-register, list, mutex, set,
    /// counter, queue, stack or bank; a file that names another model is rejected
    #[arg(long, value_name = "NAME", value_parser = values::model)]
    pub(crate) model: Option<Object>,
    /// Initial state of the model as JSON; overrides the one in the file
    #[arg(long, value_name = "JSON")]
    pub(crate) init: Option<String>,
    /// Initial values of single keys as JSON pairs, [["x", 1], ["y", 2]]; all other keys
    /// begin with the value of --init
    #[arg(long, value_name = "JSON")]
    pub(crate) init_by_key: Option<String>,
    /// Jepsen format: treat a failed compare-and-set as a read of a different value instead of an
    /// operation without effect
    #[arg(long)]
    pub(crate) failed_cas_is_read: bool,
    /// Time limit per history
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "60s")]
    pub(crate) time: Duration,
    /// Memory limit of the search of one key, e.g. 512M or 4G; each core searches a different key
    /// at the same time
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "4G")]
    pub(crate) memory: usize,
    /// Print only the verdicts, without counterexamples
    #[arg(long, conflicts_with = "html")]
    pub(crate) verdict_only: bool,
    /// Write an HTML page that shows the counterexample of the first non-linearizable history
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ViewArguments {
    #[command(flatten)]
    pub(crate) replayed: RunArguments,
    /// HTML file to write
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: PathBuf,
}

/// The result of a command line that runs nothing: a text to print, or a usage error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EarlyExit {
    /// The help or version text that the user asked for.
    Print(String),
    /// The error of an invalid command line, as one line.
    UsageError(String),
}

/// Parses the arguments that follow the command name `program`.
pub(crate) fn parse(
    program: &str,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, EarlyExit> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    let command = with_negative_values(Arguments::command().bin_name(program));
    let words = std::iter::once(program.into()).chain(words);
    let matches = command.try_get_matches_from(words);
    let arguments = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    arguments.map_err(|error| match error.kind() {
        DisplayHelp | DisplayVersion => EarlyExit::Print(error.to_string()),
        _ => EarlyExit::UsageError(one_line(&error.to_string())),
    })
}

/// Lets flags take values with a minus sign, such as `-1..3`, so that the parser of the flag says
/// which values are valid. An argument that takes any text, may have no value or has no flag takes
/// only negative numbers, because any other word with a minus sign may be the next flag.
pub(crate) fn with_negative_values(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let parsed = argument.get_value_parser().type_id();
        let takes_text = [
            parsed == TypeId::of::<String>(),
            parsed == TypeId::of::<PathBuf>(),
            parsed == TypeId::of::<DiffTarget>(),
        ]
        .contains(&true);
        let is_optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
        let is_parsed_flag = argument.get_long().is_some() && !takes_text && !is_optional;
        match argument.get_action().takes_values() {
            true if is_parsed_flag => argument.allow_hyphen_values(true),
            true => argument.allow_negative_numbers(true),
            false => argument,
        }
    });
    command.mut_subcommands(with_negative_values)
}

/// Returns the first paragraph of a clap error and its tip, without the usage text.
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
    use crate::settings::profile::Profile;

    fn read(line: &str) -> Result<Arguments, EarlyExit> {
        parse("cargo sim", line.split_whitespace().map(Into::into))
    }

    fn usage_error(line: &str) -> String {
        match read(line) {
            Err(EarlyExit::UsageError(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_grammar_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn flags_are_parsed() {
        let line =
            "--seeds 5..9 --time 60s --until stable --jobs 3 --shard 2/3 --profile no-faults";
        let sweep = read(line).expect("the line is valid").sweep;
        assert_eq!(sweep.seeds, Some(5..=8));
        assert_eq!(sweep.time, Some(Duration::from_secs(60)));
        assert_eq!(sweep.until, Some(StopCondition::Stable));
        assert_eq!(sweep.jobs, NonZeroUsize::new(3));
        assert_eq!(sweep.shard, Some(Shard { number: 2, of: 3 }));
        assert_eq!(sweep.seed_options.profile.name, "no-faults");
        assert!(read("mutants --only EL01,CM01 --seeds 5 --sweeps 1").is_ok());
        assert!(read("mutants --explain all --seeds 5").is_ok());
        let automatic =
            "--auto --module log,raft --sample 5 --draw 3 --shard 1/2 --profile disk,five";
        assert!(read(&format!("mutants {automatic} --seeds 9 --html a.html --json")).is_ok());
        assert!(read("explain --seed 7 --profile disk").is_ok());
        assert!(read("at --seed 7 --time 1.9s --node n3").is_ok());
        assert!(read("why-not --seed 7 --leader n3 --from 2s --to 4.25s").is_ok());
        assert!(read("why-not --seed 7 --commit 9").is_ok());
        assert!(read("diff --seed 7 --with 8").is_ok());
        assert!(read("record --seed 7 --to events.txt").is_ok());
        assert!(read("procs a.scenario --binary quorate --skip").is_ok());
        assert!(read("replay d1 n2.qrec --from 06:26 --to 9.5s --json").is_ok());
        assert!(read("replay n1.qrec --record 7 --to-next commit").is_ok());
        assert!(read("bench --repetitions 3 --json").is_ok());
        assert!(read("view --seed 7 --profile no-faults --html a.html").is_ok());
        assert!(read("--scenario a.scenario --trace").is_ok());
        assert!(read("shrink --seed 7 --profile disk --emit-test a.rs --runs 9 --time 3s").is_ok());
        assert!(read("check - a.jsonl --model kv --time 5m --memory 2G --html a.html").is_ok());
    }

    #[test]
    fn a_usage_error_is_one_line_that_names_the_wrong_word() {
        let cases = [
            ("--sed 5", "'--sed'"),
            ("--seeds 5..2", "5..2"),
            ("--seed x", "'--seed <N>': `x` is not a whole number from 0 to 18446744073709551615"),
            ("--seed -1", "'--seed <N>': `-1` is not a whole number from 0"),
            ("shrink --seed 1 --jobs 9999", "`9999` is not a whole number from 1 to 4096"),
            ("trace --tla a --seed 1 --lines -5", "`-5` is not a whole number from 1"),
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
            ("--scenario a --profile no-faults", "--profile"),
            ("--scenario a --strategy guided", "--strategy"),
            ("trace --tla a n1.qrec --strategy guided", "--strategy"),
            ("trace --tla a n1.qrec --profile disk", "--profile"),
            ("shring", "shrink"),
            ("help", "help"),
            ("explain", "--seed"),
            ("at --seed 7 --time 1x", "'1x'"),
            ("at --seed 7 --event 0", "'0'"),
            ("at --seed 7 --node 3", "'3'"),
            ("why-not --seed 7", "--leader"),
            ("replay", "<FILE>"),
            ("replay a --around 1x", "'1x'"),
            ("replay a --last 5m --from 1s", "--from"),
            ("mutants --sweeps 0", "--sweeps"),
            ("mutants --explain --strategy swarm", "--strategy"),
            ("mutants --module log", "--auto"),
            ("mutants --auto --draw 3", "--sample"),
            ("mutants --auto --only EL01", "--only"),
            ("mutants --auto --profile no-such", "no-such"),
            ("mutants --explain --shrink", "--shrink"),
            ("mutants --explain some", "some"),
            ("mutants --strategies --strategy swarm", "--strategy"),
            ("check", "<FILE>"),
            ("check a --model heap", "heap"),
            ("check a --memory 4g", "'4g'"),
            ("check a --time 0s", "0s"),
        ];
        for (line, word) in cases {
            let text = usage_error(line);
            assert!(text.contains(word), "{line}: {text}");
            assert!(!text.contains('\n') && !text.contains("Usage"), "{line}: {text}");
        }
    }

    #[test]
    fn help_and_version_are_not_usage_errors() {
        assert!(
            matches!(read("--help"), Err(EarlyExit::Print(text)) if text.contains("Exit codes"))
        );
        assert!(matches!(read("--version"), Err(EarlyExit::Print(_))));
    }

    #[test]
    fn the_help_describes_each_profile() {
        let Err(EarlyExit::Print(help)) = read("--help") else { panic!("no help") };
        let words: Vec<&str> = help.split_whitespace().collect();
        for Profile { name, summary, .. } in Profile::all() {
            let line = format!("- {name}: {summary}");
            let line: Vec<&str> = line.split_whitespace().collect();
            assert!(words.windows(line.len()).any(|words| words == line), "{name}: {help}");
        }
        let error = usage_error("--profile no-such");
        assert!(error.contains("snapshot"), "the error lists the valid names: {error}");
    }
}
