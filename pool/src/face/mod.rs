//! What the HTTP face asks of this pool: the port's implementation, one file for each noun.

mod accounts;
mod blobs;
mod jobs;
mod pool;
mod ranges;
mod sponsors;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lode_dashboard::port::{BlobClient, Delivery, Health, Idempotency, Port, PortError, ResultOf, Submitted};
use lode_protocol::api::{
    AccountView, BlobView, DepositRequest, DepositView, EarningView, HashSpec, JobRequest, JobView, LeaderView,
    ListenerView, NewSponsor, Page, PageQuery, PayoutView, PoolView, Quote, SponsorCreated, SponsorView,
};
use lode_protocol::ids::{AccountName, JobId, SponsorName};
use lode_protocol::{Algorithm, Digest};
use tokio::sync::watch;

use crate::blobs::Blobs;
use crate::blobs::port::{Downloading, Uploading};
use crate::config::Config;
use crate::desk::Desk;
use crate::jobs::search::Search;
use crate::ledger::entry::Millis;
use crate::ledger::fold::Job;
use crate::ledger::plan::Refusal;
use crate::ledger::store::{Store, StoreError};
use crate::ledger::writer::LedgerError;
use crate::secrets::Secrets;
use crate::specs::Specs;
use crate::stats::Stats;
use crate::stratum::Shared;
use crate::views;

/// The pool behind its HTTP face.
#[derive(Debug)]
pub struct Face {
    /// What the stratum side shares.
    pub shared: Arc<Shared>,
    /// Keys and tokens.
    pub secrets: Secrets,
    /// Sponsors' specs.
    pub specs: Specs,
    /// Sponsors' blobs.
    pub blobs: Blobs,
    /// What happens to range jobs beside their issuing.
    pub desk: Desk,
    /// Work by time.
    pub stats: Arc<Stats>,
    /// Settings.
    pub config: Config,
    /// When the pool started.
    pub started_at: Millis,
    /// Where miners connect, each algorithm at one of them.
    pub listeners: Vec<ListenerView>,
    /// Changes with the ledger and with who is here.
    pub changes: watch::Receiver<u64>,
    /// The number of the next search on the wire.
    pub next_serial: std::sync::atomic::AtomicU32,
}

fn store_down(error: &StoreError) -> PortError {
    PortError::LedgerDown(error.to_string())
}

fn refused(error: LedgerError) -> PortError {
    match error {
        LedgerError::Down(fault) => PortError::LedgerDown(fault.to_string()),
        LedgerError::Refused(refusal) => match refusal {
            Refusal::Short { balance, needed, asset } => PortError::Short { balance, needed, asset },
            Refusal::NoSponsor(name) => PortError::NotFound(format!("sponsor {name}")),
            Refusal::NoJob(job) => PortError::NotFound(format!("job {job} of yours")),
            other => PortError::Conflict(other.to_string()),
        },
    }
}

/// Reads a cursor that is a number, from a page's end.
fn number_cursor(page: &PageQuery, start: u64) -> Result<u64, PortError> {
    match page.cursor.as_deref() {
        None => Ok(start),
        Some(text) => text.parse().map_err(|_| {
            let detail = "is not one that this list gave; leave it out to begin".into();
            PortError::Fields(vec![lode_protocol::api::FieldError { field: "cursor".into(), detail }])
        }),
    }
}

/// Rows of a page, and the cursor after its last.
fn page_of<T, C: ToString>(mut rows: Vec<T>, most: usize, cursor: impl Fn(&T) -> C) -> Page<T> {
    let more = rows.len() > most;
    rows.truncate(most);
    let next = if more { rows.last().map(|row| cursor(row).to_string()) } else { None };
    Page { items: rows, next }
}

impl Face {
    fn store(&self) -> &Store {
        self.shared.ledger.store()
    }

    fn now(&self) -> Millis {
        self.shared.clock.now()
    }

    fn extranonce_bytes(&self) -> usize {
        self.config.extranonce1_bytes + self.config.extranonce2_bytes
    }

    fn record(&self, id: JobId) -> Result<Job, PortError> {
        record(&self.shared, id)
    }

    fn own_record(&self, sponsor: &SponsorName, id: JobId) -> Result<Job, PortError> {
        let job = self.record(id)?;
        if job.terms.sponsor == *sponsor { Ok(job) } else { Err(PortError::NotFound(format!("job {id} of yours"))) }
    }

    /// A job as anyone may see it.
    fn view(&self, job: &Job) -> JobView {
        let view = views::job(job);
        JobView { preview: view.preview.filter(|_| self.config.public_previews), ..view }
    }

