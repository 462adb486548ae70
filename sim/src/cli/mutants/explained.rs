//! `cargo sim mutants --explain`: compares the explanations of planted bugs with the files in
//! `sim/tests/explained/`, one per bug, and each cause with the first event that the bug changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::{ExplainedMutants, MutantsArguments};
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::mutants::builds::{Builds, cores};
use crate::cli::mutants::first_effect::FirstEffect;
use crate::cli::mutants::mutant_sweep::{self, SweepCommand};
use crate::cli::mutants::programs::{MutantBinary, run_with_timeout};
use crate::cli::mutants::table::{Detector, Mutant};
use crate::settings::strategy::Strategy;

/// The directory of the files, relative to the root of the sources.
const FOLDER: &str = "sim/tests/explained";

/// The header of a file: the bug, and the command whose output follows.
struct FileHeader {
    seed: u64,
    text: String,
}

impl FileHeader {
    fn new(mutant: &Mutant, seed: u64) -> FileHeader {
        let profile =
            mutant.profile.as_ref().map_or(String::new(), |name| format!(" --profile {name}"));
        let Mutant { id, wrong, .. } = mutant;
        let text = format!("# {id}: {wrong}\n# cargo sim explain --seed {seed}{profile}\n\n");
        FileHeader { seed, text }
    }

    /// Parses the header of an existing file.
    fn of(mutant: &Mutant, file: &str) -> Result<FileHeader, String> {
        let second = file.lines().nth(1).unwrap_or_default();
        let words = second.strip_prefix("# cargo sim explain --seed ").unwrap_or_default();
        let seed = words.split_whitespace().next().and_then(|seed| seed.parse().ok());
        let seed = seed.ok_or("line 2 must be `# cargo sim explain --seed N`")?;
        let header = FileHeader::new(mutant, seed);
        if file.starts_with(&header.text) {
            Ok(header)
        } else {
            Err(format!("the file must begin with\n{}", header.text))
        }
    }
}

/// The explanation of a failing run with one mutant.
struct Explained {
    header: FileHeader,
    /// The output of `cargo sim explain`.
    explanation: String,
    /// The first event that the bug changed; `None` if the run without the bug has the same events.
    effect: Option<FirstEffect>,
}

/// Compares the explanation of each mutant that has a file, or is named with `--only`, with its
/// file, and also explains all others if `which` says so. Writes a missing file of a mutant that is
/// named with `--only`, with the first seed that detects the bug.
pub(crate) fn execute(
    arguments: &MutantsArguments,
    which: ExplainedMutants,
    builds: &Builds,
    mutants: &[Mutant],
) -> CommandResult {
    let (mut same, mut different) = (0, 0);
    let mut table = EffectTable::default();
    for mutant in mutants.iter().filter(|mutant| mutant.detector() == Detector::Simulator) {
        let path = path(&builds.sources.root, &mutant.id);
        let is_named = arguments.only.contains(&mutant.id);
        let uses_file = path.exists() || is_named;
        if !uses_file && which == ExplainedMutants::Files {
            continue;
        }
        let explained = match explain(arguments, builds, mutant, &path)? {
            Ok(explained) => explained,
            Err(why) => {
                different += 1;
                console::print_line(&format!("{}: {why}", mutant.id));
                continue;
            }
        };
        table.add(mutant, &explained);
        if !uses_file {
            continue;
        }
        let text = explained.header.text + &explained.explanation;
        match fs::read_to_string(&path) {
            Ok(file) if file == text => same += 1,
            Ok(_) => {
                different += 1;
                let id = &mutant.id;
                console::print_line(&format!("{id}: {} differs from\n{text}", path.display()));
            }
            Err(_) => {
                let written = fs::write(&path, &text);
                written.map_err(|error| CommandError::file("--explain", &path, &error))?;
                console::print_line(&format!("{}: written\n{text}", path.display()));
            }
        }
    }
    console::print_line(&table.to_text());
    console::print_line(&format!("{same} explanations equal their files, {different} differ"));
    Ok(if different == 0 { Exit::Success } else { Exit::ExpectationNotMet })
}

fn path(sources: &Path, id: &str) -> PathBuf {
    sources.join(FOLDER).join(format!("{id}.txt"))
}

