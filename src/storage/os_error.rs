//! The errors of the operating system whose cause is not the disk, and what an operator does about
//! each.

use std::io;

const OPEN_FILES: &str = "the process may not open more files: raise its limit (ulimit -n, or \
                          LimitNOFILE of the service)";
const ALL_OPEN_FILES: &str = "the machine may not open more files: raise the limit of all \
                              processes (sysctl fs.file-max), or end those that hold many";
const FILE_SIZE: &str = "the file would exceed the size that the process (ulimit -f, or \
                         LimitFSIZE of the service) or the file system permits: raise that limit";
const READ_ONLY: &str = "the file system is mounted read-only, as after an error of its \
                         disk: find out why, and mount it read-write";
const PERMISSION: &str = "the user of the process has no permission for that: give the files and \
                          the directory to this user";
const STALE: &str = "the file server has removed the file, or was restarted: check the server, \
                     and mount the file system again";
const MEMORY: &str = "the machine has too little free memory: end other programs, or add memory";

const ALL: [&str; 7] =
    [OPEN_FILES, ALL_OPEN_FILES, FILE_SIZE, READ_ONLY, PERMISSION, STALE, MEMORY];

/// Returns the remedy for an error whose cause is not the disk; `None` for any other error.
pub(crate) fn remedy_of(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Some(FILE_SIZE),
        io::ErrorKind::ReadOnlyFilesystem => Some(READ_ONLY),
        io::ErrorKind::PermissionDenied => Some(PERMISSION),
        io::ErrorKind::StaleNetworkFileHandle => Some(STALE),
        io::ErrorKind::OutOfMemory => Some(MEMORY),
        _ => remedy_of_limit(error),
    }
}

/// Returns true if the text of an error ends with a remedy.
pub(crate) fn has_remedy(text: &str) -> bool {
    ALL.iter().any(|remedy| text.ends_with(remedy))
}

#[cfg(unix)]
fn remedy_of_limit(error: &io::Error) -> Option<&'static str> {
    match rustix::io::Errno::from_io_error(error)? {
        rustix::io::Errno::MFILE => Some(OPEN_FILES),
        rustix::io::Errno::NFILE => Some(ALL_OPEN_FILES),
        _ => None,
    }
}

/// Returns `None`, because this system has no such limits.
#[cfg(not(unix))]
fn remedy_of_limit(_: &io::Error) -> Option<&'static str> {
    None
}
