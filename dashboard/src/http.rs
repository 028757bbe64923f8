//! The server: accepts connections, bounds and times them, and drains them at shutdown.
//!
//! What a stranger can hold is bounded: connections (more wait in the kernel's backlog), the size
//! of a request's head and the time it may take, and the time a connection may stay idle.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use futures_util::future::pending;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Shared};
use crate::port::Port;
use crate::problem::Fault;
use crate::{api, live, pages};

/// Pause after an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the metrics recorder folds its samples away.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Most header lines of a request.
const HEADER_LINES_MAX: usize = 64;

/// How the server behaves; the defaults suit a pool on the open internet.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// A proxy in front does TLS: keys are then taken from any peer, else from loopback only.
    pub trust_proxy_tls: bool,
    /// Most bytes of a request's body; blobs have bounds of their own.
    pub body_bytes_max: usize,
    /// Time in which a body must arrive; of a blob, each [`BLOB_PACE_BYTES`](crate::BLOB_PACE_BYTES).
    pub body_timeout: Duration,
    /// Most bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Time in which they must arrive; also how long a connection may idle between requests.
    pub header_timeout: Duration,
    /// Most connections at a time.
    pub connections_max: usize,
    /// Most connections of one address at a time; without meaning behind a proxy, where all have one.
    pub connections_per_address_max: usize,
    /// Time that a peer may leave what it is sent unread.
    pub write_timeout: Duration,
    /// Most live pages at a time; with the event streams they must leave connections for others.
    pub live_streams_max: usize,
    /// Most event streams of sponsors at a time.
    pub event_streams_max: usize,
    /// Most blobs and results on their way to sponsors at a time.
    pub blob_streams_max: usize,
    /// Most blobs on their way to miners at a time.
    pub miner_blob_streams_max: usize,
    /// Shortest time between two messages of a stream.
    pub stream_interval: Duration,
    /// Time that requests in flight have to finish at shutdown.
    pub drain: Duration,
    /// What `/metrics` renders, from [`crate::metrics::install`].
    pub metrics: Option<PrometheusHandle>,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            trust_proxy_tls: false,
            body_bytes_max: 1 << 20,
            body_timeout: Duration::from_secs(20),
            header_bytes_max: 16 << 10,
            header_timeout: Duration::from_secs(15),
            connections_max: 1024,
            connections_per_address_max: 512,
            write_timeout: Duration::from_secs(20),
            live_streams_max: 512,
            event_streams_max: 128,
            blob_streams_max: 128,
            miner_blob_streams_max: 192,
            stream_interval: Duration::from_secs(1),
            drain: Duration::from_secs(5),
            metrics: None,
        }
    }
}

/// Serves `port` on `listener` until `shutdown` is ready; then ends all streams, lets requests in
/// flight finish within [`HttpOptions::drain`], and closes the rest.
///
/// # Errors
/// None at present: an accept that fails is tried again.
pub async fn serve<P: Port>(
    listener: TcpListener,
    port: Arc<P>,
    options: HttpOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let server = Server::new(&options, App::new(port, options.clone(), stop.clone()));
    let mut tasks = JoinSet::new();
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    let mut upkeep = pin!(upkeep(options.metrics));
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = &mut upkeep => {}
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            (stream, peer, place) = server.accept(&listener) => {
                tasks.spawn(server.connection(stream, peer, place, &graceful));
            }
        }
    }
    drop(listener);
    stop.cancel();
    if timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "closed connections that did not finish in time");
    }
    Ok(())
}

/// Keeps the recorder's memory bounded, which nothing else does without its own listener.
async fn upkeep(handle: Option<PrometheusHandle>) {
    let Some(handle) = handle else { return pending().await };
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// What each connection is served with.
struct Server {
    router: Router,
    http: http1::Builder,
    places: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    write_timeout: Duration,
}

/// Connections by address. The mutex is held for a few lines that never wait.
struct Addresses {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// What a connection holds while it is open.
struct Place {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Addresses {
    /// A place for one more connection of `address`, unless it has too many.
    fn enter(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.entry(address).or_insert(0);
        if *here >= self.most {
            return None;
        }
        *here += 1;
        Some(Place { _permit: permit, address, addresses: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.remove(&self.address);
            }
        }
    }
}

impl Server {
    fn new<P: Port>(options: &HttpOptions, app: Shared<P>) -> Server {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_header_size(options.header_bytes_max)
            .max_headers(HEADER_LINES_MAX);
        let most = if options.trust_proxy_tls { usize::MAX } else { options.connections_per_address_max };
        Server {
            router: router(app),
            http,
            places: Arc::new(Semaphore::new(options.connections_max)),
            addresses: Arc::new(Addresses { most, open: Mutex::default() }),
            write_timeout: options.write_timeout,
        }
    }

    /// The next connection, once there is a place for it.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            let permit = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => match self.addresses.enter(peer.ip(), permit) {
                    Some(place) => return (stream, peer, place),
                    None => tracing::debug!(%peer, "a connection over its address's limit was turned away"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + use<> {
        let routes = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.call(request)
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let serving = graceful.watch(self.http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        async move {
            let _place = place;
            if let Err(error) = serving.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
        }
    }
}

fn router<P: Port>(app: Shared<P>) -> Router {
    let mut router = Router::new();
    for (path, methods) in api::routes().into_iter().chain(pages::routes()).chain(live::routes()) {
        router = router.route(path, methods);
    }
    router
        .fallback(pages::unknown_path::<P>)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::map_response(harden))
        .with_state(app)
}

async fn unknown_method(request: Request) -> Fault {
    Fault::method(format!("{} is not taken here; the header Allow lists what is", request.method()))
}

/// Headers that every answer has unless its handler set them.
async fn harden(mut response: Response) -> Response {
    const DEFAULTS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
    ];
    for (name, value) in DEFAULTS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
