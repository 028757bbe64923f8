//! The hall and its floor, played: hands that are quick, slow, silent, leaving or lying, and a ledger that is a list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lode_kinds::range::{Input, Section};
use lode_protocol::Digest;
use lode_protocol::ids::{AssetName, JobId, UserName};
use lode_protocol::method::ReleaseReason;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::RangeJob;
use super::floor::{Assigned, Claim, Floor, Hand, Start, TOLD_MAX, Told, Unheld};
use super::hall::{Hall, Log, Options, Refused, Submitted};
use super::units::{End, Key, LATE_MS, LeaseId, TTL_LEAST_MS};
use crate::clock::Clock;
use crate::jobs::assign::ConnectionId;
use crate::ledger::cost::CostMap;
use crate::ledger::entry::{Millis, Outcome};

const SECTION: u64 = 50;

fn job(number: u64, sections: u64, price: f64) -> RangeJob {
    let input = |section: u64| Input { digest: [u8::try_from(section).unwrap(); 32], bytes: 1000 };
    let section = |number| Section { spec: json!({"frame": number}), inputs: vec![input(number)], elements: SECTION };
    RangeJob {
        job: JobId(number),
        kind: "render".into(),
        sections: (0..sections).map(section).collect(),
        cost: Arc::new(CostMap::new(sections * SECTION, SECTION, SECTION, 1, costs(sections)).unwrap()),
        element_bytes: 100,
        asset: "C".parse().unwrap(),
        price,
        deadline_at: 1_000_000,
        cancel_at: None,
        done: Vec::new(),
    }
}

/// Elements are worth from 100 to 149.
fn costs(sections: u64) -> Vec<u64> {
    (0..sections * SECTION).map(|element| 100 + element * 7 % 50).collect()
}

/// A hand, as the test holds it.
struct Player {
    id: ConnectionId,
    told: mpsc::Receiver<Told>,
    held: BTreeMap<String, Assigned>,
}

impl Player {
    /// With a key of its number.
    fn join(floor: &mut Floor, id: ConnectionId, slots: u32, want: u128, now: Millis) -> Player {
        Player::join_for(floor, id, "render", slots, want, now)
    }

    fn join_for(floor: &mut Floor, id: ConnectionId, kind: &str, slots: u32, want: u128, now: Millis) -> Player {
        let (told, receiver) = mpsc::channel(TOLD_MAX);
        floor.join(id, Hand { key: key(id), kinds: vec![kind.into()], slots, want, told }, now);
        Player { id, told: receiver, held: BTreeMap::new() }
    }

    /// Takes what it was told; gives what else than units that was.
    fn listen(&mut self) -> Vec<Told> {
        let mut rest = Vec::new();
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Assign(unit) => {
                    let name = unit.assign.unit.to_string();
                    assert!(self.held.insert(name, *unit).is_none(), "a unit's name came twice");
                }
                Told::Revoke { ref unit, .. } => {
                    self.held.remove(unit.as_str());
                    rest.push(told);
                }
                told => rest.push(told),
            }
        }
        rest
    }

    /// Where its units begin and how many elements they have, job-wide.
    fn units(&mut self) -> Vec<(u64, u64, u32)> {
        self.listen();
        let units = self.held.values().map(|unit| &unit.assign);
        units.map(|unit| (unit.job.0, unit.section * SECTION + unit.first, unit.count)).collect()
    }

    fn take(&mut self) -> Assigned {
        self.listen();
        self.held.pop_first().expect("it holds a unit").1
    }

    /// Delivers one of its units.
    fn deliver(&mut self, floor: &mut Floor, now: Millis) -> Claim {
        let unit = self.take();
        let Start::Enter(claim) = floor.begin(self.id, unit.lease) else { panic!("{unit:?} is not taken") };
        floor.end(self.id, unit.lease, &claim, End::Accepted, now);
        claim
    }
}

fn key(id: ConnectionId) -> Key {
    [u8::try_from(id).unwrap(); 32]
}

fn floor() -> Floor {
    Floor::new(10_000, 1, 0, 7)
}

