//! Which of several ways to launch a kernel is the fastest on a device.

use std::fmt::Display;
use std::time::{Duration, Instant};

use lode_kinds::hash::Nonces;

use crate::search::{Launcher, search};

/// When the measurement of a shape says enough.
pub(crate) struct Run {
    /// Nonces of the first launch.
    pub(crate) first: u64,
    /// Nonces that keep all of the device busy.
    pub(crate) filling: u64,
    /// What a launch that counts takes at least.
    pub(crate) least: Duration,
    /// What ends the measurement, even if not all of the device was busy.
    pub(crate) most: Duration,
}

/// Hashes a second of launches that grow until one is long enough to say something.
///
/// # Errors
/// When the device fails.
pub(crate) fn rate<L: Launcher>(launcher: &mut L, run: &Run) -> Result<f64, L::Error> {
    let mut count = run.first;
    loop {
        let nonces = Nonces::new(0, count).expect("a launch is shorter than all nonces");
        let begin = Instant::now();
        search(launcher, nonces, &mut Vec::new())?;
        let elapsed = begin.elapsed();
        let tells = elapsed >= run.least && count >= run.filling;
        if tells || elapsed >= run.most || count >= launcher.launch_max() {
            #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
            return Ok(count as f64 / elapsed.as_secs_f64().max(1e-9));
        }
        count = (count * 4).min(launcher.launch_max());
    }
}

/// Measures each of `shapes` in turn and gives the fastest. A shape that the device refuses is left out.
///
/// # Errors
/// The last refusal, when the device refuses every shape.
pub(crate) fn fastest<S: Copy + Display, E: Display>(
    device: &str,
    shapes: &[S],
    mut hashes_a_second: impl FnMut(S) -> Result<f64, E>,
) -> Result<S, E> {
    let mut best: Option<(S, f64)> = None;
    let mut refusal = None;
    for &shape in shapes {
        match hashes_a_second(shape) {
            Ok(rate) => {
                tracing::debug!("{device}: {shape}: {rate:.0} H/s");
                if best.is_none_or(|(_, record)| rate > record) {
                    best = Some((shape, rate));
                }
            }
            Err(error) => {
                tracing::debug!("{device}: {shape}: {error}");
                refusal = Some(error);
            }
        }
    }
    match (best, refusal) {
        (Some((shape, rate)), _) => {
            tracing::info!("{device}: tuned to {shape} ({:.2} MH/s)", rate / 1e6);
            Ok(shape)
        }
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("there is always a shape to try"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_that_works_wins() {
        let rate = |shape: u32| if shape > 4 { Err("too large") } else { Ok(f64::from(shape * (5 - shape))) };
        assert_eq!(fastest("x", &[1, 2, 4, 8, 3], rate), Ok(2));
        assert_eq!(fastest("x", &[8, 9], rate), Err("too large"));
    }
}
