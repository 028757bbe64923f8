//! The writer: one thread that owns the state and the journal.
//!
//! Commands queue up in a bounded channel. The thread gathers a group (for a few milliseconds or
//! bytes), plans each command against the state, appends the group's entries to the journal, waits
//! for the disk, brings the store up to date, and only then answers. After any error it answers
//! nothing but refusals: what is on disk is then for the next start to find out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use lode_protocol::ids::{AccountName, JobId};
use tokio::sync::{Semaphore, oneshot, watch};

use super::entry::{Effort, Entry, Millis, Outcome};
use super::events::{BatchInfo, Event, MaturedInfo, Triple, UnitInfo, VoidInfo};
use super::fold::{Broken, Job, State};
use super::journal::{self, Journal, JournalError, Position};
use super::plan::{Command, Done, Refusal, plan};
use super::range::{Standing, Unit};
use super::secrets::Secret;
use super::store::{Opened, Store, StoreError};
use crate::clock::Clock;

/// Commands that may wait for the writer; beyond that, whoever asks waits.
pub const QUEUE_MAX: usize = 4096;
/// A group is closed once its entries have this many bytes.
const GROUP_BYTES: usize = 64 * 1024;
/// Most bytes of one frame; the entries of one large settlement are spread over several.
const FRAME_BYTES: usize = 1024 * 1024;
/// How often the store is brought to stable storage while entries come in.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Why a command came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It was not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger takes no entries any more.
    #[error("{0}")]
    Down(Arc<str>),
}

/// Why the ledger does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal.
    #[error("the ledger's journal: {0}")]
    Journal(#[from] JournalError),
    /// The store.
    #[error("the ledger's store: {0}")]
    Store(#[from] StoreError),
    /// A directory could not be made.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// The segments' headers and the first entry name different pools.
    #[error("{0}: the segments are of another pool than their first entry")]
    OtherPool(PathBuf),
    /// The terms of a closed job could not be executed.
    #[error("the ledger's end: {0}")]
    Fold(#[from] Broken),
}

/// What the ledger tells the rest of the pool, in the order of the log within each group. Who does not serve range jobs
/// need not listen to what is said of them.
pub trait Listener: Send + 'static {
    /// A share is on disk, of a search or of a range job.
    fn share(&mut self, account: &AccountName, effort: Effort<'_>, work: u128, at: Millis);
    /// A job is closed on disk.
    fn closed(&mut self, job: JobId);
    /// A unit is on disk, after its share.
    fn unit(&mut self, _: UnitInfo) {}
    /// A batch waits for its verdict.
    fn batch_closed(&mut self, _: BatchInfo) {}
    /// A batch is payable.
    fn matured(&mut self, _: MaturedInfo) {}
    /// A batch counts for nothing, and its key is banned.
    fn voided(&mut self, _: VoidInfo) {}
    /// A range job takes no units any more; it closes later.
    fn ending(&mut self, _: JobId, _: Outcome) {}
    /// A group is on disk; how many entries it had and how long the disk took.
    fn flushed(&mut self, entries: u64, took: Duration);
}

/// The end of the log, as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Where the log ends.
    pub position: Position,
    /// Why no more entries are taken, if so.
    pub fault: Option<Arc<str>>,
}

/// Settings of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a group may gather.
    pub group: Duration,
}

type Reply = oneshot::Sender<Result<Done, LedgerError>>;

struct Queued {
    command: Command,
    reply: Reply,
}

/// A handle to the ledger; clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    queue: SyncSender<QueuedBox>,
    /// Bounds the queue without blocking a network task: a permit is held from asking to answer.
    permits: Arc<Semaphore>,
    tip: watch::Receiver<Tip>,
    store: Store,
    pool: [u8; 16],
}

/// Keeps `Queued` out of the public type's debug form.
type QueuedBox = Box<Queued>;

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.command.fmt(f)
    }
}

/// What the ledger held when it was opened.
#[derive(Debug)]
pub struct Restored {
    /// The pool's id.
    pub pool: [u8; 16],
    /// Jobs that are open, without their shares.
    pub open_jobs: Vec<Job>,
    /// What is done of those that are ranges.
    pub ranges: Vec<RestoredRange>,
    /// Secrets of draws, by number.
    pub secrets: Vec<Secret>,
    /// Work of void batches, which the shares of the past had counted.
    pub taken: Vec<(AccountName, u128)>,
    /// Entries in all.
    pub entries: u64,
    /// How many bytes of an unfinished group were cut off, if any.
    pub torn: Option<PathBuf>,
    /// What happened to the store.
    pub store: Opened,
}

