//! Planted bugs: each script names some under which it must fail, and here they are planted, one at
//! a time in a copy of the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The tables of bugs: those the simulator hunts, and those only a spec would notice.
const TABLES: [&str; 2] = ["sim/mutants.toml", "tests/specs/mutants.toml"];

#[derive(Deserialize)]
struct Table {
    mutant: Vec<Bug>,
}

/// One bug.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Bug {
    pub(crate) id: String,
    /// The wrong behaviour.
    pub(crate) wrong: String,
    edit: Vec<Edit>,
}

#[derive(Clone, Debug, Deserialize)]
struct Edit {
    file: PathBuf,
    find: String,
    replace: String,
}

/// Every bug of both tables by its id.
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
    /// The files with the bug in them: where each stands, and its text.
    pub(crate) fn planted(&self, root: &Path) -> Result<BTreeMap<&Path, String>, String> {
        let mut files: BTreeMap<&Path, String> = BTreeMap::new();
        for Edit { file, find, replace } in &self.edit {
            let text = match files.remove(file.as_path()) {
                Some(text) => text,
                None => fs::read_to_string(root.join(file))
                    .map_err(|why| format!("{}: {}: {why}", self.id, file.display()))?,
            };
            match text.matches(find).count() {
                1 => files.insert(file, text.replacen(find, replace, 1)),
                times => return Err(format!("{}: `{find}` occurs {times} times", self.id)),
            };
        }
        Ok(files)
    }
}

/// A copy of the sources in which bugs are planted.
pub(crate) struct Copy {
    root: PathBuf,
    original: PathBuf,
}

impl Copy {
    /// Copies the sources of `original` into its target folder.
    pub(crate) fn new(original: &Path) -> Copy {
        let root = original.join("target/spec-mutants/tree");
        let _ = fs::remove_dir_all(&root);
        copy(original, &root);
        Copy { root, original: original.to_owned() }
    }

    /// Builds the specs with the bug and names the scripts that fail, such as
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

/// Copies a file, or a folder without hidden files and what was built in it.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("a file can be copied");
        return;
    }
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let name = entry.expect("it is listed").file_name();
        if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}
