//! Numbers and bytes for the values of fixtures, the same in every run.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

/// A source of numbers for values, the same in every run: SplitMix64.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// Draws a number; small, large and extreme numbers are about equally frequent.
    pub(crate) fn number(&mut self) -> u64 {
        let (mixed, shift) = (self.mixed(), self.mixed() % 80);
        match shift {
            ..64 => mixed >> shift,
            64..72 => 0,
            _ => u64::MAX,
        }
    }

    /// Draws a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.mixed() % bound
    }

    /// Draws up to `bytes_max` bytes.
    pub(crate) fn bytes(&mut self, bytes_max: u64) -> Vec<u8> {
        (0..self.below(bytes_max + 1)).map(|_| self.mixed() as u8).collect()
    }

    fn mixed(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
