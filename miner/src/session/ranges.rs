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
