//! What is built of the sources with bugs: one build that has all it can, each behind a switch,
//! and one build for each of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cli::exit::Trouble;
use crate::cli::mutants::fold::{self, Change};
use crate::cli::mutants::hunt::{self, Hunt};
use crate::cli::mutants::programs::{Planted, SWITCH};
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::{Hunter, Mutant};
use crate::cli::mutants::tested::Trial;
use crate::cli::mutants::tree::{Fault, Tree, keep};
use crate::rung::Rung;

/// Where the crates that bugs can be folded into have their sources.
const CRATES: [&str; 2] = ["src", "sim/src"];
/// The seeds that have to come out alike in the folded build, with no bug on, and without it.
const SEEDS: &str = "0..4";

/// The builds of all bugs. The tests and the command of the folded one are built once.
pub(crate) struct Builds {
    pub(crate) sources: Sources,
    /// A copy of this command, which a build of the sources meanwhile does not replace.
    pub(crate) original: Planted,
    folded: Tree,
    command: PathBuf,
    /// The bugs that are not folded in, and why.
    pub(crate) alone: BTreeMap<String, String>,
    /// Where those are planted, one after the other.
    plain: Mutex<Tree>,
    /// Held while this process uses the trees.
    _lock: File,
}

impl Builds {
    /// Folds every one of `all` that can be, and builds that if one of `wanted` needs it.
    pub(crate) fn make(
        sources: Sources,
        all: &[Mutant],
        wanted: &[Mutant],
    ) -> Result<Builds, Trouble> {
        let folder = sources.folder();
        let lock = lock(&folder)?;
        let named = |name: &str| folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
        let (original, command) = (Planted::alone(named("original")), named("mutated"));
        let this = env::current_exe();
        keep(&this.map_err(|error| Trouble::file("mutants", &folder, &error))?, &original.command)?;
        let plain = Mutex::new(Tree::copy(&sources, "tree", &BTreeMap::new())?);
        let (folded, alone) = folded(&sources, all)?;
        let builds = Builds { sources, original, folded, command, alone, plain, _lock: lock };
        let is_hunted = |mutant: &Mutant| mutant.hunter == Hunter::Simulator;
        if wanted.iter().any(|mutant| is_hunted(mutant) && builds.is_folded(mutant)) {
            let built = builds.folded.build(&builds.command)?;
            built.map_err(|said| Trouble(format!("mutants: the folded build: {said}")))?;
            builds.compare(wanted)?;
        }
        Ok(builds)
    }

    /// Whether the mutant is in the build that has all it can.
    pub(crate) fn is_folded(&self, mutant: &Mutant) -> bool {
        !self.alone.contains_key(&mutant.id)
    }

    /// A command with the mutant, or what the compiler said of it.
    pub(crate) fn planted(&self, mutant: &Mutant) -> Result<Result<Planted, String>, Trouble> {
        if self.is_folded(mutant) {
            let on = Some(mutant.id.clone());
            return Ok(Ok(Planted { command: self.command.clone(), on }));
        }
        let name = format!("{}{}", mutant.id, env::consts::EXE_SUFFIX);
        let command = self.sources.folder().join("alone").join(name);
        let built = self.alone(mutant, |tree| tree.build(&command))?;
        Ok(built.map(|()| Planted::alone(command)))
    }

