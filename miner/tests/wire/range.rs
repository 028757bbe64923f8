//! Range work from the assignment to the answer: the real miner with real devices, a played pool and its blobs on
//! loopback sockets.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lode_kernels::{Device, DeviceError, DeviceInfo};
use lode_kinds::Kind;
use lode_kinds::hash::{Nonces, Scan};
use lode_kinds::range::{Store, Task, prepare};
use lode_miner::blobs::Cache;
use lode_miner::client::End;
use lode_miner::device_worker::WRONG_MAX;
use lode_miner::dial::Network;
use lode_miner::run::Options;
use lode_miner::tls;
use lode_protocol::key::{SecretKey, statement};
use lode_protocol::method::configure::{HttpAt, LodeWorkReply};
use lode_protocol::method::{
    Assign, AssignInput, ClientCall, ConfigureReply, NonceForm, ProveReply, Release, ReleaseReason, Revoke, UnitSubmit,
};
use lode_protocol::rpc::{Id, notification_line, rejection_line, result_line};
use lode_protocol::{Algorithm, Difficulty, Digest, Rejection, Work};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::blob_server::{BlobServer, digest_of};
use crate::scene::triangle;
use crate::support::*;

/// What nothing here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: [u8; 32] = [7; 32];
const LEDGER: [u8; 16] = [3; 16];

struct Sponsor(HashMap<Digest, Vec<u8>>);

impl Store for Sponsor {
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(&Digest(*digest)).cloned())
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        let digest = digest_of(&bytes);
        self.0.insert(digest, bytes);
        Ok(digest.0)
    }
}

/// A pool with one job, a picture of 96 by 48 pixels: 18 elements, one section.
struct Played {
    listener: TcpListener,
    blobs: BlobServer,
    spec: Value,
    input: AssignInput,
    task: Task,
}

/// A connection that has been let in.
struct Peer {
    lines: PoolEnd,
}

