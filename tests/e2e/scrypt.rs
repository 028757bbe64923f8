//! Scrypt on a listener of its own, beside sha256d.

use lode_protocol::ratecard::SCRYPT_WORK_PER_HASH;
use lode_protocol::{Algorithm, Difficulty, Hashes};
use lode_tests::miner::{Miner, code};
use lode_tests::pool::{Home, Pool};
use lode_tests::rig::Rig;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::{Value, json};

/// Two hashes a share of scrypt, 2^12 a share of sha256d; vardiff leaves them there.
const CONFIG: &str = "[vardiff]\nstart = 1e-6\nleast = 1e-6\nmost = 1e-6\nscrypt_start = 0.000030517578125\n\
                      scrypt_least = 0.000030517578125\nscrypt_most = 0.000030517578125\n[pool]\nfee_bps = 0\n";

fn number(value: &Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no decimal string"))
}

fn scrypt(pool: &Pool) -> std::net::SocketAddr {
    pool.scrypt.expect("a scrypt listener")
}

#[test]
fn both_algorithms_are_mined_side_by_side_and_paid() {
    let home = Home::new("[vardiff]\nstart = 0.0005\nscrypt_start = 0.01\nshare_interval_ms = 1000\n");
    let pool = home.start_with_scrypt();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 2_000);
    let _old = Rig::start_with(&home, &["--device", "cpu"], pool.stratum, "alice.rig");
    let _new = Rig::start_with(&home, &["--device", "cpu", "--algorithm", "scrypt"], scrypt(&pool), "bob.rig");
    // About 2^25 hashes of the one, 2^12 of the other.
    let first = sponsor.submit(&Vector::job_of_difficulty(0.01, 1_000));
    let second = sponsor.submit(&Vector::scrypt_job_of_difficulty(0.0625, 1_000));
    for (job, account) in [(&first, "alice"), (&second, "bob")] {
        assert_eq!(sponsor.wait_for_state(job, "done")["paid"], "990");
        let earnings = sponsor.get(&format!("/accounts/{account}/earnings")).ok();
        let rows = earnings["items"].as_array().expect("items");
        assert_eq!((rows.len(), &rows[0]["job"], &rows[0]["amount"]), (1, &json!(job), &json!("990")));
    }
    let result = sponsor.get(&format!("/jobs/{second}/result")).ok();
    let header = lode_protocol::hex::decode_array(result["header"].as_str().expect("hex")).expect("80 bytes");
    let hash = lode_kinds::hash::Algorithm::Scrypt.hash(&header);
    assert_eq!((&result["algorithm"], &result["hash"]), (&json!("scrypt"), &json!(lode_protocol::hex::encode(&hash))));
    pool.stop();
    let (ok, report) = home.audit();
    assert!(ok, "{report}");
    assert_eq!(report["shares"], report["shares_recomputed"], "each by its own hash");
}

#[test]
fn a_scrypt_share_is_credited_with_its_hashes_at_the_rate_and_judged_by_its_own_hash() {
    let home = Home::new(CONFIG);
    let pool = home.start_with_scrypt();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let mut job = Vector::scrypt_job_of_difficulty(1e6, 1_000);
    job["spec"]["max_work"] = json!(1_u64 << 34);
    let id = sponsor.submit(&job);
    assert_eq!(sponsor.get(&format!("/jobs/{id}")).ok()["algorithm"], "scrypt");
    let mut miner = Miner::login_scrypt(scrypt(&pool), "alice.rig", "x");
    miner.hear_job();
    assert_eq!(miner.job.as_ref().expect("a job").1.hashes(), Hashes(2), "as written on scrypt's scale");
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
    let refused = miner.submit(&share).expect_err("refused");
    assert_eq!(refused, json!([22, "duplicate share", null]));
    let account = sponsor.get("/accounts/alice").ok();
    assert_eq!(number(&account["work"]["all"]), 2 * SCRYPT_WORK_PER_HASH);
    let worker = &account["workers"][0];
    assert_eq!((&worker["algorithm"], &worker["difficulty"]), (&json!("scrypt"), &json!(2f64.powi(-15))));
    // What only its sha256d hash would prove is refused, with figures that scrypt miners know.
    let least = miner.job.as_ref().expect("a job").1;
    let proven = |hash| Difficulty::of_hash(&hash) >= least;
    let mut wrong = miner.search(|hash| !proven(hash));
    miner.algorithm = Algorithm::Sha256d;
    while !proven(miner.hash(&wrong)) {
        miner.algorithm = Algorithm::Scrypt;
        wrong = miner.search(|hash| !proven(hash));
        miner.algorithm = Algorithm::Sha256d;
    }
    for _ in 0..2 {
        let error = miner.submit(&wrong).expect_err("refused");
        assert_eq!(code(&error), 23, "{error}");
        assert!(error[1].as_str().expect("text").ends_with("wanted 0.000030517578125"), "{error}");
    }
    let stale = lode_protocol::method::Submit { job: "nothing".into(), ..share };
    assert_eq!(miner.verdict(&stale), Some(21));
    pool.stop();
    assert_eq!(home.audit().1["ok"], true);
}