#[test]
fn a_new_hand_shows_what_it_can_before_it_gets_more() {
    let mut floor = floor();
    floor.open(job(1, 4, 1.0), 0);
    let mut hand = Player::join(&mut floor, 1, 3, 1000, 0);
    assert_eq!(hand.units(), [(1, 0, 1)]);
    let unit = &hand.held.values().next().unwrap().clone();
    assert_eq!((unit.assign.work.0, unit.result_bytes, unit.assign.ttl_s), (100, 100, 30));
    assert_eq!(unit.assign.inputs[0].digest, Digest([0; 32]));
    let claim = hand.deliver(&mut floor, 5);
    assert_eq!((claim.first, claim.count, claim.work.0, claim.duplicate), (0, 1, 100, false));
    let units = hand.units();
    assert_eq!(units.len(), 3);
    assert!(units.iter().all(|(_, _, count)| (3..=10).contains(count)), "{units:?}");
    assert_eq!(floor.leased(), 3);
}

#[test]
fn what_a_hand_that_leaves_held_goes_to_others() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut first = Player::join(&mut floor, 1, 1, 1000, 0);
    let mut second = Player::join(&mut floor, 2, 1, 1000, 0);
    assert_eq!((first.units(), second.units()), (vec![(1, 0, 1)], vec![(1, 1, 1)]));
    second.deliver(&mut floor, 0);
    floor.leave(1, 0);
    second.deliver(&mut floor, 0);
    assert!(second.units()[0].1 == 0, "the first element is open again: {:?}", second.units());
    let mut third = Player::join(&mut floor, 3, 1, 1000, 0);
    assert_eq!(third.units().len(), 1);
    floor.leave(9, 0);
}

#[test]
fn a_hand_that_never_submits_holds_up_one_lease_at_a_time_and_only_until_it_ends() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut silent = Player::join(&mut floor, 1, 8, 500, 0);
    silent.deliver(&mut floor, 0);
    let held = silent.units().len();
    assert!(held > 1, "{held}");
    floor.tick(TTL_LEAST_MS - 1);
    assert_eq!(floor.leased(), held);
    let late = TTL_LEAST_MS * 20;
    floor.tick(late);
    assert_eq!((floor.leased(), silent.listen()), (0, vec![]), "its elements are open, and it may still do them");
    let mut quick = Player::join(&mut floor, 2, 1, 1000, late);
    while !quick.units().is_empty() {
        quick.deliver(&mut floor, late);
    }
    floor.tick(late);
    let told = silent.listen();
    assert_eq!(told.iter().filter(|told| matches!(told, Told::Revoke { .. })).count(), held, "{told:?}");
    // As when it was new.
    floor.reopen(JobId(1), 0, 50, late);
    assert_eq!(silent.units().iter().map(|unit| unit.2).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_hand_that_does_not_read_is_given_up() {
    let mut floor = floor();
    let (told, mut receiver) = mpsc::channel(1);
    floor.join(1, Hand { key: key(1), kinds: vec!["render".into()], slots: 64, want: 100, told }, 0);
    floor.open(job(1, 4, 1.0), 0);
    // Its only place is taken by its first unit, so it misses that this was revoked.
    floor.stop(JobId(1), 0);
    floor.tick(0);
    assert_eq!(floor.leased(), 0);
    assert!(matches!(receiver.try_recv(), Ok(Told::Assign(_))));
    assert_eq!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

#[test]
fn a_job_that_ends_revokes_its_units_and_frees_its_hands() {
    let mut floor = floor();
    floor.open(job(1, 2, 1.0), 0);
    floor.open(job(2, 2, 0.001), 0);
    let mut hand = Player::join(&mut floor, 1, 2, 1000, 0);
    hand.deliver(&mut floor, 0);
    assert!(hand.units().iter().all(|unit| unit.0 == 1), "the better price: {:?}", hand.units());
    let entering = hand.take();
    let Start::Enter(claim) = floor.begin(1, entering.lease) else { panic!("it is held") };
    floor.stop(JobId(1), 0);
    assert_eq!(hand.listen().len(), 1, "what is being entered is not revoked");
    assert!(hand.units().iter().all(|unit| unit.0 == 2));
    floor.end(1, entering.lease, &claim, End::Refused, 0);
    assert!(floor.close(JobId(1), 0).is_some() && floor.close(JobId(1), 0).is_none());
    assert_eq!((hand.units().len(), floor.jobs(), floor.leased()), (2, 1, 2));
    // An answer that comes after the end of its job changes nothing.
    let last = hand.take();
    let Start::Enter(claim) = floor.begin(1, last.lease) else { panic!("it is held") };
    floor.close(JobId(2), 0);
    floor.end(1, last.lease, &claim, End::Accepted, 0);
    assert_eq!(floor.begin(1, last.lease), Start::Unknown);
}

#[test]
fn a_banned_key_gets_nothing_more() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut bad = Player::join(&mut floor, 1, 1, 1000, 0);
    let mut good = Player::join(&mut floor, 2, 1, 1000, 0);
    bad.units();
    floor.ban(key(1), 0);
    let told = bad.listen();
    assert!(matches!(told[..], [Told::Revoke { .. }, Told::Banned]), "{told:?}");
    good.deliver(&mut floor, 0);
    assert_eq!(good.units()[0].1, 0, "its elements are another's");
    floor.tick(0);
    assert_eq!((bad.units().len(), floor.leased()), (0, 1));
}

#[test]
fn a_hand_does_not_get_what_it_said_it_cannot_do() {
    for reason in ReleaseReason::ALL {
        let mut floor = floor();
        floor.open(job(1, 1, 1.0), 0);
        floor.open(job(2, 1, 0.001), 0);
        let mut hand = Player::join(&mut floor, 1, 1, 1000, 0);
        let unit = hand.take();
        assert_eq!(unit.assign.job, JobId(1));
        assert_eq!(floor.release(1, unit.lease, reason, 0), Ok(None));
        assert_eq!(floor.release(1, unit.lease, reason, 0), Err(Unheld));
        let next = hand.units();
        let stops = reason == ReleaseReason::Stopping;
        assert_eq!(
            next.iter().map(|unit| unit.0).collect::<Vec<_>>(),
            if stops { vec![] } else { vec![2] },
            "{reason}"
        );
        // Later it may have become able, unless it is a matter of what it is.
        if !stops {
            let unit = hand.take();
            floor.release(1, unit.lease, ReleaseReason::Unsupported, 0).unwrap();
        }
        floor.tick(60_000);
        let again = matches!(reason, ReleaseReason::Stopping | ReleaseReason::Failed);
        assert_eq!(hand.units().len(), usize::from(again), "{reason}");
    }
}

#[test]
fn two_keys_that_find_the_same_impossible_are_heard_and_answer_for_it() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut hands: Vec<Player> = Vec::new();
    for id in 1..=2 {
        let mut hand = Player::join(&mut floor, id, 1, 1000, 0);
        let unit = hand.take();
        assert_eq!((unit.assign.first, unit.assign.count), (0, 1));
        let heard = floor.release(id, unit.lease, ReleaseReason::Impossible, 0).unwrap();
        assert_eq!(heard.is_some(), id == 2);
        if let Some(heard) = heard {
            assert_eq!((heard.job, heard.first, heard.count, heard.keys), (JobId(1), 0, 1, [key(1), key(2)]));
        }
        hands.push(hand);
    }
    floor.judged(JobId(1), 0, 1, true);
    assert!(hands.iter_mut().all(|hand| hand.listen() == [Told::Offence]));
    floor.judged(JobId(1), 0, 1, true);
    assert!(hands.iter_mut().all(|hand| hand.listen().is_empty()), "once");
}

