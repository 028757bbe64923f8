//! One client's session as a pure state machine: lines, work and time go in, actions come out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lode_protocol::header::HEADER_BYTES;
use lode_protocol::ids::{JobId, UserName};
use lode_protocol::method::{
    Authorize, ClientCall, Configure, ConfigureReply, NonceForm, PasswordOptions, Reconnect, SetDifficulty,
    SetVersionMask, ShowMessage, Submit, Subscribe, SubscribeReply,
};
use lode_protocol::rpc::{Id, Message, Request, notification_line, rejection_line, result_line};
use lode_protocol::{Algorithm, Difficulty, Rejection};
use serde_json::{Value, json};

pub use super::action::Action;
use super::bans::Offence;
use super::ranges::Ranges;
use super::tags::Tags;
use crate::jobs::search::Search;
use crate::ledger::entry::Millis;
use crate::share::{Assignment, Claim, Verdict, is_dear};
use crate::vardiff::{self, Vardiff};

/// Most workers that may log in on one connection.
pub const USERS_MAX: usize = 256;
/// Most jobs of a connection that a share may still be for.
pub const ISSUED_MAX: usize = 32;
/// Most times that a client may ask for another difficulty.
pub const WISHES_MAX: u32 = 64;
/// Most jobs of a connection whose first issue is remembered as such.
const FIRST_ISSUES_MAX: usize = 1024;
/// Most headers that are remembered so that none is hashed twice; twice what may wait for its answer.
const RECENT_MAX: usize = 256;
/// How often a client without work is told its difficulty, to keep the line alive.
pub const KEEPALIVE_MS: u64 = 60_000;

/// How sessions behave; the same for all of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What is hashed with.
    pub algorithm: Algorithm,
    /// Bytes of the miner's part of the extranonce.
    pub extranonce2_bytes: usize,
    /// Version bits that clients may roll.
    pub version_mask: u32,
    /// Where difficulties start and how they move.
    pub vardiff: vardiff::Options,
}

/// Work as it was issued under one id.
#[derive(Debug)]
struct Issued {
    wire: String,
    search: Arc<Search>,
    difficulty: Difficulty,
    version: u32,
    version_mask: u32,
}

/// A search space as a session gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The bytes of extranonce1.
    pub extranonce1: Vec<u8>,
    /// What the session resumes by.
    pub session: String,
    /// Whether a session before this one may have searched in it.
    pub used_before: bool,
}

/// The session.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    extranonce1: Option<Vec<u8>>,
    users: Vec<UserName>,
    version_mask: u32,
    version_bits_wanted: u32,
    tags: Tags,
    first_issues: BTreeMap<JobId, Difficulty>,
    wishes: u32,
    nonce_form: NonceForm,
    vardiff: Vardiff,
    work: Option<Arc<Search>>,
    /// Oldest first.
    issued: VecDeque<Issued>,
    issue: u32,
    /// Digests of the headers last judged elsewhere, oldest first.
    recent: VecDeque<[u8; 16]>,
    told_difficulty: Option<Difficulty>,
    told_at: Millis,
    told_no_work: bool,
    /// Where there is range work to be had.
    ranges: Option<Ranges>,
}

impl Session {
    /// A client that has just connected. `chance` is any number that the client cannot know.
    #[must_use]
    pub fn new(settings: Settings, chance: u8, now: Millis) -> Session {
        Session {
            settings,
            extranonce1: None,
            users: Vec::new(),
            version_mask: 0,
            version_bits_wanted: 0,
            tags: Tags::new(settings.version_mask, chance),
            first_issues: BTreeMap::new(),
            wishes: 0,
            nonce_form: NonceForm::Padded,
            vardiff: Vardiff::new(settings.vardiff, None, now),
            work: None,
            issued: VecDeque::new(),
            issue: 0,
            recent: VecDeque::new(),
            told_difficulty: None,
            told_at: now,
            told_no_work: false,
            ranges: None,
        }
    }

    /// Has range work to offer too.
    #[must_use]
    pub fn with_ranges(mut self, ranges: Ranges) -> Session {
        self.ranges = Some(ranges);
        self
    }

    /// Its range work.
    pub fn ranges(&mut self) -> Option<&mut Ranges> {
        self.ranges.as_mut()
    }

