//! The rate card: how much work one hash of each algorithm and one operation of each counted kind is. Published, versioned,
//! and never changed in place: a ledger counts each job by the card that the job was opened under.

use crate::algorithm::Algorithm;
use crate::difficulty::{Hashes, Work};

/// Work of one scrypt hash under card 2: how many sha256d hashes the reference device makes in the time of one scrypt
/// hash, rounded; `scripts/ratecard.sh` measures it.
pub const SCRYPT_WORK_PER_HASH: u128 = 680;

/// Operations that a render job's elements are counted in, with the thousandths of work that one of each is.
/// `kernels/vectors/ratecard.txt` has the figures that they come from, and `scripts/ratecard.sh` measures them.
const RENDER_V3: &[(&str, u64)] = &[
    ("rays", 50),
    ("nodes", 366),
    ("groups", 50),
    ("surfaces", 200),
    ("textured", 4_307),
    ("bounces", 1_675),
    ("glossy", 1_394),
    ("paths", 910),
];

/// One version of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateCard {
    version: u32,
    scrypt: Option<u128>,
    render: Option<&'static [(&'static str, u64)]>,
}

impl RateCard {
    /// The first card: a sha256d hash is the unit, and nothing else is rated.
    const V1: RateCard = RateCard { version: 1, scrypt: None, render: None };
    /// Adds scrypt.
    const V2: RateCard = RateCard { version: 2, scrypt: Some(SCRYPT_WORK_PER_HASH), render: None };
    /// Adds pictures.
    const V3: RateCard = RateCard { version: 3, scrypt: Some(SCRYPT_WORK_PER_HASH), render: Some(RENDER_V3) };

    /// The card that jobs open under now.
    pub const CURRENT: RateCard = RateCard::V3;

    /// Kinds whose elements are counted in operations.
    pub const COUNTED_KINDS: [&str; 1] = ["render"];

    /// The card of this version, if there ever was one.
    #[must_use]
    pub fn of_version(version: u32) -> Option<RateCard> {
        [RateCard::V1, RateCard::V2, RateCard::V3].into_iter().find(|card| card.version == version)
    }

    /// The operations of a kind, in the order that they are counted in, each with the thousandths of work that one is;
    /// `None` where this card does not have the kind.
    #[must_use]
    pub fn operations(self, kind: &str) -> Option<&'static [(&'static str, u64)]> {
        match kind {
            "render" => self.render,
            _ => None,
        }
    }

    /// The work of so many operations, rounded up, and at least 1; `None` where this card does not have the kind, or has
    /// another number of operations.
    #[must_use]
    pub fn work_of(self, kind: &str, counts: &[u64]) -> Option<Work> {
        let operations = self.operations(kind).filter(|operations| operations.len() == counts.len())?;
        let part = |(&(_, thousandths), &count): (&(&str, u64), &u64)| u128::from(thousandths) * u128::from(count);
        let sum = operations.iter().zip(counts).map(part).fold(0, u128::saturating_add);
        Some(Work(sum.div_ceil(1_000).max(1)))
    }

    /// Its version.
    #[must_use]
    pub const fn version(self) -> u32 {
        self.version
    }

    /// What `algorithm` is rated at; `None` where this card does not have it.
    #[must_use]
    pub fn rate(self, algorithm: Algorithm) -> Option<Rate> {
        let work_per_hash = match algorithm {
            Algorithm::Sha256d => Some(1),
            Algorithm::Scrypt => self.scrypt,
        }?;
        Some(Rate { algorithm, work_per_hash })
    }

    /// Every rate of the card.
    pub fn rates(self) -> impl Iterator<Item = Rate> {
        Algorithm::ALL.into_iter().filter_map(move |algorithm| self.rate(algorithm))
    }
}

/// One row of a card: the only way from hashes to work and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    algorithm: Algorithm,
    work_per_hash: u128,
}

impl Rate {
    /// Whose hashes are rated.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    /// Work of one hash.
    #[must_use]
    pub fn work_per_hash(self) -> Work {
        Work(self.work_per_hash)
    }

    /// The work of so many hashes, or the largest there is.
    #[must_use]
    pub fn work(self, hashes: Hashes) -> Work {
        Work(hashes.0.saturating_mul(self.work_per_hash))
    }

    /// The hashes that are exactly this work; `None` where no whole number of them is.
    #[must_use]
    pub fn hashes(self, work: Work) -> Option<Hashes> {
        work.0.is_multiple_of(self.work_per_hash).then_some(Hashes(work.0 / self.work_per_hash))
    }

    /// The fewest hashes that are at least this work.
    #[must_use]
    pub fn hashes_up(self, work: Work) -> Hashes {
        Hashes(work.0.div_ceil(self.work_per_hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cards_are_what_was_published() {
        let rates = |version| -> Option<Vec<(&str, u128)>> {
            let card = RateCard::of_version(version)?;
            Some(card.rates().map(|rate| (rate.algorithm().name(), rate.work_per_hash().0)).collect())
        };
        assert_eq!(rates(1), Some(vec![("sha256d", 1)]));
        assert_eq!(rates(2), Some(vec![("sha256d", 1), ("scrypt", SCRYPT_WORK_PER_HASH)]));
        assert_eq!(rates(3), rates(2));
        assert_eq!((rates(0), rates(4)), (None, None));
        let rated = [1, 2, 3].map(|version| RateCard::of_version(version).unwrap().operations("render").is_some());
        assert_eq!(rated, [false, false, true]);
        assert_eq!(RateCard::of_version(RateCard::CURRENT.version()), Some(RateCard::CURRENT));
    }

    #[test]
    fn work_and_hashes_go_to_and_fro_exactly_or_not_at_all() {
        let rate = RateCard::CURRENT.rate(Algorithm::Scrypt).unwrap();
        let one = SCRYPT_WORK_PER_HASH;
        for hashes in [1, 2, 65_536, 1 << 96] {
            assert_eq!(rate.hashes(rate.work(Hashes(hashes))), Some(Hashes(hashes)));
        }
        assert_eq!(rate.hashes(Work(one + 1)), None);
        assert_eq!((rate.hashes_up(Work(one)), rate.hashes_up(Work(one + 1))), (Hashes(1), Hashes(2)));
        assert_eq!(rate.work(Hashes(u128::MAX)), Work(u128::MAX));
    }

    #[test]
    fn operations_add_up_to_work() {
        let card = RateCard::V3;
        for kind in RateCard::COUNTED_KINDS {
            let operations = card.operations(kind).unwrap();
            let counts = vec![1_000; operations.len()];
            let sum: u64 = operations.iter().map(|(_, thousandths)| thousandths).sum();
            assert_eq!(card.work_of(kind, &counts), Some(Work(u128::from(sum))));
            assert_eq!(card.work_of(kind, &vec![0; operations.len()]), Some(Work(1)), "nothing is free");
            let mut one = vec![0; operations.len()];
            one[0] = 1;
            assert_eq!(card.work_of(kind, &one), Some(Work(u128::from(operations[0].1).div_ceil(1_000))));
            assert!(card.work_of(kind, &vec![u64::MAX; operations.len()]).is_some(), "no overflow");
            assert_eq!(card.work_of(kind, &counts[1..]), None);
            assert_eq!(RateCard::V2.work_of(kind, &counts), None);
        }
        assert_eq!(card.work_of("brew", &[]), None);
    }
}
