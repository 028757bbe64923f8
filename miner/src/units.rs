//! Numbers as people read them.

use std::time::Duration;

use lode_protocol::{Algorithm, Difficulty};

/// A rate in hashes a second: `27.45 MH/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    rate_of(per_second, "H/s")
}

/// A rate in any unit: `1.95 Mpaths/s`.
#[must_use]
pub fn rate_of(per_second: f64, unit: &str) -> String {
    let steps = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let (size, prefix) = steps.into_iter().find(|(size, _)| per_second >= *size).unwrap_or((1.0, ""));
    format!("{:.2} {prefix}{unit}", per_second / size)
}

/// A difficulty as miners of `algorithm` write it, to six digits: `0.02`, `1.5e-6`, `65536`.
#[must_use]
pub fn difficulty(difficulty: Difficulty, algorithm: Algorithm) -> String {
    let value = difficulty.to_f64(algorithm);
    if value >= 1e-3 {
        // As many decimals as six digits leave room for, and no zeros at the end.
        let decimals = [1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2].iter().filter(|&&size| value < size).count();
        let text = format!("{value:.decimals$}");
        if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A length of time: `2d 03:04:05`.
#[must_use]
pub fn time(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days == 0 { clock } else { format!("{days}d {clock}") }
}

/// Bytes of memory: `15.6 GiB`.
#[must_use]
pub fn memory(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes >= 1024.0 { format!("{:.1} GiB", mebibytes / 1024.0) } else { format!("{mebibytes:.0} MiB") }
}

/// A text cut to `most` characters, the last of them `…` where something was cut.
#[must_use]
pub fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            [rate(0.0), rate(999.0), rate(27.45e6), rate(1e9)],
            ["0.00 H/s", "999.00 H/s", "27.45 MH/s", "1.00 GH/s"]
        );
        for (written, shown) in [
            ("0.02", "0.02"),
            ("0.0015", "0.0015"),
            ("1", "1"),
            ("1500.5", "1500.5"),
            ("65536", "65536"),
            ("123456789", "123456789"),
            ("0.0000015", "1.5e-6"),
            ("1e-9", "9.313e-10"),
            ("2.5e-10", "2.328e-10"),
        ] {
            let read = Difficulty::parse(written, Algorithm::Sha256d).unwrap();
            assert_eq!(difficulty(read, Algorithm::Sha256d), shown, "{written}");
        }
        assert_eq!(time(Duration::from_secs(3 * 3600 + 245)), "03:04:05");
        assert_eq!(time(Duration::from_secs(2 * 86_400 + 1)), "2d 00:00:01");
        assert_eq!([memory(512 << 20), memory(80 << 30)], ["512 MiB", "80.0 GiB"]);
        assert_eq!([short("abc", 3), short("abcd", 3)], ["abc", "ab…"]);
    }
}
