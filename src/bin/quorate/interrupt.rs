//! Interrupts a command that creates files: after a signal the command stops and removes its files.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use tokio::runtime::{Builder, Runtime};

use crate::exit::{CommandError, CommandResult, Exit};
use crate::signals::Signals;

/// Whether Ctrl-C or SIGTERM was received.
#[derive(Debug)]
pub(crate) struct Interrupt {
    received: Arc<AtomicBool>,
    /// The runtime that listens for signals.
    _runtime: Runtime,
}

/// A reader, writer or disk that fails after an [`Interrupt`].
#[derive(Debug)]
pub(crate) struct Interruptible<'a, T>(pub(crate) &'a Interrupt, pub(crate) T);

const INTERRUPTED: &str = "interrupted by a signal";

impl Interrupt {
    /// Starts to listen: from now on the first signal sets the flag, and a second one ends the
    /// process.
    pub(crate) fn listen() -> CommandResult<Interrupt> {
        let failed =
            |error| CommandError::invalid_input(format!("cannot listen for signals: {error}"));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let signals = {
            let _within = runtime.enter();
            Signals::listen().map_err(failed)?
        };
        let received = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&received);
        runtime.spawn(async move {
            signals.wait().await;
            flag.store(true, Ordering::Relaxed);
        });
        Ok(Interrupt { received, _runtime: runtime })
    }

    fn is_received(&self) -> bool {
        self.received.load(Ordering::Relaxed)
    }

    /// Changes the exit code of an error after a signal to [`Exit::NotExecuted`], because the
    /// interrupted command has removed its files.
    pub(crate) fn or_interrupted<T>(&self, done: CommandResult<T>) -> CommandResult<T> {
        done.map_err(|error| match self.is_received() {
            true => CommandError { exit: Exit::NotExecuted, ..error },
            false => error,
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.is_received() { Err(io::Error::other(INTERRUPTED)) } else { Ok(()) }
    }
}

impl<T: Read> Read for Interruptible<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.check()?;
        self.1.read(buffer)
    }
}

impl<T: Write> Write for Interruptible<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.check()?;
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl<D: Disk> Disk for Interruptible<'_, D> {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.1.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        self.0.check().map_err(|error| DiskError::Environment(error.to_string()))?;
        self.1.execute(action)
    }
}
