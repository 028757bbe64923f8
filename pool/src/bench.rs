//! A load generator for any stratum V1 server: many connections, real shares, latencies.
//!
//! Each connection logs in, asks for the lowest difficulty, searches its job for real shares and
//! submits them at its part of the wanted rate. What is measured is the time from a submit to its
//! answer, and how far apart the connections heard of one job.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lode_protocol::header::Roll;
use lode_protocol::ids::UserName;
use lode_protocol::line::LineCodec;
use lode_protocol::method::{Authorize, Notify, ServerCall, Submit, Subscribe, SubscribeReply, SuggestDifficulty};
use lode_protocol::rpc::{Id, Message, Request, Response, request_line};
use lode_protocol::{Algorithm, Difficulty, Target};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::codec::FramedRead;

use crate::share::hash_of;

/// Most connections.
pub const CONNECTIONS_MAX: usize = 50_000;
/// How long a server may take to let a connection in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Hashes that a connection tries for one share before it gives others their turn, some milliseconds of them.
const fn search_hashes(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Sha256d => 20_000,
        Algorithm::Scrypt => 64,
    }
}
/// Submits of a connection that may wait for their answers.
const WINDOW: usize = 64;
/// Ids of the requests before the submits.
const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 2;
const SUGGEST_ID: u64 = 3;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Host and port.
    pub server: String,
    /// What its shares are hashed with.
    pub algorithm: Algorithm,
    /// Connections.
    pub connections: usize,
    /// How long to submit.
    pub duration: Duration,
    /// Shares a second, over all connections.
    pub rate: f64,
}

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Times {
    /// Half were faster.
    pub p50_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Connections that were asked for.
    pub connections: usize,
    /// Connections that logged in.
    pub logged_in: usize,
    /// Connections that ended early.
    pub lost: usize,
    /// Seconds of submitting.
    pub seconds: f64,
    /// Shares submitted.
    pub submitted: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected, by the error's code.
    pub rejected: BTreeMap<String, u64>,
    /// Shares accepted a second.
    pub accepted_per_s: f64,
    /// From a submit to its answer.
    pub answer: Times,
    /// From the first connection that heard of a job to each of the others, for jobs that all heard of.
    pub fan_out: Times,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    submitted: u64,
    accepted: u64,
    rejected: BTreeMap<String, u64>,
    answers: Vec<Duration>,
    jobs: Vec<(String, Instant)>,
    lost: bool,
}

fn times(mut sorted: Vec<Duration>) -> Times {
    sorted.sort_unstable();
    let at = |per_mille: usize| {
        let index = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    Times { p50_ms: at(500), p99_ms: at(990), max_ms: at(1000) }
}

/// Puts the load on the server and measures.
///
/// # Errors
/// No connection could log in.
pub async fn run(options: &Options) -> io::Result<Report> {
    let start = Arc::new(Barrier::new(options.connections));
    let mut tasks = JoinSet::new();
    for number in 0..options.connections {
        let (options, start) = (options.clone(), start.clone());
        tasks.spawn(async move {
            let entered = timeout(LOGIN_TIMEOUT, Client::login(&options, number)).await;
            // All begin together, those that failed too, so that nobody waits for them.
            start.wait().await;
            match entered {
                Ok(Ok(client)) => Ok(client.load(&options).await),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no login in time")),
            }
        });
    }
    let mut seen = Vec::new();
    let mut fault = None;
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Ok(one)) => seen.push(one),
            Ok(Err(error)) => fault = Some(error),
            Err(error) => fault = Some(io::Error::other(error)),
        }
    }
    match (seen.is_empty(), fault) {
        (true, Some(error)) => Err(error),
        _ => Ok(summarise(options, seen)),
    }
}

