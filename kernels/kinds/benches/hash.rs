//! Million hashes a second on one core, for each CPU path: `cargo bench -p lode-kinds`.
//! Prints every run and their median; `cargo bench -p lode-kinds -- SECONDS` sets a run's length.

use std::time::{Duration, Instant};

use lode_kinds::hash::sha256d::fast::Path;
use lode_kinds::hash::{Algorithm, Nonces, Scan};

const RUNS: usize = 5;
const SLICE: u64 = 1 << 18;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1.0);
    let scan = Scan::new(Algorithm::Sha256d, &[0x5a; 80], [0; 32]);
    for path in Path::available() {
        let mut rates: Vec<f64> = (0..RUNS).map(|_| run(path, &scan, Duration::from_secs_f64(seconds))).collect();
        let runs: Vec<String> = rates.iter().map(|rate| format!("{rate:.2}")).collect();
        rates.sort_by(f64::total_cmp);
        println!("{path:9} {:6.2} MH/s median of {}", rates[RUNS / 2], runs.join(" "));
    }
}

fn run(path: Path, scan: &Scan, length: Duration) -> f64 {
    let mut hits = Vec::new();
    let start = Instant::now();
    let mut hashes = 0;
    for nonces in Nonces::ALL.pieces(SLICE) {
        path.scan(scan, nonces, &mut hits);
        hashes += nonces.count();
        if start.elapsed() >= length {
            break;
        }
    }
    assert!(hits.is_empty(), "no hash is zero");
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = hashes as f64 / start.elapsed().as_secs_f64() / 1e6;
    rate
}
