//! Which pool to try next and how long to wait before it: the urls in order, then a growing pause, then again.

use std::net::IpAddr;
use std::time::Duration;

use lode_protocol::method::Reconnect;

use crate::url::{PoolUrl, is_host_name};

/// Most pools of one run.
pub const URLS_MAX: usize = 16;
/// The pause after the first round in which no pool would have us; it doubles with each.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The pause never grows beyond this.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The pools of a run, and where we are among them.
#[derive(Debug, Clone)]
pub struct Pools {
    urls: Vec<PoolUrl>,
    /// Ids by which the pools would resume our sessions.
    resume_by: Vec<Option<String>>,
    current: usize,
    rounds_failed: u32,
    /// Where a pool sent us, for the next try only.
    detour: Option<PoolUrl>,
}

impl Pools {
    /// Begins with the first of `urls`, of which there must be one.
    #[must_use]
    pub fn new(urls: Vec<PoolUrl>) -> Pools {
        assert!(!urls.is_empty(), "a miner needs a pool");
        let resume_by = vec![None; urls.len()];
        Pools { urls, resume_by, current: 0, rounds_failed: 0, detour: None }
    }

    /// The pool to try now, with the id of an earlier session.
    #[must_use]
    pub fn target(&self) -> (&PoolUrl, Option<&str>) {
        let url = self.detour.as_ref().unwrap_or(&self.urls[self.current]);
        (url, self.resume_by[self.current].as_deref())
    }

    /// The first pool, while another one is in use.
    #[must_use]
    pub fn primary_to_probe(&self) -> Option<(&PoolUrl, Option<&str>)> {
        (self.current > 0).then(|| (&self.urls[0], self.resume_by[0].as_deref()))
    }

    /// The current pool's place, from 1, and how many there are.
    #[must_use]
    pub fn place(&self) -> (usize, usize) {
        (self.current + 1, self.urls.len())
    }

    /// Notes the id by which the current pool resumes this session.
    pub fn set_resume_by(&mut self, id: Option<&str>) {
        self.resume_by[self.current] = id.map(str::to_owned);
    }

    /// The primary is in use again.
    pub fn return_to_primary(&mut self) {
        (self.current, self.detour) = (0, None);
    }

    /// A try failed, or a session ended at once: turns to the next pool and answers how long to wait before it.
    /// `jitter` is random in 0..1, so that the rigs of a broken pool do not all come back together.
    pub fn failed(&mut self, jitter: f64) -> Duration {
        if self.detour.take().is_some() {
            return Duration::ZERO;
        }
        self.current += 1;
        if self.current < self.urls.len() {
            return Duration::ZERO;
        }
        self.current = 0;
        let pause = PAUSE_MIN.saturating_mul(1 << self.rounds_failed.min(16)).min(PAUSE_MAX);
        self.rounds_failed = self.rounds_failed.saturating_add(1);
        pause.mul_f64(0.5 + jitter / 2.0)
    }

    /// A session that had lasted ended: begins anew with the first pool, within a second.
    pub fn lost(&mut self, jitter: f64) -> Duration {
        self.return_to_primary();
        self.rounds_failed = 0;
        PAUSE_MIN.mul_f64(jitter)
    }

    /// A pool at `from` sends us elsewhere; answers how long to wait first.
    ///
    /// # Errors
    /// The place is not the same pool's.
    pub fn redirected(&mut self, from: &PoolUrl, reconnect: &Reconnect) -> Result<Duration, ForeignHost> {
        let host = reconnect.host.clone().unwrap_or_else(|| from.host.clone());
        if !is_same_domain(&from.host, &host) {
            return Err(ForeignHost { from: from.host.clone(), to: crate::session::printable(&host) });
        }
        let port = reconnect.port.filter(|&port| port > 0).unwrap_or(from.port);
        self.detour = Some(PoolUrl { scheme: from.scheme, host, port });
        Ok(Duration::from_secs(reconnect.wait_s))
    }
}

/// A pool would send its miners to somebody else. An attacker on the wire could steal a rig's work that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{from} asks to reconnect to {to}, which is not of its domain")]
pub struct ForeignHost {
    from: String,
    to: String,
}

