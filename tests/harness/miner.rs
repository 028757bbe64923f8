//! A scripted miner: says what a test wants, exactly, and hears everything.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};

use lode_protocol::header::{HeaderHash, Roll};
use lode_protocol::method::{Assign, Notify, Revoke, ServerCall, Submit};
use lode_protocol::rpc::{Id, Message, Response};
use lode_protocol::{Algorithm, Difficulty, Target, hex};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A miner on a socket.
#[derive(Debug)]
pub struct Miner {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    next_id: u64,
    responses: VecDeque<Response>,
    /// The user name it logs in with.
    pub user: String,
    /// The pool's part of the extranonce.
    pub extranonce1: Vec<u8>,
    /// Bytes of its own part.
    pub extranonce2_bytes: usize,
    /// What it can resume its session by.
    pub session: String,
    /// Difficulty told last.
    pub difficulty: Option<Difficulty>,
    /// Job told last, and the difficulty that was told before it.
    pub job: Option<(Notify, Difficulty)>,
    /// Version bits that it may roll, once told.
    pub version_mask: Option<u32>,
    /// Messages for its owner.
    pub messages: Vec<String>,
    /// Units of range work that it was given and has not looked at.
    pub units: VecDeque<Assign>,
    /// Units that were taken back.
    pub revoked: Vec<Revoke>,
    /// What it hashes with.
    pub algorithm: Algorithm,
    nonce: u32,
}

