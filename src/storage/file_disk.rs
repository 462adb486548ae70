//! A disk on a directory of the file system; each action blocks until it is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::disk::{
    Disk, DiskError, FileAction, FileName, IN_USE, NOT_REGULAR, SYMBOLIC_LINK,
};
use crate::storage::file_disk::file_io::{drop_cache, read_at, write_at, write_zeros};
use crate::storage::file_disk::held_directory::HeldDirectory;
use crate::storage::os_error::is_exhausted;
use crate::types::Index;

mod file_io;
#[cfg_attr(not(unix), path = "file_disk/named_directory.rs")]
mod held_directory;

/// The file whose lock marks the directory as in use.
const LOCK: &str = "lock";
/// The maximum number of files that are kept open, unless more of them have unsynced writes.
const OPEN_MAX: usize = 64;

/// The files of one node, in a directory of its own.
///
/// Clones share the directory's lock, which is held until the last of them is dropped: a driver may
/// give each lane, and the thread that restores a state machine, its own clone.
///
/// All files are accessed through the directory as it was opened, even if its path names another
/// directory later. A sync fails with [`DiskError::Replaced`] if the path names another directory
/// by then, if the name of the file names another file or none, or if the file was cut.
///
/// On systems other than Unix a directory cannot be synced or held open: a power failure may lose
/// file names, and a replaced directory is not noticed. On systems other than Linux, Android and
/// FreeBSD cached pages cannot be dropped: a start or a scrub may read the page cache rather than
/// the disk.
#[derive(Clone, Debug)]
pub struct FileDisk {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    /// The directory; it is locked where a directory can be locked, and that lock survives the
    /// removal of the lock file.
    held: HeldDirectory,
    /// Whether files may be changed.
    writable: bool,
    /// The locked lock file; `None` for a copy of a directory that has no lock file.
    _lock: Option<File>,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    open: BTreeMap<FileName, OpenFile>,
    /// The files that this disk has found at its opening or created, under their current names; a
    /// read-only disk has none.
    present: BTreeSet<FileName>,
}

/// A file that is kept open.
#[derive(Clone, Debug)]
struct OpenFile {
    file: Arc<File>,
    /// The size that the file had or was written to, in bytes; it never decreases.
    bytes: u64,
    /// Whether the file was written since the last sync. Such a file is not closed, because closing
    /// it could hide a write error from a later sync.
    dirty: bool,
}

impl Files {
    /// Opens a file. If the process lacks a resource for that, such as a free place for an open
    /// file, it closes files that are kept open, one after the other.
    fn make_room_for(&mut self, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
        loop {
            match open() {
                Err(error) if is_exhausted(&error) && self.close_one() => {}
                opened => return opened,
            }
        }
    }

    /// Keeps a file open, and closes another one if too many are open.
    fn keep_open(&mut self, name: FileName, file: File, bytes: u64, dirty: bool) -> Arc<File> {
        if self.open.len() >= OPEN_MAX {
            self.close_one();
        }
        let file = Arc::new(file);
        self.open.insert(name, OpenFile { file: Arc::clone(&file), bytes, dirty });
        file
    }

    /// Closes a file without unsynced writes; returns false if there is none. The superblock stays
    /// open, so that no other file takes its place unnoticed.
    fn close_one(&mut self) -> bool {
        let mut open = self.open.iter();
        let clean = open.find(|(name, opened)| !opened.dirty && **name != FileName::Superblock);
        let clean = clean.map(|(name, _)| *name);
        clean.and_then(|name| self.open.remove(&name)).is_some()
    }
}

impl FileDisk {
    /// Opens the directory `path`, and creates it if it is missing. Only its owner may then use it
    /// and the files in it.
    ///
    /// Every file is synced and its cached pages are dropped, so that later reads return the
    /// content of the disk: after a failed sync of an earlier process the page cache may differ.
    ///
    /// # Errors
    /// A [`DiskError`] if another process has the directory open, if it cannot be created or read,
    /// if a file in it is a symbolic link or no regular file, or if a file cannot be restricted to
    /// its owner, or synced.
    pub fn open(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        create_directory(&path).map_err(|error| disk_error("create", &path, &error))?;
        let held = open_and_lock(&path)?;
        let lock = held.open_or_create_file(LOCK);
        let lock = lock.map_err(|error| open_error(&held, LOCK, &error))?;
        try_lock(&lock, &path)?;
        restrict_directory(&held)
            .and_then(|()| restrict(&lock, 0o600))
            .map_err(|error| disk_error("restrict the permissions of", &path, &error))?;
        let mut disk = FileDisk::of(held, true, Some(lock));
        let files = disk.list()?;
        for (name, _) in &files {
            let opened = disk.open_file(*name)?;
            let restricted = restrict(&opened, 0o600);
            restricted.map_err(|error| disk.error("restrict the permissions of", *name, &error))?;
            let synced = opened.sync_all().and_then(|()| drop_cache(&opened));
            synced.map_err(|error| disk.error("sync", *name, &error))?;
        }
        disk.files().present.extend(files.into_iter().map(|(name, _)| name));
        disk.sync_directory()?;
        Ok(disk)
    }

