//! A played miner of range work: it speaks `lode-work`, computes on the CPU, and does with a result whatever a test wants.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_protocol::key::{SecretKey, statement};
use lode_protocol::method::{
    Assign, Configure, ConfigureReply, HttpAt, LodeWork, Prove, Release, ReleaseReason, UnitSubmit,
};
use lode_protocol::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::miner::{Miner, code};
use crate::pool::Pool;
use crate::sponsor::Api;

/// The digest of these bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// A key that a test names by a number.
#[must_use]
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

/// What a miner does with a unit.
#[derive(Debug)]
pub enum Deed {
    /// Uploads these bytes as its result and submits them.
    Submit(Vec<u8>),
    /// Submits this digest and uploads nothing.
    Claim(Digest),
    /// Gives it back.
    Release(ReleaseReason),
    /// Keeps it and says nothing.
    Keep,
}

/// What became of a miner's units.
#[derive(Debug, Default)]
pub struct Log {
    /// Units that were accepted.
    pub accepted: Vec<Assign>,
    /// Units that were refused, with the code.
    pub refused: Vec<(Assign, u64)>,
    /// Units that it gave back.
    pub released: Vec<Assign>,
}

/// A miner of range work on a socket, with its key proven.
#[derive(Debug)]
pub struct RangeMiner {
    /// Its stratum connection.
    pub wire: Miner,
    /// Its HTTP side, with the session's token.
    pub http: Api,
    blobs: HashMap<Digest, Vec<u8>>,
    tasks: HashMap<(u64, u64), Arc<Task>>,
}

impl RangeMiner {
    /// Connects, proves its key and logs in, to hold `slots` units at once.
    ///
    /// # Errors
    /// The code with which the pool refuses the key.
    ///
    /// # Panics
    /// The pool does not have the extension or refuses the login.
    pub fn login(pool: &Pool, user: &str, key: &SecretKey, slots: u32) -> Result<RangeMiner, u64> {
        let mut miner = RangeMiner::prove(pool, key, slots)?;
        miner.wire.subscribe(None);
        assert_eq!(miner.wire.call("mining.authorize", &json!([user, "x"])), Ok(json!(true)));
        miner.wire.user = user.to_owned();
        Ok(miner)
    }

    /// Connects and proves its key, and gets no units since it does not log in.
    ///
    /// # Errors
    /// The code with which the pool refuses the key.
    ///
    /// # Panics
    /// The pool does not have the extension.
    pub fn prove(pool: &Pool, key: &SecretKey, slots: u32) -> Result<RangeMiner, u64> {
        let mut wire = Miner::connect(pool.stratum);
        let offer = LodeWork { key: key.public(), kinds: vec!["render".into()], slots };
        let offer = Configure { lode_work: Some(offer), ..Configure::default() };
        let granted = wire.call(Configure::METHOD, &offer.to_params(Algorithm::Sha256d)).expect("a configuration");
        let granted = ConfigureReply::granted_lode_work(&granted).expect("well-formed values");
        let granted = granted.expect("a pool that has the extension");
        let signature = key.sign(&statement(&granted.pool, &granted.nonce));
        let proven = wire.call(Prove::METHOD, &Prove { signature }.to_params()).map_err(|error| code(&error))?;
        let token = proven["token"].as_str().expect("a token").to_owned();
        let http = match granted.http {
            HttpAt::Port(port) => Api::anyone_at(&format!("127.0.0.1:{port}")),
            HttpAt::Url(url) => Api::anyone_at(url.trim_start_matches("http://")),
        };
        Ok(RangeMiner { wire, http: http.with_key(&token), blobs: HashMap::new(), tasks: HashMap::new() })
    }

    /// A handle that ends the connection from another thread.
    ///
    /// # Panics
    /// The system has no more descriptors.
    #[must_use]
    pub fn cord(&self) -> Cord {
        Cord(self.wire.socket())
    }

    /// The next unit that it is given; `None` when the connection has ended.
    pub fn unit(&mut self) -> Option<Assign> {
        loop {
            if let Some(unit) = self.wire.units.pop_front() {
                return Some(unit);
            }
            self.wire.hear()?;
        }
    }

