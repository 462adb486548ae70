//! Opens regular files, and reads at most a given number of bytes. Opening a named pipe would wait
//! for its other end, and reading a device may never end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The error of a path that names a directory, a pipe, a socket or a device.
const NOT_REGULAR: &str = "it is not a regular file";

/// Opens a regular file for reading.
///
/// # Errors
/// An [`io::Error`]. A path that names a pipe, a socket, a device or a directory fails at once.
pub fn open_regular_file(path: &Path) -> io::Result<File> {
    checked(open(path, true)?)
}

/// Opens a regular file like [`open_regular_file`], but follows no symbolic link: a node has no
/// links among its own files, and a link might lead to any other file.
///
/// # Errors
/// An [`io::Error`], for example if the path names a symbolic link.
pub fn open_own_file(path: &Path) -> io::Result<File> {
    checked(open(path, false)?)
}

/// Reads all bytes, if they are at most `bytes_max`.
///
/// # Errors
/// An [`io::Error`], for example if there are more bytes. Only the first of these is read.
pub fn read_bounded(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("it has more than {bytes_max} bytes, which is the limit");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Reads all text, if it is at most `bytes_max` bytes, as [`read_bounded`] does.
///
/// # Errors
/// An [`io::Error`], for example if the bytes are not UTF-8.
pub fn read_bounded_text(from: impl Read, bytes_max: u64) -> io::Result<String> {
    let text = String::from_utf8(read_bounded(from, bytes_max)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

fn checked(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(NOT_REGULAR)) }
}

/// Opens any file without waiting. The caller checks the file that was opened, not its name
/// beforehand, because another file may take the name in between.
#[cfg(unix)]
fn open(path: &Path, follows_links: bool) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::{Errno, retry_on_intr};

    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follows_links);
    match retry_on_intr(|| openat(CWD, path, flags, Mode::empty())) {
        Ok(file) => Ok(File::from(file)),
        // A socket, or a link that is not followed.
        Err(Errno::NXIO) => Err(io::Error::other(NOT_REGULAR)),
        Err(Errno::LOOP | Errno::MLINK) if !follows_links => Err(io::Error::other(NOT_REGULAR)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn open(path: &Path, follows_links: bool) -> io::Result<File> {
    if !follows_links && std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other(NOT_REGULAR));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        use std::os::unix::{fs::symlink, net::UnixListener};

        let root = tempfile::tempdir().expect("a directory");
        let path = |name: &str| root.path().join(name);
        std::fs::write(path("file"), "text").expect("the disk has space");
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let _socket = UnixListener::bind(path("socket")).expect("a socket");
        for (link, target) in [("link", "file"), ("to-pipe", "pipe"), ("loop", "loop")] {
            symlink(path(target), path(link)).expect("the disk has space");
        }
        for open in [open_regular_file, open_own_file] {
            let mut file = open(&path("file")).expect("it is a regular file");
            assert_eq!(read_bounded(&mut file, 4).expect("it has four bytes"), b"text");
            for other in [path("pipe"), path("socket"), path("to-pipe"), root.path().to_owned()] {
                let error = open(&other).expect_err("it is no regular file").to_string();
                assert_eq!(error, NOT_REGULAR, "{}", other.display());
            }
            let error = open(Path::new("/dev/zero")).expect_err("it is a device");
            assert_eq!(error.to_string(), NOT_REGULAR);
            let error = open(&path("none")).expect_err("there is no such file");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert!(open_regular_file(&path("link")).is_ok());
        let error = open_own_file(&path("link")).expect_err("it is a link");
        assert_eq!(error.to_string(), NOT_REGULAR);
        let error = open_regular_file(&path("loop")).expect_err("it leads nowhere");
        assert_ne!(error.to_string(), NOT_REGULAR);
    }

    #[test]
    fn no_more_than_the_bound_is_read() {
        for length in [0, 1, 7] {
            let bytes = vec![b'x'; length];
            assert_eq!(read_bounded(&bytes[..], 7).expect("it is within the bound"), bytes);
        }
        let error = read_bounded(io::repeat(0), 7).expect_err("it has no end");
        assert_eq!(error.to_string(), "it has more than 7 bytes, which is the limit");
        assert!(read_bounded(io::repeat(0), 0).is_err());
        assert_eq!(read_bounded_text(&b"text"[..], 7).expect("it is text"), "text");
        let error = read_bounded_text(&b"\xff"[..], 7).expect_err("it is no text");
        assert_eq!(error.to_string(), "it is not text in UTF-8");
    }
}
