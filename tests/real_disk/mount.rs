//! A temporary file system in an image file, which is unmounted and removed when the test ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system image.
#[derive(Debug)]
pub(crate) struct Image {
    file: PathBuf,
    point: PathBuf,
    mounted: bool,
    /// Dropped last, which removes the image file.
    _folder: TempDir,
}

impl Image {
    /// Creates and mounts an ext4 file system of `bytes` bytes; returns the reason if that is not
    /// possible here.
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
            // Unmounts lazily, because a process that is being killed may have files open.
            let result = run(Command::new("umount").arg("-l").arg(&self.point));
            if let Err(error) = result {
                eprintln!("cannot unmount the image: {error}");
            }
        }
    }
}

/// Runs a command until it ends; returns the reason if it is missing or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let message = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", message.trim())) }
}
