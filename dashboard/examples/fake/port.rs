//! A pool made up: fixed accounts and jobs, and one running job that advances when told to.

#![allow(dead_code, reason = "the example and the tests each use a part")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lode_dashboard::port::{
    BlobClient, Delivery, Health, Idempotency, Port, PortError, ResultFile, ResultOf, Submitted,
};
use lode_protocol::api::{
    AccountView, Amount, AuditsView, BalanceView, BlobView, DepositRequest, DepositView, EarningState, EarningView,
    FieldError, JobRequest, JobResult, JobState, JobView, LeaderView, LedgerView, ListenerView, NewSponsor, Page,
    PageQuery, PayoutView, PoolView, Quote, SponsorBalance, SponsorCreated, SponsorView, WorkWindows, WorkerView,
};
use lode_protocol::difficulty::Work;
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName};
use lode_protocol::{Algorithm, Digest};
use tokio::sync::watch;

use blobs::{Bank, Downloading, Uploading};

#[path = "blobs.rs"]
pub(crate) mod blobs;
#[path = "picture.rs"]
mod picture;

/// The key of the sponsor `acme`.
pub(crate) const SPONSOR_KEY: &str = "acme-key";
/// The key of the sponsor `other`, who has no job.
pub(crate) const OTHER_KEY: &str = "other-key";
/// The token of a miner's connection.
pub(crate) const MINER_TOKEN: &str = "miner-token";
/// The operator's token.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
/// A job's name that would do harm where it is not escaped.
pub(crate) const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\"";

/// Hashes in a second of the made-up pool.
const RATE: u128 = 41_870_000_000_000;

struct State {
    jobs: Vec<JobView>,
    keys: BTreeMap<String, ([u8; 32], JobId)>,
    references: BTreeMap<String, DepositRequest>,
    faults: Vec<String>,
    /// Pictures are for sponsors alone.
    private: bool,
}

/// The pool.
pub(crate) struct Fake {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    /// Blobs of everyone.
    pub(crate) bank: Arc<Bank>,
}

impl Default for Fake {
    fn default() -> Fake {
        let state =
            State { jobs: jobs(), keys: BTreeMap::new(), references: BTreeMap::new(), faults: vec![], private: false };
        Fake { state: Mutex::new(state), changes: watch::Sender::new(0), bank: Arc::default() }
    }
}

impl Fake {
    /// Changes a job and tells of it.
    pub(crate) fn change(&self, id: JobId, change: impl FnOnce(&mut JobView)) {
        let mut state = self.state.lock().expect("no test panics with it");
        change(state.jobs.iter_mut().find(|job| job.id == id).expect("the job is there"));
        drop(state);
        self.changes.send_modify(|version| *version += 1);
    }

    /// Ends the running job `j4` as solved.
    pub(crate) fn finish(&self) {
        self.change(JobId(4), |job| {
            (job.state, job.closed_at) = (JobState::Done, Some("2026-03-02T12:00:00Z".into()));
            (job.paid, job.fee, job.refunded) =
                (Some(Amount(4_950_000_000)), Some(Amount(50_000_000)), Some(Amount(0)));
        });
    }

    /// The running range job `j6` gets on: units come in, and their batches are audited.
    pub(crate) fn render(&self, units: u64, audits: u64) {
        self.change(JobId(6), |job| {
            let elements = job.elements.expect("it is a range job");
            let done = job.elements_done.map_or(0, |done| (done + 40 * units).min(elements));
            let matured = job.elements_matured.map_or(0, |matured| (matured + 160 * audits).min(done));
            (job.elements_done, job.elements_matured) = (Some(done), Some(matured));
            (job.shares, job.work_proven) = (job.shares + units, Work(RENDER_WORK * u128::from(done)));
            let audits = audits + job.audits.map_or(0, |audits| audits.passed);
            job.audits = Some(AuditsView { passed: audits, voided: 1 });
            let earned = job.budget.0 * u128::from(matured) / u128::from(elements);
            (job.paid, job.fee) = (Some(Amount(earned - earned / 100)), Some(Amount(earned / 100)));
            if done == elements {
                job.state = JobState::Auditing;
            }
        });
    }

    /// Shows pictures to their sponsors alone.
    pub(crate) fn hide_pictures(&self) {
        self.state.lock().expect("no test panics with it").private = true;
    }

    /// Makes it not ready.
    pub(crate) fn break_down(&self, fault: &str) {
        self.state.lock().expect("no test panics with it").faults.push(fault.into());
    }

