//! The wire as real clients use and misuse it: codes, quirks and bounds.

use lode_protocol::Algorithm::Sha256d;
use lode_protocol::line::LINE_BYTES_MAX;
use lode_protocol::rpc::Id;
use lode_protocol::{Difficulty, hex};
use lode_tests::miner::{Miner, code};
use lode_tests::pool::{Home, Pool};
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::{Value, json};

const CONFIG: &str = "[vardiff]\nstart = 1e-6\nleast = 1e-7\nmost = 1e-3\n";

fn with_job() -> (Home, Pool) {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    sponsor.submit(&Vector::endless_job(1 << 36, 1_000));
    (home, pool)
}

fn at_work() -> (Home, Pool, Miner) {
    let (home, pool) = with_job();
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    (home, pool, miner)
}

fn refused(outcome: Result<Value, Value>) -> (u64, String) {
    let error = outcome.expect_err("a refusal");
    (code(&error), error[1].as_str().expect("a text").to_owned())
}

#[test]
fn submits_before_their_time() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    let share = json!(["alice.rig", "fff0000", "00000000", "64b3f3ec", "00000000"]);
    assert_eq!(refused(miner.call("mining.submit", &share)).0, 25);
    assert_eq!(refused(miner.call("mining.submit", &json!([]))).0, 25);
    miner.subscribe(None);
    assert_eq!(refused(miner.call("mining.submit", &share)).0, 24);
    miner.call("mining.authorize", &json!(["alice.rig", "x"])).expect("a login");
    assert_eq!(refused(miner.call("mining.submit", &share)).0, 21);
    assert_eq!(refused(miner.call("mining.subscribe", &json!([]))), (20, "already subscribed".into()));
}

#[test]
fn shares_that_are_wrong_in_one_thing() {
    let (_home, _pool, mut miner) = at_work();
    let good = miner.mine();
    let params = good.to_params();
    let mut with = |index: usize, value: Value| {
        let mut changed = params.as_array().expect("an array").clone();
        changed.resize(changed.len().max(index + 1), Value::Null);
        changed[index] = value;
        refused(miner.call("mining.submit", &json!(changed)))
    };
    assert_eq!(with(0, json!("mallory.rig")), (24, "unauthorized worker".into()));
    assert_eq!(with(0, json!(5)), (20, "user name is not a string".into()));
    assert_eq!(with(1, json!("ffffffff")), (21, "stale or unknown job".into()));
    assert_eq!(with(1, json!(7)), (20, "job id is not a string".into()));
    assert_eq!(with(2, json!("00")), (20, "extranonce2: 1 bytes where 4 are wanted".into()));
    assert_eq!(with(2, json!("0000000000")), (20, "extranonce2: 5 bytes where 4 are wanted".into()));
    assert_eq!(with(2, json!("000")), (20, "extranonce2: odd number of hex digits (3)".into()));
    assert_eq!(with(2, json!("0000000g")), (20, "extranonce2: not a hex digit at position 7".into()));
    assert_eq!(with(3, json!("64b3f3")), (20, "ntime: 6 hex digits where 8 are wanted".into()));
    assert_eq!(with(3, json!("64b3f3eb")), (20, "ntime 64b3f3eb is out of range".into()));
    assert_eq!(with(4, json!("abc")), (20, "nonce: 3 hex digits where 8 are wanted".into()));
    assert_eq!(with(4, json!("1ffffffff")), (20, "nonce: 9 hex digits where 8 are wanted".into()));
    assert_eq!(with(4, json!(12)), (20, "nonce is not a string".into()));
    assert_eq!(with(5, json!("00002000")), (20, "version rolling was not negotiated".into()));
    assert_eq!(with(6, json!("junk")), (20, "7 parameters where at most 6 are taken".into()));
    assert_eq!(miner.verdict(&good), None);
    assert_eq!(miner.verdict(&good), Some(22));
    let upper = json!(
        params
            .as_array()
            .unwrap()
            .iter()
            .map(|p| match p {
                // The same bytes in other letters are the same share.
                Value::String(text) if text.len() == 8 => json!(text.to_uppercase()),
                other => other.clone(),
            })
            .collect::<Vec<_>>()
    );
    assert_eq!(refused(miner.call("mining.submit", &upper)).0, 22);
    let easy = miner.search(|hash| Difficulty::of_hash(&hash) < Difficulty::parse("1e-8", Sha256d).unwrap());
    assert_eq!(miner.verdict(&easy), Some(23));
}

