//! The pages: what they say, what they must not say, and that they need nothing from elsewhere.

use crate::client::{Answer, Server, start};

/// A page of each kind that is there.
const PAGES: [&str; 11] = [
    "/",
    "/jobs",
    "/jobs/j1",
    "/jobs/j3",
    "/jobs/j4",
    "/jobs/j6",
    "/jobs/j7",
    "/accounts/alice",
    "/leaderboard",
    "/connect",
    "/connect?account=alice",
];

async fn page(server: &Server, path: &str) -> Answer {
    let answer = server.get(path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
    answer
}

#[tokio::test]
async fn pages_are_strict() {
    let server = start().await;
    for path in PAGES {
        let answer = page(&server, path).await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'self';"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        for inline in [" style=", "<style", " onclick=", "javascript:", "src=\"http", "href=\"http"] {
            assert!(!answer.body.contains(inline), "{path} has {inline}");
        }
        assert!(answer.body.contains("<main id=\"main\">") && answer.body.contains("<html lang=\"en\">"), "{path}");
    }
}

#[tokio::test]
async fn names_of_jobs_are_escaped_everywhere() {
    let server = start().await;
    for path in ["/", "/jobs", "/jobs/j3"] {
        let body = page(&server, path).await.body;
        assert!(body.contains("&lt;script&gt;alert(") && !body.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn links_lead_somewhere() {
    let server = start().await;
    for path in PAGES {
        let body = page(&server, path).await.body;
        for link in body.split("href=\"").chain(body.split("src=\"")).skip(1).filter_map(|rest| rest.split('"').next())
        {
            if link.starts_with('/') && link != "/metrics" && !link.starts_with("/jobs/j") {
                assert_eq!(server.get(&link.replace("&amp;", "&")).await.status, 200, "{link} on {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_front_page_tells_the_pool() {
    let body = page(&start().await, "/").await.body;
    for text in ["41.9", "title=\"41,870,000,000,000 H/s\"", "1,204,733", "northwind-rigs", "testnet block 2 871 377"] {
        assert!(body.contains(text), "{text}");
    }
    assert!(body.contains("stratum+tcp://pool.example:3333"), "the line names the host that the browser used");
    assert!(!body.contains("genesis check"), "a closed job is among the open ones");
}

#[tokio::test]
async fn an_account_page_tells_money_and_rigs() {
    let server = start().await;
    let body = page(&server, "/accounts/alice").await.body;
    for text in [
        "12,480,775,209",
        "719,003,351",
        "98,000,000,000",
        "garage",
        "2,730.5",
        "8.12 %",
        "41 stale",
        "batch-28",
        "105,604,950 pending",
    ] {
        assert!(body.contains(text), "{text}");
    }
    assert_eq!(page(&server, "/accounts/alice?cursor=20").await.body.matches("data-live").count(), 0);
}

#[tokio::test]
async fn a_job_page_tells_progress_money_and_result() {
    let server = start().await;
    let done = page(&server, "/jobs/j1").await.body;
    assert!(done.contains("4,950,000,000") && done.contains("Solved") && done.contains("000000000000000a3290f2"));
    let running = page(&server, "/jobs/j4").await.body;
    assert!(running.contains("13.75 %") && running.contains("in escrow") && running.contains("Not found yet"));
    assert!(page(&server, "/jobs/j5").await.body.contains("is cancelled by its sponsor"));
}

#[tokio::test]
async fn a_range_jobs_page_tells_picture_elements_audits_and_pay() {
    let server = start().await;
    let running = page(&server, "/jobs/j6").await.body;
    for text in
        ["src=\"/jobs/j6/preview.png?v=25\"", "39.21 %", "3,200", "2,400", "1</span> voided", "Not finished yet"]
    {
        assert!(running.contains(text), "{text}");
    }
    // 2,400 of 8,160 elements of a budget of 5,000,000,000, a hundredth of it the pool's.
    for amount in ["1,455,882,352", "14,705,882", "3,529,411,766"] {
        assert!(running.contains(amount), "{amount}");
    }
    let done = page(&server, "/jobs/j7").await.body;
    assert!(done.contains("GET /api/v1/jobs/j7/result") && done.contains("100.00 %"));
    let list = page(&server, "/jobs").await.body;
    assert!(list.contains("a sphere at dusk") && list.contains("39.21 %") && list.contains(" units"));
}

#[tokio::test]
async fn a_picture_is_everyones_unless_the_pool_hides_it() {
    let server = start().await;
    let path = "/jobs/j6/preview.png";
    let picture = server.request("GET", path).send_raw().await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/png"));
    assert!(picture.bytes.starts_with(b"\x89PNG\r\n"));
    let known = server.request("GET", path).header("If-None-Match", picture.header("etag")).send_raw().await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    server.fake.render(9, 0);
    let later = server.request("GET", path).send_raw().await;
    assert!(later.header("etag") != picture.header("etag") && later.bytes != picture.bytes);
    server.get("/jobs/j4/preview.png").await.problem(404);
    server.get("/jobs/j99/preview.png").await.problem(404);
    let wrong = server.request("GET", path).header("Authorization", "Bearer nobodys").send().await;
    wrong.problem(401);
    server.fake.hide_pictures();
    server.get(path).await.problem(404);
    assert_eq!(server.sponsor("GET", path).send_raw().await.status, 200);
}

#[tokio::test]
async fn unknown_accounts_are_told_what_to_do() {
    let server = start().await;
    let answer = server.get("/accounts/nobody").await;
    assert_eq!((answer.status, answer.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(answer.body.contains("/connect?account=nobody"));
    for (path, status) in [("/jobs/j99", 404), ("/jobs/17", 400), ("/accounts/a%3Cb", 400), ("/accounts", 400)] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "text/html; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn browsers_get_pages_and_programs_problems_at_unknown_paths() {
    let server = start().await;
    let browser = |path| server.request("GET", path).header("Accept", "text/html,*/*").send();
    let answer = browser("/nothing%3Cscript%3E").await;
    assert_eq!((answer.status, answer.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(answer.body.contains("nothing") && !answer.body.contains("nothing<script>"));
    browser("/api/v1/nothing").await.problem(404);
    server.get("/nothing").await.problem(404);
}

#[tokio::test]
async fn the_search_box_leads_to_the_account() {
    let server = start().await;
    let answer = server.get("/accounts?account=+alice+").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/accounts/alice"));
    assert_eq!(server.get("/accounts?account=%2F%2Fevil.example").await.status, 400);
}

#[tokio::test]
async fn a_hostile_host_header_is_not_repeated() {
    let server = start().await;
    let request = |host: &str| {
        let mut socket_request = server.request("GET", "/connect");
        socket_request.replace("pool.example:8080", host);
        socket_request.send()
    };
    let body = request("[2001:db8::7]:8080").await.body;
    for (port, option) in [(3333, "-a sha256d "), (3334, "--algorithm scrypt "), (3334, "-a scrypt ")] {
        assert!(body.contains(&format!("stratum+tcp://[2001:db8::7]:{port}")) && body.contains(option), "{option}");
    }
    for host in ["a;reboot", "$(reboot)", "\"><script>"] {
        let answer = request(host).await;
        assert!(!answer.body.contains("reboot") && !answer.body.contains("\"><script>"), "{host}");
    }
}

#[tokio::test]
async fn files_are_kept_by_their_content() {
    let server = start().await;
    let body = page(&server, "/").await.body;
    let href = body.split('"').find(|part| part.starts_with("/static/style.css?v=")).expect("there is a style");
    let first = server.get(href).await;
    assert_eq!(first.header("content-type"), "text/css; charset=utf-8");
    assert!(first.header("cache-control").contains("immutable"));
    let again = server.request("GET", href).header("If-None-Match", first.header("etag")).send().await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(server.get("/static/style.css?v=old").await.header("cache-control"), "no-cache");
    server.get("/static/../Cargo.toml").await.problem(404);
    server.get("/static/nothing.css").await.problem(404);
}