    /// The commands that hunt a mutant which is built.
    pub(crate) fn hunt<'a>(
        &'a self,
        mutant: &'a Mutant,
        planted: &'a Planted,
        rung: Rung,
        jobs: NonZeroUsize,
    ) -> Hunt<'a> {
        let profile = mutant.profile.as_deref();
        Hunt { mutant: planted, original: &self.original, profile, rung, jobs }
    }

    /// Where the scenarios are kept that tell mutants from these sources.
    pub(crate) fn scenarios(&self) -> PathBuf {
        self.sources.folder().join("scenarios")
    }

    /// What the tests come to with the mutant, twice.
    pub(crate) fn trials(&self, mutant: &Mutant, test: &str) -> Result<(Trial, Trial), Trouble> {
        let twice = |tree: &Tree, on| Ok((tree.test(test, on)?, tree.test(test, on)?));
        if self.is_folded(mutant) {
            twice(&self.folded, Some(&mutant.id))
        } else {
            self.alone(mutant, |tree| twice(tree, None))
        }
    }

    /// What the tests come to without any bug.
    pub(crate) fn trial_of_original(&self, test: &str) -> Result<Trial, Trouble> {
        self.folded.test(test, None)
    }

    /// Puts a file beside the sources of the folded build.
    pub(crate) fn add(&self, file: &Path, text: &str) -> Result<(), Trouble> {
        self.folded.write(file, text.as_bytes())
    }

    /// What the tests that were emitted and have this in their names come to, with this bug on.
    pub(crate) fn emitted(&self, on: Option<&Mutant>, names: &str) -> Result<Trial, Trouble> {
        let on = on.map(|mutant| mutant.id.as_str());
        self.folded.test(&format!("--package quorate-sim --test emitted {names}"), on)
    }

    /// Uses the tree in which the mutant alone is planted.
    fn alone<T>(
        &self,
        mutant: &Mutant,
        use_it: impl FnOnce(&Tree) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let tree = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        tree.with(&self.sources, mutant, || use_it(&tree))
    }

    /// Folding must change nothing but what a switch turns on.
    fn compare(&self, wanted: &[Mutant]) -> Result<(), Trouble> {
        let profiles: BTreeSet<_> = wanted.iter().map(|mutant| &mutant.profile).collect();
        let off = Planted::alone(self.command.clone());
        for profile in profiles {
            let (mutant, original, profile) = (&off, &self.original, profile.as_deref());
            let hunt = Hunt { mutant, original, profile, rung: Rung::default(), jobs: cores() };
            let [folded, original] = hunt::digests(hunt, SEEDS)?;
            if folded.is_none() || folded != original {
                return Err(Trouble(format!(
                    "mutants: with no bug on, folding changes what seeds {SEEDS} of profile {} \
                     come to: {} does not do what {} does",
                    profile.unwrap_or("default"),
                    self.command.display(),
                    self.original.command.display(),
                )));
            }
        }
        Ok(())
    }
}

/// How many things this machine does at a time.
pub(crate) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The tree that has all bugs which can be folded, and the others, with the reason. What does not
/// compile together is left out, until the rest does.
fn folded(
    sources: &Sources,
    mutants: &[Mutant],
) -> Result<(Tree, BTreeMap<String, String>), Trouble> {
    let mut changes = Vec::new();
    let mut alone = BTreeMap::new();
    for (at, mutant) in mutants.iter().enumerate() {
        match changes_of(sources, mutant)? {
            Ok(files) => changes.push((at + 1, mutant.id.as_str(), files)),
            Err(why) => drop(alone.insert(mutant.id.clone(), why)),
        }
    }
    loop {
        let (edited, places) = texts(sources, &changes)?;
        let tree = Tree::copy(sources, "folded", &edited)?;
        let faults = tree.check()?;
        let Some(first) = faults.first() else { return Ok((tree, alone)) };
        let faulty: BTreeMap<usize, &Fault> =
            faults.iter().filter_map(|fault| Some((whose(fault, &places)?, fault))).collect();
        if faulty.is_empty() {
            return Err(Trouble(format!("mutants: the folded build: {}", first.said)));
        }
        let (out, kept) = changes.into_iter().partition(|(number, ..)| faulty.contains_key(number));
        changes = kept;
        for (number, id, _) in out {
            let said = faulty[&number].said.lines().next().unwrap_or_default();
            alone.insert(id.to_owned(), format!("folded, it does not compile: {said}"));
        }
    }
}

/// What a bug does to its files, or why that cannot be folded.
type Changes = BTreeMap<PathBuf, Vec<Change>>;

fn changes_of(sources: &Sources, mutant: &Mutant) -> Result<Result<Changes, String>, Trouble> {
    let planted = mutant.planted(|file| sources.text(file))?;
    let changes = planted.into_iter().map(|(file, text)| {
        if crate_of(&file).is_none() {
            return Err(format!("{} is in none of {}", file.display(), CRATES.join(", ")));
        }
        let changes = fold::changes(&sources.text(&file)?, &text)?;
        Ok((file, changes))
    });
    Ok(changes.collect())
}

fn crate_of(file: &Path) -> Option<&'static str> {
    CRATES.into_iter().find(|root| file.starts_with(root))
}

/// Where code of bugs is: in which file, at which bytes, and of which bug.
type Places = BTreeMap<PathBuf, Vec<(std::ops::Range<usize>, usize)>>;

/// The files that are not what they are in the sources, and where in them the bugs are.
fn texts(
    sources: &Sources,
    bugs: &[(usize, &str, Changes)],
) -> Result<(BTreeMap<PathBuf, String>, Places), Trouble> {
    let text = |file: &Path| {
        sources.text(file).map_err(|error| Trouble(format!("{}: {error}", file.display())))
    };
    let (mut edited, mut places) = (BTreeMap::new(), BTreeMap::new());
    for file in bugs.iter().flat_map(|(_, _, files)| files.keys()) {
        if !edited.contains_key(file) {
            let here =
                bugs.iter().filter_map(|(n, _, files)| Some((*n, files.get(file)?.as_slice())));
            let folded = fold::fold(&text(file)?, here);
            edited.insert(file.clone(), folded.text);
            places.insert(file.clone(), folded.places);
        }
    }
    for root in CRATES.map(Path::new) {
        if !edited.keys().any(|file: &PathBuf| file.starts_with(root)) {
            continue;
        }
        let library = root.join("lib.rs");
        let mut whole = match edited.remove(&library) {
            Some(folded) => folded,
            None => text(&library)?,
        };
        whole.push_str("mod planted;\n");
        edited.insert(library, whole);
        edited.insert(root.join("planted.rs"), switchboard(bugs));
    }
    Ok((edited, places))
}

