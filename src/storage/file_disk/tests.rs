//! Tests of the disk on a directory of this machine.

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

/// A disk that zeroes the beginning of a file whose cached pages it drops.
struct LosesPages(FileDisk);

impl Disk for LosesPages {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.0.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if let FileAction::DropCache { file } = action {
            self.0.execute(&FileAction::Write { file: *file, offset: 0, bytes: vec![0; 4096] })?;
        }
        self.0.execute(action)
    }
}

#[test]
#[should_panic(expected = "drop the cache of")]
fn a_disk_that_changes_a_file_with_its_cache_breaks_the_disk_contract() {
    let mut directories = Vec::new();
    check_disk(|| {
        let directory = tempfile::tempdir().expect("a directory for a test");
        let disk = FileDisk::open(directory.path()).expect("an empty directory opens");
        directories.push(directory);
        LosesPages(disk)
    });
}

#[test]
fn a_directory_is_locked_until_the_last_clone_is_dropped() {
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

#[cfg(unix)]
#[test]
fn the_lock_survives_the_removal_of_the_lock_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node");
    let user = FileDisk::open(&path).unwrap();
    fs::remove_file(path.join(LOCK)).unwrap();
    for error in [FileDisk::open(&path), FileDisk::open_read_only(&path)] {
        assert_eq!(text(error.unwrap_err()), format!("{}: {IN_USE}", path.display()));
    }
    drop(user);
    FileDisk::open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_use_the_directory_and_its_files() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let (new, old) = (root.path().join("new"), root.path().join("old"));
    // An older version created directories and files for everyone.
    fs::create_dir(&old).unwrap();
    fs::write(old.join("superblock"), "ours").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    let others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    for path in [&new, &old] {
        let mut disk = FileDisk::open(path).unwrap();
        let file = FileName::Segment(1);
        disk.execute(&FileAction::Create { file, bytes: 8 }).unwrap();
        assert_eq!(others(path), 0, "{}", path.display());
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(others(&path), 0, "{}", path.display());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_named_as_one() {
    let root = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (root.path().join("node"), root.path().join("elsewhere"));
    drop(FileDisk::open(&path).unwrap());
    fs::write(&elsewhere, "of another program").unwrap();
    for name in [LOCK, "superblock", "log-0000000000000001"] {
        let _ = fs::remove_file(path.join(name));
        std::os::unix::fs::symlink(&elsewhere, path.join(name)).unwrap();
        for opened in [FileDisk::open(&path), FileDisk::open_read_only(&path)] {
            let error = text(opened.unwrap_err());
            assert!(error.contains(&format!("{name}: it is a symbolic link")), "{error}");
        }
        fs::remove_file(path.join(name)).unwrap();
    }
    let mut disk = FileDisk::open(&path).unwrap();
    let file = FileName::Segment(7);
    std::os::unix::fs::symlink(&elsewhere, path.join(file.to_string())).unwrap();
    let read = FileAction::Read { file, offset: 0, bytes: 1 };
    let error = text(disk.execute(&read).unwrap_err());
    assert!(error.contains("it is a symbolic link"), "{error}");
    assert_eq!(fs::read(&elsewhere).unwrap(), b"of another program");
}

#[cfg(target_os = "linux")]
#[test]
fn a_special_file_is_named_and_never_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("node");
    drop(FileDisk::open(&path).unwrap());
    // A child process would hold the locks of other tests until it runs its program.
    let make_pipe = |name: &str| {
        mknodat(CWD, path.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    let make_directory = |name: &str| fs::create_dir(path.join(name)).unwrap();
    let kinds: [&dyn Fn(&str); 2] = [&make_pipe, &make_directory];
    let names = [LOCK, "superblock", "log-0000000000000001", "snapshot-0000000000000001.part"];
    for name in names {
        for make in kinds {
            let _ = fs::remove_file(path.join(name));
            make(name);
            for opened in [FileDisk::open(&path), FileDisk::open_read_only(&path)] {
                let error = text(opened.unwrap_err());
                assert!(error.contains(&format!("{name}: it is not a regular file")), "{error}");
            }
            let removed = fs::remove_file(path.join(name));
            removed.or_else(|_| fs::remove_dir(path.join(name))).unwrap();
        }
    }
    let mut disk = FileDisk::open(&path).unwrap();
    let file = FileName::Segment(7);
    make_pipe(&file.to_string());
    let read = FileAction::Read { file, offset: 0, bytes: 1 };
    let error = text(disk.execute(&read).unwrap_err());
    assert!(error.contains("it is not a regular file"), "{error}");
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
        assert!(error.ends_with(": opened read-only"), "{error}");
    }
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        1,
        "no file was created, not even a lock file"
    );
    drop(disk);
    let user = FileDisk::open(&path).unwrap();
    let error = text(FileDisk::open_read_only(&path).unwrap_err());
    assert_eq!(error, format!("{}: {IN_USE}", path.display()));
    drop(user);
    let _reader = FileDisk::open_read_only(&path).unwrap();
    FileDisk::open(&path).unwrap_err();
}

/// Returns a directory with a written superblock and a segment that is not open.
#[cfg(unix)]
fn used_directory(root: &Path) -> (FileDisk, PathBuf) {
    let path = root.join("node");
    let mut disk = FileDisk::open(&path).unwrap();
    for file in [FileName::Superblock, FileName::Segment(1)] {
        disk.execute(&FileAction::Create { file, bytes: 4096 }).unwrap();
    }
    write_and_sync(&mut disk).unwrap();
    disk.verify().unwrap();
    (disk, path)
}

#[cfg(unix)]
fn write_and_sync(disk: &mut FileDisk) -> Result<(), DiskError> {
    let file = FileName::Superblock;
    disk.execute(&FileAction::Write { file, offset: 0, bytes: vec![7; 4096] }).unwrap();
    disk.execute(&FileAction::Sync { file }).map(drop)
}

#[cfg(unix)]
fn assert_replaced(result: Result<(), DiskError>, path: &Path, loss: &str) {
    let Err(DiskError::Replaced(text)) = result else { panic!("{result:?}") };
    let path = path.display();
    assert!(
        text.contains(&format!(" {path} is no longer the one that was opened: {loss}")),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_replaced_is_noticed_and_the_other_one_is_not_changed() {
    for is_replaced in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let (mut disk, path) = used_directory(root.path());
        let moved = root.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        let loss = match is_replaced {
            true => "another directory was put in its place",
            false => "it was moved, removed or unmounted",
        };
        if is_replaced {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("superblock"), "another node's").unwrap();
        }
        assert_replaced(write_and_sync(&mut disk), &path, loss);
        assert_replaced(disk.verify(), &path, loss);
        let file = FileName::Segment(2);
        disk.execute(&FileAction::Create { file, bytes: 512 }).unwrap();
        assert_replaced(disk.execute(&FileAction::SyncDirectory).map(drop), &path, loss);
        for file in [FileName::Superblock, FileName::Segment(1)] {
            disk.execute(&FileAction::Remove { file }).unwrap();
        }
        assert!(moved.join(file.to_string()).exists());
        if is_replaced {
            assert_eq!(fs::read(path.join("superblock")).unwrap(), b"another node's");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
            fs::remove_dir_all(&path).unwrap();
        }
        fs::rename(&moved, &path).unwrap();
        disk.verify().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_cut_or_removed_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (mut disk, path) = used_directory(root.path());
    let (superblock, moved) = (path.join("superblock"), path.join("moved"));
    fs::rename(&superblock, &moved).unwrap();
    for check in [write_and_sync, FileDisk::verify] {
        assert_replaced(check(&mut disk), &superblock, "it was moved or removed");
    }
    fs::copy(&moved, &superblock).unwrap();
    for check in [write_and_sync, FileDisk::verify] {
        assert_replaced(check(&mut disk), &superblock, "another file was put in its place");
    }
    fs::rename(&moved, &superblock).unwrap();
    write_and_sync(&mut disk).unwrap();
    File::options().write(true).open(&superblock).unwrap().set_len(4095).unwrap();
    assert_replaced(disk.verify(), &superblock, "it was truncated");
    write_and_sync(&mut disk).unwrap();
    // A segment that is not open at present, and one that the node itself removes.
    let (mine, file) = (FileName::Segment(2), FileName::Segment(1));
    disk.execute(&FileAction::Create { file: mine, bytes: 512 }).unwrap();
    disk.execute(&FileAction::Remove { file: mine }).unwrap();
    disk.verify().unwrap();
    let segment = path.join(file.to_string());
    fs::remove_file(&segment).unwrap();
    assert_replaced(disk.verify(), &segment, "it was moved or removed");
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
        if number > 0 {
            disk.execute(&FileAction::Sync { file }).unwrap();
        }
    }
    assert_eq!(disk.files().open.len(), OPEN_MAX);
    let unsynced = FileName::Segment(0);
    assert!(disk.files().open.contains_key(&unsynced), "closing it could hide a write error");
    for number in 0..OPEN_MAX as u64 + 10 {
        let file = FileName::Segment(number);
        let read = disk.execute(&FileAction::Read { file, offset: 0, bytes: 8 });
        assert_eq!(read.unwrap(), [7; 8]);
    }
}

#[cfg(unix)]
#[test]
fn an_open_for_which_a_resource_is_missing_closes_files_that_need_not_stay_open() {
    use std::cell::Cell;

    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::open(directory.path()).unwrap();
    let created = [FileName::Superblock, FileName::Segment(1), FileName::Segment(2)];
    for file in created {
        disk.execute(&FileAction::Create { file, bytes: 512 }).unwrap();
    }
    let write = FileAction::Write { file: FileName::Segment(2), offset: 0, bytes: vec![7] };
    disk.execute(&write).unwrap();
    let mut files = disk.files();
    assert!(files.open.keys().eq(&created), "a new file stays open for its first write");
    let (no_place, lacking) = (rustix::io::Errno::MFILE, Cell::new(1_u32));
    let open = || match lacking.replace(lacking.get().saturating_sub(1)) {
        0 => File::open(directory.path()),
        _ => Err(no_place.into()),
    };
    files.make_room_for(open).unwrap();
    let kept = [FileName::Superblock, FileName::Segment(2)];
    assert!(files.open.keys().eq(&kept), "the clean segment was closed");
    lacking.set(1);
    let error = files.make_room_for(open).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(no_place.raw_os_error()), "no other may be closed");
    assert!(files.open.keys().eq(&kept));
}

