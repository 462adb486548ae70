//! What ends the command from outside: the first time in good order, the second at once.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// Listens for Ctrl-C, and for SIGTERM where there is one.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
}

/// Hears each SIGHUP, where there is one, from when it is made: none ends the process any more.
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

    /// Does this at each, until what is returned is dropped.
    pub(crate) fn each(self, work: impl Fn() + Send + 'static) -> JoinSet<()> {
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

/// What a shell says of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

#[cfg(unix)]
impl Signals {
    /// From here on no signal ends the process by itself.
    pub(crate) fn listen() -> io::Result<Signals> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the first signal; from then on another one ends the process.
    pub(crate) async fn wait(mut self) -> &'static str {
        let first = self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(INTERRUPTED);
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

    pub(crate) async fn wait(self) -> &'static str {
        // Where it cannot be heard it ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
        tokio::spawn(async {
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(INTERRUPTED);
        });
        "Ctrl-C"
    }
}
