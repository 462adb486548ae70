//! Signals: the first SIGTERM or Ctrl-C shuts the command down cleanly, the second ends it at once.
//! SIGHUP reloads the certificates of a node.

use std::io;

use tokio::runtime::{Builder, Runtime};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::info;
#[cfg(unix)]
use tracing::warn;

use crate::service_manager;
use crate::service_output;
#[cfg(unix)]
use crate::work_thread::{Requested, WorkThread};

/// Listens for Ctrl-C, and for SIGTERM on Unix.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
}

/// Listens for SIGHUP on Unix. After [`Hangups::listen`] SIGHUP no longer ends the process.
pub(crate) struct Hangups(#[cfg(unix)] Option<Signal>);

impl Hangups {
    #[cfg(unix)]
    pub(crate) fn listen() -> Hangups {
        Hangups(signal(SignalKind::hangup()).ok())
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Hangups {
        Hangups()
    }

    /// Reloads certificates at each SIGHUP, until the returned set is dropped. `reload` is called
    /// on a thread of its own, because it reads files, and the file system may hang.
    ///
    /// # Errors
    /// The thread cannot be started.
    #[cfg(unix)]
    pub(crate) fn spawn_reloads(
        self,
        reload: impl Fn() + Send + 'static,
    ) -> io::Result<JoinSet<()>> {
        let mut listening = JoinSet::new();
        let Some(mut hangup) = self.0 else { return Ok(listening) };
        let thread = WorkThread::start("reload", reload)?;
        listening.spawn(async move {
            while hangup.recv().await.is_some() {
                match thread.request() {
                    Requested::Begins => {}
                    Requested::Waits => warn!(
                        "SIGHUP: the certificates are still being read after an earlier SIGHUP, \
                         and are read once more after that; does their file system answer?"
                    ),
                    Requested::Ended => panic!("the thread that reads the certificates panicked"),
                }
            }
        });
        Ok(listening)
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "only Unix starts a thread")]
    pub(crate) fn spawn_reloads(self, _: impl Fn() + Send + 'static) -> io::Result<JoinSet<()>> {
        Ok(JoinSet::new())
    }
}

/// Ends the process at the first signal while the node starts, which blocks its thread and needs no
/// clean shutdown.
#[derive(Debug)]
pub(crate) struct Starting {
    /// The thread that listens for signals; `None` once this is being dropped.
    runtime: Option<Runtime>,
    tasks: JoinSet<()>,
}

impl Starting {
    /// Starts to listen, on a thread of its own.
    pub(crate) fn listen() -> io::Result<Starting> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        // An early return must not drop the runtime itself: see `Drop`.
        let mut starting = Starting { runtime: Some(runtime), tasks: JoinSet::new() };
        let mut signals = {
            let _within = starting.runtime().enter();
            Signals::listen()?
        };
        starting.spawn_until_started(async move {
            let signal = signals.next().await;
            info!(signal, "the node ends before it has started");
            service_manager::notify("STOPPING=1");
            service_output::exit(0);
        });
        Ok(starting)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is there until the drop")
    }

    /// Runs the future on the listening thread until [`Starting::end`].
    pub(crate) fn spawn_until_started(
        &mut self,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let on = self.runtime().handle().clone();
        self.tasks.spawn_on(future, &on);
    }

    /// Cancels the futures, and waits until they have ended.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // A runtime that is dropped within another one would have to wait for its threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The exit code that shells report for a process ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

impl Signals {
    /// Waits for the first signal and returns its name; a second signal ends the process.
    pub(crate) async fn wait(mut self) -> &'static str {
        let first = self.next().await;
        tokio::spawn(async move {
            self.next().await;
            service_output::exit(INTERRUPTED);
        });
        first
    }
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen: from now on neither SIGTERM nor Ctrl-C ends the process by default. Nor
    /// does SIGXFSZ, so that a write beyond the limit of file sizes returns an error instead.
    pub(crate) fn listen() -> io::Result<Signals> {
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals {})
    }

    async fn next(&mut self) -> &'static str {
        // If no handler can be installed, Ctrl-C ends the process.
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }
}
