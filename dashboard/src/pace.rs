//! The pace of streams: when to look at the pool again for one viewer.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::app::{App, Place};

/// A stream looks again after this even where nothing changed: rates over windows fall by themselves.
const REFRESH: Duration = Duration::from_secs(10);

struct Pace {
    changes: watch::Receiver<u64>,
    interval: Duration,
    last: Option<Instant>,
    _place: Place,
}

impl Pace {
    /// Waits for the next time to look and tells the pool's version then; `None` once the pool is gone.
    async fn next(&mut self) -> Option<u64> {
        if let Some(last) = self.last {
            sleep_until(last + self.interval).await;
            if let Ok(changed) = timeout(REFRESH, self.changes.changed()).await {
                changed.ok()?;
            }
        }
        self.last = Some(Instant::now());
        Some(*self.changes.borrow_and_update())
    }
}

/// Ticks at once, then after each change of the pool but at most once per
/// [`crate::HttpOptions::stream_interval`], until the server stops. Holds `place` meanwhile.
pub(crate) fn ticks<P>(app: &App<P>, changes: watch::Receiver<u64>, place: Place) -> impl Stream<Item = u64> + use<P> {
    let pace = Pace { changes, interval: app.options.stream_interval, last: None, _place: place };
    stream::unfold(pace, |mut pace| async move { pace.next().await.map(|version| (version, pace)) })
        .take_until(app.stop.clone().cancelled_owned())
}
