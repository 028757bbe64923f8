//! Where a pool keeps its blobs: `http://HOST:PORT/PREFIX`, read strictly, and what opens its door.

use std::fmt;

use hyper::Uri;
use lode_protocol::Digest;

use crate::url::{PoolUrl, Scheme, is_host_name};

/// The place.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Whereto streams are opened; TLS where the scheme says so.
    pub(super) address: PoolUrl,
    /// The path before `/api/v1`.
    prefix: String,
    /// The session's token.
    token: String,
}

/// A text that is no place of blobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place for blobs; taken is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]")]
pub struct PlaceError(String);

impl Place {
    /// At a port of the pool's own host, in plain HTTP.
    #[must_use]
    pub fn at_port(pool: &PoolUrl, port: u16, token: String) -> Place {
        let address = PoolUrl { scheme: Scheme::Tcp, host: pool.host.clone(), port };
        Place { address, prefix: String::new(), token }
    }

    /// At an address that the pool gives.
    ///
    /// # Errors
    /// It is none.
    pub fn at_url(text: &str, token: String) -> Result<Place, PlaceError> {
        let place = || -> Option<Place> {
            let uri: Uri = text.parse().ok()?;
            let (scheme, default) = match uri.scheme_str()? {
                "http" => (Scheme::Tcp, 80),
                "https" => (Scheme::Ssl, 443),
                _ => return None,
            };
            let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
            let host = authority.host();
            let host = match host.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) {
                Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
                None => Some(host.to_ascii_lowercase()).filter(|host| is_host_name(host))?,
            };
            let port = match authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
                Some(_) => authority.port_u16().filter(|port| *port > 0)?,
                None => default,
            };
            let prefix = uri.path().trim_end_matches('/').to_owned();
            uri.query().is_none().then_some(Place { address: PoolUrl { scheme, host, port }, prefix, token })
        };
        place().ok_or_else(|| PlaceError(crate::session::printable(text)))
    }

    /// The path of a blob.
    pub(super) fn path(&self, digest: &Digest) -> String {
        format!("{}/api/v1/blobs/{digest}", self.prefix)
    }

    /// What the header `Host` says.
    pub(super) fn host(&self) -> String {
        let PoolUrl { host, port, .. } = &self.address;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// What the header `Authorization` says.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

/// Without the token, which is nobody's business.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.address.scheme {
            Scheme::Tcp => "http",
            Scheme::Ssl => "https",
        };
        write!(f, "{scheme}://{}{}", self.host(), self.prefix)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back_as_meant() {
        for (text, meant) in [
            ("http://pool.test", "http://pool.test:80"),
            ("https://Pool.test/", "https://pool.test:443"),
            ("https://pool.test:8443/lode/", "https://pool.test:8443/lode"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            let place = Place::at_url(text, "secret".into()).unwrap();
            assert_eq!(place.to_string(), meant, "{text}");
            assert!(!format!("{place:?}").contains("secret"), "tokens stay out of logs");
        }
        let digest = Digest([0xab; 32]);
        let place = Place::at_url("http://p.test/lode", "t".into()).unwrap();
        assert_eq!(place.path(&digest), format!("/lode/api/v1/blobs/{}", "ab".repeat(32)));
        let pool = "stratum+ssl://[::1]:3333".parse().unwrap();
        assert_eq!(Place::at_port(&pool, 8080, "t".into()).to_string(), "http://[::1]:8080");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "pool.test",
            "/lode",
            "ftp://pool.test",
            "http://",
            "http://a@pool.test",
            "http://pool.test:0",
            "http://pool.test:99999",
            "http://pool.test:x",
            "http://pool.test?x=1",
            "http://a..b",
            "http://[pool]",
        ] {
            let error = Place::at_url(text, "t".into()).unwrap_err().to_string();
            assert!(error.contains("taken is http://HOST"), "{text}: {error}");
        }
    }
}