#[test]
fn a_file_takes_the_place_of_one_that_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::open(directory.path()).unwrap();
    let (from, to) = (FileName::PartialSnapshot(Index(7)), FileName::Snapshot(Index(7)));
    let read = FileAction::Read { file: to, offset: 0, bytes: 2048 };
    for (file, bytes) in [(to, 512), (from, 1024)] {
        disk.execute(&FileAction::Create { file, bytes }).unwrap();
        assert_eq!(disk.execute(&read).unwrap().len(), 512);
    }
    disk.execute(&FileAction::Rename { from, to }).unwrap();
    assert_eq!(disk.execute(&read).unwrap().len(), 1024);
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
    assert!(error.starts_with(&format!("cannot open {}: ", path.display())), "{error}");
}

#[test]
fn a_full_disk_is_distinguished_from_other_errors() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(disk_error("write", Path::new("a"), &full), DiskError::Full);
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let DiskError::Environment(text) = disk_error("write", Path::new("a"), &denied) else {
        panic!("not full")
    };
    assert!(text.starts_with("cannot write a: "), "{text}");
}

#[cfg(unix)]
#[test]
fn the_advice_about_an_error_names_what_to_change() {
    use crate::storage::error::StorageError;
    use rustix::io::Errno;

    let of = |errno: Errno| {
        let error = io::Error::from_raw_os_error(errno.raw_os_error());
        disk_error("write", Path::new("d1/log-0000000000000001"), &error)
    };
    assert_eq!([Errno::NOSPC, Errno::DQUOT].map(of), [DiskError::Full, DiskError::Full]);
    assert!(text(DiskError::Full).contains("quota"));
    for (errno, part) in [
        (Errno::MFILE, "LimitNOFILE"),
        (Errno::NFILE, "fs.file-max"),
        (Errno::FBIG, "ulimit -f"),
        (Errno::ROFS, "mounted read-only"),
        (Errno::ACCESS, "permission"),
        (Errno::PERM, "permission"),
        (Errno::STALE, "file server"),
        (Errno::NOMEM, "memory"),
        (Errno::IO, "check the disk, then restart"),
    ] {
        for file in [Some(FileName::Segment(1)), None] {
            let error = StorageError::disk(file, 0, &of(errno));
            let text = error.to_string();
            assert!(text.contains(part) && text.contains("os error"), "{text}");
            assert_eq!(text.contains("check the disk"), errno == Errno::IO, "{text}");
            let inspected = error.of_inspection().to_string();
            assert!(inspected.ends_with("try again"), "{inspected}");
        }
    }
}
