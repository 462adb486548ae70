//! Conversion of a duration on one clock to a bound that holds on every other clock of the cluster,
//! whose rate may differ.

use core::time::Duration;

const MILLION: u128 = 1_000_000;

/// Returns the longest duration on this clock in which at most `span` passes on any other clock.
/// Clock rates are off by at most `drift_ppm` parts per million, in either direction.
pub(crate) fn shrunk(span: Duration, drift_ppm: u32) -> Duration {
    let (slow, fast) = (MILLION - u128::from(drift_ppm), MILLION + u128::from(drift_ppm));
    let shrunk = nanos(span.as_nanos() * slow / fast);
    assert!(shrunk <= span, "a shrunk duration is at most `span`");
    shrunk
}

/// Returns the shortest duration on this clock in which at least `span` passes on any other clock,
/// with the same bound on clock rates as in [`shrunk`].
pub(crate) fn stretched(span: Duration, drift_ppm: u32) -> Duration {
    let (slow, fast) = (MILLION - u128::from(drift_ppm), MILLION + u128::from(drift_ppm));
    let stretched = nanos((span.as_nanos() * fast).div_ceil(slow));
    assert!(stretched >= span.min(nanos(u128::MAX)), "a stretched duration is at least `span`");
    stretched
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunk_span_stretches_to_at_most_its_length() {
        for drift_ppm in [0, 1, 100, 333_333, 500_000] {
            for millis in [1, 7, 300, 3_600_000] {
                let span = Duration::from_millis(millis);
                assert!(shrunk(span, drift_ppm) <= span && span <= stretched(span, drift_ppm));
                assert!(stretched(shrunk(span, drift_ppm), drift_ppm) <= span);
            }
        }
        assert_eq!(shrunk(Duration::from_millis(300), 500_000), Duration::from_millis(100));
        assert_eq!(stretched(Duration::from_millis(100), 500_000), Duration::from_millis(300));
    }
}