    fn faults(&self) -> Vec<String> {
        self.state.lock().expect("no test panics with it").faults.clone()
    }
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("is a name")
}

fn windows(rate: u128) -> WorkWindows {
    WorkWindows {
        m1: Work(rate * 63),
        m15: Work(rate * 900),
        h1: Work(rate * 3400),
        h24: Work(rate * 70_000),
        all: Work(rate * 4_000_000),
    }
}

fn job(id: u64, title: &str, state: JobState, done_ppm: u128) -> JobView {
    let quoted = 5 << 57;
    JobView {
        id: JobId(id),
        name: title.into(),
        kind: "hash".into(),
        algorithm: Some(Algorithm::Sha256d),
        state,
        sponsor: name("acme"),
        asset: name("CREDIT"),
        budget: Amount(5_000_000_000),
        paid: None,
        fee: None,
        refunded: None,
        fee_bps: 100,
        payout: "prop".into(),
        work_quoted: Work(quoted),
        work_expected: Work(1 << 57),
        work_proven: Work(quoted / 1_000_000 * done_ppm),
        shares: u64::try_from(done_ppm / 31).expect("is small"),
        accounts: 12,
        spec_digest: "3d5b0ae1c9f84e07a1bd2c5f6e7081920a3b4c5d6e7f8091a2b3c4d5e6f70812".into(),
        opened_at: format!("2026-03-0{}T08:15:00Z", id.min(9)),
        deadline_at: format!("2026-03-1{}T08:15:00Z", id.min(9)),
        cancel_at: None,
        closed_at: None,
        solution: None,
        elements: None,
        elements_done: None,
        elements_matured: None,
        audits: None,
        preview: None,
        result: None,
    }
}

/// Elements of a made-up picture, and the work of each.
const RENDER_ELEMENTS: u64 = 8160;
const RENDER_WORK: u128 = 91_000_000;

/// A range job of which some is done and less is audited.
fn render(id: u64, title: &str, state: JobState, done: u64, matured: u64) -> JobView {
    let all = Work(RENDER_WORK * u128::from(RENDER_ELEMENTS));
    JobView {
        kind: "render".into(),
        algorithm: None,
        paid: Some(Amount(5_000_000_000 * u128::from(matured) / u128::from(RENDER_ELEMENTS) * 99 / 100)),
        fee: Some(Amount(5_000_000_000 * u128::from(matured) / u128::from(RENDER_ELEMENTS) / 100)),
        work_quoted: all,
        work_expected: all,
        work_proven: Work(RENDER_WORK * u128::from(done)),
        shares: done / 40,
        accounts: 5,
        elements: Some(RENDER_ELEMENTS),
        elements_done: Some(done),
        elements_matured: Some(matured),
        audits: Some(AuditsView { passed: matured / 160, voided: 1 }),
        preview: Some(format!("/jobs/j{id}/preview.png")),
        ..job(id, title, state, 0)
    }
}

fn closed(job: JobView, paid: u128, fee: u128, refunded: u128) -> JobView {
    let closed_at = Some(job.opened_at.replace("08:15", "19:42"));
    JobView { paid: Some(Amount(paid)), fee: Some(Amount(fee)), refunded: Some(Amount(refunded)), closed_at, ..job }
}

fn jobs() -> Vec<JobView> {
    let solved = job(1, "genesis check", JobState::Done, 210_000);
    let solution = Some("000000000000000a3290f20e75860d505ce0e948a1d1d846bec7e39015d242884".chars().take(64).collect());
    vec![
        JobView { solution, ..closed(solved, 4_950_000_000, 50_000_000, 0) },
        closed(
            job(2, "testnet block 2 871 004", JobState::Cancelled, 402_113),
            1_990_459_350,
            20_105_650,
            2_989_435_000,
        ),
        job(3, HOSTILE, JobState::Open, 0),
        job(4, "testnet block 2 871 377", JobState::Running, 137_512),
        JobView { cancel_at: Some("2026-03-05T10:00:00Z".into()), ..job(5, "", JobState::Running, 671_004) },
        render(6, "a sphere at dusk", JobState::Running, 3200, 2400),
        JobView {
            result: Some("/api/v1/jobs/j7/result".into()),
            ..closed(
                render(7, "a sphere at noon", JobState::Done, RENDER_ELEMENTS, RENDER_ELEMENTS),
                4_950_000_000,
                50_000_000,
                0,
            )
        },
    ]
}

