//! Draws: which parts of a batch are recomputed. Pure.
//!
//! The bytes of a draw are HMAC-SHA256 of the batch's root under a secret. The secret's hash is in the log before the
//! root, and the secret itself some time after: neither who made the batch nor the pool can choose what is drawn, and
//! anyone can draw again.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::terms::RangeTerms;

/// A part that is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pick {
    /// The unit, by its place in the batch.
    pub unit: usize,
    /// The element, as the job counts them.
    pub element: u64,
    /// The part of the element.
    pub part: u32,
}

/// What the log has of a secret before it is told.
#[must_use]
pub fn commitment(secret: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("lode audit secret v1", secret)
}

/// Draws from a batch of `units` (first element and count of each) with this root, by these terms: `policy.units` of its
/// units without repetition, or all of them; of each, `policy.parts` times a part, or all parts where it has no more.
///
/// Units, and elements within them, are drawn by their work, so that what is faked is met as often as it is worth,
/// however units are sized. An element's parts are alike.
#[must_use]
pub fn draw(secret: &[u8; 32], root: &[u8; 32], units: &[(u64, u32)], all: bool, terms: &RangeTerms) -> BTreeSet<Pick> {
    let RangeTerms { cost, policy, parts_per_element, .. } = terms;
    let mut stream = Stream { secret, root, counter: 0, block: [0; 32], used: 32 };
    let work = |&(first, count): &(u64, u32)| cost.work(first, u64::from(count));
    let chosen = if all {
        (0..units.len()).collect()
    } else {
        stream.choose(units.iter().map(work).collect(), policy.units as usize)
    };
    let mut picks = BTreeSet::new();
    for unit in chosen {
        let (first, count) = units[unit];
        let count = u64::from(count);
        if count * u64::from(*parts_per_element) <= u64::from(policy.parts) {
            let parts =
                (first..first + count).flat_map(|element| (0..*parts_per_element).map(move |part| (element, part)));
            picks.extend(parts.map(|(element, part)| Pick { unit, element, part }));
            continue;
        }
        for _ in 0..policy.parts {
            let element = cost.element_at(first, count, stream.below(cost.work(first, count)));
            let part = u32::try_from(stream.below(u128::from(*parts_per_element))).expect("less than a u32");
            picks.insert(Pick { unit, element, part });
        }
    }
    picks
}

/// Random bytes that a secret makes of a root: block `i` is HMAC-SHA256(secret, root || i as four bytes, least first).
struct Stream<'a> {
    secret: &'a [u8; 32],
    root: &'a [u8; 32],
    counter: u32,
    block: [u8; 32],
    used: usize,
}

