//! What the page of a range job tells in place of a search's: the picture so far, elements done and audited, pay as it goes.

use lode_protocol::api::{Amount, AuditsView, JobState, JobView};
use maud::{Markup, html};

use super::figures;
use super::job::for_workers;
use super::jobs::title;
use crate::charts;

/// Different pictures that a page asks for while a job runs: a new one for each part that is done.
const PREVIEW_STEPS: u128 = 64;

/// A range job and its figures.
pub(super) struct RangeJob<'a> {
    job: &'a JobView,
    elements: u64,
    done: u64,
    matured: u64,
    audits: AuditsView,
}

impl<'a> RangeJob<'a> {
    /// The job, if it is one of a range.
    pub(super) fn of(job: &'a JobView) -> Option<RangeJob<'a>> {
        Some(RangeJob {
            job,
            elements: job.elements?,
            done: job.elements_done.unwrap_or(0),
            matured: job.elements_matured.unwrap_or(0),
            audits: job.audits.unwrap_or_default(),
        })
    }

    /// Millionths of the elements that are done.
    pub(super) fn done_ppm(&self) -> u32 {
        figures::ppm(self.done.into(), self.elements.into())
    }

    /// The picture of what there is; its address changes with what is done, at most [`PREVIEW_STEPS`] times.
    pub(super) fn preview(&self) -> Markup {
        let step = u128::from(self.done) * PREVIEW_STEPS / u128::from(self.elements.max(1));
        html! {
            @if let Some(path) = &self.job.preview {
                figure.preview { img src={ (path) "?v=" (step) } alt={ "What is done of " (title(self.job)) }; }
            }
        }
    }

    pub(super) fn course(&self) -> Markup {
        let waiting = self.done.saturating_sub(self.matured);
        let left = self.elements.saturating_sub(self.done.max(self.matured));
        let parts = [(self.matured.into(), "matured"), (waiting.into(), "waiting"), (left.into(), "left")];
        html! {
            p.headline.small { (figures::percent(self.done_ppm())) }
            p.note {
                (figures::count(self.done)) " of " (figures::count(self.elements)) " elements are done, "
                (figures::count(self.matured)) " of them audited and paid"
            }
            (charts::split(&parts, "Elements audited, waiting for their audit, and left"))
            dl.tiles {
                div { dt { "Work proven" } dd { (figures::work(self.job.work_proven)) } }
                div { dt { "Work in all" } dd { (figures::work(self.job.work_expected)) } }
                div { dt { "Units" } dd { (figures::count(self.job.shares)) } }
                div { dt { "Accounts" } dd { (figures::count(self.job.accounts)) } }
                div {
                    dt { "Audits passed" } dd { (figures::count(self.audits.passed)) }
                    @if self.audits.voided > 0 { dd.note { (figures::count(self.audits.voided)) " voided" } }
                }
            }
        }
    }

    /// Where the budget is while the job runs.
    pub(super) fn money(&self) -> Markup {
        let (paid, fee) = (self.job.paid.unwrap_or_default(), self.job.fee.unwrap_or_default());
        let escrow = Amount(self.job.budget.0.saturating_sub(paid.0).saturating_sub(fee.0));
        let asset = &self.job.asset;
        html! {
            (charts::split(&[(paid.0, "paid"), (fee.0, "fee"), (escrow.0, "refunded")], "Where the budget is"))
            dl.rows {
                div.paid { dt { "Paid so far" } dd { (figures::amount(paid, asset)) } }
                div.fee { dt { "Fee so far" } dd { (figures::amount(fee, asset)) } }
                div.refunded { dt { "In escrow" } dd { (figures::amount(escrow, asset)) } }
            }
            p.note {
                "Units are paid in proportion to their work as soon as they are audited, about "
                (figures::amount(for_workers(self.job), asset)) " in all. If the job ends before all is done, what is left "
                "goes back to the sponsor."
            }
        }
    }

    pub(super) fn result(&self) -> Markup {
        html! {
            @match (&self.job.result, self.job.state) {
                (Some(path), _) => p { "Ready. Its sponsor fetches it with its key: " code { "GET " (path) } },
                (None, JobState::Quarantined) => p.empty {
                    "It was stopped: its input has no result, as the pool found by its own computation."
                },
                (None, JobState::Auditing) if self.matured >= self.elements => p.empty {
                    "All is done and audited; the result is being put together."
                },
                (None, JobState::Auditing) => p.empty { "All is done; the last of it is being audited." },
                (None, _) if self.job.closed_at.is_some() => p.empty { "It ended before all was done." },
                (None, _) => p.empty { "Not finished yet." },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lode_protocol::ids::JobId;

    use super::*;
    use crate::fake::Fake;
    use crate::port::Port as _;

    fn job(change: impl FnOnce(&mut JobView)) -> JobView {
        let mut job = Fake::default().job(JobId(6)).expect("it is a range job");
        change(&mut job);
        job
    }

    #[test]
    fn a_picture_has_few_addresses() {
        let address = |done| {
            let job = job(|job| (job.elements, job.elements_done) = (Some(1_000_000), Some(done)));
            RangeJob::of(&job).expect("it is one").preview().into_string()
        };
        let mut all: Vec<String> = (0..=1_000_000).step_by(500).map(address).collect();
        all.dedup();
        assert_eq!(all.len(), 65);
        assert!(all[1].contains("/jobs/j6/preview.png?v=1\""), "{}", all[1]);
    }

    #[test]
    fn no_figure_of_a_pool_breaks_the_page() {
        for (elements, done, matured) in [(0, 0, 0), (1, 2, 3), (u64::MAX, u64::MAX, 0), (5, 3, 4)] {
            let job = job(|job| {
                (job.elements, job.elements_done, job.elements_matured) = (Some(elements), Some(done), Some(matured));
                (job.paid, job.fee) = (Some(Amount(u128::MAX)), Some(Amount(7)));
            });
            let range = RangeJob::of(&job).expect("it is one");
            for part in [range.preview(), range.course(), range.money(), range.result()] {
                assert!(!part.into_string().contains("NaN"));
            }
        }
    }
}
