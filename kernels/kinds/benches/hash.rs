//! Hashes a second on one core, for each algorithm and CPU path: `cargo bench -p lode-kinds`.
//! Prints every run and their median; `cargo bench -p lode-kinds -- SECONDS ALGORITHM` sets a run's length and picks an
//! algorithm. The paths take turns, so that a busy machine slows all of them alike.

use std::time::{Duration, Instant};

use lode_kinds::hash::{Algorithm, Nonces, Scan, scrypt, sha256d};

const RUNS: usize = 5;

/// A scan of a range by one path.
type Try = dyn Fn(&Scan, Nonces);

/// A CPU path of some algorithm.
struct Row {
    name: String,
    scan: Box<Try>,
    slice: u64,
    /// What the rates are shown in.
    unit: (f64, &'static str),
    rates: Vec<f64>,
}

fn rows(algorithm: Algorithm) -> Vec<Row> {
    /// The same lines for both algorithms, whose paths are types of their own.
    macro_rules! rows_of {
        ($path:ty, $slice:expr, $unit:expr) => {
            <$path>::available()
                .into_iter()
                .map(|path| Row {
                    name: format!("{algorithm} {path}"),
                    scan: Box::new(move |scan, nonces| {
                        let mut hits = Vec::new();
                        path.scan(scan, nonces, &mut hits);
                        assert!(hits.is_empty(), "no hash is zero");
                    }),
                    slice: $slice,
                    unit: $unit,
                    rates: Vec::new(),
                })
                .collect()
        };
    }
    match algorithm {
        Algorithm::Sha256d => rows_of!(sha256d::fast::Path, 1 << 18, (1e6, "MH/s")),
        Algorithm::Scrypt => rows_of!(scrypt::fast::Path, 1200, (1e3, "kH/s")),
    }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1.0);
    let picked: Option<Algorithm> = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    for &algorithm in Algorithm::ALL.iter().filter(|algorithm| picked.is_none_or(|picked| picked == **algorithm)) {
        let scan = Scan::new(algorithm, &[0x5a; 80], [0; 32]);
        let mut rows = rows(algorithm);
        for _ in 0..RUNS {
            for row in &mut rows {
                row.rates.push(run(row, &scan, Duration::from_secs_f64(seconds)) / row.unit.0);
            }
        }
        for Row { name, rates, unit, .. } in &mut rows {
            let runs: Vec<String> = rates.iter().map(|rate| format!("{rate:.2}")).collect();
            rates.sort_by(f64::total_cmp);
            println!("{name:17} {:6.2} {} median of {}", rates[RUNS / 2], unit.1, runs.join(" "));
        }
    }
}

fn run(row: &Row, scan: &Scan, length: Duration) -> f64 {
    let start = Instant::now();
    let mut hashes = 0;
    for nonces in Nonces::ALL.pieces(row.slice) {
        (row.scan)(scan, nonces);
        hashes += nonces.count();
        if start.elapsed() >= length {
            break;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = hashes as f64 / start.elapsed().as_secs_f64();
    rate
}
