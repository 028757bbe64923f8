//! The session against scripted lines.

use std::time::Duration;

use lode_protocol::header::{PrevHash, roll_version};

use super::*;

const NOTIFY_PREV: &str = "0700000007000000070000000700000007000000070000000700000007000000";

fn session() -> Session {
    Session::new(7, Login { user: "alice.rig".into(), password: "x".into() }, Algorithm::Sha256d, Some("old".into()))
}

fn notify(job: &str, clean: bool) -> String {
    format!(
        r#"{{"id":null,"method":"mining.notify","params":["{job}","{NOTIFY_PREV}","0102","03",[],"20002000","1d00ffff","64b3f3ec",{clean}]}}"#
    )
}

/// Opens a session and has it answered as most pools do.
fn opened(now: Instant) -> Session {
    let mut session = session();
    session.open(now);
    let events = [
        r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000","subscribe-extranonce":true},"error":null}"#,
        r#"{"id":2,"result":[[["mining.set_difficulty","s1"],["mining.notify","s1"]],"08000002",4],"error":null}"#,
        r#"{"id":3,"result":true,"error":null}"#,
    ]
    .map(|line| session.line(line.as_bytes(), now));
    assert_eq!(events, [vec![], vec![], vec![Event::Ready]]);
    session
}

fn the_job(events: &[Event]) -> Arc<Job> {
    let [Event::Job(job)] = events else { panic!("no job alone in {events:?}") };
    Arc::clone(job)
}

fn share(job: &Arc<Job>, nonce: u32) -> Share {
    Share { device: 1, job: Arc::clone(job), extranonce2: vec![0, 0, 0, 9], ntime: job.template.ntime, nonce }
}

fn line_of(submission: Submission) -> Value {
    let Submission::Line(line) = submission else { panic!("{submission:?}") };
    serde_json::from_str(&line).unwrap()
}

#[test]
fn it_opens_with_configure_subscribe_and_authorize() {
    let mut session = session();
    let lines = session.open(Instant::now()).map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert_eq!(lines[0]["method"], "mining.configure");
    assert_eq!(lines[0]["params"][0], json!(["version-rolling", "subscribe-extranonce", "info"]));
    assert_eq!(lines[0]["params"][1]["version-rolling.mask"], "ffffffff");
    assert_eq!(lines[1]["params"], json!([AGENT, "old"]));
    assert_eq!(lines[2]["params"], json!(["alice.rig", "x"]));
    assert_eq!(lines.map(|line| line["id"].as_u64()), [Some(1), Some(2), Some(3)]);
}

