//! kill -9 under load: what was acknowledged is in the ledger, once, and the books balance.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lode_pool::ledger::entry::ShareProof;
use lode_tests::miner::Miner;
use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use lode_tests::{ledger, rounds, say};
use rand::RngExt as _;
use serde_json::json;

/// Connections that submit at the same time.
const CONNECTIONS: usize = 200;
/// Submits that one connection has under way.
const WINDOW: usize = 8;
/// Every fourth hash is a share, so the load is on the pool and not on this machine's hashing.
const CONFIG: &str = "[vardiff]\nstart = 1e-9\nleast = 1e-9\nmost = 1e-9\n";

/// Submits until the pool is gone; gives what was acknowledged.
fn load(mut miner: Miner, acknowledged: &AtomicUsize) -> Vec<ShareProof> {
    miner.hear_job();
    let mut waiting = std::collections::VecDeque::new();
    let mut kept = Vec::new();
    loop {
        while waiting.len() < WINDOW {
            let share = miner.mine();
            let line = json!({"id": 4, "method": "mining.submit", "params": share.to_params()}).to_string();
            if miner.send_raw(format!("{line}\n").as_bytes()).is_err() {
                return kept;
            }
            waiting.push_back(share);
        }
        let Some(response) = miner.response() else { return kept };
        let share = waiting.pop_front().expect("one answer a submit");
        if response.outcome == Ok(json!(true)) {
            acknowledged.fetch_add(1, Ordering::Relaxed);
            let version = miner.job.as_ref().expect("a job").0.template.version;
            kept.push(ShareProof {
                extranonce1: miner.extranonce1.clone(),
                extranonce2: share.extranonce2,
                ntime: share.ntime,
                nonce: share.nonce,
                version,
            });
        }
    }
}

/// One life of the pool, ended at a random moment; gives what it acknowledged.
fn live_and_die(home: &Home, kill_after: usize) -> Vec<ShareProof> {
    let pool = home.start();
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        let connect = |n: usize| Miner::login(pool.stratum, &format!("a{}.r{n}", n % 20), "x");
        let miners: Vec<Miner> = (0..CONNECTIONS).map(connect).collect();
        let tasks: Vec<_> = miners.into_iter().map(|miner| scope.spawn(|| load(miner, &acknowledged))).collect();
        lode_tests::wait_for("shares to be acknowledged", || {
            (acknowledged.load(Ordering::Relaxed) >= kill_after).then_some(())
        });
        pool.kill();
        tasks.into_iter().flat_map(|task| task.join().expect("a miner ends with its connection")).collect()
    })
}

#[test]
fn nothing_acknowledged_is_lost_or_counted_twice() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000_000);
    let job = sponsor.submit(&Vector::endless_job(1 << 26, 1_000_000));
    pool.stop();
    let count = rounds("LODE_KILLS", 3);
    let mut rng = rand::rng();
    let mut acknowledged = Vec::new();
    for round in 1..=count {
        let kill_after = rng.random_range(1..3_000);
        let kept = live_and_die(&home, kill_after);
        println!("kill {round} of {count}: after {kill_after} shares, {} acknowledged in this life", kept.len());
        acknowledged.extend(kept);
        let mut times: HashMap<ShareKey, usize> = HashMap::new();
        for proof in ledger::proofs(&home.data()) {
            *times.entry(key(&proof)).or_default() += 1;
        }
        assert!(times.values().all(|&count| count == 1), "a share is counted twice");
        let lost = acknowledged.iter().filter(|proof| !times.contains_key(&key(proof))).count();
        assert_eq!(lost, 0, "acknowledged shares are missing after kill {round}");
        let (ok, report) = home.audit();
        assert!(ok, "{report}");
        assert_eq!(report["shares"], times.len());
        assert_eq!(report["shares_recomputed"], times.len());
    }
    let pool = home.start();
    let view = Api::anyone(&pool).get(&format!("/jobs/{job}")).ok();
    assert_eq!(view["shares"], ledger::proofs(&home.data()).len());
    say(&format!("kills: {count}, acknowledged: {}, in the ledger: {}", acknowledged.len(), view["shares"]));
}

type ShareKey = (Vec<u8>, Vec<u8>, u32, u32);

fn key(proof: &ShareProof) -> ShareKey {
    (proof.extranonce1.clone(), proof.extranonce2.clone(), proof.ntime, proof.nonce)
}
