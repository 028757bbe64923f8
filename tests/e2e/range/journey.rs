//! A picture's whole way: uploaded, quoted, submitted, rendered on each backend, assembled, paid.

use std::thread;

use lode_tests::book::RangeBook;
use lode_tests::pool::Home;
use lode_tests::render::{self, Picture};
use lode_tests::rig::Rig;
use lode_tests::sponsor::Api;
use lode_tests::{say, scene};
use serde_json::json;

use super::{BUDGET, CONFIG, PICTURE, Site, Working, login, number};

#[test]
fn a_picture_is_the_same_from_every_backend() {
    for backend in crate::miner::backends() {
        // The stand-in card is some hundred times slower than a core.
        let small = Picture { width: 24, height: 20, samples: 1, max_depth: 3, seed: 5 };
        let picture = if backend == "cuda" { small } else { PICTURE };
        let site = Site::new(CONFIG, picture);
        let rig = Rig::start(&site.home, &site.pool, "alice.rig", &[backend]);
        let view = site.wait_for_picture();
        assert_eq!(view["elements"], picture.elements());
        assert_eq!((&view["elements_done"], &view["elements_matured"]), (&view["elements"], &view["elements"]));
        assert_eq!((number(&view["paid"]), number(&view["fee"]), number(&view["refunded"])), (990_000, 10_000, 0));
        let said = rig.stop();
        assert!(!said.contains("hardware error"), "{said}");
        let job = site.job.clone();
        let home = site.close(&[("alice", 990_000)]);
        let book = RangeBook::of(&home.data(), &job);
        assert!(book.elements().eq(0..picture.elements()), "each element is paid once: {book:?}");
        book.check_pay(990_000, book.total_work());
        say(&format!("render on {backend}: {} elements in {} batches", picture.elements(), book.matured));
    }
}

#[test]
fn a_job_is_quoted_as_it_is_then_opened() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", BUDGET);
    let digest = render::upload(&sponsor, &scene::room(3));
    let job = PICTURE.job(&digest, BUDGET);
    let quote = sponsor.post("/quotes", &job).ok();
    assert_eq!(quote["elements"], PICTURE.elements(), "{quote}");
    assert!(number(&quote["work_expected"]) > 0);
    assert_eq!(sponsor.post("/quotes", &job).ok()["work_expected"], quote["work_expected"], "a quote is reproducible");
    let id = sponsor.submit(&job);
    let view = sponsor.get(&format!("/jobs/{id}")).ok();
    assert_eq!((&view["elements"], &view["work_expected"]), (&quote["elements"], &quote["work_expected"]));
    let credit = sponsor.get("/sponsor").ok()["assets"]["CREDIT"].clone();
    assert_eq!((&credit["balance"], &credit["escrow"]), (&json!("0"), &json!(BUDGET.to_string())));
    // Another sponsor's scene is not there.
    let other = Api::admin(&pool).funded_sponsor("other", BUDGET);
    let answer = other.post("/jobs", &job);
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.to_string().contains("spec.scene"), "{}", answer.body);
}

#[test]
fn two_miners_share_a_picture_and_its_pay() {
    let site = Site::new(CONFIG, PICTURE);
    thread::scope(|scope| {
        let alice = Working::honest(scope, login(&site.pool, "alice.rig", 2));
        let bob = Working::honest(scope, login(&site.pool, "bob.rig", 3));
        site.wait_for_picture();
        let (alice, bob) = (alice.stop(), bob.stop());
        assert!(!alice.accepted.is_empty() && !bob.accepted.is_empty());
        assert!(
            alice.refused.iter().chain(&bob.refused).all(|(_, code)| [21, 22].contains(code)),
            "duplicates at most"
        );
    });
    let job = site.job.clone();
    let home = site.close(&[]);
    let book = RangeBook::of(&home.data(), &job);
    assert!(book.elements().eq(0..PICTURE.elements()), "each element is paid once");
    assert_eq!(book.paid.values().sum::<u128>(), 990_000);
    book.check_pay(990_000, book.total_work());
}
