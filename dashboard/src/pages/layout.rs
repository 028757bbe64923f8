//! What all pages share: head, navigation, the live marker, foot, and small parts.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::api::PoolView;
use maud::{DOCTYPE, Markup, html};

use super::assets::{LIVE, MARK, STYLE};

/// The pages that the navigation leads to.
const NAVIGATION: [(&str, &str); 4] =
    [("/", "Pool"), ("/jobs", "Jobs"), ("/leaderboard", "Leaders"), ("/connect", "Connect")];

/// A page to be.
pub(super) struct Sheet<'a> {
    /// What the browser's tab says.
    pub(super) title: &'a str,
    /// The entry of the navigation that it belongs to, or nothing.
    pub(super) under: &'a str,
    /// Where its live stream is, or nothing.
    pub(super) live: Option<String>,
}

impl Sheet<'_> {
    /// The whole page.
    pub(super) fn page(&self, pool: &PoolView, body: &Markup) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head { (self.head(pool)) }
                body data-live=[&self.live] {
                    a.skip href="#main" { "Skip to content" }
                    (self.banner(pool))
                    main #main { (body) }
                    (foot(pool))
                }
            }
        };
        let about = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        (about, page.into_string()).into_response()
    }

    /// The same with a status other than 200.
    pub(super) fn page_with(&self, status: StatusCode, pool: &PoolView, body: &Markup) -> Response {
        (status, self.page(pool, body)).into_response()
    }

    fn head(&self, pool: &PoolView) -> Markup {
        html! {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (self.title) " · " (pool.name) }
            link rel="icon" type="image/svg+xml" href=(MARK.href());
            link rel="stylesheet" href=(STYLE.href());
            script src=(LIVE.href()) defer {}
        }
    }

    fn banner(&self, pool: &PoolView) -> Markup {
        html! {
            header.banner {
                a.brand href="/" { img src=(MARK.href()) alt="" width="22" height="22"; (pool.name) }
                nav aria-label="Main" {
                    @for (path, name) in NAVIGATION {
                        a href=(path) aria-current=[(path == self.under).then_some("page")] { (name) }
                    }
                }
                @if self.live.is_some() { span #live role="status" hidden {} }
            }
        }
    }
}

fn foot(pool: &PoolView) -> Markup {
    html! {
        footer {
            p { "Lode " (pool.version) ". Every share is in the ledger before it is acknowledged." }
            nav aria-label="For programs" {
                a href="/openapi.json" { "API" }
                a href="/api/v1/ratecard" { "Rate card" }
                a href="/metrics" { "Metrics" }
            }
        }
    }
}

/// A part of a page that its live stream renews.
pub(super) fn slot(id: &str, part: &Markup) -> Markup {
    html! { div id=(id) { (part) } }
}

/// A command line that can be copied.
pub(super) fn command(id: &str, line: &str) -> Markup {
    html! {
        div.command {
            pre tabindex="0" { code id=(id) { @for part in options(line) { span { (part) } } } }
            button type="button" data-copy=(id) hidden { "Copy" }
        }
    }
}

/// The line cut before each option, so that a narrow screen breaks it there.
fn options(line: &str) -> impl Iterator<Item = &str> {
    let cuts = line.match_indices(" -").map(|(at, _)| at + 1).chain([line.len()]);
    cuts.scan(0, |start, end| Some(&line[std::mem::replace(start, end)..end]))
}

/// The box that leads to an account's page.
pub(super) fn search(value: &str) -> Markup {
    html! {
        form.search action="/accounts" role="search" {
            label for="account" { "Your account" }
            div {
                input #account name="account" value=(value) placeholder="name or coin address" required
                    maxlength="64" pattern="[A-Za-z0-9_\\-]+" autocapitalize="none" autocomplete="off" spellcheck="false";
                button { "Look up" }
            }
        }
    }
}

/// The link to a list's next page.
pub(super) fn further(path: &str, next: Option<&str>, words: &str) -> Markup {
    html! {
        @if let Some(next) = next {
            p.further { a href={ (path) "?cursor=" (escape(next)) } rel="next" { (words) } }
        }
    }
}

/// A query's value, with everything but plain characters escaped.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_before_options() {
        let line = "minerd -a sha256d -u alice.rig-1";
        let parts: Vec<&str> = options(line).collect();
        assert_eq!(parts, ["minerd ", "-a sha256d ", "-u alice.rig-1"]);
        assert_eq!(parts.concat(), line, "what is copied is the line");
    }

    #[test]
    fn cursors_are_escaped_in_links() {
        assert_eq!(escape("a-1_x.~"), "a-1_x.~");
        assert_eq!(escape("a&b=\"é"), "a%26b%3D%22%C3%A9");
    }
}