/// What is done of an open range job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredRange {
    /// The job.
    pub job: JobId,
    /// Units that have done their elements, in the order of these.
    pub units: Vec<RestoredUnit>,
    /// Units of each key that are in no closed batch.
    pub open: Vec<OpenBatch>,
    /// Batches that wait for their verdict.
    pub batches: Vec<BatchInfo>,
    /// How it ends, if it takes no units any more.
    pub ending: Option<Outcome>,
}

/// A unit that has done its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredUnit {
    /// Its first element, as the job counts them.
    pub first: u64,
    /// Its elements.
    pub count: u32,
    /// Digest of its result.
    pub digest: [u8; 32],
    /// Whose.
    pub key: [u8; 32],
    /// Whether its batch has matured.
    pub matured: bool,
}

/// Units of a key that are in no closed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBatch {
    /// Whose.
    pub key: [u8; 32],
    /// They, in the order of the log.
    pub units: Vec<Triple>,
    /// When the first of them came.
    pub since: Millis,
}

impl RestoredRange {
    pub(super) fn of(state: &State, job: &Job) -> RestoredRange {
        let key = |number| state.keys.get(number).expect("each unit's key is known").key;
        let units = job.range.done().map(|unit| RestoredUnit {
            first: unit.first,
            count: unit.count,
            digest: unit.digest,
            key: key(unit.key),
            matured: unit.standing == Standing::Matured,
        });
        let open = job.range.open().map(|(number, units)| {
            let units: Vec<&Unit> = units.collect();
            let since = units.first().map_or(0, |unit| unit.at);
            OpenBatch { key: key(number), units: units.into_iter().map(Unit::triple).collect(), since }
        });
        RestoredRange {
            job: job.terms.job,
            units: units.collect(),
            open: open.collect(),
            batches: job.range.unresolved().filter_map(|batch| state.batch_info(batch)).collect(),
            ending: job.ending,
        }
    }
}

/// The paths of a ledger within a data directory.
#[must_use]
pub fn journal_dir(data: &Path) -> PathBuf {
    data.join("ledger").join("journal")
}

/// The path of the store within a data directory.
#[must_use]
pub fn store_dir(data: &Path) -> PathBuf {
    data.join("ledger").join("store")
}

/// A ledger that is open and not yet running: its past can be looked at before its thread starts.
#[derive(Debug)]
pub struct Opening {
    state: State,
    journal: Journal,
    store: Store,
    /// What it held.
    pub restored: Restored,
}

impl Opening {
    /// Reads the journal under `data`, repairs what a crash left, and opens the store. `on_share`
    /// sees every share of the past: account, what it was of, work, time.
    ///
    /// # Errors
    /// The disk fails, or the journal is damaged.
    pub fn open(
        data: &Path,
        clock: &Clock,
        mut on_share: impl FnMut(&AccountName, Effort<'_>, u128, Millis),
    ) -> Result<Opening, OpenError> {
        let dir = journal_dir(data);
        // Each name that leads to the journal, whether made now or by a process that was killed.
        let made = std::fs::create_dir_all(&dir)
            .and_then(|()| journal::sync_dir(&data.join("ledger")))
            .and_then(|()| journal::sync_dir(data));
        made.map_err(|source| OpenError::Io { path: dir.clone(), source })?;
        let mut state = State::default();
        let mut taken = Vec::new();
        let scan = journal::scan(&dir, |_, entry| {
            state.apply(&entry)?;
            if let Some((account, effort, work, at)) = credited(&state, &entry) {
                on_share(account, effort, work, at);
            }
            for event in state.take_events() {
                if let Event::Voided(void) = event {
                    taken.extend(void.taken);
                }
            }
            Ok::<_, Broken>(())
        })?;
        if state.pool.is_some() && state.pool != scan.pool {
            return Err(OpenError::OtherPool(dir));
        }
        let mut journal = Journal::open(&dir, &scan, rand::random())?;
        if state.pool.is_none() {
            let opened = Entry::PoolOpened { pool: journal.pool(), at: clock.now() };
            state.apply(&opened)?;
            journal.append(&[opened.encode()])?;
        }
        // A crash within a settlement that takes several frames leaves entries that are still due.
        let due = take_due(&mut state)?;
        append(&mut journal, &due.iter().map(Entry::encode).collect::<Vec<_>>())?;
        state.take_dirty();
        state.take_events();
        let (store, opened) = Store::open(&store_dir(data), &state, journal.end())?;
        let open = || state.jobs.values().filter(|job| job.closed.is_none());
        let restored = Restored {
            pool: journal.pool(),
            open_jobs: open().map(Job::without_shares).collect(),
            ranges: open()
                .filter(|job| job.terms.range().is_some())
                .map(|job| RestoredRange::of(&state, job))
                .collect(),
            secrets: state.secrets.all().to_vec(),
            taken,
            entries: journal.end().seq,
            torn: scan.torn.map(|(path, _)| path),
            store: opened,
        };
        Ok(Opening { state, journal, store, restored })
    }

    /// Starts the thread. It ends once every handle is gone.
    #[must_use]
    pub fn start(
        self,
        options: Options,
        clock: Clock,
        listener: impl Listener,
    ) -> (Ledger, std::thread::JoinHandle<()>) {
        let (queue, commands) = sync_channel(QUEUE_MAX);
        let (tip_sender, tip) = watch::channel(Tip { position: self.journal.end(), fault: None });
        let (pool, store) = (self.journal.pool(), self.store.clone());
        let writer = Writer {
            state: self.state,
            journal: self.journal,
            store: self.store,
            options,
            clock,
            listener,
            tip: tip_sender,
            checkpoint_at: Instant::now() + CHECKPOINT_EVERY,
        };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&commands));
        let thread = thread.expect("the system can start one more thread");
        (Ledger { queue, permits: Arc::new(Semaphore::new(QUEUE_MAX)), tip, store, pool }, thread)
    }
}

