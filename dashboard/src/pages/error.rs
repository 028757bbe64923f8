//! Errors for people: what is wrong and what to do, on a page.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::{Sheet, search};
use crate::app::{App, Shared};
use crate::port::Port;
use crate::problem::Fault;

/// What is answered at paths that lead nowhere: a page to browsers, a problem to programs.
pub(crate) async fn unknown_path<P: Port>(State(app): State<Shared<P>>, request: Request) -> Response {
    let path: String = request.uri().path().chars().take(128).collect();
    if !path.starts_with("/api/") && wants_page(request.headers()) {
        return page(&app, &Fault::not_found(format!("there is no page at {path}")));
    }
    Fault::not_found(format!("there is nothing at {path}; /openapi.json lists the API")).into_response()
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"))
}

/// A fault as a page.
pub(super) fn page<P: Port>(app: &App<P>, fault: &Fault) -> Response {
    let body = html! {
        section.narrow {
            p.eyebrow { (fault.status().as_u16()) }
            h1 { (fault.title()) }
            p { (sentence(fault.detail())) }
            (search(""))
            p { a href="/" { "To the pool" } }
        }
    };
    Sheet { title: fault.title(), under: "", live: None }.page_with(fault.status(), &app.port.pool(), &body)
}

fn sentence(detail: &str) -> String {
    let mut rest = detail.chars();
    rest.next().map(|first| format!("{}{}.", first.to_uppercase(), rest.as_str())).unwrap_or_default()
}