impl Played {
    async fn new() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let blobs = BlobServer::start().await;
        let scene = triangle();
        let spec = json!({"scene": digest_of(&scene), "width": 96, "height": 48, "samples": 6, "max_depth": 3});
        let mut sponsor = Sponsor(HashMap::from([(digest_of(&scene), scene)]));
        let mut prepared = prepare(Kind::Render, &spec, &mut sponsor).unwrap();
        let section = prepared.sections.remove(0);
        let input = AssignInput { digest: Digest(section.inputs[0].digest), bytes: section.inputs[0].bytes };
        let bytes = sponsor.0.remove(&input.digest).unwrap();
        let task = Task::parse(Kind::Render, &section.spec, vec![bytes.clone()]).unwrap();
        assert_eq!(task.elements(), 18);
        assert!(task.element(9).iter().any(|byte| *byte != 0), "there is something to see");
        blobs.add(bytes);
        Played { listener, blobs, spec: section.spec, input, task }
    }

    fn options(&self, kinds: &[Kind], cache: Cache) -> Options {
        let url = format!("stratum+tcp://{}", self.listener.local_addr().unwrap());
        let mut options = plain(&[&url], Arc::new(Network::new(tls::connector(None).unwrap())));
        (options.kinds, options.cache) = (kinds.to_vec(), cache);
        options.key = Some(SecretKey::from_bytes(&SECRET));
        options
    }

    fn run(&self, devices: Vec<Box<dyn Device>>) -> Run {
        Run::with(self.options(&[Kind::Render], Cache::none()), devices)
    }

    /// Lets the miner in and takes its proof.
    async fn accept(&self, slots: u64) -> Peer {
        let stream = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap().0;
        let mut lines = PoolEnd::new(Box::new(stream));
        let nonce: [u8; 32] = rand::random();
        for _ in 0..4 {
            let request = lines.request().await.expect("the miner logs in");
            let call = ClientCall::from_request(&request, Algorithm::Sha256d, NonceForm::Padded).unwrap();
            let result = match call {
                ClientCall::Configure(configure) => {
                    let wish = configure.lode_work.expect("an offer");
                    assert_eq!((wish.key, u64::from(wish.slots)), (SecretKey::from_bytes(&SECRET).public(), slots));
                    assert_eq!(wish.kinds, ["render"]);
                    let grant = LodeWorkReply { nonce, pool: LEDGER, http: HttpAt::Port(self.blobs.port) };
                    let reply = ConfigureReply {
                        version_rolling: Some(Some(MASK)),
                        subscribe_extranonce: Some(true),
                        lode_work: Some(Some(grant)),
                        ..ConfigureReply::default()
                    };
                    reply.to_json()
                }
                ClientCall::Prove(prove) => {
                    let key = SecretKey::from_bytes(&SECRET).public();
                    key.verify(&statement(&LEDGER, &nonce), &prove.signature).expect("a proof of this nonce");
                    ProveReply { token: self.blobs.token.clone() }.to_json()
                }
                ClientCall::Subscribe(_) => json!([[["mining.notify", "s1"]], "0a0b0c0d", 4]),
                ClientCall::Authorize(_) => json!(true),
                other => panic!("{other:?}"),
            };
            lines.send(&result_line(&request.id, &result)).await;
        }
        Peer { lines }
    }

    fn unit(&self, name: &str, elements: Range<u64>) -> Assign {
        Assign {
            unit: name.parse().unwrap(),
            job: "j12".parse().unwrap(),
            section: 0,
            kind: "render".into(),
            spec: self.spec.clone(),
            inputs: vec![self.input],
            first: elements.start,
            count: u32::try_from(elements.end - elements.start).unwrap(),
            work: Work(1_000_000),
            ttl_s: 30,
        }
    }

    /// What the reference makes of these elements.
    fn right(&self, elements: Range<u64>) -> Vec<u8> {
        elements.flat_map(|element| self.task.element(element)).collect()
    }

    /// Waits for the submit of a unit, checks it to the last byte and says yes.
    async fn is_done(&self, peer: &mut Peer, name: &str, elements: Range<u64>) {
        let (id, submit) = peer.submit().await;
        assert_eq!((submit.unit.as_str(), submit.user.as_str()), (name, "alice.rig"));
        let bytes = self.blobs.shelf().blobs.get(&submit.digest).cloned().expect("the result comes first");
        assert!(bytes == self.right(elements), "unit {name} has other bytes than the reference");
        peer.lines.answer(&id).await;
    }
}

impl Peer {
    async fn assign(&mut self, unit: &Assign) {
        self.lines.send(&notification_line(Assign::METHOD, &unit.to_params())).await;
    }

    async fn revoke(&mut self, name: &str) {
        let revoke = Revoke { unit: name.parse().unwrap(), reason: "another was faster".into() };
        self.lines.send(&notification_line(Revoke::METHOD, &revoke.to_params())).await;
    }

    async fn call(&mut self) -> Option<(Id, ClientCall)> {
        let request = timeout(PATIENCE, self.lines.request()).await.expect("the miner says something")?;
        let call = ClientCall::from_request(&request, Algorithm::Sha256d, NonceForm::Padded).unwrap();
        Some((request.id, call))
    }

    async fn submit(&mut self) -> (Id, UnitSubmit) {
        match self.call().await {
            Some((id, ClientCall::UnitSubmit(submit))) => (id, submit),
            other => panic!("no submit: {other:?}"),
        }
    }

    async fn release(&mut self) -> (String, ReleaseReason, String) {
        match self.call().await {
            Some((id, ClientCall::Release(Release { unit, reason, text, user }))) => {
                assert_eq!(user, "alice.rig");
                self.lines.answer(&id).await;
                (unit.to_string(), reason, text)
            }
            other => panic!("no release: {other:?}"),
        }
    }
}

/// What the test tells a steered device to do with a slice of elements.
enum Step {
    Right,
    Wrong,
    Fail,
}

/// A CPU that waits for the test's word before each slice of elements; without anybody to ask it does what it did last.
struct Steered {
    inner: Box<dyn Device>,
    begun: tokio::sync::mpsc::UnboundedSender<Range<u64>>,
    steps: std::sync::mpsc::Receiver<Step>,
    /// Until the test is ready it does all at once and right.
    armed: Arc<AtomicBool>,
    /// Whether the task is the played job's.
    steered: bool,
}

