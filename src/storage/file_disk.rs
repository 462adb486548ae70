//! A disk on a directory of the file system; each action blocks until it is complete.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, IN_USE};
use crate::types::Index;

/// The file whose lock marks the directory as in use.
const LOCK: &str = "lock";
const SYMBOLIC_LINK: &str = "it is a symbolic link, but a data directory holds its files itself: \
                             replace the link by the file that it names";
/// The maximum number of zero bytes in one write to a new file.
const ZEROS_BYTES: usize = 1 << 20;
/// The alignment of the memory, offset and length of a direct write, in bytes.
const ALIGNMENT: usize = 4096;
/// The maximum number of files that are kept open, unless more of them have unsynced writes.
const OPEN_MAX: usize = 64;

/// The files of one node, in a directory of its own.
///
/// Clones share the directory's lock, which is held until the last of them is dropped: a driver may
/// give each lane, and the thread that restores a state machine, its own clone.
///
/// On systems other than Unix a directory cannot be synced: a power failure may lose file names. On
/// systems other than Linux, Android and FreeBSD cached pages cannot be dropped: a start or a scrub
/// may read the page cache rather than the disk.
#[derive(Clone, Debug)]
pub struct FileDisk {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Whether files may be changed.
    writable: bool,
    /// The locked directory itself, whose lock survives the removal of the lock file; None where a
    /// directory cannot be locked.
    own: Option<File>,
    /// The locked lock file; None for a copy of a directory that has no lock file.
    _lock: Option<File>,
    open_files: Mutex<BTreeMap<FileName, OpenFile>>,
}

