//! Random histories of range jobs, played into the ledger and into a model of its own that knows elements one by one
//! and nothing of intervals, batches' sums or largest remainders.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lode_protocol::RateCard;
use lode_protocol::api::{Amount, DepositRequest};
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName};
use proptest::prelude::*;
use proptest::sample::Index;

use super::batch::{Cause, Verdict, Void};
use super::cost::CostMap;
use super::draw::{commitment, draw};
use super::entry::{AuditPolicy, Effort, Entry, Millis, Outcome, RangeTerms, Scheme, Shape};
use super::events::{BatchInfo, MaturedInfo, UnitInfo, VoidInfo};
use super::fold::{Broken, State};
use super::journal::{self, Journal};
use super::plan::{Command, Done, NewJob, Refusal, UnitClaim, plan};
use super::store::Opened;
use super::writer::{LedgerError, Listener, Opening, Options, RestoredRange, journal_dir};
use crate::clock::Clock;

const ASSETS: [&str; 2] = ["C", "D"];
const USERS: [&str; 4] = ["a.x", "a.y", "b.x", "c.x"];
const KEYS: u8 = 5;
const PARTS: u32 = 4;

fn card() -> RateCard {
    (1..).map_while(RateCard::of_version).find(|card| card.operations("render").is_some()).expect("a card has render")
}

/// What happens next; indices choose among what there is then.
#[derive(Debug, Clone)]
enum Step {
    Open {
        asset: usize,
        budget: u128,
        fee_bps: u16,
        cost: CostMap,
        policy: AuditPolicy,
    },
    Unit {
        job: Index,
        user: usize,
        key: u8,
        place: Index,
        count: u32,
        right: bool,
        duplicate: bool,
    },
    /// Delivers again, by another key perhaps, exactly what a unit of the past has.
    Again {
        unit: Index,
        user: usize,
        key: u8,
        same: bool,
    },
    CloseBatch {
        job: Index,
        key: u8,
    },
    Mature(Index),
    Void {
        batch: Index,
        unit: Index,
        drawn: bool,
        cause: Cause,
    },
    Commit,
    Reveal(Index),
    Cancel(Index),
    End(Index, Outcome),
    Finish(Index),
}

fn costs() -> impl Strategy<Value = CostMap> {
    (1u64..4, 1u64..12).prop_flat_map(|(sections, section)| {
        (1..=section).prop_flat_map(move |period| {
            let cells = usize::try_from(sections * period).unwrap();
            prop::collection::vec(1u64..1000, cells)
                .prop_map(move |table| CostMap::new(sections * section, section, period, 1, table).unwrap())
        })
    })
}

fn opening() -> impl Strategy<Value = Step> {
    let policy = (1u32..3, 1u32..5, 0u32..3).prop_map(|(units, batch_units, clean_batches)| AuditPolicy {
        units: units.min(batch_units),
        batch_units,
        clean_batches,
        ..AuditPolicy::usual(2)
    });
    let budget = prop_oneof![1u128..20, 1u128..100_000];
    (0..ASSETS.len(), budget, 0u16..=10_000, costs(), policy)
        .prop_map(|(asset, budget, fee_bps, cost, policy)| Step::Open { asset, budget, fee_bps, cost, policy })
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let index = any::<Index>;
    let outcome =
        || prop::sample::select(vec![Outcome::Cancelled, Outcome::Expired, Outcome::Quarantined, Outcome::Solved]);
    let unit = (index(), 0..USERS.len(), 0..KEYS, index(), 1u32..6, any::<bool>(), any::<bool>()).prop_map(
        |(job, user, key, place, count, right, duplicate)| Step::Unit {
            job,
            user,
            key,
            place,
            count,
            right,
            duplicate,
        },
    );
    let again = (index(), 0..USERS.len(), 0..KEYS, any::<bool>()).prop_map(|(unit, user, key, same)| Step::Again {
        unit,
        user,
        key,
        same,
    });
    let cause = prop::sample::select(vec![Cause::Drawn, Cause::Mismatch]);
    let void = (index(), index(), any::<bool>(), cause).prop_map(|(batch, unit, drawn, cause)| Step::Void {
        batch,
        unit,
        drawn,
        cause,
    });
    let step = prop_oneof![
        2 => opening(),
        20 => unit,
        6 => again,
        3 => (index(), 0..KEYS).prop_map(|(job, key)| Step::CloseBatch { job, key }),
        10 => index().prop_map(Step::Mature),
        3 => void,
        1 => Just(Step::Commit),
        1 => index().prop_map(Step::Reveal),
        2 => index().prop_map(Step::Cancel),
        1 => (index(), outcome()).prop_map(|(job, outcome)| Step::End(job, outcome)),
        3 => index().prop_map(Step::Finish),
    ];
    (opening(), prop::collection::vec((step, 0u64..4), 1..160)).prop_map(|(first, mut steps)| {
        steps.insert(0, (first, 0));
        steps
    })
}

