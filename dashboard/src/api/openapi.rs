//! The document that describes the API, kept by hand beside this file.

use axum::http::header;
use axum::response::IntoResponse;

/// OpenAPI 3.1 as JSON; tests hold it against the router and against real answers.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::api::routes;
    use crate::fake::Fake;

    #[test]
    fn it_describes_every_path_of_the_router_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
        let described = document["paths"].as_object().expect("paths is an object").keys().map(String::as_str);
        let routed: BTreeSet<&str> = routes::<Fake>().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described.collect::<BTreeSet<_>>(), routed);
    }
}
