//! What survives an end of the pool, clean or not, and what a damaged directory is answered by.

use std::fs;
use std::path::PathBuf;

use lode_protocol::Algorithm::Sha256d;
use lode_protocol::{Difficulty, hex};
use lode_tests::ledger;
use lode_tests::miner::Miner;
use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::json;

const CONFIG: &str =
    "[vardiff]\nstart = 1e-6\nleast = 1e-6\nmost = 1e-6\n[stratum]\nextranonce1_start = \"0a0b0c0d\"\n";

/// A home whose ledger has an open job with three shares, and the miner's session.
fn with_three_shares() -> (Home, String, String, String) {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let created = Api::admin(&pool).post("/admin/sponsors", &json!({"name": "second"})).ok();
    let job = sponsor.submit(&Vector::job_of_difficulty(0.001, 1_000));
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    for _ in 0..3 {
        // A share that does not solve the job by luck.
        let share = miner.search(|hash| (1.1e-6..0.0009).contains(&Difficulty::of_hash(&hash).to_f64(Sha256d)));
        assert_eq!(miner.verdict(&share), None);
    }
    pool.stop();
    let key = created["key"].as_str().expect("a key").to_owned();
    (home, job, miner.session, key)
}

#[test]
fn a_restart_restores_jobs_balances_sessions_and_what_was_seen() {
    let (home, job, session, key) = with_three_shares();
    let seen = ledger::proofs(&home.data());
    let pool = home.start();
    let anyone = Api::anyone(&pool);
    let view = anyone.get(&format!("/jobs/{job}")).ok();
    assert_eq!((view["state"].clone(), view["shares"].clone()), (json!("running"), json!(3)));
    assert_eq!(anyone.with_key(&key).get("/sponsor").ok()["name"], "second");
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    assert_eq!(hex::encode(&miner.extranonce1), hex::encode(&seen[0].extranonce1), "as it is configured");
    // The shares of before are duplicates of themselves, and the next ones are new.
    for proof in &seen {
        let mut again = miner.share(proof.nonce);
        again.extranonce2.clone_from(&proof.extranonce2);
        assert_eq!(miner.verdict(&again), Some(22));
    }
    drop(miner);
    // The session of before has its search space again, in headers that are new.
    let mut miner = lode_tests::wait_for("the space to come free", || {
        let mut miner = Miner::connect(pool.stratum);
        miner.subscribe(Some(&session));
        (miner.extranonce1 == seen[0].extranonce1).then_some(miner)
    });
    miner.call("mining.authorize", &json!(["alice.rig", "x"])).expect("a login");
    miner.user = "alice.rig".into();
    miner.hear_job();
    assert_ne!(miner.job.as_ref().expect("a job").0.template.version, seen[0].version);
    let solution = miner.search(|hash| Difficulty::of_hash(&hash).to_f64(Sha256d) > 0.0011);
    assert_eq!(miner.verdict(&solution), None);
    anyone.wait_for_state(&job, "done");
    pool.stop();
    assert!(home.audit().0);
    assert_eq!(ledger::proofs(&home.data()).len(), 4);
}

#[test]
fn a_second_pool_on_the_same_directory_is_refused() {
    let home = Home::new(CONFIG);
    let _pool = home.start();
    assert!(home.start_refused().contains("in use by another lode-pool"));
}

fn store(home: &Home) -> PathBuf {
    home.data().join("ledger/store")
}

fn shares_of(home: &Home, job: &str) -> u64 {
    let pool = home.start();
    let shares = Api::anyone(&pool).get(&format!("/jobs/{job}")).ok()["shares"].as_u64().expect("a count");
    let sponsors = Api::anyone(&pool).get("/accounts/alice").ok();
    assert_eq!(sponsors["workers"][0]["accepted"], 3);
    pool.stop();
    shares
}

#[test]
fn a_store_that_is_gone_garbage_or_of_another_ledger_is_rebuilt() {
    let (home, job, ..) = with_three_shares();
    fs::remove_dir_all(store(&home)).unwrap();
    assert_eq!(shares_of(&home, &job), 3);
    for item in fs::read_dir(store(&home)).unwrap() {
        let path = item.unwrap().path();
        if path.is_file() {
            fs::write(path, vec![0xa5; 10_000]).unwrap();
        }
    }
    assert_eq!(shares_of(&home, &job), 3);
    fs::remove_dir_all(store(&home)).unwrap();
    fs::write(store(&home), "not a directory").unwrap();
    fs::remove_file(store(&home)).unwrap();
    let (other, ..) = with_three_shares();
    fs::rename(store(&other), store(&home)).unwrap();
    assert_eq!(shares_of(&home, &job), 3);
}

#[test]
fn a_journal_that_lost_what_the_store_has_seen_is_not_accepted_silently() {
    let (home, ..) = with_three_shares();
    let dir = home.data().join("ledger/journal");
    let segment = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 10]).unwrap();
    let said = home.start_refused();
    assert!(said.contains("acknowledged entries are missing"), "{said}");
}

#[test]
fn a_damaged_journal_is_named_by_audit_and_refused_by_serve() {
    let (home, ..) = with_three_shares();
    let dir = home.data().join("ledger/journal");
    let segment = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let (ok, report) = home.audit();
    assert!(!ok);
    let fault = report["fault"].as_str().expect("a fault");
    assert!(fault.contains("damaged at byte") && fault.contains("entry"), "{fault}");
    assert!(home.start_refused().contains("damaged"));
}

#[test]
fn shutdown_answers_what_is_owed_and_tells_rigs_to_come_back() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    sponsor.submit(&Vector::endless_job(1 << 30, 1_000));
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    let shares: Vec<_> = (0..20).map(|_| miner.mine()).collect();
    for share in &shares {
        miner.send("mining.submit", &share.to_params());
    }
    let first = miner.response().expect("an answer");
    assert_eq!(first.outcome, Ok(json!(true)));
    pool.terminate();
    let mut accepted = 1;
    while let Some(response) = miner.response() {
        assert_eq!(response.outcome, Ok(json!(true)));
        accepted += 1;
    }
    assert!(pool.wait().success());
    assert_eq!(ledger::proofs(&home.data()).len(), accepted, "acknowledged is what is in the ledger");
}