    /// Opens the existing directory `path` read-only: it may be on a read-only file system, and may
    /// be a copy. Reads may return the content of the page cache.
    ///
    /// # Errors
    /// A [`DiskError`] if another process has the directory open, if it cannot be read, or if a
    /// file in it is a symbolic link or no regular file.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        let held = open_and_lock(&path)?;
        let lock = match held.open_file(LOCK, false) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(open_error(&held, LOCK, &error)),
        };
        lock.iter().try_for_each(|lock| try_lock(lock, &path))?;
        let mut disk = FileDisk::of(held, false, lock);
        disk.list()?;
        Ok(disk)
    }

    fn of(held: HeldDirectory, writable: bool, lock: Option<File>) -> FileDisk {
        let directory = Directory { held, writable, _lock: lock, files: Mutex::default() };
        FileDisk { directory: Arc::new(directory) }
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.directory.held.path.join(file.to_string())
    }

    fn error(&self, operation: &str, file: FileName, error: &io::Error) -> DiskError {
        disk_error(operation, &self.path(file), error)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        // The files are consistent at any time, so a panic of another thread that held the lock
        // does not matter.
        self.directory.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the file, and opens it if it is not open.
    fn open_file(&self, name: FileName) -> Result<Arc<File>, DiskError> {
        self.open_file_for(name, None)
    }

    /// Returns the file for a write that ends at `end`, or for any other use if `end` is `None`.
    fn open_file_for(&self, name: FileName, end: Option<u64>) -> Result<Arc<File>, DiskError> {
        let mut files = self.files();
        if let Some(opened) = files.open.get_mut(&name) {
            opened.dirty |= end.is_some();
            return Ok(Arc::clone(&opened.file));
        }
        let Directory { held, writable, .. } = &*self.directory;
        let text = name.to_string();
        let file = files.make_room_for(|| held.open_file(&text, *writable));
        let file = file.map_err(|error| open_error(held, &text, &error))?;
        let bytes = file.metadata().map_err(|error| self.error("open", name, &error))?.len();
        Ok(files.keep_open(name, file, bytes, end.is_some()))
    }

    fn create(&self, name: FileName, bytes: u64) -> Result<(), DiskError> {
        self.remove(name)?;
        let (held, text) = (&self.directory.held, name.to_string());
        // A creation may wait for the disk, and the other clones must not wait for it.
        let created = loop {
            match held.create_file(&text) {
                Err(error) if is_exhausted(&error) && self.files().close_one() => {}
                created => break created,
            }
        };
        let file = created.map_err(|error| self.error("create", name, &error))?;
        if let Err(error) = write_zeros(&file, bytes).and_then(|()| file.sync_all()) {
            // Frees the name and the space; only the first error is reported.
            let _ = held.remove(&text);
            return Err(self.error("create", name, &error));
        }
        let mut files = self.files();
        files.present.insert(name);
        // The first write to the file then needs no further open file.
        files.keep_open(name, file, bytes, false);
        Ok(())
    }

    fn write(&self, name: FileName, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let end = offset + bytes.len() as u64;
        let written = write_at(&*self.open_file_for(name, Some(end))?, offset, bytes);
        written.map_err(|error| self.error("write", name, &error))?;
        if let Some(opened) = self.files().open.get_mut(&name) {
            opened.bytes = opened.bytes.max(end);
        }
        Ok(())
    }

    fn sync(&self, name: FileName) -> Result<(), DiskError> {
        let file = self.open_file(name)?;
        // A write during the sync counts as not synced.
        let bytes = self.files().open.get_mut(&name).map_or(0, |opened| {
            opened.dirty = false;
            opened.bytes
        });
        let mut synced = file.sync_data();
        if !matches!(name, FileName::Segment(_)) {
            // These files are read back to verify the content of the disk.
            synced = synced.and_then(|()| drop_cache(&file));
        }
        if synced.is_err()
            && let Some(opened) = self.files().open.get_mut(&name)
        {
            opened.dirty = true;
        }
        synced.map_err(|error| self.error("sync", name, &error))?;
        // A sync is reported only if a later start finds the file at its path.
        self.check_directory()?;
        // The lock is held, so that no clone renames or removes the file meanwhile.
        let files = self.files();
        if files.present.contains(&name) { self.check_file(name, &file, bytes) } else { Ok(()) }
    }

    fn rename(&self, from: FileName, to: FileName) -> Result<(), DiskError> {
        let mut files = self.files();
        let renamed = self.directory.held.rename(&from.to_string(), &to.to_string());
        renamed.map_err(|error| self.error("rename", from, &error))?;
        files.open.remove(&to);
        if let Some(opened) = files.open.remove(&from) {
            files.open.insert(to, opened);
        }
        files.present.remove(&from);
        files.present.insert(to);
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<(), DiskError> {
        let forget = |mut files: MutexGuard<'_, Files>| {
            files.open.remove(&name);
            files.present.remove(&name);
        };
        forget(self.files());
        let removed = self.directory.held.remove(&name.to_string());
        // Another clone may have opened the file just before.
        forget(self.files());
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("remove", name, &error))
            }
            _ => Ok(()),
        }
    }

    fn sync_directory(&self) -> Result<(), DiskError> {
        let held = &self.directory.held;
        held.sync().map_err(|error| disk_error("sync", &held.path, &error))?;
        self.check_directory()
    }

    /// Fails if the path of the directory names another directory or none.
    fn check_directory(&self) -> Result<(), DiskError> {
        let held = &self.directory.held;
        match held.loss().map_err(|error| disk_error("look up", &held.path, &error))? {
            None => Ok(()),
            Some(loss) => Err(replaced("data directory", &held.path, loss)),
        }
    }

    /// Fails if the name is not that of this file, or the file has fewer bytes.
    fn check_file(&self, name: FileName, file: &File, bytes: u64) -> Result<(), DiskError> {
        let loss = self.directory.held.loss_of_file(&name.to_string(), file, bytes);
        match loss.map_err(|error| self.error("look up", name, &error))? {
            None => Ok(()),
            Some(loss) => Err(replaced("file", &self.path(name), loss)),
        }
    }

    /// Fails if the file was replaced, cut, moved or removed, but not by this disk. It is unknown
    /// whether a file that is not open was replaced or cut.
    fn check_present(&self, name: FileName) -> Result<(), DiskError> {
        // The lock is held, so that no clone renames or removes the file meanwhile.
        let files = self.files();
        let opened = files.open.get(&name).map(|opened| (Arc::clone(&opened.file), opened.bytes));
        if let Some((file, bytes)) = opened {
            return self.check_file(name, &file, bytes);
        }
        let has = || self.directory.held.has(&name.to_string());
        if !files.present.contains(&name)
            || has().map_err(|error| self.error("look up", name, &error))?
        {
            return Ok(());
        }
        Err(replaced("file", &self.path(name), "it was moved or removed"))
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let path = &self.directory.held.path;
        let failed = |error: io::Error| disk_error("list", path, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().and_then(parse) else { continue };
            match entry.metadata() {
                Ok(metadata) if !metadata.is_file() => {
                    let what = if metadata.is_symlink() { SYMBOLIC_LINK } else { NOT_REGULAR };
                    let (path, entry) = (path.display(), entry.path());
                    let message = format!("cannot list {path}: {}: {what}", entry.display());
                    return Err(DiskError::Environment(message));
                }
                Ok(metadata) => files.push((name, metadata.len())),
                // Another clone has removed the file since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        files.sort_unstable();
        // The names were listed by path, and the path may name another directory by now.
        self.check_directory()?;
        Ok(files)
    }

    fn verify(&mut self) -> Result<(), DiskError> {
        self.check_directory()?;
        let present = self.files().present.clone();
        present.into_iter().try_for_each(|name| self.check_present(name))
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if !self.directory.writable
            && !matches!(action, FileAction::Read { .. } | FileAction::DropCache { .. })
        {
            let path = self.directory.held.path.display();
            return Err(DiskError::Environment(format!("{path}: opened read-only")));
        }
        match action {
            FileAction::Create { file, bytes } => self.create(*file, *bytes)?,
            FileAction::Write { file, offset, bytes } => self.write(*file, *offset, bytes)?,
            FileAction::Sync { file } => self.sync(*file)?,
            FileAction::Read { file, offset, bytes } => {
                let read = read_at(&*self.open_file(*file)?, *offset, *bytes);
                return read.map_err(|error| self.error("read", *file, &error));
            }
            FileAction::DropCache { file } => {
                let dropped = drop_cache(&*self.open_file(*file)?);
                dropped.map_err(|error| self.error("drop the cache of", *file, &error))?;
            }
            FileAction::Rename { from, to } => self.rename(*from, *to)?,
            FileAction::Remove { file } => self.remove(*file)?,
            FileAction::SyncDirectory => self.sync_directory()?,
        }
        Ok(Vec::new())
    }
}

/// Opens the directory, and locks it where a directory can be locked.
fn open_and_lock(path: &Path) -> Result<HeldDirectory, DiskError> {
    let held = HeldDirectory::open(path).map_err(|error| disk_error("open", path, &error))?;
    #[cfg(unix)]
    if let Err(TryLockError::WouldBlock) = held.own.try_lock() {
        return Err(in_use(path));
    }
    // Some network file systems lock files only.
    Ok(held)
}

/// Locks the lock file of the directory `path`.
fn try_lock(lock: &File, path: &Path) -> Result<(), DiskError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(disk_error("lock", &path.join(LOCK), &error)),
    }
}

