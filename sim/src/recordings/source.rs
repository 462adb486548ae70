//! The files of a recording, oldest first.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::recording::{EXTENSION, FOLDER};

/// One file of a recording, with the size that it had when it was found.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, and its size in bytes. The node may still append to it.
    File(PathBuf, u64),
    /// Bytes in memory, with a name for errors.
    Memory(String, Arc<[u8]>),
}

impl Source {
    /// Returns the files at `path`: the file itself, the content of a pipe, or the files of a
    /// directory of recordings, or of the recording in a node's data directory.
    ///
    /// # Errors
    /// If the path cannot be read, or is a directory without a recording.
    pub fn find(path: &Path) -> io::Result<Vec<Source>> {
        let metadata = fs::metadata(path)?;
        if metadata.is_file() {
            return Ok(vec![Source::File(path.to_owned(), metadata.len())]);
        }
        if !metadata.is_dir() {
            // A recording is read several times, and a pipe only once.
            return Ok(vec![Source::Memory(path.display().to_string(), fs::read(path)?.into())]);
        }
        let inside = path.join(FOLDER);
        let directory = if inside.is_dir() { &inside } else { path };
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                // A running node removes its oldest files.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                found.push(Source::File(path, metadata.len()));
            }
        }
        if found.is_empty() {
            let text = format!("no files of a recording, whose names end with .{EXTENSION}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        // The numbers in the names have ten digits, so names sort like their numbers.
        found.sort_by_key(Source::to_string);
        Ok(found)
    }

    /// Whether the content is later than that of a file that was read before: the two are one file,
    /// or files of one ring, which are numbered.
    pub(super) fn is_later_than(&self, earlier: &Source) -> bool {
        match (self, earlier) {
            (Source::File(file, _), Source::File(earlier, _)) => {
                let numbers = ring_number(file).zip(ring_number(earlier));
                let is_after = numbers.is_some_and(|(number, earlier)| number > earlier);
                file == earlier || file.parent() == earlier.parent() && is_after
            }
            (Source::Memory(name, _), Source::Memory(earlier, _)) => name == earlier,
            _ => false,
        }
    }

    /// Opens the file for reading.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Source::File(path, bytes) => Box::new(BufReader::new(File::open(path)?).take(*bytes)),
            Source::Memory(_, bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
        })
    }
}

/// The number in the name of a file of a ring; `None` for any other file.
fn ring_number(file: &Path) -> Option<u64> {
    let name = file.file_stem()?.to_str()?;
    let is_number = name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_number)
}

impl fmt::Display for Source {
    /// Prints the path, or the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path, _) => write!(f, "{}", path.display()),
            Source::Memory(name, _) => f.write_str(name),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::thread;

    use crate::recordings::source::{Read, Source, fs};

    #[test]
    fn the_content_of_a_pipe_can_be_read_several_times() {
        let root = tempfile::tempdir().expect("a directory");
        let pipe = root.path().join("n1.qrec");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "the pipe was not made");
        let to = pipe.clone();
        let writer = thread::spawn(move || fs::write(to, "a recording"));
        let found = Source::find(&pipe).expect("the pipe can be read");
        assert!(matches!(found[..], [Source::Memory(..)]), "it was not read: {found:?}");
        writer.join().expect("it does not panic").expect("the pipe is read");
        for _ in 0..2 {
            let mut text = String::new();
            let mut input = found[0].open().expect("it is in memory");
            input.read_to_string(&mut text).expect("it is text");
            assert_eq!(text, "a recording");
        }
    }
}
