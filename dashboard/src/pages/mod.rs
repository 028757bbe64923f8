//! The pages, drawn on the server; they work without script, which only renews their figures.

mod account;
mod assets;
mod connect;
mod error;
pub(crate) mod figures;
mod front;
mod job;
mod jobs;
mod layout;
mod leaderboard;
mod preview;
mod range_job;

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get};

use crate::app::Shared;
use crate::port::Port;
use crate::problem::Fault;

pub(crate) use account::fragments as account_fragments;
pub(crate) use error::unknown_path;
pub(crate) use front::fragments as front_fragments;
pub(crate) use job::fragments as job_fragments;

/// Parts of a page that are renewed while it is open, by the id of their element.
pub(crate) type Fragments = BTreeMap<&'static str, String>;

/// Every path for people.
pub(crate) fn routes<P: Port>() -> Vec<(&'static str, MethodRouter<Shared<P>>)> {
    vec![
        ("/", get(front::show)),
        ("/accounts", get(account::find)),
        ("/accounts/{account}", get(account::show)),
        ("/jobs", get(jobs::show)),
        ("/jobs/{id}", get(job::show)),
        ("/jobs/{id}/preview.png", get(preview::show)),
        ("/leaderboard", get(leaderboard::show)),
        ("/connect", get(connect::show)),
        ("/static/{file}", get(assets::file)),
    ]
}

/// The query's `account`, blanks around it cut off; empty where there is none.
struct AccountQuery(String);

impl<S: Send + Sync> FromRequestParts<S> for AccountQuery {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<AccountQuery, Fault> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| Fault::bad_request(error.body_text()))?;
        let found = pairs.into_iter().find(|(name, _)| name == "account");
        Ok(AccountQuery(found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()))
    }
}
