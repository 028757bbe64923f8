//! The sponsor's and the operator's side: money, idempotency, and what is refused.

use lode_tests::pool::Home;
use lode_tests::sponsor::{Answer, Api};
use lode_tests::vectors::Vector;
use serde_json::{Value, json};

fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.content_type, "application/problem+json");
    for member in ["type", "title", "status", "detail"] {
        assert!(!answer.body[member].is_null(), "{member} is missing in {}", answer.body);
    }
    assert_eq!(answer.body["status"], answer.status);
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_deposit_counts_once_for_its_reference() {
    let home = Home::new("");
    let pool = home.start();
    let admin = Api::admin(&pool);
    admin.post("/admin/sponsors", &json!({"name": "acme"})).ok();
    let deposit =
        json!({"sponsor": "acme", "asset": "CREDIT", "amount": "79228162514264337593543950336", "reference": "wire 1"});
    let first = admin.post("/admin/deposits", &deposit).ok();
    let again = admin.post("/admin/deposits", &deposit).ok();
    assert_eq!((first["repeated"].clone(), again["repeated"].clone()), (json!(false), json!(true)));
    assert_eq!(first["balance"], "79228162514264337593543950336");
    assert_eq!(again["balance"], first["balance"]);
    assert_eq!(fields(&admin.post("/admin/sponsors", &json!({"name": "acme"}))), Vec::<String>::new());
    assert_eq!(admin.post("/admin/sponsors", &json!({"name": "acme"})).status, 409);
}

#[test]
fn an_idempotency_key_makes_one_job() {
    let home = Home::new("");
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let job = Vector::job_of_difficulty(10.0, 600);
    let first = sponsor.post_once("/jobs", "order-1", &job);
    assert_eq!(first.status, 201);
    let again = sponsor.post_once("/jobs", "order-1", &job);
    assert_eq!((again.status, again.body["id"].clone()), (200, first.body["id"].clone()));
    let other = Vector::job_of_difficulty(10.0, 300);
    assert_eq!(sponsor.post_once("/jobs", "order-1", &other).status, 409);
    let short = sponsor.post_once("/jobs", "order-2", &job);
    assert_eq!(short.status, 402);
    assert!(
        short.body["detail"].as_str().is_some_and(|text| text.contains("400") && text.contains("600")),
        "{}",
        short.body
    );
    pool.kill();
    let pool = home.start();
    let again = sponsor.at(&pool).post_once("/jobs", "order-1", &job);
    assert_eq!((again.status, again.body["id"].clone()), (200, first.body["id"].clone()), "the key outlives the pool");
    // Another sponsor's key of the same name is another key.
    let other = Api::admin(&pool).funded_sponsor("other", 1_000);
    assert_eq!(other.post_once("/jobs", "order-1", &job).status, 201);
}

#[test]
fn every_wrong_field_of_a_job_is_named() {
    let home = Home::new("");
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let good = Vector::job_of_difficulty(10.0, 600);
    let with = |path: &str, value: Value| {
        let mut job = good.clone();
        *job.pointer_mut(path).expect("a field") = value;
        let answer = sponsor.post("/jobs", &job);
        assert_eq!(answer.status, 422, "{path}: {}", answer.body);
        fields(&answer)
    };
    assert_eq!(with("/kind", json!("magic")), ["kind"]);
    assert_eq!(with("/budget", json!(-5)), ["budget"]);
    assert_eq!(with("/budget", json!(1.5)), ["budget"]);
    assert_eq!(with("/budget", json!("99999999999999999999999999999999999999999999")), ["budget"]);
    assert_eq!(with("/budget", json!(0)), ["budget"]);
    assert_eq!(with("/asset", json!("no spaces")), ["asset"]);
    assert_eq!(with("/spec", json!("text")), ["spec"]);
    assert_eq!(with("/spec/target", json!("00")), ["spec.target"]);
    assert_eq!(with("/spec/target", json!("0".repeat(64))), ["spec.target"]);
    assert_eq!(with("/spec/algorithm", json!("md5")), ["spec.algorithm"]);
    assert_eq!(with("/spec/merkle_branch", json!(["00"])), ["spec.merkle_branch"]);
    assert_eq!(with("/spec/coinbase1", json!("0g")), ["spec.coinbase1"]);
    assert_eq!(with("/spec/coinbase1", json!("00".repeat(7_000))), ["spec.coinbase1"]);
    assert_eq!(with("/spec/nbits", Value::Null), ["spec.nbits"]);
    let mut job = good.clone();
    job["spec"]["max_work"] = json!((1u128 << 90).to_string());
    assert_eq!(fields(&sponsor.post("/jobs", &job)), ["spec.max_work"], "no share would ever be found");
    let mut job = good.clone();
    job["surprise"] = json!(1);
    job["payout"] = json!("lottery");
    job["deadline_s"] = json!(0);
    assert_eq!(fields(&sponsor.post("/jobs", &job)), ["deadline_s", "payout", "surprise"]);
    assert_eq!(fields(&sponsor.post("/quotes", &json!({}))), ["kind", "spec", "budget", "asset"]);
    assert_eq!(sponsor.get("/sponsor").ok()["assets"]["CREDIT"]["balance"], "1000", "nothing was taken");
}

#[test]
fn keys_bodies_and_paths_that_are_wrong() {
    let home = Home::new("[http]\nbody_bytes_max = 4096\n");
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let anyone = Api::anyone(&pool);
    let job = Vector::job_of_difficulty(10.0, 600);
    for api in [anyone.clone(), anyone.with_key("guess"), anyone.with_key(&pool.admin)] {
        assert_eq!(api.post("/jobs", &job).status, 401);
        assert_eq!(api.get("/sponsor").status, 401);
    }
    assert_eq!(sponsor.post("/admin/deposits", &json!({})).status, 401);
    let raw = |content_type: &str, body: &str| {
        sponsor.send("POST", "/api/v1/jobs", &[("content-type", content_type)], Some(&json!(body)))
    };
    assert_eq!(raw("text/plain", "{}").status, 415);
    assert_eq!(raw("application/json", "{").status, 400);
    assert_eq!(raw("application/json", &" ".repeat(5_000)).status, 413);
    for (path, status) in
        [("/jobs/j99", 404), ("/jobs/x", 400), ("/accounts/nobody", 404), ("/jobs?limit=x", 400), ("/nothing", 404)]
    {
        let answer = anyone.get(path);
        fields(&answer);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    assert_eq!(anyone.send("PUT", "/api/v1/jobs", &[], None).status, 405);
}

#[test]
fn lists_are_paged_and_health_and_metrics_answer() {
    let home = Home::new("");
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let ids: Vec<String> = (0..5).map(|_| sponsor.submit(&Vector::job_of_difficulty(10.0, 10))).collect();
    let mut seen = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let page = sponsor.get(&path).ok();
        seen.extend(page["items"].as_array().expect("items").iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/jobs?limit=2&cursor={next}");
    }
    seen.reverse();
    assert_eq!(seen, ids);
    let anyone = Api::anyone(&pool);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/jobs", "/connect", "/leaderboard"] {
        assert_eq!(anyone.send("GET", path, &[], None).status, 200, "{path}");
    }
    let quote = sponsor.post("/quotes", &Vector::job_of_difficulty(10.0, 10)).ok();
    assert_eq!(
        (quote["runnable"].clone(), quote["why_not"].clone()),
        (json!(false), json!("no sha256d worker is connected"))
    );
}
