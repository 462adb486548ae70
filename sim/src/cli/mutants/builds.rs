//! Builds of the sources with planted bugs: one combined build that contains most bugs, each behind
//! a switch, and a separate build for each bug that cannot be combined.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::combine::{self, Change};
use crate::cli::mutants::mutant_sweep::{self, SweepCommand};
use crate::cli::mutants::programs::{ACTIVE_BUG_VARIABLE, MutantBinary};
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::{Detector, Mutant};
use crate::cli::mutants::test_output::TestRun;
use crate::cli::mutants::tree::{CompileError, SourceTree, copy_binary};
use crate::settings::strategy::Strategy;

/// The source directories of the crates whose bugs can be combined.
const CRATES: [&str; 2] = ["src", "sim/src"];
/// The arguments of `cargo check` for the combined build: its packages, and every feature that a
/// sweep uses.
const CHECKED: [&str; 6] =
    ["--package", "quorate", "--package", "quorate-sim", "--features", "quorate/certs"];
/// The seeds whose outcomes must be equal in the original build and in the combined build without
/// an active bug.
const SEEDS: &str = "0..4";

/// The builds of all bugs. The combined build serves all bugs in it: its command is built at most
/// once, by [`Builds::prepare`], and its tests by the first test run.
pub(crate) struct Builds {
    pub(crate) sources: Sources,
    /// A copy of this command, which a concurrent build of the sources does not replace.
    pub(crate) original: MutantBinary,
    combined: SourceTree,
    command: PathBuf,
    /// The ids of the bugs that need a separate build, each with the reason.
    pub(crate) separate: BTreeMap<String, String>,
    /// The source tree in which the separate bugs are planted, one at a time.
    plain: Mutex<SourceTree>,
    /// The lock file, held while this process uses the source trees.
    _lock: File,
}

impl Builds {
    /// Combines the bugs of `all`, and builds the result if a mutant of `wanted` needs it.
    pub(crate) fn prepare(
        sources: Sources,
        all: &[Mutant],
        wanted: &[Mutant],
    ) -> CommandResult<Builds> {
        let folder = sources.folder();
        let lock = lock(&folder)?;
        let named = |name: &str| folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
        let (original, command) =
            (MutantBinary::without_switch(named("original")), named("mutated"));
        let this = env::current_exe();
        copy_binary(
            &this.map_err(|error| CommandError::file("mutants", &folder, &error))?,
            &original.command,
        )?;
        let plain = Mutex::new(SourceTree::copy(&sources, "tree", &BTreeMap::new())?);
        let (combined, separate) = combine(&sources, all)?;
        let builds = Builds { sources, original, combined, command, separate, plain, _lock: lock };
        let runs_seeds = |mutant: &Mutant| mutant.detector() == Detector::Simulator;
        if wanted.iter().any(|mutant| runs_seeds(mutant) && builds.is_combined(mutant)) {
            let built = builds.combined.build(&builds.command)?;
            built.map_err(|errors| CommandError(format!("mutants: combined build: {errors}")))?;
            builds.verify_unchanged(wanted)?;
        }
        Ok(builds)
    }

    /// Returns true if the mutant is in the combined build.
    pub(crate) fn is_combined(&self, mutant: &Mutant) -> bool {
        !self.separate.contains_key(&mutant.id)
    }

    /// Returns a binary with the mutant, or the compiler errors.
    pub(crate) fn binary(&self, mutant: &Mutant) -> CommandResult<Result<MutantBinary, String>> {
        if self.is_combined(mutant) {
            let active_bug = Some(mutant.id.clone());
            return Ok(Ok(MutantBinary { command: self.command.clone(), active_bug }));
        }
        let name = format!("{}{}", mutant.id, env::consts::EXE_SUFFIX);
        let command = self.sources.folder().join("separate").join(name);
        let built = self.with_separate_build(mutant, |tree| tree.build(&command))?;
        Ok(built.map(|()| MutantBinary::without_switch(command)))
    }

