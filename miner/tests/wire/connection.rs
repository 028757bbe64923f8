//! How the miner keeps its connection: back-off, failover, resume, silence, nonsense. The clock is paused.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use lode_miner::client::PROBE_EVERY;
use lode_miner::link::{HANDSHAKE_TIMEOUT, PING_AFTER, SILENCE_MAX};
use lode_miner::pools::PAUSE_MAX;
use lode_protocol::line::LINE_BYTES_MAX;
use lode_protocol::rpc::{notification_line, result_line};
use serde_json::json;
use tokio::time::{Instant, sleep};

const A: &str = "stratum+tcp://a.pool.test:3333";
const B: &str = "stratum+tcp://b.pool.test:3333";
const FOREVER: Duration = Duration::from_secs(3600);

fn run(exchange: &Exchange, urls: &[&str]) -> Run {
    Run::start(urls, Arc::<Wires>::clone(&exchange.wires), vec![cpu()])
}

#[tokio::test(start_paused = true)]
async fn pauses_between_rounds_grow_to_their_bound() {
    let exchange = Exchange::new(|_, _| Way::Refused);
    let run = run(&exchange, &[A, B]);
    sleep(FOREVER).await;
    let tries = exchange.tries();
    let gaps: Vec<Duration> = tries.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(
        tries.iter().step_by(2).all(|(url, _)| url == A) && tries.iter().skip(1).step_by(2).all(|(url, _)| url == B)
    );
    for (round, pair) in gaps.chunks_exact(2).enumerate() {
        let most = Duration::from_secs(1 << round.min(10)).min(PAUSE_MAX) + Duration::from_millis(2);
        assert!(pair[0] < Duration::from_millis(2) && pair[1] <= most && pair[1] >= most / 3, "{round}: {pair:?}");
    }
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_resumed_by_its_id_within_a_second() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A]);
    let mut pool = exchange.accept().await;
    assert_eq!(pool.welcome("s1").await.len(), 1, "nothing to resume at first");
    sleep(Duration::from_secs(60)).await;
    drop(pool);
    let lost = Instant::now();
    let mut pool = exchange.accept().await;
    assert!(lost.elapsed() <= Duration::from_millis(1100));
    assert_eq!(pool.welcome("s2").await[1], "s1");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_log_in_moves_on_and_forgets_the_session() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A, B]);
    let mut first = exchange.accept().await;
    for answer in [json!({}), json!([[["mining.notify", "s1"]], "0a", 4]), json!(false)] {
        let request = first.request().await.unwrap();
        first.send(&result_line(&request.id, &answer)).await;
    }
    first.hung_up().await;
    let mut second = exchange.accept().await;
    second.welcome("s2").await;
    assert_eq!(exchange.tries()[1].0, B);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_in_without_answers_is_given_up() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A, B]);
    let (began, mut mute) = (Instant::now(), exchange.accept().await);
    mute.hung_up().await;
    assert!(began.elapsed() >= HANDSHAKE_TIMEOUT && began.elapsed() < HANDSHAKE_TIMEOUT + Duration::from_secs(1));
    exchange.accept().await.welcome("s").await;
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_pool_is_asked_and_then_left() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A]);
    let mut pool = exchange.accept().await;
    pool.welcome("s1").await;
    let heard = Instant::now();
    let request = pool.request().await.unwrap();
    assert_eq!(request.method, "mining.ping");
    assert!((PING_AFTER..PING_AFTER + Duration::from_secs(2)).contains(&heard.elapsed()));
    pool.send(&result_line(&request.id, &json!("pong"))).await;
    let heard = Instant::now();
    assert_eq!(pool.request().await.unwrap().method, "mining.ping");
    pool.hung_up().await;
    assert!((SILENCE_MAX..SILENCE_MAX + Duration::from_secs(2)).contains(&heard.elapsed()));
    exchange.accept().await.welcome("s2").await;
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_pool_is_returned_to_once_it_works() {
    let mut exchange = Exchange::new(|number, _| if number == 1 { Way::Refused } else { Way::Open });
    let run = run(&exchange, &[A, B]);
    let mut fallback = exchange.accept().await;
    fallback.welcome("b1").await;
    let began = Instant::now();
    // The probe logs in all the way before the fallback is left.
    let mut primary = exchange.accept().await;
    assert!((PROBE_EVERY..PROBE_EVERY + Duration::from_secs(2)).contains(&began.elapsed()));
    primary.welcome("a1").await;
    fallback.hung_up().await;
    primary.settle().await;
    assert_eq!(exchange.tries().iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(), [A, B, A]);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn lines_without_sense_and_lines_without_end_close_the_connection() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A]);
    let mut pool = exchange.accept().await;
    pool.welcome("s1").await;
    for line in ["", "{", "[]", "nonsense", "17"] {
        pool.send(line).await;
    }
    pool.settle().await;
    pool.send("one too many").await;
    pool.hung_up().await;

    let mut pool = exchange.accept().await;
    pool.welcome("s2").await;
    pool.send(&"x".repeat(LINE_BYTES_MAX + 1)).await;
    pool.hung_up().await;
    exchange.accept().await.welcome("s3").await;
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_may_send_its_miners_within_its_domain_only() {
    let mut exchange = Exchange::new(|_, _| Way::Open);
    let run = run(&exchange, &[A]);
    let mut pool = exchange.accept().await;
    pool.welcome("s1").await;
    let asked = Instant::now();
    pool.send(&notification_line("client.reconnect", &json!(["c.pool.test", 4444, 5]))).await;
    pool.hung_up().await;
    let mut pool = exchange.accept().await;
    assert!(asked.elapsed() >= Duration::from_secs(5));
    assert_eq!(pool.welcome("s2").await[1], "s1");
    pool.send(&notification_line("client.reconnect", &json!(["thief.test", 4444, 0]))).await;
    pool.hung_up().await;
    exchange.accept().await.welcome("s3").await;
    let tried: Vec<String> = exchange.tries().into_iter().map(|(url, _)| url).collect();
    assert_eq!(tried, [A, "stratum+tcp://c.pool.test:4444", A]);
    run.end().await;
}
