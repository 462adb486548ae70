//! A node's own clock: it drifts and jumps, but never goes back.

use std::time::Duration;

use quorate::types::Instant;

use crate::time::SimTime;

const MILLION: u64 = 1_000_000;

/// One node's clock, as a line through a known point of true and own time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    true_origin: SimTime,
    own_origin: Instant,
    /// Own nanoseconds per million true ones.
    rate: u64,
}

impl Clock {
    /// The largest deviation of a clock's rate, in parts per million.
    pub(crate) const DRIFT_MAX_PPM: i32 = 50_000;

    /// A clock that is right about rates and off by `offset`.
    pub(crate) fn new(offset: Duration) -> Clock {
        let own_origin = Instant::ZERO.after(offset);
        Clock { true_origin: SimTime::default(), own_origin, rate: MILLION }
    }

    /// What the clock shows at the true time `now`.
    pub(crate) fn read(&self, now: SimTime) -> Instant {
        let elapsed = now.0 - self.true_origin.0;
        Instant(self.own_origin.0 + scaled(elapsed, self.rate, MILLION))
    }

    /// The first true time, not before `now`, at which the clock shows `instant` or later.
    pub(crate) fn when(&self, instant: Instant, now: SimTime) -> SimTime {
        if instant == Instant::NEVER {
            return SimTime(u64::MAX);
        }
        let ahead = instant.0.saturating_sub(self.own_origin.0);
        // Rounding down twice may fall short by one own nanosecond's worth of true time.
        let elapsed = scaled(ahead, MILLION, self.rate).saturating_add(2);
        SimTime(self.true_origin.0.saturating_add(elapsed)).max(now)
    }

    /// From `now` on the clock runs `ppm` parts per million fast, or slow if negative.
    pub(crate) fn drift(&mut self, now: SimTime, ppm: i32) {
        let ppm = ppm.clamp(-Self::DRIFT_MAX_PPM, Self::DRIFT_MAX_PPM);
        self.rebase(now);
        self.rate = MILLION.saturating_add_signed(i64::from(ppm));
    }

    /// The clock jumps ahead.
    pub(crate) fn jump(&mut self, now: SimTime, by: Duration) {
        self.rebase(now);
        self.own_origin = self.own_origin.after(by);
    }

    fn rebase(&mut self, now: SimTime) {
        self.own_origin = self.read(now);
        self.true_origin = now;
    }
}

/// `amount * numerator / denominator`, rounded down.
fn scaled(amount: u64, numerator: u64, denominator: u64) -> u64 {
    if numerator == denominator {
        return amount;
    }
    let wide = u128::from(amount) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_goes_back_whatever_happens_to_it() {
        let mut clock = Clock::new(Duration::from_millis(3));
        let mut shown = clock.read(SimTime(0));
        for step in 1..200u64 {
            let now = SimTime(step * 1_234_567);
            match step % 5 {
                0 => clock.drift(now, -70_000),
                1 => clock.drift(now, 33_333),
                2 => clock.jump(now, Duration::from_micros(step)),
                _ => {}
            }
            assert!(clock.read(now) >= shown);
            shown = clock.read(now);
        }
    }

    #[test]
    fn the_wake_up_time_is_late_enough_and_not_much_later() {
        for ppm in [-50_000, -1, 0, 1, 49_999] {
            let mut clock = Clock::new(Duration::ZERO);
            clock.drift(SimTime(1_000), ppm);
            for own in [1_000, 12_345, 999_999_999, 77_777_777_777] {
                let at = clock.when(Instant(own), SimTime(1_000));
                assert!(clock.read(at) >= Instant(own), "{ppm} {own}");
                let early = SimTime(at.0.saturating_sub(4).max(1_000));
                assert!(clock.read(early) <= Instant(own), "{ppm} {own}");
            }
        }
    }

    #[test]
    fn a_deadline_that_never_comes_is_never_due() {
        let clock = Clock::new(Duration::ZERO);
        assert_eq!(clock.when(Instant::NEVER, SimTime(5)), SimTime(u64::MAX));
    }
}
