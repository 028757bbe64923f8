//! What the end-to-end tests share: a real pool as a process of its own, a sponsor on its HTTP API,
//! and a scripted miner on its socket.
//!
//! Everything waits for events with one generous limit; nothing sleeps for a result.

pub mod book;
pub mod ledger;
pub mod miner;
pub mod pool;
pub mod range;
pub mod render;
pub mod rig;
pub mod scene;
pub mod sponsor;
pub mod vectors;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A program built beside this test.
///
/// # Panics
/// It has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let mut dir = std::env::current_exe().expect("a test knows its own path");
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let path = dir.join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace` with the same profile first",
        path.display()
    );
    path
}

/// How often a test repeats what takes long: the number in `variable`, or `few`.
#[must_use]
pub fn rounds(variable: &str, few: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")),
        Err(_) => few,
    }
}

/// Says something that is to be seen in every run, also of tests that pass: counts, and what was
/// skipped and why.
pub fn say(text: &str) {
    // Written past the test runner, which keeps the output of `println!` to itself.
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Calls `ready` until it gives something.
///
/// # Panics
/// It never does.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(std::time::Instant::now() < until, "waited {PATIENCE:?} for {what}");
        // Between two looks at another process, which has no event to wait for.
        std::thread::sleep(Duration::from_millis(20));
    }
}
