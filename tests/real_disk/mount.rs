//! A file system of its own, in a file; gone when the test ends, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted image.
#[derive(Debug)]
pub(crate) struct Image {
    file: PathBuf,
    point: PathBuf,
    mounted: bool,
    /// Removed last.
    _folder: TempDir,
}

impl Image {
    /// A new ext4 file system of `bytes` bytes, mounted; the reason, if that cannot be had here.
    pub(crate) fn new(bytes: u64) -> Result<Image, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (file, point) = (folder.path().join("image"), folder.path().join("mounted"));
        std::fs::create_dir(&point).map_err(|error| error.to_string())?;
        let made = File::create(&file).and_then(|image| image.set_len(bytes));
        made.map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&file))?;
        let mut image = Image { file, point, mounted: false, _folder: folder };
        image.mount()?;
        Ok(image)
    }

    pub(crate) fn mount(&mut self) -> Result<(), String> {
        assert!(!self.mounted);
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.point))?;
        self.mounted = true;
        Ok(())
    }

    pub(crate) fn unmount(&mut self) -> Result<(), String> {
        assert!(self.mounted);
        run(Command::new("umount").arg(&self.point))?;
        self.mounted = false;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.point
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily, so that it goes even if a process that is dying still has files open.
            let result = run(Command::new("umount").arg("-l").arg(&self.point));
            if let Err(error) = result {
                eprintln!("left behind: {error}");
            }
        }
    }
}

/// Runs a command to its end; the reason, if it is missing or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let message = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", message.trim())) }
}
