//! The real miner with real threads against a scripted pool: on loopback sockets, where no timer matters.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::support::*;
use lode_miner::client::End;
use lode_miner::dial::Network;
use lode_miner::tls;
use lode_protocol::Rejection;
use lode_protocol::rpc::rejection_line;
use lode_protocol::{Algorithm, Difficulty};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn network(extra: Option<&Path>) -> Arc<Network> {
    Arc::new(Network::new(tls::connector(extra).unwrap()))
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("stratum+tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn accept(listener: &TcpListener) -> PoolEnd {
    PoolEnd::new(Box::new(listener.accept().await.unwrap().0))
}

#[tokio::test]
async fn it_mines_an_easy_job_and_every_submit_is_a_share_of_its_own() {
    let (listener, url) = listener().await;
    let run = Run::start(&[&url], network(None), vec![cpu()]);
    let mut pool = accept(&listener).await;
    pool.welcome("s1").await;
    let difficulty = Difficulty::parse("0.000001", Algorithm::Sha256d).unwrap();
    pool.set_difficulty(difficulty).await;
    pool.notify("a", 1, true).await;
    let (mut seen, mut accepted, mut rejected) = (HashSet::new(), 0, 0);
    while let Some((id, submit)) = pool.submit().await {
        assert!(is_share(&submit, 1, difficulty), "{submit:?}");
        assert_eq!((submit.user.as_str(), submit.job.as_str()), ("alice.rig", "a"));
        assert!(seen.insert((submit.extranonce2, submit.ntime, submit.nonce)), "submitted twice");
        if seen.len() == 7 {
            rejected += 1;
            pool.send(&rejection_line(&id, &Rejection::Duplicate)).await;
        } else {
            accepted += 1;
            pool.answer(&id).await;
        }
        if seen.len() == 40 {
            run.shutdown.cancel();
        }
    }
    let summary = run.summary().await;
    let device = &summary.devices[0];
    assert_eq!((summary.end, device.accepted, device.rejected), (End::Stopped, accepted, rejected));
    assert_eq!(device.unanswered, 0, "the end waits for answers");
    assert!(device.hashes > 0 && accepted >= 39);
    assert!(summary.to_string().contains("cpu:0"));
}

#[tokio::test]
async fn the_second_pool_is_used_when_the_first_refuses() {
    let (gone, dead) = listener().await;
    drop(gone);
    let (listener, url) = listener().await;
    let run = Run::start(&[&dead, &url], network(None), vec![cpu()]);
    let mut pool = accept(&listener).await;
    pool.welcome("s1").await;
    let summary = run.end().await;
    assert_eq!((summary.end, summary.devices[0].hashes), (End::Stopped, 0));
}

#[tokio::test]
async fn a_clean_job_costs_one_slice_and_nothing_stale_is_submitted() {
    let (listener, url) = listener().await;
    let (device, mut latch) = latched();
    let run = Run::start(&[&url], network(None), vec![device]);
    let mut pool = accept(&listener).await;
    pool.welcome("s1").await;
    pool.set_difficulty(latched_difficulty()).await;
    pool.notify("a", 1, true).await;
    latch.begun.recv().await.unwrap();
    pool.notify("b", 2, false).await;
    pool.settle().await;
    latch.turns.send(Turn::Hits(1)).unwrap();
    let (id, submit) = pool.submit().await.unwrap();
    assert_eq!(submit.job, "a", "a plain job leaves the one before it good");
    pool.answer(&id).await;

    let slice = latch.begun.recv().await.unwrap();
    assert_eq!(slice.start(), 0, "the next slice is of the new job");
    pool.notify("c", 3, true).await;
    pool.settle().await;
    latch.turns.send(Turn::Hits(5)).unwrap();
    let slice = latch.begun.recv().await.unwrap();
    assert_eq!(slice.start(), 0);
    latch.turns.send(Turn::Hits(2)).unwrap();
    for _ in 0..2 {
        let (id, submit) = pool.submit().await.unwrap();
        assert_eq!(submit.job, "c");
        pool.answer(&id).await;
    }
    latch.begun.recv().await.unwrap();
    run.shutdown.cancel();
    drop(latch);
    assert!(pool.submit().await.is_none());
    let device = run.summary().await.devices.remove(0);
    assert_eq!((device.accepted, device.stale, device.unanswered), (3, 5, 0));
}

#[tokio::test]
async fn the_end_lets_slices_finish_and_answers_arrive() {
    let (listener, url) = listener().await;
    let (device, mut latch) = latched();
    let run = Run::start(&[&url], network(None), vec![device]);
    let mut pool = accept(&listener).await;
    pool.welcome("s1").await;
    pool.set_difficulty(latched_difficulty()).await;
    pool.notify("a", 1, true).await;
    latch.begun.recv().await.unwrap();
    run.shutdown.cancel();
    latch.turns.send(Turn::Hits(3)).unwrap();
    for _ in 0..3 {
        let (id, _) = pool.submit().await.unwrap();
        pool.answer(&id).await;
    }
    drop(latch);
    pool.hung_up().await;
    let summary = run.summary().await;
    assert_eq!((summary.end, summary.devices[0].accepted), (End::Stopped, 3));
}

#[tokio::test]
async fn a_failing_device_is_set_aside_and_the_others_go_on_until_none_is_left() {
    let (listener, url) = listener().await;
    let (first, mut one) = latched();
    let (second, mut two) = latched();
    let broken: Box<dyn lode_kernels::Device> = Box::new(Broken(cpu()));
    let run = Run::start(&[&url], network(None), vec![first, broken, second]);
    let mut pool = accept(&listener).await;
    pool.welcome("s1").await;
    pool.set_difficulty(latched_difficulty()).await;
    pool.notify("a", 1, true).await;
    one.begun.recv().await.unwrap();
    one.turns.send(Turn::Fail).unwrap();
    two.begun.recv().await.unwrap();
    two.turns.send(Turn::Hits(1)).unwrap();
    let (id, _) = pool.submit().await.unwrap();
    pool.answer(&id).await;
    pool.settle().await;
    two.begun.recv().await.unwrap();
    two.turns.send(Turn::Panic).unwrap();
    let summary = run.summary().await;
    assert_eq!(summary.end, End::NoDevices);
    let failures: Vec<String> = summary.devices.iter().map(|device| device.failure.clone().unwrap()).collect();
    assert_eq!(failures[0], "fell off the bus");
    assert!(failures[1].contains("self-test"), "{}", failures[1]);
    assert_eq!(failures[2], "crashed: a bug");
    assert_eq!(summary.devices[2].accepted, 1);
}

/// A pool with a certificate that it made itself, as most small pools have.
#[tokio::test]
async fn a_pools_own_certificate_is_trusted_when_it_is_named_and_only_then() {
    let own = rcgen::generate_simple_self_signed(["pool.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, url) = listener().await;
    let url = url.replace("tcp", "ssl");

    let run = Run::start(&[&url], network(None), vec![cpu()]);
    let refused = acceptor.accept(listener.accept().await.unwrap().0).await;
    assert!(refused.is_err(), "nobody vouches for this certificate");
    run.end().await;

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, own.cert.pem()).unwrap();
    let run = Run::start(&[&url], network(Some(file.path())), vec![cpu()]);
    let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    PoolEnd::new(Box::new(stream)).welcome("s1").await;
    run.end().await;

    std::fs::write(&file, "no certificate").unwrap();
    let error = tls::connector(Some(file.path())).err().unwrap().to_string();
    assert!(error.contains("PEM file of 1 to 64 certificates"), "{error}");
}