#[test]
fn hands_get_only_kinds_that_they_do() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut other = Player::join_for(&mut floor, 1, "infer", 1, 1000, 0);
    assert_eq!(other.units(), []);
}

#[test]
fn jobs_get_work_by_their_price() {
    let mut floor = floor();
    floor.open(job(1, 100, 3.0), 0);
    floor.open(job(2, 100, 1.0), 0);
    let mut hand = Player::join(&mut floor, 1, 4, 2000, 0);
    let mut work = BTreeMap::<JobId, u128>::new();
    for _ in 0..300 {
        let claim = hand.deliver(&mut floor, 0);
        *work.entry(claim.job).or_default() += claim.work.0;
    }
    let part = work[&JobId(1)] as f64 / work.values().sum::<u128>() as f64;
    assert!((0.72..0.78).contains(&part), "{part}");
}

#[test]
fn a_canary_is_what_another_key_has_done_and_only_where_it_can_be_paid() {
    let mut floor = Floor::new(10_000, 1, 1, 7);
    floor.open(job(1, 4, 1.0), 0);
    let mut first = Player::join(&mut floor, 1, 1, 1000, 0);
    let mut second = Player::join(&mut floor, 2, 1, 1000, 0);
    for player in [&mut first, &mut second] {
        player.deliver(&mut floor, 0);
    }
    // Nothing is in the fee account.
    let claims = [first.deliver(&mut floor, 0), second.deliver(&mut floor, 0)];
    assert!(claims.iter().all(|claim| !claim.duplicate));
    floor.fund("C".parse().unwrap(), 1_000_000);
    let claim = first.deliver(&mut floor, 0);
    assert!(!claim.duplicate, "it was issued before");
    let canary = first.deliver(&mut floor, 0);
    assert!(canary.duplicate && canary.key == key(1), "{canary:?}");
    let of_second = [claims[1].first, 1];
    assert!(of_second.contains(&canary.first), "{canary:?} is what the second did");
}

