//! The accept loop: admits connections within limits and starts a task for each.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::session::Settings;
use super::{Shared, connection};

/// Wait after the system refuses a connection, e.g. for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How many connections may be open and how long they may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address; this machine's own are not counted.
    pub connections_per_address: usize,
    /// Until a worker has logged in.
    pub login: Duration,
    /// Without a line while there is work.
    pub idle: Duration,
}

/// Open connections by address. The mutex is held for a few lines that never wait.
#[derive(Debug, Default)]
pub struct Doors {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A place held by a connection, given back when dropped.
struct Place {
    doors: Arc<Doors>,
    address: IpAddr,
}

impl Doors {
    fn enter(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let here = open.entry(address).or_insert(0);
        let crowded = *here >= limits.connections_per_address && !address.to_canonical().is_loopback();
        if crowded || total >= limits.connections {
            if *here == 0 {
                open.remove(&address);
            }
            return None;
        }
        *here += 1;
        Some(Place { doors: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.doors.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Accepts connections until shutdown, then waits for those that are open to finish.
pub async fn serve(listener: TcpListener, settings: Settings, shared: Arc<Shared>, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, settings, &shared, &tasks, &shutdown),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    settings: Settings,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let address = peer.ip();
    if shared.bans.is_banned(address, shared.clock.now()) {
        tracing::debug!(%peer, "a banned address was turned away");
        return;
    }
    let Some(place) = shared.doors.enter(address, &shared.limits) else {
        tracing::debug!(%peer, "a connection over the limit was turned away");
        return;
    };
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        connection::run(stream, peer, settings, &shared, &shutdown).await;
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let limits = Limits { connections: 3, connections_per_address: 2, login: Duration::ZERO, idle: Duration::ZERO };
        let doors = Arc::new(Doors::default());
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = doors.enter(one, &limits);
        let second = doors.enter(one, &limits);
        assert!(first.is_some() && second.is_some() && doors.enter(one, &limits).is_none());
        let third = doors.enter(two, &limits);
        assert!(third.is_some() && doors.enter(two, &limits).is_none());
        drop((first, second, third));
        assert!(doors.open.lock().unwrap().is_empty());
        let local = IpAddr::from([127, 0, 0, 1]);
        let held: Vec<_> = (0..3).map(|_| doors.enter(local, &limits)).collect();
        assert!(held.iter().all(Option::is_some) && doors.enter(local, &limits).is_none());
    }
}