impl Ledger {
    /// Enters a command; answers once it is on disk.
    ///
    /// # Errors
    /// It is refused, or the ledger is down.
    pub async fn enter(&self, command: Command) -> Result<Done, LedgerError> {
        let down =
            || LedgerError::Down(self.tip.borrow().fault.clone().unwrap_or_else(|| "the ledger is closed".into()));
        let permit = self.permits.acquire().await.map_err(|_| down())?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Box::new(Queued { command, reply })).map_err(|_| down())?;
        let answer = answer.await.map_err(|_| down());
        drop(permit);
        answer?
    }

    /// The end of the log, as it moves.
    #[must_use]
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.clone()
    }

    /// The pool's id, which is in the first entry.
    #[must_use]
    pub fn pool(&self) -> [u8; 16] {
        self.pool
    }

    /// The store, for questions.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// Whom an entry credits, what for, the work and the time, if it is a share of either shape.
fn credited<'a>(state: &'a State, entry: &Entry) -> Option<(&'a AccountName, Effort<'a>, u128, Millis)> {
    let (Entry::Share { job, worker, work, at, .. } | Entry::Unit { job, worker, work, at, .. }) = entry else {
        return None;
    };
    Some((&state.workers[*worker as usize].account, state.jobs[job].terms.effort(), *work, *at))
}

/// Applies and takes every entry that the terms require now.
fn take_due(state: &mut State) -> Result<Vec<Entry>, Broken> {
    let mut taken = Vec::new();
    while let Some(entry) = state.due().front().cloned() {
        state.apply(&entry)?;
        taken.push(entry);
    }
    Ok(taken)
}

/// Appends encoded entries in frames of bounded size.
fn append(journal: &mut Journal, mut entries: &[Vec<u8>]) -> Result<(), JournalError> {
    while !entries.is_empty() {
        let mut bytes = 0;
        let room = entries.iter().take_while(|entry| {
            let fits = bytes < FRAME_BYTES;
            bytes += entry.len() + 2;
            fits
        });
        let (frame, rest) = entries.split_at(room.count());
        journal.append(frame)?;
        entries = rest;
    }
    Ok(())
}

struct Writer<L> {
    state: State,
    journal: Journal,
    store: Store,
    options: Options,
    clock: Clock,
    listener: L,
    tip: watch::Sender<Tip>,
    checkpoint_at: Instant,
}

/// Commands that were planned together, their entries, and who waits for them.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    /// The same as bytes.
    encoded: Vec<Vec<u8>>,
    bytes: usize,
    replies: Vec<(Reply, Result<Done, LedgerError>)>,
}

impl<L: Listener> Writer<L> {
    fn run(mut self, commands: &Receiver<QueuedBox>) {
        while let Ok(first) = commands.recv() {
            // A panic (an overflow, a failure within sled) is a fault as any other: it is told, and
            // nothing that it left half done is answered or written on.
            let group = catch_unwind(AssertUnwindSafe(|| self.group(first, commands)));
            if let Err(fault) = group.unwrap_or_else(|_| Err("its thread panicked; the log has the place".into())) {
                return self.refuse_all(&fault, commands);
            }
        }
        if let Err(error) = self.store.checkpoint() {
            // The journal has it all; the store is compared with it at the next start.
            tracing::warn!(%error, "the store was not flushed at the end");
        }
    }

