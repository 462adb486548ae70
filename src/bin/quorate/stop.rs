//! A command that makes files, told to stop half way: it ends its work, and leaves nothing behind.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use tokio::runtime::{Builder, Runtime};

use crate::exit::{Exit, Trouble};
use crate::signals::Signals;

/// Whether Ctrl-C or SIGTERM came.
#[derive(Debug)]
pub(crate) struct Stop {
    came: Arc<AtomicBool>,
    /// Where signals are heard.
    _listens: Runtime,
}

/// The same reader, writer or disk, until [`Stop`] says so: from then on everything fails.
#[derive(Debug)]
pub(crate) struct Until<'a, T>(pub(crate) &'a Stop, pub(crate) T);

const STOPPED: &str = "stopped by a signal";

impl Stop {
    /// From here on a signal is only noted; a second one ends the process.
    pub(crate) fn listen() -> Result<Stop, Trouble> {
        let trouble = |error| Trouble::wrong(format!("cannot listen for signals: {error}"));
        let listens = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let listens = listens.map_err(trouble)?;
        let signals = {
            let _within = listens.enter();
            Signals::listen().map_err(trouble)?
        };
        let came = Arc::new(AtomicBool::new(false));
        let notes = Arc::clone(&came);
        listens.spawn(async move {
            signals.wait().await;
            notes.store(true, Ordering::Relaxed);
        });
        Ok(Stop { came, _listens: listens })
    }

    fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    /// What came of the work, of which trouble leaves nothing: after a signal that is no fault.
    pub(crate) fn or_stopped<T>(&self, done: Result<T, Trouble>) -> Result<T, Trouble> {
        done.map_err(|trouble| match self.came() {
            true => Trouble { exit: Exit::Unreached, ..trouble },
            false => trouble,
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.came() { Err(io::Error::other(STOPPED)) } else { Ok(()) }
    }
}

impl<T: Read> Read for Until<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.check()?;
        self.1.read(buffer)
    }
}

impl<T: Write> Write for Until<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.check()?;
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl<D: Disk> Disk for Until<'_, D> {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.1.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        self.0.check().map_err(|error| DiskError::Failed(error.to_string()))?;
        self.1.execute(action)
    }
}
