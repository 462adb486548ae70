//! Busy polling before a thread sleeps, because waking a thread whose processor sleeps takes tens
//! of microseconds, and more on a virtual machine.

use std::time::Duration;

use crate::runtime::clock::Clock;
use crate::runtime::environment::Environment;
use crate::types::Instant;

/// The duration of busy polling before a thread sleeps; zero disables it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BusyPoll {
    max: Duration,
}

impl BusyPoll {
    /// Returns the polling for `max`; in a simulation, whose clock does not advance meanwhile, no
    /// polling.
    pub(super) fn new(environment: &Environment, max: Duration) -> BusyPoll {
        let max = environment.simulation().map_or(max, |_| Duration::ZERO);
        BusyPoll { max }
    }

    /// Calls `poll_once` until it returns a value or the duration is over, and yields the processor
    /// between two calls. A duration of zero allows one call.
    pub(super) fn poll<T>(self, mut poll_once: impl FnMut() -> Option<T>) -> Option<T> {
        let found = poll_once();
        if found.is_some() || self.max.is_zero() {
            return found;
        }
        let clock = Clock::start(&Environment::System);
        while clock.now() < self.end() {
            std::thread::yield_now();
            let found = poll_once();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Keeps this thread awake for the duration, as a branch of a `select!`: the runtime polls its
    /// sockets between two yields. Never completes; once the duration is over, the thread may
    /// sleep.
    pub(super) async fn keep_awake<T>(self) -> T {
        if self.max.is_zero() {
            return std::future::pending().await;
        }
        let clock = Clock::start(&Environment::System);
        while clock.now() < self.end() {
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        std::future::pending().await
    }

    /// The end of the polling, on a clock that starts together with it.
    fn end(self) -> Instant {
        Instant(0).after(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_busy_polling_still_polls_once() {
        let disabled = BusyPoll::new(&Environment::System, Duration::ZERO);
        assert_eq!(disabled.poll(|| Some(7)), Some(7));
        let mut polls = 0;
        let mut empty = || {
            polls += 1;
            None::<u8>
        };
        assert_eq!(disabled.poll(&mut empty), None);
        assert_eq!(polls, 1);
    }

    #[test]
    fn a_value_that_arrives_during_the_polling_is_returned() {
        let mut polls = 0;
        let found = BusyPoll::new(&Environment::System, Duration::from_secs(3600)).poll(|| {
            polls += 1;
            (polls == 5).then_some(polls)
        });
        assert_eq!(found, Some(5));
    }

    #[tokio::test]
    async fn other_tasks_run_while_the_thread_is_kept_awake() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(7) });
        let busy_poll = BusyPoll::new(&Environment::System, Duration::from_secs(3600));
        let received = tokio::select! {
            biased;
            received = receiver => received.ok(),
            never = busy_poll.keep_awake() => never,
        };
        assert_eq!(received, Some(7));
    }
}