/// The test's side.
struct Steering {
    begun: tokio::sync::mpsc::UnboundedReceiver<Range<u64>>,
    steps: std::sync::mpsc::Sender<Step>,
    armed: Arc<AtomicBool>,
}

impl Steering {
    /// Waits for the device to begin a slice.
    async fn begun(&mut self) -> Range<u64> {
        timeout(PATIENCE, self.begun.recv()).await.expect("the device begins").unwrap()
    }
}

fn steered() -> (Box<dyn Device>, Steering) {
    let (begun, begun_end) = tokio::sync::mpsc::unbounded_channel();
    let (steps_end, steps) = std::sync::mpsc::channel();
    let armed = Arc::<AtomicBool>::default();
    let device = Steered { inner: cpu(), begun, steps, armed: Arc::clone(&armed), steered: false };
    (Box::new(device), Steering { begun: begun_end, steps: steps_end, armed })
}

impl Device for Steered {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        self.inner.scan(scan, nonces, hits)
    }

    fn can(&self, kind: Kind) -> Result<(), String> {
        self.inner.can(kind)
    }

    fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
        // The self-test has tasks of its own.
        self.steered = task.elements() == 18;
        self.inner.load(task)
    }

    fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let before = out.len();
        if !self.steered || !self.armed.load(Ordering::Acquire) {
            return self.inner.run(elements, out);
        }
        self.begun.send(elements.clone()).unwrap_or(()); // the test may have ended
        match self.steps.recv().unwrap_or(Step::Right) {
            Step::Right => self.inner.run(elements, out),
            Step::Wrong => {
                self.inner.run(elements, out)?;
                out[before..].iter_mut().for_each(|byte| *byte ^= 1);
                Ok(())
            }
            Step::Fail => Err(DeviceError { device: "x:0".into(), reason: "fell off the bus".into() }),
        }
    }
}

#[tokio::test]
async fn units_are_computed_delivered_and_counted_and_the_next_waits_already() {
    let pool = Played::new().await;
    let run = pool.run(vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..5)).await;
    peer.assign(&pool.unit("u2", 5..18)).await;
    for _ in 0..2 {
        let (id, submit) = peer.submit().await;
        let elements = if submit.unit.as_str() == "u1" { 0..5 } else { 5..18 };
        let bytes = pool.blobs.shelf().blobs.get(&submit.digest).cloned().expect("the result comes first");
        assert!(bytes == pool.right(elements.clone()), "{submit:?} has other bytes than the reference");
        match elements.start {
            0 => peer.lines.answer(&id).await,
            _ => peer.lines.send(&rejection_line(&id, &Rejection::Stale)).await,
        }
    }
    peer.assign(&pool.unit("u3", 17..18)).await;
    pool.is_done(&mut peer, "u3", 17..18).await;
    peer.lines.settle().await;
    let summary = run.end().await;
    let device = &summary.devices[0];
    assert_eq!((device.units, device.work, device.elements), (2, Work(2_000_000), 19));
    assert_eq!((device.accepted, device.rejected, device.unanswered, device.hashes), (2, 1, 0, 0));
    assert!(summary.to_string().contains("2 units, 2000000"), "{summary}");
    let gets = pool.blobs.shelf().log.iter().filter(|line| line.starts_with("GET")).count();
    assert_eq!(gets, 1, "units of one section share their inputs");
}

#[tokio::test]
async fn a_unit_goes_before_hashing_which_then_goes_on() {
    let pool = Played::new().await;
    let run = Run::with(pool.options(&[Kind::Hash, Kind::Render], Cache::none()), vec![cpu()]);
    let mut peer = pool.accept(2).await;
    let difficulty = Difficulty::parse("0.000001", Algorithm::Sha256d).unwrap();
    peer.lines.set_difficulty(difficulty).await;
    peer.lines.notify("a", 1, true).await;
    let (id, _) = peer.lines.submit().await.unwrap();
    peer.lines.answer(&id).await;
    peer.assign(&pool.unit("u1", 2..4)).await;
    pool.is_done(&mut peer, "u1", 2..4).await;
    let mut after = 0;
    while after < 2000 {
        let (id, submit) = peer.lines.submit().await.unwrap();
        assert!(is_share(&submit, 1, difficulty));
        peer.lines.answer(&id).await;
        after += 1;
    }
    let device = run.end().await.devices.remove(0);
    assert_eq!((device.units, device.elements), (1, 2));
    assert!(device.hashes > 0);
}

