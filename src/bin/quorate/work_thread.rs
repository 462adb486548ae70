//! A thread that carries out the same work at each request, for work that may wait for a file
//! system that hangs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

/// The thread, which ends once this is dropped and its work is done. The end of the process does
/// not wait for it.
#[derive(Debug)]
pub(crate) struct WorkThread {
    requests: SyncSender<()>,
    is_working: Arc<AtomicBool>,
}

/// The effect of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// The thread begins the work.
    Begins,
    /// The work of an earlier request has not ended. Once it has, the thread carries out the work
    /// once more, for this request and for all others that arrive until then.
    Waits,
    /// Nothing, because the work has panicked.
    Ended,
}

impl WorkThread {
    pub(crate) fn start(
        name: &str,
        mut work: impl FnMut() + Send + 'static,
    ) -> io::Result<WorkThread> {
        let (requests, requested) = sync_channel(1);
        let is_working = Arc::new(AtomicBool::new(false));
        let working = Arc::clone(&is_working);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            for () in requested {
                working.store(true, Ordering::SeqCst);
                work();
                working.store(false, Ordering::SeqCst);
            }
        })?;
        Ok(WorkThread { requests, is_working })
    }

    /// Requests the work, without waiting for it.
    pub(crate) fn request(&self) -> Requested {
        let is_working = self.is_working.load(Ordering::SeqCst);
        match self.requests.try_send(()) {
            Err(TrySendError::Disconnected(())) => Requested::Ended,
            Ok(()) if !is_working => Requested::Begins,
            Ok(()) | Err(TrySendError::Full(())) => Requested::Waits,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn requests_during_work_that_hangs_are_one_request() {
        let (begun, begins) = channel();
        let (ends, end) = channel::<()>();
        let thread = WorkThread::start("work", move || {
            begun.send(()).expect("the test waits");
            end.recv().expect("the test ends the work");
        });
        let thread = thread.expect("a thread starts");
        assert_eq!(thread.request(), Requested::Begins);
        begins.recv().expect("the work begins");
        assert_eq!([(); 5].map(|()| thread.request()), [Requested::Waits; 5]);
        for _ in 0..2 {
            ends.send(()).expect("the work waits");
        }
        begins.recv().expect("it begins again");
        drop(thread);
        assert!(begins.recv().is_err(), "five requests are one, and the thread ends");
    }

    #[test]
    fn work_that_has_panicked_is_reported() {
        let (begun, begins) = channel::<()>();
        let thread = WorkThread::start("work", move || {
            let _held = &begun;
            panic!("the work panics");
        });
        let thread = thread.expect("a thread starts");
        assert_eq!(thread.request(), Requested::Begins);
        assert!(begins.recv().is_err(), "the thread ends");
        while thread.request() != Requested::Ended {
            thread::yield_now();
        }
    }
}