#[test]
fn answers_may_come_in_any_order_and_a_notify_before_them() {
    let now = Instant::now();
    let mut session = session();
    session.open(now);
    assert_eq!(session.line(br#"{"id":3,"result":true}"#, now), []);
    assert_eq!(session.line(notify("a", true).as_bytes(), now), []);
    let events = session.line(br#"{"id":"2","result":[[["mining.notify","s2"]],"0a",2],"error":null}"#, now);
    let [Event::Ready, Event::Job(job)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&job.extranonce1[..], job.extranonce2_bytes, session.resume_by()), (&[0x0a][..], 2, Some("s2")));
    let events = session.line(br#"{"id":1,"result":null,"error":[20,"unknown method",null]}"#, now);
    let [Event::Send(line)] = &events[..] else { panic!("{events:?}") };
    assert!(line.contains("mining.extranonce.subscribe"), "{line}");
}

#[test]
fn a_scrypt_pools_numbers_are_read_on_scrypts_scale() {
    let login = Login { user: "alice.rig".into(), password: "x".into() };
    let mut session = Session::new(7, login, Algorithm::Scrypt, None);
    assert_eq!(session.difficulty, Difficulty::one(Algorithm::Scrypt));
    session.line(br#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#, Instant::now());
    assert_eq!(session.difficulty.hashes(), lode_protocol::Hashes(1 << 15));
}

#[test]
fn difficulty_and_extranonce_hold_from_the_next_notify_on() {
    let now = Instant::now();
    let mut session = opened(now);
    let first = the_job(&session.line(notify("a", true).as_bytes(), now));
    assert_eq!(first.difficulty, Difficulty::one(Algorithm::Sha256d));
    for line in [
        r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["aabb",6]}"#,
    ] {
        assert_eq!(session.line(line.as_bytes(), now), []);
    }
    let answer = session.submit(&share(&first, 1), now);
    assert_eq!(line_of(answer)["params"][2], "00000009");
    let second = the_job(&session.line(notify("b", false).as_bytes(), now));
    assert_eq!(second.difficulty, Difficulty::parse("0.5", Algorithm::Sha256d).unwrap());
    assert_eq!((&second.extranonce1[..], second.extranonce2_bytes), (&[0xaa, 0xbb][..], 6));
    assert!(first.serial < second.serial && second.template.prev_hash == PrevHash::from_stratum_bytes(prev()));
}

fn prev() -> [u8; 32] {
    lode_protocol::hex::decode_array(NOTIFY_PREV).unwrap()
}

#[test]
fn version_bits_give_back_the_headers_version_under_any_mask() {
    let now = Instant::now();
    let mut session = opened(now);
    let job = the_job(&session.line(notify("a", true).as_bytes(), now));
    let mut mask = 0x1fff_e000;
    for line in ["", r#"{"method":"mining.set_version_mask","params":["0000e00f"]}"#] {
        if !line.is_empty() {
            session.line(line.as_bytes(), now);
            mask = 0x0000_e00f;
        }
        let params = &line_of(session.submit(&share(&job, 1), now))["params"];
        let bits = lode_protocol::hex::decode_u32_be(params[5].as_str().unwrap()).unwrap();
        assert_eq!(roll_version(job.template.version, bits, mask), Ok(job.template.version));
    }
}

#[test]
fn without_a_granted_mask_a_submit_has_five_parameters() {
    let now = Instant::now();
    let mut session = session();
    session.open(now);
    session.line(br#"{"id":1,"result":{"version-rolling":false},"error":null}"#, now);
    session.line(br#"{"id":2,"result":[[],"08",4],"error":null}"#, now);
    session.line(br#"{"method":"mining.set_version_mask","params":["0000e000"]}"#, now);
    let job = the_job(&session.line(notify("a", true).as_bytes(), now));
    let line = line_of(session.submit(&share(&job, 0xed46_0d91), now));
    assert_eq!(line["params"], json!(["alice.rig", "a", "00000009", "64b3f3ec", "ed460d91"]));
    assert_eq!(session.resume_by(), None);
}

#[test]
fn a_clean_job_makes_older_shares_stale_and_a_plain_one_does_not() {
    let now = Instant::now();
    let mut session = opened(now);
    let first = the_job(&session.line(notify("a", true).as_bytes(), now));
    let second = the_job(&session.line(notify("b", false).as_bytes(), now));
    assert_ne!(session.submit(&share(&first, 1), now), Submission::Stale);
    let third = the_job(&session.line(notify("c", true).as_bytes(), now));
    assert_eq!(session.submit(&share(&first, 2), now), Submission::Stale);
    assert_eq!(session.submit(&share(&second, 2), now), Submission::Stale);
    assert_ne!(session.submit(&share(&third, 2), now), Submission::Stale);
    let mut next = Session::new(8, session.login.clone(), Algorithm::Sha256d, None);
    assert_eq!(next.submit(&share(&third, 3), now), Submission::Stale, "of another session");
}

#[test]
fn each_submit_gets_its_own_answer_whatever_the_order() {
    let now = Instant::now();
    let mut session = opened(now);
    let job = the_job(&session.line(notify("a", true).as_bytes(), now));
    let ids = [1, 2, 3, 4].map(|nonce| line_of(session.submit(&share(&job, nonce), now))["id"].as_u64().unwrap());
    let later = now + Duration::from_millis(30);
    let mut answered = |id: u64, rest: &str| {
        let events = session.line(format!(r#"{{"id":{id},{rest}}}"#).as_bytes(), later);
        let [Event::Answer(answer)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((answer.device, answer.latency), (1, Duration::from_millis(30)));
        answer.verdict.clone()
    };
    assert_eq!(answered(ids[3], r#""result":true,"error":null"#), Verdict::Accepted);
    let rejected = answered(ids[0], r#""result":null,"error":[23,"low difficulty",null]"#);
    assert_eq!(rejected, Verdict::Rejected(PoolError { code: Some(23), text: "low difficulty".into() }));
    assert!(matches!(answered(ids[2], r#""result":false,"error":null"#), Verdict::Rejected(_)));
    assert_eq!(session.open_submits(), 1);
    assert_eq!(session.line(format!(r#"{{"id":{},"result":true}}"#, ids[0]).as_bytes(), later), [], "answered twice");
    for stranger in [r#"{"id":null,"result":true}"#, r#"{"id":"x","result":true}"#, r#"{"id":99999,"result":true}"#] {
        assert_eq!(session.line(stranger.as_bytes(), later), []);
    }
    assert_eq!((session.open_submits(), session.malformed), (1, 0));
}

#[test]
fn open_submits_are_bounded_and_given_up_in_the_end() {
    let now = Instant::now();
    let mut session = opened(now);
    let job = the_job(&session.line(notify("a", true).as_bytes(), now));
    for nonce in 0..SUBMITS_MAX {
        assert!(session.has_room());
        line_of(session.submit(&share(&job, u32::try_from(nonce).unwrap()), now));
    }
    assert!(!session.has_room());
    assert_eq!(session.expire(now + ANSWER_TIMEOUT - Duration::from_millis(1)), []);
    let events = session.expire(now + ANSWER_TIMEOUT);
    assert_eq!(events.len(), SUBMITS_MAX);
    assert!(matches!(&events[0], Event::Answer(Answer { verdict: Verdict::Unanswered, .. })));
    assert!(session.has_room() && session.open_submits() == 0);
}

#[test]
fn questions_of_the_pool_are_answered_by_their_own_ids() {
    let now = Instant::now();
    let mut session = opened(now);
    for (line, answer) in [
        (r#"{"id":"v","method":"client.get_version","params":[]}"#, json!({"id":"v","result":AGENT,"error":null})),
        (r#"{"id":5,"method":"mining.ping"}"#, json!({"id":5,"result":"pong","error":null})),
        (
            r#"{"id":6,"method":"mining.dance","params":[]}"#,
            json!({"id":6,"result":null,"error":[20,"unknown method mining.dance",null]}),
        ),
    ] {
        let events = session.line(line.as_bytes(), now);
        let [Event::Send(line)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), answer);
    }
    assert_eq!(session.line(br#"{"id":null,"method":"mining.dance","params":[]}"#, now), []);
}

#[test]
fn messages_are_shown_without_control_characters_and_reconnect_is_passed_on() {
    let now = Instant::now();
    let mut session = opened(now);
    let line = br#"{"id":null,"method":"client.show_message","params":["hello\u001b[2J"]}"#;
    assert_eq!(session.line(line, now), [Event::Message("hello[2J".into())]);
    let events = session.line(br#"{"id":null,"method":"client.reconnect","params":["b.pool.test","4444",3]}"#, now);
    let [Event::Reconnect(reconnect)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((reconnect.host.as_deref(), reconnect.port, reconnect.wait_s), (Some("b.pool.test"), Some(4444), 3));
}

#[test]
fn refusals_are_told() {
    let now = Instant::now();
    for line in [
        r#"{"id":3,"result":false,"error":null}"#,
        r#"{"id":3,"result":null,"error":[24,"unauthorized worker",null]}"#,
        r#"{"id":2,"result":null,"error":[20,"full",null]}"#,
        r#"{"id":2,"result":[[],"zz",4],"error":null}"#,
        r#"{"id":2,"result":[[],"08",65],"error":null}"#,
    ] {
        let mut session = session();
        session.open(now);
        let events = session.line(line.as_bytes(), now);
        assert!(matches!(events[..], [Event::Refused(_)]), "{line}: {events:?}");
    }
}

#[test]
fn a_few_lines_without_sense_are_borne() {
    let now = Instant::now();
    let mut session = opened(now);
    let lines = [
        "\u{0}",
        "[]",
        r#"{"id":1,"method":"mining.notify","params":[]}"#,
        r#"{"method":"mining.set_difficulty","params":[0]}"#,
    ];
    for line in lines {
        let events = session.line(line.as_bytes(), now);
        assert!(matches!(events[..], [Event::Malformed(_)]), "{line}: {events:?}");
    }
    assert_eq!(session.difficulty, Difficulty::one(Algorithm::Sha256d));
    assert_eq!(session.line(b" ", now), []);
    let events = session.line(b"{", now);
    assert!(matches!(events[..], [Event::Malformed(_), Event::Broken]), "{events:?}");
}