#[tokio::test]
async fn broken_transfers_go_on_where_they_were() {
    let pool = Played::new().await;
    let directory = tempfile::tempdir().unwrap();
    let cache = || Cache::at(directory.path().to_owned(), 1 << 30, std::time::SystemTime::now);
    let bytes = usize::try_from(pool.input.bytes).unwrap();
    pool.blobs.shelf().cuts.extend([bytes / 3, bytes / 3, usize::MAX, 1000, 0]);
    let run = Run::with(pool.options(&[Kind::Render], cache()), vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..2)).await;
    pool.is_done(&mut peer, "u1", 0..2).await;
    peer.lines.settle().await;
    run.end().await;
    let third = bytes / 3;
    let expected = format!("GET 0,GET {third},GET {},PUT 0,HEAD 0,PUT 1000,HEAD 0,PUT 1000", 2 * third);
    assert_eq!(pool.blobs.shelf().log.join(","), expected);

    // The next run has the input already.
    pool.blobs.shelf().log.clear();
    let run = Run::with(pool.options(&[Kind::Render], cache()), vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u2", 4..6)).await;
    pool.is_done(&mut peer, "u2", 4..6).await;
    run.end().await;
    assert_eq!(pool.blobs.shelf().log, ["PUT 0"]);
}

#[tokio::test]
async fn an_input_that_is_something_else_is_refused_and_not_kept() {
    let pool = Played::new().await;
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path().to_owned(), 1 << 30, std::time::SystemTime::now);
    let mut lie = pool.blobs.shelf().blobs[&pool.input.digest].clone();
    *lie.last_mut().unwrap() ^= 1;
    pool.blobs.shelf().lies.insert(pool.input.digest, lie);
    let run = Run::with(pool.options(&[Kind::Render], cache), vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..2)).await;
    let (unit, reason, text) = peer.release().await;
    assert_eq!((unit.as_str(), reason), ("u1", ReleaseReason::Failed));
    assert!(text.contains("not those of the digest"), "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    pool.blobs.shelf().lies.clear();
    peer.assign(&pool.unit("u2", 0..2)).await;
    pool.is_done(&mut peer, "u2", 0..2).await;
    run.end().await;
}

#[tokio::test]
async fn a_result_that_the_pool_does_not_take_gives_the_unit_back() {
    let pool = Played::new().await;
    pool.blobs.shelf().closed = true;
    let run = pool.run(vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..2)).await;
    let (unit, reason, text) = peer.release().await;
    assert_eq!((unit.as_str(), reason), ("u1", ReleaseReason::Failed));
    assert!(text.contains("could not be delivered") && text.contains("409"), "{text}");
    run.end().await;
    assert_eq!(pool.blobs.shelf().log, ["GET 0", "PUT 0", "HEAD 0"], "it is not tried again and again");
}

#[tokio::test]
async fn a_token_that_is_over_begins_a_new_session() {
    let pool = Played::new().await;
    pool.blobs.shelf().locked = true;
    let run = pool.run(vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..2)).await;
    assert!(peer.call().await.is_none(), "it hangs up");
    pool.blobs.shelf().locked = false;
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u2", 0..2)).await;
    pool.is_done(&mut peer, "u2", 0..2).await;
    run.end().await;
}