#[test]
fn a_straggler_at_the_end_is_overtaken() {
    let mut floor = floor();
    floor.open(job(1, 1, 1.0), 0);
    let mut slow = Player::join(&mut floor, 1, 1, 1000, 0);
    slow.deliver(&mut floor, 0);
    slow.units();
    let mut quick = Player::join(&mut floor, 2, 1, 1000, 0);
    while !quick.units().is_empty() {
        quick.deliver(&mut floor, 0);
    }
    let left = slow.units();
    assert_eq!((left.len(), floor.leased()), (1, 1));
    floor.tick(TTL_LEAST_MS / 2);
    assert_eq!(quick.units(), left, "the same elements");
    let claim = quick.deliver(&mut floor, TTL_LEAST_MS / 2);
    assert!(!claim.duplicate);
    let unit = slow.held.values().next().unwrap().clone();
    assert!(matches!(slow.listen()[..], [Told::Revoke { .. }]));
    // What was on its way is a duplicate.
    let Start::Enter(claim) = floor.begin(1, unit.lease) else { panic!("it may still come") };
    assert!(claim.duplicate);
    floor.end(1, unit.lease, &claim, End::Accepted, TTL_LEAST_MS / 2 + LATE_MS);
    assert_eq!((floor.leased(), slow.units().len(), quick.units().len()), (0, 0, 0));
}

#[test]
fn a_job_of_which_no_miner_can_be_told_is_kept_for_its_deadline() {
    let mut floor = floor();
    let mut large = job(1, 2, 1.0);
    let spec = json!("x".repeat(9_000));
    large.sections = large.sections.iter().map(|section| Section { spec: spec.clone(), ..section.clone() }).collect();
    assert!(large.fault().unwrap().contains("spec"));
    floor.open(large, 0);
    let mut hand = Player::join(&mut floor, 1, 1, 1000, 0);
    assert_eq!(hand.units(), []);
    assert_eq!((floor.due(999_999), floor.due(1_000_000)), (vec![], vec![(JobId(1), Outcome::Expired)]));
    floor.cancel_at(JobId(1), 5);
    assert_eq!((floor.due(4), floor.due(5)), (vec![], vec![(JobId(1), Outcome::Cancelled)]));
    let mut uneven = job(2, 2, 1.0);
    uneven.sections = uneven.sections.iter().take(1).cloned().collect();
    assert!(uneven.fault().is_some());
}

