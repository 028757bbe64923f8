//! One run of the miner, from its options to its summary.

use std::io;
use std::sync::Arc;

use lode_kernels::Device;
use lode_protocol::Algorithm;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::dial::Dial;
use crate::fleet::Fleet;
use crate::link::now;
use crate::pools::Pools;
use crate::screen::{Screen, View};
use crate::session::Login;
use crate::share_log::ShareLog;
use crate::status::Status;
use crate::summary::Summary;
use crate::url::PoolUrl;

/// What a run needs to know.
pub struct Options {
    /// The pools, best first; at least one.
    pub urls: Vec<PoolUrl>,
    /// Who logs in.
    pub login: Login,
    /// What the pools' shares are hashed with.
    pub algorithm: Algorithm,
    /// How pools are reached.
    pub dial: Arc<dyn Dial>,
    /// How the run is shown.
    pub view: View,
}

/// Mines with `devices` until `shutdown` is cancelled or no device is left.
///
/// # Errors
/// The system gives no threads.
pub async fn run(options: Options, devices: Vec<Box<dyn Device>>, shutdown: CancellationToken) -> io::Result<Summary> {
    let began = now();
    let (fleet, found) = Fleet::start(devices)?;
    let first = options.urls.first().map(ToString::to_string).unwrap_or_default();
    let (status, seen) = watch::channel(Status::new(first, options.urls.len()));
    let user = options.login.user.clone();
    let mut client = Client {
        pools: Pools::new(options.urls),
        login: options.login,
        algorithm: options.algorithm,
        dial: options.dial,
        fleet,
        found,
        status,
        shutdown,
        sessions: 0,
        failed: 0,
        share_log: ShareLog::default(),
        reject_log: ShareLog::default(),
    };
    let mut screen = Screen::new(options.view, user, client.fleet.members.clone(), seen, began);
    let end = tokio::select! {
        end = client.run() => end,
        never = screen.keep_up() => match never {},
    };
    screen.close();
    Ok(Summary::new(end, now().saturating_duration_since(began), &client.fleet.members))
}