/// A unit as the model has it.
#[derive(Debug, Clone)]
struct Delivered {
    job: JobId,
    key: [u8; 32],
    account: AccountName,
    first: u64,
    count: u32,
    digest: [u8; 32],
    batch: Option<u64>,
    void: bool,
    /// Whether the elements are its own, not another's that it repeats.
    original: bool,
}

/// The model: who has done each element, and who was paid for it.
#[derive(Debug, Default)]
struct Model {
    units: Vec<Delivered>,
    elements: BTreeMap<(JobId, u64), usize>,
    paid: BTreeSet<(JobId, u64)>,
    matured: BTreeSet<u64>,
    banned: BTreeSet<[u8; 32]>,
}

impl Model {
    fn cells(unit: &Delivered) -> impl Iterator<Item = (JobId, u64)> + use<> {
        let job = unit.job;
        (unit.first..unit.first + u64::from(unit.count)).map(move |element| (job, element))
    }

    /// Takes an entry of the log.
    fn see(&mut self, entry: &Entry, keys: &[[u8; 32]], accounts: &[AccountName]) {
        match entry {
            Entry::Unit { job, worker, key, first, count, digest, duplicate, .. } => {
                let unit = Delivered {
                    job: *job,
                    key: keys[*key as usize],
                    account: accounts[*worker as usize].clone(),
                    first: *first,
                    count: *count,
                    digest: *digest,
                    batch: None,
                    void: false,
                    original: !duplicate,
                };
                assert!(!self.banned.contains(&unit.key), "a unit of a banned key");
                let number = self.units.len();
                if unit.original {
                    for cell in Model::cells(&unit) {
                        assert_eq!(self.elements.insert(cell, number), None, "{cell:?} done twice");
                    }
                }
                self.units.push(unit);
            }
            Entry::BatchClosed { batch, job, key, .. } => {
                let open = self.units.iter_mut().filter(|unit| unit.batch.is_none() && !unit.void);
                let of = open.filter(|unit| unit.job == *job && unit.key == keys[*key as usize]);
                of.for_each(|unit| unit.batch = Some(*batch));
            }
            Entry::BatchMatured { batch, .. } => {
                self.matured.insert(*batch);
                self.settle();
            }
            Entry::BatchVoided { batch, .. } => {
                self.void(*batch);
                self.settle();
            }
            _ => {}
        }
    }

    /// Elements of matured batches are paid, each once.
    fn settle(&mut self) {
        for (cell, unit) in &self.elements {
            if self.units[*unit].batch.is_some_and(|batch| self.matured.contains(&batch)) {
                self.paid.insert(*cell);
            }
        }
    }

    fn void(&mut self, batch: u64) {
        let of: Vec<usize> = (0..self.units.len()).filter(|i| self.units[*i].batch == Some(batch)).collect();
        for &number in &of {
            self.units[number].void = true;
            self.banned.insert(self.units[number].key);
            for cell in Model::cells(&self.units[number]) {
                if self.units[number].original {
                    assert_eq!(self.elements.remove(&cell), Some(number));
                    assert!(!self.paid.contains(&cell), "{cell:?} was paid and is void");
                }
            }
        }
        for number in of {
            let gone = self.units[number].clone();
            let inherits = |unit: &&mut Delivered| {
                !unit.void && !unit.original && (unit.job, unit.first, unit.count) == (gone.job, gone.first, gone.count)
            };
            let heir = gone.original.then(|| self.units.iter_mut().enumerate().find(|(_, unit)| inherits(unit)));
            if let Some(Some((heir, unit))) = heir {
                unit.original = true;
                let cells: Vec<_> = Model::cells(unit).collect();
                self.elements.extend(cells.into_iter().map(|cell| (cell, heir)));
            }
        }
    }

    fn work(state: &State, cells: impl Iterator<Item = (JobId, u64)>, of: JobId) -> (u128, u64) {
        let cost = &state.jobs[&of].terms.range().unwrap().cost;
        cells.filter(|(job, _)| *job == of).fold((0, 0), |sum, (_, i)| (sum.0 + cost.work(i, 1), sum.1 + 1))
    }

