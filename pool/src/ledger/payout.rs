//! What a job's terms make of its escrow: a search's when it closes, a range job's as its batches mature. Integers
//! only; the parts sum to the whole.

use std::collections::BTreeMap;

use lode_protocol::ids::AccountName;
use ruint::aliases::U256;

use super::entry::{Outcome, Scheme, Terms};

/// Basis points in one.
pub const BPS: u128 = 10_000;

/// `amount * part / whole`, rounded down, without overflow on the way. `part` is at most `whole`.
fn fraction(amount: u128, part: u128, whole: u128) -> u128 {
    debug_assert!(part <= whole && whole > 0, "a fraction of at most one");
    let value = U256::from(amount) * U256::from(part) / U256::from(whole);
    u128::try_from(value).expect("at most `amount`, since part <= whole")
}

/// Divides `pot` in proportion to `weights` by largest remainder (Hamilton's method): each gets its
/// share rounded down, and what is left goes out by one unit each, largest remainder first, equal
/// remainders in the order of the keys. The parts sum to `pot` unless every weight is zero.
#[must_use]
pub fn largest_remainder<K: Ord + Clone>(pot: u128, weights: &BTreeMap<K, u128>) -> BTreeMap<K, u128> {
    let total: U256 = weights.values().map(|&weight| U256::from(weight)).fold(U256::ZERO, |sum, w| sum + w);
    if total.is_zero() {
        return weights.keys().map(|key| (key.clone(), 0)).collect();
    }
    let mut parts = BTreeMap::new();
    let mut remainders = Vec::with_capacity(weights.len());
    let mut left = pot;
    for (key, &weight) in weights {
        let (quotient, remainder) = (U256::from(pot) * U256::from(weight)).div_rem(total);
        let part = u128::try_from(quotient).expect("at most `pot`, since weight <= total");
        left -= part;
        parts.insert(key.clone(), part);
        remainders.push((remainder, key.clone()));
    }
    // A stable sort keeps the order of the keys among equals.
    remainders.sort_by(|(a, _), (b, _)| b.cmp(a));
    for (_, key) in remainders {
        if left == 0 {
            break;
        }
        *parts.get_mut(&key).expect("every key has a part") += 1;
        left -= 1;
    }
    parts
}

/// What a range job has earned by some point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earned {
    /// By accounts.
    pub pay: u128,
    /// By the pool.
    pub fee: u128,
}

impl Earned {
    /// What came since `before`, an earlier point of the same job. Neither part ever falls as work matures: of what is
    /// earned more, rounding gives the fee at most all.
    #[must_use]
    pub fn since(self, before: Earned) -> Earned {
        Earned { pay: self.pay - before.pay, fee: self.fee - before.fee }
    }
}

/// What a range job has earned once `matured` of its work has matured: of the budget the part that this is of all work,
/// and of that the fee, each rounded down. When all has matured that is the whole budget.
#[must_use]
pub fn earned(terms: &Terms, matured: u128) -> Earned {
    let gross = fraction(terms.budget, matured, terms.work_quoted);
    let fee = fraction(gross, u128::from(terms.fee_bps), BPS);
    Earned { pay: gross - fee, fee }
}

/// What a duplicate of `work` is worth: what the same work earns alone, less the fee.
#[must_use]
pub fn duplicate_pay(terms: &Terms, work: u128) -> u128 {
    earned(terms, work).pay
}

/// Where a closed search's escrow goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// To accounts, none of them zero.
    pub payouts: BTreeMap<AccountName, u128>,
    /// To the pool.
    pub fee: u128,
    /// Back to the sponsor.
    pub refund: u128,
}

