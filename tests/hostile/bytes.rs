//! Bytes as a source of choices: the same bytes always make the same choices.

/// The remaining bytes. Once they are used up, every choice is 0, the simplest one.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next byte, or 0.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Returns a number below `count`.
    pub(crate) fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    /// Returns true in `in_256` of 256 cases.
    pub(crate) fn chance(&mut self, in_256: u8) -> bool {
        let byte = self.byte();
        byte != 0 && u16::from(byte) + u16::from(in_256) > 255
    }

    /// Returns one of `choices`.
    pub(crate) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        let place = usize::from(self.byte()) % choices.len();
        choices[place].clone()
    }
}