#[tokio::test]
async fn a_unit_taken_back_is_dropped_wherever_it_is() {
    let pool = Played::new().await;
    let (device, mut steering) = steered();
    let run = pool.run(vec![device]);
    let mut peer = pool.accept(2).await;
    steering.armed.store(true, Ordering::Release);
    for (name, elements) in [("u1", 0..9), ("u2", 9..12), ("u3", 12..13)] {
        peer.assign(&pool.unit(name, elements)).await;
    }
    assert_eq!(steering.begun().await, 0..1);
    peer.revoke("u2").await;
    peer.revoke("u1").await;
    peer.revoke("nobody-knows").await;
    peer.lines.settle().await;
    steering.steps.send(Step::Right).unwrap();
    assert_eq!(steering.begun().await, 12..13, "neither the one in hand nor the one that waited");
    steering.steps.send(Step::Right).unwrap();
    pool.is_done(&mut peer, "u3", 12..13).await;
    let device = run.end().await.devices.remove(0);
    assert_eq!((device.units, device.elements), (1, 2));
}

#[tokio::test]
async fn the_end_gives_back_what_is_not_done_and_waits_for_what_is() {
    let pool = Played::new().await;
    let (device, mut steering) = steered();
    let run = pool.run(vec![device]);
    let mut peer = pool.accept(2).await;
    steering.armed.store(true, Ordering::Release);
    for (name, elements) in [("u1", 0..1), ("u2", 1..9), ("u3", 9..12)] {
        peer.assign(&pool.unit(name, elements)).await;
    }
    steering.begun().await;
    steering.steps.send(Step::Right).unwrap();
    let (id, submit) = peer.submit().await;
    assert_eq!(submit.unit.as_str(), "u1");
    steering.begun().await;
    run.shutdown.cancel();
    let mut back = vec![peer.release().await, peer.release().await];
    back.sort_by_key(|(unit, ..)| unit.clone());
    let stopping = |name: &str| (name.to_owned(), ReleaseReason::Stopping, String::new());
    assert_eq!(back, [stopping("u2"), stopping("u3")]);
    peer.lines.answer(&id).await;
    drop(steering);
    assert!(peer.call().await.is_none(), "nothing more is said");
    let summary = run.summary().await;
    assert_eq!((summary.end, summary.devices[0].units), (End::Stopped, 1));
}

#[tokio::test]
async fn a_device_that_computes_wrongly_is_caught_and_another_does_its_units() {
    let pool = Played::new().await;
    let (liar, mut steering) = steered();
    let run = pool.run(vec![liar, cpu()]);
    let mut peer = pool.accept(4).await;
    steering.armed.store(true, Ordering::Release);
    let mut wrong = 0;
    for number in 0.. {
        let name = format!("u{number}");
        peer.assign(&pool.unit(&name, number % 18..number % 18 + 1)).await;
        // Whichever device has it, what comes out is right.
        let served = async {
            if steering.begun.recv().await.is_some() {
                steering.steps.send(Step::Wrong).unwrap();
                wrong += 1;
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = pool.is_done(&mut peer, &name, number % 18..number % 18 + 1) => {}
            () = served => {}
        }
        if wrong == WRONG_MAX {
            break;
        }
    }
    peer.lines.settle().await;
    let devices = run.end().await.devices;
    assert_eq!(devices[0].failure.as_deref(), Some("3 units in a row were wrong"));
    assert_eq!((devices[0].hardware_errors, devices[0].units), (u64::from(WRONG_MAX), 0));
    assert!(devices[1].failure.is_none() && devices[1].units >= u64::from(WRONG_MAX));
}

#[tokio::test]
async fn units_that_no_device_does_go_back_with_the_reason() {
    let pool = Played::new().await;
    let (device, mut steering) = steered();
    let run = pool.run(vec![device]);
    let mut peer = pool.accept(2).await;
    let assign = async |peer: &mut Peer, change: &dyn Fn(&mut Assign)| {
        let mut unit = pool.unit("u1", 0..2);
        change(&mut unit);
        peer.assign(&unit).await;
        let (unit, reason, text) = peer.release().await;
        assert_eq!(unit, "u1");
        (reason, text)
    };
    let (reason, text) = assign(&mut peer, &|unit| unit.kind = "cook".into()).await;
    assert!(reason == ReleaseReason::Unsupported && text.contains("cook"), "{text}");
    let (reason, text) = assign(&mut peer, &|unit| unit.kind = "hash".into()).await;
    assert!(reason == ReleaseReason::Unsupported && text.contains("hash"), "{text}");
    let (reason, text) = assign(&mut peer, &|unit| unit.spec = json!({"width": 48})).await;
    assert!(reason == ReleaseReason::Impossible && text.contains("height"), "{text}");
    let (reason, text) = assign(&mut peer, &|unit| unit.first = 17).await;
    assert!(reason == ReleaseReason::Impossible && text.contains("18 elements"), "{text}");
    let (reason, text) = assign(&mut peer, &|unit| unit.inputs[0].digest = Digest([1; 32])).await;
    assert!(reason == ReleaseReason::Failed && text.contains("404"), "{text}");

    steering.armed.store(true, Ordering::Release);
    peer.assign(&pool.unit("u2", 0..2)).await;
    steering.begun().await;
    steering.steps.send(Step::Fail).unwrap();
    let (unit, reason, text) = peer.release().await;
    assert_eq!((unit.as_str(), reason), ("u2", ReleaseReason::Failed));
    assert!(text.contains("fell off the bus"), "{text}");
    assert_eq!(run.summary().await.end, End::NoDevices);
}

#[tokio::test]
async fn a_task_too_large_for_the_devices_goes_back() {
    let pool = Played::new().await;
    let mut options = pool.options(&[Kind::Render], Cache::none());
    options.memory_max = Some(pool.input.bytes - 1);
    let run = Run::with(options, vec![cpu()]);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 0..2)).await;
    let (_, reason, text) = peer.release().await;
    assert!(reason == ReleaseReason::Memory && text.contains(&pool.input.bytes.to_string()), "{text}");
    assert!(pool.blobs.shelf().log.is_empty(), "it is not even fetched");
    run.end().await;
}

