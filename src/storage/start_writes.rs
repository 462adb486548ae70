//! The writes that complete a recovery, before the store starts: known content of damaged sectors,
//! and a last flush that may not be durable.

use std::collections::{BTreeMap, BTreeSet};

use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::identity::Identity;
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::recovery::{RecoveredLog, UnacknowledgedFlush};
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, SectorState};
use crate::storage::segment::NodeSegment;

/// The content that recovery knows, and that the disk may lack.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnwrittenContent {
    /// The content of damaged sectors, by file and offset.
    pub(crate) patches: BTreeMap<(FileName, u64), Vec<u8>>,
    /// The last flush with damaged bodies, if it is not known to be durable.
    flush: Option<(u64, [(u64, u64); 2])>,
}

impl UnwrittenContent {
    pub(crate) fn of(recovered: &RecoveredLog) -> UnwrittenContent {
        let flush = match recovered.unacknowledged {
            Some(UnacknowledgedFlush::Damaged { segment, ranges }) => Some((segment, ranges)),
            _ => None,
        };
        UnwrittenContent { patches: recovered.damage.known.clone(), flush }
    }

    /// Returns an error at the first damaged sector whose content is known, if there is one.
    pub(crate) fn damage(&self) -> Option<StorageError> {
        let ((file, offset), _) = self.patches.first_key_value()?;
        let message = match self.patches.len() {
            1 => "the sector is damaged".to_owned(),
            count => format!("{count} sectors are damaged, this one first"),
        };
        Some(StorageError::damage(*file, *offset, message))
    }

    /// Writes and syncs the content, in place. Sectors that are damaged and not known stay as they
    /// are.
    ///
    /// # Errors
    /// An [`OpenError`] if the disk failed.
    pub(crate) fn write(self, disk: &mut dyn Disk, identity: Identity) -> Result<(), OpenError> {
        let mut sectors = self.patches;
        if let Some((number, [headers, bodies])) = self.flush {
            let segment = NodeSegment::new(identity, number);
            for (codec, range) in [(segment.headers, headers), (segment.bodies, bodies)] {
                for page in (range.0..range.1).step_by(PAGE_BYTES) {
                    let (file, offset) = (segment.file(), page);
                    let read = FileAction::Read { file, offset, bytes: PAGE_BYTES };
                    let content = PatchedDisk::new(disk).execute(&read);
                    let content =
                        content.map_err(|e| StorageError::disk(Some(file), offset, &e))?;
                    let offsets = (page..).step_by(SECTOR_BYTES);
                    for (offset, sector) in offsets.zip(content.chunks(SECTOR_BYTES)) {
                        if codec.state(offset, sector) == SectorState::Valid {
                            sectors.entry((file, offset)).or_insert_with(|| sector.to_vec());
                        }
                    }
                }
            }
        }
        let files: BTreeSet<FileName> = sectors.keys().map(|(file, _)| *file).collect();
        let syncs = files.into_iter().map(|file| FileAction::Sync { file });
        for action in writes_of(sectors).into_iter().chain(syncs) {
            let (file, offset) = action.place();
            disk.execute(&action).map_err(|error| StorageError::disk(file, offset, &error))?;
        }
        Ok(())
    }
}

/// Returns the writes of these sectors, one for each run of consecutive sectors. So a page that
/// could not be read is written as a whole, and the operating system does not have to read the rest
/// of it first.
pub(crate) fn writes_of(sectors: BTreeMap<(FileName, u64), Vec<u8>>) -> Vec<FileAction> {
    let mut writes: Vec<FileAction> = Vec::new();
    for ((file, offset), sector) in sectors {
        assert_eq!(sector.len(), SECTOR_BYTES, "sectors are written as a whole");
        assert!(matches!(file, FileName::Segment(_)), "only sectors of the log are written again");
        match writes.last_mut() {
            Some(FileAction::Write { file: same, offset: first, bytes })
                if *same == file && *first + bytes.len() as u64 == offset =>
            {
                bytes.extend(sector);
            }
            _ => writes.push(FileAction::Write { file, offset, bytes: sector }),
        }
    }
    writes
}