    /// Returns the binaries and arguments of a sweep with a mutant that is built.
    pub(crate) fn sweep_command<'a>(
        &'a self,
        mutant: &'a Mutant,
        binary: &'a MutantBinary,
        strategy: Strategy,
        jobs: NonZeroUsize,
    ) -> SweepCommand<'a> {
        let profile = mutant.profile.as_deref();
        SweepCommand { mutant: binary, original: &self.original, profile, strategy, jobs }
    }

    /// Returns the directory of the shrunk scenarios that detect mutants.
    pub(crate) fn scenarios(&self) -> PathBuf {
        self.sources.folder().join("scenarios")
    }

    /// Runs tests with the mutant, two times. `test` has the arguments of `cargo test` that select
    /// them.
    pub(crate) fn test_twice(
        &self,
        mutant: &Mutant,
        test: &str,
    ) -> CommandResult<(TestRun, TestRun)> {
        let twice = |tree: &SourceTree, active_bug| {
            Ok((tree.test(test, active_bug)?, tree.test(test, active_bug)?))
        };
        if self.is_combined(mutant) {
            twice(&self.combined, Some(&mutant.id))
        } else {
            self.with_separate_build(mutant, |tree| twice(tree, None))
        }
    }

    /// Runs these tests in the combined build without an active bug.
    pub(crate) fn test_original(&self, test: &str) -> CommandResult<TestRun> {
        self.combined.test(test, None)
    }

    /// Writes a file to the source tree of the combined build.
    pub(crate) fn add(&self, file: &Path, text: &str) -> CommandResult<()> {
        self.combined.write(file, text.as_bytes())
    }

    /// Runs the emitted tests whose names contain `names`, with the given bug active.
    pub(crate) fn run_emitted_tests(
        &self,
        active_bug: Option<&Mutant>,
        names: &str,
    ) -> CommandResult<TestRun> {
        let active_bug = active_bug.map(|mutant| mutant.id.as_str());
        self.combined.test(&format!("--package quorate-sim --test emitted {names}"), active_bug)
    }

    /// Calls `use_it` with the source tree in which only this mutant is planted.
    fn with_separate_build<T>(
        &self,
        mutant: &Mutant,
        use_it: impl FnOnce(&SourceTree) -> CommandResult<T>,
    ) -> CommandResult<T> {
        let tree = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        tree.with_mutant(&self.sources, mutant, || use_it(&tree))
    }

    /// Verifies that the combined build without an active bug has the same outcomes as the original
    /// in the seeds [`SEEDS`] of each profile of the mutants.
    fn verify_unchanged(&self, wanted: &[Mutant]) -> CommandResult<()> {
        let profiles: BTreeSet<_> = wanted.iter().map(|mutant| &mutant.profile).collect();
        let inactive = MutantBinary::without_switch(self.command.clone());
        for profile in profiles {
            let (mutant, original, profile) = (&inactive, &self.original, profile.as_deref());
            let command = SweepCommand {
                mutant,
                original,
                profile,
                strategy: Strategy::default(),
                jobs: cores(),
            };
            let [combined, original] = mutant_sweep::digests(command, SEEDS)?;
            if combined.is_none() || combined != original {
                return Err(CommandError(format!(
                    "mutants: the combined build without an active bug changes the outcome of \
                     seeds {SEEDS} of profile {}: {} differs from {}",
                    profile.unwrap_or("default"),
                    self.command.display(),
                    self.original.command.display(),
                )));
            }
        }
        Ok(())
    }
}