fn page<T>(rows: impl Iterator<Item = T>, query: &PageQuery) -> Result<Page<T>, PortError> {
    let wrong = || PortError::Fields(vec![FieldError { field: "cursor".into(), detail: "is not of this list".into() }]);
    let start = match &query.cursor {
        Some(cursor) => cursor.parse::<usize>().map_err(|_| wrong())?,
        None => 0,
    };
    let mut rows = rows.skip(start).peekable();
    let items: Vec<T> = rows.by_ref().take(query.rows()).collect();
    let next = rows.peek().map(|_| (start + items.len()).to_string());
    Ok(Page { items, next })
}

const LEADERS: [&str; 14] = [
    "alice",
    "northwind-rigs",
    "bob",
    "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
    "ferrous",
    "m-lab",
    "quarry",
    "kestrel_7",
    "deepseam",
    "ohm",
    "tallow",
    "basement-gpus",
    "ivy",
    "zed",
];

fn workers() -> Vec<WorkerView> {
    let worker =
        |title: &str, online: bool, last: &str, difficulty: f64, accepted: u64, rejected: &[(&str, u64)]| WorkerView {
            name: name(title),
            online,
            last_share: (!last.is_empty()).then(|| last.to_owned()),
            algorithm: online.then_some(Algorithm::Sha256d),
            difficulty: online.then_some(difficulty),
            accepted,
            rejected: rejected.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
            work: Work(u128::from(accepted) << 44),
        };
    vec![
        worker("rig-1", true, "2026-03-05T09:59:48Z", 4096.0, 184_233, &[("stale", 41), ("low difficulty", 2)]),
        worker("rig-2", true, "2026-03-05T09:59:31Z", 2730.5, 97_204, &[("stale", 17)]),
        worker("garage", true, "", 1.0, 0, &[]),
        worker("laptop", false, "2026-02-27T22:10:02Z", 0.0, 5_120, &[("duplicate", 3)]),
    ]
}

fn earnings() -> Vec<EarningView> {
    let states = [JobState::Running, JobState::Running, JobState::Done, JobState::Cancelled, JobState::Expired];
    let earning = |row: usize| {
        let id = 40 - u64::try_from(row).expect("is small");
        let open = row < 2;
        let ppm = [81_250, 64_003, 210_771, 30_406, 142_858, 99_120, 187_345][row % 7];
        EarningView {
            job: JobId(id),
            name: format!("testnet block {}", 2_871_400 + id),
            job_state: if open { JobState::Running } else { states[2 + row % 3] },
            asset: name("CREDIT"),
            work: Work((1 << 57) / 1_000_000 * u128::from(ppm)),
            work_total: Work(1 << 57),
            share_ppm: ppm,
            amount: Amount(u128::from(ppm) * 4_950),
            // One of the two open ones is a range job, of which a part is payable.
            pending: Amount(if open { u128::from(ppm) * 4_950 / (row as u128 * 2 + 1) } else { 0 }),
            state: if open { EarningState::Pending } else { EarningState::Matured },
            closed_at: (!open).then(|| format!("2026-02-{:02}T17:20:00Z", 28 - row % 28)),
        }
    };
    (0..23).map(earning).collect()
}

impl Port for Fake {
    type Upload = Uploading;
    type Reading = Downloading;

    fn pool(&self) -> PoolView {
        let state = self.state.lock().expect("no test panics with it");
        let open = state.jobs.iter().filter(|job| matches!(job.state, JobState::Open | JobState::Running)).count();
        PoolView {
            name: "Lode".into(),
            version: "0.1.0".into(),
            started_at: "2026-03-01T06:00:00Z".into(),
            listeners: [(Algorithm::Sha256d, "0.0.0.0:3333"), (Algorithm::Scrypt, "0.0.0.0:3334")]
                .map(|(algorithm, address)| ListenerView {
                    algorithm,
                    address: address.into(),
                    extranonce1_bytes: 4,
                    extranonce2_bytes: 4,
                })
                .to_vec(),
            connections: 131,
            workers: 128,
            accounts: 14,
            jobs_open: open as u64,
            jobs_total: state.jobs.len() as u64,
            work: windows(RATE),
            fee_bps: 100,
            ledger: LedgerView {
                entries: 1_204_733 + *self.changes.borrow(),
                head: "b7c2f0a95e1d43886a90cc17d2f4e5b6078192a3b4c5d6e7f8091a2b3c4d5e6f".into(),
                writable: state.faults.is_empty(),
            },
        }
    }

