//! Devices that give way: to heat, to a user, and to the share of time that they were given. With real threads and clocks,
//! as the claim is about time.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lode_miner::activity::{Activity, Presence, Seen};
use lode_miner::dial::Network;
use lode_miner::health::{Health, Sensors};
use lode_miner::limits::Limits;
use lode_miner::location::Location;
use lode_miner::per_device::PerDevice;
use lode_miner::run::Options;
use lode_miner::tls;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::*;

/// What a returning user waits at most.
const YIELD_MAX: Duration = Duration::from_secs(1);
/// A device that did nothing for so long is paused: several times its slice.
const QUIET: Duration = Duration::from_millis(500);
/// What nothing here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A thermometer that the test sets.
struct Thermometer(Arc<AtomicI32>);

impl Sensors for Thermometer {
    fn read(&mut self, _: &Location) -> Health {
        Health { temperature_c: Some(self.0.load(Ordering::Relaxed)), ..Health::default() }
    }
}

/// A user whom the test plays.
struct Played(Arc<Mutex<Seen>>);

impl Activity for Played {
    fn look(&mut self, _: &[Location]) -> Seen {
        self.0.lock().unwrap().clone()
    }
}

fn seen(user: Presence) -> Seen {
    Seen { user, on_battery: false, busy: vec![None] }
}

/// A rig with a steady device, mining.
struct Rig {
    pool: PoolEnd,
    slices: Slices,
    run: Run,
}

impl Rig {
    async fn start(change: impl FnOnce(&mut Options)) -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("stratum+tcp://{}", listener.local_addr().unwrap());
        let mut options = plain(&[&url], Arc::new(Network::new(tls::connector(None).unwrap())));
        change(&mut options);
        let (device, slices) = steady();
        let run = Run::with(options, vec![device]);
        let mut pool = PoolEnd::new(Box::new(listener.accept().await.unwrap().0));
        pool.welcome("s1").await;
        pool.set_difficulty(latched_difficulty()).await;
        pool.notify("a", 1, true).await;
        Rig { pool, slices, run }
    }

    /// The next slice.
    async fn slice(&mut self) -> Begun {
        timeout(PATIENCE, self.slices.recv()).await.expect("the device works").unwrap()
    }

    /// The last slice before the device is quiet.
    async fn last_slice(&mut self, since: Instant) -> Begun {
        let mut last = self.slice().await;
        while let Ok(begun) = timeout(QUIET, self.slices.recv()).await {
            assert!(since.elapsed() < PATIENCE, "the device never pauses");
            last = begun.unwrap();
        }
        last
    }
}

#[tokio::test]
async fn a_returning_user_has_the_machine_within_a_second_and_the_device_goes_on_where_it_was() {
    let user = Arc::new(Mutex::new(seen(Presence::Absent)));
    let activity = Box::new(Played(Arc::clone(&user)));
    let mut rig = Rig::start(|options| options.activity = Some(activity)).await;
    rig.slice().await;

    let returned = Instant::now();
    *user.lock().unwrap() = seen(Presence::Active);
    let last = rig.last_slice(returned).await;
    let waited = (last.at + last.length()).saturating_duration_since(returned);
    assert!(waited <= YIELD_MAX, "the user waited {waited:?}");
    rig.pool.settle().await;

    *user.lock().unwrap() = seen(Presence::Absent);
    let next = rig.slice().await;
    let after = u64::from(last.nonces.start()) + last.nonces.count();
    assert_eq!(u64::from(next.nonces.start()), after, "not a nonce is skipped or tried twice");

    let mut busy = seen(Presence::Unknown);
    busy.busy = vec![Some("blender".into())];
    *user.lock().unwrap() = busy;
    rig.last_slice(Instant::now()).await;
    rig.pool.notify("b", 2, true).await;
    rig.pool.settle().await;
    *user.lock().unwrap() = seen(Presence::Unknown);
    let next = rig.slice().await;
    assert_eq!(next.nonces.start(), 0, "it turns to the work that is current by then");
    rig.run.end().await;
}

#[tokio::test]
async fn devices_that_give_way_wait_for_the_first_look() {
    let (look, looked) = std::sync::mpsc::channel();
    struct Slow(std::sync::mpsc::Receiver<Seen>);
    impl Activity for Slow {
        fn look(&mut self, _: &[Location]) -> Seen {
            self.0.recv().unwrap_or_else(|_| seen(Presence::Absent))
        }
    }
    let mut rig = Rig::start(|options| options.activity = Some(Box::new(Slow(looked)))).await;
    rig.pool.settle().await;
    assert!(timeout(QUIET, rig.slices.recv()).await.is_err());
    look.send(seen(Presence::Absent)).unwrap();
    rig.slice().await;
    // From now on the look hangs; what is not known for long counts as nobody.
    look.send(seen(Presence::Active)).unwrap();
    rig.last_slice(Instant::now()).await;
    rig.slice().await;
    drop(look);
    rig.run.end().await;
}

#[tokio::test]
async fn a_hot_device_pauses_within_a_second_until_it_has_cooled_and_can_be_stopped_meanwhile() {
    let temperature = Arc::new(AtomicI32::new(84));
    let thermometer = Box::new(Thermometer(Arc::clone(&temperature)));
    let mut rig = Rig::start(|options| {
        options.limits.temp_limit = PerDevice::new(vec!["85".parse().unwrap()]);
        options.sensors = Some(thermometer);
    })
    .await;
    rig.slice().await;
    let risen = Instant::now();
    temperature.store(86, Ordering::Relaxed);
    let last = rig.last_slice(risen).await;
    let waited = (last.at + last.length()).saturating_duration_since(risen);
    assert!(waited <= YIELD_MAX, "the device worked on for {waited:?}");
    temperature.store(80, Ordering::Relaxed);
    assert!(timeout(2 * QUIET, rig.slices.recv()).await.is_err(), "not cool enough yet");
    temperature.store(75, Ordering::Relaxed);
    rig.slice().await;
    temperature.store(99, Ordering::Relaxed);
    rig.last_slice(Instant::now()).await;
    let ended = Instant::now();
    rig.run.end().await;
    assert!(ended.elapsed() < YIELD_MAX, "a paused device ends at once");
}

#[tokio::test]
async fn intensity_is_the_part_of_the_time_that_a_device_works() {
    let intensity = |texts: &[&str]| Limits {
        intensity: PerDevice::new(texts.iter().map(|text| text.parse().unwrap()).collect()),
        ..Limits::default()
    };
    let mut rig = Rig::start(|options| options.limits = intensity(&["90", "cpu:0=20"])).await;
    let first = rig.slice().await;
    let (mut last, mut worked) = (first, Duration::ZERO);
    while worked < Duration::from_millis(300) {
        worked += last.length();
        last = rig.slice().await;
    }
    // Slices may take longer than they should, and their rests with them; the part of the time cannot grow.
    assert!(last.at - first.at >= 5 * worked, "{:?} for {worked:?} of work", last.at - first.at);
    let ended = Instant::now();
    rig.run.end().await;
    assert!(ended.elapsed() < YIELD_MAX);
}
