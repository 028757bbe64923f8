//! Peers that are slow, flood, or come in numbers; and those that behave beside them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use lode_tests::miner::Miner;
use lode_tests::pool::{Home, Pool};
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use serde_json::json;

fn with_job(config: &str) -> (Home, Pool) {
    let home = Home::new(&format!("[vardiff]\nstart = 1e-6\nleast = 1e-6\nmost = 1e-6\n{config}"));
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    sponsor.submit(&Vector::endless_job(1 << 36, 1_000));
    (home, pool)
}

fn works(pool: &Pool, user: &str) {
    let mut miner = Miner::login(pool.stratum, user, "x");
    miner.hear_job();
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

/// Sends requests and never reads an answer, until the pool will take no more.
fn flood(pool: &Pool) -> TcpStream {
    let mut stream = TcpStream::connect(pool.stratum).expect("the pool accepts connections");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket option");
    let lines = b"{\"id\":1,\"method\":\"mining.get_transactions\",\"params\":[]}\n".repeat(1_000);
    while stream.write_all(&lines).is_ok() {}
    stream
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_disturbs_nobody() {
    let (_home, pool) = with_job("");
    let mut stream = flood(&pool);
    works(&pool, "alice");
    let closed = |error: std::io::Error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
    lode_tests::wait_for("the pool to give up on it", || stream.write_all(b"x").is_err_and(closed).then_some(()));
    works(&pool, "bob");
}

#[test]
fn a_peer_that_sends_one_byte_and_waits_is_closed_in_time() {
    let (_home, pool) = with_job("[stratum]\nlogin_s = 1\n");
    let mut silent = Miner::connect(pool.stratum);
    let mut slow = Miner::connect(pool.stratum);
    slow.send_raw(b"{").expect("the pool is there");
    let mut lazy = Miner::connect(pool.stratum);
    lazy.subscribe(None);
    for miner in [&mut silent, &mut slow, &mut lazy] {
        miner.hear_close();
    }
    works(&pool, "alice");
}

#[test]
fn a_silent_worker_is_closed_after_its_time() {
    let (_home, pool) = with_job("[stratum]\nidle_s = 1\n");
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    miner.hear_close();
}

#[test]
fn connections_over_the_limit_are_turned_away_and_their_places_come_free() {
    let (_home, pool) = with_job("[stratum]\nconnections_max = 3\n");
    let mut miners: Vec<Miner> = (0..3).map(|n| Miner::login(pool.stratum, &format!("a{n}"), "x")).collect();
    Miner::connect(pool.stratum).hear_close();
    let gone = miners.pop();
    drop(gone);
    lode_tests::wait_for("a place to come free", || {
        let mut stream = TcpStream::connect(pool.stratum).expect("the pool accepts connections");
        stream.set_read_timeout(Some(lode_tests::PATIENCE)).expect("a socket option");
        stream.write_all(b"{\"id\":1,\"method\":\"mining.ping\"}\n").ok()?;
        let mut answer = [0; 1];
        (stream.read(&mut answer).ok()? == 1).then_some(())
    });
}

#[test]
fn misbehaviour_bans_where_it_is_configured_for_this_machine() {
    let (_home, pool) = with_job("[stratum]\nban_loopback = true\nban_points = 30\n");
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    for _ in 0..2 {
        assert!(miner.ask_raw(b"nonsense").outcome.is_err());
    }
    miner.send_raw(b"nonsense\n").expect("the pool is there");
    miner.hear_close();
    Miner::connect(pool.stratum).hear_close();
}

#[test]
fn this_machine_is_not_banned_by_default() {
    let (_home, pool) = with_job("");
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    for _ in 0..200 {
        assert!(miner.ask_raw(b"nonsense").outcome.is_err());
    }
    miner.hear_job();
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

#[test]
fn many_workers_on_one_connection_are_bounded() {
    let (_home, pool) = with_job("");
    let mut miner = Miner::login(pool.stratum, "alice.r0", "x");
    for n in 1..256 {
        assert_eq!(miner.call("mining.authorize", &json!([format!("alice.r{n}"), "x"])), Ok(json!(true)));
    }
    assert!(miner.call("mining.authorize", &json!(["alice.r256", "x"])).is_err());
    assert_eq!(miner.call("mining.authorize", &json!(["alice.r5", "x"])), Ok(json!(true)));
}
