//! One connection: reads bounded lines, runs its session, and answers in the order of the requests.
//!
//! A share's answer waits for the ledger; what was asked after it waits behind it, since some
//! clients use one id for every submit. Notifications do not wait. A peer that does not read what it
//! is sent, or has too many answers outstanding, holds up nobody but itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lode_dashboard::metrics as names;
use lode_protocol::header::HEADER_BYTES;
use lode_protocol::line::{LineCodec, LineError};
use lode_protocol::rpc::{Id, rejection_line, result_line};
use lode_protocol::{Difficulty, Rejection, UserName};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::bans::Offence;
use super::extranonce::Lease;
use super::judges::Turn;
use super::ranges::Ranges;
use super::seat::{OwedUnit, Seat, UnitOutcome};
use super::session::{Action, Session, Settings, Space};
use crate::jobs::assign::ConnectionId;
use crate::jobs::book::Watch;
use crate::ledger::plan::{Command, Done, Refusal};
use crate::ledger::writer::LedgerError;
use crate::share::{Claim, Credit, Verdict};

/// Most requests of a connection that wait for their answers; beyond it, no more lines are read.
pub const IN_FLIGHT_MAX: usize = 128;
/// How long a peer may take to read what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often vardiff and keep-alive are looked at.
const TICK: Duration = Duration::from_secs(1);
/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

mod units;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("the peer speaks TLS, this port does not")]
    Tls,
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the peer does not read")]
    Slow,
    #[error("the peer is banned")]
    Banned,
    #[error("no worker logged in in time")]
    NoLogin,
    #[error("no line in too long a time")]
    Idle,
    #[error("the pool stops")]
    Shutdown,
}

/// An answer that is owed, in the order of the requests.
enum Owed {
    Ready(String),
    Share(Box<OwedShare>),
    Unit(Box<OwedUnit>),
}

/// A share whose answer is owed.
struct OwedShare {
    id: Id,
    user: UserName,
    /// Its header, where the session remembers it.
    header: Option<[u8; HEADER_BYTES]>,
    since: Instant,
    outcome: JoinHandle<Outcome>,
}

/// What became of a share.
enum Outcome {
    /// Its hash does not prove it, or it was not judged.
    Refused(Rejection),
    /// It was given to the ledger.
    Entered(Box<Credit>, Result<Done, LedgerError>),
    /// It was a unit.
    Unit(UnitOutcome),
}

/// Serves one connection to its end.
pub async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    settings: Settings,
    shared: &Arc<Shared>,
    shutdown: &CancellationToken,
) {
    metrics::gauge!(names::CONNECTIONS).set(as_gauge(shared.presence.connected()));
    let end = serve(stream, peer, settings, shared, shutdown).await;
    tracing::debug!(%peer, %end, "connection ended");
    metrics::gauge!(names::CONNECTIONS).set(as_gauge(shared.presence.disconnected()));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    settings: Settings,
    shared: &Arc<Shared>,
    shutdown: &CancellationToken,
) -> End {
    if let Err(error) = stream.set_nodelay(true) {
        return LineError::from(error).into();
    }
    let mut first = [0];
    let peeked = tokio::select! {
        () = shutdown.cancelled() => return End::Shutdown,
        peeked = timeout(shared.limits.login, stream.peek(&mut first)) => peeked,
    };
    match peeked {
        Err(_) => return End::NoLogin,
        Ok(Err(error)) => return LineError::from(error).into(),
        Ok(Ok(0)) => return End::Closed,
        // Some clients try TLS first and wait half a minute for an answer unless the line is closed.
        Ok(Ok(_)) if first[0] == TLS_HANDSHAKE => return End::Tls,
        Ok(Ok(_)) => {}
    }
    let joined = shared.book.join(settings.algorithm, settings.vardiff.start).await;
    let Some((id, work)) = joined else { return End::Shutdown };
    let (reader, writer) = stream.into_split();
    let now = shared.clock.now();
    let mut connection = Connection {
        peer,
        shared: shared.clone(),
        id,
        work,
        settings,
        session: Session::new(settings, rand::random(), now).with_ranges(Ranges::new(
            shared.offer.clone(),
            rand::random(),
            now,
        )),
        seat: None,
        turn: Turn::default(),
        lease: None,
        owed: VecDeque::new(),
        writer,
        heard: Instant::now(),
        since: Instant::now(),
    };
    let mut lines = FramedRead::new(reader, LineCodec::default());
    let end = connection.serve(&mut lines, shutdown).await;
    connection.leave().await;
    end
}

