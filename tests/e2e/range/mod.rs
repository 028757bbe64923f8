//! Range work from end to end: pictures through real pools, with real and with played miners.

mod broken;
mod cheats;
mod crash;
mod ends;
mod journey;

use std::thread::{self, ScopedJoinHandle};

use lode_tests::pool::{Home, Pool};
use lode_tests::range::{Cord, Deed, Log, RangeMiner, key};
use lode_tests::render::{self, Picture};
use lode_tests::sponsor::Api;
use lode_tests::{scene, wait_for};
use serde_json::Value;

/// Units of one element, small batches, and few of them until a key is trusted.
const CONFIG: &str = "[range]\nstart = 1e-9\nleast = 1e-9\nmost = 1e-9\n\
    [audit]\nbatch_units = 8\nbatch_s = 30\nclean_batches = 2\ncanary = 0\n\
    [pool]\nfee_bps = 100\ncancel_notice_s = 1\n";

/// 150 elements that take a core a fraction of a second.
const PICTURE: Picture = Picture { width: 240, height: 160, samples: 2, max_depth: 4, seed: 7 };

const BUDGET: u64 = 1_000_000;

/// A pool with one render job, and what its picture must be.
struct Site {
    home: Home,
    pool: Pool,
    sponsor: Api,
    job: String,
    picture: Picture,
    scene: Vec<u8>,
}

impl Site {
    fn new(config: &str, picture: Picture) -> Site {
        let home = Home::new(config);
        let pool = home.start();
        let sponsor = Api::admin(&pool).funded_sponsor("acme", 3 * BUDGET);
        let scene = scene::room(3);
        let digest = render::upload(&sponsor, &scene);
        let job = sponsor.submit(&picture.job(&digest, BUDGET));
        Site { home, pool, sponsor, job, picture, scene }
    }

    fn view(&self) -> Value {
        self.sponsor.get(&format!("/jobs/{}", self.job)).ok()
    }

    /// Waits for the end of the job, and checks that its file is what is made without a pool.
    fn wait_for_picture(&self) -> Value {
        let view = self.sponsor.wait_for_state(&self.job, "done");
        let file = render::result(&self.sponsor, &self.job);
        assert!(file == self.picture.direct(&self.scene), "the picture is another one than without a pool");
        view
    }

    /// Stops the pool; checks that the ledger holds, that nothing is left in escrow, and who has got how much in all.
    fn close(self, paid: &[(&str, u64)]) -> Home {
        let matured = |account: &str| {
            number(&self.sponsor.get(&format!("/accounts/{account}")).ok()["balances"]["CREDIT"]["matured"])
        };
        for (account, amount) in paid {
            assert_eq!(matured(account), u128::from(*amount), "{account}");
        }
        self.pool.stop();
        let (ok, report) = self.home.audit();
        assert!(ok, "{report}");
        assert_eq!(report["assets"]["CREDIT"]["escrow"], "0", "{report}");
        self.home
    }
}

/// A decimal string of the API.
fn number(value: &Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no decimal string"))
}

/// A miner that works on a thread until its cord is pulled or the pool hangs up.
struct Working<'scope>(ScopedJoinHandle<'scope, Log>, Cord);

impl<'scope> Working<'scope> {
    fn start<'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        miner: RangeMiner,
        act: impl FnMut(&lode_protocol::method::Assign, &lode_kinds::range::Task, Vec<u8>) -> Deed + Send + 'scope,
    ) -> Working<'scope> {
        let cord = miner.cord();
        Working(scope.spawn(move || miner.work(act)), cord)
    }

    fn honest<'env>(scope: &'scope thread::Scope<'scope, 'env>, miner: RangeMiner) -> Working<'scope> {
        Working::start(scope, miner, |_, _, bytes| Deed::Submit(bytes))
    }

    /// Ends its connection and gives what became of its units.
    fn stop(self) -> Log {
        drop(self.1);
        self.0.join().expect("a played miner ends with its connection")
    }
}

/// A played miner with the key of this number.
fn login(pool: &Pool, user: &str, number: u8) -> RangeMiner {
    RangeMiner::login(pool, user, &key(number), 2).expect("a key that is not banned")
}

/// Waits until a key is banned.
fn wait_for_ban(pool: &Pool, number: u8) {
    wait_for("the key to be banned", || {
        let refused = RangeMiner::prove(pool, &key(number), 1).err();
        refused.map(|code| assert_eq!(code, 24))
    });
}

/// A result that is wrong in every number.
fn spoilt(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().step_by(4).for_each(|byte| *byte ^= 1);
    bytes
}
