//! The recorded shares and blocks, and near misses of each, through the socket of a running pool.

use lode_protocol::Algorithm::Sha256d;
use lode_protocol::{Difficulty, HeaderHash, Target, hex};
use lode_tests::miner::Miner;
use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::{self, Vector};
use serde_json::{Value, json};

/// A pool whose first connection gets the vector's extranonce1, and which asks for one hash a share.
fn home_of(vector: &Vector) -> Home {
    let (one, two) = vector.extranonce_bytes();
    Home::new(&format!(
        "[stratum]\nextranonce1_bytes = {one}\nextranonce2_bytes = {two}\nextranonce1_start = \"{}\"\n\
         connections_max = 10\n[vardiff]\nstart = 1e9\n",
        vector.text("en1")
    ))
}

/// What a near miss changes: extranonce2, ntime, nonce, version bits.
struct Change {
    extranonce2: String,
    ntime: String,
    nonce: String,
    version_bits: Option<String>,
    hash: String,
}

fn recorded(vector: &Vector) -> Change {
    Change {
        extranonce2: vector.text("en2").into(),
        ntime: vector.text("ntime").into(),
        nonce: vector.text("nonce").into(),
        version_bits: vector.json()["version_bits"].as_str().map(str::to_owned),
        hash: vector.text("hash").into(),
    }
}

fn near_misses(vector: &Vector) -> Vec<Change> {
    let all = vector.json()["negatives"].as_object().expect("negatives");
    let change = |(name, value): (&String, &Value)| {
        let mut change = recorded(vector);
        let first = value[0].as_str().unwrap_or_default().to_owned();
        value[1].as_str().or(value.as_str()).expect("a hash").clone_into(&mut change.hash);
        match name.as_str() {
            "nonce_plus_1" => change.nonce = first,
            "ntime_plus_1" => change.ntime = first,
            "en2_changed" => change.extranonce2 = first,
            "without_version_bits" => change.version_bits = None,
            other => panic!("no such near miss: {other}"),
        }
        change
    };
    all.iter().map(change).collect()
}

/// A miner of the vector's kind, at a pool that has its job open.
fn at_work(vector: &Vector, home: &Home, target: &str) -> (lode_tests::pool::Pool, Api, String, Miner) {
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let job = sponsor.submit(&vector.job(target, 1_000));
    let mut miner = Miner::connect(pool.stratum);
    if let Some(mask) = vector.json()["mask"].as_str() {
        let wish = json!([["version-rolling"], {"version-rolling.mask": mask, "version-rolling.min-bit-count": 2}]);
        let granted = miner.call("mining.configure", &wish).expect("an answer");
        assert_eq!(granted, json!({"version-rolling": true, "version-rolling.mask": mask}));
    }
    miner.subscribe(None);
    assert_eq!(hex::encode(&miner.extranonce1), vector.text("en1"));
    miner.call("mining.authorize", &json!(["worker.1", "x"])).expect("a login");
    miner.user = "worker.1".into();
    miner.hear_job();
    (pool, sponsor, job, miner)
}

fn submit(miner: &mut Miner, change: &Change) -> Result<Value, Value> {
    let job = miner.job.as_ref().expect("a job").0.job.clone();
    let mut params =
        vec![json!("worker.1"), json!(job), json!(change.extranonce2), json!(change.ntime), json!(change.nonce)];
    params.extend(change.version_bits.as_ref().map(|bits| json!(bits)));
    miner.call("mining.submit", &json!(params))
}

/// The hash as a target: what meets it exactly solves the job.
fn meets(change: &Change, target: &str) -> bool {
    change.hash.as_str() <= target
}

fn check(vector: &Vector) -> usize {
    let target = vector.text("hash");
    let mut seen = 0;
    for change in near_misses(vector).iter().chain([&recorded(vector)]) {
        let home = home_of(vector);
        let (_pool, sponsor, job, mut miner) = at_work(vector, &home, target);
        let difficulty = miner.job.as_ref().expect("a job").1;
        let hash = HeaderHash::from_be_bytes(hex::decode_array(&change.hash).expect("hex"));
        let outcome = submit(&mut miner, change);
        if meets(change, target) {
            assert_eq!(outcome, Ok(json!(true)), "{}", vector.text("id"));
            sponsor.wait_for_state(&job, "done");
            let result = sponsor.get(&format!("/jobs/{job}/result")).ok();
            assert_eq!(result["hash"], change.hash);
            if change.hash == target {
                assert_eq!(result["header"], vector.text("header"));
                assert_eq!(result["version"], vector.text("ver"));
            }
        } else {
            assert!(!Target::from_difficulty(difficulty).is_met_by(&hash), "the job's own target bounds the share's");
            let error = outcome.expect_err("a near miss is refused");
            let [got, want] = [Difficulty::of_hash(&hash), difficulty].map(|difficulty| difficulty.to_f64(Sha256d));
            let text = format!("low difficulty share of {got}, wanted {want}");
            assert_eq!(error, json!([23, text, null]), "{}", vector.text("id"));
        }
        seen += 1;
    }
    seen
}

#[test]
fn every_recorded_share_and_near_miss_comes_out_as_recorded() {
    let seen: usize = vectors::all().iter().map(check).sum();
    assert_eq!(seen, 7 + 23, "each share and each near miss");
}

#[test]
fn a_time_before_the_job_or_too_far_after_it_is_refused() {
    let vector = vectors::named("V1");
    let home = home_of(&vector);
    let (_pool, _sponsor, _job, mut miner) = at_work(&vector, &home, vector.text("hash"));
    let ntime = u32::from_str_radix(vector.json()["notify_ntime"].as_str().expect("text"), 16).expect("hex");
    for (wrong, code) in [(ntime - 1, 20), (ntime + 7001, 20), (ntime, 23), (ntime + 7000, 23)] {
        let change = Change { ntime: format!("{wrong:08x}"), ..recorded(&vector) };
        let error = submit(&mut miner, &change).expect_err("refused");
        assert_eq!(error[0], code, "{error}");
    }
}

#[test]
fn a_template_for_other_extranonce_sizes_is_refused_by_name() {
    let home = home_of(&vectors::named("V2"));
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    let wide = vectors::named("V3");
    let mut job = wide.job(wide.text("hash"), 10);
    let named = |job: &Value| {
        let answer = sponsor.post("/jobs", job);
        assert_eq!((answer.status, answer.content_type.as_str()), (422, "application/problem+json"));
        let fields = answer.body["errors"].as_array().expect("errors").iter().map(|error| error["field"].clone());
        fields.collect::<Vec<_>>()
    };
    assert_eq!(named(&job), ["spec.extranonce_bytes", "spec.coinbase1"]);
    job["spec"]["extranonce_bytes"] = Value::Null;
    assert_eq!(named(&job), ["spec.coinbase1"]);
}