/// Returns the number of cores of this machine.
pub(crate) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Returns the source tree of the combined build, and the bugs that are not in it, with the reason.
/// The compiler's check is repeated without the bugs that do not compile, until the rest compiles.
fn combine(
    sources: &Sources,
    mutants: &[Mutant],
) -> CommandResult<(SourceTree, BTreeMap<String, String>)> {
    let mut changes = Vec::new();
    let mut separate = BTreeMap::new();
    for (at, mutant) in mutants.iter().enumerate() {
        match changes_of(sources, mutant)? {
            Ok(files) => changes.push((at + 1, mutant.id.as_str(), files)),
            Err(why) => drop(separate.insert(mutant.id.clone(), why)),
        }
    }
    loop {
        let (edited, ranges) = combined_sources(sources, &changes)?;
        let tree = SourceTree::copy(sources, "combined", &edited)?;
        let errors = tree.check(&CHECKED)?;
        let Some(first) = errors.first() else { return Ok((tree, separate)) };
        let broken: BTreeMap<usize, &CompileError> = errors
            .iter()
            .filter_map(|error| Some((bug_of_error(error, &ranges)?, error)))
            .collect();
        if broken.is_empty() {
            return Err(CommandError(format!("mutants: combined build: {}", first.message)));
        }
        let (out, kept) = changes.into_iter().partition(|(number, ..)| broken.contains_key(number));
        changes = kept;
        for (number, id, _) in out {
            let message = broken[&number].message.lines().next().unwrap_or_default();
            separate.insert(
                id.to_owned(),
                format!("does not compile in the combined build: {message}"),
            );
        }
    }
}

/// The changes that a bug makes, by file.
type FileChanges = BTreeMap<PathBuf, Vec<Change>>;

/// Returns the changes that the mutant makes, or the reason why it cannot be combined with others.
///
/// # Errors
/// A file cannot be read, or the mutant cannot be planted.
fn changes_of(sources: &Sources, mutant: &Mutant) -> CommandResult<Result<FileChanges, String>> {
    let planted = mutant.planted(|file| sources.text(file))?;
    let changes = planted.into_iter().map(|(file, text)| {
        if crate_of(&file).is_none() {
            return Err(format!(
                "{} is in none of the directories {}",
                file.display(),
                CRATES.join(", ")
            ));
        }
        let changes = combine::changes(&sources.text(&file)?, &text)?;
        Ok((file, changes))
    });
    Ok(changes.collect())
}

fn crate_of(file: &Path) -> Option<&'static str> {
    CRATES.into_iter().find(|root| file.starts_with(root))
}

/// The code of the bugs by file: byte range and number of the bug.
type BugRanges = BTreeMap<PathBuf, Vec<(std::ops::Range<usize>, usize)>>;

/// Returns the files of the combined build that differ from the sources, and the ranges of the
/// bugs.
fn combined_sources(
    sources: &Sources,
    bugs: &[(usize, &str, FileChanges)],
) -> CommandResult<(BTreeMap<PathBuf, String>, BugRanges)> {
    let text = |file: &Path| {
        sources.text(file).map_err(|error| CommandError(format!("{}: {error}", file.display())))
    };
    let (mut edited, mut ranges) = (BTreeMap::new(), BTreeMap::new());
    for file in bugs.iter().flat_map(|(_, _, files)| files.keys()) {
        if !edited.contains_key(file) {
            let here =
                bugs.iter().filter_map(|(n, _, files)| Some((*n, files.get(file)?.as_slice())));
            let combined = combine::combine(&text(file)?, here);
            edited.insert(file.clone(), combined.text);
            ranges.insert(file.clone(), combined.bug_ranges);
        }
    }
    for root in CRATES.map(Path::new) {
        if !edited.keys().any(|file: &PathBuf| file.starts_with(root)) {
            continue;
        }
        let library = root.join("lib.rs");
        let mut whole = match edited.remove(&library) {
            Some(combined) => combined,
            None => text(&library)?,
        };
        whole.push_str("mod planted;\n");
        edited.insert(library, whole);
        edited.insert(root.join("planted.rs"), switch_module(bugs));
    }
    Ok((edited, ranges))
}

