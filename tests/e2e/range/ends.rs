//! Pictures that end early: cancelled, or too late. What is done and right is paid, the rest goes back.

use std::thread;

use lode_tests::book::RangeBook;
use lode_tests::pool::Pool;
use lode_tests::range::{RangeMiner, digest_of};
use serde_json::json;

use super::{BUDGET, CONFIG, PICTURE, Site, login, number};

/// Does `count` units, honestly; gives the miner.
fn some(pool: &Pool, count: usize) -> RangeMiner {
    let mut miner = login(pool, "alice.rig", 1);
    for _ in 0..count {
        let unit = miner.unit().expect("a unit");
        let bytes = miner.compute(&unit);
        assert!((200..300).contains(&miner.upload(&bytes)));
        assert_eq!(miner.submit(&unit, digest_of(&bytes)), Some(Ok(())));
    }
    miner
}

/// That a job that ended with `state` has paid for what its ledger says is matured, and refunded the rest.
fn check(site: Site, state: &str, units: usize) {
    let view = site.sponsor.wait_for_state(&site.job, state);
    let book = RangeBook::of(&site.home.data(), &site.job);
    assert_eq!(book.elements().count(), units, "what was done is audited and counts");
    let total = number(&view["work_expected"]);
    let earned = u128::from(BUDGET) * book.total_work() / total;
    let (paid, fee) = (number(&view["paid"]), number(&view["fee"]));
    assert_eq!((paid + fee, fee), (earned, earned / 100));
    assert_eq!(book.paid["alice"], paid);
    assert_eq!(number(&view["refunded"]), u128::from(BUDGET) - earned);
    let result = site.sponsor.get(&format!("/jobs/{}/result", site.job));
    assert!(result.status == 404 || result.status == 409, "there is no result: {}", result.status);
    site.close(&[("alice", u64::try_from(paid).expect("small"))]);
}

#[test]
fn a_cancelled_picture_pays_what_is_done() {
    let site = Site::new(CONFIG, PICTURE);
    let mut miner = some(&site.pool, 20);
    let held = miner.unit().expect("a unit");
    let view = site.sponsor.delete(&format!("/jobs/{}", site.job)).ok();
    assert!(view["cancel_at"].is_string());
    site.sponsor.wait_for_state(&site.job, "cancelled");
    // What it still held is taken back, and its result comes too late.
    let bytes = miner.compute(&held);
    miner.upload(&bytes);
    assert_eq!(miner.submit(&held, digest_of(&bytes)), Some(Err(21)));
    assert!(miner.wire.revoked.iter().any(|told| told.unit == held.unit), "{:?}", miner.wire.revoked);
    check(site, "cancelled", 20);
}

#[test]
fn a_picture_that_is_not_done_in_time_pays_what_is_done() {
    let site = Site::new(CONFIG, PICTURE);
    // A second job with a deadline, while the first one is cancelled so that units come from the second.
    site.sponsor.delete(&format!("/jobs/{}", site.job)).ok();
    site.sponsor.wait_for_state(&site.job, "cancelled");
    let scene = lode_tests::render::upload(&site.sponsor, &site.scene);
    let mut job = PICTURE.job(&scene, BUDGET);
    job["deadline_s"] = json!(3);
    let job = site.sponsor.submit(&job);
    let site = Site { job, ..site };
    let miner = some(&site.pool, 11);
    check(site, "expired", 11);
    drop(miner);
}

#[test]
fn a_miner_that_vanishes_costs_nothing_but_time() {
    let site = Site::new(CONFIG, PICTURE);
    thread::scope(|scope| {
        // It holds a unit and is gone; it is issued again.
        let mut gone = login(&site.pool, "gone.rig", 9);
        let held = gone.unit().expect("a unit");
        drop(gone);
        let alice = super::Working::honest(scope, login(&site.pool, "alice.rig", 2));
        site.wait_for_picture();
        let log = alice.stop();
        assert!(log.refused.is_empty());
        assert!(log.accepted.iter().any(|unit| unit.first == held.first), "what was held is done by another");
    });
    site.close(&[("alice", BUDGET - BUDGET / 100)]);
}
