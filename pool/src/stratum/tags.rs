//! Tags that tell one issue of a job from another, in the upper eight of the version bits that are
//! free to roll (BIP 320).
//!
//! A client can have its difficulty changed at any time. If the same header counted under both, it
//! would wait for its hash and then choose the difficulty that is worth most. So each issue of a job
//! but the first has a version, and with it headers, of its own. A client that rolls versions itself
//! gives up these bits before the first tag; which one it will be it cannot know.

/// The tags of one session.
#[derive(Debug, Clone)]
pub(super) struct Tags {
    /// The bits of a tag; 0 where the pool has too few to roll.
    pub(super) mask: u32,
    next: u8,
    used: u8,
    /// The search space was used before, so that a job's first issue needs a tag too.
    pub(super) always: bool,
}

impl Tags {
    /// Tags of one session: fewer than there are, so that none comes twice.
    pub(super) const MOST: u8 = 250;

    pub(super) fn new(version_mask: u32, chance: u8) -> Tags {
        let mut mask = version_mask;
        while mask.count_ones() > 8 {
            mask &= mask - 1;
        }
        let mask = if mask.count_ones() == 8 { mask } else { 0 };
        Tags { mask, next: chance, used: 0, always: false }
    }

    /// Whether the search space has nothing in it that a header without a tag could repeat: no issue
    /// before this one, of this job or of another on the same template.
    pub(super) fn is_first(&self) -> bool {
        !self.always
    }

    pub(super) fn are_left(&self) -> bool {
        self.mask != 0 && self.used < Self::MOST
    }

    /// Spreads a tag over the bits of the mask.
    fn spread(&self, tag: u8) -> u32 {
        let bits = (0..32).filter(|bit| self.mask >> bit & 1 == 1);
        bits.enumerate().filter(|(index, _)| tag >> index & 1 == 1).fold(0, |version, (_, bit)| version | 1 << bit)
    }

    /// The next version: `own` with a tag that it does not have by itself.
    pub(super) fn next(&mut self, own: u32) -> u32 {
        loop {
            let version = own & !self.mask | self.spread(self.next);
            self.next = self.next.wrapping_add(1);
            if version != own {
                self.used += 1;
                return version;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_tag_is_another_version_within_the_mask() {
        let own = 0x2000_2000;
        let mut tags = Tags::new(0x1fff_e000, 200);
        assert_eq!(tags.mask, 0x1fe0_0000);
        let mut seen = BTreeSet::from([own]);
        while tags.are_left() {
            let version = tags.next(own);
            assert_eq!(version & !tags.mask, own);
            assert!(seen.insert(version), "{version:08x} comes twice");
        }
        assert_eq!(seen.len(), 1 + usize::from(Tags::MOST));
    }

    #[test]
    fn scattered_bits_do_and_too_few_are_none() {
        let mut tags = Tags::new(0b1010_1010_1010_1010, 255);
        assert_eq!(tags.next(0), 0b1010_1010_1010_1010);
        assert!(!Tags::new(0x7f, 0).are_left());
    }
}
