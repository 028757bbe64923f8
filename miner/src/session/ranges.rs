//! The session's part in range work: the extension `lode-work`, from the offer to a unit's submit.

use std::time::Instant;

use lode_kinds::Kind;
use lode_protocol::Digest;
use lode_protocol::ids::UnitId;
use lode_protocol::key::{SecretKey, statement};
use lode_protocol::method::configure::{HttpAt, LodeWork, LodeWorkReply};
use lode_protocol::method::{Assign, ConfigureReply, Prove, ProveReply, Release, ReleaseReason, UnitSubmit};
use serde_json::Value;

use super::{Ask, Event, Grant, PoolError, Session};

/// What the rig offers to do besides hashing.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What proves who it is.
    pub key: SecretKey,
    /// Kinds of range work; at least one.
    pub kinds: Vec<Kind>,
    /// How many units it wants to hold at once.
    pub slots: u32,
    /// Whether it does nothing else, so that a pool without range work is of no use.
    pub only: bool,
}

/// Where the extension stands.
#[derive(Debug)]
pub(super) struct Ranges {
    offer: Offer,
    /// Where the blobs are, once the pool has taken the offer.
    http: Option<HttpAt>,
    /// Whether it has taken the proof.
    proven: bool,
}

impl Ranges {
    pub(super) fn new(offer: Offer) -> Ranges {
        Ranges { offer, http: None, proven: false }
    }

    pub(super) fn wish(&self) -> LodeWork {
        let Offer { key, kinds, slots, .. } = &self.offer;
        LodeWork { key: key.public(), kinds: kinds.iter().map(|kind| kind.name().to_owned()).collect(), slots: *slots }
    }

    /// There will be no units.
    fn without(&self, error: PoolError) -> Event {
        if self.offer.only { Event::Refused(error) } else { Event::NoRanges(error) }
    }
}

impl Session {
    /// Proves the key, if the pool's answer to configure grants the extension.
    pub(super) fn prove(&mut self, granted: &Value, now: Instant) -> Vec<Event> {
        let Some(ranges) = &mut self.ranges else { return Vec::new() };
        match ConfigureReply::granted_lode_work(granted) {
            Ok(Some(LodeWorkReply { nonce, pool, http })) => {
                let signature = ranges.offer.key.sign(&statement(&pool, &nonce));
                ranges.http = Some(http);
                vec![Event::Send(self.ask(Ask::Prove, Prove::METHOD, &Prove { signature }.to_params(), now))]
            }
            Ok(None) => {
                vec![ranges.without(PoolError { code: None, text: "the pool has no range work (lode-work)".into() })]
            }
            Err(error) => {
                let text = format!("the pool's grant of lode-work: {error}");
                vec![ranges.without(PoolError { code: None, text })]
            }
        }
    }

    pub(super) fn proven(&mut self, outcome: Result<Value, Value>) -> Vec<Event> {
        let Some(ranges) = &mut self.ranges else { return Vec::new() };
        let token = match outcome.map(|result| ProveReply::from_json(&result)) {
            Ok(Ok(reply)) => reply.token,
            Ok(Err(error)) => {
                let text = format!("answer to {}: {error}", Prove::METHOD);
                return vec![ranges.without(PoolError { code: None, text })];
            }
            Err(error) => return vec![ranges.without(PoolError::from_json(&error))],
        };
        ranges.proven = true;
        let http = ranges.http.clone().expect("the proof is asked for only once the grant is here");
        vec![Event::Granted(Grant { http, token })]
    }

    pub(super) fn assigned(&mut self, assign: Box<Assign>) -> Vec<Event> {
        if self.ranges.as_ref().is_some_and(|ranges| ranges.proven) {
            vec![Event::Assign(assign)]
        } else {
            self.malformed(format!("{} before the key was proven", Assign::METHOD))
        }
    }

    /// The line that submits a unit, whose result is with the pool.
    pub fn submit_unit(&mut self, unit: UnitId, digest: Digest, now: Instant) -> String {
        let submit = UnitSubmit { user: self.login.user.clone(), unit: unit.clone(), digest };
        self.ask(Ask::Unit(unit), UnitSubmit::METHOD, &submit.to_params(), now)
    }

    /// The line that gives a unit back.
    pub fn release(&mut self, unit: UnitId, reason: ReleaseReason, text: String, now: Instant) -> String {
        let release = Release { user: self.login.user.clone(), unit, reason, text };
        self.ask(Ask::Courtesy, Release::METHOD, &release.to_params(), now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lode_protocol::Algorithm;
    use lode_protocol::rpc::{Message, Request, notification_line};
    use serde_json::json;

    use super::super::{ANSWER_TIMEOUT, Login, MALFORMED_MAX, UnitAnswer, Verdict};
    use super::*;

    const NONCE: [u8; 32] = [9; 32];
    const POOL: [u8; 16] = [5; 16];

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[1; 32])
    }

    fn session(only: bool) -> Session {
        let login = Login { user: "alice.rig".into(), password: "x".into() };
        let offer = Offer { key: key(), kinds: vec![Kind::Render], slots: 4, only };
        Session::new(7, login, Algorithm::Sha256d, None).offering(Some(offer))
    }

    fn request(line: &str) -> Request {
        let Ok(Message::Request(request)) = Message::parse(line.as_bytes()) else { panic!("{line}") };
        request
    }

