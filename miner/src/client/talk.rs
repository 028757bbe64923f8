//! One session with a pool, from log-in to its end: lines become jobs on the board, finds become submits.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::{After, Client, End, Heard, Opening, PROBE_EVERY, STOP_GRACE};
use crate::device_worker::Found;
use crate::link::{Link, LinkError, now};
use crate::ranges::Moved;
use crate::session::{Answer, Event, Submission, Verdict};
use crate::status::Phase;
use crate::units;
use crate::work::{Job, Share};

/// How often silence and overdue answers are looked for.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What the session's loop woke up for.
enum Wake {
    Events(Result<Vec<Event>, LinkError>),
    Found(Option<Found>),
    Moved(Moved),
    Probed(Result<Box<Link>, LinkError>),
    Check,
    Stop,
}

impl Client {
    /// One session, from log-in to its end.
    pub(super) async fn mine(&mut self, mut link: Link) -> Result<After, End> {
        self.greet(&link);
        let early = std::mem::take(&mut link.early);
        let after = match self.take(&mut link, early).await {
            Ok(()) => self.converse(&mut link).await,
            Err(after) => Ok(after),
        };
        for event in link.session.abandon(now()) {
            match event {
                Event::Answer(answer) => self.count(&answer),
                Event::UnitAnswer(answer) => self.count_unit(&answer),
                _ => {}
            }
        }
        after
    }

    fn greet(&mut self, link: &Link) {
        info!("connected to {} as {}", link.url, self.login.user);
        self.pools.set_resume_by(link.session.resume_by());
        let (pool, place) = (link.url.to_string(), self.pools.place());
        self.tell(|status| {
            status.enter(Phase::Connected, now());
            (status.pool, status.place) = (pool, place);
        });
    }

    async fn converse(&mut self, link: &mut Link) -> Result<After, End> {
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probe: Option<Opening> = None;
        let mut probed = now();
        let offered = self.ranges.kinds();
        loop {
            let probing = async {
                match probe.as_mut() {
                    Some(probe) => probe.await,
                    None => pending().await,
                }
            };
            let has_room = link.session.has_room();
            let wake = tokio::select! {
                events = link.next() => Wake::Events(events),
                found = self.found.recv(), if has_room => Wake::Found(found),
                moved = self.ranges.moved() => Wake::Moved(moved),
                opened = probing => Wake::Probed(opened.map(Box::new)),
                _ = check.tick() => Wake::Check,
                () = self.shutdown.cancelled() => Wake::Stop,
            };
            let done = match wake {
                Wake::Events(Ok(events)) => self.take(link, events).await,
                Wake::Events(Err(error)) => Err(error.into()),
                Wake::Found(found) => {
                    let heard = self.hear(found)?;
                    let heeded = self.heed(link, heard).await;
                    self.has_devices()?;
                    match heeded {
                        Ok(()) if self.ranges.kinds() != offered => Err(After::Changed),
                        heeded => heeded,
                    }
                }
                Wake::Moved(moved) => {
                    let word = self.ranges.take(moved);
                    self.say(link, word).await
                }
                Wake::Probed(Ok(primary)) => Err(After::Switched(primary)),
                Wake::Probed(Err(error)) => {
                    debug!("the first pool does not work yet: {error}");
                    (probe, probed) = (None, now());
                    Ok(())
                }
                Wake::Check => {
                    if probe.is_none() && now().saturating_duration_since(probed) >= PROBE_EVERY {
                        probe = self.probe();
                    }
                    self.check(link).await
                }
                Wake::Stop => {
                    self.finish(link).await;
                    return Err(End::Stopped);
                }
            };
            if let Err(after) = done {
                return Ok(after);
            }
        }
    }

    fn probe(&mut self) -> Option<Opening> {
        let (url, resume_by) = self.pools.primary_to_probe()?;
        let (url, resume_by) = (url.clone(), resume_by.map(str::to_owned));
        Some(self.open(url, resume_by))
    }

    async fn check(&mut self, link: &mut Link) -> Result<(), After> {
        if let Some(more) = self.share_log.take_held_back(now()) {
            info!("and {more} more shares accepted");
        }
        if let Some(more) = self.reject_log.take_held_back(now()) {
            warn!("and {more} more shares rejected");
        }
        let expired = link.session.expire(now());
        self.take(link, expired).await?;
        Ok(link.check().await?)
    }

