//! The errors of the operating system: what each says about the disk, and what an operator does
//! about it. Every error of a file or directory goes through this table.

use std::fmt;
use std::io;

use crate::storage::disk::DiskError;

const OPEN_FILES: &str = "the process may not open more files: raise its limit (ulimit -n, or \
                          LimitNOFILE of the service)";
const ALL_OPEN_FILES: &str = "the machine may not open more files: raise the limit of all \
                              processes (sysctl fs.file-max), or end those that hold many";
const MEMORY: &str = "the machine has too little free memory: end other programs, or add memory";
const REPEAT: &str = "the operating system was too busy for that: try again";
const FILE_SIZE: &str = "the file would exceed the size that the process (ulimit -f, or \
                         LimitFSIZE of the service) or the file system permits: raise that limit";
const READ_ONLY: &str = "the file system is mounted read-only, as after an error of its \
                         disk: find out why, and mount it read-write";
const PERMISSION: &str = "the user of the process has no permission for that: give the files and \
                          the directory to this user";
const STALE: &str = "the file server has removed the file, or was restarted: check the server, \
                     and mount the file system again";
const PATH: &str = "a part of this path is not a directory, or is a symbolic link to itself: put \
                    the directory back";

/// The class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Full,
    /// The process or the machine lacks something; the text says how to get more of it.
    Exhausted(&'static str),
    /// The text says how to make the file accessible again.
    Environment(&'static str),
    Failed,
}

impl DiskError {
    /// Returns the error of an operation that the operating system could not execute; `what` names
    /// the operation and the file.
    pub fn from_io(what: impl fmt::Display, error: &io::Error) -> DiskError {
        match class_of(error) {
            Class::Full => DiskError::Full,
            Class::Exhausted(remedy) => DiskError::Exhausted(format!("{what}: {error}; {remedy}")),
            Class::Environment(remedy) => {
                DiskError::Environment(format!("{what}: {error}; {remedy}"))
            }
            Class::Failed => DiskError::Failed(format!("{what}: {error}")),
        }
    }
}

/// Returns true if the operation may succeed once the process or the machine has more of a
/// resource.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(class_of(error), Class::Exhausted(_))
}

fn class_of(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Full,
        io::ErrorKind::OutOfMemory => Class::Exhausted(MEMORY),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Class::Exhausted(REPEAT),
        io::ErrorKind::FileTooLarge => Class::Environment(FILE_SIZE),
        io::ErrorKind::ReadOnlyFilesystem => Class::Environment(READ_ONLY),
        io::ErrorKind::PermissionDenied => Class::Environment(PERMISSION),
        io::ErrorKind::StaleNetworkFileHandle => Class::Environment(STALE),
        io::ErrorKind::NotADirectory => Class::Environment(PATH),
        _ => class_of_number(error),
    }
}

/// Returns the class of an error whose kind has no stable name.
#[cfg(unix)]
fn class_of_number(error: &io::Error) -> Class {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => Class::Exhausted(OPEN_FILES),
        Some(Errno::NFILE) => Class::Exhausted(ALL_OPEN_FILES),
        Some(Errno::LOOP) => Class::Environment(PATH),
        _ => Class::Failed,
    }
}

/// Every other error is the disk's, because this system has no such limits.
#[cfg(not(unix))]
fn class_of_number(_: &io::Error) -> Class {
    Class::Failed
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn error_of(errno: Errno) -> DiskError {
        DiskError::from_io("cannot read /data/n1/log-1", &io::Error::from(errno))
    }

    #[test]
    fn each_error_of_the_operating_system_has_its_class() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert_eq!(error_of(errno), DiskError::Full, "{errno:?}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::INTR] {
            assert!(matches!(error_of(errno), DiskError::Exhausted(_)), "{errno:?}");
            assert!(is_exhausted(&errno.into()), "{errno:?}");
        }
        for errno in [
            Errno::ACCESS,
            Errno::PERM,
            Errno::ROFS,
            Errno::LOOP,
            Errno::NOTDIR,
            Errno::STALE,
            Errno::FBIG,
        ] {
            assert!(matches!(error_of(errno), DiskError::Environment(_)), "{errno:?}");
        }
        for errno in [Errno::IO, Errno::NOENT, Errno::NXIO] {
            assert!(matches!(error_of(errno), DiskError::Failed(_)), "{errno:?}");
        }
    }

    #[test]
    fn the_text_names_the_file_the_reason_and_the_remedy() {
        let text = error_of(Errno::ACCESS).to_string();
        let begin = "cannot read /data/n1/log-1: Permission denied (os error 13); the user of";
        assert!(text.starts_with(begin), "{text}");
        let text = error_of(Errno::IO).to_string();
        assert_eq!(text, "cannot read /data/n1/log-1: Input/output error (os error 5)");
    }
}
