//! The real miner at the real pool, on every kind of device that this machine has.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use lode_tests::pool::{Home, Pool};
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use lode_tests::{program, say, wait_for};
use serde_json::{Value, json};

/// A `lode-miner`, ended with the test.
pub(crate) struct Rig(Child);

impl Rig {
    fn start(pool: &Pool, user: &str, device: &str) -> Rig {
        Rig::start_with(&["--device", device], pool.stratum, user)
    }

    pub(crate) fn start_with(options: &[&str], stratum: SocketAddr, user: &str) -> Rig {
        let url = format!("stratum+tcp://{stratum}");
        let child = Command::new(program("lode-miner"))
            .args(["--url", &url, "--user", user])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Rig(child.expect("the miner's program can be started"))
    }

    fn stop(mut self) {
        let status = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(status.expect("kill can be started").success());
        let status = self.0.wait().expect("a child can be waited for");
        assert!(status.success(), "the miner ended with {status}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Backends that have a device here; says which are skipped and why.
fn backends() -> Vec<String> {
    let output = Command::new(program("lode-miner")).args(["devices", "--json"]).output().expect("the miner starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for backend in ["cpu", "opencl", "cuda"] {
        if text.contains(&format!("\"{backend}:0\"")) {
            found.push(backend.to_owned());
        } else {
            say(&format!("SKIPPED {backend}: no such device on this machine"));
        }
    }
    assert!(found.contains(&"cpu".to_owned()), "the CPU is always there: {text}");
    found
}

const CONFIG: &str = "[vardiff]\nstart = 0.0005\nshare_interval_ms = 1000\n[pool]\ncancel_notice_s = 1\n";

#[test]
fn the_whole_journey_on_each_backend() {
    for backend in backends() {
        let home = Home::new(CONFIG);
        let pool = home.start();
        let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
        let rig = Rig::start(&pool, "alice.rig", &backend);
        let job = sponsor.submit(&Vector::job_of_difficulty(0.01, 1_000));
        let view = sponsor.wait_for_state(&job, "done");
        assert_eq!(view["paid"], "990");
        let result = sponsor.get(&format!("/jobs/{job}/result")).ok();
        let header = lode_protocol::hex::decode_array(result["header"].as_str().expect("hex")).expect("80 bytes");
        assert_eq!(lode_protocol::HeaderHash::sha256d(&header).to_string(), result["hash"].as_str().expect("hex"));
        rig.stop();
        pool.stop();
        assert!(home.audit().0);
        say(&format!("backend {backend}: a job was found, paid and audited"));
    }
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
    let _rig = Rig::start(&pool, "alice.rig", "cpu");
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
    let _rig = Rig::start(&pool, "alice.rig", "cpu");
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