#[test]
fn answers_come_in_order_and_a_repeat_costs_no_hash() {
    let home = Home::new(CONFIG);
    let pool = home.start_with_scrypt();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let mut job = Vector::scrypt_job_of_difficulty(1e6, 1_000);
    job["spec"]["max_work"] = json!(1_u64 << 34);
    sponsor.submit(&job);
    let mut miner = Miner::login_scrypt(scrypt(&pool), "alice", "x");
    miner.hear_job();
    let good: Vec<_> = (0..4).map(|_| miner.mine()).collect();
    let method = lode_protocol::method::Submit::METHOD;
    let mut ids = Vec::new();
    for share in &good {
        // Each twice in a row, and something quick behind it.
        for _ in 0..2 {
            ids.push((miner.send(method, &share.to_params()), "share"));
        }
        ids.push((miner.send("mining.ping", &json!([])), "ping"));
    }
    let outcomes: Vec<_> = ids
        .iter()
        .map(|(id, _)| {
            let response = miner.response().expect("an answer");
            assert_eq!(response.id, lode_protocol::rpc::Id::from(*id), "in the order of the requests");
            response.outcome.map_err(|error| code(&error))
        })
        .collect();
    let wanted = [Ok(json!(true)), Err(22), Ok(json!("pong"))];
    assert!(outcomes.chunks(3).all(|three| *three == wanted), "{outcomes:?}");
}

#[test]
fn a_flood_of_worthless_shares_is_banned() {
    let home = Home::new(&format!("{CONFIG}[stratum]\nban_points = 20\nban_loopback = true\n"));
    let pool = home.start_with_scrypt();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let mut job = Vector::scrypt_job_of_difficulty(1e6, 1_000);
    job["spec"]["max_work"] = json!(1_u64 << 34);
    sponsor.submit(&job);
    let mut miner = Miner::login_scrypt(scrypt(&pool), "mallory", "x");
    miner.hear_job();
    let lines: Vec<_> =
        (0..40).map(|_| miner.search(|hash| Difficulty::of_hash(&hash) < Difficulty::from_hashes(Hashes(2)))).collect();
    for share in &lines {
        miner.send(lode_protocol::method::Submit::METHOD, &share.to_params());
    }
    let mut judged = 0;
    while let Some(response) = miner.response() {
        let error = response.outcome.expect_err("refused");
        judged += usize::from(code(&error) == 23);
    }
    // The connection may end before the last verdict is told.
    assert!((9..=10).contains(&judged), "two points each, twenty in all, and none is hashed after that: {judged}");
}

#[test]
fn without_its_listener_a_scrypt_job_is_refused_and_an_open_one_waits() {
    let home = Home::new(CONFIG);
    let pool = home.start_with_scrypt();
    let listeners = Api::anyone(&pool).get("/pool").ok()["listeners"].clone();
    let names: Vec<_> = listeners.as_array().expect("an array").iter().map(|row| row["algorithm"].clone()).collect();
    assert_eq!(names, ["sha256d", "scrypt"]);
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let open = sponsor.submit(&Vector::scrypt_job_of_difficulty(0.001, 500));
    pool.stop();
    let pool = home.start();
    assert_eq!(pool.scrypt, None);
    let sponsor = sponsor.at(&pool);
    let job = Vector::scrypt_job_of_difficulty(0.001, 500);
    for path in ["/quotes", "/jobs"] {
        let answer = sponsor.post(path, &job);
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (422, &json!("spec.algorithm")));
        let detail = "this pool has no scrypt listener; configured are: sha256d";
        assert_eq!(answer.body["errors"][0]["detail"], detail);
    }
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    miner.hear_until(|miner| !miner.messages.is_empty());
    assert_eq!(sponsor.get(&format!("/jobs/{open}")).ok()["state"], "open");
    pool.stop();
    // With the listener back, it goes on.
    let pool = home.start_with_scrypt();
    let mut miner = Miner::login_scrypt(scrypt(&pool), "alice", "x");
    miner.hear_job();
    let solution = miner.search(|hash| Difficulty::of_hash(&hash) >= Difficulty::from_hashes(Hashes(70)));
    assert_eq!(miner.verdict(&solution), None);
    sponsor.at(&pool).wait_for_state(&open, "done");
}
