//! A disk on a directory of the file system; each action blocks until it is complete.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::types::Index;

/// The file whose lock marks the directory as in use.
const LOCK: &str = "lock";
const IN_USE: &str = "in use by another process: stop that process, or choose another directory";
/// The maximum number of zero bytes in one write to a new file.
const ZEROS_BYTES: usize = 1 << 20;
/// The alignment of the memory, offset and length of a direct write, in bytes.
const ALIGNMENT: usize = 4096;
/// The maximum number of files that are kept open.
const OPEN_MAX: usize = 64;

/// The files of one node, in a directory of its own.
///
/// Clones share the directory's lock, which is held until the last of them is dropped: a driver may
/// give each lane, and the thread that restores a state machine, its own clone.
///
/// On systems other than Unix a directory cannot be synced, and the page cache cannot be dropped: a
/// power failure may lose file names, and a start reads the page cache rather than the disk.
#[derive(Clone, Debug)]
pub struct FileDisk {
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Whether files may be changed.
    writable: bool,
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
    /// Opens the directory `path`, and creates it if it is missing.
    ///
    /// Every file is synced and its cached pages are dropped, so that later reads return the
    /// content of the disk: after a failed sync of an earlier process the page cache may differ.
    ///
    /// # Errors
    /// A [`DiskError`] if another process has the directory open, if it cannot be created or read,
    /// or if a file cannot be synced.
    pub fn open(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        create_directory(&path).map_err(|error| disk_error("create", &path, &error))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|error| disk_error("open", &lock_path, &error))?;
        try_lock(&lock, &path)?;
        let mut disk = FileDisk::of(path, true, Some(lock));
        for (name, _) in disk.list()? {
            let opened = disk.open_file(name, false)?;
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
        let lock_path = path.join(LOCK);
        let lock = match File::open(&lock_path) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk_error("open", &lock_path, &error)),
        };
        lock.iter().try_for_each(|lock| try_lock(lock, &path))?;
        let mut disk = FileDisk::of(path, false, lock);
        disk.list()?;
        Ok(disk)
    }

    fn of(path: PathBuf, writes: bool, lock: Option<File>) -> FileDisk {
        let directory =
            Directory { path, writable: writes, _lock: lock, open_files: Mutex::default() };
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
        let file = OpenOptions::new().read(true).write(writes).open(self.path(name));
        let file = Arc::new(file.map_err(|error| self.error("open", name, &error))?);
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
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
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
        let path = &self.directory.path;
        sync_directory(path).map_err(|error| disk_error("sync", path, &error))
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
        if !self.directory.writable && !matches!(action, FileAction::Read { .. }) {
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
            FileAction::Rename { from, to } => self.rename(*from, *to)?,
            FileAction::Remove { file } => self.remove(*file)?,
            FileAction::SyncDirectory => self.sync_directory()?,
        }
        Ok(Vec::new())
    }
}

