//! `cargo sim mutants --explain`: what `explain` says of planted bugs, held against the files in
//! `sim/tests/explained/`, one for a bug. The bug has to be named in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::args::MutantsArguments;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::mutants::builds::{Builds, cores};
use crate::cli::mutants::hunt;
use crate::cli::mutants::programs::finish;
use crate::cli::mutants::table::{Hunter, Mutant};
use crate::rung::Rung;

/// The files' place below the root of the sources.
const FOLDER: &str = "sim/tests/explained";

/// What a file begins with: the bug, and the command whose answer follows.
struct Head {
    seed: u64,
    text: String,
}

impl Head {
    fn new(mutant: &Mutant, seed: u64) -> Head {
        let profile =
            mutant.profile.as_ref().map_or(String::new(), |name| format!(" --profile {name}"));
        let Mutant { id, wrong, .. } = mutant;
        let text = format!("# {id}: {wrong}\n# cargo sim explain --seed {seed}{profile}\n\n");
        Head { seed, text }
    }

    /// The head of a file that there is.
    fn of(mutant: &Mutant, file: &str) -> Result<Head, String> {
        let second = file.lines().nth(1).unwrap_or_default();
        let words = second.strip_prefix("# cargo sim explain --seed ").unwrap_or_default();
        let seed = words.split_whitespace().next().and_then(|seed| seed.parse().ok());
        let seed = seed.ok_or("line 2 has to be `# cargo sim explain --seed N`")?;
        let head = Head::new(mutant, seed);
        if file.starts_with(&head.text) {
            Ok(head)
        } else {
            Err(format!("it has to begin with\n{}", head.text))
        }
    }
}

/// Holds what is said of each mutant that has a file, or is asked for by name, against its file. A
/// file that is missing is written, with the first seed that finds the bug.
pub(crate) fn go(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutants: &[Mutant],
) -> Result<Exit, Trouble> {
    let (mut same, mut other) = (0, 0);
    for mutant in mutants.iter().filter(|mutant| mutant.hunter == Hunter::Simulator) {
        let path = path(&builds.sources.root, &mutant.id);
        if !path.exists() && !arguments.only.contains(&mutant.id) {
            continue;
        }
        let said = said(arguments, builds, mutant, &path)?;
        match fs::read_to_string(&path) {
            Ok(file) if file == said => same += 1,
            Ok(_) => {
                other += 1;
                let id = &mutant.id;
                console::say(&format!("{id}: {} says something else than\n{said}", path.display()));
            }
            Err(_) => {
                let written = fs::write(&path, &said);
                written.map_err(|error| Trouble::file("--explain", &path, &error))?;
                console::say(&format!("{}: written\n{said}", path.display()));
            }
        }
    }
    console::say(&format!("{same} as in their files, {other} not"));
    Ok(if other == 0 { Exit::Fine } else { Exit::Vacuous })
}

fn path(sources: &Path, id: &str) -> PathBuf {
    sources.join(FOLDER).join(format!("{id}.txt"))
}

/// What is said of the mutant, with the seed of its file if that is there.
fn said(
    arguments: &MutantsArguments,
    builds: &Builds,
    mutant: &Mutant,
    path: &Path,
) -> Result<String, Trouble> {
    let trouble = |what: &str| Trouble(format!("{}: {what}", mutant.id));
    let built = builds.planted(mutant)?;
    let planted = built.map_err(|said| trouble(&format!("does not compile: {said}")))?;
    let hunt = builds.hunt(mutant, &planted, Rung::default(), cores());
    let head = match fs::read_to_string(path) {
        Ok(file) => Head::of(mutant, &file).map_err(|wrong| Trouble::wrong_file(path, &wrong))?,
        Err(_) => {
            let (_, _, failure) = hunt::hunt(hunt, 0, arguments.seeds.get())?;
            Head::new(mutant, failure.ok_or_else(|| trouble("no seed finds it"))?.seed)
        }
    };
    let mut explain = planted.command();
    explain.args(["explain", "--seed", &head.seed.to_string()]).args(hunt.family());
    let ended = finish(&mut explain)?;
    let (_, text) = ended.ok_or_else(|| trouble("explaining it does not end"))?;
    Ok(head.text + &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mutants::table;
    use crate::explain::Telling;

    /// The files themselves are compared by `--explain`: that takes a build for each.
    #[test]
    fn every_file_is_of_a_mutant_and_tells_it_in_few_sentences() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mutants = table::read(&root, &[]).expect("the table is well formed");
        let files = fs::read_dir(root.join(FOLDER)).expect("there is the folder");
        let mut count = 0;
        for file in files {
            let path = file.expect("it can be listed").path();
            let id = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            let mutant = mutants.iter().find(|mutant| mutant.id == id);
            let mutant = mutant.unwrap_or_else(|| panic!("{id}: there is no such mutant"));
            let text = fs::read_to_string(&path).expect("it can be read");
            let head = Head::of(mutant, &text).unwrap_or_else(|wrong| panic!("{id}: {wrong}"));
            let told = &text[head.text.len()..];
            let facts = told.lines().filter(|line| line.contains(" s  #")).count();
            assert!((1..=Telling::FACTS_MAX).contains(&facts), "{id}: {facts} sentences");
            let cause = told.lines().last().unwrap_or_default();
            assert!(cause.starts_with("cause: ") && cause.len() > 40, "{id}: {cause}");
            count += 1;
        }
        assert!(count > 0, "no bug is explained");
    }
}