/// A file that is kept open.
#[derive(Clone, Debug)]
struct OpenFile {
    file: Arc<File>,
    /// Whether the file was written since the last sync. Then it is not closed, because that could
    /// hide a write error from a later sync.
    dirty: bool,
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
    /// if a file is a symbolic link, or if a file cannot be synced.
    pub fn open(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        create_directory(&path).map_err(|error| disk_error("create", &path, &error))?;
        let own = lock_directory(&path)?;
        let lock_path = path.join(LOCK);
        let lock = private().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|error| open_error(&lock_path, &error))?;
        try_lock(&lock, &path)?;
        restrict(&path, 0o700)
            .and_then(|()| restrict(&lock_path, 0o600))
            .map_err(|error| disk_error("restrict the permissions of", &path, &error))?;
        let mut disk = FileDisk::of(path, true, own, Some(lock));
        for (name, _) in disk.list()? {
            let opened = disk.open_file(name, false)?;
            let restricted = restrict(&disk.path(name), 0o600);
            restricted.map_err(|error| disk.error("restrict the permissions of", name, &error))?;
            let synced = opened.sync_all().and_then(|()| drop_cache(&opened));
            synced.map_err(|error| disk.error("sync", name, &error))?;
        }
        disk.sync_directory()?;
        Ok(disk)
    }

    /// Opens the existing directory `path` for reading only: it may be on a read-only file system,
    /// and may be a copy. Reads may return the content of the page cache.
    ///
    /// # Errors
    /// A [`DiskError`] if another process has the directory open, or it cannot be read.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        let own = lock_directory(&path)?;
        let lock_path = path.join(LOCK);
        let lock = match private().read(true).open(&lock_path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(open_error(&lock_path, &error)),
        };
        lock.iter().try_for_each(|lock| try_lock(lock, &path))?;
        let mut disk = FileDisk::of(path, false, own, lock);
        disk.list()?;
        Ok(disk)
    }

    fn of(path: PathBuf, writable: bool, own: Option<File>, lock: Option<File>) -> FileDisk {
        let directory =
            Directory { path, writable, own, _lock: lock, open_files: Mutex::default() };
        FileDisk { directory: Arc::new(directory) }
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.directory.path.join(file.to_string())
    }

    fn error(&self, operation: &str, file: FileName, error: &io::Error) -> DiskError {
        disk_error(operation, &self.path(file), error)
    }

    fn open_files(&self) -> MutexGuard<'_, BTreeMap<FileName, OpenFile>> {
        // The map is consistent at any time, so a panic of another thread that held the lock does
        // not matter.
        self.directory.open_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the file, and opens it if it is not open.
    fn open_file(&self, name: FileName, dirty: bool) -> Result<Arc<File>, DiskError> {
        let mut open = self.open_files();
        if let Some(opened) = open.get_mut(&name) {
            opened.dirty |= dirty;
            return Ok(Arc::clone(&opened.file));
        }
        let writes = self.directory.writable;
        let file = private().read(true).write(writes).open(self.path(name));
        let file = Arc::new(file.map_err(|error| open_error(&self.path(name), &error))?);
        if open.len() >= OPEN_MAX {
            let clean = open.iter().find(|(_, opened)| !opened.dirty).map(|(name, _)| *name);
            clean.map(|name| open.remove(&name));
        }
        open.insert(name, OpenFile { file: Arc::clone(&file), dirty });
        Ok(file)
    }

    fn create(&self, name: FileName, bytes: u64) -> Result<(), DiskError> {
        self.remove(name)?;
        let path = self.path(name);
        let created = private().read(true).write(true).create_new(true).open(&path);
        let file = created.map_err(|error| disk_error("create", &path, &error))?;
        if let Err(error) = write_zeros(&file, bytes).and_then(|()| file.sync_all()) {
            // Frees the name and the space; only the first error is reported.
            let _ = fs::remove_file(&path);
            return Err(disk_error("create", &path, &error));
        }
        Ok(())
    }

    fn sync(&self, name: FileName) -> Result<(), DiskError> {
        let file = self.open_file(name, false)?;
        // A write during the sync counts as not synced.
        if let Some(opened) = self.open_files().get_mut(&name) {
            opened.dirty = false;
        }
        let mut synced = file.sync_data();
        if !matches!(name, FileName::Segment(_)) {
            // These files are read back to verify the content of the disk.
            synced = synced.and_then(|()| drop_cache(&file));
        }
        if synced.is_err()
            && let Some(opened) = self.open_files().get_mut(&name)
        {
            opened.dirty = true;
        }
        synced.map_err(|error| self.error("sync", name, &error))
    }

    fn rename(&self, from: FileName, to: FileName) -> Result<(), DiskError> {
        let mut open = self.open_files();
        let renamed = fs::rename(self.path(from), self.path(to));
        renamed.map_err(|error| self.error("rename", from, &error))?;
        open.remove(&to);
        if let Some(opened) = open.remove(&from) {
            open.insert(to, opened);
        }
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<(), DiskError> {
        self.open_files().remove(&name);
        let removed = fs::remove_file(self.path(name));
        // Another clone may have opened the file just before.
        self.open_files().remove(&name);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error("remove", name, &error))
            }
            _ => Ok(()),
        }
    }

    fn sync_directory(&self) -> Result<(), DiskError> {
        let Directory { path, own, .. } = &*self.directory;
        // The open directory needs no further file.
        let synced = own.as_ref().map_or_else(|| sync_directory(path), File::sync_all);
        synced.map_err(|error| disk_error("sync", path, &error))
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let path = &self.directory.path;
        let list = || -> io::Result<Vec<(FileName, u64)>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().and_then(parse) else { continue };
                match entry.metadata() {
                    Ok(metadata) if metadata.is_symlink() => {
                        let message = format!("{}: {SYMBOLIC_LINK}", entry.path().display());
                        return Err(io::Error::other(message));
                    }
                    Ok(metadata) => files.push((name, metadata.len())),
                    // Another clone has removed the file since its name was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            files.sort_unstable();
            Ok(files)
        };
        list().map_err(|error| disk_error("list", path, &error))
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if !self.directory.writable
            && !matches!(action, FileAction::Read { .. } | FileAction::DropCache { .. })
        {
            let path = self.directory.path.display();
            return Err(DiskError::Failed(format!("{path}: opened for reading only")));
        }
        match action {
            FileAction::Create { file, bytes } => self.create(*file, *bytes)?,
            FileAction::Write { file, offset, bytes } => {
                let written = write_at(&*self.open_file(*file, true)?, *offset, bytes);
                written.map_err(|error| self.error("write", *file, &error))?;
            }
            FileAction::Sync { file } => self.sync(*file)?,
            FileAction::Read { file, offset, bytes } => {
                let read = read_at(&*self.open_file(*file, false)?, *offset, *bytes);
                return read.map_err(|error| self.error("read", *file, &error));
            }
            FileAction::DropCache { file } => {
                let dropped = drop_cache(&*self.open_file(*file, false)?);
                dropped.map_err(|error| self.error("drop the cache of", *file, &error))?;
            }
            FileAction::Rename { from, to } => self.rename(*from, *to)?,
            FileAction::Remove { file } => self.remove(*file)?,
            FileAction::SyncDirectory => self.sync_directory()?,
        }
        Ok(Vec::new())
    }
}

