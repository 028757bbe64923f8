//! A whole pool: opens its data, binds nothing itself, serves until told to stop, and stops in one
//! order: no new connections, owed answers, the ledger's last group, the store.

use std::fs::File;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use futures_util::future::join_all;
use lode_dashboard::HttpOptions;
use lode_dashboard::metrics as names;
use lode_kinds::{Kind, Shape as KindShape};
use lode_protocol::Algorithm;
use lode_protocol::api::ListenerView;
use lode_protocol::ids::{AccountName, JobId};
use lode_protocol::method::configure::HttpAt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::blobs::{BlobError, Blobs};
use crate::clock::Clock;
use crate::config::Config;
use crate::desk::{self, Desk, DeskError};
use crate::face::Face;
use crate::jobs::book::Book;
use crate::jobs::range::hall::{self, Hall};
use crate::ledger::entry::{Effort, Millis, Outcome};
use crate::ledger::events::{BatchInfo, Event as Happened, MaturedInfo, UnitInfo, VoidInfo};
use crate::ledger::fold::Job;
use crate::ledger::store::Opened;
use crate::ledger::writer::{self, Ledger, OpenError, Opening, Tip};
use crate::secrets::{SecretError, Secrets};
use crate::specs::Specs;
use crate::stats::Stats;
use crate::stratum::bans::Bans;
use crate::stratum::extranonce::Extranonces;
use crate::stratum::judges::Judges;
use crate::stratum::presence::Presence;
use crate::stratum::ranges::Offer;
use crate::stratum::session::Settings;
use crate::stratum::{Shared, accept};

/// How long everything may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a pool does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// Another pool has it.
    #[error("{0} is in use by another lode-pool; stop it first, or give --data another directory")]
    InUse(PathBuf),
    /// The secrets.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The blobs.
    #[error("the blobs: {0}")]
    Blobs(#[from] BlobError),
    /// The desk's files.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
}

/// What a pool is started with.
#[derive(Debug)]
pub struct Start {
    /// Settings.
    pub config: Config,
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where sha256d miners connect; bound.
    pub stratum: TcpListener,
    /// Where scrypt miners connect, if anywhere; bound.
    pub scrypt: Option<TcpListener>,
    /// Where the pages and the API are; bound.
    pub http: TcpListener,
    /// The time.
    pub clock: Clock,
    /// What `/metrics` shows, if anything.
    pub metrics: Option<PrometheusHandle>,
}

/// Holds the data directory against a second pool while it lives.
#[derive(Debug)]
struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

