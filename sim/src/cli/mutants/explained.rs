//! `cargo sim mutants --explain`: compares the explanations of planted bugs with the files in
//! `sim/tests/explained/`, one per bug. Each explanation must name the bug as the cause.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::MutantsArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::mutants::builds::{Builds, cores};
use crate::cli::mutants::mutant_sweep;
use crate::cli::mutants::programs::run_with_timeout;
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

/// Compares the explanation of each mutant that has a file, or is named with `--only`, with its
/// file. A missing file is written, with the first seed that detects the bug.
pub(crate) fn execute(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutants: &[Mutant],
) -> Result<Exit, CommandError> {
    let (mut same, mut different) = (0, 0);
    for mutant in mutants.iter().filter(|mutant| mutant.detector == Detector::Simulator) {
        let path = path(&builds.sources.root, &mutant.id);
        if !path.exists() && !arguments.only.contains(&mutant.id) {
            continue;
        }
        let text = explanation_of(arguments, builds, mutant, &path)?;
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
    console::print_line(&format!("{same} explanations equal their files, {different} differ"));
    Ok(if different == 0 { Exit::Success } else { Exit::ExpectationNotMet })
}

fn path(sources: &Path, id: &str) -> PathBuf {
    sources.join(FOLDER).join(format!("{id}.txt"))
}

/// Returns the header and the explanation of the mutant, for the seed of its file if it exists.
fn explanation_of(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutant: &Mutant,
    path: &Path,
) -> Result<String, CommandError> {
    let error = |what: &str| CommandError(format!("{}: {what}", mutant.id));
    let built = builds.binary(mutant)?;
    let binary = built.map_err(|text| error(&format!("does not compile: {text}")))?;
    let command = builds.sweep_command(mutant, &binary, Strategy::default(), cores());
    let header = match fs::read_to_string(path) {
        Ok(file) => FileHeader::of(mutant, &file)
            .map_err(|error| CommandError::invalid_file(path, &error))?,
        Err(_) => {
            let (_, _, failure) = mutant_sweep::run_sweep(command, 0, arguments.seeds_max())?;
            FileHeader::new(mutant, failure.ok_or_else(|| error("no seed detects it"))?.seed)
        }
    };
    let mut explain = binary.command();
    explain.args(["explain", "--seed", &header.seed.to_string()]).args(command.seed_arguments());
    let ended = run_with_timeout(&mut explain)?;
    let (_, text) = ended.ok_or_else(|| error("its explanation reached the time limit"))?;
    Ok(header.text + &text)
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
