//! Server-sent events, of the API and of live pages.

use std::time::Duration;

use lode_protocol::difficulty::Work;
use lode_protocol::ids::JobId;

use tokio::time::timeout;

use crate::client::{read_until, start, start_with};

/// Well under the time after which an unchanged pool is looked at again.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_jobs_events_end_with_done() {
    let server = start().await;
    let mut stream = server.sponsor("GET", "/api/v1/jobs/j4/events").open().await;
    let head = read_until(&mut stream, "event: progress").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    server.fake.change(JobId(4), |job| job.work_proven = Work(123_456_789));
    read_until(&mut stream, "\"work_proven\":\"123456789\"").await;
    server.fake.finish();
    let rest = read_until(&mut stream, "\r\n0\r\n").await;
    assert!(rest.contains("event: done") && rest.contains("\"event\":\"done\""), "{rest}");
}

#[tokio::test]
async fn a_range_job_tells_its_units_and_audits() {
    let server = start().await;
    let mut stream = server.sponsor("GET", "/api/v1/jobs/j6/events").open().await;
    let first = read_until(&mut stream, "event: progress").await;
    assert!(!first.contains("event: unit") && !first.contains("event: audit"), "nothing was seen before: {first}");
    server.fake.render(3, 0);
    let units = read_until(&mut stream, "event: progress").await;
    let told = r#"{"event":"unit","units":3,"elements_done":3320,"elements":8160}"#;
    assert!(units.contains(told) && !units.contains("event: audit"), "{units}");
    server.fake.render(0, 2);
    let audits = read_until(&mut stream, "event: progress").await;
    let told = r#"{"event":"audit","passed":2,"voided":0,"elements_matured":2720}"#;
    assert!(audits.contains(told) && !audits.contains("event: unit"), "{audits}");
}

#[tokio::test]
async fn a_job_that_ended_is_told_at_once() {
    let server = start().await;
    let answer = timeout(AT_ONCE, server.sponsor("GET", "/api/v1/jobs/j1/events").send()).await;
    let answer = answer.expect("the stream ends after done");
    let names: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["progress", "done"]);
}

#[tokio::test]
async fn an_unchanged_job_is_not_told_again() {
    let server = start().await;
    let mut stream = server.sponsor("GET", "/api/v1/jobs/j4/events").open().await;
    read_until(&mut stream, "event: progress").await;
    for _ in 0..20 {
        server.fake.change(JobId(5), |job| job.shares += 1);
        tokio::task::yield_now().await;
    }
    server.fake.finish();
    let rest = read_until(&mut stream, "event: done").await;
    assert_eq!(rest.matches("event: progress").count(), 1, "{rest}");
}

#[tokio::test]
async fn streams_over_the_bound_are_503() {
    let server = start_with(|options| options.event_streams_max = 1).await;
    let mut first = server.sponsor("GET", "/api/v1/jobs/j4/events").open().await;
    read_until(&mut first, "event: progress").await;
    server.sponsor("GET", "/api/v1/jobs/j4/events").send().await.problem(503);
    server.fake.finish();
    read_until(&mut first, "\r\n0\r\n").await;
    let again = server.sponsor("GET", "/api/v1/jobs/j4/events").send().await;
    assert_eq!(again.status, 200, "the place was not given back");
}

#[tokio::test]
async fn live_pages_send_parts_that_the_page_has() {
    let server = start().await;
    for (live, page, ids) in [
        ("/live/pool", "/", ["pool-rate", "pool-tiles", "pool-jobs", "pool-leaders"]),
        (
            "/live/accounts/alice",
            "/accounts/alice",
            ["account-balances", "account-rate", "account-rigs", "account-earnings"],
        ),
        ("/live/jobs/j4", "/jobs/j4", ["job-state", "job-progress", "job-money", "job-result"]),
        ("/live/jobs/j6", "/jobs/j6", ["job-state", "job-preview", "job-progress", "job-money"]),
    ] {
        let mut stream = server.request("GET", live).open().await;
        let text = read_until(&mut stream, "}\n\n").await;
        let body = server.get(page).await.body;
        assert!(body.contains(&format!("data-live=\"{live}\"")), "{page} does not follow {live}");
        for id in ids {
            assert!(text.contains(&format!("\"{id}\":")), "{live} lacks {id}");
            assert!(body.contains(&format!("<div id=\"{id}\">")), "{page} lacks {id}");
        }
    }
}

#[tokio::test]
async fn live_pages_send_what_changed_only() {
    let server = start().await;
    let mut stream = server.request("GET", "/live/jobs/j4").open().await;
    read_until(&mut stream, "}\n\n").await;
    server.fake.change(JobId(4), |job| job.shares = 777_123);
    let news = read_until(&mut stream, "777,123").await;
    assert!(news.contains("job-progress") && !news.contains("job-money"), "{news}");
}

#[tokio::test]
async fn live_streams_are_bounded_and_known() {
    let server = start_with(|options| options.live_streams_max = 1).await;
    server.get("/live/accounts/nobody").await.problem(404);
    server.get("/live/jobs/j99").await.problem(404);
    let mut first = server.request("GET", "/live/pool").open().await;
    read_until(&mut first, "}\n\n").await;
    server.get("/live/jobs/j4").await.problem(503);
}

#[tokio::test]
async fn a_page_is_told_of_a_new_picture() {
    let server = start().await;
    let mut stream = server.request("GET", "/live/jobs/j6").open().await;
    let first = read_until(&mut stream, "}\n\n").await;
    assert!(first.contains("/jobs/j6/preview.png?v=25"), "{first}");
    server.fake.render(1, 0);
    let small = read_until(&mut stream, "3,240").await;
    assert!(!small.contains("preview.png"), "as good as the same: {small}");
    server.fake.render(4, 0);
    read_until(&mut stream, "/jobs/j6/preview.png?v=26").await;
}