    /// Compares every sum of the state with what the elements say.
    fn check(&self, state: &State) {
        for (asset, (came_in, held)) in state.balance_sheet() {
            assert_eq!(came_in, held, "{asset}");
        }
        for (asset, totals) in &state.assets {
            let of = || state.jobs.values().filter(|job| job.terms.asset == *asset).map(|job| job.terms.job);
            let earned: u128 = of().map(|job| state.jobs[&job].fees).sum();
            let earnings = || state.earnings.iter().filter(|((_, job), _)| of().any(|id| id == *job));
            let duplicates: u128 = earnings().map(|(_, earning)| earning.duplicates).sum();
            assert_eq!(totals.fees + duplicates, earned);
        }
        for (&id, job) in &state.jobs {
            let (work, done) = Model::work(state, self.elements.keys().copied(), id);
            let (matured, paid) = Model::work(state, self.paid.iter().copied(), id);
            assert_eq!((job.work, job.elements_done), (work, done));
            assert_eq!((job.matured_work, job.elements_matured), (matured, paid));
            // Budgets are small here, so the rule can be said in plain integers.
            let gross = job.terms.budget * matured / job.terms.work_quoted;
            let fee = gross * u128::from(job.terms.fee_bps) / 10_000;
            assert_eq!((job.paid, job.fees), (gross - fee, fee));
            let earnings = state.earnings.iter().filter(|((_, of), _)| *of == id);
            assert_eq!(earnings.map(|(_, earning)| earning.amount.unwrap_or(0)).sum::<u128>(), job.paid);
            match &job.closed {
                None => assert_eq!(job.escrow, job.terms.budget - gross),
                Some(closed) => {
                    assert_eq!((job.escrow, closed.paid, closed.fee), (0, job.paid, job.fees));
                    assert_eq!(closed.refunded, job.terms.budget - gross);
                }
            }
        }
        let live = |account: &AccountName| {
            let units = self.units.iter().filter(|unit| unit.account == *account && !unit.void);
            units.map(|unit| Model::work(state, Model::cells(unit), unit.job).0).sum::<u128>()
        };
        for (name, account) in &state.accounts {
            // A duplicate that was paid before its batch was found void stays counted.
            assert!(account.work >= live(name));
        }
    }
}

/// A ledger, its log, and the model beside it.
struct Play {
    state: State,
    log: Vec<Entry>,
    now: u64,
    model: Model,
    secrets: u8,
}

fn secret(number: u8) -> [u8; 32] {
    [number; 32]
}

fn key(number: u8) -> [u8; 32] {
    [0x80 | number; 32]
}

/// What an honest miner delivers, or another's fake.
fn digest(first: u64, count: u32, fake: Option<u8>) -> [u8; 32] {
    *blake3::hash(format!("{first} {count} {fake:?}").as_bytes()).as_bytes()
}

impl Play {
    fn begin() -> Play {
        let mut play = Play { state: State::default(), log: Vec::new(), now: 5, model: Model::default(), secrets: 0 };
        play.apply(Entry::PoolOpened { pool: [1; 16], at: 5 });
        let sponsor: SponsorName = "s".parse().unwrap();
        play.enter(&Command::CreateSponsor(sponsor.clone())).unwrap();
        for asset in ASSETS {
            let (asset, reference) = (asset.parse().unwrap(), asset.to_owned());
            let amount = Amount(1_000_000);
            let deposit = DepositRequest { sponsor: sponsor.clone(), asset, amount, reference };
            play.enter(&Command::Deposit(deposit)).unwrap();
        }
        play.commit();
        play
    }

    fn of(steps: &[(Step, u64)]) -> Play {
        let mut play = Play::begin();
        for (step, wait) in steps {
            play.now += wait;
            play.step(step);
            play.model.check(&play.state);
        }
        play
    }

    fn apply(&mut self, entry: Entry) {
        self.state.apply(&entry).unwrap_or_else(|error| panic!("{entry:?}: {error}"));
        let keys: Vec<[u8; 32]> = self.state.keys.all().iter().map(|key| key.key).collect();
        let accounts: Vec<AccountName> = self.state.workers.iter().map(|rig| rig.account.clone()).collect();
        self.model.see(&entry, &keys, &accounts);
        self.log.push(entry);
    }

    fn enter(&mut self, command: &Command) -> Result<Done, Refusal> {
        let (entries, done) = plan(&self.state, command, self.now)?;
        for entry in entries {
            self.apply(entry);
            while let Some(due) = self.state.due().front().cloned() {
                self.apply(due);
            }
        }
        Ok(done)
    }

    fn commit(&mut self) {
        let hash = commitment(&secret(self.secrets));
        assert_eq!(self.enter(&Command::CommitSecret { hash }), Ok(Done::Committed(u64::from(self.secrets))));
        self.secrets += 1;
    }

    fn job(&self, index: &Index) -> JobId {
        JobId(index.index(self.state.jobs.len()) as u64 + 1)
    }

