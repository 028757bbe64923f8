//! What the pool's last life left: open jobs, batches without a verdict, blobs of jobs that are over.

use super::super::files::room_needed;
use super::super::restore::load;
use super::jobs::Gathering;
use super::*;

impl Keeper {
    /// Takes up all of it.
    pub(super) fn restore(&mut self, left: Left) {
        for range in left.ranges {
            let record = left.jobs.iter().find(|job| job.terms.job == range.job);
            let Some(mut open) = record.and_then(Open::new) else { continue };
            let claim = |(first, count, digest): (u64, u32, [u8; 32])| Claim { first, count: u64::from(count), digest };
            let done = range.units.iter().map(|unit| (unit.first, claim((unit.first, unit.count, unit.digest))));
            open.done = done.collect();
            let gathering = range.open.iter().map(|batch| {
                let claims = batch.units.iter().map(|unit| claim(*unit)).collect();
                (batch.key, Gathering { since: batch.since, claims })
            });
            open.gathering = gathering.collect();
            if let Some(range) = open.record.terms.range() {
                // Its inputs are counted once its files are read.
                self.blobs.promise(open.record.terms.job, room_needed(open.elements, u64::from(range.element_bytes)));
            }
            self.load_files(&open);
            self.jobs.insert(range.job, open);
            range.batches.into_iter().for_each(|batch| self.audits.add(batch));
        }
        self.clear_what_is_over();
    }

    fn load_files(&self, open: &Open) {
        self.load(open, false);
    }

    /// Reads a job's files once more, all of them.
    pub(super) fn reload_files(&self, open: &Open) {
        self.load(open, true);
    }

    fn load(&self, open: &Open, again: bool) {
        let (specs, blobs, preparer) = (self.specs.clone(), self.blobs.clone(), self.preparer.clone());
        let (terms, back) = (open.record.terms.clone(), self.back.clone());
        tokio::spawn(async move {
            let range = terms.range().expect("it is a range job");
            let files = load(&specs, &blobs, &preparer, &terms, range, again).await.map(Arc::new);
            let outcome = if again { Outcome::Reloaded } else { Outcome::Loaded };
            send(&back, outcome(terms.job, files));
        });
    }

    /// Gives up blobs of jobs that closed when the pool stopped, but for their files.
    fn clear_what_is_over(&mut self) {
        for job in self.blobs.jobs() {
            if !self.jobs.contains_key(&job) {
                self.clear(job, None);
            }
        }
    }
}