    fn granted() -> String {
        let grant = LodeWorkReply { nonce: NONCE, pool: POOL, http: HttpAt::Port(8080) };
        let reply =
            ConfigureReply { subscribe_extranonce: Some(true), lode_work: Some(Some(grant)), ..Default::default() };
        json!({"id": 1, "result": reply.to_json(), "error": null}).to_string()
    }

    /// Opens a session up to the grant, and gives its proof.
    fn asked(session: &mut Session, now: Instant) -> Request {
        session.open(now);
        let events = session.line(granted().as_bytes(), now);
        let [Event::Send(line)] = &events[..] else { panic!("{events:?}") };
        request(line)
    }

    fn proven(now: Instant) -> Session {
        let mut session = session(false);
        let id = asked(&mut session, now).id.to_json();
        let events = session.line(json!({"id": id, "result": {"token": "t0"}}).to_string().as_bytes(), now);
        let grant = Grant { http: HttpAt::Port(8080), token: "t0".into() };
        assert_eq!(events, [Event::Granted(grant)]);
        session
    }

    fn assign() -> String {
        let unit = json!({
            "unit": "u1", "job": "j1", "section": 0, "kind": "render", "spec": {}, "inputs": [], "first": 0,
            "count": 2, "work": "5", "ttl_s": 30,
        });
        notification_line(Assign::METHOD, &json!([unit]))
    }

    #[test]
    fn the_offer_goes_with_configure_and_the_grants_nonce_is_signed() {
        let now = Instant::now();
        let mut session = session(false);
        let configure = request(&session.open(now)[0]);
        assert_eq!(configure.params[0], json!(["version-rolling", "subscribe-extranonce", "info", "lode-work"]));
        let values = &configure.params[1];
        assert_eq!(values["lode-work.key"], key().public().to_string());
        assert_eq!((&values["lode-work.kinds"], &values["lode-work.slots"]), (&json!(["render"]), &json!(4)));
        let mut again = self::session(false);
        let prove = asked(&mut again, now);
        let expected = Prove { signature: key().sign(&statement(&POOL, &NONCE)) };
        assert_eq!((prove.method.as_str(), json!(prove.params)), ("work.prove", expected.to_params()));
    }

    #[test]
    fn a_pool_without_it_is_of_no_use_only_to_a_rig_that_does_nothing_else() {
        let now = Instant::now();
        let refusals = [
            r#"{"id":1,"result":{"subscribe-extranonce":true},"error":null}"#,
            r#"{"id":1,"result":{"subscribe-extranonce":true,"lode-work":false},"error":null}"#,
            r#"{"id":1,"result":{"subscribe-extranonce":true,"lode-work":true},"error":null}"#,
        ];
        for (only, line) in [false, true].into_iter().flat_map(|only| refusals.map(|line| (only, line))) {
            let mut session = session(only);
            session.open(now);
            let events = session.line(line.as_bytes(), now);
            match &events[..] {
                [Event::NoRanges(error)] if !only => assert!(error.text.contains("lode-work"), "{error}"),
                [Event::Refused(error)] if only => assert!(error.text.contains("lode-work"), "{error}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        let mut session = session(false);
        let id = asked(&mut session, now).id.to_json();
        let refused = json!({"id": id, "result": null, "error": [24, "banned", null]});
        let events = session.line(refused.to_string().as_bytes(), now);
        assert_eq!(events, [Event::NoRanges(PoolError { code: Some(24), text: "banned".into() })]);
        assert!(matches!(session.line(assign().as_bytes(), now)[..], [Event::Malformed(_)]));
    }

    #[test]
    fn units_come_only_after_the_proof() {
        let now = Instant::now();
        let events = proven(now).line(assign().as_bytes(), now);
        assert!(matches!(&events[..], [Event::Assign(unit)] if unit.unit.as_str() == "u1"), "{events:?}");
        let mut session = session(false);
        asked(&mut session, now);
        for _ in 1..MALFORMED_MAX {
            assert!(matches!(session.line(assign().as_bytes(), now)[..], [Event::Malformed(_)]));
        }
        assert!(matches!(session.line(assign().as_bytes(), now)[..], [Event::Malformed(_), Event::Broken]));
    }

    #[test]
    fn a_units_answer_is_its_own_and_a_release_has_none() {
        let now = Instant::now();
        let mut session = proven(now);
        let id = |name: &str| name.parse::<UnitId>().unwrap();
        let first = request(&session.submit_unit(id("u1"), Digest([0xab; 32]), now));
        assert_eq!(json!(first.params), json!(["alice.rig", "u1", "ab".repeat(32)]));
        session.submit_unit(id("u2"), Digest([0xab; 32]), now);
        let release = request(&session.release(id("u3"), ReleaseReason::Memory, "too large".into(), now));
        assert_eq!(json!(release.params), json!(["alice.rig", "u3", "memory", "too large"]));
        let later = now + Duration::from_millis(7);
        let answer = |request: &Request| json!({"id": request.id.to_json(), "result": true}).to_string();
        assert_eq!(session.line(answer(&release).as_bytes(), later), []);
        let answered = |name, latency, verdict| Event::UnitAnswer(UnitAnswer { unit: id(name), latency, verdict });
        let events = session.line(answer(&first).as_bytes(), later);
        assert_eq!(events, [answered("u1", Duration::from_millis(7), Verdict::Accepted)]);
        let events = session.expire(now + ANSWER_TIMEOUT);
        assert_eq!(events, [answered("u2", ANSWER_TIMEOUT, Verdict::Unanswered)]);
    }
}
