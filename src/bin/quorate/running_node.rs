//! Read access to the superblock and the snapshots of a running node, without its log. Open
//! snapshot files stay readable after the node removes them, so they are not copied first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use quorate::storage::{Disk, DiskError, FileAction, FileName, open_own_file, read_bounded};
use quorate::types::Index;

/// The maximum size of a superblock that is read, in bytes: more than any superblock has.
const SUPERBLOCK_MAX: u64 = 16 << 20;

/// The superblock and the open snapshot files of a running node.
#[derive(Debug)]
pub(crate) struct RunningNodeFiles {
    superblock: Vec<u8>,
    snapshots: BTreeMap<FileName, (File, u64)>,
}

impl RunningNodeFiles {
    /// Opens the superblock and all complete snapshots. The node may replace the snapshot that the
    /// superblock names before it is opened; a second attempt then finds the newer snapshot.
    pub(crate) fn open(directory: &Path) -> io::Result<RunningNodeFiles> {
        let open = |name: FileName| open_own_file(&directory.join(name.to_string()));
        let superblock =
            open(FileName::Superblock).and_then(|file| read_bounded(file, SUPERBLOCK_MAX));
        let superblock = superblock.map_err(|error| with_name(FileName::Superblock, &error))?;
        let mut snapshots = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let Some(name) = entry?.file_name().to_str().and_then(snapshot) else { continue };
            let file = match open(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(|error| with_name(name, &error))?,
            };
            let bytes = file.metadata()?.len();
            snapshots.insert(name, (file, bytes));
        }
        Ok(RunningNodeFiles { superblock, snapshots })
    }

    fn read(&mut self, name: FileName, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        if name == FileName::Superblock {
            let rest = self.superblock.get(usize::try_from(offset).unwrap_or(usize::MAX)..);
            rest.unwrap_or_default().take(bytes as u64).read_to_end(&mut read)?;
            return Ok(read);
        }
        let (file, _) = self.snapshots.get_mut(&name).ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(offset))?;
        file.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }
}

impl Disk for RunningNodeFiles {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let snapshots = self.snapshots.iter().map(|(name, (_, bytes))| (*name, *bytes));
        Ok([(FileName::Superblock, self.superblock.len() as u64)]
            .into_iter()
            .chain(snapshots)
            .collect())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let FileAction::Read { file, offset, bytes } = action else {
            return Err(DiskError::Failed(format!(
                "the directory belongs to a running node and is read-only: {action:?}"
            )));
        };
        let read = self.read(*file, *offset, *bytes);
        read.map_err(|error| DiskError::from_io(format_args!("cannot read {file}"), &error))
    }
}

fn with_name(name: FileName, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Parses the file name of a complete snapshot; returns `None` for any other file.
fn snapshot(text: &str) -> Option<FileName> {
    let number = u64::from_str_radix(text.strip_prefix("snapshot-")?, 16).ok()?;
    let name = FileName::Snapshot(Index(number));
    (name.to_string() == text).then_some(name)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_place_of_a_file_is_named_and_not_read() {
        let root = tempfile::tempdir().expect("a directory");
        let path = |name: FileName| root.path().join(name.to_string());
        let (superblock, snapshot) = (FileName::Superblock, FileName::Snapshot(Index(7)));
        fs::write(path(superblock), "of a node").expect("the disk has space");
        assert!(RunningNodeFiles::open(root.path()).is_ok());
        for name in [snapshot, superblock] {
            let _ = fs::remove_file(path(name));
            symlink("/dev/zero", path(name)).expect("the disk has space");
            let error = RunningNodeFiles::open(root.path()).expect_err("it is a link").to_string();
            assert_eq!(error, format!("{name}: it is not a regular file"));
        }
    }
}
