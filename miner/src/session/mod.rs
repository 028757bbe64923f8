//! One session with a pool, as a state machine: lines and shares in, lines and events out.
//!
//! It owns what the pool has said (difficulty, extranonce, version mask, which jobs still count) and which requests are
//! open. It has no socket and no clock; the caller passes `now`.

mod event;
mod pending;
mod ranges;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use lode_protocol::method::{
    Authorize, Configure, ConfigureReply, Notify, ServerCall, SetExtranonce, Submit, Subscribe, SubscribeReply,
    VersionRolling,
};
use lode_protocol::rpc::{self, Id, Message, Request, Response};
use lode_protocol::{Algorithm, Difficulty, Rejection};
use serde_json::{Value, json};

pub use event::{Answer, Event, Grant, PoolError, UnitAnswer, Verdict, printable};
pub use pending::{ANSWER_TIMEOUT, SUBMITS_MAX};
use pending::{Ask, Pending};
pub use ranges::Offer;
use ranges::Ranges;

use crate::work::{Job, Serial, Share};

/// What the miner calls itself.
pub const AGENT: &str = concat!("lode-miner/", env!("CARGO_PKG_VERSION"));
/// Lines without sense that are borne before the connection is dropped.
pub const MALFORMED_MAX: u32 = 5;

/// Who logs in.
#[derive(Clone)]
pub struct Login {
    /// The user name, as it is sent.
    pub user: String,
    /// The password, as it is sent.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What becomes of a share that is to be submitted.
#[derive(Debug, PartialEq, Eq)]
pub enum Submission {
    /// Send this line.
    Line(String),
    /// Its job is over.
    Stale,
}

/// A session's state.
#[derive(Debug)]
pub struct Session {
    number: u64,
    login: Login,
    algorithm: Algorithm,
    pending: Pending,
    /// The pool's id of this session, to resume it by.
    resume_by: Option<String>,
    subscribed: bool,
    authorized: bool,
    /// What the next notify will be read with.
    extranonce: SetExtranonce,
    difficulty: Difficulty,
    /// Granted version bits; submits carry theirs only then.
    version_mask: Option<u32>,
    /// A notify that came before the answer to subscribe.
    early: Option<Box<Notify>>,
    notifies: u64,
    /// Jobs before this one are over.
    oldest_live: u64,
    malformed: u32,
    /// What is offered to do besides hashing.
    ranges: Option<Ranges>,
}

impl Session {
    /// A session before its first line. `number` must grow from session to session; `resume_by` is the pool's id of an
    /// earlier one.
    #[must_use]
    pub fn new(number: u64, login: Login, algorithm: Algorithm, resume_by: Option<String>) -> Session {
        Session {
            number,
            login,
            algorithm,
            pending: Pending::default(),
            resume_by,
            subscribed: false,
            authorized: false,
            extranonce: SetExtranonce { extranonce1: Vec::new(), extranonce2_bytes: 0 },
            difficulty: Difficulty::one(algorithm),
            version_mask: None,
            early: None,
            notifies: 0,
            oldest_live: 0,
            malformed: 0,
            ranges: None,
        }
    }

    /// The same, with an offer to do range work.
    #[must_use]
    pub fn offering(mut self, offer: Option<Offer>) -> Session {
        self.ranges = offer.map(Ranges::new);
        self
    }

    /// The lines that open the session.
    pub fn open(&mut self, now: Instant) -> [String; 3] {
        let subscribe = Subscribe { agent: AGENT.to_owned(), session: self.resume_by.take() };
        let authorize = json!([self.login.user, self.login.password]);
        [
            self.ask(Ask::Configure, Configure::METHOD, &self.configure_params(), now),
            self.ask(Ask::Subscribe, Subscribe::METHOD, &subscribe.to_params(), now),
            self.ask(Ask::Authorize, Authorize::METHOD, &authorize, now),
        ]
    }

    /// A line that any living pool answers.
    pub fn ping(&mut self, now: Instant) -> String {
        self.ask(Ask::Courtesy, "mining.ping", &json!([]), now)
    }

    /// The pool's id of this session.
    #[must_use]
    pub fn resume_by(&self) -> Option<&str> {
        self.resume_by.as_deref()
    }

    /// Shares whose answer is still open.
    #[must_use]
    pub fn open_submits(&self) -> usize {
        self.pending.submits()
    }

