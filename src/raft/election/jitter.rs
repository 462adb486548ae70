//! Pseudo-random numbers from the node's seed: election timeouts, and the number that identifies a
//! start of the node.

use core::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A SplitMix64 stream (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number of nanoseconds uniformly from 0 to `span`, both included.
    #[inline]
    pub(crate) fn nanos_up_to(&mut self, span: Duration) -> u64 {
        let width = span.as_secs() * NANOS_PER_SECOND + u64::from(span.subsec_nanos()) + 1;
        let drawn = (u128::from(self.next()) * u128::from(width)) >> 64;
        let drawn = u64::try_from(drawn).expect("the high half of a product of two `u64`");
        assert!(drawn < width, "a draw is within the range");
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut jitter = Jitter::new(1_234_567);
        assert_eq!(jitter.next(), 6_457_827_717_110_365_317);
        assert_eq!(jitter.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn both_ends_of_a_range_occur_and_nothing_beyond() {
        let mut jitter = Jitter::new(7);
        let span = Duration::from_nanos(3);
        let drawn: alloc::collections::BTreeSet<_> =
            (0..200).map(|_| jitter.nanos_up_to(span)).collect();
        assert_eq!(drawn.into_iter().collect::<alloc::vec::Vec<_>>(), [0, 1, 2, 3]);
    }
}
