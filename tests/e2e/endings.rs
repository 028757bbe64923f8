//! Jobs that end without a solution: cancelled, expired, used up. The books balance after each.

use lode_tests::miner::Miner;
use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::{Value, json};

const CONFIG: &str = "[vardiff]\nstart = 1e-6\nleast = 1e-6\nmost = 1e-6\n[pool]\nfee_bps = 100\ncancel_notice_s = 1\n";

fn money(api: &Api) -> (Value, Value, Value) {
    let credit = api.get("/sponsor").ok()["assets"]["CREDIT"].clone();
    (credit["balance"].clone(), credit["escrow"].clone(), credit["spent"].clone())
}

/// A job of 100,000 whose budget buys work of 2^17, and a miner that proves some of it.
fn started(home: &Home, shares: usize, deadline_s: u64) -> (lode_tests::pool::Pool, Api, String, Miner, u128) {
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 250_000);
    let mut job = Vector::endless_job(1 << 17, 100_000);
    job["deadline_s"] = json!(deadline_s);
    let id = sponsor.submit(&job);
    assert_eq!(money(&sponsor), (json!("150000"), json!("100000"), json!("0")));
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    for _ in 0..shares {
        let share = miner.mine();
        assert_eq!(miner.verdict(&share), None);
    }
    let work = miner.job.as_ref().expect("a job").1.hashes().0;
    (pool, sponsor, id, miner, work * shares as u128)
}

/// What each gets when `work` of 2^17 is proven.
fn expected(work: u128) -> (u128, u128, u128) {
    let earned = 100_000 * work.min(1 << 17) / (1 << 17);
    let fee = earned / 100;
    (earned - fee, fee, 100_000 - earned)
}

fn check_books(home: &Home, view: &Value, work: u128) {
    let (paid, fee, refunded) = expected(work);
    let wanted = (json!(paid.to_string()), json!(fee.to_string()), json!(refunded.to_string()));
    assert_eq!((view["paid"].clone(), view["fee"].clone(), view["refunded"].clone()), wanted);
    let (ok, report) = home.audit();
    assert!(ok, "{report}");
    let credit = &report["assets"]["CREDIT"];
    assert_eq!(credit["escrow"], "0");
    assert_eq!(credit["matured"], paid.to_string());
    assert_eq!(credit["sponsors"], (150_000 + refunded).to_string());
}

#[test]
fn a_cancelled_job_pays_what_is_proven_and_refunds_the_rest_after_its_notice() {
    let home = Home::new(CONFIG);
    let (pool, sponsor, job, mut miner, work) = started(&home, 5, 3600);
    let view = sponsor.delete(&format!("/jobs/{job}")).ok();
    assert_eq!(view["state"], "running");
    assert!(view["cancel_at"].is_string());
    // Within the notice, work still counts; asking again changes nothing.
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
    assert_eq!(sponsor.delete(&format!("/jobs/{job}")).ok()["cancel_at"], view["cancel_at"]);
    let view = sponsor.wait_for_state(&job, "cancelled");
    let late = miner.mine();
    assert_eq!(miner.verdict(&late), Some(21));
    assert_eq!(sponsor.delete(&format!("/jobs/{job}")).status, 409);
    pool.stop();
    check_books(&home, &view, work / 5 * 6);
}

#[test]
fn another_sponsors_job_is_not_there() {
    let home = Home::new(CONFIG);
    let (pool, sponsor, job, _miner, _) = started(&home, 1, 3600);
    let other = Api::admin(&pool).funded_sponsor("other", 1);
    assert_eq!(other.delete(&format!("/jobs/{job}")).status, 404);
    assert_eq!(other.get(&format!("/jobs/{job}/result")).status, 404);
    assert_eq!(sponsor.get(&format!("/jobs/{job}/result")).status, 409);
}

#[test]
fn a_job_past_its_deadline_expires_without_work_too() {
    let home = Home::new(CONFIG);
    let (pool, sponsor, job, _miner, work) = started(&home, 0, 1);
    let view = sponsor.wait_for_state(&job, "expired");
    assert_eq!(money(&sponsor), (json!("250000"), json!("0"), json!("0")));
    pool.stop();
    check_books(&home, &view, work);
}

#[test]
fn a_job_whose_work_is_used_up_expires_and_pays_all() {
    let home = Home::new(CONFIG);
    let (pool, sponsor, job, mut miner, _) = started(&home, 0, 3600);
    let mut accepted = 0u128;
    loop {
        let share = miner.mine();
        match miner.verdict(&share) {
            None => accepted += 1,
            Some(code) => {
                assert_eq!(code, 21);
                break;
            }
        }
    }
    let share_work = miner.job.as_ref().expect("a job").1.hashes().0;
    assert_eq!(accepted, (1u128 << 17).div_ceil(share_work));
    let view = sponsor.wait_for_state(&job, "expired");
    pool.stop();
    check_books(&home, &view, 1 << 17);
}