    /// What computes a unit's elements; its inputs are fetched once.
    ///
    /// # Panics
    /// They cannot be had, are not what they are named by, or are no task.
    pub fn task(&mut self, unit: &Assign) -> Arc<Task> {
        if let Some(task) = self.tasks.get(&(unit.job.0, unit.section)) {
            return Arc::clone(task);
        }
        let inputs = unit.inputs.iter().map(|input| {
            let blob = self.blobs.entry(input.digest).or_insert_with(|| {
                let got = self.http.download(&format!("/blobs/{}", input.digest), &[]);
                assert_eq!((got.status, digest_of(&got.bytes)), (200, input.digest), "an input is had by its digest");
                got.bytes
            });
            assert_eq!(blob.len() as u64, input.bytes);
            blob.clone()
        });
        let kind: Kind = unit.kind.parse().expect("a kind that was offered");
        let task = Task::parse(kind, &unit.spec, inputs.collect()).expect("the pool sends sound tasks");
        let task = Arc::new(task);
        self.tasks.insert((unit.job.0, unit.section), Arc::clone(&task));
        task
    }

    /// The right bytes of a unit.
    pub fn compute(&mut self, unit: &Assign) -> Vec<u8> {
        let task = self.task(unit);
        let elements = unit.first..unit.first + u64::from(unit.count);
        elements.flat_map(|element| task.element(element)).collect()
    }

    /// Uploads a result; gives the HTTP status.
    pub fn upload(&self, bytes: &[u8]) -> u16 {
        self.http.upload("PUT", &format!("/blobs/{}", digest_of(bytes)), &[], bytes).status
    }

    /// Submits a unit by a digest; `None` when the connection has ended.
    ///
    /// # Panics
    /// An answer other than `true` or a refusal.
    pub fn submit(&mut self, unit: &Assign, digest: Digest) -> Option<Result<(), u64>> {
        let submit = UnitSubmit { user: self.wire.user.clone(), unit: unit.unit.clone(), digest };
        self.ask(UnitSubmit::METHOD, &submit.to_params())
    }

    /// Gives a unit back; `None` when the connection has ended.
    pub fn release(&mut self, unit: &Assign, reason: ReleaseReason) -> Option<Result<(), u64>> {
        let user = self.wire.user.clone();
        let release = Release { user, unit: unit.unit.clone(), reason, text: "as a test wants it".into() };
        self.ask(Release::METHOD, &release.to_params())
    }

    /// Calls a method whose answer is `true`; `None` when the connection has ended.
    ///
    /// # Panics
    /// Another answer.
    pub fn ask(&mut self, method: &str, params: &Value) -> Option<Result<(), u64>> {
        let answer = self.wire.try_call(method, params)?;
        Some(match answer {
            Ok(result) => {
                assert_eq!(result, json!(true));
                Ok(())
            }
            Err(error) => Err(code(&error)),
        })
    }

    /// Works until the connection ends: computes each unit and does with it what `act` says, which gets the unit, its
    /// task and its right bytes.
    ///
    /// # Panics
    /// An upload is refused although its unit is still its.
    pub fn work(mut self, mut act: impl FnMut(&Assign, &Task, Vec<u8>) -> Deed) -> Log {
        let mut log = Log::default();
        while let Some(unit) = self.unit() {
            let (task, bytes) = (self.task(&unit), self.compute(&unit));
            let answer = match act(&unit, &task, bytes) {
                Deed::Submit(bytes) => {
                    let status = self.upload(&bytes);
                    let taken = (200..300).contains(&status);
                    assert!(taken || [401, 403, 409].contains(&status), "an upload was answered {status}");
                    self.submit(&unit, digest_of(&bytes))
                }
                Deed::Claim(digest) => self.submit(&unit, digest),
                Deed::Release(reason) => {
                    log.released.push(unit.clone());
                    if self.release(&unit, reason).is_none() {
                        break;
                    }
                    continue;
                }
                Deed::Keep => continue,
            };
            match answer {
                None => break,
                Some(Ok(())) => log.accepted.push(unit),
                Some(Err(code)) => log.refused.push((unit, code)),
            }
        }
        log
    }

    /// Works honestly until the connection ends.
    pub fn work_honestly(self) -> Log {
        self.work(|_, _, bytes| Deed::Submit(bytes))
    }
}

/// Ends a connection from outside; also when dropped, so that a test that fails ends.
#[derive(Debug)]
pub struct Cord(TcpStream);

impl Drop for Cord {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.shutdown(Shutdown::Both).ok();
    }
}
