//! Random numbers that differ between test runs, but follow from their seed.

/// A generator: xorshift, which is never zero.
pub(super) struct Random(u64);

impl Random {
    /// A generator of this test run. Those with different numbers are independent of each other.
    pub(super) fn new(number: u64) -> Self {
        let mut random = Self(((u64::from(std::process::id()) << 32) ^ number) | (1 << 31));
        // The first numbers of similar seeds are similar.
        for _ in 0..16 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below a limit.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// An index of a list, which must not be empty.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// Whether something happens that happens once in so many cases.
    pub(super) fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
