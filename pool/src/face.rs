//! What the HTTP face asks of this pool: the port's implementation.

use std::ops::Range;
use std::sync::Arc;

use lode_dashboard::port::{BlobReader, Delivery, Health, Idempotency, Port, PortError, Submitted};
use lode_protocol::api::account::WORKERS_SHOWN_MAX;
use lode_protocol::api::{
    AccountView, BlobView, DepositRequest, DepositView, EarningView, HashRules, HashSpec, JobRequest, JobResult,
    JobView, LeaderView, LedgerView, ListenerView, NewSponsor, Page, PageQuery, PayoutView, PoolView, Quote,
    SponsorCreated, SponsorView,
};
use lode_protocol::ids::{AccountName, JobId, SponsorName};
use lode_protocol::{Algorithm, Digest, RateCard, hex};
use tokio::sync::watch;

use crate::blobs::Blobs;
use crate::blobs::port::{Downloading, Uploading, not_yours};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::jobs::book::OPEN_JOBS_MAX;
use crate::jobs::search::Search;
use crate::ledger::entry::{Effort, IdempotencyDigest, Millis, Scheme, Shape};
use crate::ledger::fold::Job;
use crate::ledger::plan::{Command, Done, NewJob, Refusal};
use crate::ledger::store::{Store, StoreError};
use crate::ledger::writer::LedgerError;
use crate::secrets::Secrets;
use crate::share::header_of_proof;
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

    fn quote_of(&self, request: &JobRequest, spec: &HashSpec) -> Quote {
        let algorithm = spec.rate.algorithm();
        let runnable = self.shared.presence.has(algorithm);
        let rate = self.stats.rate(Effort::Hashes(algorithm), self.now());
        let expected = spec.work_expected();
        let eta = rate.map(|rate| u64::try_from(expected.0 / rate.max(1)).unwrap_or(u64::MAX));
        Quote {
            kind: request.kind.clone(),
            algorithm,
            work: spec.work_quoted(),
            work_expected: expected,
            price: request.budget,
            asset: request.asset.clone(),
            elements: None,
            runnable,
            why_not: (!runnable).then(|| format!("no {algorithm} worker is connected")),
            eta_s: eta.filter(|_| runnable),
            fee_bps: self.config.fee_bps,
        }
    }

    fn spec_of(&self, request: &JobRequest) -> Result<HashSpec, PortError> {
        let algorithms: Vec<Algorithm> = self.listeners.iter().map(|listener| listener.algorithm).collect();
        let extranonce_bytes = self.extranonce_bytes();
        let rules = HashRules { extranonce_bytes, algorithms: &algorithms, rate_card: RateCard::CURRENT };
        HashSpec::from_json(request.spec.clone(), &rules).map_err(PortError::Fields)
    }

    /// Keeps the spec with its extranonce size written out, so that it reads by itself later.
    async fn keep_spec(&self, request: &JobRequest) -> Result<[u8; 32], PortError> {
        let mut spec = request.spec.clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("extranonce_bytes".into(), self.extranonce_bytes().into());
        }
        let specs = self.specs.clone();
        let kept = tokio::task::spawn_blocking(move || specs.keep(&spec)).await;
        match kept {
            Ok(Ok(digest)) => Ok(digest),
            Ok(Err(error)) => Err(PortError::LedgerDown(error.to_string())),
            Err(error) => Err(PortError::LedgerDown(error.to_string())),
        }
    }

    async fn open(
        &self,
        sponsor: &SponsorName,
        request: &JobRequest,
        spec: HashSpec,
        idempotency: Option<&Idempotency>,
    ) -> Result<Done, PortError> {
        let new = NewJob {
            sponsor: sponsor.clone(),
            name: request.name.clone(),
            kind: request.kind.clone(),
            spec: self.keep_spec(request).await?,
            asset: request.asset.clone(),
            budget: request.budget.0,
            scheme: Scheme::Prop,
            fee_bps: self.config.fee_bps,
            rate_card: RateCard::CURRENT.version(),
            work_quoted: spec.work_quoted().0,
            shape: Shape::Search { algorithm: spec.rate.algorithm(), work_expected: spec.work_expected().0 },
            deadline_ms: request.deadline_s * 1000,
            idempotency: idempotency.map(|idempotency| idempotency_digest(sponsor, idempotency)),
        };
        let (shared, serial, filler) = (self.shared.clone(), self.next_serial(), self.is_filler(sponsor));
        to_the_end(async move {
            let done = shared.ledger.enter(Command::OpenJob(Box::new(new))).await.map_err(refused)?;
            if let Done::Opened(id) = done {
                let record = record(&shared, id)?;
                shared.book.open(Search::new(&record, spec, serial, filler)).await;
                // A cancellation that was quicker than the offer found no job in the book.
                if let Some(at) = self::record(&shared, id)?.cancel_at {
                    shared.book.cancel_at(id, at).await;
                }
            }
            Ok(done)
        })
        .await
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

fn idempotency_digest(sponsor: &SponsorName, idempotency: &Idempotency) -> IdempotencyDigest {
    let mut hasher = blake3::Hasher::new_derive_key("lode ledger idempotency v1");
    hasher.update(sponsor.as_str().as_bytes()).update(b"\n").update(idempotency.key.as_bytes());
    let key = *hasher.finalize().as_bytes().first_chunk().expect("32 bytes have 16");
    IdempotencyDigest { key, body: idempotency.body }
}

impl Port for Face {
    type Upload = Uploading;
    type Reading = Downloading;

    fn pool(&self) -> PoolView {
        let (connections, workers) = self.shared.presence.counts();
        let tip = self.shared.ledger.tip().borrow().clone();
        let newest = self.store().jobs_before(JobId(u64::MAX), 1).unwrap_or_default();
        PoolView {
            name: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: rfc3339(self.started_at),
            listeners: self.listeners.clone(),
            connections,
            workers,
            accounts: self.stats.accounts(),
            jobs_open: self.shared.book.open_jobs() as u64,
            jobs_total: newest.first().map_or(0, |job| job.terms.job.0),
            work: self.stats.pool(self.now()),
            fee_bps: self.config.fee_bps,
            ledger: LedgerView {
                entries: tip.position.seq,
                head: hex::encode(&tip.position.head),
                writable: tip.fault.is_none(),
            },
        }
    }

    fn health(&self) -> Health {
        let fault = self.shared.ledger.tip().borrow().fault.clone();
        let faults: Vec<String> =
            fault.into_iter().map(|fault| format!("the ledger takes no entries: {fault}")).collect();
        Health { ready: faults.is_empty(), faults }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    fn jobs(&self, page: &PageQuery) -> Result<Page<JobView>, PortError> {
        let before = JobId(number_cursor(page, u64::MAX)?);
        let jobs = self.store().jobs_before(before, page.rows() + 1).map_err(|error| store_down(&error))?;
        Ok(page_of(jobs.iter().map(views::job).collect(), page.rows(), |job| job.id.0))
    }

    fn job(&self, id: JobId) -> Result<JobView, PortError> {
        Ok(views::job(&self.record(id)?))
    }

    fn account(&self, account: &AccountName) -> Result<AccountView, PortError> {
        let (rigs, rigs_here) = self.shared.presence.rigs(account, WORKERS_SHOWN_MAX);
        let known = self.store().account(account).map_err(|error| store_down(&error))?;
        if known.is_none() && rigs.values().all(|rig| rig.connections == 0) {
            return Err(PortError::NotFound(format!("account {account}")));
        }
        let record = known.unwrap_or_default();
        let (workers, recorded) =
            self.store().workers(account, WORKERS_SHOWN_MAX).map_err(|error| store_down(&error))?;
        let open = self.open_earnings(account)?;
        Ok(AccountView {
            account: account.clone(),
            balances: views::balances(&record, &open),
            work: self.stats.account(account, self.now()),
            workers_total: recorded.max(rigs_here) as u64,
            workers: views::workers(&workers, &rigs),
        })
    }

    fn earnings(&self, account: &AccountName, page: &PageQuery) -> Result<Page<EarningView>, PortError> {
        let before = JobId(number_cursor(page, u64::MAX)?);
        let rows =
            self.store().earnings_before(account, before, page.rows() + 1).map_err(|error| store_down(&error))?;
        let mut views = Vec::with_capacity(rows.len());
        for (id, earning) in rows {
            views.push(views::earning(&self.record(id)?, &earning));
        }
        Ok(page_of(views, page.rows(), |row| row.job.0))
    }

    fn payouts(&self, _: &AccountName, page: &PageQuery) -> Result<Page<PayoutView>, PortError> {
        // Nothing leaves the pool yet: what is earned stays payable.
        number_cursor(page, u64::MAX)?;
        Ok(Page { items: Vec::new(), next: None })
    }

    fn leaderboard(&self, page: &PageQuery) -> Result<Page<LeaderView>, PortError> {
        let skip = usize::try_from(number_cursor(page, 0)?).unwrap_or(usize::MAX);
        let mut rows: Vec<LeaderView> = self.stats.leaders().into_iter().map(views::leader).skip(skip).collect();
        let more = rows.len() > page.rows();
        rows.truncate(page.rows());
        let next = more.then(|| (skip + rows.len()).to_string());
        Ok(Page { items: rows, next })
    }

    fn sponsor_of_key(&self, key: &str) -> Option<SponsorName> {
        self.secrets.sponsor_of_key(key)
    }

    fn is_admin_token(&self, token: &str) -> bool {
        self.secrets.is_admin_token(token)
    }

    fn sponsor(&self, sponsor: &SponsorName) -> Result<SponsorView, PortError> {
        let found = self.store().sponsor(sponsor).map_err(|error| store_down(&error))?;
        let found = found.ok_or_else(|| PortError::NotFound(format!("sponsor {sponsor}")))?;
        Ok(views::sponsor(sponsor, &found))
    }

    fn quote(&self, request: &JobRequest) -> Result<Quote, PortError> {
        Ok(self.quote_of(request, &self.spec_of(request)?))
    }

    async fn submit(
        &self,
        sponsor: &SponsorName,
        request: JobRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<Submitted, PortError> {
        let spec = self.spec_of(&request)?;
        if self.shared.book.open_jobs() >= OPEN_JOBS_MAX {
            return Err(PortError::Busy(format!(
                "{OPEN_JOBS_MAX} jobs are open already; try again when one has ended"
            )));
        }
        let quote = self.quote_of(&request, &spec);
        match self.open(sponsor, &request, spec, idempotency.as_ref()).await? {
            Done::Opened(id) => {
                let record = self.record(id)?;
                tracing::info!(job = %id, %sponsor, "job opened");
                Ok(Submitted { job: views::job(&record), quote, created: true })
            }
            Done::OpenedBefore(id) => Ok(Submitted { job: self.job(id)?, quote, created: false }),
            Done::Entered | Done::Repeated => Err(PortError::Conflict("the job was not opened".into())),
        }
    }

    async fn cancel(&self, sponsor: &SponsorName, id: JobId) -> Result<JobView, PortError> {
        let notice_ms = u64::try_from(self.config.cancel_notice.as_millis()).unwrap_or(u64::MAX);
        let command = Command::RequestCancel { job: id, sponsor: sponsor.clone(), notice_ms };
        let shared = self.shared.clone();
        to_the_end(async move {
            shared.ledger.enter(command).await.map_err(refused)?;
            let record = record(&shared, id)?;
            if let Some(at) = record.cancel_at {
                shared.book.cancel_at(id, at).await;
            }
            Ok(views::job(&record))
        })
        .await
    }

    fn result(&self, sponsor: &SponsorName, id: JobId) -> Result<JobResult, PortError> {
        let job = self.own_record(sponsor, id)?;
        let Some(solution) = &job.solution else {
            let state = views::job(&job).state.name();
            return Err(PortError::Conflict(format!("job {id} is {state} and has no solution")));
        };
        let spec = self.specs.hash_spec(&job.terms).map_err(|error| PortError::LedgerDown(error.to_string()))?;
        Ok(views::result(spec.rate.algorithm(), &header_of_proof(&spec, &solution.proof), solution))
    }

    async fn upload(
        &self,
        sponsor: &SponsorName,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Uploading, PortError> {
        self.blobs.begin_upload(sponsor, delivery, announced).await
    }

    fn arrived(&self, sponsor: &SponsorName, digest: &Digest) -> u64 {
        self.blobs.arrived(sponsor, digest)
    }

    fn blob(&self, reader: &BlobReader, digest: &Digest) -> Result<BlobView, PortError> {
        let may_read = match reader {
            BlobReader::Sponsor(sponsor) => self.blobs.owns(sponsor, digest),
        };
        match may_read {
            true => Ok(BlobView { digest: *digest, bytes: self.blobs.bytes(digest)? }),
            false => Err(not_yours(digest)),
        }
    }

    async fn read_blob(
        &self,
        reader: &BlobReader,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Downloading, PortError> {
        self.blob(reader, digest)?;
        self.blobs.begin_reading(digest, range).await
    }

    async fn create_sponsor(&self, new: NewSponsor) -> Result<SponsorCreated, PortError> {
        let name = new.name;
        let created = self.shared.ledger.enter(Command::CreateSponsor(name.clone())).await;
        // A sponsor whose making ended between the ledger and its key gets the key now.
        let exists = match created {
            Err(error @ LedgerError::Refused(Refusal::SponsorExists(_))) => Some(refused(error)),
            other => other.map(|_| None).map_err(refused)?,
        };
        let key = tokio::task::block_in_place(|| self.secrets.add_sponsor(&name));
        match key.map_err(|error| PortError::LedgerDown(error.to_string()))? {
            Some(key) => Ok(SponsorCreated { name, key }),
            None => Err(exists.unwrap_or_else(|| PortError::Conflict(format!("{name} has a key already")))),
        }
    }

    async fn deposit(&self, deposit: DepositRequest) -> Result<DepositView, PortError> {
        let done = self.shared.ledger.enter(Command::Deposit(deposit.clone())).await.map_err(refused)?;
        let balances = self.sponsor(&deposit.sponsor)?;
        let balance = balances.assets.get(&deposit.asset).map(|asset| asset.balance).unwrap_or_default();
        let DepositRequest { sponsor, asset, amount, reference } = deposit;
        Ok(DepositView { sponsor, asset, amount, reference, balance, repeated: done == Done::Repeated })
    }
}

impl Face {
    /// The open jobs among an account's earnings. They are among its newest, but not always the
    /// newest ones, so as many are looked at as jobs may be open.
    fn open_earnings(&self, account: &AccountName) -> Result<Vec<EarningView>, PortError> {
        let newest = self.store().earnings_before(account, JobId(u64::MAX), OPEN_JOBS_MAX);
        let mut open = Vec::new();
        for (id, earning) in newest.map_err(|error| store_down(&error))? {
            if earning.amount.is_none() {
                open.push(views::earning(&self.record(id)?, &earning));
            }
        }
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lode_protocol::api::Amount;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::Clock;
    use crate::jobs::book::Book;
    use crate::ledger::writer::{Listener, Opening, Options};
    use crate::stratum::bans::Bans;
    use crate::stratum::extranonce::Extranonces;
    use crate::stratum::judges::Judges;
    use crate::stratum::presence::Presence;

    struct Ends(mpsc::UnboundedSender<JobId>);

    impl Listener for Ends {
        fn share(&mut self, _: &AccountName, _: Effort<'_>, _: u128, _: Millis) {}
        fn closed(&mut self, job: JobId) {
            self.0.send(job).unwrap();
        }
        fn flushed(&mut self, _: u64, _: Duration) {}
    }

    fn system_clock() -> Clock {
        let start = std::time::Instant::now();
        Clock::new(move || 1_790_000_000_000 + u64::try_from(start.elapsed().as_millis()).unwrap())
    }

    /// A pool without sockets, whose ledger takes `group` to write.
    fn face(data: &std::path::Path, group: Duration) -> Face {
        let clock = system_clock();
        let secrets = Secrets::open(data).unwrap();
        let opening = Opening::open(data, &clock, |_, _, _, _| {}).unwrap();
        let (ends, closed) = mpsc::unbounded_channel();
        let (ledger, _) = opening.start(Options { group }, clock.clone(), Ends(ends));
        let (book, keeper) = Book::start(ledger.clone(), clock.clone(), closed, CancellationToken::new());
        tokio::spawn(keeper);
        let config = Config::default();
        let shared = Arc::new(Shared {
            book,
            clock: clock.clone(),
            extranonces: Arc::new(Extranonces::new(&[0; 4], secrets.session_key)),
            bans: Bans::new(config.bans),
            presence: Presence::default(),
            judges: Judges::new(1),
            limits: config.limits,
            doors: Arc::default(),
            ledger,
        });
        Face {
            shared,
            secrets,
            specs: Specs::at(data),
            blobs: Blobs::open(data, config.blobs, clock.clone()).unwrap(),
            stats: Arc::default(),
            started_at: clock.now(),
            listeners: Algorithm::ALL
                .map(|algorithm| ListenerView {
                    algorithm,
                    address: String::new(),
                    extranonce1_bytes: 4,
                    extranonce2_bytes: 4,
                })
                .to_vec(),
            changes: watch::channel(0).1,
            next_serial: 1.into(),
            config,
        }
    }

    fn job(deadline_s: u64) -> JobRequest {
        job_of(Algorithm::Sha256d, deadline_s)
    }

    fn job_of(algorithm: Algorithm, deadline_s: u64) -> JobRequest {
        let spec: Value = json!({
            "algorithm": algorithm, "version": "20000000", "prev_hash": "00".repeat(32),
            "coinbase1": format!("0100000001{}ffffffff08", "00".repeat(32)),
            "coinbase2": format!("ffffffff01{}0000000000", "00".repeat(8)),
            "merkle_branch": [], "nbits": "1d00ffff", "ntime": "60000000", "target": "00".repeat(6) + &"ff".repeat(26),
        });
        let body = json!({"kind": "hash", "spec": spec, "budget": 10, "asset": "C", "deadline_s": deadline_s});
        JobRequest::from_json(body).unwrap()
    }

    async fn funded(face: &Face) -> SponsorName {
        let name: SponsorName = "acme".parse().unwrap();
        face.create_sponsor(NewSponsor { name: name.clone() }).await.unwrap();
        let (asset, reference) = ("C".parse().unwrap(), "r".into());
        face.deposit(DepositRequest { sponsor: name.clone(), asset, amount: Amount(100), reference }).await.unwrap();
        name
    }

    async fn until(what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain for {what}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_whose_client_hangs_up_is_offered_and_cancelled_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(dir.path(), Duration::from_millis(300));
        let sponsor = funded(&face).await;
        let cut = tokio::time::timeout(Duration::from_millis(100), face.submit(&sponsor, job(1000), None)).await;
        assert!(cut.is_err(), "the ledger takes longer than the client waits");
        until("the job in the ledger", || face.job(JobId(1)).is_ok()).await;
        until("the job in the book", || face.shared.book.open_jobs() == 1).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_whose_last_connection_leaves_gets_one_of_anothers() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(dir.path(), Duration::ZERO);
        let sponsor = funded(&face).await;
        for _ in 0..2 {
            face.submit(&sponsor, job(1000), None).await.unwrap();
        }
        let mut hands = Vec::new();
        for _ in 0..3 {
            hands.push(face.shared.book.join(Algorithm::Sha256d, lode_protocol::Difficulty::MIN).await.unwrap());
        }
        let jobs = |hands: &[(u64, crate::jobs::book::Watch)]| -> Vec<u64> {
            hands.iter().map(|(_, watch)| watch.borrow().as_ref().unwrap().job.0).collect()
        };
        assert_eq!(jobs(&hands), [1, 2, 1]);
        let (id, _) = hands.remove(1);
        face.shared.book.leave(id).await;
        until("one on each job", || jobs(&hands).contains(&2) && jobs(&hands).contains(&1)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_goes_to_connections_of_its_algorithm_alone() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(dir.path(), Duration::ZERO);
        let sponsor = funded(&face).await;
        let book = &face.shared.book;
        let join = |algorithm| book.join(algorithm, lode_protocol::Difficulty::MIN);
        let early = join(Algorithm::Scrypt).await.unwrap();
        face.submit(&sponsor, job_of(Algorithm::Sha256d, 1000), None).await.unwrap();
        let alone = join(Algorithm::Sha256d).await.unwrap();
        let job = |(_, watch): &(u64, crate::jobs::book::Watch)| watch.borrow().as_ref().map(|search| search.job.0);
        assert_eq!((job(&early), job(&alone)), (None, Some(1)));
        face.submit(&sponsor, job_of(Algorithm::Scrypt, 1000), None).await.unwrap();
        let late = join(Algorithm::Scrypt).await.unwrap();
        assert_eq!((job(&early), job(&alone), job(&late)), (Some(2), Some(1), Some(2)));
        // The last of its kind leaves, and its job is given to none of the other kind.
        book.leave(alone.0).await;
        let again = join(Algorithm::Sha256d).await.unwrap();
        assert_eq!((job(&early), job(&late), job(&again)), (Some(2), Some(2), Some(1)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_is_quoted_at_the_rate_of_the_algorithm_and_kept_with_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(dir.path(), Duration::ZERO);
        let sponsor = funded(&face).await;
        let rate = lode_protocol::ratecard::SCRYPT_WORK_PER_HASH;
        let quotes = Algorithm::ALL.map(|algorithm| face.quote(&job_of(algorithm, 1000)).unwrap());
        // Targets are the same, and so are the hashes that they take.
        assert_eq!(quotes[1].work_expected.0, quotes[0].work_expected.0 * rate);
        assert_eq!(quotes[1].why_not.as_deref(), Some("no scrypt worker is connected"));
        face.shared.presence.online(&"a.b".parse().unwrap(), Algorithm::Scrypt);
        let runnable = Algorithm::ALL.map(|algorithm| face.quote(&job_of(algorithm, 1000)).unwrap().runnable);
        assert_eq!(runnable, [false, true]);
        face.submit(&sponsor, job_of(Algorithm::Scrypt, 1000), None).await.unwrap();
        let terms = face.record(JobId(1)).unwrap().terms;
        assert_eq!((terms.algorithm(), terms.rate_card), (Some(Algorithm::Scrypt), 2));
        assert_eq!(face.specs.hash_spec(&terms).unwrap().work_expected(), quotes[1].work_expected);
        let shape = Shape::Search { algorithm: Algorithm::Sha256d, work_expected: terms.work_expected() };
        let wrong = crate::ledger::entry::Terms { shape, ..terms };
        assert!(matches!(face.specs.hash_spec(&wrong), Err(crate::specs::SpecError::Algorithm(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_without_a_listener_of_its_algorithm_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut face = face(dir.path(), Duration::ZERO);
        face.listeners.truncate(1);
        let Err(PortError::Fields(fields)) = face.quote(&job_of(Algorithm::Scrypt, 1000)) else { panic!("quoted") };
        let named: Vec<_> = fields.iter().map(|fault| (fault.field.as_str(), fault.detail.as_str())).collect();
        let detail = "this pool has no scrypt listener; configured are: sha256d";
        assert_eq!(named, [("spec.algorithm", detail)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sponsor_that_was_left_without_a_key_gets_one_and_no_second() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(dir.path(), Duration::ZERO);
        let name: SponsorName = "acme".parse().unwrap();
        // The process ended between the two.
        face.shared.ledger.enter(Command::CreateSponsor(name.clone())).await.unwrap();
        let made = face.create_sponsor(NewSponsor { name: name.clone() }).await.unwrap();
        assert_eq!(face.sponsor_of_key(&made.key), Some(name.clone()));
        let again = face.create_sponsor(NewSponsor { name }).await;
        assert!(matches!(again, Err(PortError::Conflict(_))), "{again:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_cannot_be_served_gives_its_escrow_back_at_its_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let sponsor = {
            let face = face(dir.path(), Duration::ZERO);
            let sponsor = funded(&face).await;
            face.submit(&sponsor, job(1), None).await.unwrap();
            sponsor
        };
        // The pool stops, and its next life finds no spec.
        let dir2 = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir2.path().join("ledger/journal")).unwrap();
        for item in std::fs::read_dir(dir.path().join("ledger/journal")).unwrap() {
            let path = item.unwrap().path();
            std::fs::copy(&path, dir2.path().join("ledger/journal").join(path.file_name().unwrap())).unwrap();
        }
        let face = face(dir2.path(), Duration::ZERO);
        let record = face.record(JobId(1)).unwrap();
        crate::serve::restore(&face, &[record]).await;
        until("its end", || face.record(JobId(1)).unwrap().closed.is_some()).await;
        let money = face.sponsor(&sponsor).unwrap().assets[&"C".parse().unwrap()];
        assert_eq!((money.balance, money.escrow), (Amount(100), Amount(0)));
    }
}