    /// Answers everything with the fault until nobody asks any more.
    fn refuse_all(self, fault: &str, commands: &Receiver<QueuedBox>) {
        let fault: Arc<str> = fault.into();
        tracing::error!(%fault, "the ledger stopped: no share is acknowledged and no job opened from here on");
        self.tip.send_modify(|tip| tip.fault = Some(fault.clone()));
        while let Ok(queued) = commands.recv() {
            answer(queued.reply, Err(LedgerError::Down(fault.clone())));
        }
    }

    /// Gathers, enters and answers one group. An error leaves those who wait without an answer,
    /// which their handles turn into the fault.
    fn group(&mut self, first: QueuedBox, commands: &Receiver<QueuedBox>) -> Result<(), String> {
        let until = Instant::now() + self.options.group;
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(queued) = next.take() {
            self.plan(*queued, &mut group)?;
            if group.bytes >= GROUP_BYTES || group.replies.len() >= QUEUE_MAX {
                break;
            }
            next = commands.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        }
        self.commit(group)
    }

    fn plan(&mut self, queued: Queued, group: &mut Group) -> Result<(), String> {
        // A clock that is set back must not stop the pool.
        let now = self.clock.now().max(self.state.last_at);
        let planned = plan(&self.state, &queued.command, now);
        let outcome = match planned {
            Err(refusal) => Err(LedgerError::Refused(refusal)),
            Ok((planned, done)) => {
                let mut entries = Vec::with_capacity(planned.len());
                for entry in planned {
                    self.state.apply(&entry).map_err(|error| bug(&queued.command, &error))?;
                    entries.push(entry);
                    entries.extend(take_due(&mut self.state).map_err(|error| bug(&queued.command, &error))?);
                }
                for entry in &entries {
                    let encoded = entry.encode();
                    group.bytes += encoded.len();
                    group.encoded.push(encoded);
                }
                group.entries.extend(entries);
                Ok(done)
            }
        };
        group.replies.push((queued.reply, outcome));
        Ok(())
    }

    fn commit(&mut self, group: Group) -> Result<(), String> {
        let mut took = Duration::ZERO;
        if !group.entries.is_empty() {
            let started = Instant::now();
            append(&mut self.journal, &group.encoded).map_err(|error| error.to_string())?;
            took = started.elapsed();
            let keys = self.state.take_dirty();
            self.store.apply(&self.state, &keys, self.journal.end()).map_err(|error| error.to_string())?;
            self.count(&group.entries);
        }
        // What is acknowledged can be seen; who asked hears of a job's end before the others do.
        for (reply, outcome) in group.replies {
            answer(reply, outcome);
        }
        if !group.entries.is_empty() {
            self.tell(&group.entries, took);
        }
        if Instant::now() >= self.checkpoint_at {
            self.store.checkpoint().map_err(|error| error.to_string())?;
            self.checkpoint_at = Instant::now() + CHECKPOINT_EVERY;
        }
        Ok(())
    }

    fn count(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Some((account, effort, work, at)) = credited(&self.state, entry) {
                self.listener.share(account, effort, work, at);
            }
        }
    }

    fn tell(&mut self, entries: &[Entry], took: Duration) {
        for event in self.state.take_events() {
            match event {
                Event::Unit(unit) => self.listener.unit(unit),
                Event::BatchClosed(batch) => self.listener.batch_closed(batch),
                Event::Matured(matured) => self.listener.matured(matured),
                Event::Voided(void) => self.listener.voided(void),
                Event::Ending(job, outcome) => self.listener.ending(job, outcome),
            }
        }
        for entry in entries {
            if let Entry::JobClosed { job, .. } = entry {
                self.listener.closed(*job);
            }
        }
        self.listener.flushed(entries.len() as u64, took);
        let position = self.journal.end();
        self.tip.send_modify(|tip| tip.position = position);
    }
}

/// A plan whose entries the fold refuses: the two disagree, so nothing may be written any more.
fn bug(command: &Command, error: &Broken) -> String {
    format!("{command:?} was planned into entries that do not fold: {error}")
}

