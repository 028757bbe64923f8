//! What is answered when something is wrong: always a problem, always with what would be right.

use serde_json::{Value, json};

use crate::api::order;
use crate::client::{start, start_with};
use crate::port::OTHER_KEY;

#[tokio::test]
async fn unknown_things_are_404() {
    let server = start().await;
    for path in ["/nothing", "/api/v1/nothing", "/api/v1/jobs/j99", "/api/v1/accounts/nobody"] {
        server.get(path).await.problem(404);
    }
    server.sponsor("GET", "/api/v1/jobs/j99/result").send().await.problem(404);
    server.sponsor("GET", "/api/v1/jobs/j99/events").send().await.problem(404);
}

#[tokio::test]
async fn wrong_ids_and_queries_are_400_and_named() {
    let server = start().await;
    assert!(server.get("/api/v1/jobs/17").await.problem(400).contains("j17"));
    assert!(server.get("/api/v1/accounts/a%20b").await.problem(400).contains("' '"));
    server.get("/api/v1/accounts/%FF").await.problem(400);
    assert!(server.get("/api/v1/jobs?page=2").await.problem(400).contains("\"page\""));
    assert!(server.get("/api/v1/jobs?limit=-1").await.problem(400).contains("limit"));
    assert!(server.get("/api/v1/accounts/alice/payouts?cursor=x").await.problem(422).contains("cursor"));
}

#[tokio::test]
async fn other_methods_are_405_with_what_is_taken() {
    let server = start().await;
    for (method, path) in [("PUT", "/api/v1/jobs"), ("POST", "/api/v1/pool"), ("GET", "/api/v1/quotes")] {
        let answer = server.request(method, path).send().await;
        answer.problem(405);
        assert!(!answer.header("allow").is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn keys_are_needed_and_must_be_right() {
    let server = start().await;
    let sponsors = [
        ("POST", "/quotes"),
        ("POST", "/jobs"),
        ("GET", "/sponsor"),
        ("GET", "/jobs/j1/result"),
        ("DELETE", "/jobs/j4"),
    ];
    let admins = [("POST", "/admin/sponsors"), ("POST", "/admin/deposits")];
    for (method, path) in sponsors.into_iter().chain(admins) {
        let path = format!("/api/v1{path}");
        let none = server.request(method, &path).send().await;
        none.problem(401);
        assert!(none.header("www-authenticate").starts_with("Bearer"));
        server.request(method, &path).header("Authorization", "Bearer wrong").send().await.problem(401);
        server.request(method, &path).header("Authorization", "Basic YTpi").send().await.problem(401);
    }
    server.admin("GET", "/api/v1/sponsor").send().await.problem(401);
    server.sponsor("POST", "/api/v1/admin/sponsors").json(&json!({"name": "x"})).send().await.problem(401);
}

#[tokio::test]
async fn a_key_that_was_sent_plainly_to_a_proxy_is_403() {
    let server = start_with(|options| options.trust_proxy_tls = true).await;
    let get = |proto: &str| server.sponsor("GET", "/api/v1/sponsor").header("X-Forwarded-Proto", proto).send();
    assert_eq!(get("https").await.status, 200);
    assert!(get("http").await.problem(403).contains("use https"));
}

#[tokio::test]
async fn anothers_jobs_are_not_given_out() {
    let server = start().await;
    let bearer = format!("Bearer {OTHER_KEY}");
    for (method, path) in [("GET", "/jobs/j1/result"), ("GET", "/jobs/j1/events"), ("DELETE", "/jobs/j4")] {
        let request = server.request(method, &format!("/api/v1{path}")).header("Authorization", &bearer);
        request.send().await.problem(404);
    }
}

#[tokio::test]
async fn bodies_must_be_json_objects_of_the_right_type() {
    let server = start().await;
    let post = || server.sponsor("POST", "/api/v1/jobs");
    post().body(b"{}").send().await.problem(415);
    post().header("Content-Type", "text/plain").body(b"{}").send().await.problem(415);
    let json = |body: &[u8]| post().header("Content-Type", "application/json").body(body).send();
    for bad in [&b""[..], b"{", b"{\"a\":1}x", b"\xff", "[".repeat(5000).as_bytes()] {
        json(bad).await.problem(400);
    }
    json(b"[]").await.problem(422);
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let server = start().await;
    let body = json!({"kind": "dig", "spec": {}, "budget": -5, "asset": "CREDIT", "colour": 1});
    let answer = server.sponsor("POST", "/api/v1/jobs").json(&body).send().await;
    answer.problem(422);
    let named: Vec<Value> =
        answer.json()["errors"].as_array().into_iter().flatten().map(|error| error["field"].clone()).collect();
    assert_eq!(named, ["kind", "budget", "colour"]);
    for budget in [json!(1.5), json!("1e9"), json!("999999999999999999999999999999999999999999"), json!(null)] {
        let body = json!({"kind": "hash", "spec": {}, "budget": budget, "asset": "CREDIT"});
        server.sponsor("POST", "/api/v1/quotes").json(&body).send().await.problem(422);
    }
    server.admin("POST", "/api/v1/admin/sponsors").json(&json!({"name": "a b"})).send().await.problem(422);
}

#[tokio::test]
async fn money_and_ledger_have_their_statuses() {
    let server = start().await;
    let detail = server.sponsor("POST", "/api/v1/jobs").json(&order(u64::MAX)).send().await.problem(402);
    assert!(detail.contains("7000000000"), "{detail}");
    server.sponsor("DELETE", "/api/v1/jobs/j1").send().await.problem(409);
    server.sponsor("GET", "/api/v1/jobs/j4/result").send().await.problem(409);
    server.admin("POST", "/api/v1/admin/sponsors").json(&json!({"name": "acme"})).send().await.problem(409);
    server.fake.break_down("the disk is full");
    let down = server.sponsor("POST", "/api/v1/jobs").json(&order(5)).send().await;
    assert!(down.problem(503).contains("the disk is full"));
    assert!(!down.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_body_over_the_bound_is_413() {
    let server = start_with(|options| options.body_bytes_max = 1000).await;
    let post = |bytes: usize| {
        let body = vec![b' '; bytes];
        server.sponsor("POST", "/api/v1/jobs").header("Content-Type", "application/json").body(&body).send()
    };
    post(1000).await.problem(400);
    assert!(post(1001).await.problem(413).contains("1000"));
    post(1 << 20).await.problem(413);
}

#[tokio::test]
async fn idempotency_keys_are_bounded() {
    let server = start().await;
    for key in ["x".repeat(129), "é".to_owned(), String::new()] {
        let request = server.sponsor("POST", "/api/v1/jobs").header("Idempotency-Key", &key);
        assert!(request.json(&order(5)).send().await.problem(400).contains("Idempotency-Key"), "{key:?}");
    }
}

#[tokio::test]
async fn metrics_without_a_recorder_are_404() {
    start().await.get("/metrics").await.problem(404);
}