/// Whether two hosts belong to one domain: equal, or within the domain that `from` is a host of.
fn is_same_domain(from: &str, to: &str) -> bool {
    let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
    if from == to {
        return true;
    }
    if [&from, &to].into_iter().any(|host| host.parse::<IpAddr>().is_ok() || !is_host_name(host)) {
        return false;
    }
    let is_within = |domain: &str| to.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') || rest.is_empty());
    is_within(&from) || parent_domain(&from).is_some_and(is_within)
}

/// The domain that a host is in, unless it is one in which anybody can register (`com`, `co.uk`).
fn parent_domain(host: &str) -> Option<&str> {
    let (_, parent) = host.split_once('.')?;
    let (first, rest) = parent.split_once('.')?;
    // Second-level registries lie under country codes and have short names.
    let is_registry = !rest.contains('.') && rest.len() == 2 && first.len() <= 3;
    (!is_registry).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(count: usize) -> Pools {
        Pools::new((1..=count).map(|n| format!("stratum+tcp://p{n}.test:3333").parse().unwrap()).collect())
    }

    #[test]
    fn every_pool_is_tried_before_a_pause_which_doubles_to_its_bound() {
        let mut pools = pools(3);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            for wanted in ["p1.test", "p2.test", "p3.test"] {
                assert_eq!(pools.target().0.host, wanted);
                pauses.push(pools.failed(1.0).as_secs());
            }
        }
        assert_eq!(pauses.iter().copied().filter(|&s| s > 0).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pools.lost(0.25), Duration::from_millis(250));
        for _ in 0..2 {
            assert!(pools.failed(0.0).is_zero());
        }
        assert_eq!(pools.failed(0.0), Duration::from_millis(500), "the pause began anew");
    }

    #[test]
    fn each_pool_has_its_own_session_to_resume() {
        let mut pools = pools(2);
        pools.set_resume_by(Some("a"));
        assert_eq!(pools.primary_to_probe(), None);
        pools.failed(0.0);
        assert_eq!(pools.target().1, None);
        assert_eq!(pools.primary_to_probe().unwrap().1, Some("a"));
        pools.return_to_primary();
        assert_eq!((pools.target().1, pools.place()), (Some("a"), (1, 2)));
    }

    #[test]
    fn a_pool_sends_us_within_its_domain_only() {
        let from: PoolUrl = "stratum+tcp://eu.pool.test:3333".parse().unwrap();
        let to = |host: &str| Reconnect { host: Some(host.into()), port: Some(4444), wait_s: 2 };
        let mut pools = pools(1);
        assert_eq!(pools.redirected(&from, &to("us.pool.test")), Ok(Duration::from_secs(2)));
        assert_eq!(pools.target().0.to_string(), "stratum+tcp://us.pool.test:4444");
        pools.failed(0.0);
        assert_eq!(pools.target().0.host, "p1.test", "a detour is tried once");
        assert_eq!(pools.redirected(&from, &Reconnect::default()), Ok(Duration::ZERO));
        assert_eq!(pools.target().0, &from);
        let error = pools.redirected(&from, &to("evil.test")).unwrap_err().to_string();
        assert_eq!(error, "eu.pool.test asks to reconnect to evil.test, which is not of its domain");
    }

    #[test]
    fn domains() {
        for (from, to, same) in [
            ("pool.com", "pool.com", true),
            ("pool.com", "eu.pool.com", true),
            ("EU.pool.com", "us.Pool.com", true),
            ("eu.pool.com", "pool.com", true),
            ("pool.com", "evil.com", false),
            ("pool.com", "evilpool.com", false),
            ("eu.pool.com", "us.evilpool.com", false),
            ("pool.co.uk", "evil.co.uk", false),
            ("a.pool.co.uk", "b.pool.co.uk", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "11.0.0.1", false),
            ("pool", "evil", false),
            ("eu.pool.com", "x/y.pool.com", false),
        ] {
            assert_eq!(is_same_domain(from, to), same, "{from} to {to}");
        }
    }
}
