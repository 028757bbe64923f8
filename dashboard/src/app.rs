//! What every handler can reach: the port, the options, and the places left for streams.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::http::HttpOptions;
use crate::live::FrontCache;
use crate::port::BlobClient;
use crate::problem::Fault;

/// Shared by all handlers.
pub(crate) struct App<P> {
    pub(crate) port: Arc<P>,
    pub(crate) options: HttpOptions,
    /// Cancelled when the server stops; ends every stream.
    pub(crate) stop: CancellationToken,
    pub(crate) front: FrontCache,
    live: Arc<Semaphore>,
    events: Arc<Semaphore>,
    blobs: Arc<Semaphore>,
    miners_blobs: Arc<Semaphore>,
}

/// How handlers hold it.
pub(crate) type Shared<P> = Arc<App<P>>;

/// A stream's place; free again when it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl<P> App<P> {
    pub(crate) fn new(port: Arc<P>, options: HttpOptions, stop: CancellationToken) -> Shared<P> {
        let live = Arc::new(Semaphore::new(options.live_streams_max));
        let events = Arc::new(Semaphore::new(options.event_streams_max));
        let blobs = Arc::new(Semaphore::new(options.blob_streams_max));
        let miners_blobs = Arc::new(Semaphore::new(options.miner_blob_streams_max));
        Arc::new(App { port, options, stop, front: FrontCache::default(), live, events, blobs, miners_blobs })
    }

    /// A place for a page's live stream.
    pub(crate) fn live_place(&self) -> Result<Place, Fault> {
        place(&self.live, "live pages", self.options.live_streams_max)
    }

    /// A place for a sponsor's event stream; apart, so that visitors cannot take these.
    pub(crate) fn event_place(&self) -> Result<Place, Fault> {
        place(&self.events, "event streams", self.options.event_streams_max)
    }

    /// A place for a blob on its way out; miners have theirs apart, so that many of them leave some to sponsors.
    pub(crate) fn blob_place(&self, client: &BlobClient) -> Result<Place, Fault> {
        match client {
            BlobClient::Sponsor(_) => place(&self.blobs, "downloads", self.options.blob_streams_max),
            BlobClient::Miner(_) => {
                place(&self.miners_blobs, "downloads of miners", self.options.miner_blob_streams_max)
            }
        }
    }
}

fn place(places: &Arc<Semaphore>, what: &str, most: usize) -> Result<Place, Fault> {
    Arc::clone(places)
        .try_acquire_owned()
        .map_err(|_| Fault::busy(format!("all {most} {what} are taken; try again in a moment")))
}