/// Returns the module of a combined crate that returns the number of the active bug, 0 for none. An
/// unknown bug ends the process with exit code 2, because a panic would count as a failed seed.
fn switch_module(bugs: &[(usize, &str, FileChanges)]) -> String {
    let arms: String =
        bugs.iter().map(|(number, id, _)| format!("        \"{id}\" => {number},\n")).collect();
    let known: Vec<&str> = bugs.iter().map(|(_, id, _)| *id).collect();
    let (known, name) = (known.join(" "), ACTIVE_BUG_VARIABLE);
    format!(
        "//! The number of the active bug of this combined build.\n\n\
         extern crate std;\n\n\
         pub(crate) fn active() -> usize {{\n    \
         static ACTIVE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();\n    \
         *ACTIVE.get_or_init(|| match std::env::var(\"{name}\").as_deref().unwrap_or_default() {{\n\
         {arms}        \"\" => 0,\n        \
         id => {{\n            \
         std::eprintln!(\"error: {name}: unknown bug `{{id}}`; \
         known bugs: {known}\");\n            \
         std::process::exit(2)\n        \
         }}\n    \
         }})\n}}\n"
    )
}

/// Returns the number of the bug that a compiler error is in.
fn bug_of_error(error: &CompileError, ranges: &BugRanges) -> Option<usize> {
    error.locations.iter().find_map(|(file, at)| {
        let within = ranges.get(file)?.iter().find(|(range, _)| range.contains(at));
        within.map(|(_, number)| *number)
    })
}

/// Locks the source trees, which only one process may use at a time.
pub(crate) fn lock(folder: &Path) -> CommandResult<File> {
    let path = folder.join("lock");
    let made = std::fs::create_dir_all(folder).and_then(|()| File::create(&path));
    let file = made.map_err(|error| CommandError::file("mutants", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => {
            let path = path.display();
            Err(CommandError(format!(
                "mutants: {path}: another `mutants` run holds the lock ({error})"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        let files = files.iter().map(|(file, text)| ((*file).into(), text.as_bytes().to_vec()));
        Sources { root: PathBuf::new(), files: files.collect(), fingerprint: 0 }
    }

    fn mutant(id: &str, edits: &[(&str, &str, &str)]) -> Mutant {
        let edit = |(file, find, replace): &(&str, &str, &str)| {
            format!("[[edit]]\nfile = {file:?}\nfind = {find:?}\nreplace = {replace:?}\n")
        };
        let edits: String = edits.iter().map(edit).collect();
        let text = format!("id = {id:?}\nwrong = \"x\"\n{edits}");
        toml::from_str(&text).expect("the mutant is valid TOML")
    }

    #[test]
    fn a_bug_is_combined_with_all_its_edits_or_not_at_all() {
        let sources = sources(&[
            ("src/lib.rs", "mod a;\n"),
            ("src/a.rs", "fn a() -> u8 {\n    1\n}\nconst B: u8 = 2;\n"),
            ("sim/src/lib.rs", "mod b;\n"),
            ("tests/t.rs", "fn t() {}\n"),
        ]);
        let body = ("src/a.rs", "1", "7");
        let combined = changes_of(&sources, &mutant("X1", &[body])).expect("it is planted");
        let changes = combined.expect("it is a body");
        for other in [("src/a.rs", "= 2", "= 3"), ("tests/t.rs", "{}", "{ }")] {
            let refused = changes_of(&sources, &mutant("X2", &[body, other]));
            refused.expect("it is planted").expect_err("it changes more than a body");
        }

        let (edited, ranges) =
            combined_sources(&sources, &[(4, "X1", changes)]).expect("there is text");
        let names: Vec<&str> = edited.keys().filter_map(|file| file.to_str()).collect();
        assert_eq!(names, ["src/a.rs", "src/lib.rs", "src/planted.rs"], "one crate is untouched");
        assert_eq!(edited[Path::new("src/lib.rs")], "mod a;\nmod planted;\n");
        let switch = &edited[Path::new("src/planted.rs")];
        assert!(switch.contains("\"X1\" => 4,"), "{switch}");
        assert!(switch.contains("known bugs: X1\");"), "{switch}");
        syn::parse_file(switch).unwrap_or_else(|why| panic!("{why}: {switch}"));

        let file = PathBuf::from("src/a.rs");
        let at = edited[&file].find("{ 7 }").expect("the bug is there");
        let error =
            |at| CompileError { locations: vec![(file.clone(), at)], message: String::new() };
        assert_eq!(bug_of_error(&error(at), &ranges), Some(4));
        assert_eq!(bug_of_error(&error(at - 1), &ranges), None);
    }
}
