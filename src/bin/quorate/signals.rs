//! Signals: the first SIGTERM or Ctrl-C shuts the command down cleanly, the second ends it at once.

use std::io;

use tokio::runtime::{Builder, Runtime};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::info;

use crate::service_manager;
use crate::service_output;

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

    /// Calls `work` at each SIGHUP, until the returned set is dropped.
    pub(crate) fn spawn_for_each(self, work: impl Fn() + Send + 'static) -> JoinSet<()> {
        let mut listening = JoinSet::new();
        #[cfg(unix)]
        if let Some(mut hangup) = self.0 {
            listening.spawn(async move {
                while hangup.recv().await.is_some() {
                    work();
                }
            });
        }
        #[cfg(not(unix))]
        drop(work);
        listening
    }
}

/// Ends the process at the first signal while the node starts, which blocks its thread and needs no
/// clean shutdown.
#[derive(Debug)]
pub(crate) struct Starting {
    /// The thread that listens for signals; none once this is being dropped.
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

#[cfg(unix)]
impl Signals {
    /// Starts to listen: from now on neither SIGTERM nor Ctrl-C ends the process by default.
    pub(crate) fn listen() -> io::Result<Signals> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal and returns its name; a second signal ends the process.
    pub(crate) async fn wait(mut self) -> &'static str {
        let first = self.next().await;
        tokio::spawn(async move {
            self.next().await;
            service_output::exit(INTERRUPTED);
        });
        first
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

    pub(crate) async fn wait(mut self) -> &'static str {
        let first = self.next().await;
        tokio::spawn(async move {
            self.next().await;
            service_output::exit(INTERRUPTED);
        });
        first
    }

    async fn next(&mut self) -> &'static str {
        // If no handler can be installed, Ctrl-C ends the process.
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }
}
