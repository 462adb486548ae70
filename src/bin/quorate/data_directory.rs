//! Checks whether a path is, or is inside, the data directory of a node, where only the node
//! writes; and the errors of directories that cannot be opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate::storage::{DiskError, FileName};

use crate::exit::{CommandError, CommandResult};

/// Returns an error if the path does not name a directory, or if this process cannot find out, for
/// example for lack of permission.
pub(crate) fn require_directory(path: &Path) -> CommandResult<()> {
    let found = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "not a directory".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "no such directory".to_owned(),
        Err(error) => format!("cannot open the directory: {error}"),
    };
    Err(CommandError::invalid_input(format!("{}: {found}", path.display())))
}

/// Returns the error of a command that cannot open a directory. The error is transient if a
/// running node has the directory open, or the process lacks a resource such as open files.
pub(crate) fn open_error(error: &DiskError) -> CommandError {
    let invalid = CommandError::invalid_input(error);
    let is_transient = error.is_in_use() || matches!(error, DiskError::Exhausted(_));
    if is_transient { invalid.into_transient() } else { invalid }
}

/// Returns an error if the path is not the data directory of a node, or if this process cannot find
/// out.
pub(crate) fn require_data_directory(path: &Path) -> CommandResult<()> {
    let found = match fs::metadata(path.join(FileName::Superblock.to_string())) {
        Ok(_) => return Ok(()),
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) =>
        {
            "not a data directory of a node".to_owned()
        }
        Err(error) => format!("cannot open the directory: {error}"),
    };
    Err(CommandError::invalid_input(format!("{}: {found}", path.display())))
}

/// Returns an error if a file or directory is about to be created inside the data directory of a
/// node, where no other program may add or replace files.
pub(crate) fn reject_within(path: &Path) -> CommandResult<()> {
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

    #[cfg(unix)]
    #[test]
    fn a_directory_that_cannot_be_read_is_not_called_missing() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let path = |name: &str| root.path().join(name);
        fs::write(path("file"), "").expect("the disk has space");
        fs::create_dir_all(path("node")).expect("the disk has space");
        // Permissions do not stop root, as which the tests may run, but a link to itself does.
        let looped = [path("looped"), path("node/superblock")];
        for link in looped {
            std::os::unix::fs::symlink(&link, &link).expect("the disk has space");
        }
        let text = |checked: CommandResult<()>| match checked {
            Ok(()) => panic!("the path is invalid"),
            Err(error) => error.text,
        };
        let ends = |text: String, end: &str| assert!(text.ends_with(end), "{text}");
        ends(text(require_directory(&path("none"))), "none: no such directory");
        ends(text(require_directory(&path("file"))), "file: not a directory");
        let unreadable = text(require_directory(&path("looped")));
        assert!(unreadable.contains("looped: cannot open the directory: "), "{unreadable}");
        ends(text(require_data_directory(&path("none"))), "none: not a data directory of a node");
        ends(text(require_data_directory(&path("file"))), "file: not a data directory of a node");
        let unreadable = text(require_data_directory(&path("node")));
        assert!(unreadable.contains("node: cannot open the directory: "), "{unreadable}");
    }

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
