//! Who calls: bearer keys of sponsors and the operator, and whether a key may travel this way at all.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use lode_protocol::ids::SponsorName;

use crate::app::{App, Shared};
use crate::port::{BlobClient, Port};
use crate::problem::Fault;

/// Longest key looked at.
const KEY_BYTES_MAX: usize = 256;

/// The sponsor whose key the request carries.
pub(crate) struct Sponsor(pub(crate) SponsorName);

/// Who moves blobs with this request: a sponsor by its key, or a miner by the token of its connection.
pub(crate) struct Mover(pub(crate) BlobClient);

/// The sponsor whose key the request carries, where it carries one.
pub(crate) struct MaybeSponsor(pub(crate) Option<SponsorName>);

/// Proof that the request carries the operator's token.
pub(crate) struct Admin;

impl<P: Port> FromRequestParts<Shared<P>> for Sponsor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Shared<P>) -> Result<Sponsor, Fault> {
        let key = key_of(parts, app)?;
        app.port
            .sponsor_of_key(&key)
            .map(Sponsor)
            .ok_or_else(|| Fault::unauthorized("no sponsor has this key; the operator makes one"))
    }
}

impl<P: Port> FromRequestParts<Shared<P>> for Mover {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Shared<P>) -> Result<Mover, Fault> {
        // A miner got its token over stratum without TLS as a rule, and it buys nothing but transfers of its own units; so
        // it may come over plain HTTP, where a key may not.
        let token = bearer(&parts.headers)?;
        if app.port.is_miner_token(&token) {
            return Ok(Mover(BlobClient::Miner(token)));
        }
        Sponsor::from_request_parts(parts, app).await.map(|Sponsor(name)| Mover(BlobClient::Sponsor(name)))
    }
}

impl<P: Port> FromRequestParts<Shared<P>> for MaybeSponsor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Shared<P>) -> Result<MaybeSponsor, Fault> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(MaybeSponsor(None));
        }
        Sponsor::from_request_parts(parts, app).await.map(|Sponsor(name)| MaybeSponsor(Some(name)))
    }
}

impl<P: Port> FromRequestParts<Shared<P>> for Admin {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Shared<P>) -> Result<Admin, Fault> {
        let token = key_of(parts, app)?;
        match app.port.is_admin_token(&token) {
            true => Ok(Admin),
            false => {
                Err(Fault::unauthorized("this is not the admin token; it is in admin.token of the data directory"))
            }
        }
    }
}

fn key_of<P>(parts: &Parts, app: &App<P>) -> Result<String, Fault> {
    let key = bearer(&parts.headers)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let proto = parts.headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok());
    match peer {
        Some(peer) if may_carry_key(peer, proto, app.options.trust_proxy_tls) => Ok(key),
        _ => Err(Fault::key_in_the_open(
            "this connection is not encrypted, so a key sent over it can be read on the way: use https, or call from \
             the pool's own machine; an operator whose proxy does TLS says so in the pool's config. \
             Replace this key if the network is not yours",
        )),
    }
}

/// Whether a request of this peer may carry a key: over loopback, or where a trusted proxy in front
/// does TLS, unless that proxy says that its client spoke plainly.
fn may_carry_key(peer: IpAddr, forwarded_proto: Option<&str>, trust_proxy_tls: bool) -> bool {
    let plain_at_proxy = forwarded_proto.is_some_and(|proto| !proto.eq_ignore_ascii_case("https"));
    !plain_at_proxy && (trust_proxy_tls || peer.to_canonical().is_loopback())
}

fn bearer(headers: &HeaderMap) -> Result<String, Fault> {
    let missing = || Fault::unauthorized("send the header Authorization: Bearer KEY");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    let key = key.trim_matches(' ');
    let fits = (1..=KEY_BYTES_MAX).contains(&key.len());
    if scheme.eq_ignore_ascii_case("bearer") && fits { Ok(key.to_owned()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(peer: &str, proto: Option<&str>, trust: bool) -> bool {
        may_carry_key(peer.parse().expect("is an address"), proto, trust)
    }

    #[test]
    fn keys_travel_over_loopback_or_behind_tls() {
        for loopback in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert!(may(loopback, None, false), "{loopback} was refused");
        }
        for distant in ["10.0.0.7", "192.168.1.4", "203.0.113.9", "2001:db8::1", "::ffff:10.0.0.1", "0.0.0.0"] {
            assert!(!may(distant, None, false), "{distant} was taken");
            assert!(!may(distant, Some("https"), false), "anyone can write the header");
            assert!(may(distant, None, true), "{distant} was refused behind a proxy");
        }
    }

    #[test]
    fn a_proxy_that_was_spoken_to_plainly_is_believed() {
        assert!(!may("127.0.0.1", Some("http"), false));
        assert!(!may("10.0.0.7", Some("http"), true));
        assert!(may("10.0.0.7", Some("HTTPS"), true));
    }

    #[test]
    fn the_header_has_one_form() {
        let key = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().expect("is a header value"));
            bearer(&headers).ok()
        };
        assert_eq!(key("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(key("bearer  abc ").as_deref(), Some("abc"));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(key(bad), None, "{bad:?} was taken");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