struct Connection {
    peer: SocketAddr,
    shared: Arc<Shared>,
    id: ConnectionId,
    work: Watch,
    settings: Settings,
    session: Session,
    /// Its place in the hall, once its key is proven.
    seat: Option<Seat>,
    turn: Turn,
    lease: Option<Lease>,
    owed: VecDeque<Owed>,
    writer: OwnedWriteHalf,
    heard: Instant,
    since: Instant,
}

impl Connection {
    async fn serve(&mut self, lines: &mut FramedRead<OwnedReadHalf, LineCodec>, shutdown: &CancellationToken) -> End {
        let first = self.work.borrow_and_update().clone();
        let actions = self.session.work(first, self.now());
        if let Err(end) = self.act(actions).await {
            return end;
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.finish().await,
                outcome = front(&mut self.owed), if !self.owed.is_empty() => self.settle(outcome).await,
                Ok(()) = self.work.changed() => self.new_work().await,
                told = Seat::next_told(&mut self.seat) => self.told(told).await,
                line = lines.next(), if self.owed.len() < IN_FLIGHT_MAX => self.line(line).await,
                _ = tick.tick() => self.tick().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    async fn line(&mut self, line: Option<Result<Bytes, LineError>>) -> Result<(), End> {
        let line = match line {
            None => return Err(self.close().await),
            Some(Err(error @ LineError::TooLong)) => {
                self.offence(Offence::Malformed).ok();
                let rejection = Rejection::Other(error.to_string());
                self.write(&rejection_line(&Id::Null, &rejection)).await?;
                return Err(error.into());
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(line)) => line,
        };
        self.heard = Instant::now();
        if line.is_empty() {
            return Ok(());
        }
        let actions = self.session.line(&line, self.now());
        self.act(actions).await
    }

    async fn new_work(&mut self) -> Result<(), End> {
        let work = self.work.borrow_and_update().clone();
        // Whoever had nothing to do had nothing to say: the silence counts from here.
        self.heard = Instant::now();
        let actions = self.session.work(work, self.now());
        self.act(actions).await
    }

    async fn tick(&mut self) -> Result<(), End> {
        let limits = &self.shared.limits;
        if self.shared.bans.is_banned(self.peer.ip(), self.now()) {
            return Err(End::Banned);
        }
        if !self.session.is_authorized() && self.since.elapsed() >= limits.login {
            return Err(End::NoLogin);
        }
        let has_work = self.work.borrow().is_some();
        if has_work && self.heard.elapsed() >= limits.idle {
            return Err(End::Idle);
        }
        let actions = self.session.tick(self.now());
        self.act(actions).await
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), End> {
        let mut todo = VecDeque::from(actions);
        let mut out = String::new();
        while let Some(action) = todo.pop_front() {
            match action {
                Action::Reply(line) if self.owed.is_empty() => push_line(&mut out, &line),
                Action::Reply(line) => self.owed.push_back(Owed::Ready(line)),
                Action::Notify(line) => push_line(&mut out, &line),
                Action::Subscribe { id, session } => todo.extend(self.subscribe(&id, session.as_deref())),
                Action::Enter { id, credit } => self.enter(id, credit),
                Action::Judge { id, claim } => self.judge(id, claim),
                Action::Refused { user, rejection } => self.refused(&user, &rejection, "hash"),
                Action::Range(action) => todo.extend(self.range(action).await),
                Action::LoggedIn(user) => {
                    tracing::info!(peer = %self.peer, %user, "worker logged in");
                    self.shared.presence.online(&user, self.settings.algorithm);
                    self.shared.presence.difficulty(&user, self.settings.algorithm, self.session.difficulty());
                }
                Action::Difficulty(difficulty) => self.difficulty(difficulty).await,
                Action::Offence(offence) => self.offence(offence)?,
            }
        }
        if out.is_empty() { Ok(()) } else { self.write_bytes(out.as_bytes()).await }
    }

    fn subscribe(&mut self, id: &Id, session: Option<&str>) -> Vec<Action> {
        self.lease = self.shared.extranonces.lease(session, &self.shared.clock);
        let space = self.lease.as_ref().map(|lease| Space {
            extranonce1: lease.extranonce1.clone(),
            session: lease.session.clone(),
            used_before: lease.resumed,
        });
        self.session.subscribed(id, space, self.shared.clock.now())
    }

    fn enter(&mut self, id: Id, credit: Box<Credit>) {
        let (shared, user) = (self.shared.clone(), credit.user().clone());
        let outcome = tokio::spawn(async move { enter(&shared, credit).await });
        self.owe(OwedShare { id, user, header: None, since: Instant::now(), outcome });
    }

    fn judge(&mut self, id: Id, claim: Box<Claim>) {
        let (shared, address, turn) = (self.shared.clone(), self.peer.ip(), self.turn.queue());
        let (user, header) = (claim.user().clone(), Some(*claim.header()));
        let outcome = tokio::spawn(async move {
            // What an address has in line when it is banned costs no more hashes.
            let welcome = || !shared.bans.is_banned(address, shared.clock.now());
            match shared.judges.judge(&turn, *claim, welcome).await {
                Some(Verdict::Accepted(credit)) => enter(&shared, Box::new(credit)).await,
                Some(Verdict::Rejected(rejection)) => {
                    // Counted at once, before its connection comes to answer.
                    shared.bans.offence(address, Offence::WorthlessShare, shared.clock.now());
                    Outcome::Refused(rejection)
                }
                None => Outcome::Refused(Rejection::Other(
                    "not judged: the address is banned, or its connection ended".into(),
                )),
            }
        });
        self.owe(OwedShare { id, user, header, since: Instant::now(), outcome });
    }

    fn owe(&mut self, share: OwedShare) {
        self.owed.push_back(Owed::Share(Box::new(share)));
    }

    fn refused(&self, user: &UserName, rejection: &Rejection, kind: &str) {
        self.shared.presence.rejected(user, rejection.label());
        let (kind, reason) = (kind.to_owned(), rejection.label());
        metrics::counter!(names::SHARES_REJECTED, "kind" => kind, "reason" => reason).increment(1);
    }

    async fn difficulty(&mut self, difficulty: Difficulty) {
        for user in self.session.users() {
            self.shared.presence.difficulty(user, self.settings.algorithm, difficulty);
        }
        self.shared.book.power(self.id, difficulty).await;
    }

    fn offence(&self, offence: Offence) -> Result<(), End> {
        if !self.shared.bans.offence(self.peer.ip(), offence, self.now()) {
            return Ok(());
        }
        tracing::info!(peer = %self.peer, "address banned for misbehaviour");
        Err(End::Banned)
    }

    /// The front of what is owed is known: answers it and all that waited behind it.
    async fn settle(&mut self, outcome: Option<Outcome>) -> Result<(), End> {
        let mut out = String::new();
        let mut actions = Vec::new();
        match (self.owed.pop_front(), outcome) {
            (Some(Owed::Ready(line)), _) => push_line(&mut out, &line),
            (Some(Owed::Share(share)), Some(outcome)) => {
                let (line, more) = self.answer(&share, &outcome);
                push_line(&mut out, &line);
                actions = more;
            }
            (Some(Owed::Unit(unit)), Some(Outcome::Unit(outcome))) => {
                let (line, more) = self.answer_unit(*unit, &outcome);
                push_line(&mut out, &line);
                actions = more;
            }
            _ => {}
        }
        while let Some(Owed::Ready(_)) = self.owed.front() {
            if let Some(Owed::Ready(line)) = self.owed.pop_front() {
                push_line(&mut out, &line);
            }
        }
        self.write_bytes(out.as_bytes()).await?;
        self.act(actions).await
    }

    fn answer(&mut self, share: &OwedShare, outcome: &Outcome) -> (String, Vec<Action>) {
        metrics::histogram!(names::SHARE_LATENCY).record(share.since.elapsed());
        let (rejection, offence) = match outcome {
            Outcome::Refused(rejection) => (rejection.clone(), Vec::new()),
            Outcome::Entered(credit, Ok(_)) => {
                self.shared.bans.accepted(self.peer.ip());
                let work = u64::try_from(credit.work().0).unwrap_or(u64::MAX);
                metrics::counter!(names::SHARES_ACCEPTED, "kind" => "hash").increment(1);
                metrics::counter!(names::WORK_PROVEN, "kind" => "hash").increment(work);
                let actions = self.session.credited(credit.difficulty(), self.shared.clock.now());
                return (result_line(&share.id, &json!(true)), actions);
            }
            Outcome::Entered(_, Err(LedgerError::Refused(Refusal::Duplicate))) => {
                (Rejection::Duplicate, vec![Action::Offence(Offence::WorthlessShare)])
            }
            Outcome::Entered(_, Err(LedgerError::Refused(_))) => (Rejection::Stale, Vec::new()),
            Outcome::Entered(_, Err(LedgerError::Down(_))) | Outcome::Unit(_) => (not_recorded(), Vec::new()),
        };
        if let Some(header) = &share.header
            && rejection != Rejection::Duplicate
        {
            self.session.forget(header);
        }
        self.refused(&share.user, &rejection, "hash");
        (rejection_line(&share.id, &rejection), offence)
    }

    /// The peer has closed its side: what is owed is still answered, since it may only have
    /// finished sending.
    async fn close(&mut self) -> End {
        self.pay_all().await.err().unwrap_or(End::Closed)
    }

    /// The pool stops: what was submitted is answered, nothing more is read.
    async fn finish(&mut self) -> End {
        if let Err(end) = self.pay_all().await {
            return end;
        }
        if let Some(line) = self.session.farewell()
            && let Err(end) = self.write(&line).await
        {
            return end;
        }
        End::Shutdown
    }

    async fn pay_all(&mut self) -> Result<(), End> {
        while !self.owed.is_empty() {
            let outcome = front(&mut self.owed).await;
            self.settle(outcome).await?;
        }
        Ok(())
    }

    async fn write(&mut self, line: &str) -> Result<(), End> {
        self.write_bytes(format!("{line}\n").as_bytes()).await
    }

    async fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), End> {
        match timeout(WRITE_TIMEOUT, self.writer.write_all(bytes)).await {
            Err(_) => Err(End::Slow),
            Ok(written) => Ok(written.map_err(LineError::from)?),
        }
    }

    async fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            seat.leave().await;
        }
        for user in self.session.users() {
            self.shared.presence.offline(user, self.settings.algorithm);
        }
        self.shared.book.leave(self.id).await;
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

async fn enter(shared: &Shared, credit: Box<Credit>) -> Outcome {
    let entered = shared.ledger.enter(Command::Share((*credit).clone())).await;
    Outcome::Entered(credit, entered)
}

fn not_recorded() -> Rejection {
    Rejection::Other("the pool cannot record shares now; this one may not count".into())
}

/// Waits for the front of what is owed; `None` where it is ready as it is.
async fn front(owed: &mut VecDeque<Owed>) -> Option<Outcome> {
    match owed.front_mut() {
        Some(Owed::Share(share)) => {
            let outcome = (&mut share.outcome).await;
            Some(outcome.unwrap_or_else(|_| Outcome::Refused(not_recorded())))
        }
        Some(Owed::Unit(unit)) => {
            let failed = |_| UnitOutcome::NotKept("the pool cannot record units now; this one may not count".into());
            Some(Outcome::Unit((&mut unit.outcome).await.unwrap_or_else(failed)))
        }
        _ => None,
    }
}
