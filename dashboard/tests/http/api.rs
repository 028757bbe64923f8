//! What the API answers when all is well.

use std::collections::BTreeMap;

use lode_protocol::RateCard;
use serde_json::{Value, json};

use crate::client::{Server, start, start_with};

/// A job that is right, of this budget.
pub(crate) fn order(budget: u64) -> Value {
    json!({"kind": "hash", "spec": {}, "budget": budget, "asset": "CREDIT", "name": "mine"})
}

async fn ok(server: &Server, path: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}: {answer:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    answer.json()
}

#[tokio::test]
async fn anyone_reads_the_pool() {
    let server = start().await;
    let pool = ok(&server, "/api/v1/pool").await;
    assert_eq!((&pool["workers"], &pool["ledger"]["writable"]), (&json!(128), &json!(true)));
    assert!(pool["work"]["1m"].is_string(), "work is a decimal string");
    let card = ok(&server, "/api/v1/ratecard").await;
    let scrypt = lode_protocol::ratecard::SCRYPT_WORK_PER_HASH.to_string();
    let rated = |kind| Some((kind, RateCard::CURRENT.operations(kind)?.iter().copied().collect()));
    let operations: BTreeMap<&str, BTreeMap<&str, u64>> =
        RateCard::COUNTED_KINDS.into_iter().filter_map(rated).collect();
    assert_eq!(card["version"], RateCard::CURRENT.version());
    let published = json!({
        "version": card["version"], "work_per_difficulty": "4294967296", "work_per_hash": {"sha256d": "1", "scrypt": scrypt},
        "hashes_per_difficulty": {"sha256d": 4_294_967_296_u64, "scrypt": 65_536}, "milliwork_per_operation": operations,
    });
    assert_eq!(card, published);
}

#[tokio::test]
async fn anyone_reads_jobs_and_accounts() {
    let server = start().await;
    assert_eq!(ok(&server, "/api/v1/jobs/j1").await["id"], "j1");
    let account = ok(&server, "/api/v1/accounts/alice").await;
    assert_eq!(account["balances"]["CREDIT"]["matured"], "12480775209");
    assert_eq!(account["workers"][0]["rejected"]["stale"], 41);
    let earnings = ok(&server, "/api/v1/accounts/alice/earnings").await;
    assert_eq!(earnings["items"][0]["share_ppm"], 81250);
    let payouts = ok(&server, "/api/v1/accounts/alice/payouts").await;
    assert_eq!(payouts["items"][0]["amount"], "49000000000");
}

#[tokio::test]
async fn lists_are_paged() {
    let server = start().await;
    let first = ok(&server, "/api/v1/leaderboard?limit=10").await;
    assert_eq!(first["items"].as_array().map(Vec::len), Some(10));
    let path = format!("/api/v1/leaderboard?limit=10&cursor={}", first["next"].as_str().expect("there are more"));
    let second = ok(&server, &path).await;
    assert_eq!((second["items"].as_array().map(Vec::len), &second["next"]), (Some(4), &Value::Null));
    assert_eq!(ok(&server, "/api/v1/jobs?limit=1").await["items"][0]["id"], "j7");
}

#[tokio::test]
async fn a_sponsor_quotes_and_submits() {
    let server = start().await;
    let quote = server.sponsor("POST", "/api/v1/quotes").json(&order(1000)).send().await;
    assert_eq!((quote.status, &quote.json()["price"]), (200, &json!("1000")));
    let made = server.sponsor("POST", "/api/v1/jobs").json(&order(1000)).send().await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/jobs/j8"));
    let made = made.json();
    assert_eq!((&made["id"], &made["state"], &made["quote"]["fee_bps"]), (&json!("j8"), &json!("open"), &json!(100)));
    let money = server.sponsor("GET", "/api/v1/sponsor").send().await;
    assert_eq!((money.status, &money.json()["assets"]["CREDIT"]["balance"]), (200, &json!("7000000000")));
}

#[tokio::test]
async fn a_repeated_submission_makes_one_job() {
    let server = start().await;
    let submit =
        |body: &Value| server.sponsor("POST", "/api/v1/jobs").header("Idempotency-Key", "order 17").json(body).send();
    let (first, second) = (submit(&order(5)).await, submit(&order(5)).await);
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.json()["id"], second.json()["id"]);
    submit(&order(6)).await.problem(409);
}

