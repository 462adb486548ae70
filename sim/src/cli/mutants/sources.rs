//! The sources from which this command was built.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::table;
use crate::values::digest::{mix, of_bytes};

/// Returns the root directory of the sources from which this command was built.
pub(crate) fn root() -> CommandResult<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let canonical = root.canonicalize();
    canonical
        .map_err(|error| CommandError::file("mutants: the sources are required", &root, &error))
}

/// The content of all source files.
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    /// The contents by path, relative to the root.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// A hash of all files except for the table of mutants.
    pub(crate) fingerprint: u64,
}

impl Sources {
    /// Reads all files that git tracks, and new ones that it does not ignore.
    pub(crate) fn read(root: PathBuf) -> CommandResult<Sources> {
        let mut files = BTreeMap::new();
        let mut fingerprint = 0;
        for file in tracked_files(&root)? {
            let from = root.join(&file);
            let content = match fs::read(&from) {
                Ok(content) => content,
                // Git still lists files whose deletion is not committed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(CommandError::file("mutants", &from, &error)),
            };
            if file != Path::new(table::PATH) {
                fingerprint = hash(fingerprint, file.to_string_lossy().as_bytes());
                fingerprint = hash(fingerprint, &content);
            }
            files.insert(file, content);
        }
        Ok(Sources { root, files, fingerprint })
    }

    /// Returns the directory of all mutation test data, `target/mutants`.
    pub(crate) fn folder(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| self.root.join("target")).join("mutants")
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, file: &Path) -> Result<String, String> {
        let content = self.files.get(file).ok_or("no such file")?;
        String::from_utf8(content.clone()).map_err(|error| error.to_string())
    }
}

/// Returns the hash `before`, extended by these bytes.
pub(crate) fn hash(before: u64, bytes: &[u8]) -> u64 {
    mix(before, of_bytes(bytes))
}

/// Returns the paths of tracked files, and of new files that git does not ignore.
fn tracked_files(root: &Path) -> CommandResult<Vec<PathBuf>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| CommandError(format!("mutants: cannot run git: {error}")))?;
    if !output.status.success() {
        let root = root.display();
        return Err(CommandError(format!("mutants: {root} is not a git checkout")));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let mut files: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort_unstable();
    files.dedup();
    Ok(files)
}
