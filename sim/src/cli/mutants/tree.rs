//! A copy of the sources in which bugs are planted and built.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::programs::{run_cargo, run_with_timeout, set_active_bug};
use crate::cli::mutants::sources::Sources;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::test_output::{self, TestRun};

/// A copy of the sources and its build directory.
pub(crate) struct SourceTree {
    copy: PathBuf,
    build: PathBuf,
    /// The flags of the compiler.
    flags: &'static str,
}

/// A compiler error with its locations.
#[derive(Debug)]
pub(crate) struct CompileError {
    /// The locations: the path relative to the root, and the offset in bytes.
    pub(crate) locations: Vec<(PathBuf, usize)>,
    /// The rendered error message.
    pub(crate) message: String,
}

impl SourceTree {
    /// Updates the copy called `name`, with the `edited` files replacing or added to the sources.
    /// Unchanged files are not written, so that cargo does not rebuild them.
    pub(crate) fn copy(
        sources: &Sources,
        name: &str,
        edited: &BTreeMap<PathBuf, String>,
    ) -> CommandResult<SourceTree> {
        let folder = sources.folder();
        let copy = folder.join(name);
        let there = |file: &Path| sources.files.contains_key(file) || edited.contains_key(file);
        let pruned = prune(&copy, Path::new(""), &there);
        pruned.map_err(|error| CommandError::file("mutants", &copy, &error))?;
        let kept = sources.files.iter().filter(|(file, _)| !edited.contains_key(*file));
        let kept = kept.map(|(file, content)| (file, content.as_slice()));
        let tree = SourceTree { copy, build: folder.join("build"), flags: "-Dwarnings" };
        let edited = edited.iter().map(|(file, text)| (file, text.as_bytes()));
        kept.chain(edited).try_for_each(|(file, content)| tree.write(file, content))?;
        Ok(tree)
    }

    /// Returns the same copy for generated code: its warnings are allowed, and it needs a
    /// build directory of its own because its compiler flags differ.
    pub(crate) fn generated(self, build: &str) -> SourceTree {
        SourceTree { build: self.build.with_file_name(build), flags: "-Awarnings", ..self }
    }

    /// Writes a file of the copy, unless it already has this content.
    pub(crate) fn write(&self, file: &Path, content: &[u8]) -> CommandResult<()> {
        let path = self.copy.join(file);
        let written = write_if_changed(&path, content);
        written.map_err(|error| CommandError::file("mutants", &path, &error))
    }

    /// Calls `use_it` while the mutant is planted in the copy.
    pub(crate) fn with_mutant<T>(
        &self,
        sources: &Sources,
        mutant: &Mutant,
        use_it: impl FnOnce() -> CommandResult<T>,
    ) -> CommandResult<T> {
        let planted = mutant.planted(|file| sources.text(file))?;
        planted.iter().try_for_each(|(file, text)| self.write(file, text.as_bytes()))?;
        let used = use_it();
        planted.keys().try_for_each(|file| self.write(file, &sources.files[file]))?;
        used
    }

    /// Builds the command from the copy and stores it as `to`; warnings are errors. Returns the
    /// compiler errors if it does not compile.
    pub(crate) fn build(&self, to: &Path) -> CommandResult<Result<(), String>> {
        let mut cargo = self.cargo(&["build", "--release", "--quiet", "--package", "quorate-sim"]);
        cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        cargo.env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true");
        let output = run_cargo(&mut cargo)?;
        if !output.status.success() {
            return Ok(Err(compiler_output(&output.stderr)));
        }
        let name = format!("quorate-sim{}", env::consts::EXE_SUFFIX);
        copy_binary(&self.build.join("release").join(name), to).map(Ok)
    }

    /// Returns the compiler errors of the parts of the copy that the words select.
    pub(crate) fn check(&self, words: &[&str]) -> CommandResult<Vec<CompileError>> {
        let format = ["--message-format", "json"];
        let output = run_cargo(self.cargo(&["check"]).args(words).args(format))?;
        let errors: Vec<CompileError> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| compile_error(&serde_json::from_str(line).ok()?))
            .collect();
        if errors.is_empty() && !output.status.success() {
            return Err(CommandError(format!("mutants: {}", compiler_output(&output.stderr))));
        }
        Ok(errors)
    }

    /// Runs the tests of the library that the `cargo test` arguments `words` select, with this bug
    /// active.
    pub(crate) fn test(&self, words: &str, on: Option<&str>) -> CommandResult<TestRun> {
        let words: Vec<&str> =
            ["test", "--package", "quorate"].into_iter().chain(words.split_whitespace()).collect();
        let output = run_cargo(self.cargo(&words).arg("--no-run"))?;
        if !output.status.success() {
            return Ok(TestRun::Unbuildable(compiler_output(&output.stderr)));
        }
        let mut cargo = self.cargo(&words);
        set_active_bug(&mut cargo, on);
        let ended = run_with_timeout(cargo.arg("--no-fail-fast"))?;
        Ok(ended.map_or(TestRun::Hung, |(_, text)| test_output::read(&text)))
    }

    /// Returns a cargo command that builds the copy.
    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(words)
            .arg("--manifest-path")
            .arg(self.copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.build)
            .env("RUSTFLAGS", self.flags);
        set_active_bug(&mut cargo, None);
        cargo
    }
}

/// Returns the compiler error in a line of cargo's JSON output, if it is one.
fn compile_error(line: &serde_json::Value) -> Option<CompileError> {
    let message = line.get("message")?;
    let text = message["rendered"].as_str()?.to_owned();
    let location = |span: &serde_json::Value| {
        let file = PathBuf::from(span["file_name"].as_str()?);
        Some((file, usize::try_from(span["byte_start"].as_u64()?).ok()?))
    };
    let mut spans: Vec<_> = message["spans"].as_array()?.iter().collect();
    // The primary span comes first.
    spans.sort_by_key(|span| span["is_primary"] != true);
    let locations = spans.into_iter().filter_map(location).collect();
    (message["level"] == "error").then_some(CompileError { locations, message: text })
}

/// Copies a binary to a path where no build replaces it. A running copy at that path continues.
pub(crate) fn copy_binary(command: &Path, to: &Path) -> CommandResult<()> {
    let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
    let beside = to.with_extension("new");
    let copied = folder.and_then(|()| fs::copy(command, &beside));
    let kept = copied.and_then(|_| fs::rename(&beside, to));
    kept.map_err(|error| CommandError::file("mutants", to, &error))
}

/// Returns the compiler output from the first error on.
fn compiler_output(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let first = text.lines().position(|line| line.starts_with("error")).unwrap_or_default();
    text.lines().skip(first).collect::<Vec<_>>().join("\n")
}

/// Removes every file of this folder of the copy that is not `wanted`, such as a moved file.
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
    fn a_compiler_error_has_its_primary_location_first() {
        let line = serde_json::json!({ "reason": "compiler-message", "message": {
            "level": "error", "rendered": "error: no", "spans": [
                { "file_name": "src/a.rs", "byte_start": 3, "is_primary": false },
                { "file_name": "src/b.rs", "byte_start": 9, "is_primary": true },
            ],
        }});
        let fault = super::compile_error(&line).expect("it is one");
        assert_eq!(fault.message, "error: no");
        assert_eq!(fault.locations, [("src/b.rs".into(), 9), ("src/a.rs".into(), 3)]);
    }
}
