//! The other side of the wire, played by the test: a pool that says what it is told to, and devices with a latch.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use lode_kernels::cpu::Cpu;
use lode_kernels::{Device, DeviceError, DeviceInfo};
use lode_kinds::Kind;
use lode_kinds::hash::{Nonces, Scan};
use lode_miner::blobs::Cache;
use lode_miner::dial::{Dial, Dialing, Stream};
use lode_miner::limits::Limits;
use lode_miner::run::{Options, run};
use lode_miner::screen::View;
use lode_miner::session::Login;
use lode_miner::summary::Summary;
use lode_miner::url::PoolUrl;
use lode_protocol::header::{PrevHash, Roll, Template, roll_version};
use lode_protocol::line::LineCodec;
use lode_protocol::method::{ClientCall, NonceForm, Notify, Submit};
use lode_protocol::rpc::{Id, Message, Request, notification_line, request_line, result_line};
use lode_protocol::{Algorithm, Difficulty, HeaderHash, Target};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

pub const MASK: u32 = 0x1fff_e000;
pub const EXTRANONCE1: [u8; 4] = [0x0a, 0x0b, 0x0c, 0x0d];

pub fn template(tag: u8) -> Template {
    Template {
        version: 0x2000_2000,
        prev_hash: PrevHash::from_stratum_bytes([7; 32]),
        coinbase1: vec![1, tag],
        coinbase2: vec![0xff],
        merkle_branch: vec![[0x11; 32]],
        nbits: 0x1d00_ffff,
        ntime: 0x64b3_f3ec,
    }
}

/// The pool's end of one connection.
pub struct PoolEnd {
    lines: Framed<Stream, LineCodec>,
    /// Submits that came while something else was waited for.
    submits: VecDeque<(Id, Submit)>,
}

impl PoolEnd {
    pub fn new(stream: Stream) -> PoolEnd {
        PoolEnd { lines: Framed::new(stream, LineCodec::default()), submits: VecDeque::new() }
    }

    pub async fn send(&mut self, line: &str) {
        // The miner may have hung up on purpose; what it read is seen in what it does next.
        drop(self.lines.send(line).await);
    }

    async fn read(&mut self) -> Option<Message> {
        let line: Bytes = self.lines.next().await?.ok()?;
        Some(Message::parse(&line).expect("the miner sends stratum"))
    }

    /// The next request; submits are kept for [`PoolEnd::submit`]. `None` at the end.
    pub async fn request(&mut self) -> Option<Request> {
        loop {
            let Message::Request(request) = self.read().await? else { continue };
            if request.method != Submit::METHOD {
                return Some(request);
            }
            self.keep(&request);
        }
    }

    fn keep(&mut self, request: &Request) {
        let Ok(ClientCall::Submit(submit)) = ClientCall::from_request(request, Algorithm::Sha256d, NonceForm::Padded)
        else {
            panic!("{request:?}")
        };
        self.submits.push_back((request.id.clone(), submit));
    }

    /// The next submit; `None` at the end.
    pub async fn submit(&mut self) -> Option<(Id, Submit)> {
        while self.submits.is_empty() {
            if let Message::Request(request) = self.read().await? {
                self.keep(&request);
            }
        }
        self.submits.pop_front()
    }

    /// Lets the miner in; answers with its subscribe's parameters.
    pub async fn welcome(&mut self, session: &str) -> Vec<Value> {
        let mut subscribe = Vec::new();
        for method in ["mining.configure", "mining.subscribe", "mining.authorize"] {
            let request = self.request().await.expect("the miner logs in");
            assert_eq!(request.method, method);
            let result = match method {
                "mining.configure" => {
                    json!({"version-rolling": true, "version-rolling.mask": format!("{MASK:08x}"), "subscribe-extranonce": true})
                }
                "mining.subscribe" => {
                    subscribe.clone_from(&request.params);
                    json!([[["mining.notify", session]], "0a0b0c0d", 4])
                }
                _ => json!(true),
            };
            self.send(&result_line(&request.id, &result)).await;
        }
        subscribe
    }

    pub async fn set_difficulty(&mut self, difficulty: Difficulty) {
        self.send(&notification_line("mining.set_difficulty", &json!([difficulty.to_json(Algorithm::Sha256d)]))).await;
    }

    pub async fn notify(&mut self, job: &str, tag: u8, clean: bool) {
        let notify = Notify { job: job.into(), template: template(tag), clean };
        self.send(&notification_line(Notify::METHOD, &notify.to_params())).await;
    }

