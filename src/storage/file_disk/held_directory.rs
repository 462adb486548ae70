//! The directory of a disk, which is held open: its files are accessed through the open directory,
//! so that another directory that takes over the path is never read or changed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use crate::storage::disk::{NOT_REGULAR, SYMBOLIC_LINK};

/// An open directory, and the path by which it was opened.
#[derive(Debug)]
pub(super) struct HeldDirectory {
    pub(super) path: PathBuf,
    pub(super) own: File,
}

impl HeldDirectory {
    pub(super) fn open(path: &Path) -> io::Result<HeldDirectory> {
        Ok(HeldDirectory { path: path.to_owned(), own: File::open(path)? })
    }

    /// Opens a file, which must not be a symbolic link.
    pub(super) fn open_file(&self, name: &str, writable: bool) -> io::Result<File> {
        self.open_with(name, if writable { OFlags::RDWR } else { OFlags::RDONLY })
    }

    /// Creates a file that only its owner may use.
    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file for writing, and creates it if it is missing.
    pub(super) fn open_or_create_file(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::WRONLY | OFlags::CREATE)
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<File> {
        // Opening a named pipe would wait for its other end.
        if self.kind(name).is_some_and(|kind| !kind.is_file() && !kind.is_symlink()) {
            return Err(io::Error::other(NOT_REGULAR));
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.own, name, flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(rustix::io::retry_on_intr(open)?))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.own, from, &self.own, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.own, name, AtFlags::empty())?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.own.sync_all()
    }

    /// Returns what the name is that of, if there is something of this name that is no regular
    /// file.
    pub(super) fn why_not_regular(&self, name: &str) -> Option<&'static str> {
        let kind = self.kind(name).filter(|kind| !kind.is_file())?;
        Some(if kind.is_symlink() { SYMBOLIC_LINK } else { NOT_REGULAR })
    }

    /// Returns the type of the file with this name; `None` if there is none.
    fn kind(&self, name: &str) -> Option<FileType> {
        let found = rustix::fs::statat(&self.own, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(found.st_mode))
    }

    /// Returns what happened to the directory if its path names another one or none. If the path
    /// cannot be looked up for any other reason, such as a missing permission, returns `None`.
    pub(super) fn loss(&self) -> io::Result<Option<&'static str>> {
        let own = rustix::fs::fstat(&self.own)?;
        Ok(match rustix::io::retry_on_intr(|| rustix::fs::stat(&self.path)) {
            Ok(found) if is_same(&found, &own) => None,
            Ok(_) => Some("another directory was put in its place, or mounted over it"),
            Err(error) if is_missing(error) => Some("it was moved, removed or unmounted"),
            Err(_) => None,
        })
    }

    /// Returns what happened to an open file that had at least `bytes` bytes, if it is shorter now,
    /// or its name is that of another file or of none.
    pub(super) fn loss_of_file(
        &self,
        name: &str,
        file: &File,
        bytes: u64,
    ) -> io::Result<Option<&'static str>> {
        let own = rustix::fs::fstat(file)?;
        if u64::try_from(own.st_size).unwrap_or(0) < bytes {
            return Ok(Some("it was truncated"));
        }
        Ok(match rustix::fs::statat(&self.own, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if is_same(&found, &own) => None,
            Ok(_) => Some("another file was put in its place"),
            Err(error) if is_missing(error) => Some("it was moved or removed"),
            Err(error) => return Err(error.into()),
        })
    }

    /// Returns true if the directory has a file of this name.
    pub(super) fn has(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.own, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn is_missing(error: rustix::io::Errno) -> bool {
    matches!(error, rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)
}