#[test]
fn version_rolling_replaces_the_bits_of_the_mask_and_no_others() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    let wish =
        json!([["version-rolling", "x"], {"version-rolling.mask": "ffffffff", "version-rolling.min-bit-count": 2}]);
    let granted = miner.call("mining.configure", &wish).expect("an answer");
    assert_eq!(granted, json!({"version-rolling": true, "version-rolling.mask": "1fffe000", "x": false}));
    miner.subscribe(None);
    miner.call("mining.authorize", &json!(["alice", "x"])).expect("a login");
    miner.user = "alice".into();
    miner.hear_job();
    let mut share = miner.mine();
    share.version_bits = Some(0x0000_0001);
    let (code, text) = refused(miner.submit(&share));
    assert_eq!((code, text.as_str()), (20, "version bits 00000001 are outside the mask 1fffe000"));
    share.version_bits = None;
    assert_eq!(miner.verdict(&share), None, "no bits leave the job's version as it is");
    let refusing =
        json!([["version-rolling"], {"version-rolling.mask": "00000003", "version-rolling.min-bit-count": 2}]);
    assert_eq!(Miner::connect(pool.stratum).call("mining.configure", &refusing), Ok(json!({"version-rolling": false})));
}

#[test]
fn lines_that_are_no_requests() {
    let (_home, _pool, mut miner) = at_work();
    for (line, text) in [
        (&b"\xff\xfe{}"[..], "line is not UTF-8"),
        (b"nonsense", "line is not JSON"),
        (b"[1,2]", "line is not a JSON object"),
        (br#"{"id":null}"#, "neither method, result nor error"),
        (br#"{"id":9,"method":"mining.submit","params":{}}"#, "params is not an array"),
    ] {
        let response = miner.ask_raw(line);
        assert_eq!(response.outcome, Err(json!([20, text, null])));
    }
    let deep = [&b"{\"id\":1,\"method\":"[..], &[b'['; 9_000]].concat();
    assert!(miner.ask_raw(&deep).outcome.is_err());
    // The connection is as good as before.
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

#[test]
fn a_line_over_the_bound_is_answered_and_closed() {
    let (_home, pool, mut miner) = at_work();
    let longest = format!("{:width$}", r#"{"id":1,"method":"mining.ping","params":[]}"#, width = LINE_BYTES_MAX);
    assert_eq!(miner.ask_raw(longest.as_bytes()).outcome, Ok(json!("pong")));
    miner.send_raw(&vec![b'x'; LINE_BYTES_MAX + 1]).expect("the pool is there");
    let response = miner.response().expect("an answer");
    assert_eq!(response.outcome, Err(json!([20, "line over 16384 bytes", null])));
    miner.hear_close();
    let mut other = Miner::login(pool.stratum, "bob", "x");
    other.hear_job();
}

#[test]
fn ids_of_every_form_are_echoed() {
    let (_home, _pool, mut miner) = at_work();
    for (id, wanted) in [
        (json!("auth"), Id::Text("auth".into())),
        (json!(4), Id::from(4)),
        (json!(4), Id::from(4)),
        (Value::Null, Id::Null),
        (json!(-1.5), Id::Number(serde_json::Number::from_f64(-1.5).unwrap())),
    ] {
        let line = json!({"id": id, "method": "mining.ping", "params": []}).to_string();
        assert_eq!(miner.ask_raw(line.as_bytes()).id, wanted);
    }
    assert_eq!(miner.ask_raw(br#"{"method":"mining.ping"}"#).id, Id::Null);
}

#[test]
fn what_real_clients_ask_is_answered() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    // cgminer and ESP-Miner configure first; cpuminer-opt writes the difficulty as text; bfgminer
    // asks for transactions after each job and sends its suggestion under a null id.
    miner.call("mining.configure", &json!([["info", "subscribe-extranonce"], {}])).expect("an answer");
    assert_eq!(
        miner.ask_raw(br#"{"id":null,"method":"mining.suggest_difficulty","params":[0.0002]}"#).outcome,
        Ok(json!(true))
    );
    miner.subscribe(None);
    assert_eq!(miner.call("mining.extranonce.subscribe", &json!([])), Ok(json!(true)));
    assert_eq!(
        miner.ask_raw(br#"{"id":"auth","method":"mining.authorize","params":["alice","x"]}"#).outcome,
        Ok(json!(true))
    );
    miner.hear_job();
    assert_eq!(miner.job.as_ref().expect("a job").1, Difficulty::parse("0.0002", Sha256d).unwrap().for_wire());
    assert_eq!(
        miner.ask_raw(br#"{"params":["1"],"id":"txlist1","method":"mining.get_transactions"}"#).outcome,
        Ok(json!([]))
    );
    assert_eq!(miner.call("mining.suggest_difficulty", &json!(["0.0001"])), Ok(json!(true)));
    assert_eq!(refused(miner.call("mining.noop", &json!([]))).0, 20);
    assert_eq!(refused(miner.call("mining.suggest_difficulty", &json!([{}]))).0, 20);
    // An answer to something that nobody asked is let pass.
    miner.send_raw(b"{\"id\":77,\"result\":\"cpuminer\",\"error\":null}\n").expect("the pool is there");
    assert_eq!(miner.call("mining.ping", &json!([])), Ok(json!("pong")));
}

#[test]
fn nerdminers_short_nonces_count() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    let result = miner.call("mining.subscribe", &json!(["NerdMinerV2/1.8"])).expect("a subscription");
    miner.extranonce1 = hex::decode(result[1].as_str().expect("hex"), 64).expect("hex");
    miner.extranonce2_bytes = 4;
    miner.call("mining.authorize", &json!(["nerd.one", "x"])).expect("a login");
    miner.user = "nerd.one".into();
    miner.hear_job();
    let share = miner.mine();
    let mut params = share.to_params();
    params[4] = json!(format!("{:x}", share.nonce));
    assert!(params[4].as_str().unwrap().len() < 8);
    assert_eq!(miner.call("mining.submit", &params), Ok(json!(true)));
}

#[test]
fn a_password_sets_the_floor_and_the_difficulty_is_judged_as_issued() {
    let (_home, pool) = with_job();
    let mut miner = Miner::login(pool.stratum, "alice", "d=0.0000005");
    miner.hear_job();
    let (before, easy) = miner.job.clone().expect("a job");
    let old_share = miner.mine();
    miner.call("mining.suggest_difficulty", &json!([0.0005])).expect("an answer");
    miner.hear_until(|miner| miner.job.as_ref().is_some_and(|(notify, _)| notify.job != before.job));
    let (after, hard) = miner.job.clone().expect("a job");
    assert!(hard > easy);
    assert!(!after.clean, "the same work goes on");
    // For the new job the new difficulty holds, for the old one still the old.
    let low = miner.search(|hash| Difficulty::of_hash(&hash) < hard);
    assert_eq!(miner.verdict(&low), Some(23));
    assert_eq!(miner.verdict(&old_share), None);
    miner.job = Some((before.clone(), easy));
    let between = miner.search(|hash| Difficulty::of_hash(&hash) > easy && Difficulty::of_hash(&hash) < hard);
    assert_eq!(miner.verdict(&between), None);
    // A hash cannot wait for a difficulty that is worth more: under the new job it is another header.
    let lucky = miner.search(|hash| Difficulty::of_hash(&hash) > hard);
    let renamed = lode_protocol::method::Submit { job: after.job.clone(), ..lucky.clone() };
    assert_eq!(miner.verdict(&renamed), Some(23));
    assert_ne!(after.template.version, before.template.version);
    assert_eq!(after.template.version & !0x1fe0_0000, before.template.version, "in bits that are free to roll");
    assert_eq!(miner.verdict(&lucky), None);
    let mut wrong = Miner::connect(pool.stratum);
    wrong.subscribe(None);
    let (code, text) = refused(wrong.call("mining.authorize", &json!(["alice", "d=-3"])));
    assert_eq!((code, text.as_str()), (20, "password option d: difficulty -3 is not a positive number"));
    assert_eq!(refused(wrong.call("mining.authorize", &json!(["al ice", "x"]))).0, 20);
}

#[test]
fn a_client_that_rolls_versions_gives_up_the_bits_that_tell_issues_apart() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    let wish = json!([["version-rolling"], {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2}]);
    miner.call("mining.configure", &wish).expect("an answer");
    miner.subscribe(None);
    miner.call("mining.authorize", &json!(["alice", "x"])).expect("a login");
    miner.user = "alice".into();
    miner.hear_job();
    let before = miner.job.clone().expect("a job");
    let mut rolled = miner.mine();
    rolled.version_bits = Some(0x1fff_e000);
    assert_eq!(miner.verdict(&rolled), Some(23), "any bit may be rolled at first");
    miner.call("mining.suggest_difficulty", &json!([0.0005])).expect("an answer");
    miner.hear_until(|miner| miner.job.as_ref().is_some_and(|(notify, _)| notify.job != before.0.job));
    assert_eq!(miner.version_mask, Some(0x001f_e000));
    let mut tagged = miner.share(0);
    tagged.version_bits = Some(0x0020_0000);
    assert_eq!(miner.verdict(&tagged), Some(20));
    tagged.version_bits = Some(0x0000_2000);
    assert_eq!(miner.verdict(&tagged), Some(23));
}

#[test]
fn a_client_that_keeps_asking_for_other_difficulties_is_no_longer_heard() {
    let (_home, _pool, mut miner) = at_work();
    let wish =
        |miner: &mut Miner, n: u32| miner.call("mining.suggest_difficulty", &json!([f64::from(n % 2 + 1) * 1e-6]));
    for n in 0..64 {
        assert_eq!(wish(&mut miner, n), Ok(json!(true)));
    }
    assert_eq!(wish(&mut miner, 64), Ok(json!(false)));
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

#[test]
fn a_tls_hello_is_closed_at_once() {
    let (_home, pool) = with_job();
    let mut miner = Miner::connect(pool.stratum);
    miner.send_raw(&[0x16, 0x03, 0x01, 0x00, 0x05]).expect("the pool is there");
    miner.hear_close();
}

#[test]
fn lines_may_come_in_pieces_or_many_at_once() {
    let (_home, _pool, mut miner) = at_work();
    let ping = br#"{"id":1,"method":"mining.ping"}"#;
    for byte in ping {
        miner.send_raw(&[*byte]).expect("the pool is there");
    }
    miner.send_raw(b"\r\n\n").expect("the pool is there");
    assert_eq!(miner.response().expect("an answer").outcome, Ok(json!("pong")));
    let many = [&ping[..], b"\n"].concat().repeat(50);
    miner.send_raw(&many).expect("the pool is there");
    for _ in 0..50 {
        assert_eq!(miner.response().expect("an answer").outcome, Ok(json!("pong")));
    }
}

#[test]
fn junk_shares_do_not_fill_memory_or_push_out_real_ones() {
    let (_home, _pool, mut miner) = at_work();
    let good = miner.mine();
    assert_eq!(miner.verdict(&good), None);
    let weak = Difficulty::parse("1e-8", Sha256d).unwrap();
    for _ in 0..1_000 {
        let junk = miner.search(|hash| Difficulty::of_hash(&hash) < weak);
        assert_eq!(miner.verdict(&junk), Some(23));
    }
    assert_eq!(miner.verdict(&good), Some(22));
}
