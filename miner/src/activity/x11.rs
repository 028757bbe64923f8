//! How long the X server has had no input, by its screen saver extension.

use std::time::{Duration, Instant};

use tracing::debug;
use x11rb::connection::Connection as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::Presence;

/// How long a server that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The X server of a display of this machine.
pub(super) struct X11 {
    display: String,
    idle_after: Duration,
    server: Option<(RustConnection, u32)>,
    failed: Option<Instant>,
}

impl X11 {
    /// The server of `display`, if that is on this machine; a user without input for `idle_after` is absent.
    pub(super) fn new(display: &str, idle_after: Duration) -> Option<X11> {
        let is_local = display.starts_with(':') || display.starts_with("unix:") || display.starts_with('/');
        is_local.then(|| X11 { display: display.to_owned(), idle_after, server: None, failed: None })
    }

    /// What the server says now.
    pub(super) fn look(&mut self, now: Instant) -> Presence {
        if self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY_AFTER) {
            return Presence::Unknown;
        }
        match self.ask() {
            Ok(idle) if idle >= self.idle_after => Presence::Absent,
            Ok(_) => Presence::Active,
            Err(error) => {
                debug!("the X server at {} does not tell: {error}", self.display);
                (self.server, self.failed) = (None, Some(now));
                Presence::Unknown
            }
        }
    }

    fn ask(&mut self) -> Result<Duration, Box<dyn std::error::Error>> {
        let (server, root) = match self.server.take() {
            Some(server) => self.server.insert(server),
            None => {
                let (server, screen) = RustConnection::connect(Some(&self.display))?;
                let root = server.setup().roots.get(screen).ok_or("it has no screen")?.root;
                self.server.insert((server, root))
            }
        };
        let info = server.screensaver_query_info(*root)?.reply()?;
        Ok(Duration::from_millis(info.ms_since_user_input.into()))
    }
}
