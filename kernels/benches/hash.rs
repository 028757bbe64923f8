//! Hash rate of every device on this machine: `cargo bench -p lode-kernels`; `-- SECONDS` sets a run's length.

use std::time::{Duration, Instant};

use lode_kernels::OpenOptions;
use lode_kernels::discover::{Survey, survey};
use lode_kernels::measure::rate;
use lode_kinds::hash::Algorithm;

const RUNS: usize = 5;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(2.0);
    let Survey { found, absent } = survey();
    for absent in absent {
        println!("{:10} {}", absent.backend, absent.reason);
    }
    for candidate in found {
        let begin = Instant::now();
        let mut device = match candidate.open(&OpenOptions::default()) {
            Ok(device) => device,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        let opened = begin.elapsed();
        let run = |_| {
            rate(device.as_mut(), Algorithm::Sha256d, Duration::from_secs_f64(seconds))
                .expect("the device works")
                .per_second()
        };
        let mut rates: Vec<f64> = (0..RUNS).map(run).collect();
        let runs: Vec<String> = rates.iter().map(|rate| format!("{:.2}", rate / 1e6)).collect();
        rates.sort_by(f64::total_cmp);
        let (id, median) = (device.info().id(), rates[RUNS / 2] / 1e6);
        println!("{id:10} {median:9.2} MH/s median of {} (opened in {opened:.2?})", runs.join(" "));
    }
}
