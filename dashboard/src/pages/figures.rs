//! Figures for people: short on the page, exact in the title. Pure.

use lode_protocol::api::Amount;
use lode_protocol::difficulty::Work;
use maud::{Markup, html};

/// Prefixes in steps of a thousand, as far as work goes.
const PREFIXES: [&str; 10] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y", "R"];

/// An integer with its digits in groups of three.
pub(crate) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a prefix, e.g. `41.9` and `T`.
pub(crate) fn scaled(number: f64) -> (String, &'static str) {
    let (mut mantissa, mut step) = (number, 0);
    while mantissa >= 999.5 && step + 1 < PREFIXES.len() {
        (mantissa, step) = (mantissa / 1000.0, step + 1);
    }
    let decimals = match mantissa {
        _ if step == 0 && mantissa.fract() == 0.0 => 0,
        m if m < 9.995 => 2,
        m if m < 99.95 => 1,
        _ => 0,
    };
    (format!("{mantissa:.decimals$}"), PREFIXES[step])
}

/// The work of `seconds` as a hash rate.
pub(crate) fn rate(work: Work, seconds: u32) -> Markup {
    let (number, prefix) = scaled(work.0 as f64 / f64::from(seconds));
    let exact = format!("{} H/s", grouped(work.0 / u128::from(seconds.max(1))));
    html! { span.figure title=(exact) { (number) " " span.unit { (prefix) "H/s" } } }
}

/// An amount of work.
pub(crate) fn work(work: Work) -> Markup {
    let (number, prefix) = scaled(work.0 as f64);
    html! { span.figure title={ (grouped(work.0)) " hashes" } { (number) " " span.unit { (prefix) "H" } } }
}

/// An exact amount and its asset.
pub(crate) fn amount(amount: Amount, asset: &impl std::fmt::Display) -> Markup {
    html! { span.figure { (grouped(amount.0)) " " span.unit { (asset) } } }
}

/// A count.
pub(crate) fn count(number: u64) -> Markup {
    html! { span.figure { (grouped(u128::from(number))) } }
}

/// A share difficulty with at most four decimals, or one where it is large.
pub(crate) fn difficulty(value: f64) -> String {
    let text = if value < 1000.0 { format!("{value:.4}") } else { format!("{value:.1}") };
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{whole}.{decimals}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Millionths that `part` is of `whole`, at most one million.
pub(crate) fn ppm(part: u128, whole: u128) -> u32 {
    let ppm = part.min(whole).saturating_mul(1_000_000).checked_div(whole).unwrap_or(0);
    u32::try_from(ppm).unwrap_or(1_000_000)
}

/// Millionths as per cent.
pub(crate) fn percent(ppm: u32) -> String {
    format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100)
}

/// Basis points as per cent.
pub(crate) fn basis_points(bps: u16) -> String {
    let text = format!("{}.{:02}", bps / 100, bps % 100);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A time as it was recorded; the script of the page makes those marked `ago` relative.
pub(crate) fn time(rfc3339: &str, ago: bool) -> Markup {
    let short = rfc3339.get(..16).filter(|_| rfc3339.is_ascii()).map(|text| text.replace('T', " "));
    let text = short.unwrap_or_else(|| rfc3339.to_owned());
    html! { time datetime=(rfc3339) data-ago[ago] title={ (text) " UTC" } { (text) } }
}

/// Both ends of a digest; all of it in the title.
pub(crate) fn digest(text: &str) -> Markup {
    let ends = text.get(..10).zip(text.len().checked_sub(6).and_then(|end| text.get(end..)));
    match ends.filter(|_| text.len() > 24) {
        Some((head, tail)) => html! { code.digest title=(text) { (head) "…" (tail) } },
        None => html! { code.digest { (text) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u128::MAX).len(), 39 + 12);
    }

    #[test]
    fn rates_have_three_digits_and_a_prefix() {
        for (number, text) in [
            (0.0, "0 "),
            (0.5, "0.50 "),
            (12.0, "12 "),
            (999.0, "999 "),
            (999.6, "1.00 k"),
            (41.87e12, "41.9 T"),
            (123_456.0, "123 k"),
            (9_999_000.0, "10.0 M"),
            (5e33, "5000000 R"),
        ] {
            let (digits, prefix) = scaled(number);
            assert_eq!(format!("{digits} {prefix}"), text, "{number}");
        }
        assert!(rate(Work(61_500), 60).into_string().contains("title=\"1,025 H/s\""));
    }

    #[test]
    fn difficulties_lose_nothing_that_matters() {
        for (value, text) in [(1.0, "1"), (0.0625, "0.0625"), (4096.0, "4,096"), (2730.5, "2,730.5"), (1.5, "1.5")] {
            assert_eq!(difficulty(value), text);
        }
        assert_eq!(difficulty(1.8e19), "18,000,000,000,000,000,000");
        assert_eq!(difficulty(1e300).len(), 301, "far out of bounds, and still a text");
    }

    #[test]
    fn parts_of_a_whole() {
        assert_eq!((ppm(1, 3), ppm(5, 5), ppm(9, 5), ppm(1, 0)), (333_333, 1_000_000, 1_000_000, 0));
        assert_eq!(ppm(1 << 95, 1 << 96), 500_000);
        assert_eq!(
            (percent(81_250), percent(1_000_000), percent(99)),
            ("8.12 %".into(), "100.00 %".into(), "0.00 %".into())
        );
        assert_eq!(
            (basis_points(100), basis_points(25), basis_points(0)),
            ("1 %".into(), "0.25 %".into(), "0 %".into())
        );
    }

    #[test]
    fn times_and_digests_are_shortened_safely() {
        assert!(time("2026-03-05T09:59:48Z", true).into_string().contains(">2026-03-05 09:59<"));
        assert_eq!(time("soon <é>", false).into_string().matches("soon &lt;é&gt;").count(), 3);
        assert!(digest(&"ab".repeat(32)).into_string().contains("ababababab…ababab"));
        assert!(digest("short").into_string().contains(">short<"));
        assert!(digest(&"é".repeat(40)).into_string().contains('é'));
    }
}
