//! Miners that cheat, each in its own way: caught, unpaid, banned, and the picture is right all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lode_pool::ledger::entry::Entry;
use lode_protocol::method::{ReleaseReason, UnitSubmit};
use lode_tests::book::RangeBook;
use lode_tests::ledger;
use lode_tests::range::{Deed, Log, RangeMiner, digest_of, key};
use lode_tests::wait_for;
use serde_json::json;

use super::{BUDGET, CONFIG, PICTURE, Site, Working, login, number, spoilt, wait_for_ban};

/// What the pot is without the fee of 1 %.
const POT: u64 = BUDGET - BUDGET / 100;

/// Voids of a ledger: the batch, and the element that was found wrong.
fn voids(entries: &[Entry]) -> Vec<(u64, u64)> {
    let void = |entry: &Entry| match entry {
        Entry::BatchVoided { batch, void, .. } => {
            assert_ne!(void.expected, void.found);
            Some((*batch, void.element))
        }
        _ => None,
    };
    entries.iter().filter_map(void).collect()
}

/// What came of a cheat.
struct Played {
    /// Units that it had accepted.
    accepted: usize,
    /// Units of them that matured.
    matured: usize,
    /// What it was paid.
    paid: u128,
}

/// Plays a cheat that fakes the units that `fakes` tells by their number, from 0; then an honest miner does the rest.
fn play(fakes: impl Fn(usize) -> bool + Send + Sync) -> Played {
    let site = Site::new(CONFIG, PICTURE);
    let (mut log, fakes) = (Log::default(), &fakes);
    thread::scope(|scope| {
        let mut units = 0..;
        let cheat = Working::start(scope, login(&site.pool, "mallory.rig", 1), move |_, _, bytes| {
            let fake = units.next().is_some_and(fakes);
            Deed::Submit(if fake { spoilt(bytes) } else { bytes })
        });
        wait_for_ban(&site.pool, 1);
        log = cheat.stop();
        let honest = Working::honest(scope, login(&site.pool, "alice.rig", 2));
        site.wait_for_picture();
        assert!(honest.stop().refused.is_empty());
    });
    let view = site.view();
    assert_eq!((number(&view["paid"]), number(&view["fee"])), (u128::from(POT), u128::from(BUDGET - POT)));
    let job = site.job.clone();
    let home = site.close(&[]);
    let book = RangeBook::of(&home.data(), &job);
    assert!(book.elements().eq(0..PICTURE.elements()), "each element is paid once");
    book.check_pay(u128::from(POT), book.total_work());
    assert_eq!(book.paid.values().sum::<u128>(), u128::from(POT), "what the cheat is not paid, the honest miner is");
    let voids = voids(&ledger::entries(&home.data()));
    assert_eq!(voids.len(), 1, "the first batch with a fake in it bans the key");
    let faked = log.accepted.iter().enumerate().filter(|(at, _)| fakes(*at));
    let faked: Vec<u64> = faked.map(|(_, unit)| unit.first).collect();
    assert!(faked.contains(&voids[0].1), "what was found wrong is what was faked: {voids:?}, {faked:?}");
    Played {
        accepted: log.accepted.len(),
        matured: book.units.get("mallory").copied().unwrap_or(0),
        paid: book.paid.get("mallory").copied().unwrap_or(0),
    }
}

#[test]
fn a_miner_that_fakes_everything_is_paid_nothing() {
    let played = play(|_| true);
    assert!(played.accepted >= 8, "{}", played.accepted);
    assert_eq!((played.matured, played.paid), (0, 0));
}

#[test]
fn a_new_miner_that_fakes_a_tenth_is_caught_in_its_first_batch_with_a_fake() {
    let played = play(|unit| unit % 10 == 9);
    assert_eq!(played.matured, 8, "the first batch was honest");
    assert!(played.paid > 0);
}

#[test]
fn a_new_miner_that_fakes_one_unit_in_a_hundred_is_caught_at_it() {
    // Each unit of a new key is audited, and it is not trusted before its third batch.
    let played = play(|unit| unit % 100 == 12);
    assert_eq!(played.matured, 8, "the first batch was honest");
}

#[test]
fn a_miner_that_was_honest_for_fifty_units_loses_the_batch_that_it_fakes_in() {
    let played = play(|unit| unit >= 50);
    // Six batches were honest. Of the seventh, two of eight units are drawn, and two are honest: once in 28 times it
    // passes, and the next does not.
    assert!([48, 56].contains(&played.matured), "{}", played.matured);
    assert!(played.accepted > 50);
}

