//! Disconnects a mounted file system from its disk without flushing, like a power cut.

use std::fs::File;
use std::os::fd::AsRawFd;

unsafe extern "C" {
    fn ioctl(file: i32, request: u64, argument: *const u32) -> i32;
}

/// The shutdown ioctl of ext4 and XFS.
const SHUTDOWN: u64 = 0x8004_587d;
/// The mode that does not flush the journal.
const NO_LOG_FLUSH: u32 = 2;

fn main() {
    let path = std::env::args().nth(1).expect("the path of a mounted file system");
    let root = File::open(path).expect("a mounted file system can be opened");
    let result = unsafe { ioctl(root.as_raw_fd(), SHUTDOWN, &NO_LOG_FLUSH) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