    fn health(&self) -> Health {
        let faults = self.faults();
        Health { ready: faults.is_empty(), faults }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn jobs(&self, query: &PageQuery) -> Result<Page<JobView>, PortError> {
        page(self.state.lock().expect("no test panics with it").jobs.iter().rev().cloned(), query)
    }

    fn job(&self, id: JobId) -> Result<JobView, PortError> {
        let state = self.state.lock().expect("no test panics with it");
        let found = state.jobs.iter().find(|job| job.id == id).cloned();
        found.ok_or_else(|| PortError::NotFound(format!("job {id}")))
    }

    fn account(&self, account: &AccountName) -> Result<AccountView, PortError> {
        let credit =
            BalanceView { pending: Amount(719_003_351), matured: Amount(12_480_775_209), paid: Amount(98_000_000_000) };
        match LEADERS.contains(&account.as_str()) {
            true => Ok(AccountView {
                account: account.clone(),
                balances: BTreeMap::from([(name::<AssetName>("CREDIT"), credit)]),
                work: windows(RATE / 7),
                workers: workers(),
                workers_total: workers().len() as u64,
            }),
            false => Err(PortError::NotFound(format!("account {account}"))),
        }
    }

    fn earnings(&self, account: &AccountName, query: &PageQuery) -> Result<Page<EarningView>, PortError> {
        self.account(account)?;
        page(earnings().into_iter(), query)
    }

    fn payouts(&self, account: &AccountName, query: &PageQuery) -> Result<Page<PayoutView>, PortError> {
        self.account(account)?;
        let payout = |day: u128| PayoutView {
            asset: name("CREDIT"),
            amount: Amount(49_000_000_000),
            at: format!("2026-02-{day:02}T00:00:00Z"),
            reference: format!("batch-{day}"),
        };
        page([28, 14].into_iter().map(payout), query)
    }

    fn leaderboard(&self, query: &PageQuery) -> Result<Page<LeaderView>, PortError> {
        let leader = |(place, account): (usize, &&str)| LeaderView {
            account: name(account),
            work: Work((9 << 63) / (place as u128 * place as u128 + 2)),
            shares: 2_000_311 / (place as u64 + 1),
        };
        page(LEADERS.iter().enumerate().map(leader), query)
    }

    fn sponsor_of_key(&self, key: &str) -> Option<SponsorName> {
        match key {
            SPONSOR_KEY => Some(name("acme")),
            OTHER_KEY => Some(name("other")),
            _ => None,
        }
    }

    fn is_admin_token(&self, token: &str) -> bool {
        token == ADMIN_TOKEN
    }

    fn is_miner_token(&self, token: &str) -> bool {
        token == MINER_TOKEN
    }

    fn sponsor(&self, sponsor: &SponsorName) -> Result<SponsorView, PortError> {
        let money =
            SponsorBalance { balance: Amount(7_000_000_000), escrow: Amount(15_000_000_000), spent: Amount(42) };
        Ok(SponsorView { name: sponsor.clone(), assets: BTreeMap::from([(name("CREDIT"), money)]) })
    }

    async fn quote(&self, _: &SponsorName, request: &JobRequest) -> Result<Quote, PortError> {
        let range = request.kind == "render";
        let all = Work(RENDER_WORK * u128::from(RENDER_ELEMENTS));
        Ok(Quote {
            kind: request.kind.clone(),
            algorithm: (!range).then_some(Algorithm::Sha256d),
            work: if range { all } else { Work(5 << 57) },
            work_expected: if range { all } else { Work(1 << 57) },
            price: request.budget,
            asset: request.asset.clone(),
            elements: range.then_some(RENDER_ELEMENTS),
            runnable: true,
            why_not: None,
            eta_s: Some(3442),
            fee_bps: 100,
            notes: if range { vec!["the scene's sounds are left out".into()] } else { vec![] },
        })
    }

    async fn submit(
        &self,
        sponsor: &SponsorName,
        request: JobRequest,
        idempotency: Option<Idempotency>,
    ) -> Result<Submitted, PortError> {
        if !self.faults().is_empty() {
            return Err(PortError::LedgerDown(self.faults().join("; ")));
        }
        let quote = self.quote(sponsor, &request).await?;
        let balance = Amount(7_000_000_000);
        if request.budget > balance {
            return Err(PortError::Short { balance, needed: request.budget, asset: request.asset });
        }
        let mut state = self.state.lock().expect("no test panics with it");
        if let Some(Idempotency { key, body }) = &idempotency
            && let Some((made_from, id)) = state.keys.get(key)
        {
            let job = state.jobs.iter().find(|job| job.id == *id).expect("keys name jobs").clone();
            return match made_from == body {
                true => Ok(Submitted { job, quote, created: false }),
                false => Err(PortError::Conflict(format!("Idempotency-Key {key:?} made {id} from another body"))),
            };
        }
        let id = state.jobs.len() as u64 + 1;
        let job = JobView { sponsor: sponsor.clone(), ..job(id, &request.name, JobState::Open, 0) };
        state.jobs.push(job.clone());
        if let Some(Idempotency { key, body }) = idempotency {
            state.keys.insert(key, (body, job.id));
        }
        Ok(Submitted { job, quote, created: true })
    }

    async fn cancel(&self, sponsor: &SponsorName, id: JobId) -> Result<JobView, PortError> {
        let job = self.job(id)?;
        if job.sponsor != *sponsor {
            return Err(PortError::NotFound(format!("job {id} of {sponsor}")));
        }
        if job.closed_at.is_some() {
            return Err(PortError::Conflict(format!("job {id} is closed already")));
        }
        Ok(JobView { cancel_at: Some("2026-03-05T10:00:00Z".into()), ..job })
    }

    async fn result(&self, sponsor: &SponsorName, id: JobId) -> Result<ResultOf<Downloading>, PortError> {
        let job = self.job(id)?;
        if job.sponsor != *sponsor {
            return Err(PortError::NotFound(format!("job {id} of {sponsor}")));
        }
        if job.elements.is_some() && job.result.is_some() {
            let bytes = picture::draw(1_000_000);
            return Ok(ResultOf::File(ResultFile {
                name: "a sphere.png".into(),
                media_type: "image/png".into(),
                bytes: bytes.len() as u64,
                digest: Digest(*blake3::hash(&bytes).as_bytes()),
                reading: Downloading::of(bytes),
            }));
        }
        let hash = job.solution.ok_or_else(|| PortError::Conflict(format!("job {id} has no result yet")))?;
        Ok(ResultOf::Found(JobResult {
            algorithm: Algorithm::Sha256d,
            header: "00".repeat(80),
            hash,
            extranonce1: "00000001".into(),
            extranonce2: "0000002a".into(),
            ntime: "65e0a1b2".into(),
            nonce: "deadbeef".into(),
            version: "20000000".into(),
        }))
    }

    async fn preview(&self, sponsor: Option<&SponsorName>, id: JobId) -> Result<Option<Bytes>, PortError> {
        let job = self.job(id)?;
        if self.state.lock().expect("no test panics with it").private && sponsor != Some(&job.sponsor) {
            return Err(PortError::NotFound(format!("job {id} of yours")));
        }
        let ppm = |elements| job.elements_done.unwrap_or(0) * 1_000_000 / elements;
        Ok(job.elements.map(|elements| picture::draw(ppm(elements))))
    }

    async fn upload(
        &self,
        client: &BlobClient,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Uploading, PortError> {
        self.bank.begin(client, delivery, announced)
    }

    fn arrived(&self, client: &BlobClient, digest: &Digest) -> u64 {
        self.bank.arrived(client, digest)
    }

    fn blob(&self, client: &BlobClient, digest: &Digest) -> Result<BlobView, PortError> {
        Ok(BlobView { digest: *digest, bytes: self.bank.find(client, digest)?.len() as u64 })
    }

    async fn read_blob(
        &self,
        client: &BlobClient,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Downloading, PortError> {
        self.bank.read(client, digest, range)
    }

    async fn create_sponsor(&self, new: NewSponsor) -> Result<SponsorCreated, PortError> {
        match new.name.as_str() {
            "acme" => Err(PortError::Conflict("there is a sponsor acme already".into())),
            _ => Ok(SponsorCreated { name: new.name, key: "a-new-key".into() }),
        }
    }

    async fn deposit(&self, deposit: DepositRequest) -> Result<DepositView, PortError> {
        let mut state = self.state.lock().expect("no test panics with it");
        let before = state.references.insert(deposit.reference.clone(), deposit.clone());
        if before.as_ref().is_some_and(|before| *before != deposit) {
            return Err(PortError::Conflict(format!("the reference {:?} has another amount", deposit.reference)));
        }
        Ok(DepositView {
            sponsor: deposit.sponsor,
            asset: deposit.asset,
            amount: deposit.amount,
            reference: deposit.reference,
            balance: Amount(7_000_000_000),
            repeated: before.is_some(),
        })
    }
}