/// Executes `terms` for a search that ended by `outcome` after `work` was proven by each account.
///
/// A solved job earns its whole budget. Any other earns the part of it that the proven work is of
/// the work quoted, and the rest goes back. The fee is taken from what is earned, rounded down.
#[must_use]
pub fn settle(terms: &Terms, outcome: Outcome, work: &BTreeMap<AccountName, u128>) -> Settlement {
    let proven = work.values().fold(0u128, |sum, &w| sum.saturating_add(w));
    let earned = match outcome {
        Outcome::Solved => terms.budget,
        _ => fraction(terms.budget, proven.min(terms.work_quoted), terms.work_quoted),
    };
    let earned = if proven == 0 { 0 } else { earned };
    let fee = fraction(earned, u128::from(terms.fee_bps), BPS);
    let mut payouts = match terms.scheme {
        Scheme::Prop => largest_remainder(earned - fee, work),
    };
    payouts.retain(|_, amount| *amount > 0);
    Settlement { payouts, fee, refund: terms.budget - earned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Shape;
    use lode_protocol::ids::JobId;
    use proptest::prelude::*;

    fn terms(budget: u128, fee_bps: u16, work_quoted: u128) -> Terms {
        Terms {
            job: JobId(1),
            sponsor: "s".parse().unwrap(),
            name: String::new(),
            kind: "hash".into(),
            spec: [0; 32],
            asset: "C".parse().unwrap(),
            budget,
            scheme: Scheme::Prop,
            fee_bps,
            rate_card: 1,
            work_quoted,
            shape: Shape::Search { algorithm: lode_protocol::Algorithm::Sha256d, work_expected: work_quoted },
            opened_at: 0,
            deadline_at: 1,
            idempotency: None,
        }
    }

    fn work(list: &[(&str, u128)]) -> BTreeMap<AccountName, u128> {
        list.iter().map(|(name, work)| (name.parse().unwrap(), *work)).collect()
    }

    #[test]
    fn largest_remainder_by_hand() {
        let parts = |pot, weights: &[u128]| {
            let weights = weights.iter().copied().enumerate().collect();
            largest_remainder(pot, &weights).into_values().collect::<Vec<_>>()
        };
        assert_eq!(parts(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(parts(10, &[6, 2, 2]), [6, 2, 2]);
        // Quotas 0.41, 3.29, 6.30: the one unit left goes to the first.
        assert_eq!(parts(10, &[41, 329, 630]), [1, 3, 6]);
        assert_eq!(parts(1, &[0, 5]), [0, 1]);
        assert_eq!(parts(7, &[0, 0]), [0, 0]);
        assert_eq!(parts(0, &[1, 2]), [0, 0]);
    }

    #[test]
    fn solved_pays_the_whole_budget() {
        let settlement = settle(&terms(1_000_000, 100, 50), Outcome::Solved, &work(&[("a", 1), ("b", 3)]));
        assert_eq!(settlement.fee, 10_000);
        assert_eq!(settlement.refund, 0);
        assert_eq!(settlement.payouts, work(&[("a", 247_500), ("b", 742_500)]));
    }

    #[test]
    fn unsolved_pays_for_the_work_proven() {
        let settlement = settle(&terms(1000, 0, 400), Outcome::Cancelled, &work(&[("a", 100)]));
        assert_eq!((settlement.payouts, settlement.refund), (work(&[("a", 250)]), 750));
        let nothing = settle(&terms(1000, 500, 400), Outcome::Expired, &work(&[]));
        assert_eq!((nothing.fee, nothing.refund), (0, 1000));
        let over = settle(&terms(1000, 500, 400), Outcome::Exhausted, &work(&[("a", 9000)]));
        assert_eq!((over.fee, over.refund), (50, 0));
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_pot_and_stray_by_less_than_one(
            pot in 0u128..1 << 96,
            weights in prop::collection::btree_map(0u32..1000, 0u128..1 << 96, 1..40),
        ) {
            let parts = largest_remainder(pot, &weights);
            let total: U256 = weights.values().fold(U256::ZERO, |sum, &w| sum + U256::from(w));
            prop_assume!(!total.is_zero());
            prop_assert_eq!(parts.values().sum::<u128>(), pot);
            for (key, &part) in &parts {
                let floor = u128::try_from(U256::from(pot) * U256::from(weights[key]) / total).unwrap();
                prop_assert!(part == floor || part == floor + 1);
                prop_assert!(weights[key] > 0 || part == 0);
            }
        }

        #[test]
        fn what_matures_by_steps_comes_to_the_whole_and_nothing_ever_falls(
            budget in 1u128..1 << 96,
            fee_bps in 0u16..=10_000,
            steps in prop::collection::vec(1u128..1 << 60, 1..60),
        ) {
            let all: u128 = steps.iter().sum();
            let terms = terms(budget, fee_bps, all);
            let (mut matured, mut sum) = (0, Earned::default());
            for step in steps {
                let before = earned(&terms, matured);
                matured += step;
                let more = earned(&terms, matured).since(before);
                sum = Earned { pay: sum.pay + more.pay, fee: sum.fee + more.fee };
            }
            prop_assert_eq!(sum.pay + sum.fee, budget);
            prop_assert_eq!(sum.fee, fraction(budget, u128::from(fee_bps), BPS));
        }

        #[test]
        fn a_settlement_sums_to_the_budget(
            budget in 1u128..1 << 96,
            fee_bps in 0u16..=10_000,
            quoted in 1u128..1 << 96,
            weights in prop::collection::btree_map("[a-z]{1,3}", 0u128..1 << 90, 0..20),
            outcome in prop::sample::select(vec![Outcome::Cancelled, Outcome::Expired, Outcome::Exhausted, Outcome::Solved]),
        ) {
            let weights = weights.into_iter().map(|(name, w)| (name.parse().unwrap(), w)).collect();
            let s = settle(&terms(budget, fee_bps, quoted), outcome, &weights);
            // All of the pot goes out unless nobody worked.
            prop_assert_eq!(s.payouts.values().sum::<u128>() + s.fee + s.refund, budget);
        }
    }
}