    /// Whether a share may be submitted now, or has to wait for answers.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.has_room()
    }

    /// Turns a share into its line, unless its job is over.
    pub fn submit(&mut self, share: &Share, now: Instant) -> Submission {
        let Serial { session, notify } = share.job.serial;
        if session != self.number || notify < self.oldest_live {
            return Submission::Stale;
        }
        let submit = Submit {
            user: self.login.user.clone(),
            job: share.job.id.clone(),
            extranonce2: share.extranonce2.clone(),
            ntime: share.ntime,
            nonce: share.nonce,
            // The version is not rolled, so its own bits within the mask give it back, whatever the mask.
            version_bits: self.version_mask.map(|mask| share.job.template.version & mask),
        };
        let ask = Ask::Submit { device: share.device, difficulty: share.job.difficulty };
        Submission::Line(self.ask(ask, Submit::METHOD, &submit.to_params(), now))
    }

    /// Gives up what was asked too long ago.
    pub fn expire(&mut self, now: Instant) -> Vec<Event> {
        let expired = std::iter::from_fn(|| self.pending.take_expired(now));
        expired.filter_map(|(ask, sent)| answer(ask, sent, now, Verdict::Unanswered)).collect()
    }

    /// Gives up all that is open: the connection is over.
    pub fn abandon(&mut self, now: Instant) -> Vec<Event> {
        let all = std::iter::from_fn(|| self.pending.take_any());
        all.filter_map(|(ask, sent)| answer(ask, sent, now, Verdict::Unanswered)).collect()
    }

