//! What a connection does for range work.

use lode_dashboard::metrics as names;
use lode_protocol::method::{ProveReply, ShowMessage};
use lode_protocol::rpc::{Id, notification_line, rejection_line, result_line};
use lode_protocol::{Digest, Rejection, UserName};
use serde_json::json;
use tokio::time::Instant;

use super::{Connection, End, Owed};
use crate::jobs::range::floor::Told;
use crate::stratum::action::Action;
use crate::stratum::bans::Offence;
use crate::stratum::ranges::{Held, RangeAction};
use crate::stratum::seat::{OwedUnit, Seat, UnitOutcome};

impl Connection {
    /// Does what the session wants done for range work; what follows from it.
    pub(super) async fn range(&mut self, action: RangeAction) -> Vec<Action> {
        match action {
            RangeAction::Admit { id } => self.admit(&id),
            RangeAction::Join => {
                let want = self.session.ranges().map(|ranges| ranges.want());
                if let (Some(seat), Some(want)) = (&mut self.seat, want) {
                    seat.join(want).await;
                }
                Vec::new()
            }
            RangeAction::Want(work) => {
                if let Some(seat) = &self.seat {
                    seat.want(work).await;
                }
                Vec::new()
            }
            RangeAction::Submit { id, user, held, digest } => self.submit_unit(id, user, held, digest),
            RangeAction::Refused { user } => {
                let kind = self.seat.as_ref().map_or("", |seat| seat.kind()).to_owned();
                self.refused(&user, &Rejection::Stale, &kind);
                Vec::new()
            }
            RangeAction::Release { id, held, reason, text } => {
                tracing::info!(peer = %self.peer, unit = %held.unit, %reason, text, "a unit came back");
                let Some(seat) = &self.seat else { return Vec::new() };
                let released = seat.release(&held, reason).await;
                self.hold();
                let line = match released {
                    Ok(()) => result_line(&id, &json!(true)),
                    Err(rejection) => rejection_line(&id, &rejection),
                };
                vec![Action::Reply(line)]
            }
        }
    }

    /// Lets a proven key in.
    fn admit(&mut self, id: &Id) -> Vec<Action> {
        let refuse = |rejection: &Rejection| vec![Action::Reply(rejection_line(id, rejection))];
        let Some(asked) = self.session.ranges().and_then(|ranges| ranges.proven().cloned()) else {
            return refuse(&Rejection::Unproven);
        };
        match self.shared.ledger.store().miner_key(&asked.key.0).map(|known| known.is_some_and(|key| key.banned)) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(ranges) = self.session.ranges() {
                    ranges.ban();
                }
                return refuse(&Rejection::Banned);
            }
            Err(error) => {
                tracing::error!(%error, "whether a key is banned cannot be told");
                return refuse(&Rejection::Other("the pool cannot look your key up now; connect again later".into()));
            }
        }
        let seat = Seat::new(self.shared.clone(), self.id, asked);
        let Some(token) = self.shared.passes.issue(seat.pass.clone(), self.now()) else {
            return refuse(&Rejection::Other("too many miners do range work here now; connect again later".into()));
        };
        tracing::info!(peer = %self.peer, "a key is proven");
        self.seat = Some(seat);
        let reply = Action::Reply(result_line(id, &ProveReply { token }.to_json()));
        std::iter::once(reply).chain(self.session.admitted()).collect()
    }

    /// Tells the pass how large results may be now.
    fn hold(&mut self) {
        let largest = self.session.ranges().map_or(0, |ranges| ranges.largest());
        if let Some(seat) = &self.seat {
            seat.pass.hold(largest);
        }
    }

    /// The hall told something; `None` where it has given this connection up.
    pub(super) async fn told(&mut self, told: Option<Told>) -> Result<(), End> {
        let Some(told) = told else { return Err(End::Slow) };
        let now = self.now();
        let Some(ranges) = self.session.ranges() else { return Ok(()) };
        let line = match told {
            Told::Assign(assigned) => ranges.assigned(*assigned, now),
            Told::Revoke { unit, reason } => ranges.revoked(unit, reason, now),
            Told::Offence => return self.offence(Offence::BadParameters),
            Told::Banned => {
                ranges.ban();
                if let Some(seat) = &self.seat {
                    self.shared.passes.cancel(&seat.pass);
                }
                let text = "this key returned a wrong result and gets no more units";
                notification_line(ShowMessage::METHOD, &ShowMessage(text.into()).to_params())
            }
        };
        // Before the line goes out, so that the first bytes of a result find it so.
        self.hold();
        self.write(&line).await
    }

    fn submit_unit(&mut self, id: Id, user: UserName, held: Held, digest: Digest) -> Vec<Action> {
        let Some(seat) = &self.seat else { return Vec::new() };
        if !seat.pass.has(&digest, held.bytes) {
            let text = format!("no result {digest} of {} bytes was uploaded on this connection", held.bytes);
            let rejection = Rejection::Other(text);
            self.refused(&user, &rejection, &held.kind);
            if let Some(ranges) = self.session.ranges() {
                ranges.still_held(held);
            }
            return vec![Action::Reply(rejection_line(&id, &rejection)), Action::Offence(Offence::WorthlessShare)];
        }
        let outcome = seat.submit(user.clone(), &held, digest);
        let since = Instant::now();
        self.owed.push_back(Owed::Unit(Box::new(OwedUnit { id, user, held, since, outcome })));
        Vec::new()
    }

    /// A unit's outcome is known: its answer, and what follows.
    pub(super) fn answer_unit(&mut self, unit: OwedUnit, outcome: &UnitOutcome) -> (String, Vec<Action>) {
        metrics::histogram!(names::SHARE_LATENCY).record(unit.since.elapsed());
        let OwedUnit { id, user, held, .. } = unit;
        let answer = match outcome.result() {
            Ok(work) => {
                self.shared.bans.accepted(self.peer.ip());
                let counted = u64::try_from(work.0).unwrap_or(u64::MAX);
                metrics::counter!(names::SHARES_ACCEPTED, "kind" => held.kind.clone()).increment(1);
                metrics::counter!(names::WORK_PROVEN, "kind" => held.kind).increment(counted);
                let now = self.now();
                let more = self.session.ranges().and_then(|ranges| ranges.credited(work, now));
                (result_line(&id, &json!(true)), more.into_iter().collect())
            }
            Err(rejection) => {
                self.refused(&user, &rejection, &held.kind);
                if let (UnitOutcome::NotKept(_), Some(ranges)) = (outcome, self.session.ranges()) {
                    ranges.still_held(held);
                }
                (rejection_line(&id, &rejection), Vec::new())
            }
        };
        self.hold();
        answer
    }
}
