//! The miner's side of the wire: keeps one session with the best pool that can be had, puts its jobs up for the devices,
//! and submits what they find.

mod talk;
mod units;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use lode_kinds::Kind;
use lode_protocol::Algorithm;
use lode_protocol::method::Reconnect;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::device_worker::Found;
use crate::dial::Dial;
use crate::fleet::Fleet;
use crate::link::{Link, LinkError, now};
use crate::pools::{PAUSE_MIN, Pools};
use crate::ranges::{Ranges, Word};
use crate::session::{Login, Session};
use crate::share_log::ShareLog;
use crate::status::{Phase, Status};
use crate::unit::Unit;
use crate::url::PoolUrl;
use crate::work::Share;

/// A session that ends sooner counts as a failed try.
pub const LASTED: Duration = Duration::from_secs(10);
/// While a fallback is in use, the first pool is tried this often.
pub const PROBE_EVERY: Duration = Duration::from_secs(180);
/// How long the end waits for last slices and answers.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

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
    /// What the rig can do is not what it told this pool.
    Changed,
}

/// What a device's word comes to.
enum Heard {
    /// Nothing more to do.
    Nothing,
    /// A share to submit.
    Share(Share),
    /// A unit to deliver, and the device that computed it.
    Computed(usize, Arc<Unit>, Vec<u8>),
    /// Something to say to the pool.
    Words(Vec<Word>),
}

impl From<LinkError> for After {
    fn from(error: LinkError) -> After {
        After::Lost(error)
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Link, LinkError>> + Send>>;

/// All that a run of the client owns.
pub struct Client {
    /// The pools.
    pub pools: Pools,
    /// Who logs in.
    pub login: Login,
    /// What the pools' shares are hashed with.
    pub algorithm: Algorithm,
    /// Whether their search jobs are wanted.
    pub searches: bool,
    /// How pools are reached.
    pub dial: Arc<dyn Dial>,
    /// The devices.
    pub fleet: Fleet,
    /// What they find.
    pub found: mpsc::Receiver<Found>,
    /// The units of range work.
    pub ranges: Ranges,
    /// Where the present is told.
    pub status: watch::Sender<Status>,
    /// Cancelled when the run shall end.
    pub shutdown: CancellationToken,
    /// Sessions so far.
    pub sessions: u64,
    /// Devices that were set aside.
    pub failed: usize,
    /// Lines about accepted shares.
    pub share_log: ShareLog,
    /// Lines about rejected shares.
    pub reject_log: ShareLog,
}

impl Client {
    /// Mines until it is told to stop or no device is left. Leaves the devices stopped.
    pub async fn run(&mut self) -> End {
        let end = match self.keep_connected().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.fleet.stop();
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
            self.ranges.clear();
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
                After::Changed => {
                    info!("connecting anew to tell what this rig can do");
                    continue;
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
                status.disconnected(Phase::Connecting, now());
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
        let session =
            Session::new(self.sessions, self.login.clone(), self.algorithm, resume_by).offering(self.ranges.offer());
        let dial = Arc::clone(&self.dial);
        Box::pin(async move { Link::open(dial.as_ref(), url, session).await })
    }

    async fn pause(&mut self, wait: Duration) -> Result<(), End> {
        if wait >= PAUSE_MIN {
            info!("trying again in {:.1} s", wait.as_secs_f64());
        }
        self.tell(|status| status.disconnected(Phase::Pausing, now()));
        self.meanwhile(sleep(wait)).await
    }

    /// Waits without a connection; devices may fail meanwhile, and the end may come.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, End> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Ok(output),
                () = self.shutdown.cancelled() => return Err(End::Stopped),
                found = self.found.recv() => {
                    // Units are of a session that is over, and nobody is there to say anything to.
                    if let Heard::Share(share) = self.hear(found)? {
                        self.fleet.members[share.device].gauge.stale.add(1);
                    }
                    self.has_devices()?;
                }
            }
        }
    }

    /// Takes a device's word.
    fn hear(&mut self, found: Option<Found>) -> Result<Heard, End> {
        Ok(match found {
            None => return Err(End::NoDevices),
            Some(Found::Share(share)) => Heard::Share(share),
            Some(Found::Computed { device, unit, bytes }) => Heard::Computed(device, unit, bytes),
            Some(Found::Ready(device)) => {
                info!("{}: self-test passed", self.name(device));
                Heard::Nothing
            }
            Some(Found::Cannot { device, kind, reason }) => {
                warn!("{} gets no {kind} work: {reason}", self.name(device));
                Heard::Words(self.lose(device, Some(kind), &reason))
            }
            Some(Found::Wrong { device, what, orphan }) => {
                let text = format!("{} computed it wrongly: {what}", self.name(device));
                warn!("{text}; check this device's clock and cooling");
                Heard::Words(orphan.and_then(|unit| self.ranges.orphaned(&unit, text)).into_iter().collect())
            }
            Some(Found::Failed { device, reason }) => {
                warn!("{} gets no more work: {reason}", self.name(device));
                self.failed += 1;
                Heard::Words(self.lose(device, None, &reason))
            }
        })
    }

    fn has_devices(&self) -> Result<(), End> {
        if self.failed == self.fleet.members.len() { Err(End::NoDevices) } else { Ok(()) }
    }

    /// A device does no more of a kind, or nothing more.
    fn lose(&mut self, device: usize, kind: Option<Kind>, reason: &str) -> Vec<Word> {
        let text = format!("{}: {reason}", self.name(device));
        self.ranges.lost(device, kind, &text)
    }

    fn name(&self, device: usize) -> String {
        self.fleet.members[device].info.id()
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}
