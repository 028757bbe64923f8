//! The JSON API under `/api/v1`, one file a resource, and the document that describes it.

mod accounts;
mod admin;
mod blobs;
mod events;
mod jobs;
mod openapi;
mod pool;
mod ratecard;
mod sponsor;

use axum::routing::{MethodRouter, get, post};

pub use blobs::BLOB_PACE_BYTES;

use crate::app::Shared;
use crate::health;
use crate::port::Port;

/// Every path for machines with its methods; `openapi.json` describes each, which a test checks.
pub(crate) fn routes<P: Port>() -> Vec<(&'static str, MethodRouter<Shared<P>>)> {
    vec![
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::metrics)),
        ("/openapi.json", get(openapi::document)),
        ("/api/v1/pool", get(pool::show)),
        ("/api/v1/leaderboard", get(pool::leaderboard)),
        ("/api/v1/ratecard", get(ratecard::show)),
        ("/api/v1/accounts/{account}", get(accounts::show)),
        ("/api/v1/accounts/{account}/earnings", get(accounts::earnings)),
        ("/api/v1/accounts/{account}/payouts", get(accounts::payouts)),
        ("/api/v1/jobs", get(jobs::list).post(jobs::submit)),
        ("/api/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel)),
        ("/api/v1/jobs/{id}/result", get(jobs::result)),
        ("/api/v1/jobs/{id}/events", get(events::follow)),
        ("/api/v1/quotes", post(jobs::quote)),
        ("/api/v1/blobs", post(blobs::upload)),
        ("/api/v1/blobs/{digest}", get(blobs::download).head(blobs::look).put(blobs::resume)),
        ("/api/v1/sponsor", get(sponsor::show)),
        ("/api/v1/admin/sponsors", post(admin::create_sponsor)),
        ("/api/v1/admin/deposits", post(admin::deposit)),
    ]
}
