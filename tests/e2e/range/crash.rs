//! kill -9 of the pool and of its miners at random moments: the picture is the same to the bit, each element is paid once.

use std::time::Duration;

use lode_tests::book::RangeBook;
use lode_tests::render::{self, Picture};
use lode_tests::rig::Rig;
use lode_tests::{rounds, say};
use rand::RngExt as _;

use super::{BUDGET, Site};

/// Units of about a tenth of a second, small batches.
const CONFIG: &str =
    "[range]\nstart = 1e-6\nshare_s = 1\n[audit]\nbatch_units = 4\nbatch_s = 2\nclean_batches = 2\ncanary = 0\n";

/// What is killed next.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Pool,
    Miner(usize),
}

#[test]
fn a_picture_survives_kills_of_pool_and_miners() {
    let kills = rounds("LODE_RANGE_KILLS", 3);
    let mut rng = rand::rng();
    let samples = u32::try_from(8 * kills.clamp(2, 8)).expect("small");
    let picture = Picture { width: 320, height: 240, samples, max_depth: 6, seed: rng.random() };
    let mut site = Site::new(CONFIG, picture);
    let (stratum, http) = (site.pool.stratum, site.pool.http);
    let names = ["alice.rig", "bob.rig"];
    let start = |site: &Site, place: usize| Rig::start(&site.home, &site.pool, names[place], &["cpu"]);
    let mut rigs = [0, 1].map(|place| Some(start(&site, place)));
    let (mut done, mut jobs) = ([0, 0], 1);
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_millis(rng.random_range(300..3_000)));
        let victim = [Victim::Pool, Victim::Miner(0), Victim::Miner(1)][rng.random_range(0..3)];
        println!("kill {kill} of {kills}: {victim:?}, {} elements done", site.view()["elements_done"]);
        match victim {
            Victim::Pool => {
                site.pool.kill();
                site.pool = site.home.start_at(stratum, http);
                done[0] += 1;
            }
            Victim::Miner(place) => {
                rigs[place].take().expect("it runs").kill();
                rigs[place] = Some(start(&site, place));
                done[1] += 1;
            }
        }
        if site.view()["state"] == "done" && kill < kills {
            check(&site);
            site.sponsor = lode_tests::sponsor::Api::admin(&site.pool).funded_sponsor(&format!("acme{kill}"), BUDGET);
            let scene = render::upload(&site.sponsor, &site.scene);
            site.picture.seed = rng.random();
            site.job = site.sponsor.submit(&site.picture.job(&scene, BUDGET));
            jobs += 1;
        }
    }
    check(&site);
    drop(rigs);
    let home = site.close(&[]);
    say(&format!(
        "range kills: {} of the pool, {} of miners, over {jobs} pictures, all equal to the bit",
        done[0], done[1]
    ));
    drop(home);
}

/// Waits for the picture of the present job, and that each of its elements is paid once.
fn check(site: &Site) {
    let view = site.wait_for_picture();
    assert_eq!((view["paid"].as_str(), view["fee"].as_str()), (Some("990000"), Some("10000")), "{view}");
    let book = RangeBook::of(&site.home.data(), &site.job);
    assert!(book.elements().eq(0..site.picture.elements()), "each element is paid once");
    assert_eq!(book.paid.values().sum::<u128>(), 990_000);
    book.check_pay(990_000, book.total_work());
}
