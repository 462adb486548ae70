//! Planted bugs: each script names bugs under which it must fail, and this file plants them, one at
//! a time, in a copy of the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_sim::values::substitution::substitute;
use serde::Deserialize;

/// The tables of bugs: those of the simulator, and those that only a spec detects.
const TABLES: [&str; 2] = ["sim/mutants.toml", "tests/specs/mutants.toml"];

#[derive(Deserialize)]
struct Table {
    mutant: Vec<Bug>,
}

/// A planted bug with its edits.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Bug {
    pub(crate) id: String,
    /// A sentence that states the wrong behaviour.
    pub(crate) wrong: String,
    edit: Vec<Edit>,
}

#[derive(Clone, Debug, Deserialize)]
struct Edit {
    file: PathBuf,
    inside: Option<String>,
    find: String,
    replace: String,
}

/// Returns the bugs of both tables by their ids.
pub(crate) fn bugs(root: &Path) -> BTreeMap<String, Bug> {
    let mut bugs = BTreeMap::new();
    for table in TABLES {
        let text = fs::read_to_string(root.join(table)).expect("the table is there");
        let table: Table = toml::from_str(&text).unwrap_or_else(|why| panic!("{table}: {why}"));
        for bug in table.mutant {
            let before = bugs.insert(bug.id.clone(), bug);
            assert!(before.is_none(), "two bugs have the id {}", before.expect("it is").id);
        }
    }
    bugs
}

impl Bug {
    /// Returns the changed files with their texts.
    pub(crate) fn planted(&self, root: &Path) -> Result<BTreeMap<&Path, String>, String> {
        let mut files: BTreeMap<&Path, String> = BTreeMap::new();
        for Edit { file, inside, find, replace } in &self.edit {
            let text = match files.remove(file.as_path()) {
                Some(text) => text,
                None => fs::read_to_string(root.join(file))
                    .map_err(|why| format!("{}: {}: {why}", self.id, file.display()))?,
            };
            let changed = substitute(&text, inside.as_deref(), find, replace)
                .map_err(|why| format!("{}: {}: {why}", self.id, file.display()))?;
            files.insert(file, changed);
        }
        Ok(files)
    }
}

/// A copy of the sources into which bugs are planted.
pub(crate) struct SourceCopy {
    root: PathBuf,
    original: PathBuf,
}

impl SourceCopy {
    /// Copies the sources of `original` into its target directory.
    pub(crate) fn new(original: &Path) -> SourceCopy {
        let root = original.join("target/spec-mutants/tree");
        let _ = fs::remove_dir_all(&root);
        copy(original, &root);
        SourceCopy { root, original: original.to_owned() }
    }

    /// Builds the specs with the bug and returns the scripts that fail, such as
    /// `tests/specs/reads/shared_round.txt`.
    pub(crate) fn failing(&self, bug: &Bug) -> Result<BTreeSet<String>, String> {
        let planted = bug.planted(&self.original)?;
        for (file, text) in &planted {
            fs::write(self.root.join(file), text).expect("the copy can be written");
        }
        let output = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--test", "specs", "--", "--exact", "--nocapture"])
            .args(crate::AREAS)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.original.join("target/spec-mutants/build"))
            .env("CARGO_PROFILE_TEST_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .env_remove("UPDATE_SPECS")
            .output()
            .expect("cargo can be run");
        for file in planted.keys() {
            copy(&self.original.join(file), &self.root.join(file));
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let scripts = printed.lines().filter(|line| line.starts_with("tests/specs/"));
        let failing: BTreeSet<String> =
            scripts.filter_map(|line| line.split(':').next()).map(str::to_owned).collect();
        if failing.is_empty() && !output.status.success() {
            return Err(format!("{}: the specs do not run:\n{printed}", bug.id));
        }
        Ok(failing)
    }
}

/// Copies a file, or a directory without hidden files and build output.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("a file can be copied");
        return;
    }
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let name = entry.expect("the entry is readable").file_name();
        if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}
