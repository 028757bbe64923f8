//! What a session's talk comes to for units: events become orders to [`Ranges`], its words become lines.

use lode_protocol::method::configure::HttpAt;
use lode_protocol::method::{Assign, Revoke};
use tracing::{debug, info, warn};

use super::{After, Client};
use crate::blobs::Place;
use crate::link::{Link, LinkError, now};
use crate::ranges::{Back, Word};
use crate::session::{Grant, UnitAnswer, Verdict};

impl Client {
    pub(super) fn granted(&mut self, link: &Link, Grant { http, token }: Grant) {
        let place = match http {
            HttpAt::Port(port) => Ok(Place::at_port(&link.url, port, token)),
            HttpAt::Url(url) => Place::at_url(&url, token),
        };
        match place {
            Ok(place) => {
                let kinds: Vec<&str> = self.ranges.kinds().iter().map(|kind| kind.name()).collect();
                info!("range work ({}) from {}, blobs at {place}", kinds.join(", "), link.url);
                self.ranges.granted(place);
            }
            Err(error) => warn!("no range work from {}: {error}", link.url),
        }
    }

    pub(super) fn assigned(&mut self, assign: Assign) -> Option<Word> {
        debug!("unit {} of {}: {} {} elements", assign.unit, assign.job, assign.count, assign.kind);
        let word = self.ranges.assigned(assign);
        self.tell_units();
        word
    }

    pub(super) fn revoked(&mut self, revoke: &Revoke) {
        if self.ranges.revoked(&revoke.unit) {
            info!("the pool takes unit {} back: {}", revoke.unit, revoke.reason);
        }
        self.tell_units();
    }

    /// Says words to the pool.
    pub(super) async fn say(&mut self, link: &mut Link, words: impl IntoIterator<Item = Word>) -> Result<(), After> {
        for word in words {
            let line = match word {
                Word::Submit(unit, digest) => link.session.submit_unit(unit, digest, now()),
                Word::Release(Back { token_over: true, .. }) => return Err(LinkError::TokenOver.into()),
                Word::Release(Back { unit, reason, text, .. }) => {
                    info!("unit {unit} goes back to the pool ({reason}): {text}");
                    link.session.release(unit, reason, text, now())
                }
            };
            link.send(&line).await?;
        }
        self.tell_units();
        Ok(())
    }

    pub(super) fn count_unit(&mut self, answer: &UnitAnswer) {
        let Some((unit, device)) = self.ranges.answered(&answer.unit) else { return };
        self.tell_units();
        let (name, gauge) = (self.name(device), &self.fleet.members[device].gauge);
        let ms = answer.latency.as_millis();
        match &answer.verdict {
            Verdict::Accepted => {
                gauge.accepted.add(1);
                gauge.count_unit(unit.work);
                if self.share_log.admits(now()) {
                    let (id, job, kind, count) = (&unit.id, unit.job, unit.kind(), unit.count());
                    info!("{name}: unit {id} of {job} ({count} elements, {kind}) accepted in {ms} ms");
                }
            }
            Verdict::Rejected(error) => {
                gauge.rejected.add(1);
                warn!("{name}: unit {} rejected in {ms} ms: {error}", unit.id);
            }
            Verdict::Unanswered => gauge.unanswered.add(1),
        }
    }

    fn tell_units(&self) {
        let units = self.ranges.count();
        self.status.send_if_modified(|status| std::mem::replace(&mut status.units, units) != units);
    }
}