fn answer(reply: Reply, outcome: Result<Done, LedgerError>) {
    if reply.send(outcome).is_err() {
        // Whoever asked has gone, e.g. a closed connection. The entry stands.
        tracing::trace!("an answer of the ledger found nobody");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    use lode_protocol::Algorithm;
    use lode_protocol::api::{Amount, DepositRequest};

    use crate::ledger::entry::{Outcome, Scheme, Shape};
    use crate::ledger::plan::NewJob;

    struct Deaf;

    impl Listener for Deaf {
        fn share(&mut self, _: &AccountName, _: Effort<'_>, _: u128, _: Millis) {}
        fn closed(&mut self, _: JobId) {}
        fn flushed(&mut self, _: u64, _: Duration) {}
    }

    fn start(data: &Path, time: &Arc<AtomicU64>) -> Ledger {
        let time = time.clone();
        let clock = Clock::new(move || time.load(Ordering::Relaxed));
        let opening = Opening::open(data, &clock, |_, _, _, _| {}).unwrap();
        opening.start(Options { group: Duration::ZERO }, clock, Deaf).0
    }

    fn new_job() -> Command {
        Command::OpenJob(Box::new(NewJob {
            sponsor: "acme".parse().unwrap(),
            name: String::new(),
            kind: "hash".into(),
            spec: [0; 32],
            asset: "C".parse().unwrap(),
            budget: 10,
            scheme: Scheme::Prop,
            fee_bps: 0,
            rate_card: 1,
            work_quoted: 100,
            shape: Shape::Search { algorithm: Algorithm::Sha256d, work_expected: 100 },
            deadline_ms: 1000,
            idempotency: None,
        }))
    }

    fn deposit(asset: &str, amount: u128) -> Command {
        let (sponsor, asset) = ("acme".parse().unwrap(), asset.parse().unwrap());
        Command::Deposit(DepositRequest { sponsor, asset, amount: Amount(amount), reference: "r".into() })
    }

    #[tokio::test]
    async fn a_panic_is_told_as_a_fault() {
        struct Broken;
        impl Listener for Broken {
            fn share(&mut self, _: &AccountName, _: Effort<'_>, _: u128, _: Millis) {}
            fn closed(&mut self, _: JobId) {}
            fn flushed(&mut self, _: u64, _: Duration) {
                panic!("as an overflow would");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(|| 1);
        let opening = Opening::open(dir.path(), &clock, |_, _, _, _| {}).unwrap();
        let (ledger, thread) = opening.start(Options { group: Duration::ZERO }, clock, Broken);
        let mut tip = ledger.tip();
        ledger.enter(Command::CreateSponsor("acme".parse().unwrap())).await.unwrap();
        tip.wait_for(|tip| tip.fault.is_some()).await.unwrap();
        let next = ledger.enter(Command::CreateSponsor("other".parse().unwrap())).await;
        assert!(matches!(next, Err(LedgerError::Down(_))), "{next:?}");
        drop(ledger);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_reference_that_comes_with_other_money_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicU64::new(5_000));
        let mut ledger = start(dir.path(), &time);
        ledger.enter(Command::CreateSponsor("acme".parse().unwrap())).await.unwrap();
        ledger.enter(deposit("C", 100)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(ledger.enter(deposit("C", 100)).await, Ok(Done::Repeated));
            for other in [deposit("C", 1000), deposit("D", 100)] {
                let refused = ledger.enter(other).await;
                assert_eq!(refused, Err(LedgerError::Refused(Refusal::ReferenceReused("r".into()))));
            }
            // The second time from the journal.
            let copy = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(journal_dir(copy.path())).unwrap();
            for item in journal_dir(dir.path()).read_dir().unwrap() {
                let path = item.unwrap().path();
                std::fs::copy(&path, journal_dir(copy.path()).join(path.file_name().unwrap())).unwrap();
            }
            ledger = start(&copy.keep(), &time);
        }
    }

    #[tokio::test]
    async fn an_ending_that_is_asked_for_too_early_is_refused_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicU64::new(5_000));
        let ledger = start(dir.path(), &time);
        ledger.enter(Command::CreateSponsor("acme".parse().unwrap())).await.unwrap();
        ledger.enter(deposit("C", 100)).await.unwrap();
        ledger.enter(new_job()).await.unwrap();
        // E.g. the book's clock was set back between its look and the ledger's.
        for outcome in [Outcome::Expired, Outcome::Cancelled] {
            let early = ledger.enter(Command::Close { job: JobId(1), outcome }).await;
            assert_eq!(early, Err(LedgerError::Refused(Refusal::NotDue(JobId(1)))));
        }
        time.store(6_000, Ordering::Relaxed);
        let close = Command::Close { job: JobId(1), outcome: Outcome::Expired };
        assert_eq!(ledger.enter(close).await, Ok(Done::Entered));
    }
}