fn lock(data: &Path) -> Result<Lock, StartError> {
    let path = data.join("lock");
    let io = |source| StartError::Io { path: path.clone(), source };
    std::fs::create_dir_all(data).map_err(io)?;
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse(data.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

/// What the ledger's thread tells: statistics, closed jobs, metrics.
struct Listener {
    stats: Arc<Stats>,
    closed: mpsc::UnboundedSender<JobId>,
    desk: mpsc::UnboundedSender<desk::Event>,
    entries: u64,
}

impl Listener {
    fn tell(&self, event: desk::Event) {
        if self.desk.send(event).is_err() {
            // The desk is gone, so the pool is stopping.
            tracing::trace!("something happened while stopping");
        }
    }
}

impl writer::Listener for Listener {
    fn share(&mut self, account: &AccountName, effort: Effort<'_>, work: u128, at: Millis) {
        self.stats.share(account, effort, work, at);
    }

    fn unit(&mut self, unit: UnitInfo) {
        self.tell(desk::Event::Range(Happened::Unit(unit)));
    }

    fn batch_closed(&mut self, batch: BatchInfo) {
        self.tell(desk::Event::Range(Happened::BatchClosed(batch)));
    }

    fn matured(&mut self, matured: MaturedInfo) {
        self.tell(desk::Event::Range(Happened::Matured(matured)));
    }

    fn voided(&mut self, void: VoidInfo) {
        void.taken.iter().for_each(|(account, work)| self.stats.take_back(account, *work));
        self.tell(desk::Event::Range(Happened::Voided(void)));
    }

    fn ending(&mut self, job: JobId, outcome: Outcome) {
        self.tell(desk::Event::Range(Happened::Ending(job, outcome)));
    }

    fn closed(&mut self, job: JobId) {
        if self.closed.send(job).is_err() {
            // The book is gone, so the pool is stopping.
            tracing::trace!(%job, "closed while stopping");
        }
        self.tell(desk::Event::Closed(job));
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
    fn flushed(&mut self, entries: u64, took: Duration) {
        self.entries += entries;
        metrics::gauge!(names::LEDGER_ENTRIES).set(self.entries as f64);
        metrics::histogram!(names::LEDGER_FLUSH).record(took);
    }
}

/// A pool that is open and not yet serving.
#[derive(Debug)]
pub struct Pool {
    start: Start,
    lock: Lock,
    secrets: Secrets,
    blobs: Blobs,
    files: desk::Files,
    stats: Arc<Stats>,
    opening: Opening,
}

impl Pool {
    /// Opens the data directory and reads the ledger.
    ///
    /// # Errors
    /// The directory is in use, the disk fails, or the ledger is damaged.
    pub fn open(start: Start) -> Result<Pool, StartError> {
        let lock = lock(&start.data)?;
        let secrets = Secrets::open(&start.data)?;
        let blobs = Blobs::open(&start.data, start.config.blobs, start.clock.clone())?;
        let files = desk::Files::open(&start.data, blobs.clone())?;
        let stats = Arc::new(Stats::default());
        let opening = Opening::open(&start.data, &start.clock, |account, effort, work, at| {
            stats.share(account, effort, work, at);
        })?;
        opening.restored.taken.iter().for_each(|(account, work)| stats.take_back(account, *work));
        report(&opening.restored);
        Ok(Pool { start, lock, secrets, blobs, files, stats, opening })
    }

    /// Serves until `shutdown`, then stops cleanly.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Pool { start, lock, secrets, blobs, files, stats, mut opening } = self;
        let Start { config, data, stratum, scrypt, http, clock, metrics } = start;
        let scrypt = scrypt.map(|listener| (Algorithm::Scrypt, listener));
        let sockets: Vec<Socket> = iter::once((Algorithm::Sha256d, stratum)).chain(scrypt).collect();
        let open_jobs = opening.restored.open_jobs.clone();
        let (closed_sender, closed) = mpsc::unbounded_channel();
        let (desk_sender, events) = mpsc::unbounded_channel();
        let (entries, left) = (opening.restored.entries, desk::Left::take(&mut opening.restored));
        let listener = Listener { stats: stats.clone(), closed: closed_sender, desk: desk_sender, entries };
        let options = writer::Options { group: config.group };
        let (ledger, thread) = opening.start(options, clock.clone(), listener);
        // Tasks of the pool's inside outlive the sockets, so that what is owed can be answered.
        let inside = CancellationToken::new();
        let (book, keeper) = Book::start(ledger.clone(), clock.clone(), closed, inside.clone());
        let keeper = tokio::spawn(keeper);
        let halls = hall::Options {
            share_ms: config.range.interval_ms,
            least_work: config.range.start.hashes().0,
            canary: config.audit.canary,
        };
        let (hall, porter, impossible) = Hall::start(ledger.clone(), clock.clone(), halls, inside.clone());
        let porter = tokio::spawn(porter);
        let (ledger_of, hall_of, specs) = (ledger.clone(), hall.clone(), Specs::at(&data));
        let with = desk::Surroundings {
            ledger: ledger_of,
            hall: hall_of,
            impossible,
            events,
            blobs: blobs.clone(),
            specs: specs.clone(),
            clock: clock.clone(),
        };
        let (desk, clerk) = Desk::start(with, files, config.audit, left, inside.clone());
        let clerk = tokio::spawn(clerk);
        let http_port = http.local_addr().map_or(0, |address| address.port());
        let shared =
            Arc::new(shared(&config, &secrets, &clock, Rooms { book, hall, blobs: blobs.clone(), ledger }, http_port));
        let (changes, joiner) = changes(shared.ledger.tip(), shared.presence.changes(), inside.clone());
        let joiner = tokio::spawn(joiner);
        let options = http_options(&config, metrics);
        let face = Arc::new(Face {
            shared: shared.clone(),
            secrets,
            specs,
            blobs,
            desk,
            stats,
            started_at: clock.now(),
            listeners: sockets.iter().map(|socket| listener_view(&config, socket)).collect(),
            changes,
            next_serial: AtomicU32::new(1),
            config,
        });
        restore(&face, &open_jobs).await;
        let web = lode_dashboard::serve(http, face.clone(), options, shutdown.clone().cancelled_owned());
        run_sockets(sockets, &face, web, &shutdown).await;
        inside.cancel();
        for task in [keeper, porter, clerk, joiner] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the pool failed");
            }
        }
        drop((face, shared));
        stop_ledger(thread).await;
        drop(lock);
    }
}

