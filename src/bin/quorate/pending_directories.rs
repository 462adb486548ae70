//! Directories that are being created, and that are removed again unless all of them are complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate::storage::FileDisk;

use crate::atomic_file::sync_directory_of;
use crate::data_directory::open_error;
use crate::exit::{CommandError, CommandResult};

/// The directories of a command that is still running.
#[derive(Debug, Default)]
pub(crate) struct PendingDirectories {
    /// Directories that did not exist before, each after its parent.
    created: Vec<PathBuf>,
    /// Directories that were empty before: their whole content belongs to this command.
    own_content: Vec<PathBuf>,
}

impl PendingDirectories {
    /// Opens the directory, and creates it if it is missing, together with those above it.
    pub(crate) fn create(&mut self, directory: &Path) -> CommandResult<FileDisk> {
        let missing = directory.ancestors().take_while(|path| !path.as_os_str().is_empty());
        let mut missing: Vec<_> = missing.take_while(|path| !path.exists()).collect();
        missing.reverse();
        for path in missing {
            self.create_one(path, path == directory).map_err(|error| {
                CommandError::invalid_input(format!("cannot create {}: {error}", path.display()))
            })?;
        }
        FileDisk::open(directory).map_err(|error| open_error(&error))
    }

    /// Creates one directory durably. If another process creates it at the same time, it belongs
    /// to that process.
    fn create_one(&mut self, path: &Path, is_private: bool) -> io::Result<()> {
        match builder(is_private).create(path) {
            Ok(()) => self.created.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        sync_directory_of(path)
    }

    /// Declares that the content of the open directory belongs to this command, so that
    /// [`PendingDirectories::roll_back`] removes it.
    pub(crate) fn claim_content(&mut self, directory: &Path) {
        self.own_content.push(directory.to_owned());
    }

    /// Removes what this command has created, and adds to `error` what could not be removed.
    pub(crate) fn roll_back(self, error: CommandError) -> CommandError {
        let mut left: Vec<&PathBuf> = Vec::new();
        for directory in &self.own_content {
            if empty(directory).is_err() {
                left.push(directory);
            }
        }
        let mut kept: Vec<&PathBuf> = Vec::new();
        for directory in self.created.iter().rev() {
            // A directory that another process has put files into stays.
            let removed = fs::remove_dir(directory);
            let remains = removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
            let mut named = left.iter().chain(&kept);
            if remains && !named.any(|path| path.starts_with(directory)) {
                kept.push(directory);
            }
        }
        let list = |paths: &[&PathBuf]| {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            paths.join(", ")
        };
        let mut text = error.text;
        if left.is_empty() && kept.is_empty() {
            text += "; nothing was created";
        }
        if !left.is_empty() {
            text += &format!("; remove these directories and try again: {}", list(&left));
        }
        if !kept.is_empty() {
            text += &format!(
                "; created, and left there, because they are not empty or cannot be removed: {}",
                list(&kept)
            );
        }
        CommandError { text, ..error }
    }
}

/// Returns the builder of a directory, which is for its owner alone if it is private.
fn builder(is_private: bool) -> fs::DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix sets permissions"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    if is_private {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    builder
}

fn empty(directory: &Path) -> io::Result<()> {
    fs::read_dir(directory)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_removes_everything_that_was_created() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let (there, new) = (root.path().join("there"), root.path().join("a/b/new"));
        fs::create_dir(&there).expect("the disk has space");
        let mut pending = PendingDirectories::default();
        for directory in [&there, &new] {
            drop(pending.create(directory).expect("the disk has space"));
            pending.claim_content(directory);
            fs::write(directory.join("log-1"), "half").expect("the disk has space");
        }
        assert_eq!(
            pending.roll_back(CommandError::invalid_input("no")).text,
            "no; nothing was created"
        );
        let count = |path: &Path| fs::read_dir(path).expect("the directory exists").count();
        assert_eq!((count(root.path()), count(&there)), (1, 0));
    }

    #[test]
    fn a_rollback_keeps_foreign_files_and_names_what_is_left() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let (other, own) = (root.path().join("out/1"), root.path().join("out/2"));
        let mut pending = PendingDirectories::default();
        drop(pending.create(&other).expect("the disk has space"));
        drop(pending.create(&own).expect("the disk has space"));
        pending.claim_content(&own);
        fs::create_dir(own.join("lost+found")).expect("the disk has space");
        let text = pending.roll_back(CommandError::invalid_input("no")).text;
        let left = format!(
            "no; remove these directories and try again: {}; created, and left there, because \
             they are not empty or cannot be removed: {}",
            own.display(),
            other.display()
        );
        assert_eq!(text, left);
        assert!(other.join("lock").exists());
    }

    #[test]
    fn a_rollback_leaves_alone_what_another_process_has_created() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let directory = root.path().join("out/1");
        // Two commands have found that nothing is there; the other one is faster.
        let (mut other, mut pending) =
            (PendingDirectories::default(), PendingDirectories::default());
        let out = root.path().join("out");
        other.create_one(&out, false).expect("the disk has space");
        pending.create_one(&out, false).expect("it is there");
        let disk = other.create(&directory).expect("the disk has space");
        pending.create_one(&directory, true).expect("it is there");
        let used = pending.create(&directory).expect_err("the other command has it open");
        assert_eq!(used.exit, crate::exit::Exit::NotExecuted);
        let text = pending.roll_back(used).text;
        assert!(text.contains("in use by another process"), "{text}");
        assert!(text.ends_with("; nothing was created"), "{text}");
        drop(disk);
        assert!(directory.join("lock").exists(), "it is the other command's");
    }
}
