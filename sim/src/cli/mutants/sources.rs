//! The sources that this command was built from.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::Trouble;
use crate::cli::mutants::table;
use crate::digest::{mix, of_bytes};

/// The root of the sources this command was built from.
pub(crate) fn root() -> Result<PathBuf, Trouble> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let canonical = root.canonicalize();
    canonical.map_err(|error| Trouble::file("mutants need the sources", &root, &error))
}

/// Every file of theirs.
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    /// By their paths below the root.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Tells these sources from any others; the table of mutants is not part of it.
    pub(crate) fingerprint: u64,
}

impl Sources {
    /// Reads them.
    pub(crate) fn read(root: PathBuf) -> Result<Sources, Trouble> {
        let mut files = BTreeMap::new();
        let mut fingerprint = 0;
        for file in tracked_files(&root)? {
            let from = root.join(&file);
            let content = match fs::read(&from) {
                Ok(content) => content,
                // Git still lists what was deleted and not yet committed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Trouble::file("mutants", &from, &error)),
            };
            if file != Path::new(table::PATH) {
                fingerprint = hash(fingerprint, file.to_string_lossy().as_bytes());
                fingerprint = hash(fingerprint, &content);
            }
            files.insert(file, content);
        }
        Ok(Sources { root, files, fingerprint })
    }

    /// Where everything about mutants is written.
    pub(crate) fn folder(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| self.root.join("target")).join("mutants")
    }

    /// The text of a file that a bug is planted in.
    pub(crate) fn text(&self, file: &Path) -> Result<String, String> {
        let content = self.files.get(file).ok_or("there is no such file")?;
        String::from_utf8(content.clone()).map_err(|error| error.to_string())
    }
}

/// A hash over `before` and these bytes.
pub(crate) fn hash(before: u64, bytes: &[u8]) -> u64 {
    mix(before, of_bytes(bytes))
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