    fn unresolved(&self) -> Vec<u64> {
        let waiting = self.state.batches.iter().filter(|batch| batch.verdict == Verdict::Unresolved);
        waiting.map(|batch| batch.batch).collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Open { asset, budget, fee_bps, cost, policy } => {
                if self.state.jobs.len() < 4 {
                    self.open(ASSETS[*asset].parse().unwrap(), *budget, *fee_bps, cost, *policy);
                }
            }
            Step::Unit { job, user, key, place, count, right, duplicate } => {
                let job = self.job(job);
                let cost = &self.state.jobs[&job].terms.range().unwrap().cost;
                let first = place.index(usize::try_from(cost.elements()).unwrap()) as u64;
                let count = (*count).min(u32::try_from(cost.section() - first % cost.section()).unwrap());
                let digest = digest(first, count, (!right).then_some(*key));
                self.deliver(job, *user, *key, first, count, digest, *duplicate);
            }
            Step::Again { unit, user, key, same } => {
                if !self.model.units.is_empty() {
                    let unit = unit.get(&self.model.units).clone();
                    let digest = if *same { unit.digest } else { digest(unit.first, unit.count, Some(*key)) };
                    self.deliver(unit.job, *user, *key, unit.first, unit.count, digest, true);
                }
            }
            Step::CloseBatch { job, key } => {
                drop(self.enter(&Command::CloseBatch { job: self.job(job), key: self::key(*key) }));
            }
            Step::Mature(batch) => {
                let waiting = self.unresolved();
                if !waiting.is_empty() {
                    self.enter(&Command::Mature { batch: *batch.get(&waiting) }).unwrap();
                }
            }
            Step::Void { batch, unit, drawn, cause } => self.void(batch, unit, *drawn, *cause),
            Step::Commit => self.commit(),
            Step::Reveal(number) => {
                let secret = secret(u8::try_from(number.index(usize::from(self.secrets))).unwrap());
                drop(self.enter(&Command::RevealSecret { secret }));
            }
            Step::Cancel(job) => {
                let (job, sponsor) = (self.job(job), "s".parse().unwrap());
                drop(self.enter(&Command::RequestCancel { job, sponsor, notice_ms: 5 }));
            }
            Step::End(job, outcome) => drop(self.enter(&Command::End { job: self.job(job), outcome: *outcome })),
            Step::Finish(job) => drop(self.enter(&Command::Finish { job: self.job(job), result: [3; 32] })),
        }
    }

    fn open(&mut self, asset: AssetName, budget: u128, fee_bps: u16, cost: &CostMap, policy: AuditPolicy) {
        let (cost, prepared) = (Arc::new(cost.clone()), [4; 32]);
        let work_quoted = cost.total();
        let range = RangeTerms { cost, policy, element_bytes: 8, parts_per_element: PARTS, prepared };
        let new = NewJob {
            sponsor: "s".parse().unwrap(),
            name: String::new(),
            kind: "render".into(),
            spec: [0; 32],
            asset,
            budget,
            scheme: Scheme::Prop,
            fee_bps,
            rate_card: card().version(),
            work_quoted,
            shape: Shape::Range(range),
            deadline_ms: 120,
            idempotency: None,
        };
        self.enter(&Command::OpenJob(Box::new(new))).unwrap();
    }

    #[expect(clippy::too_many_arguments, reason = "a claim has as many fields")]
    fn deliver(&mut self, job: JobId, user: usize, key: u8, first: u64, count: u32, digest: [u8; 32], duplicate: bool) {
        let (user, key) = (USERS[user].parse().unwrap(), self::key(key));
        let free = (first..first + u64::from(count)).all(|element| !self.model.elements.contains_key(&(job, element)));
        let banned = self.model.banned.contains(&key);
        let takes = self.state.jobs[&job].closed.is_none() && self.state.jobs[&job].ending.is_none();
        let claim = UnitClaim { job, user, key, first, count, digest, duplicate };
        let done = self.enter(&Command::Unit(Box::new(claim)));
        match done {
            Ok(_) => assert!(takes && !banned && (free || duplicate)),
            Err(Refusal::Stale) => assert!(!takes),
            Err(Refusal::Banned) => assert!(banned),
            Err(Refusal::Duplicate) => assert!(!free),
            Err(other) => panic!("{other}"),
        }
    }

    fn void(&mut self, batch: &Index, unit: &Index, drawn: bool, cause: Cause) {
        let waiting = self.unresolved();
        if waiting.is_empty() {
            return;
        }
        let info = self.state.batch_info(*batch.get(&waiting)).unwrap();
        let units: Vec<(u64, u32)> = info.units.iter().map(|unit| (unit.0, unit.1)).collect();
        let terms = self.state.jobs[&info.job].terms.range().unwrap().clone();
        let (mut chosen, mut element, mut part) = (unit.index(units.len()), 0, PARTS - 1);
        if drawn {
            let secret = secret(u8::try_from(info.secret).unwrap());
            let picks: Vec<_> = draw(&secret, &info.root, &units, info.all, &terms).into_iter().collect();
            let pick = unit.get(&picks);
            (chosen, element, part) = (pick.unit, pick.element - units[pick.unit].0, pick.part);
        }
        let (first, count) = units[chosen];
        let (expected, found) = ([1; 32], [2; 32]);
        let void = Void { first, count, element: first + element, part, expected, found, cause };
        let same = |unit: &&Delivered| (unit.job, unit.first, unit.count) == (info.job, first, count);
        let result = info.units[chosen].2;
        let mut others = self.model.units.iter().filter(same);
        let contested = others.any(|unit| unit.key != info.key && unit.digest != result);
        match self.enter(&Command::Void { batch: info.batch, void }) {
            Ok(_) => {
                assert!(contested || cause == Cause::Drawn);
                assert!(self.state.keys.find(&info.key).unwrap().banned);
            }
            Err(Refusal::Evidence { .. }) => assert!(cause == Cause::Mismatch && !contested),
            Err(other) => panic!("{other}"),
        }
    }

    /// Brings every job to one of its ends.
    fn end(&mut self, finish: bool) {
        self.now += 200;
        for job in self.state.jobs.keys().copied().collect::<Vec<_>>() {
            match self.enter(&Command::Close { job, outcome: Outcome::Expired }) {
                Ok(_) => {}
                // All done: it completes unless something in it is wrong.
                Err(Refusal::Finishing(_)) if !finish => {
                    let quarantine = Command::End { job, outcome: Outcome::Quarantined };
                    self.enter(&quarantine).unwrap();
                    self.enter(&quarantine).unwrap();
                }
                Err(Refusal::Finishing(_)) => {
                    let keys = self.state.keys.all().iter().map(|key| key.key).collect::<Vec<_>>();
                    keys.into_iter().for_each(|key| drop(self.enter(&Command::CloseBatch { job, key })));
                }
                Err(other) => panic!("{other}"),
            }
        }
        for batch in self.unresolved() {
            self.enter(&Command::Mature { batch }).unwrap();
        }
        for (job, open) in self.state.jobs.clone() {
            if open.closed.is_none() {
                self.enter(&Command::Finish { job, result: [3; 32] }).unwrap();
            }
        }
        assert!(self.state.jobs.values().all(|job| job.closed.is_some()));
        self.model.check(&self.state);
    }
}

