//! The load generator, whose figures must be those of the ledger.

use std::process::Command;

use lode_tests::pool::Home;
use lode_tests::sponsor::Api;
use lode_tests::vectors::Vector;
use lode_tests::{ledger, program};
use serde_json::Value;

#[test]
fn the_load_generators_shares_are_those_of_the_ledger() {
    let home = Home::new("[vardiff]\nstart = 1e-9\nleast = 1e-9\nmost = 1e-9\n");
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", 1_000);
    sponsor.submit(&Vector::endless_job(1 << 26, 1_000));
    let output = Command::new(program("lode-pool"))
        .args(["bench", "--json", "--connections", "20", "--seconds", "1", "--rate", "500"])
        .args(["--url", &format!("stratum+tcp://{}", pool.stratum)])
        .output()
        .expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((report["logged_in"].as_u64(), report["lost"].as_u64()), (Some(20), Some(0)), "{report}");
    assert_eq!(report["submitted"], report["accepted"], "{report}");
    assert_eq!(report["accepted"], ledger::proofs(&home.data()).len());
    let refused = Command::new(program("lode-pool")).args(["bench", "--url", "http://x"]).output().expect("it starts");
    assert_eq!(refused.status.code(), Some(2));
}
