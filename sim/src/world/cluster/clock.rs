//! A node's own clock: it drifts and steps forward, but never goes backwards.

use std::time::Duration;

use quorate::types::Instant;

use crate::faults::ClockDrift;
use crate::values::time::SimTime;

const MILLION: u64 = 1_000_000;

/// The latest reading to which steps set a clock, so that the time after it fits in a reading.
const STEPS_TO: Instant = Instant(u64::MAX / 2);

/// A node's clock, as a line through a known point of true time and own time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    true_origin: SimTime,
    own_origin: Instant,
    /// The own nanoseconds per million true ones, unless the clock is stopped.
    rate: u64,
    /// The rate without a fault.
    base_rate: u64,
    /// The drifts that have not ended, in parts per million, in the order of their beginnings. The
    /// clock has the rate of the last one.
    drifts: Vec<i32>,
    is_stopped: bool,
}

impl Clock {
    /// Returns a clock with this offset that runs `ppm` parts per million fast, or slow if
    /// negative.
    pub(crate) fn new(offset: Duration, ppm: i32) -> Clock {
        let own_origin = Instant::ZERO.after(offset);
        let rate = rate(ppm);
        let (true_origin, base_rate) = (SimTime::default(), rate);
        Clock { true_origin, own_origin, rate, base_rate, drifts: Vec::new(), is_stopped: false }
    }

    /// Returns the reading of the clock at the true time `now`.
    pub(crate) fn read(&self, now: SimTime) -> Instant {
        let elapsed = now.0 - self.true_origin.0;
        let rate = if self.is_stopped { 0 } else { self.rate };
        Instant(self.own_origin.0 + scaled(elapsed, rate, MILLION))
    }

    /// Returns the first true time, not before `now`, at which the clock reads `instant` or later.
    pub(crate) fn when(&self, instant: Instant, now: SimTime) -> SimTime {
        if instant == Instant::NEVER {
            return SimTime(u64::MAX);
        }
        let ahead = instant.0.saturating_sub(self.own_origin.0);
        if self.is_stopped && ahead > 0 {
            return SimTime(u64::MAX);
        }
        // Both conversions round down, so the result may be early by the true time of one own
        // nanosecond, which is less than 2 ns.
        let elapsed = scaled(ahead, MILLION, self.rate.max(1)).saturating_add(2);
        SimTime(self.true_origin.0.saturating_add(elapsed)).max(now)
    }

    /// Makes the clock run `ppm` parts per million fast, or slow if negative, from `now` on.
    pub(crate) fn drift(&mut self, now: SimTime, ppm: i32) {
        self.rebase(now);
        self.rate = rate(ppm);
        self.drifts.push(ppm);
    }

    /// Ends a drift by `ppm`. From `now` on the clock has the rate of the drift that began last
    /// among the others, or its rate without faults if there is no other. If several drifts are
    /// equal, the first of them ends.
    pub(crate) fn end_drift(&mut self, now: SimTime, ppm: i32) {
        let Some(place) = self.drifts.iter().position(|drift| *drift == ppm) else { return };
        self.drifts.remove(place);
        let rate = self.drifts.last().map_or(self.base_rate, |ppm| rate(*ppm));
        if rate != self.rate {
            self.rebase(now);
            self.rate = rate;
        }
    }

    /// Stops the clock at its reading at `now`.
    pub(crate) fn stop(&mut self, now: SimTime) {
        self.rebase(now);
        self.is_stopped = true;
    }

    /// Lets a stopped clock run again, from `now` on.
    pub(crate) fn resume(&mut self, now: SimTime) {
        self.rebase(now);
        self.is_stopped = false;
    }

    /// Returns true if the clock is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Ends all drifts, from `now` on, and lets a stopped clock run again.
    pub(crate) fn recover(&mut self, now: SimTime) {
        self.resume(now);
        self.rate = self.base_rate;
        self.drifts.clear();
    }

