//! The time, handed in from outside so that tests can set it.

use std::sync::Arc;

use crate::ledger::entry::Millis;

/// Tells the time. Only a `main` and a test make one.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// A clock that asks `source` for milliseconds since 1970, UTC.
    pub fn new(source: impl Fn() -> Millis + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(source))
    }

    /// Milliseconds since 1970, UTC.
    #[must_use]
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A time as RFC 3339, to the millisecond.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    let millis = i64::try_from(at).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}