fn fold(log: &[Entry]) -> Result<State, Broken> {
    let mut state = State::default();
    log.iter().try_for_each(|entry| state.apply(entry))?;
    state.check_complete()?;
    Ok(state)
}

fn assert_same(a: &State, b: &State) {
    assert_eq!(a.jobs, b.jobs);
    assert_eq!(a.accounts, b.accounts);
    assert_eq!(a.sponsors, b.sponsors);
    assert_eq!(a.assets, b.assets);
    assert_eq!(a.workers, b.workers);
    assert_eq!(a.earnings, b.earnings);
    assert_eq!(a.closed_rounds, b.closed_rounds);
    assert_eq!(a.batches, b.batches);
    assert_eq!(a.keys.all(), b.keys.all());
    assert_eq!(a.secrets.all(), b.secrets.all());
}

/// What anybody has.
fn balances(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let matured: Vec<_> = state.accounts.values().map(|account| account.matured.clone()).collect();
    (matured, state.sponsors.clone(), state.assets.clone())
}

proptest! {
    #[test]
    fn any_history_pays_each_element_at_most_once_and_keeps_the_books(steps in steps(), finish in any::<bool>()) {
        let mut play = Play::of(&steps);
        let before = play.log.len();
        play.end(finish);
        // From its bytes the same history gives the same state, at its end and before its jobs were ended.
        let bytes: Vec<Entry> = play.log.iter().map(|entry| Entry::decode(&entry.encode()).unwrap()).collect();
        assert_same(&fold(&bytes).unwrap(), &play.state);
        assert_same(&fold(&bytes[..before]).unwrap(), &Play::of(&steps).state);
    }

    #[test]
    fn no_changed_log_moves_other_money(steps in steps(), pick in any::<Index>(), how in 0u8..4, finish in any::<bool>()) {
        let mut play = Play::of(&steps);
        play.end(finish);
        let judged = |entry: &Entry| entry.pays() || matches!(entry, Entry::BatchMatured { .. } | Entry::BatchVoided { .. });
        let places: Vec<usize> = (0..play.log.len()).filter(|at| judged(&play.log[*at])).collect();
        prop_assume!(!places.is_empty());
        let place = *pick.get(&places);
        let mut log = play.log.clone();
        match how {
            0 => drop(log.remove(place)),
            1 => log.swap(place - 1, place),
            2 => log.insert(place, log[place].clone()),
            _ => match &mut log[place] {
                Entry::Payout { amount, .. } | Entry::Fee { amount, .. } | Entry::Refund { amount, .. } | Entry::FeePaid { amount, .. } => *amount += 1,
                Entry::BatchMatured { batch, at } => {
                    let job = play.state.batches[usize::try_from(*batch).unwrap()].job;
                    let terms = play.state.jobs[&job].terms.range().unwrap();
                    let unit = play.model.units.iter().find(|unit| unit.batch == Some(*batch)).unwrap();
                    let (first, count, element, part) = (unit.first, unit.count, unit.first, terms.parts_per_element - 1);
                    let (expected, found, cause) = ([1; 32], [2; 32], Cause::Drawn);
                    let void = Void { first, count, element, part, expected, found, cause };
                    log[place] = Entry::BatchVoided { batch: *batch, void, at: *at };
                }
                Entry::BatchVoided { batch, at, .. } => log[place] = Entry::BatchMatured { batch: *batch, at: *at },
                _ => unreachable!("such an entry was picked"),
            },
        }
        prop_assume!(log != play.log);
        let folded = fold(&log);
        if play.log[place].pays() && how != 1 {
            prop_assert!(folded.is_err());
        }
        // What is worth nothing may go unnoticed here (the chain of hashes has it), but it pays nobody else.
        if let Ok(state) = folded {
            prop_assert_eq!(balances(&state), balances(&play.state));
        }
    }

    #[test]
    fn a_void_that_was_not_drawn_keeps_its_secret_from_being_told(steps in steps()) {
        let mut play = Play::of(&steps);
        play.end(true);
        play.commit();
        for number in 0..play.secrets - 1 {
            let voids: Vec<_> = play.state.secrets.undrawn().filter(|(of, _)| *of == u64::from(number)).collect();
            let fair = voids.iter().all(|(_, void)| void.is_drawn_by(&secret(number)));
            let told = play.state.secrets.get(u64::from(number)).unwrap().revealed.is_some();
            let done = play.enter(&Command::RevealSecret { secret: secret(number) });
            prop_assert_eq!(done.is_ok(), fair || told, "{:?}", done);
        }
    }
}