    /// Steps the clock forward, but not beyond [`STEPS_TO`].
    pub(crate) fn step(&mut self, now: SimTime, by: Duration) {
        self.rebase(now);
        self.own_origin = self.own_origin.after(by).min(STEPS_TO.max(self.own_origin));
    }

    fn rebase(&mut self, now: SimTime) {
        self.own_origin = self.read(now);
        self.true_origin = now;
    }
}

/// Returns the rate of a clock that runs `ppm` parts per million fast.
fn rate(ppm: i32) -> u64 {
    assert!(ppm.unsigned_abs() <= ClockDrift::PPM_MAX, "settings and scenarios bound the rate");
    MILLION.saturating_add_signed(i64::from(ppm))
}

/// Returns `amount * numerator / denominator`, rounded down.
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
    fn a_clock_never_goes_backwards() {
        let mut clock = Clock::new(Duration::from_millis(3), 12_345);
        let mut shown = clock.read(SimTime(0));
        for step in 1..200u64 {
            let now = SimTime(step * 1_234_567);
            match step % 5 {
                0 => clock.drift(now, -49_999),
                1 => clock.drift(now, 33_333),
                2 => clock.step(now, Duration::from_micros(step)),
                3 if step % 2 == 0 => clock.stop(now),
                3 => clock.recover(now),
                _ => {}
            }
            assert!(clock.read(now) >= shown);
            shown = clock.read(now);
        }
        for later in [1, 2] {
            clock.step(SimTime(later << 40), Duration::MAX);
            assert!(clock.read(SimTime(later << 41)) > shown);
        }
    }

    #[test]
    fn the_wake_up_time_is_not_early_and_hardly_late() {
        for ppm in [-50_000, -1, 0, 1, 49_999] {
            let mut clock = Clock::new(Duration::ZERO, 0);
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
    fn the_end_of_a_drift_ends_no_other_and_starts_no_stopped_clock() {
        let second = |number: u64| SimTime(number * 1_000_000_000);
        let mut clock = Clock::new(Duration::ZERO, 0);
        clock.drift(second(0), 10_000);
        clock.drift(second(0), 20_000);
        clock.end_drift(second(0), 10_000);
        assert_eq!(clock.read(second(1)), Instant(1_020_000_000));
        clock.stop(second(1));
        clock.end_drift(second(1), 20_000);
        assert_eq!(clock.read(second(2)), Instant(1_020_000_000));
        clock.resume(second(2));
        assert_eq!(clock.read(second(3)), Instant(2_020_000_000));
    }

    #[test]
    fn an_earlier_drift_counts_again_once_a_later_one_has_ended() {
        let second = |number: u64| SimTime(number * 1_000_000_000);
        let mut clock = Clock::new(Duration::ZERO, 0);
        clock.drift(second(0), 10_000);
        clock.drift(second(0), 20_000);
        clock.end_drift(second(1), 20_000);
        assert_eq!(clock.read(second(2)), Instant(1_020_000_000 + 1_010_000_000));
        clock.end_drift(second(2), 10_000);
        assert_eq!(clock.read(second(3)), Instant(1_020_000_000 + 1_010_000_000 + 1_000_000_000));
        clock.end_drift(second(3), 10_000);
        assert_eq!(clock.read(second(4)).0 - clock.read(second(3)).0, 1_000_000_000);
    }

    #[test]
    fn a_deadline_that_never_comes_is_never_due() {
        let mut clock = Clock::new(Duration::ZERO, 0);
        assert_eq!(clock.when(Instant::NEVER, SimTime(5)), SimTime(u64::MAX));
        clock.stop(SimTime(5));
        assert_eq!(clock.when(Instant(6), SimTime(7)), SimTime(u64::MAX));
        assert_eq!(clock.when(Instant(5), SimTime(7)), SimTime(7));
        clock.recover(SimTime(9));
        assert_eq!(clock.when(Instant(6), SimTime(9)), SimTime(12));
    }
}
