//! A session's range work: what was negotiated, whether the key is proven, and which units are held. Pure.

use std::collections::BTreeMap;

use lode_protocol::ids::{JobId, UnitId, UserName};
use lode_protocol::key::statement;
use lode_protocol::method::configure::{HttpAt, LodeWork, LodeWorkReply};
use lode_protocol::method::{Prove, Release, ReleaseReason, Revoke, UnitSubmit};
use lode_protocol::rpc::{Id, notification_line, rejection_line};
use lode_protocol::{Difficulty, Digest, Hashes, Rejection, Work};

use super::bans::Offence;
use super::session::Action;
use crate::jobs::range::floor::Assigned;
use crate::jobs::range::units::{LATE_MS, LeaseId};
use crate::ledger::entry::Millis;
use crate::vardiff::{self, Vardiff};

/// Most signatures of a connection that are looked at.
pub const PROOFS_MAX: u32 = 4;
/// Units that were revoked are known for so long, since their result may be on its way.
const REVOKED_KNOWN_MS: Millis = 3 * LATE_MS;

/// What a pool offers to those who do range work.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The id of its ledger.
    pub pool: [u8; 16],
    /// Where its blobs are.
    pub http: HttpAt,
    /// Kinds of work that it has.
    pub kinds: Vec<&'static str>,
    /// How units are sized.
    pub vardiff: vardiff::Options,
}

/// A unit that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub unit: UnitId,
    /// Its lease.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Its kind of work.
    pub kind: String,
    /// Bytes of its result.
    pub bytes: u64,
    /// When it was revoked, if it was.
    revoked_at: Option<Millis>,
}

/// What the connection is to do for range work.
#[derive(Debug, PartialEq)]
pub enum RangeAction {
    /// The key is proven: find out whether it is welcome, answer with a token, then call [`Ranges::admitted`].
    Admit {
        /// What to answer.
        id: Id,
    },
    /// Ask the hall for units.
    Join,
    /// Enter a unit, then answer.
    Submit {
        /// What to answer.
        id: Id,
        /// Who is credited.
        user: UserName,
        /// The unit.
        held: Held,
        /// Its result.
        digest: Digest,
    },
    /// A unit was submitted that is not held; its answer is an [`Action::Reply`] of its own.
    Refused {
        /// Whose.
        user: UserName,
    },
    /// Give a unit back, then answer.
    Release {
        /// What to answer.
        id: Id,
        /// The unit.
        held: Held,
        /// Why.
        reason: ReleaseReason,
        /// More of that.
        text: String,
    },
    /// The units should be worth so much from now on.
    Want(Work),
}

/// Where the negotiation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked for.
    Silent,
    /// A key was named and not proven.
    Asked(LodeWork),
    /// It is proven, and not admitted yet.
    Proven(LodeWork),
    /// It has a token.
    Admitted(LodeWork),
    /// It asks the hall.
    Joined(LodeWork),
    /// It was banned.
    Out,
}

/// The range work of a session.
#[derive(Debug)]
pub struct Ranges {
    offer: Offer,
    nonce: [u8; 32],
    stage: Stage,
    proofs: u32,
    vardiff: Vardiff,
    held: BTreeMap<UnitId, Held>,
}

impl Ranges {
    /// For a client that has just connected; the nonce is its alone.
    #[must_use]
    pub fn new(offer: Offer, nonce: [u8; 32], now: Millis) -> Ranges {
        let vardiff = Vardiff::new(offer.vardiff, None, now);
        Ranges { offer, nonce, stage: Stage::Silent, proofs: 0, vardiff, held: BTreeMap::new() }
    }

    /// Answers the extension; `None` refuses it: a key cannot be changed once it is proven, and somebody who does no
    /// kind of work that there is here gets none.
    pub fn configure(&mut self, asked: &LodeWork) -> Option<LodeWorkReply> {
        let known = |kind: &&String| self.offer.kinds.contains(&kind.as_str());
        let mut kinds: Vec<String> = asked.kinds.iter().filter(known).cloned().collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() || !matches!(self.stage, Stage::Silent | Stage::Asked(_)) {
            return None;
        }
        self.stage = Stage::Asked(LodeWork { kinds, ..asked.clone() });
        Some(LodeWorkReply { nonce: self.nonce, pool: self.offer.pool, http: self.offer.http.clone() })
    }

    /// A signature came.
    pub fn prove(&mut self, id: &Id, prove: &Prove) -> Vec<Action> {
        let refuse = |rejection: &Rejection| Action::Reply(rejection_line(id, rejection));
        let Stage::Asked(asked) = &self.stage else { return vec![refuse(&Rejection::Unproven)] };
        self.proofs += 1;
        let statement = statement(&self.offer.pool, &self.nonce);
        if self.proofs > PROOFS_MAX || asked.key.verify(&statement, &prove.signature).is_err() {
            return vec![refuse(&Rejection::Unproven), Action::Offence(Offence::BadParameters)];
        }
        self.stage = Stage::Proven(asked.clone());
        vec![Action::Range(RangeAction::Admit { id: id.clone() })]
    }

