//! Where a pool is: `stratum+tcp://HOST:PORT`, read strictly.

use std::fmt;
use std::str::FromStr;

/// Most characters of a host name (RFC 1035, 2.3.4).
const HOST_CHARS_MAX: usize = 253;

/// How to talk to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Ssl,
}

impl Scheme {
    const ALL: [(&'static str, Scheme); 2] = [("stratum+tcp://", Scheme::Tcp), ("stratum+ssl://", Scheme::Ssl)];

    fn prefix(self) -> &'static str {
        match self {
            Scheme::Tcp => "stratum+tcp://",
            Scheme::Ssl => "stratum+ssl://",
        }
    }
}

/// A pool's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolUrl {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A text that is no pool's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {what}; taken is stratum+tcp://HOST:PORT or stratum+ssl://HOST:PORT")]
pub struct UrlError {
    text: String,
    what: &'static str,
}

impl FromStr for PoolUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<PoolUrl, UrlError> {
        parse(text).map_err(|what| UrlError { text: text.chars().take(HOST_CHARS_MAX).collect(), what })
    }
}

fn parse(text: &str) -> Result<PoolUrl, &'static str> {
    let (scheme, rest) = Scheme::ALL
        .into_iter()
        .find_map(|(prefix, scheme)| text.strip_prefix(prefix).map(|rest| (scheme, rest)))
        .ok_or("does not begin with stratum+tcp:// or stratum+ssl://")?;
    let (host, port) = rest.rsplit_once(':').ok_or("has no port")?;
    let port = parse_port(port).ok_or("has no port from 1 to 65535 at its end")?;
    Ok(PoolUrl { scheme, host: parse_host(host)?, port })
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&port| port > 0)
}

/// Checks a host: a name, an IPv4 address, or an IPv6 address in brackets.
fn parse_host(text: &str) -> Result<String, &'static str> {
    if let Some(inside) = text.strip_prefix('[') {
        let address = inside.strip_suffix(']').ok_or("has a [ without its ]")?;
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err("has no IPv6 address within its brackets"),
        };
    }
    if is_host_name(text) { Ok(text.to_ascii_lowercase()) } else { Err("has no host name or address before its port") }
}

/// Whether `text` has the form of a host name or an IPv4 address.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= HOST_CHARS_MAX && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

impl fmt::Display for PoolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, host, port) = (self.scheme.prefix(), &self.host, self.port);
        if host.contains(':') { write!(f, "{prefix}[{host}]:{port}") } else { write!(f, "{prefix}{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["stratum+tcp://pool.example:3333", "stratum+ssl://10.0.0.7:1", "stratum+tcp://[::1]:65535"] {
            assert_eq!(text.parse::<PoolUrl>().unwrap().to_string(), text);
        }
        assert_eq!("stratum+tcp://[::1]:9".parse::<PoolUrl>().unwrap().host, "::1");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_taken() {
        for (text, what) in [
            ("http://pool:1", "does not begin"),
            ("pool.example:3333", "does not begin"),
            ("stratum+tcp://pool.example", "has no port"),
            ("stratum+tcp://pool.example:0", "has no port from 1"),
            ("stratum+tcp://pool.example:+5", "has no port from 1"),
            ("stratum+tcp://pool.example:3333/", "has no port from 1"),
            ("stratum+tcp://:3333", "has no host"),
            ("stratum+tcp://a..b:3333", "has no host"),
            ("stratum+tcp://user@pool:3333", "has no host"),
            ("stratum+tcp://[::1:3333", "has a [ without"),
            ("stratum+tcp://[pool]:3333", "has no IPv6"),
        ] {
            let error = text.parse::<PoolUrl>().unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("taken is stratum+tcp://HOST:PORT"), "{text}: {error}");
        }
    }
}