    /// The key has its token: units may come once a worker has logged in.
    pub fn admitted(&mut self) -> Option<Action> {
        let authorized = self.is_authorized();
        let ranges = self.ranges.as_mut()?;
        ranges.admitted();
        if authorized { ranges.start() } else { None }
    }

    /// Whether a worker has logged in.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        !self.users.is_empty()
    }

    /// The workers that have logged in.
    pub fn users(&self) -> impl Iterator<Item = &UserName> {
        self.users.iter()
    }

    /// The difficulty that vardiff wants.
    #[must_use]
    pub fn difficulty(&self) -> Difficulty {
        self.vardiff.difficulty()
    }

    /// A line came.
    pub fn line(&mut self, line: &[u8], now: Millis) -> Vec<Action> {
        match Message::parse(line) {
            Ok(Message::Request(request)) => self.request(&request, now),
            // An answer to something that we asked; nothing depends on it.
            Ok(Message::Response(_)) => Vec::new(),
            Err(error) => {
                let rejection = Rejection::Other(error.what.into());
                vec![Action::Reply(rejection_line(&error.id, &rejection)), Action::Offence(Offence::Malformed)]
            }
        }
    }

    fn request(&mut self, request: &Request, now: Millis) -> Vec<Action> {
        let id = &request.id;
        let call = match ClientCall::from_request(request, self.settings.algorithm, self.nonce_form) {
            Ok(call) => call,
            Err(error) => return self.bad_parameters(request, &error.to_string()),
        };
        let ok = |result: Value| vec![Action::Reply(result_line(id, &result))];
        match call {
            ClientCall::Configure(configure) => self.configure(id, &configure, now),
            ClientCall::Subscribe(subscribe) => self.subscribe(id, subscribe),
            ClientCall::Authorize(authorize) => self.authorize(id, &authorize, now),
            ClientCall::Submit(submit) => self.submit(id, &submit),
            ClientCall::SuggestDifficulty(suggested) => {
                let granted = self.may_wish();
                if granted {
                    self.vardiff.suggest(suggested.0, now);
                }
                let mut actions = ok(json!(granted));
                actions.extend(self.issue_if_changed(now));
                actions
            }
            ClientCall::ExtranonceSubscribe => ok(json!(true)),
            ClientCall::Ping => ok(json!("pong")),
            ClientCall::GetTransactions => ok(json!([])),
            ClientCall::Prove(_) | ClientCall::UnitSubmit(_) | ClientCall::Release(_) => self.range_call(id, call),
            ClientCall::Unknown(method) => {
                vec![Action::Reply(rejection_line(id, &Rejection::Other(format!("unknown method {method:?}"))))]
            }
        }
    }

    fn range_call(&mut self, id: &Id, call: ClientCall) -> Vec<Action> {
        let user = match &call {
            ClientCall::UnitSubmit(submit) => self.user(&submit.user),
            _ => None,
        };
        match (&mut self.ranges, call) {
            (Some(ranges), ClientCall::Prove(prove)) => ranges.prove(id, &prove),
            (Some(ranges), ClientCall::UnitSubmit(submit)) => ranges.submit(id, &submit, user.as_ref()),
            (Some(ranges), ClientCall::Release(release)) => ranges.release(id, release),
            _ => vec![Action::Reply(rejection_line(id, &Rejection::Unproven))],
        }
    }

    fn bad_parameters(&self, request: &Request, what: &str) -> Vec<Action> {
        // Whoever may not submit at all is told that first.
        let premature = (request.method == Submit::METHOD).then(|| self.may_submit().err()).flatten();
        let offence = premature.is_none().then_some(Action::Offence(Offence::BadParameters));
        let rejection = premature.unwrap_or_else(|| Rejection::Other(what.to_owned()));
        std::iter::once(Action::Reply(rejection_line(&request.id, &rejection))).chain(offence).collect()
    }

    fn configure(&mut self, id: &Id, configure: &Configure, now: Millis) -> Vec<Action> {
        let mut reply = ConfigureReply { unknown: configure.unknown.clone(), ..ConfigureReply::default() };
        if let Some(wanted) = configure.version_rolling {
            let mask = wanted.mask & self.settings.version_mask;
            let granted = mask != 0 && mask.count_ones() >= wanted.min_bit_count;
            self.version_mask = if granted { mask } else { 0 };
            self.version_bits_wanted = wanted.min_bit_count;
            reply.version_rolling = Some(granted.then_some(mask));
        }
        if let Some(floor) = configure.minimum_difficulty {
            let granted = self.may_wish();
            if granted {
                self.vardiff.set_floor(floor, now);
            }
            reply.minimum_difficulty = Some(granted);
        }
        reply.subscribe_extranonce = configure.subscribe_extranonce.then_some(true);
        reply.info = configure.info.then_some(true);
        let ranges = &mut self.ranges;
        let granted = |asked| ranges.as_mut().and_then(|ranges| ranges.configure(asked));
        reply.lode_work = configure.lode_work.as_ref().map(granted);
        let mut actions = vec![Action::Reply(result_line(id, &reply.to_json()))];
        actions.extend(self.issue_if_changed(now));
        actions
    }

    fn subscribe(&mut self, id: &Id, subscribe: Subscribe) -> Vec<Action> {
        if self.extranonce1.is_some() {
            let rejection = Rejection::Other("already subscribed".into());
            return vec![Action::Reply(rejection_line(id, &rejection))];
        }
        if subscribe.agent.get(..9).is_some_and(|agent| agent.eq_ignore_ascii_case("nerdminer")) {
            self.nonce_form = NonceForm::Unpadded;
        }
        // A space that was searched before can be told from itself by tags only.
        let session = subscribe.session.filter(|_| self.can_tag());
        vec![Action::Subscribe { id: id.clone(), session }]
    }

    /// Counts a wish for another difficulty; false once there were too many.
    fn may_wish(&mut self) -> bool {
        self.wishes += 1;
        self.wishes <= WISHES_MAX
    }

    /// The client got a search space, or none was free.
    pub fn subscribed(&mut self, id: &Id, space: Option<Space>, now: Millis) -> Vec<Action> {
        let Some(Space { extranonce1, session, used_before }) = space else {
            let rejection = Rejection::Other("no search space is free, try again later".into());
            return vec![Action::Reply(rejection_line(id, &rejection))];
        };
        let extranonce2_bytes = self.settings.extranonce2_bytes;
        let reply = SubscribeReply { session, extranonce1: extranonce1.clone(), extranonce2_bytes };
        self.extranonce1 = Some(extranonce1);
        if used_before {
            self.tags.always = true;
        }
        let mut actions = vec![Action::Reply(result_line(id, &reply.to_json()))];
        actions.extend(self.issue(true, now));
        actions
    }

    fn authorize(&mut self, id: &Id, authorize: &Authorize, now: Millis) -> Vec<Action> {
        let refuse = |text: String| vec![Action::Reply(rejection_line(id, &Rejection::Other(text)))];
        let options = match PasswordOptions::parse(&authorize.password, self.settings.algorithm) {
            Ok(options) => options,
            Err(error) => return refuse(format!("password option d: {error}")),
        };
        if let Some(floor) = options.difficulty_floor
            && self.may_wish()
        {
            self.vardiff.set_floor(floor, now);
        }
        let mut actions = vec![Action::Reply(result_line(id, &json!(true)))];
        if !self.users().any(|user| *user == authorize.user) {
            if self.users.len() >= USERS_MAX {
                return refuse(format!("{USERS_MAX} workers are logged in on this connection already"));
            }
            self.users.push(authorize.user.clone());
            actions.push(Action::LoggedIn(authorize.user.clone()));
        }
        let first = self.issued.is_empty();
        actions.extend(if first { self.issue(true, now) } else { self.issue_if_changed(now) });
        actions.extend(self.ranges.as_mut().and_then(Ranges::start));
        actions
    }

    fn may_submit(&self) -> Result<(), Rejection> {
        if self.extranonce1.is_none() {
            return Err(Rejection::NotSubscribed);
        }
        if self.users.is_empty() { Err(Rejection::Unauthorized) } else { Ok(()) }
    }

    /// A worker that has logged in, by its name.
    fn user(&self, name: &str) -> Option<UserName> {
        let named = name.parse::<UserName>().ok()?;
        self.users().find(|known| **known == named).cloned()
    }

    fn submit(&mut self, id: &Id, submit: &Submit) -> Vec<Action> {
        let refuse = |rejection: &Rejection| Action::Reply(rejection_line(id, rejection));
        if let Err(rejection) = self.may_submit() {
            return vec![refuse(&rejection)];
        }
        let Some(user) = self.user(&submit.user) else {
            return vec![refuse(&Rejection::Unauthorized)];
        };
        match self.claim(&user, submit) {
            Ok(claim) if is_dear(self.settings.algorithm) => self.judge_elsewhere(id, claim),
            Ok(claim) => match claim.judge() {
                Verdict::Accepted(credit) => vec![Action::Enter { id: id.clone(), credit: Box::new(credit) }],
                Verdict::Rejected(rejection) => refused(id, user, rejection),
            },
            Err(rejection) => refused(id, user, rejection),
        }
    }

    /// A header that was submitted before is refused here, so that it costs no second hash.
    fn judge_elsewhere(&mut self, id: &Id, claim: Claim) -> Vec<Action> {
        let digest = digest(claim.header());
        if self.recent.contains(&digest) {
            return refused(id, claim.user().clone(), Rejection::Duplicate);
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(digest);
        vec![Action::Judge { id: id.clone(), claim: Box::new(claim) }]
    }

    /// A share that was judged elsewhere is not in the ledger, and may be submitted again.
    pub fn forget(&mut self, header: &[u8; HEADER_BYTES]) {
        let digest = digest(header);
        self.recent.retain(|known| *known != digest);
    }

    fn claim(&self, user: &UserName, submit: &Submit) -> Result<Claim, Rejection> {
        // Late shares are no fault of the miner's, whatever else they are.
        let fresh = |issued: &&Issued| issued.wire == submit.job && !issued.search.is_over();
        let Some(issued) = self.issued.iter().rev().find(fresh) else {
            return Err(Rejection::Stale);
        };
        let assignment = Assignment {
            job: issued.search.job,
            spec: &issued.search.spec,
            difficulty: issued.difficulty,
            extranonce1: self.extranonce1.as_deref().unwrap_or_default(),
            extranonce2_bytes: self.settings.extranonce2_bytes,
            version: issued.version,
            version_mask: issued.version_mask,
        };
        Claim::new(&assignment, user, submit)
    }

    /// A share of this difficulty is in the ledger.
    pub fn credited(&mut self, difficulty: Difficulty, now: Millis) -> Vec<Action> {
        let changed = self.vardiff.share(difficulty, now);
        self.changed(changed, now)
    }

    /// Some time passed.
    pub fn tick(&mut self, now: Millis) -> Vec<Action> {
        if !self.is_authorized() {
            return Vec::new();
        }
        let more = self.ranges.as_mut().and_then(|ranges| ranges.tick(now));
        if self.ranges.as_ref().is_some_and(Ranges::is_busy) {
            // Whoever works on units may have nothing to say of its hashes.
            self.vardiff.excuse(now);
        }
        let mut actions = self.tick_search(now);
        actions.extend(more);
        actions
    }

    fn tick_search(&mut self, now: Millis) -> Vec<Action> {
        if self.work.is_some() {
            let changed = self.vardiff.tick(now);
            return self.changed(changed, now);
        }
        if now.saturating_sub(self.told_at) < KEEPALIVE_MS {
            return Vec::new();
        }
        vec![self.tell_difficulty(self.vardiff.difficulty(), now)]
    }

    fn changed(&mut self, changed: Option<Difficulty>, now: Millis) -> Vec<Action> {
        match changed {
            None => Vec::new(),
            Some(difficulty) => {
                let mut actions = vec![Action::Difficulty(difficulty)];
                actions.extend(self.issue_if_changed(now));
                if self.tags.mask != 0 && !self.tags.are_left() {
                    // A new connection has a new search space, with tags of its own.
                    actions.extend(self.farewell().map(Action::Notify));
                }
                actions
            }
        }
    }

    /// The connection's job changed.
    pub fn work(&mut self, work: Option<Arc<Search>>, now: Millis) -> Vec<Action> {
        let idle = self.work.is_none();
        self.work = work;
        if self.work.is_some() && idle {
            self.vardiff.pause(now);
        }
        self.issue(true, now)
    }

    /// The pool stops: tells the client to come back.
    #[must_use]
    pub fn farewell(&self) -> Option<String> {
        let params = Reconnect { host: None, port: None, wait_s: 0 }.to_params();
        self.is_authorized().then(|| notification_line(Reconnect::METHOD, &params))
    }

    /// Issues the work anew if its difficulty is not the one told.
    fn issue_if_changed(&mut self, now: Millis) -> Vec<Action> {
        let wanted = self.work.as_ref().map(|search| search.difficulty(self.vardiff.difficulty()));
        let holds = wanted.is_none() || wanted == self.told_difficulty || !self.can_tag();
        if holds { Vec::new() } else { self.issue(false, now) }
    }

    /// Whether a job can be issued again under another difficulty: in a header of its own, so that a
    /// hash that was found under one difficulty is worth nothing under another.
    fn can_tag(&self) -> bool {
        let left = self.version_mask & !self.tags.mask;
        self.tags.are_left() && (self.version_mask == 0 || (left != 0 && left.count_ones() >= self.version_bits_wanted))
    }

    /// The version and difficulty to issue `search` with: its own version where this search space
    /// never had it, otherwise one with a tag. Where there is no tag to be had, the difficulty stays
    /// what it was at first.
    fn version_and_difficulty(&mut self, search: &Search) -> (u32, Difficulty) {
        let own = search.spec.template.version;
        let wanted = search.difficulty(self.vardiff.difficulty());
        if self.first_issues.len() >= FIRST_ISSUES_MAX {
            self.tags.always = true;
        }
        let can_tag = self.can_tag();
        match self.first_issues.get(&search.job) {
            Some(&first) if !can_tag => (own, first),
            None if self.tags.is_first() || !can_tag => {
                self.first_issues.insert(search.job, wanted);
                self.tags.always = true;
                (own, wanted)
            }
            _ => (self.tags.next(own), wanted),
        }
    }

    fn issue(&mut self, clean: bool, now: Millis) -> Vec<Action> {
        if !self.is_authorized() || self.extranonce1.is_none() {
            return Vec::new();
        }
        let Some(search) = self.work.clone() else { return self.no_work(now) };
        self.told_no_work = false;
        let mut actions = Vec::with_capacity(3);
        let (version, difficulty) = self.version_and_difficulty(&search);
        if self.told_difficulty != Some(difficulty) {
            actions.push(self.tell_difficulty(difficulty, now));
        }
        let tagged = version != search.spec.template.version;
        if tagged && self.version_mask & self.tags.mask != 0 {
            self.version_mask &= !self.tags.mask;
            let params = SetVersionMask(self.version_mask).to_params();
            actions.push(Action::Notify(notification_line(SetVersionMask::METHOD, &params)));
        }
        let wire = format!("{:x}{:04x}", search.serial, self.issue & 0xffff);
        self.issue = self.issue.wrapping_add(1);
        actions.push(Action::Notify(search.notify.line(&wire, version, clean)));
        if self.issued.len() >= ISSUED_MAX {
            self.issued.pop_front();
        }
        let version_mask = self.version_mask;
        self.issued.push_back(Issued { wire, search, difficulty, version, version_mask });
        actions
    }

    fn no_work(&mut self, now: Millis) -> Vec<Action> {
        if self.told_no_work {
            return Vec::new();
        }
        self.told_no_work = true;
        let text = "no job is open now; stay connected, the next one starts by itself";
        let message = notification_line(ShowMessage::METHOD, &ShowMessage(text.into()).to_params());
        vec![self.tell_difficulty(self.vardiff.difficulty(), now), Action::Notify(message)]
    }

    fn tell_difficulty(&mut self, difficulty: Difficulty, now: Millis) -> Action {
        self.told_difficulty = Some(difficulty);
        self.told_at = now;
        Action::Notify(notification_line(
            SetDifficulty::METHOD,
            &SetDifficulty(difficulty).to_params(self.settings.algorithm),
        ))
    }
}

/// What follows from a refused share.
fn refused(id: &Id, user: UserName, rejection: Rejection) -> Vec<Action> {
    let offence = match rejection {
        Rejection::LowDifficulty { .. } | Rejection::Duplicate => Some(Action::Offence(Offence::WorthlessShare)),
        Rejection::Other(_) => Some(Action::Offence(Offence::BadParameters)),
        _ => None,
    };
    let reply = Action::Reply(rejection_line(id, &rejection));
    [Some(reply), Some(Action::Refused { user, rejection }), offence].into_iter().flatten().collect()
}

fn digest(header: &[u8; HEADER_BYTES]) -> [u8; 16] {
    *blake3::hash(header).as_bytes().first_chunk().expect("32 bytes have 16")
}