    /// Returns once the miner has read all that was sent before.
    pub async fn settle(&mut self) {
        self.send(&request_line(&Id::from(77), "client.get_version", &json!([]))).await;
        loop {
            match self.read().await.expect("the miner is there") {
                Message::Response(response) if response.id == Id::from(77) => return,
                Message::Request(request) if request.method == Submit::METHOD => self.keep(&request),
                Message::Request(_) | Message::Response(_) => {}
            }
        }
    }

    pub async fn answer(&mut self, id: &Id) {
        self.send(&result_line(id, &json!(true))).await;
    }

    /// Waits until the miner hangs up.
    pub async fn hung_up(&mut self) {
        while self.read().await.is_some() {}
    }
}

/// Rebuilds and hashes a submit as a pool does.
pub fn is_share(submit: &Submit, tag: u8, difficulty: Difficulty) -> bool {
    let template = template(tag);
    let version = roll_version(template.version, submit.version_bits.expect("a mask was granted"), MASK).unwrap();
    let roll = Roll {
        extranonce1: &EXTRANONCE1,
        extranonce2: &submit.extranonce2,
        ntime: submit.ntime,
        nonce: submit.nonce,
        version,
    };
    template.allows_ntime(submit.ntime)
        && Target::from_difficulty(difficulty).is_met_by(&HeaderHash::sha256d(&template.header(&roll)))
}

/// What happens to a try to connect.
#[derive(Clone)]
pub enum Way {
    Refused,
    Open,
}

/// Decides on each try, by its number from 1 and its address.
type Ways = Box<dyn Fn(usize, &PoolUrl) -> Way + Send + Sync>;

/// Streams within this process, so that the clock may be paused.
pub struct Wires {
    ways: Ways,
    tries: Mutex<Vec<(String, tokio::time::Instant)>>,
    ends: mpsc::Sender<DuplexStream>,
    arrived: tokio::sync::Semaphore,
}

/// The pools' side of [`Wires`].
pub struct Exchange {
    pub wires: Arc<Wires>,
    ends: mpsc::Receiver<DuplexStream>,
}

impl Exchange {
    pub fn new(ways: impl Fn(usize, &PoolUrl) -> Way + Send + Sync + 'static) -> Exchange {
        let (sender, ends) = mpsc::channel();
        let wires = Wires {
            ways: Box::new(ways),
            tries: Mutex::default(),
            ends: sender,
            arrived: tokio::sync::Semaphore::new(0),
        };
        Exchange { wires: Arc::new(wires), ends }
    }

    /// The next connection that was let through.
    pub async fn accept(&mut self) -> PoolEnd {
        self.wires.arrived.acquire().await.unwrap().forget();
        PoolEnd::new(Box::new(self.ends.recv().unwrap()))
    }

    /// Every try so far: whereto and when.
    pub fn tries(&self) -> Vec<(String, tokio::time::Instant)> {
        self.wires.tries.lock().unwrap().clone()
    }
}

impl Dial for Wires {
    fn dial(&self, url: &PoolUrl) -> Dialing {
        let mut tries = self.tries.lock().unwrap();
        tries.push((url.to_string(), tokio::time::Instant::now()));
        let way = (self.ways)(tries.len(), url);
        let opened: io::Result<Stream> = match way {
            Way::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            Way::Open => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                self.ends.send(theirs).unwrap();
                self.arrived.add_permits(1);
                Ok(Box::new(ours))
            }
        };
        Box::pin(async move { opened })
    }
}

/// Options of a run without limits, sensors, or anyone who looks on.
pub fn plain(urls: &[&str], dial: Arc<dyn Dial>) -> Options {
    Options {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        login: Login { user: "alice.rig".into(), password: "x".into() },
        algorithm: Algorithm::Sha256d,
        kinds: vec![Kind::Hash],
        key: None,
        cache: Cache::none(),
        memory_max: None,
        dial,
        view: View::Silent,
        limits: Limits::default(),
        sensors: None,
        activity: None,
        monitor: None,
    }
}

/// A run in the background.
pub struct Run {
    pub shutdown: CancellationToken,
    task: JoinHandle<io::Result<Summary>>,
}

impl Run {
    pub fn start(urls: &[&str], dial: Arc<dyn Dial>, devices: Vec<Box<dyn Device>>) -> Run {
        Run::with(plain(urls, dial), devices)
    }