#[test]
fn played_hands_finish_a_job_with_each_element_done_once() {
    for seed in 0..20 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut floor = Floor::new(10_000, 1, 8, seed);
        let mut open = job(1, 6, 1.0);
        // As after a restart.
        open.done = vec![(10, 20), (295, 5)];
        let mut done: BTreeSet<u64> = (10..30).chain(295..300).collect();
        floor.open(open, 0);
        floor.fund("C".parse().unwrap(), 10_000);
        let mut hands: Vec<(Player, u64)> = Vec::new();
        let (mut now, mut next, mut counted): (Millis, ConnectionId, Vec<Claim>) = (0, 1, Vec::new());
        let mut entering: Vec<(ConnectionId, LeaseId, Claim)> = Vec::new();
        while done.len() < 300 {
            now += rng.random_range(1..2_000);
            floor.tick(now);
            if hands.len() < 4 {
                let (slots, want) = (rng.random_range(1..4), rng.random_range(100..5_000));
                let player = Player::join(&mut floor, next, slots, want, now);
                hands.push((player, rng.random_range(1..20)));
                next += 1;
                assert!(next < 256, "seed {seed}: it does not end");
            }
            let which = rng.random_range(0..hands.len());
            let (hand, pace) = &mut hands[which];
            hand.listen();
            match rng.random_range(0..40) {
                0 => {
                    // What is being entered has its answer later.
                    floor.leave(hands.swap_remove(which).0.id, now);
                }
                1 if !hand.held.is_empty() => {
                    let unit = hand.take();
                    floor.release(hand.id, unit.lease, ReleaseReason::Failed, now).unwrap();
                }
                2 if !counted.is_empty() => {
                    // A batch of it is void.
                    let claim = counted.swap_remove(rng.random_range(0..counted.len()));
                    floor.reopen(claim.job, claim.first, claim.count, now);
                    done.retain(|element| !(claim.first..claim.first + claim.count).contains(element));
                }
                roll if roll > 2 + *pace && !hand.held.is_empty() => {
                    let unit = hand.take();
                    if let Start::Enter(claim) = floor.begin(hand.id, unit.lease) {
                        entering.push((hand.id, unit.lease, claim));
                    }
                }
                _ => {}
            }
            if !entering.is_empty() && rng.random_range(0..3) > 0 {
                let (id, lease, claim) = entering.swap_remove(rng.random_range(0..entering.len()));
                let elements = claim.first..claim.first + claim.count;
                let all_done = elements.clone().all(|element| done.contains(&element));
                if claim.duplicate {
                    let end = if all_done { End::Accepted } else { End::Refused };
                    floor.end(id, lease, &claim, end, now);
                } else {
                    assert!(
                        elements.clone().all(|element| !done.contains(&element)),
                        "seed {seed}: {claim:?} was done"
                    );
                    done.extend(elements);
                    floor.end(id, lease, &claim, End::Accepted, now);
                    counted.push(claim);
                }
            }
        }
    }
}

/// A ledger that is a list.
#[derive(Clone)]
struct List {
    units: Arc<Mutex<Vec<(Claim, UserName, Digest)>>>,
    ended: Arc<Mutex<Vec<(JobId, Outcome)>>>,
    /// Answers only while it is let.
    gate: Arc<tokio::sync::Semaphore>,
    refuse: Arc<Mutex<Option<Refused>>>,
}

impl Log for List {
    async fn unit(&self, claim: Claim, user: UserName, digest: Digest) -> Result<(), Refused> {
        let _turn = self.gate.acquire().await.unwrap();
        if let Some(refused) = self.refuse.lock().unwrap().take() {
            return Err(refused);
        }
        self.units.lock().unwrap().push((claim, user, digest));
        Ok(())
    }

    async fn end(&self, job: JobId, outcome: Outcome) -> bool {
        self.ended.lock().unwrap().push((job, outcome));
        true
    }

    fn fees(&self, _: &AssetName) -> u128 {
        0
    }
}

struct House {
    hall: Hall,
    list: List,
    now: Arc<AtomicU64>,
    impossible: mpsc::Receiver<super::Impossible>,
    stop: CancellationToken,
}