/// A history that has one of everything: an honest job, a void with an heir, canaries, a cancelled and an expired job.
fn made() -> Play {
    let mut play = Play::begin();
    let policy = AuditPolicy { units: 1, batch_units: 2, clean_batches: 1, ..AuditPolicy::usual(2) };
    let cost = CostMap::new(8, 4, 2, 1, vec![10, 20, 30, 40]).unwrap();
    for asset in ["C", "C", "D"] {
        play.open(asset.parse().unwrap(), 1_000, 500, &cost, policy);
    }
    let honest = |first, count| digest(first, count, None);
    let job = JobId(1);
    play.deliver(job, 0, 0, 0, 2, honest(0, 2), false);
    play.deliver(job, 2, 1, 2, 2, digest(2, 2, Some(1)), true);
    play.now += 10;
    // Waits for the unit of key 1, which is a fake.
    play.deliver(job, 3, 2, 2, 2, honest(2, 2), true);
    play.deliver(job, 0, 0, 4, 1, honest(4, 1), false);
    play.enter(&Command::Mature { batch: 0 }).unwrap();
    play.enter(&Command::CloseBatch { job, key: key(1) }).unwrap();
    let (expected, found, cause) = ([1; 32], [2; 32], Cause::Mismatch);
    let void = Void { first: 2, count: 2, element: 3, part: 1, expected, found, cause };
    play.enter(&Command::Void { batch: 1, void }).unwrap();
    play.deliver(job, 3, 3, 5, 3, honest(5, 3), false);
    // A canary of what has matured is paid at once.
    play.deliver(job, 3, 4, 0, 2, honest(0, 2), true);
    play.commit();
    for batch in play.unresolved() {
        play.enter(&Command::Mature { batch }).unwrap();
    }
    play.enter(&Command::RevealSecret { secret: secret(0) }).unwrap();
    play.enter(&Command::Finish { job, result: [3; 32] }).unwrap();
    play.deliver(JobId(2), 1, 0, 0, 1, honest(0, 1), false);
    play.deliver(JobId(3), 1, 0, 0, 1, honest(0, 1), false);
    let sponsor = "s".parse().unwrap();
    play.enter(&Command::RequestCancel { job: JobId(2), sponsor, notice_ms: 1 }).unwrap();
    play.now += 5;
    play.enter(&Command::Close { job: JobId(2), outcome: Outcome::Cancelled }).unwrap();
    play.end(true);
    play
}