    async fn take(&mut self, link: &mut Link, events: Vec<Event>) -> Result<(), After> {
        for event in events {
            match event {
                Event::Send(line) => link.send(&line).await?,
                Event::Job(job) => self.begin(job),
                Event::Answer(answer) => self.count(&answer),
                Event::Granted(grant) => self.granted(link, grant),
                Event::NoRanges(error) => info!("no range work from {}: {error}", link.url),
                Event::Assign(assign) => {
                    let word = self.assigned(*assign);
                    self.say(link, word).await?;
                }
                Event::Revoke(revoke) => self.revoked(&revoke),
                Event::UnitAnswer(answer) => self.count_unit(&answer),
                Event::Message(text) => {
                    info!("the pool says: {text}");
                    self.tell(|status| status.message = Some(text));
                }
                Event::Reconnect(reconnect) => return Err(After::Redirected(reconnect)),
                Event::Malformed(what) => warn!("{} sent a line without sense: {what}", link.url),
                Event::Broken => return Err(LinkError::Broken.into()),
                Event::Refused(error) => return Err(LinkError::Refused(error).into()),
                Event::Ready => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, job: Arc<Job>) {
        if !self.searches {
            return;
        }
        let known = self.status.borrow().difficulty;
        if known != Some((job.difficulty, job.algorithm)) {
            info!("difficulty {}", units::difficulty(job.difficulty, job.algorithm));
        }
        debug!("job {}{}", job.id, if job.clean { ", all before it is over" } else { "" });
        let (difficulty, algorithm) = (job.difficulty, job.algorithm);
        let (id, at) = (crate::session::printable(&job.id), now());
        self.fleet.board.publish(job, rand::random());
        self.tell(|status| (status.job, status.difficulty) = (Some((id, at)), Some((difficulty, algorithm))));
    }

    /// Goes on after a device's word.
    async fn heed(&mut self, link: &mut Link, heard: Heard) -> Result<(), After> {
        match heard {
            Heard::Nothing => Ok(()),
            Heard::Share(share) => self.submit(link, &share).await,
            Heard::Computed(device, unit, bytes) => {
                self.ranges.computed(device, unit, bytes);
                Ok(())
            }
            Heard::Words(words) => self.say(link, words).await,
        }
    }

    async fn submit(&mut self, link: &mut Link, share: &Share) -> Result<(), After> {
        match link.session.submit(share, now()) {
            Submission::Line(line) => Ok(link.send(&line).await?),
            Submission::Stale => {
                self.fleet.members[share.device].gauge.stale.add(1);
                Ok(())
            }
        }
    }

    fn count(&mut self, answer: &Answer) {
        let name = self.name(answer.device);
        let gauge = &self.fleet.members[answer.device].gauge;
        let (difficulty, ms) = (units::difficulty(answer.difficulty, self.algorithm), answer.latency.as_millis());
        match &answer.verdict {
            Verdict::Accepted => {
                gauge.accepted.add(1);
                if self.share_log.admits(now()) {
                    info!("{name}: share of {difficulty} accepted in {ms} ms");
                }
            }
            Verdict::Rejected(error) => {
                gauge.rejected.add(1);
                if self.reject_log.admits(now()) {
                    warn!("{name}: share of {difficulty} rejected in {ms} ms: {error}");
                }
            }
            Verdict::Unanswered => gauge.unanswered.add(1),
        }
    }

    /// Lets the devices end their slices and the pool answer what is open.
    async fn finish(&mut self, link: &mut Link) {
        self.tell(|status| status.enter(Phase::Stopping, now()));
        self.fleet.stop();
        let words = self.ranges.stopping();
        if self.say(link, words).await.is_err() {
            return;
        }
        if timeout(STOP_GRACE, self.last_answers(link)).await.is_ok() {
            return;
        }
        let (shares, units) = (link.session.open_submits(), self.ranges.open());
        let words = self.ranges.stopped();
        if self.say(link, words).await.is_ok() {
            warn!("stopped with {shares} shares and {units} units unanswered");
        }
    }

    async fn last_answers(&mut self, link: &mut Link) {
        let mut working = true;
        while working || link.session.open_submits() > 0 || self.ranges.open() > 0 {
            let has_room = link.session.has_room();
            let done = tokio::select! {
                events = link.next() => match events {
                    Ok(events) => self.take(link, events).await,
                    Err(error) => Err(error.into()),
                },
                moved = self.ranges.moved() => {
                    let word = self.ranges.take(moved);
                    self.say(link, word).await
                }
                found = self.found.recv(), if working && has_room => match found {
                    Some(Found::Share(share)) => self.submit(link, &share).await,
                    Some(_) => Ok(()),
                    None => {
                        working = false;
                        Ok(())
                    }
                },
            };
            if done.is_err() {
                return;
            }
        }
    }
}