/// What was started before the stratum side.
struct Rooms {
    book: Book,
    hall: Hall,
    blobs: Blobs,
    ledger: Ledger,
}

/// Where miners find the HTTP side, and what they are offered there.
fn offer(config: &Config, ledger: &Ledger, http_port: u16) -> Offer {
    let http = config.public_url.clone().map_or(HttpAt::Port(http_port), HttpAt::Url);
    let kinds = Kind::ALL.iter().filter(|kind| kind.shape() == KindShape::Range).map(|kind| kind.name()).collect();
    Offer { pool: ledger.pool(), http, kinds, vardiff: config.range }
}

/// What the stratum side shares.
fn shared(config: &Config, secrets: &Secrets, clock: &Clock, rooms: Rooms, http_port: u16) -> Shared {
    let Rooms { book, hall, blobs, ledger } = rooms;
    Shared {
        book,
        hall,
        blobs,
        passes: Arc::default(),
        offer: offer(config, &ledger, http_port),
        ledger,
        clock: clock.clone(),
        extranonces: Arc::new(extranonces(config, secrets)),
        bans: Bans::new(config.bans),
        presence: Presence::default(),
        judges: Judges::default(),
        limits: config.limits,
        doors: Arc::default(),
    }
}

/// A stratum listener and its algorithm.
type Socket = (Algorithm, TcpListener);

fn settings(config: &Config, algorithm: Algorithm) -> Settings {
    let vardiff = match algorithm {
        Algorithm::Sha256d => config.vardiff,
        Algorithm::Scrypt => config.scrypt_vardiff,
    };
    let (extranonce2_bytes, version_mask) = (config.extranonce2_bytes, config.version_mask);
    Settings { algorithm, extranonce2_bytes, version_mask, vardiff }
}

fn http_options(config: &Config, metrics: Option<PrometheusHandle>) -> HttpOptions {
    HttpOptions {
        trust_proxy_tls: config.tls_proxy,
        body_bytes_max: config.body_bytes,
        metrics,
        ..HttpOptions::default()
    }
}

/// Serves all ports until all have drained, or until their time to do so is up.
async fn run_sockets(
    sockets: Vec<Socket>,
    face: &Face,
    web: impl Future<Output = io::Result<()>>,
    shutdown: &CancellationToken,
) {
    let stratum = join_all(sockets.into_iter().map(|(algorithm, listener)| {
        let settings = settings(&face.config, algorithm);
        accept::serve(listener, settings, face.shared.clone(), shutdown.clone())
    }));
    let all = async { tokio::join!(stratum, web) };
    let overtime = async {
        shutdown.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        (_, served) = all => {
            if let Err(error) = served {
                tracing::error!(%error, "the web server ended");
            }
        }
        () = overtime => tracing::warn!("some connections did not finish in time and are cut"),
    }
}

