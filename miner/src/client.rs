//! The miner's side of the wire: keeps one session with the best pool that can be had, puts its jobs up for the devices,
//! and submits what they find.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use lode_protocol::method::Reconnect;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::device_worker::Found;
use crate::dial::Dial;
use crate::fleet::Fleet;
use crate::link::{Link, LinkError, now};
use crate::pools::{PAUSE_MIN, Pools};
use crate::session::{Answer, Event, Login, Session, Submission, Verdict};
use crate::share_log::ShareLog;
use crate::status::{Phase, Status};
use crate::units;
use crate::url::PoolUrl;
use crate::work::{Job, Share};

/// A session that ends sooner counts as a failed try.
pub const LASTED: Duration = Duration::from_secs(10);
/// While a fallback is in use, the first pool is tried this often.
pub const PROBE_EVERY: Duration = Duration::from_secs(180);
/// How long the end waits for last slices and answers.
pub const STOP_GRACE: Duration = Duration::from_secs(2);
/// How often silence and overdue answers are looked for.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Why the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// No device is left to work.
    NoDevices,
}

/// Why a session is over.
enum After {
    Lost(LinkError),
    Redirected(Reconnect),
    Switched(Box<Link>),
}

impl From<LinkError> for After {
    fn from(error: LinkError) -> After {
        After::Lost(error)
    }
}

/// What the session's loop woke up for.
enum Wake {
    Events(Result<Vec<Event>, LinkError>),
    Found(Option<Found>),
    Probed(Result<Box<Link>, LinkError>),
    Check,
    Stop,
}

type Opening = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

/// All that a run of the client owns.
pub struct Client {
    /// The pools.
    pub pools: Pools,
    /// Who logs in.
    pub login: Login,
    /// How pools are reached.
    pub dial: Arc<dyn Dial>,
    /// The devices.
    pub fleet: Fleet,
    /// What they find.
    pub found: mpsc::Receiver<Found>,
    /// Where the present is told.
    pub status: watch::Sender<Status>,
    /// Cancelled when the run shall end.
    pub shutdown: CancellationToken,
    /// Sessions so far.
    pub sessions: u64,
    /// Devices that were set aside.
    pub failed: usize,
    /// Lines about shares.
    pub share_log: ShareLog,
}

impl Client {
    /// Mines until it is told to stop or no device is left. Leaves the devices stopped.
    pub async fn run(&mut self) -> End {
        let end = match self.keep_connected().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.fleet.board.stop();
        // The devices' threads end with their slices; the channel closes with the last of them.
        let ended = timeout(STOP_GRACE, async { while self.found.recv().await.is_some() {} }).await;
        if ended.is_err() {
            debug!("a device is still busy");
        }
        end
    }

    async fn keep_connected(&mut self) -> Result<std::convert::Infallible, End> {
        let mut next = None;
        loop {
            let link = match next.take() {
                Some(link) => link,
                None => self.connect().await?,
            };
            let (url, since) = (link.url.clone(), link.since);
            let after = self.mine(link).await?;
            self.fleet.board.clear();
            let lasted = now().saturating_duration_since(since) >= LASTED;
            let wait = match after {
                After::Switched(link) => {
                    info!("{} works again; leaving {url}", link.url);
                    self.pools.return_to_primary();
                    next = Some(*link);
                    continue;
                }
                After::Lost(error) => {
                    warn!("lost {url}: {error}");
                    if lasted { self.pools.lost(rand::random()) } else { self.pools.failed(rand::random()) }
                }
                After::Redirected(reconnect) => self.redirect(&url, &reconnect, lasted),
            };
            self.pause(wait).await?;
        }
    }

    fn redirect(&mut self, url: &PoolUrl, reconnect: &Reconnect, lasted: bool) -> Duration {
        match self.pools.redirected(url, reconnect) {
            Ok(wait) => {
                let to = self.pools.target().0;
                info!("{url} asks to reconnect to {to} in {} s", wait.as_secs());
                // A pool that sends us round in circles shall not be hurried.
                if lasted { wait } else { wait.max(PAUSE_MIN) }
            }
            Err(error) => {
                warn!("{error}; refused");
                self.pools.lost(rand::random())
            }
        }
    }