impl Miner {
    /// Connects and says nothing.
    ///
    /// # Panics
    /// It cannot connect.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Miner {
        let writer = TcpStream::connect(address).expect("the pool accepts connections");
        writer.set_nodelay(true).expect("a socket option");
        writer.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let reader = BufReader::new(writer.try_clone().expect("a socket can be cloned"));
        Miner {
            reader,
            writer,
            next_id: 1,
            responses: VecDeque::new(),
            user: String::new(),
            extranonce1: Vec::new(),
            extranonce2_bytes: 0,
            session: String::new(),
            difficulty: None,
            job: None,
            version_mask: None,
            messages: Vec::new(),
            units: VecDeque::new(),
            revoked: Vec::new(),
            algorithm: Algorithm::Sha256d,
            nonce: 0,
        }
    }

    /// Connects, subscribes and logs in.
    ///
    /// # Panics
    /// The pool refuses.
    #[must_use]
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Miner {
        Miner::connect(address).logged_in(user, password)
    }

    /// The same on a scrypt listener.
    ///
    /// # Panics
    /// The pool refuses.
    #[must_use]
    pub fn login_scrypt(address: SocketAddr, user: &str, password: &str) -> Miner {
        let mut miner = Miner::connect(address);
        miner.algorithm = Algorithm::Scrypt;
        miner.logged_in(user, password)
    }

    fn logged_in(self, user: &str, password: &str) -> Miner {
        let mut miner = self;
        miner.subscribe(None);
        let answer = miner.call("mining.authorize", &json!([user, password]));
        assert_eq!(answer, Ok(json!(true)));
        miner.user = user.to_owned();
        miner
    }

    /// Subscribes, perhaps to a session of before.
    ///
    /// # Panics
    /// The pool refuses.
    pub fn subscribe(&mut self, session: Option<&str>) {
        let params = session.map_or(json!(["scripted/1"]), |session| json!(["scripted/1", session]));
        let result = self.call("mining.subscribe", &params).expect("a subscription");
        self.session = result[0][1][1].as_str().expect("a session id").to_owned();
        self.extranonce1 = hex::decode(result[1].as_str().expect("extranonce1"), 64).expect("hex");
        self.extranonce2_bytes = usize::try_from(result[2].as_u64().expect("a size")).expect("a small size");
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The pool has closed the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Sends a request under an id of its own and gives the id.
    ///
    /// # Panics
    /// The pool has closed the connection.
    pub fn send(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({"id": id, "method": method, "params": params}).to_string();
        self.send_raw(format!("{line}\n").as_bytes()).expect("the pool is there");
        id
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// The pool's refusal.
    ///
    /// # Panics
    /// There is no answer.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        let response = self.response().expect("an answer");
        assert_eq!(response.id, Id::from(id), "answers come in the order of the requests");
        response.outcome
    }

    /// Calls a method; `None` when the pool closes the connection before it answers.
    ///
    /// # Panics
    /// The answer is to something else.
    pub fn try_call(&mut self, method: &str, params: &Value) -> Option<Result<Value, Value>> {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({"id": id, "method": method, "params": params}).to_string();
        self.send_raw(format!("{line}\n").as_bytes()).ok()?;
        let response = self.response()?;
        assert_eq!(response.id, Id::from(id), "answers come in the order of the requests");
        Some(response.outcome)
    }

    /// Another handle of its socket.
    ///
    /// # Panics
    /// The system has no more descriptors.
    #[must_use]
    pub fn socket(&self) -> TcpStream {
        self.writer.try_clone().expect("a socket can be cloned")
    }

    /// Sends one raw line and gives the answer to it.
    ///
    /// # Panics
    /// There is no answer.
    pub fn ask_raw(&mut self, line: &[u8]) -> Response {
        self.send_raw(&[line, b"\n"].concat()).expect("the pool is there");
        self.response().expect("an answer")
    }

    /// The next answer; `None` when the pool has closed the connection.
    pub fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = self.responses.pop_front() {
                return Some(response);
            }
            self.hear()?;
        }
    }

    /// Hears one line; `None` when the pool has closed the connection.
    ///
    /// # Panics
    /// Nothing comes, or what comes is malformed.
    pub fn hear(&mut self) -> Option<()> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) if !line.ends_with('\n') => return None,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return None,
            Err(error) => panic!("nothing was heard from the pool: {error}"),
        }
        match Message::parse(line.trim_end().as_bytes()).expect("the pool speaks JSON-RPC") {
            Message::Response(response) => self.responses.push_back(response),
            Message::Request(request) => {
                match ServerCall::from_request(&request, self.algorithm).expect("well-formed parameters") {
                    ServerCall::SetDifficulty(told) => self.difficulty = Some(told.0),
                    ServerCall::Notify(notify) => {
                        let difficulty = self.difficulty.expect("a difficulty comes before the first job");
                        self.job = Some((*notify, difficulty));
                    }
                    ServerCall::SetVersionMask(told) => self.version_mask = Some(told.0),
                    ServerCall::ShowMessage(message) => self.messages.push(message.0),
                    ServerCall::Assign(unit) => self.units.push_back(*unit),
                    ServerCall::Revoke(told) => {
                        self.units.retain(|unit| unit.unit != told.unit);
                        self.revoked.push(told);
                    }
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// Waits for something that the pool tells.
    ///
    /// # Panics
    /// The pool closes the connection first.
    pub fn hear_until(&mut self, mut told: impl FnMut(&Miner) -> bool) {
        while !told(self) {
            self.hear().expect("the pool keeps the connection");
        }
    }

    /// Waits for a job.
    pub fn hear_job(&mut self) {
        self.hear_until(|miner| miner.job.is_some());
    }

    /// Waits until the connection is closed.
    pub fn hear_close(&mut self) {
        while self.hear().is_some() {}
    }

    /// The parameters of a share of the present job with this nonce, not looked at.
    ///
    /// # Panics
    /// There is no job.
    #[must_use]
    pub fn share(&self, nonce: u32) -> Submit {
        let (notify, _) = self.job.as_ref().expect("a job");
        Submit {
            user: self.user.clone(),
            job: notify.job.clone(),
            extranonce2: vec![0; self.extranonce2_bytes],
            ntime: notify.template.ntime,
            nonce,
            version_bits: None,
        }
    }

    /// Hash of the header that a share stands for.
    ///
    /// # Panics
    /// There is no job.
    #[must_use]
    pub fn hash(&self, share: &Submit) -> HeaderHash {
        let template = &self.job.as_ref().expect("a job").0.template;
        let header = template.header(&Roll {
            extranonce1: &self.extranonce1,
            extranonce2: &share.extranonce2,
            ntime: share.ntime,
            nonce: share.nonce,
            version: template.version,
        });
        match self.algorithm {
            Algorithm::Sha256d => HeaderHash::sha256d(&header),
            Algorithm::Scrypt => HeaderHash::from_be_bytes(lode_kinds::hash::Algorithm::Scrypt.hash(&header)),
        }
    }

    /// Searches the present job for its next share.
    ///
    /// # Panics
    /// There is no job.
    pub fn mine(&mut self) -> Submit {
        let target = Target::from_difficulty(self.job.as_ref().expect("a job").1);
        self.search(|hash| target.is_met_by(&hash))
    }

    /// Searches the present job for its next nonce whose hash is as wanted.
    ///
    /// # Panics
    /// There is no job, or no such nonce.
    pub fn search(&mut self, wanted: impl Fn(HeaderHash) -> bool) -> Submit {
        loop {
            let share = self.share(self.nonce);
            self.nonce = self.nonce.checked_add(1).expect("a nonce below 2^32");
            if wanted(self.hash(&share)) {
                return share;
            }
        }
    }

    /// Submits a share and waits for the answer.
    ///
    /// # Errors
    /// The pool's refusal.
    pub fn submit(&mut self, share: &Submit) -> Result<Value, Value> {
        self.call(Submit::METHOD, &share.to_params())
    }

    /// Submits a share and gives the code of its refusal, or none where it is accepted.
    ///
    /// # Panics
    /// A refusal that is not `[code, text, null]`.
    pub fn verdict(&mut self, share: &Submit) -> Option<u64> {
        self.submit(share).err().map(|error| code(&error))
    }
}

/// The code of a refusal.
///
/// # Panics
/// It is not `[code, text, null]`.
#[must_use]
pub fn code(error: &Value) -> u64 {
    let parts = error.as_array().expect("an array");
    assert!(parts.len() == 3 && parts[1].is_string() && parts[2].is_null(), "{error}");
    parts[0].as_u64().expect("a code")
}