/// The module of a folded crate that says which bug is on, as a number; 0 is none. A bug that is
/// not among them ends the process with 2: a panic would pass for the failure of a seed.
fn switchboard(bugs: &[(usize, &str, Changes)]) -> String {
    let arms: String =
        bugs.iter().map(|(number, id, _)| format!("        \"{id}\" => {number},\n")).collect();
    let known: Vec<&str> = bugs.iter().map(|(_, id, _)| *id).collect();
    let known = known.join(" ");
    format!(
        "//! Which of the folded bugs is on.\n\n\
         extern crate std;\n\n\
         pub(crate) fn on() -> usize {{\n    \
         static ON: std::sync::OnceLock<usize> = std::sync::OnceLock::new();\n    \
         *ON.get_or_init(|| match std::env::var(\"{SWITCH}\").as_deref().unwrap_or_default() {{\n\
         {arms}        \"\" => 0,\n        \
         id => {{\n            \
         std::eprintln!(\"error: {SWITCH}: no bug `{{id}}` is folded in here: name one of these, \
         or none: {known}\");\n            \
         std::process::exit(2)\n        \
         }}\n    \
         }})\n}}\n"
    )
}

/// The bug that a fault is in.
fn whose(fault: &Fault, places: &Places) -> Option<usize> {
    fault.places.iter().find_map(|(file, at)| {
        let within = places.get(file)?.iter().find(|(range, _)| range.contains(at));
        within.map(|(_, number)| *number)
    })
}

/// Only one process at a time may use the trees.
fn lock(folder: &Path) -> Result<File, Trouble> {
    let path = folder.join("lock");
    let made = std::fs::create_dir_all(folder).and_then(|()| File::create(&path));
    let file = made.map_err(|error| Trouble::file("mutants", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => {
            let path = path.display();
            Err(Trouble(format!("mutants: {path}: another hunt is under way ({error})")))
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
        let text = format!(
            "id = {id:?}\nwrong = \"it is\"\nkind = \"safety\"\nhunter = \"simulator\"\n{edits}"
        );
        toml::from_str(&text).expect("it is well formed")
    }

    #[test]
    fn a_bug_is_folded_with_all_its_edits_or_not_at_all() {
        let sources = sources(&[
            ("src/lib.rs", "mod a;\n"),
            ("src/a.rs", "fn a() -> u8 {\n    1\n}\nconst B: u8 = 2;\n"),
            ("sim/src/lib.rs", "mod b;\n"),
            ("tests/t.rs", "fn t() {}\n"),
        ]);
        let body = ("src/a.rs", "1", "7");
        let folded = changes_of(&sources, &mutant("X1", &[body])).expect("it is planted");
        let changes = folded.expect("it is a body");
        for other in [("src/a.rs", "= 2", "= 3"), ("tests/t.rs", "{}", "{ }")] {
            let refused = changes_of(&sources, &mutant("X2", &[body, other]));
            refused.expect("it is planted").expect_err("it is not only a body");
        }

        let (edited, places) = texts(&sources, &[(4, "X1", changes)]).expect("there is text");
        let names: Vec<&str> = edited.keys().filter_map(|file| file.to_str()).collect();
        assert_eq!(names, ["src/a.rs", "src/lib.rs", "src/planted.rs"], "one crate is untouched");
        assert_eq!(edited[Path::new("src/lib.rs")], "mod a;\nmod planted;\n");
        let switch = &edited[Path::new("src/planted.rs")];
        assert!(switch.contains("\"X1\" => 4,"), "{switch}");
        assert!(switch.contains("name one of these, or none: X1\");"), "{switch}");
        syn::parse_file(switch).unwrap_or_else(|why| panic!("{why}: {switch}"));

        let file = PathBuf::from("src/a.rs");
        let at = edited[&file].find("{ 7 }").expect("the bug is there");
        let fault = |at| Fault { places: vec![(file.clone(), at)], said: String::new() };
        assert_eq!(whose(&fault(at), &places), Some(4));
        assert_eq!(whose(&fault(at - 1), &places), None);
    }
}
