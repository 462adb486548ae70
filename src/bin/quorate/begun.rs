//! Directories that are being made, and that are gone again if not all of them come to be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate::storage::{DiskError, FileDisk};

use crate::exit::Trouble;

/// What was made so far.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Directories that were not there before, each after the one that it is in.
    made: Vec<PathBuf>,
    /// Directories that were empty, whoever made them: everything in them is of this work.
    owned: Vec<PathBuf>,
}

impl Begun {
    /// Opens the directory, made if it is missing.
    pub(crate) fn begin(&mut self, directory: &Path) -> Result<FileDisk, DiskError> {
        let missing = directory.ancestors().take_while(|path| !path.as_os_str().is_empty());
        let mut missing: Vec<_> = missing.take_while(|path| !path.exists()).collect();
        missing.reverse();
        self.made.extend(missing.into_iter().map(Path::to_owned));
        FileDisk::open(directory)
    }

    /// What is in the directory, which is open, goes with it.
    pub(crate) fn owns(&mut self, directory: &Path) {
        self.owned.push(directory.to_owned());
    }

    /// Removes all of it, because of this trouble, and adds to it what could not be removed.
    pub(crate) fn undo(self, trouble: Trouble) -> Trouble {
        let mut left = Vec::new();
        for directory in &self.owned {
            if empty(directory).is_err() {
                left.push(directory.display().to_string());
            }
        }
        for directory in self.made.iter().rev() {
            // If somebody has put something there since, it stays.
            let _ = fs::remove_dir(directory);
        }
        let left = match left.is_empty() {
            true => "nothing was made".to_owned(),
            false => format!("remove what was begun, and begin again: {}", left.join(", ")),
        };
        Trouble { text: format!("{}; {left}", trouble.text), ..trouble }
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    fs::read_dir(directory)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afterwards_everything_is_as_it_was() {
        let root = tempfile::tempdir().expect("there is room");
        let (there, new) = (root.path().join("there"), root.path().join("a/b/new"));
        fs::create_dir(&there).expect("there is room");
        let mut begun = Begun::default();
        for directory in [&there, &new] {
            drop(begun.begin(directory).expect("there is room"));
            begun.owns(directory);
            fs::write(directory.join("log-1"), "half").expect("there is room");
        }
        assert_eq!(begun.undo(Trouble::wrong("no")).text, "no; nothing was made");
        let count = |path: &Path| fs::read_dir(path).expect("it is there").count();
        assert_eq!((count(root.path()), count(&there)), (1, 0));
    }

    #[test]
    fn what_is_not_of_this_work_stays_and_what_is_left_is_named() {
        let root = tempfile::tempdir().expect("there is room");
        let (other, own) = (root.path().join("out/1"), root.path().join("out/2"));
        let mut begun = Begun::default();
        drop(begun.begin(&other).expect("there is room"));
        drop(begun.begin(&own).expect("there is room"));
        begun.owns(&own);
        fs::create_dir(own.join("lost+found")).expect("there is room");
        let told = begun.undo(Trouble::wrong("no")).text;
        let left = format!("no; remove what was begun, and begin again: {}", own.display());
        assert_eq!(told, left);
        assert!(other.join("lock").exists());
    }
}