#[test]
fn the_sums_of_a_made_history_by_hand() {
    let play = made();
    let state = &play.state;
    // Work is 10 20 10 20 | 30 40 30 40: 200 in all, a budget of 1000, so 5 for each, of which 5 % are the fee.
    let amount = |account: &str, job| state.earnings[&(account.parse().unwrap(), JobId(job))];
    let job = &state.jobs[&JobId(1)];
    assert_eq!((job.paid, job.fees, job.escrow, job.voids, job.matured_batches), (950, 50, 0, 1, 3));
    // a: elements 0, 1 and 4 of work 60. b's fake of work 30 went to c, who also did 5, 6 and 7 of work 110.
    assert_eq!((amount("a", 1).work, amount("b", 1).work, amount("c", 1).work), (60, 0, 140));
    assert_eq!(amount("b", 1).amount, Some(0));
    let (a, c) = (amount("a", 1).amount.unwrap(), amount("c", 1).amount.unwrap());
    assert!(a + c == 950 && a.abs_diff(285) <= 1, "{a} and {c}");
    // The canary of work 30 is worth 150 less 5 %, but the fees had only those of a's work by then.
    let fees_then = 1000 * 60 / 200 * 500 / 10_000;
    assert_eq!(amount("c", 1).duplicates, fees_then);
    assert_eq!(state.assets[&"C".parse().unwrap()].fees, 50 + 2 - fees_then);
    // The others were paid for one element of work 10, and the rest went back.
    for job in [2, 3] {
        let closed = state.jobs[&JobId(job)].closed.clone().unwrap();
        assert_eq!((closed.paid, closed.fee, closed.refunded), (48, 2, 950));
    }
    let outcomes = [1, 2, 3].map(|job| state.jobs[&JobId(job)].closed.clone().unwrap().outcome);
    assert_eq!(outcomes, [Outcome::Completed { result: [3; 32] }, Outcome::Cancelled, Outcome::Expired]);
    assert!(state.keys.find(&key(1)).unwrap().banned && !state.keys.find(&key(0)).unwrap().banned);
}

#[test]
fn a_ledger_reopens_the_same_at_every_entry() {
    let log = made().log;
    let data = tempfile::tempdir().unwrap();
    let clock = Clock::new(|| 5);
    // Its first entry is that of a new ledger.
    let open = || Opening::open(data.path(), &clock, |_, _, _, _| {}).unwrap();
    let mut entries = usize::try_from(open().restored.entries).unwrap();
    assert_eq!(entries, 1);
    while entries < log.len() {
        let dir = journal_dir(data.path());
        let scan = journal::scan(&dir, |_, _| Ok::<_, Infallible>(())).unwrap();
        Journal::open(&dir, &scan, [0; 16]).unwrap().append(&[log[entries].encode()]).unwrap();
        let restored = open().restored;
        assert!(matches!(restored.store, Opened::Behind(_)), "entry {entries}: {:?}", restored.store);
        // What the terms required next was added.
        entries = usize::try_from(restored.entries).unwrap();
        let state = fold(&log[..entries]).unwrap();
        let open: Vec<_> = state.jobs.values().filter(|job| job.closed.is_none()).collect();
        let ranges = open.iter().filter(|job| job.terms.range().is_some());
        let ranges: Vec<_> = ranges.map(|job| RestoredRange::of(&state, job)).collect();
        assert_eq!(restored.ranges, ranges);
        assert_eq!(restored.open_jobs, open.iter().map(|job| job.without_shares()).collect::<Vec<_>>());
        assert_eq!(restored.secrets, state.secrets.all());
    }
    let mut read = Vec::new();
    let scan = journal::scan(&journal_dir(data.path()), |_, entry| {
        read.push(entry);
        Ok::<_, Infallible>(())
    });
    scan.unwrap();
    assert_eq!(read[1..], log[1..]);
}

/// What a listener heard, in words.
#[derive(Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Listener for Heard {
    fn share(&mut self, account: &AccountName, effort: Effort<'_>, work: u128, _: Millis) {
        self.note(format!("share {account} {effort:?} {work}"));
    }
    fn closed(&mut self, job: JobId) {
        self.note(format!("closed {job}"));
    }
    fn unit(&mut self, unit: UnitInfo) {
        self.note(format!("unit {} {} {}", unit.first, unit.count, unit.duplicate));
    }
    fn batch_closed(&mut self, batch: BatchInfo) {
        self.note(format!("batch {} of {} units, all {}", batch.batch, batch.units.len(), batch.all));
    }
    fn matured(&mut self, matured: MaturedInfo) {
        self.note(format!("matured {} with {} units", matured.batch, matured.units.len()));
    }
    fn voided(&mut self, void: VoidInfo) {
        self.note(format!("void {} reopens {:?} of {:?}", void.batch, void.reopened, void.taken));
    }
    fn ending(&mut self, job: JobId, outcome: Outcome) {
        self.note(format!("ending {job} {outcome:?}"));
    }
    fn flushed(&mut self, _: u64, _: Duration) {}
}