#[tokio::test]
async fn a_sponsor_fetches_and_cancels() {
    let server = start().await;
    let result = server.sponsor("GET", "/api/v1/jobs/j1/result").send().await;
    assert_eq!((result.status, result.json()["header"].as_str().map(str::len)), (200, Some(160)));
    let cancelled = server.sponsor("DELETE", "/api/v1/jobs/j4").send().await;
    assert_eq!((cancelled.status, cancelled.json()["cancel_at"].is_string()), (200, true));
}

#[tokio::test]
async fn the_operator_makes_and_funds_sponsors() {
    let server = start().await;
    let made = server.admin("POST", "/api/v1/admin/sponsors").json(&json!({"name": "new"})).send().await;
    assert_eq!((made.status, made.json()), (201, json!({"name": "new", "key": "a-new-key"})));
    assert_eq!(made.header("cache-control"), "no-store", "a key must not be kept on the way");
    let deposit = json!({"sponsor": "new", "asset": "CREDIT", "amount": "70000", "reference": "wire 1"});
    let post = || server.admin("POST", "/api/v1/admin/deposits").json(&deposit).send();
    let (first, second) = (post().await, post().await);
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!((&first.json()["repeated"], &second.json()["repeated"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn machines_ask_for_health() {
    let server = start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{path}");
    }
    server.fake.break_down("the disk is full");
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.problem(503), "the disk is full");
}

#[tokio::test]
async fn metrics_are_rendered() {
    let handle = lode_dashboard::metrics::install().expect("there is no other recorder");
    let server = start_with(|options| options.metrics = Some(handle)).await;
    metrics::counter!(lode_dashboard::metrics::PAYOUTS, "asset" => "CREDIT").increment(7);
    let answer = server.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("lode_payouts_total{asset=\"CREDIT\"} 7"), "{}", answer.body);
}

#[tokio::test]
async fn a_range_jobs_figures_are_beside_a_searchs() {
    let server = start().await;
    let job = ok(&server, "/api/v1/jobs/j6").await;
    assert_eq!((&job["kind"], &job["algorithm"]), (&json!("render"), &Value::Null));
    assert_eq!([&job["elements"], &job["elements_done"], &job["elements_matured"]], [8160, 3200, 2400]);
    assert_eq!(job["audits"], json!({"passed": 15, "voided": 1}));
    assert_eq!((&job["preview"], &job["result"]), (&json!("/jobs/j6/preview.png"), &Value::Null));
    let search = ok(&server, "/api/v1/jobs/j4").await;
    for name in ["elements", "elements_done", "elements_matured", "audits", "preview"] {
        assert_eq!(search.get(name), Some(&Value::Null), "{name}");
    }
    let order = json!({"kind": "render", "spec": {}, "budget": 5, "asset": "CREDIT"});
    let quote = server.sponsor("POST", "/api/v1/quotes").json(&order).send().await.json();
    assert_eq!((&quote["elements"], &quote["algorithm"]), (&json!(8160), &Value::Null));
    assert_eq!(quote["notes"][0], "the scene's sounds are left out");
}

#[tokio::test]
async fn a_range_jobs_result_is_a_file() {
    let server = start().await;
    let path = "/api/v1/jobs/j7/result";
    let file = server.sponsor("GET", path).send_raw().await;
    assert_eq!((file.status, file.header("content-type")), (200, "image/png"));
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"a_sphere.png\"");
    assert_eq!(file.header("content-length"), file.bytes.len().to_string());
    assert_eq!(file.header("etag"), format!("\"{}\"", blake3::hash(&file.bytes).to_hex()));
    assert!(file.bytes.starts_with(b"\x89PNG\r\n"));
    let known = server.sponsor("GET", path).header("If-None-Match", file.header("etag")).send_raw().await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    server.get(path).await.problem(401);
    let other = server.request("GET", path).header("Authorization", "Bearer other-key").send().await;
    other.problem(404);
    server.sponsor("GET", "/api/v1/jobs/j6/result").send().await.problem(409);
}
