//! The disk of the machine lane, which reads the snapshots from which the state machine is
//! restored. A restore cannot be interrupted and continued, so the lane itself waits for a resource
//! that is missing.

use std::thread;
use std::time::Duration;

use tracing::warn;

use crate::storage::{Disk, DiskError, FileAction, FileName};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// The number of attempts. If the last one fails, too, the node stops.
const ATTEMPTS_MAX: u32 = 100;

/// A disk that repeats a read which lacks a resource, such as open files or memory, for about ten
/// seconds.
pub(super) struct PatientDisk<D> {
    disk: D,
    pause: Duration,
}

impl<D> PatientDisk<D> {
    pub(super) fn new(disk: D) -> PatientDisk<D> {
        PatientDisk { disk, pause: PAUSE }
    }

    fn repeat<T>(
        &mut self,
        mut call: impl FnMut(&mut D) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut result = call(&mut self.disk);
        for attempt in 1..ATTEMPTS_MAX {
            let Err(error @ DiskError::Exhausted(_)) = &result else { break };
            if attempt == 1 {
                warn!(%error, "the restore of the state machine waits for a resource");
            }
            pause(self.pause);
            result = call(&mut self.disk);
        }
        result
    }
}

#[expect(clippy::disallowed_methods, reason = "the lane has a thread of its own")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}

impl<D: Disk> Disk for PatientDisk<D> {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.repeat(Disk::list)
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Read { .. } => self.repeat(|disk| disk.execute(action)),
            _ => self.disk.execute(action),
        }
    }

    fn verify(&mut self) -> Result<(), DiskError> {
        self.disk.verify()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which this many calls lack a resource.
    struct Lacking(u32);

    impl Disk for Lacking {
        fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
            self.execute(&FileAction::SyncDirectory).map(|_| Vec::new())
        }

        fn execute(&mut self, _: &FileAction) -> Result<Vec<u8>, DiskError> {
            if self.0 == 0 {
                return Ok(vec![7]);
            }
            self.0 -= 1;
            Err(DiskError::Exhausted("too many open files".to_owned()))
        }
    }

    #[test]
    fn only_reads_wait_for_a_resource_and_not_forever() {
        let disk = |calls| PatientDisk { disk: Lacking(calls), pause: Duration::ZERO };
        let (file, offset) = (FileName::Superblock, 0);
        let read = FileAction::Read { file, offset, bytes: 1 };
        assert_eq!(disk(ATTEMPTS_MAX - 1).execute(&read), Ok(vec![7]));
        assert_eq!(disk(ATTEMPTS_MAX - 1).list(), Ok(Vec::new()));
        assert!(matches!(disk(ATTEMPTS_MAX).execute(&read), Err(DiskError::Exhausted(_))));
        let write = FileAction::Write { file, offset, bytes: vec![7] };
        assert!(matches!(disk(1).execute(&write), Err(DiskError::Exhausted(_))));
    }
}