/// Locks the directory `path`.
fn try_lock(lock: &File, path: &Path) -> Result<(), DiskError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(DiskError::Failed(format!("{}: {IN_USE}", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(disk_error("lock", &path.join(LOCK), &error)),
    }
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

/// Creates the directory, and makes its name durable.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(parent.unwrap_or(Path::new(".")))
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

/// Drops the cached pages of a synced file, so that later reads come from the disk.
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
mod tests {
    use super::*;
    use crate::storage::contract::check_disk;

    fn text(error: DiskError) -> String {
        error.to_string()
    }

    #[test]
    fn a_file_disk_fulfils_the_disk_contract() {
        let mut directories = Vec::new();
        check_disk(|| {
            let directory = tempfile::tempdir().expect("a directory for a test");
            let disk = FileDisk::open(directory.path()).expect("an empty directory opens");
            directories.push(directory);
            disk
        });
    }

    #[test]
    fn a_directory_is_locked_against_a_second_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("node");
        let first = FileDisk::open(&path).unwrap();
        let clone = first.clone();
        drop(first);
        let error = text(FileDisk::open(&path).unwrap_err());
        assert_eq!(error, format!("{}: {IN_USE}", path.display()));
        drop(clone);
        FileDisk::open(&path).unwrap();
    }

    #[test]
    fn opening_read_only_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node");
        FileDisk::open_read_only(&path).unwrap_err();
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        fs::write(path.join("superblock"), "ours").unwrap();
        let mut disk = FileDisk::open_read_only(&path).unwrap();
        let file = FileName::Superblock;
        assert_eq!(disk.list().unwrap(), [(file, 4)]);
        let read = FileAction::Read { file, offset: 1, bytes: 9 };
        assert_eq!(disk.execute(&read).unwrap(), b"urs");
        let write = FileAction::Write { file, offset: 0, bytes: vec![7] };
        for action in [write, FileAction::Remove { file }, FileAction::SyncDirectory] {
            let error = text(disk.execute(&action).unwrap_err());
            assert!(error.ends_with(": opened for reading only"), "{error}");
        }
        assert_eq!(
            fs::read_dir(&path).unwrap().count(),
            1,
            "no file was created, not even a lock file"
        );
        let user = FileDisk::open(&path).unwrap();
        let error = text(FileDisk::open_read_only(&path).unwrap_err());
        assert_eq!(error, format!("{}: {IN_USE}", path.display()));
        drop(user);
        let _reader = FileDisk::open_read_only(&path).unwrap();
        FileDisk::open(&path).unwrap_err();
    }

    #[test]
    fn foreign_names_are_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        let foreign = [
            "snapshot-1",
            "snapshot-000000000000000A",
            "snapshot-+00000000000000a",
            "snapshot-000000000000000a.part.old",
            "log-0000000000000001x",
            "log-00000000000000001",
            "superblock.old",
        ];
        for name in foreign {
            fs::write(directory.path().join(name), "foreign").unwrap();
        }
        let files = [
            FileName::Superblock,
            FileName::Segment(0x1f),
            FileName::Snapshot(Index(10)),
            FileName::PartialSnapshot(Index(u64::MAX)),
        ];
        for file in files {
            fs::write(directory.path().join(file.to_string()), "ours").unwrap();
        }
        let mut disk = FileDisk::open(directory.path()).unwrap();
        assert_eq!(disk.list().unwrap(), files.map(|file| (file, 4)));
    }

    #[test]
    fn files_may_be_removed_while_they_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(directory.path()).unwrap();
        let stays = FileName::Snapshot(Index(7));
        disk.execute(&FileAction::Create { file: stays, bytes: 8 }).unwrap();
        let mut other = disk.clone();
        let churn = std::thread::spawn(move || {
            for number in 0..500 {
                let file = FileName::Segment(number % 8);
                other.execute(&FileAction::Create { file, bytes: 0 }).unwrap();
                let gone = FileName::Segment((number + 4) % 8);
                other.execute(&FileAction::Remove { file: gone }).unwrap();
            }
        });
        while !churn.is_finished() {
            let files = disk.list().unwrap();
            assert!(files.contains(&(stays, 8)), "{files:?}");
        }
        churn.join().unwrap();
    }

    #[test]
    fn more_files_than_stay_open_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(directory.path()).unwrap();
        for number in 0..OPEN_MAX as u64 + 10 {
            let file = FileName::Segment(number);
            disk.execute(&FileAction::Create { file, bytes: 512 }).unwrap();
            disk.execute(&FileAction::Write { file, offset: 0, bytes: vec![7; 8] }).unwrap();
            disk.execute(&FileAction::Sync { file }).unwrap();
        }
        assert_eq!(disk.open_files().len(), OPEN_MAX);
        for number in 0..OPEN_MAX as u64 + 10 {
            let file = FileName::Segment(number);
            let read = disk.execute(&FileAction::Read { file, offset: 0, bytes: 8 });
            assert_eq!(read.unwrap(), [7; 8]);
        }
    }

    #[test]
    fn a_new_file_of_any_length_is_zeros() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(directory.path()).unwrap();
        let file = FileName::Snapshot(Index(1));
        for bytes in [0, 1, 512, 4096, 5000, (1 << 20) + 512, (2 << 20) + 4096] {
            disk.execute(&FileAction::Create { file, bytes }).unwrap();
            let read = disk.execute(&FileAction::Read { file, offset: 0, bytes: 4 << 20 });
            assert_eq!(read.unwrap(), vec![0; usize::try_from(bytes).unwrap()]);
        }
    }

    #[test]
    fn an_error_names_the_operation_and_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(directory.path()).unwrap();
        let file = FileName::Segment(3);
        let error = text(disk.execute(&FileAction::Sync { file }).unwrap_err());
        let path = directory.path().join("log-0000000000000003");
        assert!(error.starts_with(&format!("open {}: ", path.display())), "{error}");
    }

    #[test]
    fn a_full_disk_is_distinguished_from_other_errors() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(disk_error("write", Path::new("a"), &full), DiskError::Full);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let DiskError::Failed(text) = disk_error("write", Path::new("a"), &denied) else {
            panic!("not full")
        };
        assert!(text.starts_with("write a: "), "{text}");
    }
}