#[test]
fn another_units_result_is_refused_or_voided() {
    let site = Site::new(&CONFIG.replace("clean_batches = 2", "clean_batches = 1000"), PICTURE);
    thread::scope(|scope| {
        // An honest miner's result, which the other never uploaded: no unit of it.
        let mut alice = login(&site.pool, "alice.rig", 2);
        let unit = alice.unit().expect("a unit");
        let bytes = alice.compute(&unit);
        assert!((200..300).contains(&alice.upload(&bytes)));
        assert_eq!(alice.submit(&unit, digest_of(&bytes)), Some(Ok(())));
        let mut mallory = login(&site.pool, "mallory.rig", 1);
        let unit = mallory.unit().expect("a unit");
        let refused = mallory.submit(&unit, digest_of(&bytes)).expect("an answer").expect_err("it was never uploaded");
        assert_eq!(refused, 20);
        // Where there is something to be seen, it hands in one of its own results again and again.
        let mut kept: Option<Vec<u8>> = None;
        let right = mallory.compute(&unit);
        assert!((200..300).contains(&mallory.upload(&right)));
        assert_eq!(mallory.submit(&unit, digest_of(&right)), Some(Ok(())));
        let mallory = Working::start(scope, mallory, move |unit, _, bytes| {
            let again = kept.clone().unwrap_or_else(|| bytes.clone());
            if unit.first >= 90 {
                kept = Some(again.clone());
            }
            Deed::Submit(again)
        });
        wait_for_ban(&site.pool, 1);
        let mallory = mallory.stop();
        assert!(mallory.accepted.iter().any(|unit| unit.first > 90));
        let alice = Working::honest(scope, alice);
        site.wait_for_picture();
        drop(alice.stop());
    });
    let home = site.close(&[]);
    assert_eq!(voids(&ledger::entries(&home.data())).len(), 1);
}

#[test]
fn figures_that_a_miner_reports_change_nothing() {
    let site = Site::new(CONFIG, PICTURE);
    thread::scope(|scope| {
        let mut liar = login(&site.pool, "liar.rig", 1);
        let unit = liar.unit().expect("a unit");
        let bytes = liar.compute(&unit);
        assert!((200..300).contains(&liar.upload(&bytes)));
        let submit = UnitSubmit { user: "liar.rig".into(), unit: unit.unit.clone(), digest: digest_of(&bytes) };
        // A claim of more work, or of a speed, has no place in the protocol.
        let mut boast = submit.to_params();
        boast.as_array_mut().expect("parameters").push(json!({"work": "1000000000", "seconds": 0.001}));
        let refused = liar.ask(UnitSubmit::METHOD, &boast).expect("an answer").expect_err("no such parameter");
        assert_eq!(refused, 20);
        assert_eq!(liar.ask(UnitSubmit::METHOD, &submit.to_params()), Some(Ok(())));
        let twice = liar.ask(UnitSubmit::METHOD, &submit.to_params()).expect("an answer").expect_err("it is done");
        assert!(twice == 22 || twice == 21, "{twice}");
        let work = unit.work;
        let liar = Working::honest(scope, liar);
        site.wait_for_picture();
        drop(liar.stop());
        // What was credited is what the pool had fixed before.
        let entries = ledger::entries(&site.home.data());
        let credited = entries.iter().find_map(|entry| match entry {
            Entry::Unit { work, .. } => Some(*work),
            _ => None,
        });
        assert_eq!(credited, Some(work.0));
    });
    site.close(&[("liar", POT)]);
}

#[test]
fn an_impostor_harms_only_its_own_key() {
    let site = Site::new(CONFIG, PICTURE);
    thread::scope(|scope| {
        let impostor =
            Working::start(scope, login(&site.pool, "victim.rig", 1), |_, _, bytes| Deed::Submit(spoilt(bytes)));
        wait_for_ban(&site.pool, 1);
        drop(impostor.stop());
        // The victim's own key is no worse for it, and neither is its name.
        let victim = Working::honest(scope, login(&site.pool, "victim.rig", 2));
        site.wait_for_picture();
        assert!(victim.stop().refused.is_empty());
        // The banned key stays so under any name, also after a restart.
        let refused = RangeMiner::login(&site.pool, "another.rig", &key(1), 1).err();
        assert_eq!(refused, Some(24));
    });
    let home = site.close(&[("victim", POT)]);
    let pool = home.start();
    assert_eq!(RangeMiner::login(&pool, "another.rig", &key(1), 1).err(), Some(24));
    assert!(RangeMiner::login(&pool, "victim.rig", &key(2), 1).is_ok());
}

#[test]
fn two_miners_that_report_good_units_impossible_stop_nothing() {
    let site = Site::new(CONFIG, PICTURE);
    let reports = [const { AtomicUsize::new(0) }; 2];
    thread::scope(|scope| {
        let report = |who: usize| {
            let reports = &reports;
            move |_: &_, _: &_, _: Vec<u8>| {
                reports[who].fetch_add(1, Ordering::Relaxed);
                Deed::Release(ReleaseReason::Impossible)
            }
        };
        let one = Working::start(scope, login(&site.pool, "one.rig", 1), report(0));
        let two = Working::start(scope, login(&site.pool, "two.rig", 3), report(1));
        wait_for("both to report", || reports.iter().all(|count| count.load(Ordering::Relaxed) > 0).then_some(()));
        let alice = Working::honest(scope, login(&site.pool, "alice.rig", 2));
        site.wait_for_picture();
        let released = one.stop().released.len() + two.stop().released.len();
        assert!(released >= 2, "{released}");
        assert!(alice.stop().refused.is_empty());
    });
    site.close(&[("alice", POT)]);
}
