//! Which of the open range jobs whoever asks works on next: each gets work in proportion to its price. Pure.
//!
//! A job's *turn* is the work issued of it over its price; the job with the least is next. A worker
//! stays with a job for a few units before it changes, so that it need not load another's inputs for
//! each; a job that had nothing to issue for a while has little claim to what it missed.

use std::collections::BTreeMap;

use lode_protocol::ids::JobId;

/// Units that a worker stays with a job beyond its turn.
const STAY_UNITS: f64 = 4.0;
/// Units that a job has a claim to for having had nothing to issue.
const CLAIM_UNITS: f64 = 16.0;

#[derive(Debug, Clone, Copy)]
struct Served {
    price: f64,
    turn: f64,
}

/// The jobs' turns.
#[derive(Debug, Default)]
pub(super) struct Fair {
    jobs: BTreeMap<JobId, Served>,
    /// No job's turn counts as less.
    now: f64,
}

#[expect(clippy::cast_precision_loss, reason = "weighs jobs against one another; no money is made of it")]
fn turns(work: u128, price: f64) -> f64 {
    work as f64 / price
}

impl Fair {
    /// A job opens.
    pub(super) fn add(&mut self, job: JobId, price: f64) {
        let price = price.max(f64::MIN_POSITIVE);
        let least = self.jobs.values().map(|served| served.turn).min_by(f64::total_cmp);
        let turn = least.unwrap_or(self.now).max(self.now);
        self.jobs.insert(job, Served { price, turn });
    }

    /// A job ends.
    pub(super) fn remove(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// `jobs` in the order in which a worker should try them that is on `current` and takes units of `work`.
    pub(super) fn order(&self, jobs: &[JobId], current: Option<JobId>, work: u128) -> Vec<JobId> {
        let turn = |job: &JobId| {
            let served = self.jobs.get(job)?;
            let stay = if current == Some(*job) { STAY_UNITS * turns(work, served.price) } else { 0.0 };
            Some(served.turn.max(self.now) - stay)
        };
        let mut order: Vec<(f64, JobId)> = jobs.iter().filter_map(|job| Some((turn(job)?, *job))).collect();
        order.sort_by(|(a, one), (b, other)| a.total_cmp(b).then(one.cmp(other)));
        order.into_iter().map(|(_, job)| job).collect()
    }

    /// Work of a job was issued, as one unit.
    pub(super) fn issued(&mut self, job: JobId, work: u128) {
        let Some(served) = self.jobs.get_mut(&job) else { return };
        let (start, unit) = (served.turn.max(self.now), turns(work, served.price));
        served.turn = start + unit;
        self.now = self.now.max(start - CLAIM_UNITS * unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: JobId = JobId(1);
    const B: JobId = JobId(2);

    /// Units of ten that each job gets when so many are issued to workers that keep no job.
    fn issue(fair: &mut Fair, jobs: &[JobId], units: u32) -> BTreeMap<JobId, u32> {
        let mut counts = BTreeMap::new();
        for _ in 0..units {
            let job = fair.order(jobs, None, 10)[0];
            fair.issued(job, 10);
            *counts.entry(job).or_default() += 1;
        }
        counts
    }

    #[test]
    fn work_follows_price() {
        let mut fair = Fair::default();
        fair.add(A, 3.0);
        fair.add(B, 1.0);
        let counts = issue(&mut fair, &[A, B], 400);
        assert_eq!((counts[&A], counts[&B]), (300, 100));
    }

    #[test]
    fn a_job_that_opens_later_gets_its_part_from_then_on_and_no_more() {
        let mut fair = Fair::default();
        fair.add(A, 1.0);
        issue(&mut fair, &[A], 1000);
        fair.add(B, 1.0);
        let counts = issue(&mut fair, &[A, B], 100);
        assert!((49..=51).contains(&counts[&A]), "{counts:?}");
    }

    #[test]
    fn a_job_that_had_nothing_to_issue_does_not_take_all_when_it_has_again() {
        let mut fair = Fair::default();
        fair.add(A, 1.0);
        fair.add(B, 1.0);
        issue(&mut fair, &[A], 1000);
        let counts = issue(&mut fair, &[A, B], 100);
        assert!((40..=42).contains(&counts[&A]), "{counts:?}");
    }

    #[test]
    fn a_worker_stays_for_some_units() {
        let mut fair = Fair::default();
        fair.add(A, 1.0);
        fair.add(B, 1.0);
        let mut current = None;
        let mut changes = 0;
        for _ in 0..100 {
            let next = fair.order(&[A, B], current, 10)[0];
            changes += u32::from(current != Some(next));
            current = Some(next);
            fair.issued(next, 10);
        }
        assert!((5..=25).contains(&changes), "{changes} changes in 100 units");
    }

    #[test]
    fn a_job_that_is_gone_is_no_choice() {
        let mut fair = Fair::default();
        fair.add(A, 1.0);
        fair.add(B, 1.0);
        fair.remove(A);
        assert_eq!(fair.order(&[A, B], Some(A), 1), [B]);
        fair.issued(A, 1);
    }
}
