//! Writes a file under a temporary name beside its target, and renames it once it is complete.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use quorate::storage::open_own_file;
use tempfile::{Builder, NamedTempFile};

/// The suffix of the name of a temporary file.
const SUFFIX: &str = ".part";
/// The number of random alphanumeric characters before the suffix.
const UNIQUE: usize = 6;

/// A temporary file that replaces its target once it is complete. It is deleted if this is dropped
/// before [`AtomicFile::commit`]. On Unix it is locked while it is written, and the next process
/// that writes the same target deletes the unlocked file that a killed process left.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    target: PathBuf,
    temporary: NamedTempFile,
}

impl AtomicFile {
    /// Creates an empty temporary file beside `target`, or beside the file that `target` links to.
    ///
    /// # Errors
    /// An error if `target` exists and is not a regular file: as root, the rename would replace
    /// devices, such as `/dev/stdout`, for all programs. An error, too, if `target` is a link that
    /// another user put into a shared directory, because that user would choose the file that is
    /// replaced.
    pub(crate) fn create(target: &Path) -> io::Result<AtomicFile> {
        reject_foreign_link(target)?;
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if fs::symlink_metadata(&target).is_ok_and(|found| !found.is_file()) {
            let message = "it exists and is not a regular file: name a new file";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let prefix = prefix(&target)?;
        let directory = directory(&target);
        // Outside Unix a lock would also block readers. So the file is not locked there, and an
        // operator has to delete abandoned files.
        let locks = cfg!(unix);
        if locks {
            remove_abandoned(directory, &prefix);
        }
        let mut builder = Builder::new();
        builder.prefix(&prefix).rand_bytes(UNIQUE).suffix(SUFFIX);
        // A backup or a recording may hold users' values, so only its owner may read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
        loop {
            let temporary = builder.tempfile_in(directory)?;
            // Another process may have deleted the file as abandoned before it was locked.
            if !locks || is_kept(&temporary) {
                return Ok(AtomicFile { target, temporary });
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    pub(crate) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Syncs the file and renames it to its target, durably.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        self.temporary.persist(&self.target).map_err(|error| error.error)?;
        sync_directory_of(&self.target)
    }

    /// Does the same as [`AtomicFile::commit`] if the target does not exist; otherwise replaces
    /// nothing, and returns false.
    pub(crate) fn commit_new(self) -> io::Result<bool> {
        self.temporary.as_file().sync_all()?;
        match self.temporary.persist_noclobber(&self.target) {
            Ok(_) => sync_directory_of(&self.target).map(|()| true),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(failed) => Err(failed.error),
        }
    }
}

/// Makes the name of a file or directory durable.
#[cfg(unix)]
pub(crate) fn sync_directory_of(target: &Path) -> io::Result<()> {
    File::open(directory(target))?.sync_all()
}

/// Does nothing, because this system cannot sync a directory.
#[cfg(not(unix))]
pub(crate) fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns an error if the target is a link, and its owner is neither root nor the owner of its
/// directory.
#[cfg(unix)]
fn reject_foreign_link(target: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = fs::symlink_metadata(target) else { return Ok(()) };
    let owner = || Ok::<u32, io::Error>(fs::metadata(directory(target))?.uid());
    if !found.is_symlink() || found.uid() == 0 || found.uid() == owner()? {
        return Ok(());
    }
    let message = "it is a link that the owner of its directory did not make: name the file itself";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(not(unix))]
fn reject_foreign_link(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Locks the file, and returns false if another process deletes it or has deleted it.
fn is_kept(temporary: &NamedTempFile) -> bool {
    match temporary.as_file().try_lock() {
        Ok(()) => temporary.path().exists(),
        Err(TryLockError::WouldBlock) => false,
        // On a file system without locks, no file is deleted as abandoned.
        Err(TryLockError::Error(_)) => true,
    }
}

fn directory(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns `.NAME.`, hidden from tools that list complete files.
fn prefix(target: &Path) -> io::Result<OsString> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok(prefix)
}

/// Deletes the temporary files that no process has locked any more. Names are random, so the path
/// of a file found unlocked is not reused before the file is deleted.
fn remove_abandoned(directory: &Path, prefix: &OsString) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (name, prefix) = (entry.file_name(), prefix.as_encoded_bytes());
        let middle = name.as_encoded_bytes().strip_prefix(prefix);
        let middle = middle.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        let unique =
            |middle: &[u8]| middle.len() == UNIQUE && middle.iter().all(u8::is_ascii_alphanumeric);
        if !middle.is_some_and(unique) {
            continue;
        }
        if open_own_file(&entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // A failure only wastes space.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("the directory exists").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_target_is_replaced_only_by_a_complete_file() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let target = root.path().join("file");
        fs::write(&target, "old").expect("the disk has space");
        let temporary = AtomicFile::create(&target).expect("the disk has space");
        temporary.file().write_all(b"new").expect("the disk has space");
        assert_eq!(fs::read(&target).expect("the file exists"), b"old");
        let other = AtomicFile::create(&target).expect("two processes may write at once");
        assert_eq!(names(root.path()).len(), 3, "a file that is being written is kept");
        temporary.commit().expect("the disk has space");
        assert_eq!(fs::read(&target).expect("the file exists"), b"new");
        drop(other);
        assert_eq!(names(root.path()), ["file"]);
    }

    #[test]
    fn only_one_of_two_processes_makes_a_new_file() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let target = root.path().join("file");
        let create = || AtomicFile::create(&target).expect("the disk has space");
        let (first, second) = (create(), create());
        first.file().write_all(b"first").expect("the disk has space");
        assert!(first.commit_new().expect("the disk has space"));
        assert!(!second.commit_new().expect("the disk has space"));
        assert_eq!(fs::read(&target).expect("the file exists"), b"first");
        assert_eq!(names(root.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_a_regular_file_is_replaced_and_a_link_to_one_is_followed() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let path = |name| root.path().join(name);
        let _socket = std::os::unix::net::UnixListener::bind(path("socket"));
        fs::write(path("file"), "old").expect("the disk has space");
        for (link, to) in [("link", "file"), ("special", "socket"), ("dangling", "absent")] {
            std::os::unix::fs::symlink(path(to), path(link)).expect("the disk has space");
        }
        let before = names(root.path());
        for name in ["socket", "special", "dangling", "."] {
            let error = AtomicFile::create(&path(name)).expect_err(name);
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
        }
        let temporary = AtomicFile::create(&path("link")).expect("the disk has space");
        temporary.file().write_all(b"new").expect("the disk has space");
        temporary.commit().expect("the disk has space");
        assert_eq!(fs::read(path("file")).expect("the file exists"), b"new");
        assert_eq!(names(root.path()), before);
        assert!(path("link").is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_another_process_deletes_before_it_is_locked_is_not_used() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let created = || NamedTempFile::new_in(root.path()).expect("the disk has space");
        assert!(is_kept(&created()));
        let (deleted, locked) = (created(), created());
        fs::remove_file(deleted.path()).expect("the file exists");
        assert!(!is_kept(&deleted));
        let other = File::open(locked.path()).expect("the file exists");
        other.try_lock().expect("no other process has it");
        assert!(!is_kept(&locked), "the other process deletes it next");
    }

    #[cfg(unix)]
    #[test]
    fn an_abandoned_file_is_removed_by_the_next_process() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let others = [".file.a.b456.part", ".file.part", ".other.aB3456.part", "file.aB3456.part"];
        for name in others.into_iter().chain([".file.aB3456.part"]) {
            fs::write(root.path().join(name), "half").expect("the disk has space");
        }
        drop(AtomicFile::create(&root.path().join("file")).expect("the disk has space"));
        assert_eq!(names(root.path()), others);
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_with_the_name_of_an_abandoned_file_is_not_opened() {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let pipe = root.path().join(".file.aB3456.part");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("`mkfifo` is installed").success());
        drop(AtomicFile::create(&root.path().join("file")).expect("the disk has space"));
        assert_eq!(names(root.path()), [".file.aB3456.part"]);
    }
}
