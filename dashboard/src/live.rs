//! Live pages: a stream that sends the parts of a page that changed, drawn on the server.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::{MethodRouter, get};
use futures_util::{Stream, StreamExt as _};
use lode_protocol::ids::{AccountName, JobId};
use tokio::time::Instant;

use crate::app::Shared;
use crate::extract::Id;
use crate::pace;
use crate::pages::{Fragments, account_fragments, front_fragments, job_fragments};
use crate::port::Port;
use crate::problem::Fault;

/// How long a drawing of the front page is shared, if the pool does not change before.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// The front page as last drawn, so that a hundred viewers cost one drawing. The lock is held while
/// it is drawn, which never awaits.
#[derive(Default)]
pub(crate) struct FrontCache(Mutex<Option<(u64, Instant, Fragments)>>);

impl FrontCache {
    fn get(&self, version: u64, draw: impl FnOnce() -> Result<Fragments, Fault>) -> Result<Fragments, Fault> {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((drawn, at, fragments)) = &*kept
            && *drawn == version
            && at.elapsed() < SHARED_FOR
        {
            return Ok(fragments.clone());
        }
        let fragments = draw()?;
        *kept = Some((version, Instant::now(), fragments.clone()));
        Ok(fragments)
    }
}

/// Every live path.
pub(crate) fn routes<P: Port>() -> Vec<(&'static str, MethodRouter<Shared<P>>)> {
    vec![("/live/pool", get(pool)), ("/live/accounts/{account}", get(account)), ("/live/jobs/{id}", get(job))]
}

type Live<S> = Result<Sse<S>, Fault>;

async fn pool<P: Port>(State(app): State<Shared<P>>) -> Live<impl Stream<Item = Result<Event, Infallible>>> {
    let draw = |app: &Shared<P>, version| app.front.get(version, || front_fragments(&*app.port));
    follow(app, draw)
}

async fn account<P: Port>(
    State(app): State<Shared<P>>,
    Id(name): Id<AccountName>,
) -> Live<impl Stream<Item = Result<Event, Infallible>>> {
    app.port.account(&name)?;
    follow(app, move |app, _| account_fragments(&*app.port, &name))
}

async fn job<P: Port>(
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
) -> Live<impl Stream<Item = Result<Event, Infallible>>> {
    app.port.job(id)?;
    follow(app, move |app, _| Ok(job_fragments(&app.port.job(id)?)))
}

fn follow<P: Port>(
    app: Shared<P>,
    draw: impl Fn(&Shared<P>, u64) -> Result<Fragments, Fault> + Send + 'static,
) -> Live<impl Stream<Item = Result<Event, Infallible>>> {
    let place = app.live_place()?;
    let ticks = pace::ticks(&app, app.port.changes(), place);
    let mut sent = Fragments::new();
    let events = ticks.filter_map(move |version| {
        let news = draw(&app, version).ok().and_then(|now| changed(&mut sent, now));
        std::future::ready(news.map(|data| Ok(Event::default().data(data))))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The parts that differ from those sent, as JSON, if any do.
fn changed(sent: &mut Fragments, now: Fragments) -> Option<String> {
    let differs = |(id, html): &(&&'static str, &String)| sent.get(**id) != Some(*html);
    let news: Fragments = now.iter().filter(differs).map(|(id, html)| (*id, html.clone())).collect();
    *sent = now;
    (!news.is_empty()).then(|| serde_json::to_string(&news).expect("text is JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_parts_are_sent() {
        let mut sent = Fragments::new();
        let parts = |a: &str, b: &str| Fragments::from([("a", a.to_owned()), ("b", b.to_owned())]);
        assert_eq!(changed(&mut sent, parts("1", "2")).as_deref(), Some(r#"{"a":"1","b":"2"}"#));
        assert_eq!(changed(&mut sent, parts("1", "\"3\"")).as_deref(), Some(r#"{"b":"\"3\""}"#));
        assert_eq!(changed(&mut sent, parts("1", "\"3\"")), None);
    }

    #[test]
    fn a_drawing_is_shared_until_the_pool_changes() {
        let cache = FrontCache::default();
        let draw = |text: &'static str| move || Ok(Fragments::from([("a", text.to_owned())]));
        let get = |version, text| cache.get(version, draw(text)).expect("it is drawn")["a"].clone();
        assert_eq!([get(1, "first"), get(1, "second"), get(2, "third")], ["first", "first", "third"]);
    }
}
