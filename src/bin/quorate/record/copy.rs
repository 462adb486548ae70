//! A copy of a recording: its files, up to the damage of each.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use quorate::recording::{EXTENSION, IntactPart, RecordingErrorReason};
use quorate::storage::open_own_file;
use serde_json::{Value, json};

use crate::atomic_file::AtomicFile;
use crate::data_directory::reject_within;
use crate::exit::{CommandError, CommandResult};
use crate::record::selection::{FileTimes, Selection};

/// The open files of a recording, oldest first.
pub(super) struct Recording {
    files: Vec<OpenFile>,
    /// The number of files of the recording, including those that were not opened.
    files_found: usize,
    /// A line for each file, or range of files, that the node removed before it was read to its
    /// end.
    removed: Vec<String>,
}

/// The copy that was written, and what the recording had.
#[derive(Debug)]
pub(super) struct Copied {
    path: PathBuf,
    files: usize,
    files_found: usize,
    bytes: u64,
    /// A line for each damaged file.
    pub(super) damaged: Vec<String>,
    /// A line for each file, or range of files, that the node removed meanwhile.
    pub(super) removed: Vec<String>,
}

/// One open file of the recording. The node may remove it meanwhile, and append to it.
pub(super) struct OpenFile {
    name: String,
    file: File,
    intact: IntactPart,
}

impl Recording {
    /// Opens the files in this directory, and reads what is intact. All of them are open before the
    /// first is read, because a running node removes the oldest.
    pub(super) fn open(directory: &Path) -> io::Result<Recording> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        let (mut opened, mut removed) = (Vec::new(), Vec::new());
        for path in paths {
            match open_own_file(&path) {
                Ok(file) => opened.push((path, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    removed.push(format!("{}: the node has removed it meanwhile", path.display()));
                }
                Err(error) => {
                    let text = format!("{}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        let files_found = opened.len() + removed.len();
        let open = |(path, file): (PathBuf, File)| OpenFile::new(path.display().to_string(), file);
        let files = opened.into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(Recording { files, files_found, removed })
    }

    /// Returns a recording that has `files_found` files, of which `files` were read. Each line of
    /// `removed` names files that the node removed meanwhile.
    pub(super) fn of(files: Vec<OpenFile>, files_found: usize, removed: Vec<String>) -> Recording {
        Recording { files, files_found, removed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes the intact parts of the chosen files to one file, which may not be within the data
    /// directory of a node.
    pub(super) fn write(mut self, path: &Path, selection: &Selection) -> CommandResult<Copied> {
        reject_within(path)?;
        let times: Vec<FileTimes> = self.files.iter().map(OpenFile::times).collect();
        let mut chosen = selection.of(&times).into_iter();
        self.files.retain(|_| chosen.next() == Some(true));
        if self.files.is_empty() {
            let path = path.display();
            let mut text = format!("{path}: the recording has no records of this time");
            self.removed.iter().for_each(|line| text.extend(["; ", line]));
            return Err(CommandError::invalid_input(text));
        }
        let written = self.write_files(path);
        let bytes = written
            .map_err(|error| CommandError::invalid_input(format!("{}: {error}", path.display())))?;
        let (path, files, files_found) = (path.to_owned(), self.files.len(), self.files_found);
        let damaged = self.files.iter().filter_map(OpenFile::damage).collect();
        let removed = self.removed;
        Ok(Copied { path, files, files_found, bytes, damaged, removed })
    }

    fn write_files(&mut self, path: &Path) -> io::Result<u64> {
        let output = AtomicFile::create(path)?;
        let mut bytes = 0;
        for OpenFile { file, intact, .. } in &mut self.files {
            file.rewind()?;
            bytes += io::copy(&mut file.take(intact.bytes), &mut output.file())?;
        }
        output.commit()?;
        Ok(bytes)
    }
}

impl Copied {
    pub(super) fn json(&self) -> Value {
        json!({
            "file": self.path.to_string_lossy(), "files": self.files,
            "files_found": self.files_found, "bytes": self.bytes, "damaged": self.damaged,
            "removed": self.removed,
        })
    }

    pub(super) fn text(&self) -> String {
        let Copied { path, files, files_found, bytes, .. } = self;
        format!("{}: {files} of {files_found} files, {bytes} bytes", path.display())
    }
}

impl OpenFile {
    /// Reads what is intact of the file, which has this name in messages.
    pub(super) fn new(name: String, mut file: File) -> io::Result<OpenFile> {
        file.rewind()?;
        let intact = IntactPart::of(BufReader::new(&file));
        Ok(OpenFile { name, file, intact })
    }

    pub(super) fn times(&self) -> FileTimes {
        FileTimes { begin: self.intact.begin, last_block: self.intact.last_block }
    }

    /// The damage that ends the intact part. The last block of a killed or running node may be
    /// incomplete, which is not damage.
    fn damage(&self) -> Option<String> {
        let error = self.intact.error.as_ref()?;
        let is_cut = matches!(error.reason, RecordingErrorReason::Cut { .. });
        (!is_cut).then(|| format!("{}: {error}", self.name))
    }
}
