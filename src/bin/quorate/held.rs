//! The snapshots of a node that runs, and its superblock: what a crash would leave, without the
//! log. Files that are open can be read on when the node removes them, so that nothing is copied.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use quorate::types::Index;

/// The files, as they were at one moment.
#[derive(Debug)]
pub(crate) struct Held {
    superblock: Vec<u8>,
    snapshots: BTreeMap<FileName, (File, u64)>,
}

impl Held {
    /// Opens all of them. A snapshot that the superblock names may be gone by then: the node has a
    /// newer one, and whoever tries again finds it.
    pub(crate) fn of(directory: &Path) -> io::Result<Held> {
        let superblock = fs::read(directory.join(FileName::Superblock.to_string()))?;
        let mut snapshots = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let Some(name) = entry?.file_name().to_str().and_then(snapshot) else { continue };
            let file = match File::open(directory.join(name.to_string())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let bytes = file.metadata()?.len();
            snapshots.insert(name, (file, bytes));
        }
        Ok(Held { superblock, snapshots })
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

impl Disk for Held {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let snapshots = self.snapshots.iter().map(|(name, (_, bytes))| (*name, *bytes));
        Ok([(FileName::Superblock, self.superblock.len() as u64)]
            .into_iter()
            .chain(snapshots)
            .collect())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let FileAction::Read { file, offset, bytes } = action else {
            return Err(DiskError::Failed(format!("a node runs here: no {action:?}")));
        };
        let read = self.read(*file, *offset, *bytes);
        read.map_err(|error| DiskError::Failed(format!("read {file}: {error}")))
    }
}

/// The snapshot that a file's name stands for, if it is a whole one's.
fn snapshot(text: &str) -> Option<FileName> {
    let number = u64::from_str_radix(text.strip_prefix("snapshot-")?, 16).ok()?;
    let name = FileName::Snapshot(Index(number));
    (name.to_string() == text).then_some(name)
}
