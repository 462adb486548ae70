//! Ctrl-C: the first one ends what is under way with its summary, a second one the process, unless
//! that would leave something behind.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::exit::Exit;

/// Set by Ctrl-C.
static HEARD: AtomicBool = AtomicBool::new(false);
/// Whether somebody asks [`heard`] now and then.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// Whether the process ends only when it has cleaned up.
static CLEANS_UP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is heard; where nobody watches, it ends the process at once.
pub(crate) fn listen(watched: bool) {
    watch(watched);
    let listening = ctrlc::set_handler(|| {
        let again = HEARD.swap(true, Ordering::Relaxed) && !CLEANS_UP.load(Ordering::Relaxed);
        if again || !WATCHED.load(Ordering::Relaxed) {
            process::exit(Exit::Interrupted as i32);
        }
    });
    if let Err(error) = listening {
        eprintln!("warning: Ctrl-C will end the command without a summary: {error}");
    }
}

/// From now on Ctrl-C is heard, and nothing but the caller ends the process.
pub(crate) fn listen_and_clean_up() {
    CLEANS_UP.store(true, Ordering::Relaxed);
    listen(true);
}

/// Says whether somebody asks [`heard`] from now on.
pub(crate) fn watch(watched: bool) {
    WATCHED.store(watched, Ordering::Relaxed);
}

/// Whether there was a Ctrl-C.
pub(crate) fn heard() -> bool {
    HEARD.load(Ordering::Relaxed)
}
