//! Pictures of what there is of an open job: made when somebody asks, and not too often.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::results::Results;
use super::*;

/// A picture, where the job's kind has any.
pub(super) type Picture = Option<Bytes>;

type Reply = oneshot::Sender<Option<Result<Picture, String>>>;

/// Between two pictures of a job.
const PAUSE: Duration = Duration::from_secs(2);
/// A picture is not made again before so many times as long as it took have passed.
const REST: u32 = 10;
/// Who may wait for one picture; more are told to come again.
const WAITING_MAX: usize = 256;

/// A job's picture.
#[derive(Debug, Default)]
pub(super) struct Preview {
    /// The last, and until when it will do.
    last: Option<(Instant, Picture)>,
    /// Those who wait for the next; it is being made if there are any.
    waiting: Vec<Reply>,
}

fn answer(reply: Reply, answer: Option<Result<Picture, String>>) {
    if reply.send(answer).is_err() {
        tracing::trace!("whoever asked for a picture has gone");
    }
}

impl Keeper {
    pub(super) fn preview(&mut self, job: JobId, reply: Reply) {
        let Some(open) = self.jobs.get_mut(&job) else { return answer(reply, None) };
        let Some(files) = open.files() else { return answer(reply, Some(Ok(None))) };
        let preview = &mut open.preview;
        if let Some((until, picture)) = &preview.last
            && Instant::now() < *until
        {
            return answer(reply, Some(Ok(picture.clone())));
        }
        if preview.waiting.len() >= WAITING_MAX {
            return answer(reply, Some(Err("many wait for this picture already; ask again".into())));
        }
        preview.waiting.push(reply);
        if preview.waiting.len() > 1 {
            return;
        }
        let (shelf, auditor, done) = (self.shelf.clone(), self.auditor.clone(), open.done.clone());
        let begun = Instant::now();
        let made = self.makers.hand(move || {
            if done.is_empty() {
                Ok(None)
            } else {
                shelf.preview(&files, &mut Results::new(files.clone(), auditor, done))
            }
        });
        self.comes_back(made, move |made| Outcome::Pictured(job, begun.elapsed(), made));
    }

    pub(super) fn pictured(
        &mut self,
        job: JobId,
        took: Duration,
        made: Result<Result<Picture, AssembleError>, CrewError>,
    ) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        let picture = match made {
            Ok(Ok(picture)) => Ok(picture),
            fault => {
                tracing::warn!(%job, ?fault, "there is no picture of what there is of it");
                Err("the pool could not make this picture; its log says why".to_owned())
            }
        };
        if let Ok(picture) = &picture {
            open.preview.last = Some((Instant::now() + PAUSE.max(took * REST), picture.clone()));
        }
        for reply in open.preview.waiting.drain(..) {
            answer(reply, Some(picture.clone()));
        }
    }
}