/// Returns the error about a directory that another process has locked.
fn in_use(path: &Path) -> DiskError {
    DiskError::Failed(format!("{}: {IN_USE}", path.display()))
}

/// Returns the error about the directory or a file that is no longer what was opened.
fn replaced(what: &str, path: &Path, loss: &str) -> DiskError {
    let path = path.display();
    DiskError::Replaced(format!("the {what} {path} is no longer the one that was opened: {loss}"))
}

/// Sets the permissions to `mode` if other users have any, because an older version may have
/// created the file or directory for all users. A file or directory that this process does not own
/// keeps its permissions.
#[cfg(unix)]
fn restrict(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(mode);
    match file.set_permissions(permissions) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        restricted => restricted,
    }
}

/// Does nothing, because this system has no such permissions.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "only Unix sets permissions")]
fn restrict(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn restrict_directory(held: &HeldDirectory) -> io::Result<()> {
    restrict(&held.own, 0o700)
}

/// Does nothing, because this system has no such permissions.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "only Unix sets permissions")]
fn restrict_directory(_: &HeldDirectory) -> io::Result<()> {
    Ok(())
}

/// Returns the error of a file that cannot be opened.
fn open_error(held: &HeldDirectory, name: &str, error: &io::Error) -> DiskError {
    let path = held.path.join(name);
    match held.why_not_regular(name) {
        Some(text) => DiskError::Environment(format!("cannot open {}: {text}", path.display())),
        None => disk_error("open", &path, error),
    }
}

/// Returns the error of a file operation, with the text of the operating system, and what an
/// operator does about it unless the cause is the disk.
fn disk_error(operation: &str, path: &Path, error: &io::Error) -> DiskError {
    DiskError::from_io(format_args!("cannot {operation} {}", path.display()), error)
}

/// Parses the name of a file of the store; `None` if a file of this name does not belong to it.
fn parse(text: &str) -> Option<FileName> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let name = if text == "superblock" {
        FileName::Superblock
    } else if let Some(digits) = text.strip_prefix("log-") {
        FileName::Segment(number(digits)?)
    } else {
        let digits = text.strip_prefix("snapshot-")?;
        match digits.strip_suffix(".part") {
            Some(digits) => FileName::PartialSnapshot(Index(number(digits)?)),
            None => FileName::Snapshot(Index(number(digits)?)),
        }
    };
    // A name with another spelling of the number does not belong to the store.
    (name.to_string() == text).then_some(name)
}

/// The errors of syncing the parent directory that are ignored: either the process has no
/// permission to create names in it, so it has created none, or the file system cannot sync a
/// directory.
const NOT_CREATED_HERE: [io::ErrorKind; 4] = [
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::Unsupported,
];

/// Creates the directory and those above it that are missing, and makes their names durable.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        // An earlier process may have created the directory and died before its name was durable.
        // `NOT_CREATED_HERE` says which errors do not matter.
        return match sync_directory(parent(path)) {
            Err(error) if NOT_CREATED_HERE.contains(&error.kind()) => Ok(()),
            synced => synced,
        };
    }
    create_ancestors(parent(path))?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix sets permissions"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    create_durably(path, &builder)
}

/// Creates the directory and those above it that are missing, for all users.
fn create_ancestors(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_ancestors(parent(path))?;
    create_durably(path, &fs::DirBuilder::new())
}

fn create_durably(path: &Path, builder: &fs::DirBuilder) -> io::Result<()> {
    match builder.create(path) {
        // Another process may have created it meanwhile.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(parent(path))
}

/// Returns the parent directory; that of a relative path with one name is the working directory.
fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Does nothing, because this system cannot sync a directory.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