    /// Takes one line of the pool.
    pub fn line(&mut self, line: &[u8], now: Instant) -> Vec<Event> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Vec::new(); // some pools keep a connection open with empty lines
        }
        match Message::parse(line) {
            Ok(Message::Request(request)) => self.request(&request),
            Ok(Message::Response(response)) => self.response(response, now),
            Err(error) => self.malformed(error.to_string()),
        }
    }

    fn ask(&mut self, ask: Ask, method: &str, params: &Value, now: Instant) -> String {
        let id = self.pending.add(ask, now);
        rpc::request_line(&id, method, params)
    }

    fn malformed(&mut self, what: String) -> Vec<Event> {
        self.malformed += 1;
        let mut events = vec![Event::Malformed(what)];
        if self.malformed >= MALFORMED_MAX {
            events.push(Event::Broken);
        }
        events
    }

    fn request(&mut self, request: &Request) -> Vec<Event> {
        let call = match ServerCall::from_request(request, self.algorithm) {
            Ok(call) => call,
            Err(error) => return self.malformed(format!("{}: {error}", printable(&request.method))),
        };
        match call {
            ServerCall::SetDifficulty(set) => self.difficulty = set.0,
            ServerCall::SetExtranonce(set) => self.extranonce = set,
            ServerCall::SetVersionMask(set) => self.version_mask = self.version_mask.map(|_| set.0),
            ServerCall::Notify(notify) if self.subscribed => return vec![self.job(*notify)],
            ServerCall::Notify(notify) => self.early = Some(notify),
            ServerCall::Reconnect(reconnect) => return vec![Event::Reconnect(reconnect)],
            ServerCall::Assign(assign) => return self.assigned(assign),
            ServerCall::Revoke(revoke) => return vec![Event::Revoke(revoke)],
            ServerCall::ShowMessage(message) => return vec![Event::Message(printable(&message.0))],
            ServerCall::GetVersion => return vec![Event::Send(rpc::result_line(&request.id, &json!(AGENT)))],
            ServerCall::Ping => return vec![Event::Send(rpc::result_line(&request.id, &json!("pong")))],
            // Not asked for, so nothing that a pool may tell.
            ServerCall::Unknown(_) if request.id == Id::Null => {}
            ServerCall::Unknown(method) => {
                let rejection = Rejection::Other(format!("unknown method {}", printable(&method)));
                return vec![Event::Send(rpc::rejection_line(&request.id, &rejection))];
            }
        }
        Vec::new()
    }

    fn job(&mut self, notify: Notify) -> Event {
        self.notifies += 1;
        if notify.clean {
            self.oldest_live = self.notifies;
        }
        Event::Job(Arc::new(Job {
            serial: Serial { session: self.number, notify: self.notifies },
            id: notify.job,
            algorithm: self.algorithm,
            template: notify.template,
            extranonce1: self.extranonce.extranonce1.clone(),
            extranonce2_bytes: self.extranonce.extranonce2_bytes,
            difficulty: self.difficulty,
            clean: notify.clean,
        }))
    }

    fn response(&mut self, response: Response, now: Instant) -> Vec<Event> {
        // An answer to nothing we asked: late, or of a pool that numbers in its own way.
        let Some((ask, sent)) = self.pending.take(&response.id) else { return Vec::new() };
        match ask {
            Ask::Configure => self.configured(response.outcome, now),
            Ask::Subscribe => self.subscribed(response.outcome),
            Ask::Authorize => self.authorized(response.outcome),
            Ask::Submit { .. } | Ask::Unit(_) => {
                answer(ask, sent, now, verdict(response.outcome)).into_iter().collect()
            }
            Ask::Prove => self.proven(response.outcome),
            Ask::Courtesy => Vec::new(),
        }
    }

    fn configure_params(&self) -> Value {
        let configure = Configure {
            version_rolling: Some(VersionRolling { mask: u32::MAX, min_bit_count: 0 }),
            subscribe_extranonce: true,
            info: true,
            lode_work: self.ranges.as_ref().map(Ranges::wish),
            ..Configure::default()
        };
        let mut params = configure.to_params(self.algorithm);
        params[1]["info.sw-version"] = json!(AGENT);
        params
    }

    /// A pool that does not know `mining.configure` answers with an error, which is no harm.
    fn configured(&mut self, outcome: Result<Value, Value>, now: Instant) -> Vec<Event> {
        let granted = outcome.unwrap_or_default();
        match ConfigureReply::granted_mask(&granted) {
            Ok(mask) => self.version_mask = mask,
            Err(error) => return self.malformed(format!("answer to {}: {error}", Configure::METHOD)),
        }
        let mut events = self.prove(&granted, now);
        if granted.get("subscribe-extranonce") != Some(&Value::Bool(true)) {
            // The older way to say the same.
            events.push(Event::Send(self.ask(Ask::Courtesy, "mining.extranonce.subscribe", &json!([]), now)));
        }
        events
    }

    fn subscribed(&mut self, outcome: Result<Value, Value>) -> Vec<Event> {
        let result = match outcome {
            Ok(result) => result,
            Err(error) => return vec![Event::Refused(PoolError::from_json(&error))],
        };
        match SubscribeReply::from_json(&result) {
            Err(error) => {
                let text = format!("answer to {}: {error}", Subscribe::METHOD);
                vec![Event::Refused(PoolError { code: None, text })]
            }
            Ok((resume_by, extranonce1, extranonce2_bytes)) => {
                self.resume_by = resume_by;
                self.extranonce = SetExtranonce { extranonce1, extranonce2_bytes };
                self.subscribed = true;
                self.ready()
            }
        }
    }

    fn authorized(&mut self, outcome: Result<Value, Value>) -> Vec<Event> {
        match verdict(outcome) {
            Verdict::Rejected(error) => vec![Event::Refused(error)],
            _ => {
                self.authorized = true;
                self.ready()
            }
        }
    }

    /// Both answers may come first, and a notify before either.
    fn ready(&mut self) -> Vec<Event> {
        let early = self.early.take_if(|_| self.subscribed).map(|notify| self.job(*notify));
        let ready = (self.subscribed && self.authorized).then_some(Event::Ready);
        ready.into_iter().chain(early).collect()
    }
}

fn verdict(outcome: Result<Value, Value>) -> Verdict {
    match outcome {
        // A few pools answer with null or a status text; what is no refusal is taken as consent.
        Ok(Value::Bool(false)) => Verdict::Rejected(PoolError { code: None, text: "refused without a reason".into() }),
        Ok(_) => Verdict::Accepted,
        Err(error) => Verdict::Rejected(PoolError::from_json(&error)),
    }
}

fn answer(ask: Ask, sent: Instant, now: Instant, verdict: Verdict) -> Option<Event> {
    let latency = now.saturating_duration_since(sent);
    match ask {
        Ask::Submit { device, difficulty } => Some(Event::Answer(Answer { device, difficulty, latency, verdict })),
        Ask::Unit(unit) => Some(Event::UnitAnswer(UnitAnswer { unit, latency, verdict })),
        Ask::Configure | Ask::Subscribe | Ask::Authorize | Ask::Courtesy | Ask::Prove => None,
    }
}
