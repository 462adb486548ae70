//! The trace of a run on standard output.

use std::io::{self, BufWriter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::cli::console;
use crate::run::TraceSink;

/// A trace on standard output. Only the first run of the seed is shown.
pub(crate) struct Trace {
    out: Arc<Mutex<BufWriter<io::Stdout>>>,
    taken: AtomicBool,
}

impl Trace {
    /// Nothing is written so far.
    pub(crate) fn to_stdout() -> Trace {
        let out = Arc::new(Mutex::new(BufWriter::new(io::stdout())));
        Trace { out, taken: AtomicBool::new(false) }
    }

    /// Where the first run writes; none for any after it.
    pub(crate) fn take(&self) -> Option<TraceSink> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let out = Arc::clone(&self.out);
        Some(Arc::new(move |line| {
            let mut out = out.lock().expect("nothing panics while it holds the lock");
            console::say_buffered(&mut *out, line);
        }))
    }

    /// Brings out what is written.
    pub(crate) fn flush(&self) {
        console::flush(&mut *self.out.lock().expect("nothing panics while it holds the lock"));
    }
}