#[tokio::test]
async fn units_of_a_lost_session_are_dropped() {
    let pool = Played::new().await;
    let (device, mut steering) = steered();
    let run = pool.run(vec![device]);
    let mut peer = pool.accept(2).await;
    steering.armed.store(true, Ordering::Release);
    peer.assign(&pool.unit("u1", 0..9)).await;
    steering.begun().await;
    drop(peer);
    let mut peer = pool.accept(2).await;
    peer.assign(&pool.unit("u1", 11..12)).await;
    peer.lines.settle().await;
    steering.steps.send(Step::Right).unwrap();
    assert_eq!(steering.begun().await, 11..12);
    steering.steps.send(Step::Right).unwrap();
    pool.is_done(&mut peer, "u1", 11..12).await;
    run.end().await;
}

#[tokio::test]
async fn a_pool_without_range_work_gets_hashes_or_is_left() {
    let pool = Played::new().await;
    let run = Run::with(pool.options(&[Kind::Hash, Kind::Render], Cache::none()), vec![cpu()]);
    let mut lines = PoolEnd::new(Box::new(pool.listener.accept().await.unwrap().0));
    lines.welcome("s1").await;
    let difficulty = Difficulty::parse("0.000001", Algorithm::Sha256d).unwrap();
    lines.set_difficulty(difficulty).await;
    lines.notify("a", 1, true).await;
    let (id, submit) = lines.submit().await.unwrap();
    assert!(is_share(&submit, 1, difficulty));
    lines.answer(&id).await;
    run.end().await;

    let fallback = Played::new().await;
    let mut options = pool.options(&[Kind::Render], Cache::none());
    options.urls.extend(fallback.options(&[], Cache::none()).urls);
    let run = Run::with(options, vec![cpu()]);
    let mut lines = PoolEnd::new(Box::new(pool.listener.accept().await.unwrap().0));
    lines.welcome("s1").await;
    lines.hung_up().await;
    let mut peer = fallback.accept(2).await;
    peer.lines.set_difficulty(difficulty).await;
    peer.lines.notify("a", 1, true).await;
    peer.assign(&fallback.unit("u1", 0..1)).await;
    fallback.is_done(&mut peer, "u1", 0..1).await;
    assert_eq!(run.end().await.devices[0].hashes, 0, "nobody asked for hashes");
}
