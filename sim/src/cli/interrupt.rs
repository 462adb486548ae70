//! Ctrl-C handling: the first one stops the current work and prints its summary, a second one ends
//! the process, unless the process has to clean up.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::exit::Exit;

/// Set by the first Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether the current work polls [`interrupted`].
static POLLED: AtomicBool = AtomicBool::new(false);
/// Whether a second Ctrl-C is ignored because the process has to clean up.
static CLEANS_UP: AtomicBool = AtomicBool::new(false);

/// Installs the Ctrl-C handler. If `polled`, the caller polls [`interrupted`], and only a second
/// Ctrl-C ends the process; otherwise the first one does.
pub(crate) fn listen(polled: bool) {
    set_polled(polled);
    let result = ctrlc::set_handler(|| {
        let again = INTERRUPTED.swap(true, Ordering::Relaxed) && !CLEANS_UP.load(Ordering::Relaxed);
        if again || !POLLED.load(Ordering::Relaxed) {
            process::exit(Exit::Interrupted as i32);
        }
    });
    if let Err(error) = result {
        eprintln!("warning: Ctrl-C will end the command without a summary: {error}");
    }
}

/// Installs a Ctrl-C handler that never ends the process: the caller polls [`interrupted`],
/// cleans up and exits.
pub(crate) fn listen_and_clean_up() {
    CLEANS_UP.store(true, Ordering::Relaxed);
    listen(true);
}

/// Sets whether the caller polls [`interrupted`] from now on.
pub(crate) fn set_polled(polled: bool) {
    POLLED.store(polled, Ordering::Relaxed);
}

/// Returns true if the user has pressed Ctrl-C.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
