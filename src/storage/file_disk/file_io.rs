//! Reads and writes at an offset of a file, writes zeros directly to the disk, and drops cached
//! pages.

use std::fs::File;
use std::io;
#[cfg(not(unix))]
use std::sync::{Mutex, PoisonError};

/// The maximum number of zero bytes in one write to a new file.
const ZEROS_BYTES: usize = 1 << 20;
/// The alignment of the memory, offset and length of a direct write, in bytes.
const ALIGNMENT: usize = 4096;

/// Writes zeros directly to the disk if the file system allows that: nothing reads them soon, and
/// copying them to the page cache would cost CPU time and later a burst of disk writes. The file's
/// later writes go through the page cache.
pub(super) fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
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
    if direct { set_direct_io(file, false) } else { Ok(()) }
}

/// Turns direct I/O of the file on or off. With direct I/O, later writes bypass the page cache.
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
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Reads up to `bytes` bytes, and allocates no more memory than the file has bytes.
#[cfg(unix)]
pub(super) fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
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
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, Write};
    let _alone = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = file;
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
pub(super) fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
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

/// Drops the cached pages of a file that are on the disk, so that later reads come from there. The
/// call names the whole file, because for a range the system would keep the pages that are only
/// partly in the range.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn drop_cache(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Does nothing, because this system has no call that drops cached pages.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(super) fn drop_cache(_: &File) -> io::Result<()> {
    Ok(())
}