impl Stream<'_> {
    /// The next sixteen bytes, least first.
    fn next(&mut self) -> u128 {
        if self.used == self.block.len() {
            let mut mac = Hmac::<Sha256>::new_from_slice(self.secret).expect("a key may have any length");
            mac.update(self.root);
            mac.update(&self.counter.to_le_bytes());
            self.block = mac.finalize().into_bytes().into();
            self.counter = self.counter.checked_add(1).expect("a draw takes fewer than 2^32 blocks");
            self.used = 0;
        }
        let bytes = self.block[self.used..].first_chunk().expect("blocks are used by halves");
        self.used += 16;
        u128::from_le_bytes(*bytes)
    }

    /// A number below `bound`, each as likely as any other.
    fn below(&mut self, bound: u128) -> u128 {
        // As many values as there are whole multiples of the bound; what lies beyond is drawn again.
        let beyond = (u128::MAX % bound + 1) % bound;
        loop {
            let value = self.next();
            if value <= u128::MAX - beyond {
                return value % bound;
            }
        }
    }

    /// `most` of the places, or all, one after the other, each by its weight among those that are left.
    fn choose(&mut self, mut weights: Vec<u128>, most: usize) -> Vec<usize> {
        let mut chosen = Vec::new();
        while chosen.len() < most {
            let total: u128 = weights.iter().sum();
            if total == 0 {
                break;
            }
            let mut point = self.below(total);
            let mut place = 0;
            while point >= weights[place] {
                point -= weights[place];
                place += 1;
            }
            weights[place] = 0;
            chosen.push(place);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::cost::CostMap;
    use crate::ledger::terms::AuditPolicy;

    const ROOT: [u8; 32] = [7; 32];

    /// Terms of a job whose elements' works are given.
    fn terms(work: Vec<u64>, units: u32, parts: u32, parts_per_element: u32) -> RangeTerms {
        let elements = work.len() as u64;
        let cost = CostMap::new(elements, elements, elements, 1, work).expect("a cost map");
        let policy = AuditPolicy { units, ..AuditPolicy::usual(parts) };
        RangeTerms { cost: Arc::new(cost), policy, element_bytes: 8, parts_per_element, prepared: [0; 32] }
    }

    /// A secret for each number.
    fn secret(number: u64) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    /// By Python: hmac.new(bytes([1]) * 32, bytes([7]) * 32 + struct.pack("<I", counter), "sha256").digest().
    #[test]
    fn the_bytes_are_the_published_function() {
        let mut stream = Stream { secret: &[1; 32], root: &ROOT, counter: 0, block: [0; 32], used: 32 };
        let drawn: Vec<u64> = (0..2)
            .flat_map(|_| {
                let bytes = stream.next().to_le_bytes();
                let (halves, _) = bytes.as_chunks::<8>();
                [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]
            })
            .collect();
        assert_eq!(drawn, HMAC_BY_PYTHON[..4]);
        assert_eq!(stream.next().to_le_bytes()[..8], HMAC_BY_PYTHON[4].to_le_bytes());
    }

    const HMAC_BY_PYTHON: [u64; 5] =
        [0x98dd9c2ca02c4c26, 0xc24c099e58f87a59, 0x93326417a33d40de, 0x844a0246df1ef652, 0xe5468b07484a060c];

    #[test]
    fn picks_are_within_as_many_units_as_are_wanted() {
        let units: Vec<(u64, u32)> = (0..64).map(|unit| (unit * 3, 3)).collect();
        let terms = terms((1..=192).collect(), 2, 16, 256);
        for number in 0..200 {
            for (all, wanted) in [(false, 2), (true, 64)] {
                let picks = draw(&secret(number), &ROOT, &units, all, &terms);
                assert!(picks.len() <= wanted * 16 && picks.len() >= wanted * 14, "{}", picks.len());
                assert_eq!(picks.iter().map(|pick| pick.unit).collect::<BTreeSet<_>>().len(), wanted);
                for pick in picks {
                    let (first, count) = units[pick.unit];
                    assert!((first..first + u64::from(count)).contains(&pick.element) && pick.part < 256);
                }
            }
        }
    }

    #[test]
    fn a_batch_smaller_than_the_policy_is_taken_whole() {
        let terms = terms(vec![1; 8], 2, 16, 4);
        let picks = draw(&secret(1), &ROOT, &[(5, 2)], false, &terms);
        let whole: Vec<(u64, u32)> =
            [5, 6].into_iter().flat_map(|element| (0..4).map(move |part| (element, part))).collect();
        assert_eq!(picks.iter().map(|pick| (pick.element, pick.part)).collect::<Vec<_>>(), whole);
        assert!(draw(&secret(1), &ROOT, &[], false, &terms).is_empty());
    }

    #[test]
    fn another_secret_or_root_draws_others() {
        let units: Vec<(u64, u32)> = (0..64).map(|unit| (unit, 1)).collect();
        let terms = terms(vec![5; 64], 2, 16, 256);
        let draws = |number, root| draw(&secret(number), &[root; 32], &units, false, &terms);
        assert_eq!(draws(1, 1), draws(1, 1));
        assert_ne!(draws(1, 1), draws(2, 1));
        assert_ne!(draws(1, 1), draws(1, 2));
    }

    /// Chi-squared over units, elements and parts, each against its 99.99 % point; secrets are fixed.
    #[test]
    fn units_and_elements_are_drawn_by_their_work_and_parts_alike() {
        // Units of one, two and three elements, of work 1 | 2 3 | 4 5 6.
        let (units, work) = ([(0, 1), (1, 2), (3, 3)], [1, 2, 3, 4, 5, 6]);
        let terms = terms(work.to_vec(), 1, 1, 6);
        let (mut by_unit, mut by_element, mut by_part) = ([0u32; 3], [0u32; 6], [0u32; 6]);
        for number in 0..21_000 {
            for pick in draw(&secret(number), &ROOT, &units, false, &terms) {
                by_unit[pick.unit] += 1;
                by_element[usize::try_from(pick.element).unwrap()] += 1;
                by_part[pick.part as usize] += 1;
            }
        }
        let chi = |counts: &[u32], expected: &[f64]| -> f64 {
            counts.iter().zip(expected).map(|(&count, expected)| (f64::from(count) - expected).powi(2) / expected).sum()
        };
        assert!(chi(&by_unit, &[1e3, 5e3, 15e3]) < 18.4, "{by_unit:?}");
        assert!(
            chi(&by_element, &work.map(|work| 1e3 * f64::from(u32::try_from(work).unwrap()))) < 25.7,
            "{by_element:?}"
        );
        assert!(chi(&by_part, &[3500.0; 6]) < 25.7, "{by_part:?}");
    }

    /// Where one unit is nearly all of a batch, it is met nearly always, however many small ones hide it.
    #[test]
    fn many_small_units_do_not_hide_a_large_one() {
        let units: Vec<(u64, u32)> = (0..64).map(|unit| (unit, 1)).collect();
        let mut work = vec![1; 64];
        work[40] = 6_300;
        let terms = terms(work, 2, 16, 256);
        let met = (0..1000)
            .filter(|&number| draw(&secret(number), &ROOT, &units, false, &terms).iter().any(|pick| pick.unit == 40));
        assert!(met.count() >= 990);
    }

    #[test]
    fn a_bound_that_does_not_divide_is_drawn_without_bias() {
        // Two thirds of all values: without rejection the lower half would come up twice as often.
        let bound = (u128::MAX / 3) * 2;
        let secret = secret(3);
        let mut stream = Stream { secret: &secret, root: &ROOT, counter: 0, block: [0; 32], used: 32 };
        let low = (0..4000).filter(|_| stream.below(bound) < bound / 2).count();
        assert!((1800..2200).contains(&low), "{low} of 4000");
    }
}