fn summarise(options: &Options, seen: Vec<Seen>) -> Report {
    let mut report = Report { connections: options.connections, logged_in: seen.len(), ..Report::default() };
    report.seconds = options.duration.as_secs_f64();
    let mut answers = Vec::new();
    let mut heard: HashMap<String, Vec<Instant>> = HashMap::new();
    for one in seen {
        report.lost += usize::from(one.lost);
        report.submitted += one.submitted;
        report.accepted += one.accepted;
        for (code, count) in one.rejected {
            *report.rejected.entry(code).or_default() += count;
        }
        answers.extend(one.answers);
        one.jobs.into_iter().for_each(|(job, at)| heard.entry(job).or_default().push(at));
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let accepted = report.accepted as f64;
    report.accepted_per_s = accepted / report.seconds.max(1e-9);
    report.answer = times(answers);
    let all = heard.into_values().filter(|times| times.len() == report.logged_in && times.len() > 1);
    report.fan_out = times(
        all.flat_map(|times| {
            let first = times.iter().min().copied().expect("more than one");
            times.into_iter().map(move |at| at - first)
        })
        .collect(),
    );
    report
}

struct Client {
    algorithm: Algorithm,
    lines: FramedRead<OwnedReadHalf, LineCodec>,
    writer: OwnedWriteHalf,
    user: String,
    extranonce1: Vec<u8>,
    extranonce2_bytes: usize,
    told: Difficulty,
    job: Option<(Notify, Target)>,
    nonce: u32,
    next_id: u64,
    waiting: VecDeque<Instant>,
    logged_in: bool,
    seen: Seen,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server closed the connection")
}

impl Client {
    /// Connects and logs in as `bench.w<number>`.
    async fn login(options: &Options, number: usize) -> io::Result<Client> {
        let stream = TcpStream::connect(&options.server).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let user = format!("bench.w{number}");
        let algorithm = options.algorithm;
        let mut client = Client {
            algorithm,
            lines: FramedRead::new(reader, LineCodec::default()),
            writer,
            user: user.clone(),
            extranonce1: Vec::new(),
            extranonce2_bytes: 0,
            told: Difficulty::one(algorithm),
            job: None,
            nonce: 0,
            next_id: 4,
            waiting: VecDeque::new(),
            logged_in: false,
            seen: Seen::default(),
        };
        let user: UserName = user.parse().map_err(io::Error::other)?;
        let subscribe = Subscribe { agent: concat!("lode-bench/", env!("CARGO_PKG_VERSION")).into(), session: None };
        client.send(SUBSCRIBE_ID, Subscribe::METHOD, &subscribe.to_params()).await?;
        let suggest = SuggestDifficulty(Difficulty::MIN);
        client.send(SUGGEST_ID, SuggestDifficulty::METHOD, &suggest.to_params(algorithm)).await?;
        let authorize = Authorize { user, password: format!("d={:.13}", 1.3 * Difficulty::MIN.to_f64(algorithm)) };
        client.send(AUTHORIZE_ID, Authorize::METHOD, &authorize.to_params()).await?;
        while !client.logged_in || client.job.is_none() {
            client.hear().await?;
        }
        Ok(client)
    }

    async fn send(&mut self, id: u64, method: &str, params: &serde_json::Value) -> io::Result<()> {
        let line = request_line(&Id::from(id), method, params) + "\n";
        self.writer.write_all(line.as_bytes()).await
    }

    async fn hear(&mut self) -> io::Result<()> {
        let line = self.lines.next().await.ok_or_else(closed)?.map_err(io::Error::other)?;
        match Message::parse(&line) {
            Ok(Message::Request(request)) => self.told(&request),
            Ok(Message::Response(response)) => self.answered(response)?,
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }

    fn told(&mut self, request: &Request) {
        match ServerCall::from_request(request, self.algorithm) {
            Ok(ServerCall::SetDifficulty(told)) => self.told = told.0,
            Ok(ServerCall::Notify(notify)) => {
                self.seen.jobs.push((notify.job.clone(), Instant::now()));
                self.nonce = 0;
                self.job = Some((*notify, Target::from_difficulty(self.told)));
            }
            // Nothing else changes what is submitted.
            Ok(_) | Err(_) => {}
        }
    }

    fn answered(&mut self, response: Response) -> io::Result<()> {
        if response.id == Id::from(SUBSCRIBE_ID) {
            let result = response.outcome.map_err(|error| io::Error::other(error.to_string()))?;
            let (_, extranonce1, bytes) = SubscribeReply::from_json(&result).map_err(io::Error::other)?;
            (self.extranonce1, self.extranonce2_bytes) = (extranonce1, bytes);
        } else if response.id == Id::from(AUTHORIZE_ID) {
            response.outcome.map_err(|error| io::Error::other(error.to_string()))?;
            self.logged_in = true;
        } else if response.id != Id::from(SUGGEST_ID)
            && let Some(since) = self.waiting.pop_front()
        {
            self.seen.answers.push(since.elapsed());
            match response.outcome {
                Ok(serde_json::Value::Bool(true)) => self.seen.accepted += 1,
                Ok(other) => *self.seen.rejected.entry(other.to_string()).or_default() += 1,
                Err(error) => *self.seen.rejected.entry(error[0].to_string()).or_default() += 1,
            }
        }
        Ok(())
    }

    /// Submits at this connection's part of the rate until the time is up.
    async fn load(mut self, options: &Options) -> Seen {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand connections")]
        let every = options.connections as f64 / options.rate.max(0.001);
        let mut tick = interval(Duration::from_secs_f64(every.max(0.0001)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = Instant::now() + options.duration;
        while Instant::now() < until {
            let step = tokio::select! {
                heard = self.hear() => heard,
                _ = tick.tick(), if self.waiting.len() < WINDOW => self.submit().await,
                () = tokio::time::sleep_until(until) => break,
            };
            if step.is_err() {
                self.seen.lost = true;
                return self.seen;
            }
        }
        let late = Instant::now() + LOGIN_TIMEOUT;
        while !self.waiting.is_empty() && !self.seen.lost {
            self.seen.lost = !matches!(tokio::time::timeout_at(late, self.hear()).await, Ok(Ok(())));
        }
        self.seen
    }

    async fn submit(&mut self) -> io::Result<()> {
        let Some(share) = self.search() else { return Ok(()) };
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(Instant::now());
        self.seen.submitted += 1;
        self.send(id, Submit::METHOD, &share.to_params()).await
    }

    /// The next share of the present job, if there is one among the next few hashes.
    fn search(&mut self) -> Option<Submit> {
        let (notify, target) = self.job.as_ref()?;
        let template = &notify.template;
        let extranonce2 = vec![0; self.extranonce2_bytes];
        let mut roll = Roll {
            extranonce1: &self.extranonce1,
            extranonce2: &extranonce2,
            ntime: template.ntime,
            nonce: self.nonce,
            version: template.version,
        };
        let mut header = template.header(&roll);
        for _ in 0..search_hashes(self.algorithm) {
            header[76..].copy_from_slice(&roll.nonce.to_le_bytes());
            let nonce = roll.nonce;
            roll.nonce = roll.nonce.wrapping_add(1);
            if target.is_met_by(&hash_of(self.algorithm, &header)) {
                let (user, job, ntime) = (self.user.clone(), notify.job.clone(), template.ntime);
                self.nonce = roll.nonce;
                return Some(Submit { user, job, extranonce2, ntime, nonce, version_bits: None });
            }
        }
        self.nonce = roll.nonce;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_times() {
        let known = times((1..=1000).map(Duration::from_millis).rev().collect());
        assert_eq!(known, Times { p50_ms: 501.0, p99_ms: 991.0, max_ms: 1000.0 });
        assert_eq!(times(Vec::new()), Times::default());
    }
}
