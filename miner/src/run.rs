//! One run of the miner, from its options to its summary.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;

use lode_kernels::Device;
use lode_kinds::Kind;
use lode_protocol::Algorithm;
use lode_protocol::key::SecretKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::blobs::{Blobs, Cache};
use crate::client::Client;
use crate::dial::Dial;
use crate::fleet::Fleet;
use crate::governor::Governor;
use crate::health::Sensors;
use crate::limits::Limits;
use crate::link::now;
use crate::meter::Meter;
use crate::monitor::Monitor;
use crate::pools::Pools;
use crate::ranges::Ranges;
use crate::rig::Rig;
use crate::screen::{Screen, View};
use crate::session::Login;
use crate::share_log::ShareLog;
use crate::status::Status;
use crate::summary::Summary;
use crate::url::PoolUrl;
use crate::work::device_algorithm;

/// What a run needs to know.
pub struct Options {
    /// The pools, best first; at least one.
    pub urls: Vec<PoolUrl>,
    /// Who logs in.
    pub login: Login,
    /// What the pools' shares are hashed with.
    pub algorithm: Algorithm,
    /// Which kinds of work are taken.
    pub kinds: Vec<Kind>,
    /// What proves to pools who the rig is; without it there is no range work.
    pub key: Option<SecretKey>,
    /// Where the inputs of range work are kept.
    pub cache: Cache,
    /// Most of a device's memory to use, in bytes.
    pub memory_max: Option<u64>,
    /// How pools are reached.
    pub dial: Arc<dyn Dial>,
    /// How the run is shown.
    pub view: View,
    /// What devices are held to.
    pub limits: Limits,
    /// What reads their health, if anything.
    pub sensors: Option<Box<dyn Sensors>>,
    /// What sees others, where devices give way to them.
    pub activity: Option<Box<dyn Activity>>,
    /// Where the run's figures are told, if anywhere.
    pub monitor: Option<TcpListener>,
}

/// Mines with `devices` until `shutdown` is cancelled or no device is left.
///
/// # Errors
/// The system gives no threads.
pub async fn run(options: Options, devices: Vec<Box<dyn Device>>, shutdown: CancellationToken) -> io::Result<Summary> {
    let began = now();
    let (fleet, found) = Fleet::start(devices, &options.kinds, device_algorithm(options.algorithm), &options.limits)?;
    let first = options.urls.first().map(ToString::to_string).unwrap_or_default();
    let (status, seen) = watch::channel(Status::new(first, options.urls.len(), began));
    let members = fleet.members.clone();
    let mut governor = Governor::start(members.clone(), &options.limits, options.sensors, options.activity)?;
    let meter = Arc::new(Meter::new(members.clone(), began));
    let user = options.login.user.clone();
    let does: Vec<_> = members.iter().map(|member| (&member.info, &member.kinds[..])).collect();
    let blobs = Blobs::new(options.cache, Arc::clone(&options.dial));
    let ranges = Ranges::new(options.key, &does, options.memory_max, Arc::clone(&fleet.board), blobs);
    let mut client = Client {
        pools: Pools::new(options.urls),
        login: options.login,
        algorithm: options.algorithm,
        searches: options.kinds.contains(&Kind::Hash),
        dial: options.dial,
        fleet,
        found,
        ranges,
        status,
        shutdown,
        sessions: 0,
        failed: 0,
        share_log: ShareLog::default(),
        reject_log: ShareLog::default(),
    };
    let rig = Rig { user, members, meter: Arc::clone(&meter), status: seen, began };
    let monitor = options.monitor.map(|listener| Monitor::new(listener, rig.clone()));
    let mut screen = Screen::new(options.view, rig);
    let end = tokio::select! {
        end = client.run() => end,
        never = screen.keep_up() => match never {},
        never = governor.keep_up() => match never {},
        never = meter.keep_up() => match never {},
        never = serve(monitor.as_ref()) => match never {},
    };
    screen.close();
    Ok(Summary::new(end, now().saturating_duration_since(began), &client.fleet.members))
}

async fn serve(monitor: Option<&Monitor>) -> Infallible {
    match monitor {
        Some(monitor) => monitor.serve().await,
        None => pending().await,
    }
}