/// Explains a failing run with the mutant: of the seed of its file if it exists, or else of the
/// first seed that detects it. Returns the reason if there is no explanation.
fn explain(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutant: &Mutant,
    path: &Path,
) -> CommandResult<Result<Explained, String>> {
    let binary = match builds.binary(mutant)? {
        Ok(binary) => binary,
        Err(text) => return Ok(Err(format!("does not compile: {text}"))),
    };
    let command = builds.sweep_command(mutant, &binary, Strategy::default(), cores());
    let header = match fs::read_to_string(path) {
        Ok(file) => FileHeader::of(mutant, &file)
            .map_err(|error| CommandError::invalid_file(path, &error))?,
        Err(_) => {
            let (_, _, failure) = mutant_sweep::run_sweep(command, 0, arguments.seeds_max())?;
            let Some(failure) = failure else { return Ok(Err("no seed detects it".to_owned())) };
            FileHeader::new(mutant, failure.seed)
        }
    };
    let mut explain = binary.command();
    explain.args(["explain", "--seed", &header.seed.to_string()]).args(command.seed_arguments());
    let Some((_, explanation)) = run_with_timeout(&mut explain)? else {
        return Ok(Err("its explanation reached the time limit".to_owned()));
    };
    let folder = builds.sources.folder();
    let with_bug = events(&binary, command, header.seed, &folder.join("with-bug.txt"))?;
    let without = events(&builds.original, command, header.seed, &folder.join("without-bug.txt"))?;
    let effect = FirstEffect::of(&with_bug, &without);
    Ok(Ok(Explained { header, explanation, effect }))
}

/// Returns the events of the run of a seed, which are recorded in a file.
fn events(
    binary: &MutantBinary,
    command: SweepCommand<'_>,
    seed: u64,
    file: &Path,
) -> CommandResult<Vec<String>> {
    let mut record = binary.command();
    record.args(["record", "--seed", &seed.to_string()]).args(command.seed_arguments());
    let ended = run_with_timeout(record.arg("--to").arg(file))?;
    if ended.is_none_or(|(succeeded, _)| !succeeded) {
        return Err(CommandError(format!("--explain: seed {seed} cannot be recorded")));
    }
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| CommandError::file("--explain", file, &error))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A line for each explanation, with whether it names the first event that the bug changed.
#[derive(Default)]
struct EffectTable {
    lines: Vec<String>,
    /// The numbers of causes that name the node of that event, of explanations with an event at its
    /// time, and of those with both.
    nodes: usize,
    times: usize,
    both: usize,
}

impl EffectTable {
    fn add(&mut self, mutant: &Mutant, explained: &Explained) {
        let Explained { header, explanation, effect } = explained;
        let (node, time) = effect.as_ref().map_or((false, false), |effect| {
            (effect.is_node_named(explanation), effect.is_time_named(explanation))
        });
        self.nodes += usize::from(node);
        self.times += usize::from(time);
        self.both += usize::from(node && time);
        let (at, subject) = match effect {
            Some(FirstEffect { at, node }) => (at.as_str(), node.as_deref().unwrap_or("-")),
            None => ("-", "-"),
        };
        let named = match (node, time) {
            (true, true) => "node, time",
            (true, false) => "node",
            (false, true) => "time",
            (false, false) => "-",
        };
        let finding = explanation.lines().next().unwrap_or_default();
        let check = finding.split([' ', ':']).next().unwrap_or_default();
        let (id, seed) = (&mutant.id, header.seed);
        self.lines.push(format!("{id:8} {seed:>6}  {check:6} {at:>11}  {subject:5} {named}"));
    }

    fn to_text(&self) -> String {
        let EffectTable { lines, nodes, times, both } = self;
        let names = ["mutant", "seed", "check", "first at", "node", "named"];
        let [id, seed, check, at, node, named] = names;
        format!(
            "{id:8} {seed:>6}  {check:6} {at:>11}  {node:5} {named}\n{}\nof {} explanations, \
             {nodes} have a cause that names the node of the first event that the bug changed, \
             {times} have an event at its time, and {both} have both",
            lines.join("\n"),
            lines.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mutants::table;
    use crate::explain::Explanation;

    /// This test does not compare the explanations, because that needs builds with the bugs:
    /// `--explain` compares them.
    #[test]
    fn every_file_explains_a_mutant_in_few_sentences() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mutants = table::read(&root, &[]).expect("the table is well formed");
        let files = fs::read_dir(root.join(FOLDER)).expect("the folder exists");
        let mut count = 0;
        for file in files {
            let path = file.expect("the file can be listed").path();
            let id = path.file_stem().expect("the file has a name").to_string_lossy().into_owned();
            let mutant = mutants.iter().find(|mutant| mutant.id == id);
            let mutant = mutant.unwrap_or_else(|| panic!("{id}: no such mutant"));
            let text = fs::read_to_string(&path).expect("the file can be read");
            let header =
                FileHeader::of(mutant, &text).unwrap_or_else(|error| panic!("{id}: {error}"));
            let explanation = &text[header.text.len()..];
            let facts = explanation.lines().filter(|line| line.contains(" s  #")).count();
            assert!((1..=Explanation::FACTS_MAX).contains(&facts), "{id}: {facts} sentences");
            let cause = explanation.lines().last().unwrap_or_default();
            assert!(cause.starts_with("cause: ") && cause.len() > 40, "{id}: {cause}");
            count += 1;
        }
        assert!(count > 0, "no file explains a bug");
    }
}