    pub fn with(options: Options, devices: Vec<Box<dyn Device>>) -> Run {
        let shutdown = CancellationToken::new();
        Run { task: tokio::spawn(run(options, devices, shutdown.clone())), shutdown }
    }

    pub async fn end(self) -> Summary {
        self.shutdown.cancel();
        self.summary().await
    }

    /// Without asking it to end.
    pub async fn summary(self) -> Summary {
        self.task.await.unwrap().unwrap()
    }
}

/// A CPU on one thread.
pub fn cpu() -> Box<dyn Device> {
    Box::new(Cpu::new(std::num::NonZero::new(1)))
}

/// What a latched device does with a slice of the test's work.
pub enum Turn {
    /// Answers with these nonces after the slice's first.
    Hits(u32),
    Fail,
    Panic,
}

/// A device that passes the self-test, then waits for the test's word before it ends each slice.
pub struct Latched {
    inner: Box<dyn Device>,
    /// The target by which the test's work is known from the self-test's.
    target: [u8; 32],
    begun: tokio::sync::mpsc::UnboundedSender<Nonces>,
    turns: mpsc::Receiver<Turn>,
}

/// The test's side of a latched device. Dropped, it has the device answer with nothing.
pub struct Latch {
    /// The slices that the device was given.
    pub begun: tokio::sync::mpsc::UnboundedReceiver<Nonces>,
    pub turns: mpsc::Sender<Turn>,
}

/// The difficulty of latched devices' work, which no vector of the self-test has.
pub fn latched_difficulty() -> Difficulty {
    Difficulty::parse("0.75", Algorithm::Sha256d).unwrap()
}

pub fn latched() -> (Box<dyn Device>, Latch) {
    let difficulty = latched_difficulty();
    let target = Target::from_difficulty(difficulty).to_be_bytes();
    let (begun, begun_end) = tokio::sync::mpsc::unbounded_channel();
    let (turns_end, turns) = mpsc::channel();
    let device = Latched { inner: cpu(), target, begun, turns };
    (Box::new(device), Latch { begun: begun_end, turns: turns_end })
}

impl Device for Latched {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        if *scan.target() != self.target {
            return self.inner.scan(scan, nonces, hits);
        }
        self.begun.send(nonces).unwrap_or(()); // the test may have ended
        match self.turns.recv() {
            Ok(Turn::Hits(count)) => hits.extend((0..count).map(|n| nonces.start() + n)),
            Ok(Turn::Fail) => return Err(DeviceError { device: "x:0".into(), reason: "fell off the bus".into() }),
            Ok(Turn::Panic) => panic!("a bug"),
            // Nobody holds the latch any more: do nothing, and not too often.
            Err(mpsc::RecvError) => std::thread::yield_now(),
        }
        Ok(())
    }
}

/// A slice that a steady device was given, and when.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    pub at: Instant,
    pub nonces: Nonces,
}

impl Begun {
    /// How long the device works on it.
    pub fn length(&self) -> Duration {
        STEADY_NONCE * u32::try_from(self.nonces.count()).expect("slices are short")
    }
}

/// How long a steady device takes for a nonce.
const STEADY_NONCE: Duration = Duration::from_nanos(20);

/// The slices of a steady device.
pub type Slices = tokio::sync::mpsc::UnboundedReceiver<Begun>;

/// A device that passes the self-test, then takes the same time for each nonce of the test's work and finds nothing.
pub struct Steady {
    inner: Box<dyn Device>,
    begun: tokio::sync::mpsc::UnboundedSender<Begun>,
}

pub fn steady() -> (Box<dyn Device>, Slices) {
    let (begun, slices) = tokio::sync::mpsc::unbounded_channel();
    (Box::new(Steady { inner: cpu(), begun }), slices)
}

impl Device for Steady {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        if *scan.target() != Target::from_difficulty(latched_difficulty()).to_be_bytes() {
            return self.inner.scan(scan, nonces, hits);
        }
        let begun = Begun { at: Instant::now(), nonces };
        self.begun.send(begun).unwrap_or(()); // the test may have ended
        std::thread::sleep(begun.length());
        Ok(())
    }
}

/// A device that computes wrongly.
pub struct Broken(pub Box<dyn Device>);

impl Device for Broken {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    fn scan(&mut self, _: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        hits.push(nonces.start());
        Ok(())
    }
}