/// Waits for the ledger's thread, which ends once every handle to it is gone.
async fn stop_ledger(thread: std::thread::JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(move || thread.join());
    match tokio::time::timeout(STOP_TIMEOUT, joined).await {
        Ok(Ok(Ok(()))) => tracing::info!("the ledger is closed"),
        Ok(_) => tracing::error!("the ledger's thread failed"),
        Err(_) => tracing::error!("the ledger did not close in time; what was acknowledged is on disk"),
    }
}

fn report(restored: &writer::Restored) {
    if let Some(path) = &restored.torn {
        tracing::warn!(file = %path.display(), "an unfinished group at the journal's end was cut; nothing in it was acknowledged");
    }
    match &restored.store {
        Opened::Agreed => {}
        Opened::Behind(seq) => tracing::info!(from = seq, "the store was brought up to the journal"),
        Opened::Rebuilt(why) => tracing::warn!(%why, "the store was rebuilt from the journal"),
    }
    tracing::info!(entries = restored.entries, open_jobs = restored.open_jobs.len(), "the ledger is open");
}

fn extranonces(config: &Config, secrets: &Secrets) -> Extranonces {
    let start = config.extranonce1_start.clone().unwrap_or_else(|| {
        let random: [u8; 8] = rand::random();
        let mut start = vec![0; config.extranonce1_bytes];
        let counted = start.len().min(8);
        let from = start.len() - counted;
        start[from..].copy_from_slice(&random[..counted]);
        start
    });
    Extranonces::new(&start, secrets.session_key)
}

fn listener_view(config: &Config, (algorithm, listener): &Socket) -> ListenerView {
    ListenerView {
        algorithm: *algorithm,
        // A listener that is bound has an address, as long as it is open.
        address: listener.local_addr().map(|address| address.to_string()).unwrap_or_default(),
        extranonce1_bytes: config.extranonce1_bytes,
        extranonce2_bytes: config.extranonce2_bytes,
    }
}

/// One number that changes with the ledger's tip or with who is here.
fn changes(
    mut tip: watch::Receiver<Tip>,
    mut presence: watch::Receiver<u64>,
    stop: CancellationToken,
) -> (watch::Receiver<u64>, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(0);
    let joiner = async move {
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                changed = tip.changed() => changed,
                changed = presence.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            sender.send_modify(|number: &mut u64| *number = number.wrapping_add(1));
        }
    };
    (receiver, joiner)
}

/// Offers the jobs that were open when the pool last stopped.
pub(crate) async fn restore(face: &Face, open_jobs: &[Job]) {
    let book = &face.shared.book;
    // Range jobs are the desk's.
    for job in open_jobs.iter().filter(|job| job.terms.range().is_none()) {
        let id = job.terms.job;
        match face.specs.hash_spec(&job.terms) {
            Ok(spec) if !face.serves(spec.rate.algorithm()) => {
                tracing::error!(job = %id, algorithm = %spec.rate.algorithm(), "its algorithm has no listener now; it is not served");
                book.keep(id, job.terms.deadline_at).await;
            }
            Ok(spec) if spec.extranonce_bytes == face.config.extranonce1_bytes + face.config.extranonce2_bytes => {
                book.open(face.search(job, spec)).await;
            }
            Ok(_) => {
                tracing::error!(job = %id, "its template fits other extranonce sizes than are configured now; it is not served");
                book.keep(id, job.terms.deadline_at).await;
            }
            Err(error) => {
                tracing::error!(job = %id, %error, "its spec cannot be read; it is not served");
                book.keep(id, job.terms.deadline_at).await;
            }
        }
        if let Some(at) = job.cancel_at {
            book.cancel_at(id, at).await;
        }
    }
}
