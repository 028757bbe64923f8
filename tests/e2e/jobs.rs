//! Jobs from submission to pay: splitting a pot, several jobs at once, and none at all.

use lode_protocol::Algorithm::Sha256d;
use lode_tests::miner::Miner;
use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use lode_tests::wait_for;
use serde_json::json;

/// Shares cost about 2^12 hashes, and vardiff leaves them there.
const EASY: &str = "[vardiff]\nstart = 1e-6\nleast = 1e-6\nmost = 1e-6\n[pool]\nfee_bps = 250\n";

fn number(value: &serde_json::Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no decimal string"))
}

#[test]
fn two_miners_split_a_pot_in_proportion_to_their_work() {
    let home = Home::new(EASY);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 10_000);
    let job = sponsor.submit(&Vector::job_of_difficulty(0.0001, 1_001));
    let mut alice = Miner::login(pool.stratum, "alice.rig", "x");
    let mut bob = Miner::login(pool.stratum, "bob.rig", "x");
    alice.hear_job();
    bob.hear_job();
    assert_ne!(alice.extranonce1, bob.extranonce1);
    let solves = |miner: &Miner, share: &lode_protocol::method::Submit| {
        lode_protocol::Difficulty::of_hash(&miner.hash(share))
            >= lode_protocol::Difficulty::parse("0.00011", Sha256d).unwrap()
    };
    // Alice proves three times what Bob proves; neither solves the job yet.
    let (mut a, mut b) = (0, 0);
    while a < 9 || b < 3 {
        let (miner, count) = if a < 9 { (&mut alice, &mut a) } else { (&mut bob, &mut b) };
        let share = miner.mine();
        if !solves(miner, &share) && lode_protocol::Difficulty::of_hash(&miner.hash(&share)).to_f64(Sha256d) < 0.0001 {
            assert_eq!(miner.verdict(&share), None);
            *count += 1;
        }
    }
    let solution = bob.search(|hash| lode_protocol::Difficulty::of_hash(&hash).to_f64(Sha256d) > 0.00011);
    assert_eq!(bob.verdict(&solution), None);
    let view = sponsor.wait_for_state(&job, "done");
    assert_eq!((number(&view["paid"]), number(&view["fee"]), number(&view["refunded"])), (976, 25, 0));
    assert_eq!((view["shares"].clone(), view["accounts"].clone()), (json!(13), json!(2)));
    // 976 * 9 / 13 = 675.69, 976 * 4 / 13 = 300.31: the unit left goes to the larger remainder.
    let matured =
        |account: &str| number(&sponsor.get(&format!("/accounts/{account}")).ok()["balances"]["CREDIT"]["matured"]);
    assert_eq!((matured("alice"), matured("bob")), (676, 300));
    let earnings = sponsor.get("/accounts/alice/earnings").ok();
    assert_eq!(earnings["items"][0]["share_ppm"], 692_307);
    let result = sponsor.get(&format!("/jobs/{job}/result")).ok();
    assert_eq!(result["hash"], bob.hash(&solution).to_string());
    pool.stop();
    let (ok, report) = home.audit();
    assert!(ok, "{report}");
    assert_eq!((report["shares"].clone(), report["shares_recomputed"].clone()), (json!(13), json!(13)));
    assert_eq!(report["assets"]["CREDIT"]["fees"], "25");
}

