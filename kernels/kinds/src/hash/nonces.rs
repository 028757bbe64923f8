//! Ranges of nonces.

/// A range of nonces. It never reaches past the last nonce, 2^32 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonces {
    start: u32,
    count: u64,
}

/// A range that would reach past the last nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} nonces from {start} reach past the last nonce, 4294967295")]
pub struct NonceRangeError {
    /// Where the range would start.
    pub start: u32,
    /// How many nonces it would hold.
    pub count: u64,
}

impl Nonces {
    /// Every nonce there is.
    pub const ALL: Self = Self { start: 0, count: 1 << 32 };

    /// `count` nonces from `start` on.
    ///
    /// # Errors
    /// When they would reach past the last nonce.
    pub const fn new(start: u32, count: u64) -> Result<Self, NonceRangeError> {
        if count > (1 << 32) - start as u64 {
            return Err(NonceRangeError { start, count });
        }
        Ok(Self { start, count })
    }

    /// The first nonce, if there is any.
    #[must_use]
    pub const fn start(self) -> u32 {
        self.start
    }

    /// How many nonces there are.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The first `count` nonces (or all, if there are fewer) and the rest.
    #[must_use]
    pub fn split_at(self, count: u64) -> (Self, Self) {
        let count = count.min(self.count);
        // An empty rest may begin at 2^32, which is no nonce; where an empty range starts does not matter.
        let middle = u32::try_from(u64::from(self.start) + count).unwrap_or(self.start);
        (Self { start: self.start, count }, Self { start: middle, count: self.count - count })
    }

    /// The range cut in order into pieces of `size` nonces, the last one smaller if need be.
    ///
    /// # Panics
    /// When `size` is zero.
    pub fn pieces(self, size: u64) -> impl Iterator<Item = Self> {
        assert!(size > 0, "pieces of no nonces never cover a range");
        let mut rest = self;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (piece, after) = rest.split_at(size);
            rest = after;
            Some(piece)
        })
    }

    /// Whether `nonce` lies in the range.
    #[must_use]
    pub const fn contains(self, nonce: u32) -> bool {
        nonce >= self.start && ((nonce - self.start) as u64) < self.count
    }

    /// Each nonce, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (self.start..=u32::MAX).zip(0..self.count).map(|(nonce, _)| nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_last_nonce() {
        assert_eq!(Nonces::new(u32::MAX, 1).unwrap().iter().collect::<Vec<_>>(), [u32::MAX]);
        assert!(Nonces::new(0, 1 << 32).is_ok());
        assert_eq!(Nonces::new(1, 1 << 32), Err(NonceRangeError { start: 1, count: 1 << 32 }));
        assert!(Nonces::new(u32::MAX, u64::MAX).is_err());
        assert!(Nonces::new(u32::MAX, 0).unwrap().iter().next().is_none());
    }

    #[test]
    fn pieces_cover_the_range_once_and_in_order() {
        let range = Nonces::new(u32::MAX - 9, 10).unwrap();
        for size in 1..12 {
            let nonces: Vec<u32> = range.pieces(size).flat_map(Nonces::iter).collect();
            assert_eq!(nonces, range.iter().collect::<Vec<_>>(), "size {size}");
        }
        assert!(range.contains(u32::MAX) && !range.contains(u32::MAX - 10));
    }
}
