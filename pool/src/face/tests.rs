//! The port without sockets: what a request leaves in ledger and book.

use std::time::Duration;

use lode_protocol::api::Amount;
use lode_protocol::method::configure::HttpAt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::desk;
use crate::jobs::book::Book;
use crate::jobs::range::hall::{self, Hall};
use crate::ledger::entry::{Effort, Outcome, Shape};
use crate::ledger::events::{BatchInfo, Event as Happened, MaturedInfo, UnitInfo, VoidInfo};
use crate::ledger::plan::Command;
use crate::ledger::writer::{Listener, Opening, Options};
use crate::stratum::bans::Bans;
use crate::stratum::extranonce::Extranonces;
use crate::stratum::judges::Judges;
use crate::stratum::presence::Presence;
use crate::stratum::ranges::Offer;

/// Tells book and desk what the ledger says, as the pool does.
struct Ends(mpsc::UnboundedSender<JobId>, mpsc::UnboundedSender<desk::Event>);

impl Ends {
    fn tell(&self, event: Happened) {
        drop(self.1.send(desk::Event::Range(event)));
    }
}

impl Listener for Ends {
    fn share(&mut self, _: &AccountName, _: Effort<'_>, _: u128, _: Millis) {}
    fn closed(&mut self, job: JobId) {
        if self.0.send(job).is_err() {
            tracing::trace!("whoever listened is gone, where a test stops its pool");
        }
        drop(self.1.send(desk::Event::Closed(job)));
    }
    fn unit(&mut self, unit: UnitInfo) {
        self.tell(Happened::Unit(unit));
    }
    fn batch_closed(&mut self, batch: BatchInfo) {
        self.tell(Happened::BatchClosed(batch));
    }
    fn matured(&mut self, matured: MaturedInfo) {
        self.tell(Happened::Matured(matured));
    }
    fn voided(&mut self, void: VoidInfo) {
        self.tell(Happened::Voided(void));
    }
    fn ending(&mut self, job: JobId, outcome: Outcome) {
        self.tell(Happened::Ending(job, outcome));
    }
    fn flushed(&mut self, _: u64, _: Duration) {}
}

pub(crate) fn system_clock() -> Clock {
    let start = std::time::Instant::now();
    Clock::new(move || 1_790_000_000_000 + u64::try_from(start.elapsed().as_millis()).unwrap())
}

/// A pool without sockets.
pub(crate) struct House {
    pub(crate) face: Face,
    /// Ends what runs inside.
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl House {
    /// Opens one whose clock is the system's, or is given.
    pub(crate) fn open(data: &std::path::Path, group: Duration, config: Config, clock: &Clock) -> House {
        let stop = CancellationToken::new();
        let secrets = Secrets::open(data).unwrap();
        let mut opening = Opening::open(data, clock, |_, _, _, _| {}).unwrap();
        let left = desk::Left::take(&mut opening.restored);
        let ((ends, closed), (events, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (ledger, thread) = opening.start(Options { group }, clock.clone(), Ends(ends, events));
        let (book, keeper) = Book::start(ledger.clone(), clock.clone(), closed, stop.clone());
        tokio::spawn(keeper);
        let blobs = Blobs::open(data, config.blobs, clock.clone()).unwrap();
        let options = hall::Options { share_ms: 10_000, least_work: 1, canary: 0 };
        let (hall, usher, impossible) = Hall::start(ledger.clone(), clock.clone(), options, stop.clone());
        tokio::spawn(usher);
        let offer = Offer { pool: [0; 16], http: HttpAt::Port(1), kinds: vec!["render"], vardiff: config.range };
        let with = desk::Surroundings {
            ledger: ledger.clone(),
            hall: hall.clone(),
            impossible,
            events: heard,
            blobs: blobs.clone(),
            specs: Specs::at(data),
            clock: clock.clone(),
        };
        let files = desk::Files::open(data, blobs.clone()).unwrap();
        let (desk, clerk) = desk::Desk::start(with, files, config.audit, left, stop.clone());
        tokio::spawn(clerk);
        let shared = Arc::new(Shared {
            book,
            hall,
            blobs: blobs.clone(),
            passes: Arc::default(),
            offer,
            clock: clock.clone(),
            extranonces: Arc::new(Extranonces::new(&[0; 4], secrets.session_key)),
            bans: Bans::new(config.bans),
            presence: Presence::default(),
            judges: Judges::new(1),
            limits: config.limits,
            doors: Arc::default(),
            ledger,
        });
        let face = Face {
            shared,
            secrets,
            specs: Specs::at(data),
            blobs,
            desk,
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
        };
        House { face, stop, thread }
    }

    /// Stops it as a pool is stopped: when this returns, nothing of it is under way but what crews compute.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        drop(self.face);
        tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
    }
}

/// A pool without sockets, whose ledger takes `group` to write.
fn face(data: &std::path::Path, group: Duration) -> Face {
    House::open(data, group, Config::default(), &system_clock()).face
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

pub(crate) async fn funded(face: &Face) -> SponsorName {
    let name: SponsorName = "acme".parse().unwrap();
    face.create_sponsor(NewSponsor { name: name.clone() }).await.unwrap();
    let (asset, reference) = ("C".parse().unwrap(), "r".into());
    face.deposit(DepositRequest { sponsor: name.clone(), asset, amount: Amount(100), reference }).await.unwrap();
    name
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
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
    let quote = async |algorithm| face.quote(&sponsor, &job_of(algorithm, 1000)).await.unwrap();
    let quotes = [quote(Algorithm::ALL[0]).await, quote(Algorithm::ALL[1]).await];
    // Targets are the same, and so are the hashes that they take.
    assert_eq!(quotes[1].work_expected.0, quotes[0].work_expected.0 * rate);
    assert_eq!(quotes[1].why_not.as_deref(), Some("no scrypt worker is connected"));
    face.shared.presence.online(&"a.b".parse().unwrap(), Algorithm::Scrypt);
    let runnable = [quote(Algorithm::ALL[0]).await.runnable, quote(Algorithm::ALL[1]).await.runnable];
    assert_eq!(runnable, [false, true]);
    face.submit(&sponsor, job_of(Algorithm::Scrypt, 1000), None).await.unwrap();
    let terms = face.record(JobId(1)).unwrap().terms;
    assert_eq!(
        (terms.algorithm(), terms.rate_card),
        (Some(Algorithm::Scrypt), lode_protocol::RateCard::CURRENT.version())
    );
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
    let sponsor: SponsorName = "acme".parse().unwrap();
    let quoted = face.quote(&sponsor, &job_of(Algorithm::Scrypt, 1000)).await;
    let Err(PortError::Fields(fields)) = quoted else { panic!("quoted") };
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
