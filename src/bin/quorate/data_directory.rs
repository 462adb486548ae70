//! Data directories of nodes, into which no other command writes.

use std::fs;
use std::path::{Path, PathBuf};

use quorate::storage::FileName;

use crate::exit::CommandError;

/// Fails if the path of a file or directory that is to be created is within the data directory of a
/// node, whose files no other program may add to or replace.
pub(crate) fn reject_within(path: &Path) -> Result<(), CommandError> {
    match directory_around(path) {
        None => Ok(()),
        Some(directory) => Err(CommandError::invalid_input(format!(
            "{}: {} is the data directory of a node, and only its node writes there: choose \
             another place",
            path.display(),
            directory.display()
        ))),
    }
}

/// Returns the data directory that the path is within, if there is one.
fn directory_around(path: &Path) -> Option<PathBuf> {
    // A link names the file that would be replaced.
    let path = fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok()?;
    let existing = path.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok())?;
    let superblock = FileName::Superblock.to_string();
    let found = existing.ancestors().find(|above| above.join(&superblock).is_file());
    found.map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_a_data_directory_is_rejected() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let (node, beside) = (root.path().join("node"), root.path().join("beside"));
        fs::create_dir_all(node.join("recording")).expect("the disk has space");
        fs::write(node.join("superblock"), "").expect("the disk has space");
        for path in ["file", "new/1", "recording/file", "recording/new/1", "../node/file"] {
            let error = reject_within(&node.join(path)).expect_err(path);
            assert!(error.text.contains("node is the data directory of a node"), "{error:?}");
        }
        for path in [&node, &beside, &beside.join("1"), &node.join("../beside")] {
            assert_eq!(reject_within(path), Ok(()), "{}", path.display());
        }
    }
}
