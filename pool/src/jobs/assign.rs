//! Which connection works on which job. Pure.
//!
//! All of one algorithm: jobs and connections of another are placed apart from these.
//!
//! Each job should have hash power in proportion to its price per work. A connection that joins goes
//! where most is lacking; a job that ends frees its connections; a job that opens takes connections
//! from those that have too much, as few as make up its part.

use std::collections::{BTreeMap, HashMap};

/// A connection's number within this run of the pool.
pub type ConnectionId = u64;

/// An open job as the assignment sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// Price per work, in any unit common to all.
    pub price: f64,
}

/// A connection as the assignment sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hand<J> {
    /// Its hash power, in any unit common to all; its share difficulty will do.
    pub power: f64,
    /// The job it works on.
    pub job: Option<J>,
}

/// The job that lacks most of its part, once `extra` power joins.
fn neediest<J: Ord + Copy>(offers: &BTreeMap<J, Offer>, power: &BTreeMap<J, f64>, extra: f64) -> Option<J> {
    let prices: f64 = offers.values().map(|offer| offer.price).sum();
    let total: f64 = power.values().sum::<f64>() + extra;
    let lacking = |job: &J| total * offers[job].price / prices - power.get(job).copied().unwrap_or(0.0);
    offers.keys().copied().max_by(|a, b| lacking(a).total_cmp(&lacking(b)).then(b.cmp(a)))
}

/// Power on each offered job.
fn power_by_job<J: Ord + Copy>(
    offers: &BTreeMap<J, Offer>,
    hands: &HashMap<ConnectionId, Hand<J>>,
) -> BTreeMap<J, f64> {
    let mut power: BTreeMap<J, f64> = offers.keys().map(|&job| (job, 0.0)).collect();
    for hand in hands.values() {
        if let Some(sum) = hand.job.and_then(|job| power.get_mut(&job)) {
            *sum += hand.power;
        }
    }
    power
}

/// The job for one connection that has none.
#[must_use]
pub fn place<J: Ord + Copy>(
    offers: &BTreeMap<J, Offer>,
    hands: &HashMap<ConnectionId, Hand<J>>,
    power: f64,
) -> Option<J> {
    neediest(offers, &power_by_job(offers, hands), power)
}

/// The moves that bring every job near its part: connections without an offered job first, then
/// those of jobs that have more than their part and can spare the connection whole.
#[must_use]
pub fn rebalance<J: Ord + Copy>(
    offers: &BTreeMap<J, Offer>,
    hands: &HashMap<ConnectionId, Hand<J>>,
) -> Vec<(ConnectionId, Option<J>)> {
    let mut power = power_by_job(offers, hands);
    let mut moves = Vec::new();
    let mut order: Vec<(ConnectionId, &Hand<J>)> = hands.iter().map(|(&id, hand)| (id, hand)).collect();
    // Largest first packs best; the number settles ties.
    order.sort_by(|(a, x), (b, y)| y.power.total_cmp(&x.power).then(a.cmp(b)));
    let placed = |hand: &Hand<J>| hand.job.is_some_and(|job| offers.contains_key(&job));
    for &(id, hand) in order.iter().filter(|(_, hand)| !placed(hand)) {
        let to = neediest(offers, &power, hand.power);
        if let Some(sum) = to.and_then(|job| power.get_mut(&job)) {
            *sum += hand.power;
        }
        if to != hand.job {
            moves.push((id, to));
        }
    }
    let prices: f64 = offers.values().map(|offer| offer.price).sum();
    let total: f64 = power.values().sum();
    for &(id, hand) in order.iter().filter(|(_, hand)| placed(hand)) {
        let (Some(from), Some(to)) = (hand.job, neediest(offers, &power, 0.0)) else { continue };
        let part = |job: &J| total * offers[job].price / prices;
        let (surplus, lack) = (power[&from] - part(&from), part(&to) - power[&to]);
        // The move must bring the two nearer to their parts, not just swap who is short.
        if from != to && surplus > 0.0 && lack > 0.0 && hand.power < surplus + lack {
            *power.get_mut(&from).expect("an offered job") -= hand.power;
            *power.get_mut(&to).expect("an offered job") += hand.power;
            moves.push((id, Some(to)));
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offers(prices: &[f64]) -> BTreeMap<usize, Offer> {
        prices.iter().enumerate().map(|(job, &price)| (job, Offer { price })).collect()
    }

    fn apply(hands: &mut HashMap<ConnectionId, Hand<usize>>, moves: Vec<(ConnectionId, Option<usize>)>) {
        for (id, job) in moves {
            hands.get_mut(&id).unwrap().job = job;
        }
    }

    fn idle(count: u64) -> HashMap<ConnectionId, Hand<usize>> {
        (0..count).map(|id| (id, Hand { power: 1.0, job: None })).collect()
    }

    #[test]
    fn two_equal_jobs_get_one_worker_each() {
        let mut hands = idle(2);
        let moves = rebalance(&offers(&[5.0, 5.0]), &hands);
        apply(&mut hands, moves);
        assert_ne!(hands[&0].job, hands[&1].job);
    }

    #[test]
    fn a_job_that_opens_takes_its_part_and_no_more_move_than_that() {
        let mut hands = idle(10);
        let first = offers(&[1.0]);
        let moves = rebalance(&first, &hands);
        apply(&mut hands, moves);
        let moves = rebalance(&offers(&[1.0, 1.0]), &hands);
        assert_eq!(moves.len(), 5);
        apply(&mut hands, moves);
        assert_eq!(rebalance(&offers(&[1.0, 1.0]), &hands), []);
    }

    #[test]
    fn a_job_that_ends_frees_its_workers() {
        let mut hands = idle(4);
        let both = offers(&[1.0, 1.0]);
        let moves = rebalance(&both, &hands);
        apply(&mut hands, moves);
        let mut left = both;
        left.remove(&0);
        let moves = rebalance(&left, &hands);
        apply(&mut hands, moves);
        assert!(hands.values().all(|hand| hand.job == Some(1)));
        let moves = rebalance(&BTreeMap::new(), &hands);
        assert_eq!(moves.len(), 4);
        assert!(moves.iter().all(|(_, job)| job.is_none()));
    }

    #[test]
    fn one_worker_takes_the_better_price() {
        assert_eq!(place(&offers(&[1.0, 3.0]), &HashMap::new(), 1.0), Some(1));
    }

    proptest! {
        #[test]
        fn power_follows_price(prices in prop::collection::vec(1.0f64..10.0, 1..6), count in 50u64..200) {
            let offers = offers(&prices);
            let mut hands = idle(count);
            let moves = rebalance(&offers, &hands);
            apply(&mut hands, moves);
            let total: f64 = prices.iter().sum();
            for (job, price) in prices.iter().enumerate() {
                let has = hands.values().filter(|hand| hand.job == Some(job)).count() as f64;
                let part = count as f64 * price / total;
                prop_assert!((has - part).abs() <= prices.len() as f64, "job {} has {} of {}", job, has, part);
            }
        }
    }
}
