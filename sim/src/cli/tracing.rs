//! The trace of a run on standard output.

use std::io::{self, BufWriter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::cli::console;
use crate::run::TraceSink;

/// A trace on standard output. If a seed is run twice to compare the outcomes, only its first run
/// is traced.
pub(crate) struct Trace {
    out: Arc<Mutex<BufWriter<io::Stdout>>>,
    taken: AtomicBool,
}

impl Trace {
    /// Returns an empty trace.
    pub(crate) fn to_stdout() -> Trace {
        let out = Arc::new(Mutex::new(BufWriter::new(io::stdout())));
        Trace { out, taken: AtomicBool::new(false) }
    }

    /// Returns the sink for the first run, and `None` for every later run.
    pub(crate) fn take(&self) -> Option<TraceSink> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let out = Arc::clone(&self.out);
        Some(Arc::new(move |line| {
            let mut out = out.lock().expect("nothing panics while it holds the lock");
            console::write_line(&mut *out, line);
        }))
    }

    /// Flushes the written lines.
    pub(crate) fn flush(&self) {
        console::flush(&mut *self.out.lock().expect("nothing panics while it holds the lock"));
    }
}