#[tokio::test]
async fn what_is_on_disk_is_told_and_can_be_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let clock = Clock::new(|| 5);
    let heard = Heard::default();
    let notes = heard.0.clone();
    let opening = Opening::open(data.path(), &clock, |_, _, _, _| {}).unwrap();
    let (ledger, thread) = opening.start(Options { group: Duration::ZERO }, clock.clone(), heard);
    let sponsor: SponsorName = "s".parse().unwrap();
    ledger.enter(Command::CreateSponsor(sponsor.clone())).await.unwrap();
    let (asset, reference): (AssetName, _) = ("C".parse().unwrap(), "r".to_owned());
    let deposit = DepositRequest { sponsor: sponsor.clone(), asset, amount: Amount(5000), reference };
    ledger.enter(Command::Deposit(deposit)).await.unwrap();
    let cost = CostMap::new(8, 4, 4, 4, vec![10, 20]).unwrap();
    let policy = AuditPolicy { units: 1, batch_units: 2, ..AuditPolicy::usual(2) };
    let mut made = Play::begin();
    made.open("C".parse().unwrap(), 1000, 100, &cost, policy);
    let Some(Entry::JobOpened(terms)) = made.log.last() else { panic!("an opening is last") };
    let claim = |first, count| UnitClaim {
        job: JobId(1),
        user: "a.x".parse().unwrap(),
        key: key(0),
        first,
        count,
        digest: digest(first, count, None),
        duplicate: false,
    };
    let unit = |first, count| Command::Unit(Box::new(claim(first, count)));
    let new = NewJob {
        sponsor: sponsor.clone(),
        name: terms.name.clone(),
        kind: terms.kind.clone(),
        spec: terms.spec,
        asset: terms.asset.clone(),
        budget: terms.budget,
        scheme: terms.scheme,
        fee_bps: terms.fee_bps,
        rate_card: terms.rate_card,
        work_quoted: terms.work_quoted,
        shape: terms.shape.clone(),
        deadline_ms: 50,
        idempotency: None,
    };
    assert_eq!(ledger.enter(Command::OpenJob(Box::new(new))).await, Ok(Done::Opened(JobId(1))));
    assert_eq!(ledger.store().job(JobId(1)).unwrap().unwrap().terms.shape, terms.shape);
    assert_eq!(ledger.enter(unit(0, 1)).await, Err(LedgerError::Refused(Refusal::NoSecret)));
    let hash = commitment(&secret(0));
    assert_eq!(ledger.enter(Command::CommitSecret { hash }).await, Ok(Done::Committed(0)));
    for (first, count) in [(0, 1), (1, 3), (4, 2)] {
        assert_eq!(ledger.enter(unit(first, count)).await, Ok(Done::Entered));
    }
    assert_eq!(ledger.enter(unit(1, 3)).await, Err(LedgerError::Refused(Refusal::Duplicate)));
    assert_eq!(ledger.enter(unit(3, 2)).await, Err(LedgerError::Refused(Refusal::NoElements(JobId(1)))));
    assert_eq!(ledger.enter(Command::Mature { batch: 0 }).await, Ok(Done::Entered));
    let close = Command::CloseBatch { job: JobId(1), key: key(0) };
    assert_eq!(ledger.enter(close).await, Ok(Done::BatchClosed(1)));
    let (expected, found, cause) = ([1; 32], [2; 32], Cause::Drawn);
    let void = Void { first: 4, count: 2, element: 5, part: 1, expected, found, cause };
    assert_eq!(ledger.enter(Command::Void { batch: 1, void }).await, Ok(Done::Entered));
    assert_eq!(ledger.enter(unit(4, 2)).await, Err(LedgerError::Refused(Refusal::Banned)));
    let end = Command::End { job: JobId(1), outcome: Outcome::Quarantined };
    assert_eq!(ledger.enter(end).await, Ok(Done::Entered));
    let store = ledger.store();
    let batches = store.batches_before(JobId(1), u64::MAX, 9).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.batch).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(store.voids_before(JobId(1), u64::MAX, 9).unwrap(), batches[..1]);
    assert!(store.voids_before(JobId(2), u64::MAX, 9).unwrap().is_empty());
    assert!(store.miner_key(&key(0)).unwrap().unwrap().banned);
    assert_eq!(store.miner_key(&key(1)).unwrap(), None);
    // Work 40 of 120 matured: 333 of the budget are earned, of which 3 are the fee.
    assert_eq!(store.fees(&"C".parse().unwrap()).unwrap(), 3);
    assert_eq!(store.job(JobId(1)).unwrap().unwrap().closed.unwrap().refunded, 667);
    drop(ledger);
    thread.join().unwrap();
    let heard = notes.lock().unwrap().join("\n");
    let wanted = [
        "share a Elements(\"render\") 10",
        "unit 0 1 false",
        "share a Elements(\"render\") 30",
        "unit 1 3 false",
        "batch 0 of 2 units, all true",
        "share a Elements(\"render\") 40",
        "unit 4 2 false",
        "matured 0 with 2 units",
        "batch 1 of 1 units, all true",
        "void 1 reopens [(4, 2)] of [(AccountName(\"a\"), 40)]",
        "ending j1 Quarantined",
        "closed j1",
    ];
    assert_eq!(heard, wanted.join("\n"));
}
