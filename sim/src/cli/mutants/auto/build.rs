//! Builds all mutants that compile into one command.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::auto::catalog::Catalog;
use crate::cli::mutants::auto::fold::FoldedFile;
use crate::cli::mutants::sources::{Sources, hash};
use crate::cli::mutants::tree::{CompileError, SourceTree};

/// The source of the module with which the copy of the library turns one mutant on.
const SWITCH: &str = include_str!("planted.txt");
const LIBRARY: &str = "src/lib.rs";
/// The maximum number of rounds. One round is not enough, because the compiler reports some errors
/// only once others are gone.
const ROUNDS_MAX: usize = 60;

/// The copy of the sources with all mutants that compile.
pub(crate) struct AutoBuild {
    tree: SourceTree,
    pub(crate) command: PathBuf,
    /// The numbers of the mutants that do not compile.
    pub(crate) left_out: BTreeSet<usize>,
}

/// The mutants that did not compile in an earlier build of the same text.
#[derive(Deserialize, Serialize)]
struct LeftOut {
    /// A hash of the texts with all mutants, in hexadecimal.
    texts: String,
    numbers: BTreeSet<usize>,
}

impl AutoBuild {
    /// Finds the mutants that compile, unless an earlier call did so for the same texts.
    pub(crate) fn prepare(sources: &Sources, catalog: &Catalog) -> CommandResult<AutoBuild> {
        let folder = sources.folder();
        let path = folder.join("auto-left-out.json");
        let whole = edited(sources, catalog, &catalog.fold(|_| true))?;
        let texts = whole.iter().fold(0, |state, (file, text)| {
            hash(hash(state, file.to_string_lossy().as_bytes()), text.as_bytes())
        });
        let texts = format!("{texts:016x}");
        let earlier: Option<LeftOut> =
            fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        let (tree, left_out) = match earlier.filter(|earlier| earlier.texts == texts) {
            Some(LeftOut { numbers, .. }) => (tree(sources, catalog, &numbers)?.0, numbers),
            None => compile(sources, catalog)?,
        };
        let record = LeftOut { texts, numbers: left_out };
        let json = serde_json::to_string(&record).expect("a record is always valid JSON");
        fs::write(&path, json).map_err(|error| CommandError::file("mutants", &path, &error))?;
        let command = folder.join(format!("auto{}", env::consts::EXE_SUFFIX));
        Ok(AutoBuild { tree, command, left_out: record.numbers })
    }

    /// Compiles the mutants that are not left out, and stores the binary at `command`.
    pub(crate) fn build(&self) -> CommandResult<()> {
        let built = self.tree.build(&self.command)?;
        built.map_err(|errors| CommandError(format!("mutants: automatic build: {errors}")))
    }
}

/// Writes the copy without the mutants that are left out, and returns it with its mutated files.
fn tree(
    sources: &Sources,
    catalog: &Catalog,
    left_out: &BTreeSet<usize>,
) -> CommandResult<(SourceTree, BTreeMap<PathBuf, FoldedFile>)> {
    let folded = catalog.fold(|number| !left_out.contains(&number));
    let texts = edited(sources, catalog, &folded)?;
    let tree = SourceTree::copy(sources, "auto-tree", &texts)?;
    Ok((tree.generated("auto-build"), folded))
}

/// Leaves out mutants until the rest compiles.
fn compile(sources: &Sources, catalog: &Catalog) -> CommandResult<(SourceTree, BTreeSet<usize>)> {
    let mut left_out = BTreeSet::new();
    for round in 1..=ROUNDS_MAX {
        let (tree, folded) = tree(sources, catalog, &left_out)?;
        let errors = tree.check(&["--package", "quorate"])?;
        let Some(first) = errors.first() else { return Ok((tree, left_out)) };
        let blamed: BTreeSet<usize> =
            errors.iter().flat_map(|error| blamed(error, &folded)).collect();
        if blamed.is_empty() {
            return Err(CommandError(format!("mutants: automatic build: {}", first.message)));
        }
        let count = blamed.len();
        eprintln!("round {round}: {} errors; left out: {count} mutants", errors.len());
        left_out.extend(blamed);
    }
    Err(CommandError(format!("mutants: {ROUNDS_MAX} rounds left out too few mutants to compile")))
}

/// Returns the mutants to blame for an error: those of the smallest range around the first of the
/// error's locations that is in a range.
fn blamed(error: &CompileError, folded: &BTreeMap<PathBuf, FoldedFile>) -> Vec<usize> {
    let around = |(file, at): &(PathBuf, usize)| {
        let ranges = folded.get(file)?.ranges.iter().filter(|(range, _)| range.contains(at));
        ranges.min_by_key(|(range, _)| range.len()).map(|(_, numbers)| numbers.clone())
    };
    error.locations.iter().find_map(around).unwrap_or_default()
}

/// Returns the texts of the copy that differ from the sources.
fn edited(
    sources: &Sources,
    catalog: &Catalog,
    folded: &BTreeMap<PathBuf, FoldedFile>,
) -> CommandResult<BTreeMap<PathBuf, String>> {
    let library = sources.text(Path::new(LIBRARY));
    let library = library.map_err(|error| CommandError(format!("{LIBRARY}: {error}")))?;
    let mut texts: BTreeMap<PathBuf, String> =
        folded.iter().map(|(file, folded)| (file.clone(), folded.text.clone())).collect();
    texts.insert(LIBRARY.into(), format!("{library}mod planted;\n"));
    let count = (catalog.mutants.len() + 1).to_string();
    texts.insert("src/planted.rs".into(), SWITCH.replace("MUTANTS", &count));
    Ok(texts)
}