    /// What was asked for, once its key is proven.
    #[must_use]
    pub fn proven(&self) -> Option<&LodeWork> {
        match &self.stage {
            Stage::Proven(asked) | Stage::Admitted(asked) | Stage::Joined(asked) => Some(asked),
            Stage::Silent | Stage::Asked(_) | Stage::Out => None,
        }
    }

    /// The key has its token.
    pub fn admitted(&mut self) {
        if let Stage::Proven(asked) = &self.stage {
            self.stage = Stage::Admitted(asked.clone());
        }
    }

    /// A worker has logged in, or had before: units may come.
    pub fn start(&mut self) -> Option<Action> {
        let Stage::Admitted(asked) = &self.stage else { return None };
        self.stage = Stage::Joined(asked.clone());
        Some(Action::Range(RangeAction::Join))
    }

    /// The key is banned: nothing more is taken of it.
    pub fn ban(&mut self) {
        self.stage = Stage::Out;
        self.held.clear();
    }

    /// What units should be worth.
    #[must_use]
    pub fn want(&self) -> Work {
        Work(self.vardiff.difficulty().hashes().0)
    }

    /// Whether it works on units.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.held.values().any(|held| held.revoked_at.is_none())
    }

    /// Bytes of the largest result that may still come.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.held.values().map(|held| held.bytes).max().unwrap_or(0)
    }

    /// A unit came from the hall: the line to send.
    pub fn assigned(&mut self, assigned: Assigned, now: Millis) -> String {
        if !self.is_busy() {
            // Nothing was to be heard of a worker without work.
            self.vardiff.pause(now);
        }
        let Assigned { lease, assign, result_bytes: bytes } = assigned;
        let line = notification_line(lode_protocol::method::Assign::METHOD, &assign.to_params());
        let (unit, job, kind) = (assign.unit, assign.job, assign.kind);
        self.held.insert(unit.clone(), Held { unit, lease, job, kind, bytes, revoked_at: None });
        line
    }

    /// The hall took a unit back: the line to send.
    pub fn revoked(&mut self, unit: UnitId, reason: &str, now: Millis) -> String {
        if let Some(held) = self.held.get_mut(&unit) {
            held.revoked_at = Some(now);
        }
        notification_line(Revoke::METHOD, &Revoke { unit, reason: reason.to_owned() }.to_params())
    }

    /// The result of a unit.
    pub fn submit(&mut self, id: &Id, submit: &UnitSubmit, user: Option<&UserName>) -> Vec<Action> {
        let refuse = |rejection: &Rejection| Action::Reply(rejection_line(id, rejection));
        let Stage::Joined(_) = self.stage else { return vec![refuse(&Rejection::Unproven)] };
        let Some(user) = user.cloned() else { return vec![refuse(&Rejection::Unauthorized)] };
        match self.held.remove(&submit.unit) {
            Some(held) => {
                let (id, digest) = (id.clone(), submit.digest);
                vec![Action::Range(RangeAction::Submit { id, user, held, digest })]
            }
            // It may have been revoked long ago, so that it is no offence.
            None => vec![refuse(&Rejection::Stale), Action::Range(RangeAction::Refused { user })],
        }
    }

    /// The result of this unit was not there: it may still come.
    pub fn still_held(&mut self, held: Held) {
        self.held.insert(held.unit.clone(), held);
    }

    /// A unit comes back undone.
    pub fn release(&mut self, id: &Id, release: Release) -> Vec<Action> {
        match self.held.remove(&release.unit) {
            Some(held) => {
                let (id, Release { reason, text, .. }) = (id.clone(), release);
                vec![Action::Range(RangeAction::Release { id, held, reason, text })]
            }
            None => vec![Action::Reply(rejection_line(id, &Rejection::Stale))],
        }
    }

    /// A unit of so much work counts.
    pub fn credited(&mut self, work: Work, now: Millis) -> Option<Action> {
        let changed = self.vardiff.share(Difficulty::from_hashes(Hashes(work.0)), now);
        self.changed(changed)
    }

    /// Some time passed.
    pub fn tick(&mut self, now: Millis) -> Option<Action> {
        let known = |held: &Held| held.revoked_at.is_none_or(|at| now < at.saturating_add(REVOKED_KNOWN_MS));
        self.held.retain(|_, held| known(held));
        let changed = if self.is_busy() { self.vardiff.tick(now) } else { None };
        self.changed(changed)
    }

    fn changed(&self, changed: Option<Difficulty>) -> Option<Action> {
        changed.map(|_| Action::Range(RangeAction::Want(self.want())))
    }
}
