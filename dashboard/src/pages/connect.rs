//! How to point a rig here, with lines to copy.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use lode_protocol::Algorithm;
use lode_protocol::api::{ListenerView, PoolView};
use lode_protocol::ids::AccountName;
use maud::{Markup, html};

use super::layout::{Sheet, command};
use super::{AccountQuery, error};
use crate::app::Shared;
use crate::port::Port;
use crate::problem::Fault;

/// Longest host name.
const HOST_BYTES_MAX: usize = 253;
/// Stands in where the request does not name a host that is safe to repeat.
const UNKNOWN_HOST: &str = "POOL-HOST";

/// The host by which the browser came.
fn browsers_host(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(plain_host);
    host.unwrap_or(UNKNOWN_HOST)
}

/// The line for this project's own miner at the first listener.
pub(super) fn first_line(headers: &HeaderMap, pool: &PoolView, account: &str) -> String {
    let host = browsers_host(headers);
    match pool.listeners.first() {
        Some(listener) => lode_miner(listener, &address(host, listener), account),
        None => format!("lode-miner --url stratum+tcp://{host}:3333 --user {account}.rig-1"),
    }
}

/// `host:port` for the miners of a listener.
fn address(host: &str, listener: &ListenerView) -> String {
    format!("{host}:{}", port(listener).unwrap_or("3333"))
}

fn port(listener: &ListenerView) -> Option<&str> {
    listener.address.rsplit_once(':').map(|(_, port)| port)
}

/// The host of a Host header, if a shell takes it as it is.
fn plain_host(header: &str) -> Option<&str> {
    let host = match header.strip_prefix('[') {
        Some(rest) => &header[..rest.find(']')? + 2],
        None => header.split(':').next()?,
    };
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    let fits = (1..=HOST_BYTES_MAX).contains(&inner.len()) && inner.bytes().all(plain) && !inner.starts_with('-');
    fits.then_some(host)
}

fn lode_miner(listener: &ListenerView, address: &str, account: &str) -> String {
    let option = match listener.algorithm {
        Algorithm::Sha256d => "",
        Algorithm::Scrypt => " --algorithm scrypt",
    };
    format!("lode-miner{option} --url stratum+tcp://{address} --user {account}.rig-1")
}

/// `GET /connect`
pub(super) async fn show<P: Port>(
    State(app): State<Shared<P>>,
    headers: HeaderMap,
    account: Result<AccountQuery, Fault>,
) -> Response {
    let account = match account.and_then(|AccountQuery(text)| read(&text)) {
        Ok(account) => account,
        Err(fault) => return error::page(&app, &fault),
    };
    let pool = app.port.pool();
    let body = page(&pool, browsers_host(&headers), account.as_ref());
    Sheet { title: "Connect", under: "/connect", live: None }.page(&pool, &body)
}

fn read(text: &str) -> Result<Option<AccountName>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: lode_protocol::ids::NameError| Fault::bad_request(error.to_string()))
}

fn page(pool: &PoolView, host: &str, account: Option<&AccountName>) -> Markup {
    html! {
        h1 { "Connect a rig" }
        p.lead {
            "No sign-up. An account is a name that you choose, or a coin address; all that your rigs prove is credited "
            "to it, and anyone can look it up."
        }
        (chooser(account.map_or("", AccountName::as_str)))
        @if pool.listeners.is_empty() { p.empty { "The pool takes no miners at the moment." } }
        @for listener in &pool.listeners {
            (lines(listener, &address(host, listener), account.map_or("YOUR_ACCOUNT", AccountName::as_str)))
        }
        (facts(pool, host))
    }
}

fn chooser(account: &str) -> Markup {
    html! {
        form.search action="/connect" {
            label for="account" { "Account to fill in" }
            div {
                input #account name="account" value=(account) placeholder="name or coin address" maxlength="64"
                    pattern="[A-Za-z0-9_\\-]+" autocapitalize="none" autocomplete="off" spellcheck="false";
                button { "Fill in" }
            }
        }
    }
}

fn lines(listener: &ListenerView, address: &str, account: &str) -> Markup {
    let algorithm = listener.algorithm;
    let minerd = format!("minerd -a {algorithm} -o stratum+tcp://{address} -u {account}.rig-1 -p x");
    let cgminer = format!("cgminer -o stratum+tcp://{address} -u {account}.rig-1 -p x");
    let id = |program: &str| format!("{program}-{algorithm}");
    html! {
        section aria-labelledby=(id("lode")) {
            h2 id=(id("lode")) { "lode-miner, " (algorithm) }
            p { "Uses every GPU that it finds, through CUDA or OpenCL, and tests each before it mines." }
            (command(&id("line-lode"), &lode_miner(listener, address, account)))
        }
        section aria-labelledby=(id("minerd")) {
            h2 id=(id("minerd")) { "cpuminer, " (algorithm) }
            p { "On a CPU, with pooler's minerd." }
            (command(&id("line-minerd"), &minerd))
        }
        @if algorithm == Algorithm::Sha256d {
            section aria-labelledby=(id("cgminer")) {
                h2 id=(id("cgminer")) { "cgminer, " (algorithm) }
                p { "For ASICs; most firmwares ask for the same three values." }
                (command(&id("line-cgminer"), &cgminer))
            }
        }
    }
}

fn facts(pool: &PoolView, host: &str) -> Markup {
    html! {
        section aria-labelledby="values" {
            h2 #values { "The values" }
            dl.rows {
                @for listener in &pool.listeners {
                    div {
                        dt { "Address for " (listener.algorithm) }
                        dd { code { "stratum+tcp://" (address(host, listener)) } }
                    }
                }
                div { dt { "User" } dd { code { "ACCOUNT.RIG" } ", each of A–Z a–z 0–9 _ - and at most 64 long" } }
                div { dt { "Password" } dd { "anything; " code { "d=512" } " asks for shares of at least that difficulty" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_hosts_are_repeated() {
        for (header, host) in [
            ("pool.example:8080", Some("pool.example")),
            ("10.0.0.7", Some("10.0.0.7")),
            ("[::1]:8080", Some("[::1]")),
            ("[2001:db8::7]", Some("[2001:db8::7]")),
            ("", None),
            (":8080", None),
            ("[::1", None),
            ("[]", None),
            ("a;rm -rf x", None),
            ("$(reboot)", None),
            ("<script>", None),
            ("-o", None),
        ] {
            assert_eq!(plain_host(header), host, "{header}");
        }
        assert_eq!(plain_host(&"x".repeat(254)), None);
    }
}
