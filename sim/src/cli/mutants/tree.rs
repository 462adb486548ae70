//! A copy of the sources in which one bug at a time is planted and built.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::exit::Trouble;
use crate::cli::mutants::hunt;
use crate::cli::mutants::table::{self, Mutant};
use crate::cli::mutants::tested::{self, Trial};
use crate::digest::{mix, of_bytes};

/// A copy of the sources, and where it is built. All mutants share them, one after the other.
pub(crate) struct Tree {
    copy: PathBuf,
    build: PathBuf,
    /// A copy of this command, which a build of the sources meanwhile does not replace.
    pub(crate) original: PathBuf,
    /// Held while this process uses the copy.
    _lock: File,
    /// Tells these sources from any others; the table of mutants is not part of it.
    pub(crate) fingerprint: u64,
}

/// What a file of the copy held before an edit.
pub(crate) struct Held {
    path: PathBuf,
    text: String,
}

/// Where everything about mutants is written.
pub(crate) fn folder(sources: &Path) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| sources.join("target")).join("mutants")
}

/// The root of the sources this command was built from.
pub(crate) fn sources() -> Result<PathBuf, Trouble> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let canonical = root.canonicalize();
    canonical.map_err(|error| Trouble::file("mutants need the sources", &root, &error))
}

impl Tree {
    /// Brings the copy up to date. Files that are equal already are not touched, so that cargo
    /// need not build them again.
    pub(crate) fn copy(sources: &Path) -> Result<Tree, Trouble> {
        let folder = folder(sources);
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| Trouble::file("mutants", &folder, &error))?;
        let lock = lock(&folder.join("lock"))?;
        let mut fingerprint = 0;
        let copy = folder.join("tree");
        let files = tracked_files(sources)?;
        let there = |file: &Path| files.binary_search_by(|one| one.as_path().cmp(file)).is_ok();
        let pruned =
            prune(&copy, Path::new(""), &|file| there(file) && sources.join(file).exists());
        pruned.map_err(|error| Trouble::file("mutants", &copy, &error))?;
        for file in &files {
            let (from, to) = (sources.join(file), copy.join(file));
            let content = match fs::read(&from) {
                Ok(content) => content,
                // Git still lists what was deleted and not yet committed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Trouble::file("mutants", &from, &error)),
            };
            write_if_changed(&to, &content).map_err(|e| Trouble::file("mutants", &to, &e))?;
            if *file != Path::new(table::PATH) {
                fingerprint = hash(fingerprint, file.to_string_lossy().as_bytes());
                fingerprint = hash(fingerprint, &content);
            }
        }
        let original = folder.join(format!("original{}", env::consts::EXE_SUFFIX));
        let kept = env::current_exe().and_then(|this| fs::copy(this, &original));
        kept.map_err(|error| Trouble::file("mutants", &original, &error))?;
        let build = folder.join("build");
        Ok(Tree { copy, build, original, _lock: lock, fingerprint })
    }

    /// Where the scenarios are kept that tell mutants from these sources.
    pub(crate) fn scenarios(&self) -> PathBuf {
        self.build.with_file_name("scenarios")
    }

    /// Makes the mutant's edits in the copy. Returns what the edited files held before.
    pub(crate) fn plant(&self, mutant: &Mutant) -> Result<Vec<Held>, Trouble> {
        let mut held = Vec::new();
        for edit in &mutant.edit {
            let path = self.copy.join(&edit.file);
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| Trouble::file(&mutant.id, &path, &error))?;
            let planted = edit.apply(&text).map_err(|error| {
                let (id, file) = (&mutant.id, edit.file.display());
                Trouble(format!("{id}: {file}: {}", error.replace('\n', " ")))
            })?;
            write_if_changed(&path, planted.as_bytes())
                .map_err(|error| Trouble::file(&mutant.id, &path, &error))?;
            held.push(Held { path, text });
        }
        Ok(held)
    }

    /// Takes a mutant's edits back, the last one first: two may be in one file.
    pub(crate) fn restore(&self, held: &[Held]) -> Result<(), Trouble> {
        for Held { path, text } in held.iter().rev() {
            let restored = write_if_changed(path, text.as_bytes());
            restored.map_err(|error| Trouble::file("mutants", path, &error))?;
        }
        Ok(())
    }

    /// Builds the command from the copy as it is; a warning is an error. Returns the binary, or
    /// what the compiler said.
    pub(crate) fn build(&self) -> Result<Result<PathBuf, String>, Trouble> {
        let output = self
            .cargo(&["build", "--release", "--quiet", "--package", "quorate-sim"])
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Trouble(format!("mutants: cargo cannot be run: {error}")))?;
        if output.status.success() {
            let name = format!("quorate-sim{}", env::consts::EXE_SUFFIX);
            Ok(Ok(self.build.join("release").join(name)))
        } else {
            Ok(Err(errors(&output.stderr)))
        }
    }

    /// Runs the library's tests that `words` name, as `cargo test` takes them, in the copy as it
    /// is.
    pub(crate) fn test(&self, words: &str) -> Result<Trial, Trouble> {
        let words: Vec<&str> =
            ["test", "--package", "quorate"].into_iter().chain(words.split_whitespace()).collect();
        let output = self.cargo(&words).arg("--no-run").stdin(Stdio::null()).output();
        let output =
            output.map_err(|error| Trouble(format!("mutants: cargo cannot be run: {error}")))?;
        if !output.status.success() {
            return Ok(Trial::Unbuildable(errors(&output.stderr)));
        }
        let ended = hunt::finish(self.cargo(&words).arg("--no-fail-fast"))?;
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
        cargo
    }
}

/// What the compiler said, from its first error on.
fn errors(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let first = said.lines().position(|line| line.starts_with("error")).unwrap_or_default();
    said.lines().skip(first).collect::<Vec<_>>().join("\n")
}

/// A hash over `before` and these bytes.
pub(crate) fn hash(before: u64, bytes: &[u8]) -> u64 {
    mix(before, of_bytes(bytes))
}

/// Only one process at a time may use the copy.
fn lock(path: &Path) -> Result<File, Trouble> {
    let file = File::create(path).map_err(|error| Trouble::file("mutants", path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => {
            let path = path.display();
            Err(Trouble(format!("mutants: {path}: another hunt is under way ({error})")))
        }
    }
}

/// The files that git tracks, and new ones that it does not ignore.
fn tracked_files(root: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| Trouble(format!("mutants: git cannot be run: {error}")))?;
    if !output.status.success() {
        let root = root.display();
        return Err(Trouble(format!("mutants: {root} is not a git checkout: what to copy?")));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let mut files: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort_unstable();
    files.dedup();
    Ok(files)
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
}
