//! The real miner at the real pool, on every kind of device that this machine has.

use std::net::TcpListener;
use std::process::Command;

use lode_tests::pool::Home;
use lode_tests::rig::Rig;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use lode_tests::{program, say, wait_for};
use serde_json::{Value, json};

/// Backends that have a device here; says which are skipped and why. CUDA always has the stand-in's.
pub(crate) fn backends() -> Vec<&'static str> {
    let output = Command::new(program("lode-miner")).args(["devices", "--json"]).output().expect("the miner starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = vec!["cuda"];
    for backend in ["cpu", "opencl"] {
        if text.contains(&format!("\"{backend}:0\"")) {
            found.push(backend);
        } else {
            say(&format!("SKIPPED {backend}: no such device on this machine"));
        }
    }
    assert!(found.contains(&"cpu"), "the CPU is always there: {text}");
    found
}

const CONFIG: &str = "[vardiff]\nstart = 0.0005\nshare_interval_ms = 1000\n[pool]\ncancel_notice_s = 1\n";
/// For the stand-in, which is some hundred times slower than a core.
const SLOW: &str = "[vardiff]\nstart = 2e-5\nshare_interval_ms = 1000\n[pool]\ncancel_notice_s = 1\n";

#[test]
fn the_whole_journey_on_each_backend() {
    for backend in backends() {
        let (config, difficulty) = if backend == "cuda" { (SLOW, 0.0001) } else { (CONFIG, 0.01) };
        let home = Home::new(config);
        let pool = home.start();
        let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
        let rig = Rig::start(&home, &pool, "alice.rig", &[backend]);
        let job = sponsor.submit(&Vector::job_of_difficulty(difficulty, 1_000));
        let view = sponsor.wait_for_state(&job, "done");
        assert_eq!(view["paid"], "990");
        let result = sponsor.get(&format!("/jobs/{job}/result")).ok();
        let header = lode_protocol::hex::decode_array(result["header"].as_str().expect("hex")).expect("80 bytes");
        assert_eq!(lode_protocol::HeaderHash::sha256d(&header).to_string(), result["hash"].as_str().expect("hex"));
        let said = rig.stop();
        assert!(said.contains(&format!("{backend}:0")), "{said}");
        pool.stop();
        assert!(home.audit().0);
        say(&format!("backend {backend}: a job was found, paid and audited"));
    }
}

/// Shares stay so easy that the slowest device finds some.
const EASY: &str = "[vardiff]\nstart = 2e-5\nleast = 2e-5\nmost = 2e-5\n[pool]\ncancel_notice_s = 1\n";

#[test]
fn every_backend_works_in_one_rig_at_once() {
    let home = Home::new(EASY);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let backends = backends();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let status = free.to_string();
    let devices = backends.iter().flat_map(|device| ["--device", device]);
    let options: Vec<&str> = devices.chain(["--status", &status]).collect();
    let rig = Rig::start_with(&home, &options, pool.stratum, "alice.rig");
    let job = sponsor.submit(&Vector::endless_job(1 << 40, 1_000));
    let figures = || -> Option<Value> {
        let mut answer = ureq::get(format!("http://{status}/status")).call().ok()?;
        answer.body_mut().read_json().ok()
    };
    let accepted = |figures: &Value, backend: &str| {
        let devices = figures["devices"].as_array().expect("a list");
        let device = devices.iter().find(|device| device["id"] == format!("{backend}:0"));
        device.unwrap_or_else(|| panic!("no {backend}:0 in {figures}"))["accepted"].as_u64().expect("a count")
    };
    let figures = wait_for("a share of every device", || {
        figures().filter(|figures| backends.iter().all(|backend| accepted(figures, backend) > 0))
    });
    assert_eq!(figures["user"], "alice.rig", "{figures}");
    sponsor.delete(&format!("/jobs/{job}")).ok();
    sponsor.wait_for_state(&job, "cancelled");
    drop(rig.stop());
    pool.stop();
    assert!(home.audit().0);
}

fn worker(api: &Api) -> Option<Value> {
    let answer = api.get("/accounts/alice");
    (answer.status == 200).then(|| answer.body["workers"][0].clone())
}

#[test]
fn the_miner_follows_its_jobs_and_submits_nothing_stale() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let _rig = Rig::start(&home, &pool, "alice.rig", &["cpu"]);
    // Each job ends by a share of its own, and the next one is there before or after it.
    for round in 0..5 {
        let ends = sponsor.submit(&Vector::job_of_difficulty(0.002, 10));
        if round % 2 == 0 {
            sponsor.submit(&Vector::job_of_difficulty(0.002, 10));
        }
        sponsor.wait_for_state(&ends, "done");
    }
    let jobs = sponsor.get("/jobs").ok();
    for job in jobs["items"].as_array().expect("items") {
        sponsor.wait_for_state(job["id"].as_str().expect("an id"), "done");
    }
    let worker = worker(&sponsor).expect("the worker");
    let rejected = worker["rejected"].as_object().expect("an object");
    let beside_stale: Vec<_> = rejected.keys().filter(|reason| *reason != "stale").collect();
    assert!(beside_stale.is_empty(), "{rejected:?}");
    // A share may cross the news of its job's end on the wire, and only then.
    let stale = rejected.get("stale").and_then(Value::as_u64).unwrap_or(0);
    assert!(stale <= 8, "{stale} stale shares at eight ends of jobs");
}

#[test]
fn the_miner_comes_back_to_a_pool_that_was_killed() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let (stratum, http) = (pool.stratum, pool.http);
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let mut endless = Vector::endless_job(1 << 40, 1_000);
    endless["deadline_s"] = json!(3600);
    let job = sponsor.submit(&endless);
    let _rig = Rig::start(&home, &pool, "alice.rig", &["cpu"]);
    let shares = |api: &Api| worker(api).and_then(|worker| worker["accepted"].as_u64()).unwrap_or(0);
    wait_for("shares", || (shares(&sponsor) >= 2).then_some(()));
    let before = shares(&sponsor);
    pool.kill();
    let pool = home.start_at(stratum, http);
    assert!(shares(&sponsor) >= before, "what was acknowledged is there");
    wait_for("shares after the restart", || (shares(&sponsor) >= before + 2).then_some(()));
    sponsor.delete(&format!("/jobs/{job}")).ok();
    sponsor.wait_for_state(&job, "cancelled");
    pool.stop();
    assert!(home.audit().0);
}
