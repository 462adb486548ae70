//! A file on its way to its name: beside it, under a name of its own, until it is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// The end of such a name, and how many letters and digits before it make it unique.
const SUFFIX: &str = ".part";
const UNIQUE: usize = 6;

/// A file that takes the place of another once it is whole. It is locked while somebody writes it,
/// and is gone when dropped; what a process left that was killed goes with the next one.
#[derive(Debug)]
pub(crate) struct Part {
    target: PathBuf,
    part: NamedTempFile,
}

impl Part {
    /// An empty one beside `target`, in whose place it will be.
    pub(crate) fn of(target: &Path) -> io::Result<Part> {
        let prefix = prefix(target)?;
        let directory = directory(target);
        // Elsewhere a lock keeps readers out, too, and what was left is removed by hand.
        let locks = cfg!(unix);
        if locks {
            remove_abandoned(directory, &prefix);
        }
        let mut builder = Builder::new();
        builder.prefix(&prefix).rand_bytes(UNIQUE).suffix(SUFFIX);
        // As any other file; a temporary one is nobody else's to read.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let part = builder.tempfile_in(directory)?;
        if locks {
            // Where nothing can be locked nothing is found abandoned either.
            let _ = part.as_file().try_lock();
        }
        Ok(Part { target: target.to_owned(), part })
    }

    pub(crate) fn file(&self) -> &File {
        self.part.as_file()
    }

    pub(crate) fn path(&self) -> &Path {
        self.part.path()
    }

    /// Gives it its name, durably; what it held is on the disk.
    pub(crate) fn keep(self) -> io::Result<()> {
        self.part.as_file().sync_all()?;
        self.part.persist(&self.target).map_err(|error| error.error)?;
        #[cfg(unix)]
        File::open(directory(&self.target))?.sync_all()?;
        Ok(())
    }
}

fn directory(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `.NAME.`, hidden from who looks for whole files.
fn prefix(target: &Path) -> io::Result<OsString> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok(prefix)
}

/// Removes what nobody writes any more. A name is never used twice, so that none is removed that
/// somebody has begun since.
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
        if File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // It takes room, and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it is there").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_stands_for_a_whole_file() {
        let root = tempfile::tempdir().expect("there is room");
        let target = root.path().join("file");
        fs::write(&target, "old").expect("there is room");
        let part = Part::of(&target).expect("there is room");
        part.file().write_all(b"new").expect("there is room");
        assert_eq!(fs::read(&target).expect("it is there"), b"old");
        let other = Part::of(&target).expect("two at once");
        assert_eq!(names(root.path()).len(), 3, "who is at work is left in peace");
        part.keep().expect("there is room");
        assert_eq!(fs::read(&target).expect("it is there"), b"new");
        drop(other);
        assert_eq!(names(root.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_was_left_goes_with_the_next_one() {
        let root = tempfile::tempdir().expect("there is room");
        let others = [".file.a.b456.part", ".file.part", ".other.aB3456.part", "file.aB3456.part"];
        for name in others.into_iter().chain([".file.aB3456.part"]) {
            fs::write(root.path().join(name), "half").expect("there is room");
        }
        drop(Part::of(&root.path().join("file")).expect("there is room"));
        assert_eq!(names(root.path()), others);
    }
}