fn house() -> House {
    let (units, ended, refuse) = Default::default();
    let list = List { units, ended, refuse, gate: Arc::new(tokio::sync::Semaphore::new(0)) };
    let (now, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
    let time = now.clone();
    let clock = Clock::new(move || time.load(Ordering::Relaxed));
    let options = Options { share_ms: 10_000, least_work: 1, canary: 0 };
    let (hall, usher, impossible) = Hall::start(list.clone(), clock, options, stop.clone());
    tokio::spawn(usher);
    House { hall, list, now, impossible, stop }
}

async fn enter(hall: &Hall, id: ConnectionId, want: u128) -> mpsc::Receiver<Told> {
    let (told, receiver) = mpsc::channel(TOLD_MAX);
    hall.join(id, Hand { key: key(id), kinds: vec!["render".into()], slots: 1, want, told }).await;
    receiver
}

async fn unit(told: &mut mpsc::Receiver<Told>) -> Assigned {
    loop {
        if let Told::Assign(unit) = told.recv().await.expect("the hall lives") {
            return *unit;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_the_same_elements_are_entered_one_after_the_other() {
    let House { hall, list, now, .. } = house();
    hall.open(RangeJob { done: vec![(2, 48)], ..job(1, 1, 1.0) }).await;
    let (mut one, mut two) = (enter(&hall, 1, 1 << 20).await, enter(&hall, 2, 1 << 20).await);
    list.gate.add_permits(10);
    let user: UserName = "a.b".parse().unwrap();
    let (first, second) = (unit(&mut one).await, unit(&mut two).await);
    let accepted = hall.submit(2, second.lease, user.clone(), Digest([2; 32])).await;
    assert_eq!(accepted, Submitted::Accepted { work: second.assign.work });
    assert_eq!(hall.submit(2, second.lease, user.clone(), Digest([2; 32])).await, Submitted::Refused(Refused::Stale));
    now.store(20_000, Ordering::Relaxed);
    let again = unit(&mut two).await;
    assert_eq!(again.assign.first, first.assign.first, "it is overdue");
    // While the ledger takes its time, the other's result of the same waits.
    list.gate.forget_permits(100);
    let (hall_one, hall_two, user_two) = (hall.clone(), hall.clone(), user.clone());
    let leading = tokio::spawn(async move { hall_two.submit(2, again.lease, user_two, Digest([3; 32])).await });
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    let trailing = tokio::spawn(async move { hall_one.submit(1, first.lease, user, Digest([4; 32])).await });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!leading.is_finished() && !trailing.is_finished());
    list.gate.add_permits(10);
    assert!(matches!(leading.await.unwrap(), Submitted::Accepted { .. }));
    assert!(matches!(trailing.await.unwrap(), Submitted::Accepted { .. }));
    let entered: Vec<_> = list.units.lock().unwrap().iter().map(|(claim, ..)| (claim.first, claim.duplicate)).collect();
    assert_eq!(entered, [(1, false), (0, false), (0, true)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_refuses_is_told_and_issued_again() {
    let House { hall, list, .. } = house();
    hall.open(job(1, 1, 1.0)).await;
    list.gate.add_permits(10);
    let mut told = enter(&hall, 1, 1000).await;
    let user: UserName = "a.b".parse().unwrap();
    for refused in [Refused::Other("full".into()), Refused::Stale] {
        *list.refuse.lock().unwrap() = Some(refused.clone());
        let held = unit(&mut told).await;
        assert_eq!(held.assign.first, 0);
        assert_eq!(hall.submit(1, held.lease, user.clone(), Digest([1; 32])).await, Submitted::Refused(refused));
    }
    // The ledger has it by other ways: it is done.
    *list.refuse.lock().unwrap() = Some(Refused::Duplicate);
    let held = unit(&mut told).await;
    hall.submit(1, held.lease, user.clone(), Digest([1; 32])).await;
    let held = unit(&mut told).await;
    assert_eq!(held.assign.first, 1);
    *list.refuse.lock().unwrap() = Some(Refused::Banned);
    hall.submit(1, held.lease, user, Digest([1; 32])).await;
    assert_eq!(told.recv().await, Some(Told::Banned));
}

#[tokio::test(start_paused = true)]
async fn jobs_end_when_they_are_due_and_what_they_read_is_readable_until_then() {
    let House { hall, list, now, stop, mut impossible } = house();
    hall.open(job(1, 2, 1.0)).await;
    hall.open(job(1, 2, 1.0)).await;
    hall.open(job(2, 1, 1.0)).await;
    let mut told = enter(&hall, 1, 1000).await;
    unit(&mut told).await;
    assert_eq!(hall.open_jobs(), 2);
    assert!(hall.may_read(&Digest([1; 32])) && !hall.may_read(&Digest([2; 32])));
    hall.cancel_at(JobId(1), 500).await;
    now.store(500, Ordering::Relaxed);
    loop {
        if let Told::Revoke { reason, .. } = told.recv().await.unwrap() {
            assert_eq!(reason, "the job has ended");
            break;
        }
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(*list.ended.lock().unwrap(), [(JobId(1), Outcome::Cancelled)], "asked once");
    assert!(hall.is_open(JobId(1)), "until the ledger has closed it");
    hall.close(JobId(1)).await;
    while hall.is_open(JobId(1)) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // The other has the same first input.
    assert!(hall.may_read(&Digest([0; 32])) && !hall.may_read(&Digest([1; 32])));
    assert_eq!(hall.open_jobs(), 1);
    for id in [2, 3] {
        let mut told = enter(&hall, id, 1000).await;
        let held = unit(&mut told).await;
        hall.release(id, held.lease, ReleaseReason::Impossible).await.unwrap();
        assert_eq!(hall.release(id, held.lease, ReleaseReason::Impossible).await, Err(Unheld));
    }
    assert_eq!(impossible.recv().await.unwrap().keys, [key(2), key(3)]);
    stop.cancel();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(hall.release(1, 0, ReleaseReason::Failed).await, Err(Unheld), "nobody waits for a hall that is gone");
}
