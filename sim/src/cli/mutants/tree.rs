//! A copy of the sources in which bugs are planted, and which is built.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::Trouble;
use crate::cli::mutants::programs::{ended, finish, switch};
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::tested::{self, Trial};

/// A copy of the sources, and where it is built.
pub(crate) struct Tree {
    copy: PathBuf,
    build: PathBuf,
}

/// What the compiler found wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Places in files: the path below the root, and the offset in bytes.
    pub(crate) places: Vec<(PathBuf, usize)>,
    /// All that it said.
    pub(crate) said: String,
}

impl Tree {
    /// Brings the copy called `name` up to date, with `edited` files in place of the sources' own
    /// or beside them. Files that are equal already are not touched, so that cargo need not build
    /// them again.
    pub(crate) fn copy(
        sources: &Sources,
        name: &str,
        edited: &BTreeMap<PathBuf, String>,
    ) -> Result<Tree, Trouble> {
        let folder = sources.folder();
        let copy = folder.join(name);
        let there = |file: &Path| sources.files.contains_key(file) || edited.contains_key(file);
        let pruned = prune(&copy, Path::new(""), &there);
        pruned.map_err(|error| Trouble::file("mutants", &copy, &error))?;
        let kept = sources.files.iter().filter(|(file, _)| !edited.contains_key(*file));
        let kept = kept.map(|(file, content)| (file, content.as_slice()));
        let tree = Tree { copy, build: folder.join("build") };
        let edited = edited.iter().map(|(file, text)| (file, text.as_bytes()));
        kept.chain(edited).try_for_each(|(file, content)| tree.write(file, content))?;
        Ok(tree)
    }

    /// Gives a file of the copy this content, unless it has it.
    pub(crate) fn write(&self, file: &Path, content: &[u8]) -> Result<(), Trouble> {
        let path = self.copy.join(file);
        let written = write_if_changed(&path, content);
        written.map_err(|error| Trouble::file("mutants", &path, &error))
    }

    /// Makes the mutant's edits in the copy while `use_it` uses it.
    pub(crate) fn with<T>(
        &self,
        sources: &Sources,
        mutant: &Mutant,
        use_it: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let planted = mutant.planted(|file| sources.text(file))?;
        planted.iter().try_for_each(|(file, text)| self.write(file, text.as_bytes()))?;
        let used = use_it();
        planted.keys().try_for_each(|file| self.write(file, &sources.files[file]))?;
        used
    }

    /// Builds the command from the copy as it is, and keeps it as `to`; a warning is an error.
    /// Returns what the compiler said if it does not compile.
    pub(crate) fn build(&self, to: &Path) -> Result<Result<(), String>, Trouble> {
        let mut cargo = self.cargo(&["build", "--release", "--quiet", "--package", "quorate-sim"]);
        cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        cargo.env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true");
        let output = ended(&mut cargo)?;
        if !output.status.success() {
            return Ok(Err(errors(&output.stderr)));
        }
        let name = format!("quorate-sim{}", env::consts::EXE_SUFFIX);
        keep(&self.build.join("release").join(name), to).map(Ok)
    }

    /// What the compiler finds wrong in the libraries and commands of the copy as it is, with every
    /// feature that a hunt asks for.
    pub(crate) fn check(&self) -> Result<Vec<Fault>, Trouble> {
        let words = ["check", "--package", "quorate", "--package", "quorate-sim"];
        let features = ["--features", "quorate/certs", "--message-format", "json"];
        let output = ended(self.cargo(&words).args(features))?;
        let faults: Vec<Fault> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| fault(&serde_json::from_str(line).ok()?))
            .collect();
        if faults.is_empty() && !output.status.success() {
            return Err(Trouble(format!("mutants: {}", errors(&output.stderr))));
        }
        Ok(faults)
    }

    /// Runs the library's tests that `words` name, as `cargo test` takes them, in the copy as it
    /// is, with this bug on.
    pub(crate) fn test(&self, words: &str, on: Option<&str>) -> Result<Trial, Trouble> {
        let words: Vec<&str> =
            ["test", "--package", "quorate"].into_iter().chain(words.split_whitespace()).collect();
        let output = ended(self.cargo(&words).arg("--no-run"))?;
        if !output.status.success() {
            return Ok(Trial::Unbuildable(errors(&output.stderr)));
        }
        let mut cargo = self.cargo(&words);
        switch(&mut cargo, on);
        let ended = finish(cargo.arg("--no-fail-fast"))?;
        Ok(ended.map_or(Trial::Hung, |(_, said)| tested::read(&said)))
    }

    /// Cargo, told to build in the copy; a warning is an error.
    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(words)
            .arg("--manifest-path")
            .arg(self.copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.build)
            .env("RUSTFLAGS", "-Dwarnings");
        switch(&mut cargo, None);
        cargo
    }
}

/// What a line of cargo's says is wrong, if it does.
fn fault(line: &serde_json::Value) -> Option<Fault> {
    let message = line.get("message")?;
    let said = message["rendered"].as_str()?.to_owned();
    let place = |span: &serde_json::Value| {
        let file = PathBuf::from(span["file_name"].as_str()?);
        Some((file, usize::try_from(span["byte_start"].as_u64()?).ok()?))
    };
    let mut spans: Vec<_> = message["spans"].as_array()?.iter().collect();
    // What is to blame comes before what it disagrees with.
    spans.sort_by_key(|span| span["is_primary"] != true);
    let places = spans.into_iter().filter_map(place).collect();
    (message["level"] == "error").then_some(Fault { places, said })
}

/// Copies a command to where no build replaces it; one that runs from there goes on.
pub(crate) fn keep(command: &Path, to: &Path) -> Result<(), Trouble> {
    let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
    let beside = to.with_extension("new");
    let copied = folder.and_then(|()| fs::copy(command, &beside));
    let kept = copied.and_then(|_| fs::rename(&beside, to));
    kept.map_err(|error| Trouble::file("mutants", to, &error))
}

/// What the compiler said, from its first error on.
fn errors(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let first = said.lines().position(|line| line.starts_with("error")).unwrap_or_default();
    said.lines().skip(first).collect::<Vec<_>>().join("\n")
}

/// Removes every file of this folder of the copy that is not `wanted`, such as one that was moved.
fn prune(copy: &Path, folder: &Path, wanted: &impl Fn(&Path) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(copy.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            prune(copy, &file, wanted)?;
        } else if !wanted(&file) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/file");
        write_if_changed(&path, b"one").expect("it can be written");
        let written = fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
        write_if_changed(&path, b"one").expect("it can be read");
        let now = fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
        assert_eq!(written, now);
        write_if_changed(&path, b"two").expect("it can be written");
        assert_eq!(fs::read(&path).expect("it is there"), b"two");
    }

    #[test]
    fn a_fault_is_where_the_compiler_puts_the_blame() {
        let line = serde_json::json!({ "reason": "compiler-message", "message": {
            "level": "error", "rendered": "error: no", "spans": [
                { "file_name": "src/a.rs", "byte_start": 3, "is_primary": false },
                { "file_name": "src/b.rs", "byte_start": 9, "is_primary": true },
            ],
        }});
        let fault = super::fault(&line).expect("it is one");
        assert_eq!(fault.said, "error: no");
        assert_eq!(fault.places, [("src/b.rs".into(), 9), ("src/a.rs".into(), 3)]);
    }
}
