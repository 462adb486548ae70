//! The directory of a disk, by its path: on systems other than Unix a directory cannot be held
//! open, and the disk does not notice that another directory or file has taken over a path.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::storage::disk::{NOT_REGULAR, SYMBOLIC_LINK};

/// A directory by its path.
#[derive(Debug)]
pub(super) struct HeldDirectory {
    pub(super) path: PathBuf,
}

impl HeldDirectory {
    pub(super) fn open(path: &Path) -> io::Result<HeldDirectory> {
        fs::metadata(path)?;
        Ok(HeldDirectory { path: path.to_owned() })
    }

    pub(super) fn open_file(&self, name: &str, writable: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(writable).open(self.path.join(name))
    }

    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path.join(name))
    }

    pub(super) fn open_or_create_file(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        OpenOptions::new().create(true).truncate(false).write(true).open(path)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Does nothing, because this system cannot sync a directory.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns what the name is that of, if there is something of this name that is no regular
    /// file.
    pub(super) fn why_not_regular(&self, name: &str) -> Option<&'static str> {
        let found = fs::symlink_metadata(self.path.join(name)).ok()?;
        let text = if found.is_symlink() { SYMBOLIC_LINK } else { NOT_REGULAR };
        (!found.is_file()).then_some(text)
    }

    /// Returns `None`, because this system gives directories no identity.
    pub(super) fn loss(&self) -> io::Result<Option<&'static str>> {
        Ok(None)
    }

    /// Returns `None` unless the file was truncated, because this system gives files no identity.
    pub(super) fn loss_of_file(
        &self,
        _: &str,
        file: &File,
        bytes: u64,
    ) -> io::Result<Option<&'static str>> {
        Ok((file.metadata()?.len() < bytes).then_some("it was truncated"))
    }

    pub(super) fn has(&self, name: &str) -> io::Result<bool> {
        self.path.join(name).try_exists()
    }
}