    fn next_serial(&self) -> u32 {
        self.next_serial.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn is_filler(&self, sponsor: &SponsorName) -> bool {
        self.config.house_sponsor.as_ref() == Some(sponsor)
    }

    /// A search from its record and spec, ready to be offered.
    #[must_use]
    pub fn search(&self, job: &Job, spec: HashSpec) -> Search {
        Search::new(job, spec, self.next_serial(), self.is_filler(&job.terms.sponsor))
    }

    /// Whether there is a listener of this algorithm.
    #[must_use]
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.listeners.iter().any(|listener| listener.algorithm == algorithm)
    }
}

fn record(shared: &Shared, id: JobId) -> Result<Job, PortError> {
    let found = shared.ledger.store().job(id).map_err(|error| store_down(&error))?;
    found.ok_or_else(|| PortError::NotFound(format!("job {id}")))
}

/// Carries a change through to its end even if whoever asked goes away: a request is dropped where it
/// stands when its connection closes, and half a change would be e.g. a job in escrow that nobody is offered.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, PortError>> + Send + 'static,
) -> Result<T, PortError> {
    tokio::spawn(change).await.unwrap_or_else(|error| Err(PortError::LedgerDown(error.to_string())))
}

impl Port for Face {
    type Upload = Uploading;
    type Reading = Downloading;

    fn pool(&self) -> PoolView {
        pool::pool(self)
    }

    fn health(&self) -> Health {
        pool::health(self)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    fn jobs(&self, page: &PageQuery) -> Result<Page<JobView>, PortError> {
        jobs::list(self, page)
    }

    fn job(&self, id: JobId) -> Result<JobView, PortError> {
        Ok(self.view(&self.record(id)?))
    }

    fn account(&self, account: &AccountName) -> Result<AccountView, PortError> {
        accounts::account(self, account)
    }

    fn earnings(&self, account: &AccountName, page: &PageQuery) -> Result<Page<EarningView>, PortError> {
        accounts::earnings(self, account, page)
    }

    fn payouts(&self, _: &AccountName, page: &PageQuery) -> Result<Page<PayoutView>, PortError> {
        accounts::payouts(page)
    }

    fn leaderboard(&self, page: &PageQuery) -> Result<Page<LeaderView>, PortError> {
        accounts::leaderboard(self, page)
    }

    fn sponsor_of_key(&self, key: &str) -> Option<SponsorName> {
        self.secrets.sponsor_of_key(key)
    }

    fn is_admin_token(&self, token: &str) -> bool {
        self.secrets.is_admin_token(token)
    }

    fn is_miner_token(&self, token: &str) -> bool {
        self.shared.passes.find(token, self.now()).is_some()
    }

    fn sponsor(&self, sponsor: &SponsorName) -> Result<SponsorView, PortError> {
        sponsors::view(self, sponsor)
    }

    async fn quote(&self, sponsor: &SponsorName, request: &JobRequest) -> Result<Quote, PortError> {
        jobs::quote(self, sponsor, request).await
    }

    async fn submit(
        &self,
        sponsor: &SponsorName,
        request: JobRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<Submitted, PortError> {
        jobs::submit(self, sponsor, request, idempotency).await
    }

    async fn cancel(&self, sponsor: &SponsorName, id: JobId) -> Result<JobView, PortError> {
        jobs::cancel(self, sponsor, id).await
    }

    async fn result(&self, sponsor: &SponsorName, id: JobId) -> Result<ResultOf<Downloading>, PortError> {
        jobs::result(self, sponsor, id).await
    }

    async fn preview(&self, sponsor: Option<&SponsorName>, id: JobId) -> Result<Option<Bytes>, PortError> {
        ranges::preview(self, sponsor, id).await
    }

    async fn upload(
        &self,
        client: &BlobClient,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Uploading, PortError> {
        blobs::upload(self, client, delivery, announced).await
    }

    fn arrived(&self, client: &BlobClient, digest: &Digest) -> u64 {
        blobs::arrived(self, client, digest)
    }

    fn blob(&self, client: &BlobClient, digest: &Digest) -> Result<BlobView, PortError> {
        blobs::view(self, client, digest)
    }

    async fn read_blob(
        &self,
        client: &BlobClient,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Downloading, PortError> {
        blobs::read(self, client, digest, range).await
    }

    async fn create_sponsor(&self, new: NewSponsor) -> Result<SponsorCreated, PortError> {
        sponsors::create(self, new).await
    }

    async fn deposit(&self, deposit: DepositRequest) -> Result<DepositView, PortError> {
        sponsors::deposit(self, deposit).await
    }
}