#[test]
fn workers_spread_over_jobs_and_move_on_when_theirs_ends() {
    let home = Home::new(EASY);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 200_000);
    let mut miners: Vec<Miner> = (0..4).map(|n| Miner::login(pool.stratum, &format!("a{n}"), "x")).collect();
    // Hard enough that the few shares below do not solve it by luck.
    let first = sponsor.submit(&Vector::job_of_difficulty(0.01, 100_000));
    for miner in &mut miners {
        miner.hear_job();
    }
    let second = sponsor.submit(&Vector::job_of_difficulty(0.00011, 1_100));
    // Same price per work: two of the four are given the second job, told to drop the first.
    let template = |miner: &Miner| miner.job.as_ref().map(|(notify, _)| notify.job.len());
    assert!(miners.iter().all(|miner| template(miner).is_some()));
    let serial = |miner: &Miner| {
        let wire = &miner.job.as_ref().expect("a job").0.job;
        wire[..wire.len() - 4].to_owned()
    };
    let on_first = serial(&miners[0]);
    let mut moved = Vec::new();
    for (index, miner) in miners.iter_mut().enumerate() {
        // A call flushes what was sent before its answer.
        miner.call("mining.ping", &json!([])).expect("pong");
        if serial(miner) != on_first {
            assert!(miner.job.as_ref().expect("a job").0.clean);
            moved.push(index);
        }
    }
    assert_eq!(moved.len(), 2, "half of the equal hash power moves to the job of equal price");
    let solver = moved[0];
    let solution = miners[solver].search(|hash| lode_protocol::Difficulty::of_hash(&hash).to_f64(Sha256d) > 0.00012);
    assert_eq!(miners[solver].verdict(&solution), None);
    sponsor.wait_for_state(&second, "done");
    for &index in &moved {
        miners[index].hear_until(|miner| serial(miner) == on_first);
        let share = miners[index].mine();
        assert_eq!(miners[index].verdict(&share), None);
    }
    let late = miners[solver].share(1);
    let late = lode_protocol::method::Submit { job: solution.job, ..late };
    assert_eq!(miners[solver].verdict(&late), Some(21), "the job of before is over");
    assert_eq!(sponsor.get(&format!("/jobs/{first}")).ok()["state"], "running");
}

#[test]
fn with_no_job_a_rig_stays_connected_and_starts_by_itself() {
    let home = Home::new(EASY);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 10_000);
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    miner.hear_until(|miner| !miner.messages.is_empty());
    assert!(miner.messages[0].contains("no job is open"), "{:?}", miner.messages);
    assert!(miner.difficulty.is_some() && miner.job.is_none());
    sponsor.submit(&Vector::job_of_difficulty(0.0001, 1_000));
    miner.hear_job();
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

#[test]
fn the_house_job_fills_the_time_between_others() {
    let home = Home::new(&format!("{EASY}house_sponsor = \"house\"\n"));
    let pool = home.start();
    let admin = Api::admin(&pool);
    let house = admin.funded_sponsor("house", 10_000);
    let sponsor = admin.funded_sponsor("acme", 10_000);
    house.submit(&Vector::endless_job(1 << 40, 10));
    let mut miner = Miner::login(pool.stratum, "alice", "x");
    miner.hear_job();
    let serial = |miner: &Miner| miner.job.as_ref().expect("a job").0.job.clone();
    let filler = serial(&miner);
    sponsor.submit(&Vector::job_of_difficulty(0.00001, 10));
    miner.hear_until(|miner| serial(miner) != filler);
    let real = serial(&miner);
    let solution = miner.search(|hash| lode_protocol::Difficulty::of_hash(&hash).to_f64(Sha256d) > 0.000011);
    assert_eq!(miner.verdict(&solution), None);
    miner.hear_until(|miner| serial(miner) != real);
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
}

#[test]
fn what_is_earned_is_seen_while_the_job_runs() {
    let home = Home::new(EASY);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 10_000);
    sponsor.submit(&Vector::endless_job(1 << 16, 10_000));
    let mut miner = Miner::login(pool.stratum, "alice.rig", "x");
    miner.hear_job();
    let share = miner.mine();
    assert_eq!(miner.verdict(&share), None);
    let share_work = miner.job.as_ref().expect("a job").1.hashes().0;
    let account = wait_for("the account", || {
        let answer = sponsor.get("/accounts/alice");
        (answer.status == 200).then(|| answer.ok())
    });
    // Budget x work / quoted, less the fee of 2.5 %.
    let earned = 10_000 * share_work / (1 << 16);
    assert_eq!(number(&account["balances"]["CREDIT"]["pending"]), earned - earned * 250 / 10_000);
    assert_eq!(number(&account["work"]["1m"]), share_work);
    assert_eq!(account["workers"][0]["online"], true);
    assert_eq!(account["workers"][0]["accepted"], 1);
}