    /// Tries the pools until one lets us in.
    async fn connect(&mut self) -> Result<Link, End> {
        loop {
            let (url, resume_by) = self.pools.target();
            let (url, resume_by) = (url.clone(), resume_by.map(str::to_owned));
            let place = self.pools.place();
            self.tell(|status| {
                status.disconnected(Phase::Connecting);
                (status.pool, status.place) = (url.to_string(), place);
            });
            let opening = self.open(url.clone(), resume_by);
            match self.meanwhile(opening).await? {
                Ok(link) => return Ok(link),
                Err(error) => {
                    warn!("{url}: {error}");
                    if matches!(error, LinkError::Refused(_)) {
                        self.pools.set_resume_by(None);
                    }
                    let wait = self.pools.failed(rand::random());
                    self.pause(wait).await?;
                }
            }
        }
    }

    fn open(&mut self, url: PoolUrl, resume_by: Option<String>) -> Opening {
        self.sessions += 1;
        let session = Session::new(self.sessions, self.login.clone(), resume_by);
        let dial = Arc::clone(&self.dial);
        Box::pin(async move { Link::open(dial.as_ref(), url, session).await })
    }

    async fn pause(&mut self, wait: Duration) -> Result<(), End> {
        if wait >= PAUSE_MIN {
            info!("trying again in {:.1} s", wait.as_secs_f64());
        }
        self.tell(|status| status.disconnected(Phase::Pausing));
        self.meanwhile(sleep(wait)).await
    }

