//! How likely a cheat is caught: simulated with the pool's own draw, against the formulas that the README publishes.
//!
//! A batch of n units is audited at u of them (all, for a key without a record), at k parts in each. A fake of fraction f
//! is caught with the probability
//!
//! ```text
//! 1 - (1 - f)^u     where each unit is faked as a whole with probability f
//! 1 - (1 - f)^(uk)  where in each unit the fraction f of its elements is faked
//! ```
//!
//! Both are at least f, as is every mixture. A batch in which a fake is found pays nothing, so what a faker loses by being
//! caught is more than what it saves by not computing, even where computing costs all that it is paid.

use lode_pool::ledger::draw::draw;
use lode_pool::ledger::entry::AuditPolicy;
use lode_tests::{rounds, say};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Units of a full batch.
const UNITS: u32 = 64;
/// Elements of a unit, so that 1 % of them is one.
const ELEMENTS: u32 = 100;
/// Parts of an element: the pixels of a block.
const PARTS: u32 = 256;

fn policy() -> AuditPolicy {
    AuditPolicy { units: 2, parts: 16, batch_units: UNITS, batch_ms: 600_000, clean_batches: 20 }
}

/// Which elements of a batch are faked, by unit.
type Fakes = Vec<Vec<bool>>;

fn honest(units: u32) -> Fakes {
    vec![vec![false; ELEMENTS as usize]; units as usize]
}

/// Each unit is faked as a whole with probability `fraction`.
fn whole_units(rng: &mut StdRng, fraction: f64) -> Fakes {
    let mut fakes = honest(UNITS);
    for unit in &mut fakes {
        if rng.random_bool(fraction) {
            unit.fill(true);
        }
    }
    fakes
}

/// In each unit `fraction` of the elements are faked, at random places.
fn elements(rng: &mut StdRng, fraction: f64) -> Fakes {
    let mut fakes = honest(UNITS);
    for unit in &mut fakes {
        fake_some(rng, unit, fraction);
    }
    fakes
}

/// Fakes `fraction` of a unit's elements.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of at most 100")]
fn fake_some(rng: &mut StdRng, unit: &mut [bool], fraction: f64) {
    let mut left = (fraction * f64::from(ELEMENTS)).round() as usize;
    while left > 0 {
        let place = rng.random_range(0..unit.len());
        left -= usize::from(!std::mem::replace(&mut unit[place], true));
    }
}

/// What part of a batch's computing is saved.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn saved(fakes: &Fakes) -> f64 {
    let faked = fakes.iter().flatten().filter(|fake| **fake).count();
    faked as f64 / (fakes.len() * ELEMENTS as usize) as f64
}

/// Whether the audit of a batch meets a fake.
fn is_caught(rng: &mut StdRng, fakes: &Fakes, all: bool) -> bool {
    let (secret, root) = (rng.random::<[u8; 32]>(), rng.random::<[u8; 32]>());
    let units: Vec<(u64, u32)> = (0..fakes.len() as u64).map(|unit| (unit * u64::from(ELEMENTS), ELEMENTS)).collect();
    let picks = draw(&secret, &root, &units, all, &policy(), PARTS);
    picks.iter().any(|pick| {
        let place = usize::try_from(pick.element - units[pick.unit].0).expect("an element of its unit");
        fakes[pick.unit][place]
    })
}

/// How often a cheat is caught, and what it gains on average beside an honest miner whose computing costs all that it is
/// paid: what it saves, less the batches that it is not paid for. In batches' pay.
fn simulate(rng: &mut StdRng, trials: u32, all: bool, mut cheat: impl FnMut(&mut StdRng) -> Fakes) -> (f64, f64) {
    let (mut caught, mut gained) = (0_u32, 0.0);
    for _ in 0..trials {
        let fakes = cheat(rng);
        let is_caught = is_caught(rng, &fakes, all);
        caught += u32::from(is_caught);
        gained += saved(&fakes) - f64::from(u8::from(is_caught));
    }
    (f64::from(caught) / f64::from(trials), gained / f64::from(trials))
}

#[test]
fn cheats_are_caught_as_often_as_published() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let trials = u32::try_from(rounds("LODE_DETECTION_TRIALS", 1_500)).expect("a count");
    let AuditPolicy { units, parts, .. } = policy();
    for (what, cheat, picks) in
        [("units", &whole_units as &dyn Fn(&mut StdRng, f64) -> Fakes, 1), ("elements of each unit", &elements, parts)]
    {
        for (key, all, drawn) in [("trusted", false, units), ("new", true, UNITS)] {
            for fraction in [0.01, 0.1, 1.0] {
                let (caught, gain) = simulate(&mut rng, trials, all, |rng| cheat(rng, fraction));
                let formula = 1.0 - (1.0 - fraction).powi(i32::try_from(drawn * picks).expect("a small power"));
                let sigma = (formula * (1.0 - formula) / f64::from(trials)).sqrt();
                println!(
                    "{:>5} % of {what}, {key} key: caught {caught:.4}, by the formula {formula:.4}, gain {gain:.4}",
                    100.0 * fraction
                );
                assert!((caught - formula).abs() <= 5.0 * sigma + 0.001, "{caught} for {formula}");
                assert!(formula >= fraction && gain < 1e-9, "faking {fraction} of {what} gains {gain}");
            }
        }
    }
    say(&format!("detection: 12 cheats, each {trials} batches, seed {seed}"));
}

#[test]
fn no_mixture_of_fakes_gains() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..40 {
        // Batches of every size, with another fraction faked in each unit: most honest, some a little, some all.
        let units = [1, 2, 3, 10, UNITS][rng.random_range(0..5)];
        let fractions: Vec<f64> = (0..units)
            .map(|_| match rng.random_range(0..4) {
                0 => rng.random_range(0.0..0.1),
                1 => rng.random_range(0.0..=1.0),
                2 => 1.0,
                _ => 0.0,
            })
            .collect();
        let trials = 400;
        let (caught, gain) = simulate(&mut rng, trials, false, |rng| {
            let mut fakes = honest(units);
            for (unit, fraction) in fakes.iter_mut().zip(&fractions) {
                fake_some(rng, unit, *fraction);
            }
            fakes
        });
        let sigma = (caught * (1.0 - caught) / f64::from(trials)).sqrt().max(0.5 / f64::from(trials));
        assert!(gain <= 4.0 * sigma, "faking {fractions:?} gains {gain}, caught {caught}");
    }
}