/// Opens and locks the directory itself; returns None where a directory cannot be locked.
#[cfg(unix)]
fn lock_directory(path: &Path) -> Result<Option<File>, DiskError> {
    let own = File::open(path).map_err(|error| disk_error("open", path, &error))?;
    match own.try_lock() {
        Ok(()) => Ok(Some(own)),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        // Some network file systems lock files only.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Does nothing, because this system cannot open a directory.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems lock the directory")]
fn lock_directory(_: &Path) -> Result<Option<File>, DiskError> {
    Ok(None)
}

/// Locks the directory `path`.
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

/// Returns the options of a file that only its owner may use, and that is not a symbolic link.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "other systems have permissions"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits();
        options.mode(0o600).custom_flags(i32::try_from(no_link).unwrap_or(0));
    }
    options
}

/// Sets the permissions to `mode` if other users have any, because an older version may have
/// created the file or directory for all users. One that this process does not own keeps its
/// permissions.
#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(mode);
    match fs::set_permissions(path, permissions) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        restricted => restricted,
    }
}

/// Does nothing, because this system has no such permissions.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "other systems have permissions")]
fn restrict(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// Returns the error of a file that cannot be opened.
fn open_error(path: &Path, error: &io::Error) -> DiskError {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return DiskError::Failed(format!("open {}: {SYMBOLIC_LINK}", path.display()));
    }
    disk_error("open", path, error)
}

/// Returns the error of a file operation, with the text of the operating system.
fn disk_error(operation: &str, path: &Path, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Failed(format!("{operation} {}: {error}", path.display())),
    }
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

/// Writes zeros past the page cache if the file system allows, because nothing reads them soon, and
/// copying them to the cache costs CPU time and a later burst of disk writes.
fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let most = usize::try_from(bytes).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
    let zeros = vec![0; most + ALIGNMENT];
    let zeros = &zeros[zeros.as_ptr().align_offset(ALIGNMENT)..][..most];
    let mut direct = set_direct_io(file, true).is_ok();
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(most).min(most);
        let whole = left - left % ALIGNMENT;
        let next = if direct && whole > 0 { whole } else { left };
        match write_at(file, offset, &zeros[..next]) {
            Ok(()) => offset += next as u64,
            // The end is not aligned, or the disk has larger blocks.
            Err(error) if direct && error.kind() == io::ErrorKind::InvalidInput => {
                direct = false;
                set_direct_io(file, false)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Turns direct I/O of the file on or off; later writes then bypass the page cache.
#[cfg(target_os = "linux")]
fn set_direct_io(file: &File, direct: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn set_direct_io(_: &File, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Reads up to `bytes` bytes, and allocates no more memory than the file has bytes.
#[cfg(unix)]
fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut buffer = vec![0; bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
    let mut read = 0;
    while read < buffer.len() {
        let at = offset + read as u64;
        match std::os::unix::fs::FileExt::read_at(file, &mut buffer[read..], at) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(read);
    Ok(buffer)
}

#[cfg(not(unix))]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, Write};
    let _alone = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = file;
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let _alone = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = file;
    file.seek(io::SeekFrom::Start(offset))?;
    let mut buffer = Vec::new();
    file.take(bytes as u64).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// Guards the position of an open file, which two threads must not move at once.
#[cfg(not(unix))]
static POSITION: Mutex<()> = Mutex::new(());

/// The errors of syncing a directory in which this process creates no file.
const NOT_CREATED_HERE: [io::ErrorKind; 4] = [
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::Unsupported,
];

/// Creates the directory and those above it that are missing, and makes their names durable.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        // The process that created it may have died before the name was durable. A directory above
        // that cannot be read, written or synced by this process did not get the name from it.
        return match sync_directory(parent(path)) {
            Err(error) if NOT_CREATED_HERE.contains(&error.kind()) => Ok(()),
            synced => synced,
        };
    }
    create_ancestors(parent(path))?;
    #[cfg_attr(not(unix), expect(unused_mut, reason = "other systems have permissions"))]
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

/// Returns the directory above; that of a relative path with one name is the working directory.
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

/// Drops the cached pages of a file that are on the disk, so that later reads come from there. It
/// names the whole file, because of a range the system keeps every page that is only partly in it.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn drop_cache(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Does nothing, because this system has no call that drops cached pages.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn drop_cache(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