    /// Waits without a connection; devices may fail meanwhile, and the end may come.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, End> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Ok(output),
                () = self.shutdown.cancelled() => return Err(End::Stopped),
                found = self.found.recv() => if let Some(share) = self.hear(found)? {
                    self.fleet.members[share.device].gauge.stale.add(1);
                },
            }
        }
    }

    /// Takes a device's word; answers with the share if it is one.
    fn hear(&mut self, found: Option<Found>) -> Result<Option<Share>, End> {
        match found {
            None => Err(End::NoDevices),
            Some(Found::Share(share)) => Ok(Some(share)),
            Some(Found::Ready(device)) => {
                info!("{}: self-test passed", self.name(device));
                Ok(None)
            }
            Some(Found::Failed { device, reason }) => {
                warn!("{} gets no more work: {reason}", self.name(device));
                self.failed += 1;
                if self.failed == self.fleet.members.len() { Err(End::NoDevices) } else { Ok(None) }
            }
        }
    }

    fn name(&self, device: usize) -> String {
        self.fleet.members[device].info.id()
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    /// One session, from log-in to its end.
    async fn mine(&mut self, mut link: Link) -> Result<After, End> {
        self.greet(&link);
        let early = std::mem::take(&mut link.early);
        let after = match self.take(&mut link, early).await {
            Ok(()) => self.converse(&mut link).await,
            Err(after) => Ok(after),
        };
        for event in link.session.abandon(now()) {
            if let Event::Answer(answer) = event {
                self.count(&answer);
            }
        }
        after
    }

    fn greet(&mut self, link: &Link) {
        info!("connected to {} as {}", link.url, self.login.user);
        self.pools.set_resume_by(link.session.resume_by());
        let (pool, place) = (link.url.to_string(), self.pools.place());
        self.tell(|status| (status.phase, status.pool, status.place) = (Phase::Connected, pool, place));
    }

    async fn converse(&mut self, link: &mut Link) -> Result<After, End> {
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probe: Option<Opening> = None;
        let mut probed = now();
        loop {
            let probing = async {
                match probe.as_mut() {
                    Some(probe) => probe.await,
                    None => pending().await,
                }
            };
            let has_room = link.session.has_room();
            let wake = tokio::select! {
                events = link.next() => Wake::Events(events),
                found = self.found.recv(), if has_room => Wake::Found(found),
                opened = probing => Wake::Probed(opened.map(Box::new)),
                _ = check.tick() => Wake::Check,
                () = self.shutdown.cancelled() => Wake::Stop,
            };
            let done = match wake {
                Wake::Events(Ok(events)) => self.take(link, events).await,
                Wake::Events(Err(error)) => Err(error.into()),
                Wake::Found(found) => match self.hear(found)? {
                    Some(share) => self.submit(link, &share).await,
                    None => Ok(()),
                },
                Wake::Probed(Ok(primary)) => Err(After::Switched(primary)),
                Wake::Probed(Err(error)) => {
                    debug!("the first pool does not work yet: {error}");
                    (probe, probed) = (None, now());
                    Ok(())
                }
                Wake::Check => {
                    if probe.is_none() && now().saturating_duration_since(probed) >= PROBE_EVERY {
                        probe = self.probe();
                    }
                    self.check(link).await
                }
                Wake::Stop => {
                    self.finish(link).await;
                    return Err(End::Stopped);
                }
            };
            if let Err(after) = done {
                return Ok(after);
            }
        }
    }

    fn probe(&mut self) -> Option<Opening> {
        let (url, resume_by) = self.pools.primary_to_probe()?;
        let (url, resume_by) = (url.clone(), resume_by.map(str::to_owned));
        Some(self.open(url, resume_by))
    }

    async fn check(&mut self, link: &mut Link) -> Result<(), After> {
        if let Some(more) = self.share_log.take_held_back(now()) {
            info!("and {more} more shares accepted");
        }
        let expired = link.session.expire(now());
        self.take(link, expired).await?;
        Ok(link.check().await?)
    }

    async fn take(&mut self, link: &mut Link, events: Vec<Event>) -> Result<(), After> {
        for event in events {
            match event {
                Event::Send(line) => link.send(&line).await?,
                Event::Job(job) => self.begin(job),
                Event::Answer(answer) => self.count(&answer),
                Event::Message(text) => {
                    info!("the pool says: {text}");
                    self.tell(|status| status.message = Some(text));
                }
                Event::Reconnect(reconnect) => return Err(After::Redirected(reconnect)),
                Event::Malformed(what) => warn!("{} sent a line without sense: {what}", link.url),
                Event::Broken => return Err(LinkError::Broken.into()),
                Event::Refused(error) => return Err(LinkError::Refused(error).into()),
                Event::Ready => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, job: Arc<Job>) {
        let known = self.status.borrow().difficulty;
        if known != Some(job.difficulty) {
            info!("difficulty {}", units::difficulty(job.difficulty));
        }
        debug!("job {}{}", job.id, if job.clean { ", all before it is over" } else { "" });
        let (id, difficulty, at) = (crate::session::printable(&job.id), job.difficulty, now());
        self.fleet.board.publish(job, rand::random());
        self.tell(|status| (status.job, status.difficulty) = (Some((id, at)), Some(difficulty)));
    }

    async fn submit(&mut self, link: &mut Link, share: &Share) -> Result<(), After> {
        match link.session.submit(share, now()) {
            Submission::Line(line) => Ok(link.send(&line).await?),
            Submission::Stale => {
                self.fleet.members[share.device].gauge.stale.add(1);
                Ok(())
            }
        }
    }

    fn count(&mut self, answer: &Answer) {
        let name = self.name(answer.device);
        let gauge = &self.fleet.members[answer.device].gauge;
        let (difficulty, ms) = (units::difficulty(answer.difficulty), answer.latency.as_millis());
        match &answer.verdict {
            Verdict::Accepted => {
                gauge.accepted.add(1);
                if self.share_log.admits(now()) {
                    info!("{name}: share of {difficulty} accepted in {ms} ms");
                }
            }
            Verdict::Rejected(error) => {
                gauge.rejected.add(1);
                warn!("{name}: share of {difficulty} rejected in {ms} ms: {error}");
            }
            Verdict::Unanswered => gauge.unanswered.add(1),
        }
    }

    /// Lets the devices end their slices and the pool answer what is open.
    async fn finish(&mut self, link: &mut Link) {
        self.tell(|status| status.phase = Phase::Stopping);
        self.fleet.board.stop();
        if timeout(STOP_GRACE, self.last_answers(link)).await.is_err() {
            warn!("stopped with {} shares unanswered", link.session.open_submits());
        }
    }

    async fn last_answers(&mut self, link: &mut Link) {
        let mut working = true;
        while working || link.session.open_submits() > 0 {
            let has_room = link.session.has_room();
            let done = tokio::select! {
                events = link.next() => match events {
                    Ok(events) => self.take(link, events).await,
                    Err(error) => Err(error.into()),
                },
                found = self.found.recv(), if working && has_room => match found {
                    Some(Found::Share(share)) => self.submit(link, &share).await,
                    Some(Found::Ready(_) | Found::Failed { .. }) => Ok(()),
                    None => {
                        working = false;
                        Ok(())
                    }
                },
            };
            if done.is_err() {
                return;
            }
        }
    }
}
