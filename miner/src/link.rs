//! A connection with its session: lines framed on a stream, watched for silence.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use lode_protocol::line::{LineCodec, LineError};
use tokio::time::timeout;
use tokio_util::codec::Framed;

use crate::dial::{Dial, Stream};
use crate::session::{Event, PoolError, Session};
use crate::url::PoolUrl;

/// How long subscribe and authorize may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a pool may take to let a line in.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// After so long without a line, the pool is asked whether it lives.
pub const PING_AFTER: Duration = Duration::from_secs(60);
/// After so long without a line, it does not.
pub const SILENCE_MAX: Duration = Duration::from_secs(180);

/// Why a connection is over, or never came to be.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The stream could not be opened.
    #[error("cannot connect: {0}")]
    Dial(#[source] std::io::Error),
    /// The stream failed, or a line was too long.
    #[error("connection failed: {0}")]
    Line(#[from] LineError),
    /// The pool closed it.
    #[error("the pool closed the connection")]
    Closed,
    /// Subscribe or authorize were not answered.
    #[error("no answer to the log-in within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Handshake,
    /// The pool takes no more bytes.
    #[error("the pool takes no more data")]
    Stuck,
    /// Nothing came for too long.
    #[error("nothing heard for {} s", SILENCE_MAX.as_secs())]
    Silent,
    /// Too many lines that are not stratum.
    #[error("the pool sends lines that are not stratum")]
    Broken,
    /// The pool's other port does not know us any more.
    #[error("the pool does not take this session's token any more")]
    TokenOver,
    /// The pool does not want us.
    #[error("the pool refuses this log-in: {0}")]
    Refused(PoolError),
}

/// The time, by the runtime's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A connection that is logged in.
pub struct Link {
    /// Whereto.
    pub url: PoolUrl,
    /// Its session.
    pub session: Session,
    /// What the pool said while we logged in.
    pub early: Vec<Event>,
    /// Since when it is logged in.
    pub since: Instant,
    lines: Framed<Stream, LineCodec>,
    heard: Instant,
    pinged: bool,
}

impl Link {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The pool cannot be reached, refuses, or does not answer in time.
    pub async fn open(dial: &dyn Dial, url: PoolUrl, session: Session) -> Result<Link, LinkError> {
        let stream = dial.dial(&url).await.map_err(LinkError::Dial)?;
        let lines = Framed::new(stream, LineCodec::default());
        let since = now();
        let mut link = Link { url, session, early: Vec::new(), since, lines, heard: since, pinged: false };
        timeout(HANDSHAKE_TIMEOUT, link.log_in()).await.map_err(|_| LinkError::Handshake)??;
        link.since = now();
        Ok(link)
    }

    async fn log_in(&mut self) -> Result<(), LinkError> {
        let lines = self.session.open(now()).join("\n");
        self.send(&lines).await?;
        let mut ready = false;
        while !ready {
            for event in self.next().await? {
                match event {
                    Event::Send(line) => self.send(&line).await?,
                    Event::Ready => ready = true,
                    Event::Refused(error) => return Err(LinkError::Refused(error)),
                    Event::Broken => return Err(LinkError::Broken),
                    other => self.early.push(other),
                }
            }
        }
        Ok(())
    }

    /// What the pool's next line means. May be cancelled without losing a line.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next(&mut self) -> Result<Vec<Event>, LinkError> {
        let line: Bytes = self.lines.next().await.ok_or(LinkError::Closed)??;
        (self.heard, self.pinged) = (now(), false);
        Ok(self.session.line(&line, self.heard))
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send(&mut self, line: &str) -> Result<(), LinkError> {
        timeout(WRITE_TIMEOUT, self.lines.send(line)).await.map_err(|_| LinkError::Stuck)??;
        Ok(())
    }

    /// To be called every second or so: asks a silent pool for a sign of life.
    ///
    /// # Errors
    /// It gave none, or the connection is over.
    pub async fn check(&mut self) -> Result<(), LinkError> {
        let now = now();
        let silence = now.saturating_duration_since(self.heard);
        if silence >= SILENCE_MAX {
            return Err(LinkError::Silent);
        }
        if silence >= PING_AFTER && !self.pinged {
            self.pinged = true;
            let line = self.session.ping(now);
            self.send(&line).await?;
        }
        Ok(())
    }
}
