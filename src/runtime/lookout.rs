//! Looking out for what comes next before going to sleep: to wake a thread whose processor sleeps
//! takes tens of microseconds, on a virtual machine more.

use std::time::Duration;

use crate::runtime::clock::Clock;
use crate::types::Instant;

/// How long to look out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookout {
    max: Duration,
}

impl Lookout {
    pub(super) fn new(max: Duration) -> Lookout {
        Lookout { max }
    }

    /// Looks for one thing, again and again. Whoever else wants the processor goes first.
    #[cfg(not(madsim))]
    pub(super) fn look<T>(self, mut thing: impl FnMut() -> Option<T>) -> Option<T> {
        let found = thing();
        if found.is_some() || self.max.is_zero() {
            return found;
        }
        let clock = Clock::start();
        while clock.now() < self.end() {
            std::thread::yield_now();
            let found = thing();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Keeps this thread from sleeping for a while, to be waited for beside what is looked out for:
    /// between two looks the runtime sees to its sockets. Never ends; once the time is over, it
    /// lets the thread sleep.
    pub(super) async fn keep<T>(self) -> T {
        if self.max.is_zero() {
            return std::future::pending().await;
        }
        let clock = Clock::start();
        while clock.now() < self.end() {
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        std::future::pending().await
    }

    /// By a clock that starts with the lookout.
    fn end(self) -> Instant {
        Instant(0).after(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_is_free() {
        let none = Lookout::new(Duration::ZERO);
        assert_eq!(none.look(|| Some(7)), Some(7));
        let mut looks = 0;
        let mut nothing = || {
            looks += 1;
            None::<u8>
        };
        assert_eq!(none.look(&mut nothing), None);
        assert_eq!(looks, 1);
    }

    #[test]
    fn what_comes_meanwhile_is_found() {
        let mut looks = 0;
        let found = Lookout::new(Duration::from_secs(3600)).look(|| {
            looks += 1;
            (looks == 5).then_some(looks)
        });
        assert_eq!(found, Some(5));
    }

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { tell.send(7) });
        let lookout = Lookout::new(Duration::from_secs(3600));
        let heard = tokio::select! {
            biased;
            heard = told => heard.ok(),
            never = lookout.keep() => never,
        };
        assert_eq!(heard, Some(7));
    }
}
