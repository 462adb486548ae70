//! A deadline that each read or write of a connection moves, and that is rarely reached.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// A timer for deadlines that mostly move into the future. It stays registered with the runtime
/// between two waits: registering a new timer for each request would take longer than many other
/// steps of the request.
#[derive(Default)]
pub(super) struct MovingDeadline {
    /// The registered timer, which may fire before the deadline of the current wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl MovingDeadline {
    /// Waits until `deadline`, which may be earlier or later than that of the previous wait. The
    /// previous wait may have been dropped before its end. Returns at once if the time has passed.
    pub(super) async fn wait_until(&mut self, deadline: Instant) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        loop {
            timer.as_mut().await;
            if timer.deadline() >= deadline {
                return;
            }
            timer.as_mut().reset(deadline);
        }
    }
}

/// Waits for the future for at most `max`. Unlike tokio's `timeout`, it makes no timer for a future
/// that is ready at once.
pub(super) async fn timeout_unless_ready<F: Future>(
    max: Duration,
    future: F,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(max, future).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_may_move_in_both_directions() {
        let mut moving = MovingDeadline::default();
        let start = Instant::now();
        let seconds = |count| start + Duration::from_secs(count);
        // A wait that is given up leaves its timer behind.
        for given_up in [5, 7, 9] {
            let waiting = moving.wait_until(seconds(given_up));
            assert!(timeout(Duration::ZERO, waiting).await.is_err());
        }
        for deadline in [8, 20, 15, 21] {
            let before = Instant::now();
            moving.wait_until(seconds(deadline)).await;
            assert_eq!(Instant::now(), seconds(deadline).max(before));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_future_that_is_not_ready_is_limited() {
        let max = Duration::from_secs(1);
        assert_eq!(timeout_unless_ready(Duration::ZERO, async { 7 }).await, Ok(7));
        let started = Instant::now();
        assert!(timeout_unless_ready(max, std::future::pending::<()>()).await.is_err());
        assert_eq!(started.elapsed(), max);
    }
}
