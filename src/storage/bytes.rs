//! A bounds-checked reader of little-endian integers.

/// The bytes that are still to be read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Returns the next `N` bytes; `None`, also on every later call, if fewer are left.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let Some((first, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return None;
        };
        self.0 = rest;
        Some(*first)
    }

    /// Returns the next `count` bytes; `None`, also on every later call, if fewer are left.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let Some((first, rest)) = self.0.split_at_checked(count) else {
            self.0 = &[];
            return None;
        };
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_past_the_end_makes_all_later_reads_fail() {
        let mut reader = Reader::new(&[1, 0, 2, 0, 0, 0, 3]);
        assert_eq!(reader.u16(), Some(1));
        assert_eq!(reader.u32(), Some(2));
        assert_eq!(reader.u64(), None);
        assert_eq!(reader.array::<1>(), None, "a shorter read after the failed one fails too");
    }
}
