//! Miners of range work, played over real sockets against a pool with its desk: from a key's proof to the picture.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use bytes::Bytes;
use lode_dashboard::port::{BlobClient, Delivery, Port as _, PortError, Reading as _, Upload as _};
use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_protocol::key::{SecretKey, statement};
use lode_protocol::{Algorithm, Digest, hex};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::accept;
use super::session::Settings;
use crate::config::Config;
use crate::desk;
use crate::desk::tests::{ELEMENTS, Reference, assert_done, closed, open, record};
use crate::face::Face;
use crate::face::tests::{House, until};

/// A pool with a stratum port.
struct Place {
    house: House,
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl Place {
    async fn open(data: &Path, config: &Config) -> Place {
        let house = open(data, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (algorithm, extranonce2_bytes) = (Algorithm::Sha256d, config.extranonce2_bytes);
        let settings =
            Settings { algorithm, extranonce2_bytes, version_mask: config.version_mask, vardiff: config.vardiff };
        let served = tokio::spawn(accept::serve(listener, settings, house.face.shared.clone(), shutdown.clone()));
        Place { house, address, shutdown, served }
    }

    fn face(&self) -> &Face {
        &self.house.face
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap();
        self.house.stop().await;
    }
}

/// A refusal's code and text.
type Refusal = (u64, String);

struct Miner {
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    asked: u64,
    /// Notifications of range work that nobody has looked at.
    told: VecDeque<(String, Value)>,
    token: String,
}

impl Miner {
    async fn connect(address: SocketAddr) -> Miner {
        let (reader, writer) = TcpStream::connect(address).await.unwrap().into_split();
        let lines = BufReader::new(reader).lines();
        Miner { lines, writer, asked: 0, told: VecDeque::new(), token: String::new() }
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line()).await;
        let line = line.expect("the pool says something").unwrap().expect("the pool keeps the line open");
        serde_json::from_str(&line).unwrap()
    }

    /// Notes a notification.
    fn note(&mut self, line: &Value) {
        let method = line["method"].as_str().expect("it is a notification");
        if method.starts_with("work.") || method == "client.show_message" {
            self.told.push_back((method.to_owned(), line["params"].clone()));
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value, Refusal> {
        self.asked += 1;
        let line = json!({"id": self.asked, "method": method, "params": params}).to_string() + "\n";
        self.writer.write_all(line.as_bytes()).await.unwrap();
        loop {
            let line = self.line().await;
            if line["id"] != json!(self.asked) {
                self.note(&line);
                continue;
            }
            let error = &line["error"];
            return match error[0].as_u64() {
                None => Ok(line["result"].clone()),
                Some(code) => Err((code, error[1].as_str().unwrap().to_owned())),
            };
        }
    }

    /// The next notification of this method.
    async fn told(&mut self, method: &str) -> Value {
        loop {
            while let Some((found, params)) = self.told.pop_front() {
                if found == method {
                    return params;
                }
            }
            let line = self.line().await;
            self.note(&line);
        }
    }

    async fn configure(&mut self, key: &SecretKey, kinds: Value, slots: u32) -> Value {
        let values =
            json!({"lode-work.key": key.public().to_string(), "lode-work.kinds": kinds, "lode-work.slots": slots});
        self.call("mining.configure", json!([["lode-work"], values])).await.unwrap()
    }

    async fn prove(&mut self, key: &SecretKey, granted: &Value) -> Result<Value, Refusal> {
        let read = |name: &str| granted[name].as_str().unwrap().to_owned();
        let pool = hex::decode_array(&read("lode-work.pool")).unwrap();
        let nonce = hex::decode_array(&read("lode-work.nonce")).unwrap();
        let signature = key.sign(&statement(&pool, &nonce)).to_string();
        self.call("work.prove", json!([signature])).await
    }

    /// A miner of this key that is ready for units, or what its proof came to.
    async fn come(place: &Place, seed: u8, slots: u32) -> Result<Miner, Refusal> {
        let key = SecretKey::from_bytes(&[seed; 32]);
        let mut miner = Miner::connect(place.address).await;
        let granted = miner.configure(&key, json!(["hash", "render"]), slots).await;
        assert_eq!(granted["lode-work"], json!(true));
        let proof = miner.prove(&key, &granted).await?;
        miner.token = proof["token"].as_str().unwrap().to_owned();
        assert_eq!(miner.call("mining.authorize", json!([user(seed), "x"])).await, Ok(json!(true)));
        Ok(miner)
    }

    fn client(&self) -> BlobClient {
        BlobClient::Miner(self.token.clone())
    }

    async fn upload(&self, face: &Face, bytes: &[u8]) -> Result<Digest, PortError> {
        let digest = Digest(*blake3::hash(bytes).as_bytes());
        let delivery = Delivery::Resumable { digest, offset: 0 };
        let mut upload = face.upload(&self.client(), delivery, Some(bytes.len() as u64)).await?;
        upload.write(Bytes::copy_from_slice(bytes)).await?;
        upload.finish().await.map(|uploaded| uploaded.blob.digest)
    }

    async fn fetch(&self, face: &Face, digest: &Digest, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        let mut reading = face.read_blob(&self.client(), digest, range).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = reading.next_bytes().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Computes a unit as any miner would.
    async fn compute(&self, face: &Face, unit: &Value) -> Vec<u8> {
        let mut inputs = Vec::new();
        for input in unit["inputs"].as_array().unwrap() {
            let digest = Digest::from_str(input["digest"].as_str().unwrap()).unwrap();
            inputs.push(self.fetch(face, &digest, 0..input["bytes"].as_u64().unwrap()).await.unwrap());
        }
        let task = Task::parse(Kind::Render, &unit["spec"], inputs).unwrap();
        let (first, count) = (unit["first"].as_u64().unwrap(), unit["count"].as_u64().unwrap());
        (first..first + count).flat_map(|element| task.element(element)).collect()
    }

    async fn submit(&mut self, user: &str, unit: &Value, digest: &Digest) -> Result<Value, Refusal> {
        self.call("work.submit", json!([user, unit["unit"], digest.to_string()])).await
    }

    /// Does the next unit.
    async fn work(&mut self, face: &Face, seed: u8) -> Result<Value, Refusal> {
        let unit = self.told("work.assign").await[0].clone();
        let bytes = self.compute(face, &unit).await;
        let digest = self.upload(face, &bytes).await.unwrap();
        self.submit(&user(seed), &unit, &digest).await
    }
}

fn user(seed: u8) -> String {
    format!("miner{seed}.rig")
}

fn done(face: &Face, job: lode_protocol::ids::JobId) -> u64 {
    record(face, job).elements_done
}

/// Units of one element, so that there are as many as elements.
fn config() -> Config {
    let mut config = Config::default();
    config.range.start = config.range.least;
    config.range.most = config.range.least;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_played_miner_finishes_a_job_over_a_restart_of_the_pool() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &config()).await;
    let sponsor = reference.sponsor(place.face()).await;
    let mut early = Miner::come(&place, 1, 2).await.unwrap();
    assert!(place.face().shared.presence.has_kind("render"));
    let job = reference.submit(place.face(), &sponsor).await;
    for _ in 0..5 {
        assert_eq!(early.work(place.face(), 1).await, Ok(json!(true)));
    }
    assert_eq!(done(place.face(), job), 5);
    // Two more are leased and one of them is uploaded; whoever restarts knows nothing of them.
    let unit = early.told("work.assign").await[0].clone();
    let bytes = early.compute(place.face(), &unit).await;
    let digest = early.upload(place.face(), &bytes).await.unwrap();
    place.stop().await;

    let place = Place::open(dir.path(), &config()).await;
    let face = place.face();
    assert!(matches!(face.blobs.bytes(&digest), Err(crate::blobs::BlobError::Unknown(_))), "nobody submitted it");
    let mut late = Miner::come(&place, 1, 2).await.unwrap();
    let stale = late.submit(&user(1), &unit, &digest).await;
    assert_eq!(stale.unwrap_err().0, 21, "a unit of another life");
    let mut other = Miner::come(&place, 2, 2).await.unwrap();
    while done(face, job) < ELEMENTS {
        assert_eq!(late.work(face, 1).await, Ok(json!(true)));
        if done(face, job) < ELEMENTS {
            assert_eq!(other.work(face, 2).await, Ok(json!(true)));
        }
    }
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    // Both did their part, and nobody's was counted twice.
    let rows = face.earnings(&"miner2".parse().unwrap(), &Default::default()).unwrap();
    assert_eq!(rows.items.len(), 1);
    drop((late, other));
    until("the miners to be gone", || !face.shared.presence.has_kind("render")).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_should_be_is_refused_by_name() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &config()).await;
    let face = place.face();
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    let key = SecretKey::from_bytes(&[7; 32]);
    let digest = "0".repeat(64);

    let mut miner = Miner::connect(place.address).await;
    let early = miner.call("work.submit", json!(["a.b", "j1-0-0", digest])).await;
    assert_eq!(early.unwrap_err().0, 24, "nothing is proven");
    assert_eq!(miner.call("work.prove", json!(["00".repeat(64)])).await.unwrap_err().0, 24, "nothing is offered");
    let refused = miner.configure(&key, json!(["paint"]), 1).await;
    assert_eq!(refused["lode-work"], json!(false), "no such kind here");
    let granted = miner.configure(&key, json!(["render"]), 1).await;
    let wrong = miner.prove(&SecretKey::from_bytes(&[8; 32]), &granted).await;
    assert_eq!(wrong, Err((24, "the key is not proven".into())));
    let proof = miner.prove(&key, &granted).await.unwrap();
    miner.token = proof["token"].as_str().unwrap().to_owned();
    assert_eq!(miner.prove(&key, &granted).await.unwrap_err().0, 24, "once");
    let again = miner.configure(&key, json!(["render"]), 64).await;
    assert_eq!(again["lode-work"], json!(false), "a key is offered once");
    let nothing = miner.upload(face, b"x").await.unwrap_err();
    assert!(matches!(&nothing, PortError::Conflict(why) if why.starts_with("no unit is held")), "{nothing}");
    assert_eq!(miner.call("mining.authorize", json!([user(7), "x"])).await, Ok(json!(true)));

    let unit = miner.told("work.assign").await[0].clone();
    let bytes = miner.compute(face, &unit).await;
    let right = Digest(*blake3::hash(&bytes).as_bytes());
    let (code, text) = miner.submit(&user(7), &unit, &right).await.unwrap_err();
    assert_eq!(
        (code, text),
        (20, format!("no result {right} of {} bytes was uploaded on this connection", bytes.len()))
    );
    let larger = miner.upload(face, &vec![0; bytes.len() + 1]).await.unwrap_err();
    assert!(matches!(&larger, PortError::TooLarge(why) if why.contains(&bytes.len().to_string())), "{larger}");
    let shorter = miner.upload(face, &bytes[1..]).await.unwrap();
    assert_eq!(miner.submit(&user(7), &unit, &shorter).await.unwrap_err().0, 20);
    assert_eq!(miner.upload(face, &bytes).await, Ok(right));
    assert_eq!(miner.submit("someone.else", &unit, &right).await.unwrap_err().0, 24);
    let bad = miner.call("work.submit", json!([user(7), unit["unit"], "00"])).await;
    assert_eq!(bad.unwrap_err().0, 20, "no digest");
    assert_eq!(miner.call("work.submit", json!([user(7), "j1-0-0", right.to_string()])).await.unwrap_err().0, 21);

    // A token opens inputs and its own uploads, and nothing else.
    let scene = Digest(*blake3::hash(&reference.scene).as_bytes());
    assert!(matches!(miner.fetch(face, &scene, 0..1).await, Err(PortError::NotFound(_))), "the sponsor's");
    let other = Miner::come(&place, 9, 1).await.unwrap();
    assert!(matches!(other.fetch(face, &right, 0..1).await, Err(PortError::NotFound(_))), "another's");
    assert_eq!(miner.fetch(face, &right, 0..1).await.unwrap().len(), 1);
    assert!(face.is_miner_token(&other.token) && !face.is_miner_token("x"));

    assert_eq!(miner.submit(&user(7), &unit, &right).await, Ok(json!(true)), "it was still held");
    assert_eq!(miner.submit(&user(7), &unit, &right).await.unwrap_err().0, 21);
    let unit = miner.told("work.assign").await[0].clone();
    let release = |reason| json!([user(7), unit["unit"], reason, "a reason of mine"]);
    assert_eq!(miner.call("work.release", release("bored")).await.unwrap_err().0, 20);
    assert_eq!(miner.call("work.release", release("stopping")).await, Ok(json!(true)));
    assert_eq!(miner.call("work.release", release("stopping")).await.unwrap_err().0, 21);
    assert_eq!(done(face, job), 1);
    let rejected = &face.shared.presence.rigs(&"miner7".parse().unwrap(), 9).0["rig"].rejected;
    assert!(rejected["stale"] >= 2, "{rejected:?}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cheat_is_found_out_told_and_turned_away_and_others_finish() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let audit = desk::Options { units: 1, batch_units: 1, ..desk::Options::default() };
    let place = Place::open(dir.path(), &Config { audit, ..config() }).await;
    let face = place.face();
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    let mut cheat = Miner::come(&place, 1, 1).await.unwrap();
    let unit = cheat.told("work.assign").await[0].clone();
    let wrong: Vec<u8> = cheat.compute(face, &unit).await.iter().map(|byte| !byte).collect();
    let digest = cheat.upload(face, &wrong).await.unwrap();
    // What it is told before it is found out is that its share is in.
    assert_eq!(cheat.submit(&user(1), &unit, &digest).await, Ok(json!(true)));
    let message = cheat.told("client.show_message").await;
    assert!(message[0].as_str().unwrap().starts_with("this key returned a wrong result"), "{message}");
    assert!(!face.is_miner_token(&cheat.token));
    let Err((code, text)) = Miner::come(&place, 1, 1).await else { panic!("it is banned") };
    assert_eq!((code, text.as_str()), (24, "this key is banned"));
    let mut honest = Miner::come(&place, 2, 1).await.unwrap();
    while done(face, job) < ELEMENTS {
        assert_eq!(honest.work(face, 2).await, Ok(json!(true)));
    }
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    let cheated = face.earnings(&"miner1".parse().unwrap(), &Default::default()).unwrap();
    assert!(cheated.items.iter().all(|row| row.amount.0 == 0), "{cheated:?}");
    drop(cheat);
    place.stop().await;
}
