//! Charts as SVG, drawn on the server. Pure; text stays outside, so that a chart may be stretched to its place.

use lode_protocol::api::WorkWindows;
use lode_protocol::difficulty::Work;
use maud::{Markup, html};

use crate::pages::figures;

/// Width of a bar's place and of the bar in it.
const SLOT: f64 = 10.0;
const BAR: f64 = 7.0;
/// Height of the tallest bar.
const HEIGHT: f64 = 100.0;
/// Least height of a bar that is not nothing, and of the mark of one that is.
const LEAST: f64 = 2.0;

/// The span that is now.
const LATEST: &str = "last minute";

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// How tall, against the others.
    pub(crate) value: f64,
    /// What it says when pointed at.
    pub(crate) title: String,
    /// Whether it is drawn lighter, as what is past or not settled.
    pub(crate) faint: bool,
}

/// Bars side by side, the tallest as high as the chart.
pub(crate) fn bars(bars: &[Bar], label: &str) -> Markup {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let width = SLOT * f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX));
    html! {
        svg.bars viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (bar, left) in bars.iter().zip((0_u32..).map(|index| SLOT * f64::from(index))) {
                (draw(bar, left + (SLOT - BAR) / 2.0, most))
            }
        }
    }
}

fn draw(bar: &Bar, left: f64, most: f64) -> Markup {
    let nothing = bar.value <= 0.0 || most <= 0.0;
    let height = if nothing { LEAST / 2.0 } else { (bar.value / most * HEIGHT).max(LEAST) };
    let class = match bar.faint {
        _ if nothing => "none",
        true => "faint",
        false => "full",
    };
    html! {
        rect class=(class) x=(decimal(left)) y=(decimal(HEIGHT - height)) width=(decimal(BAR)) height=(decimal(height)) {
            title { (bar.title) }
        }
    }
}

/// A bar of parts that make one whole, e.g. what a pot was divided into.
pub(crate) fn split(parts: &[(u128, &'static str)], label: &str) -> Markup {
    let whole = parts.iter().fold(0_u128, |sum, (part, _)| sum.saturating_add(*part));
    let mut left = 0;
    html! {
        svg.split viewBox="0 0 1000000 1" preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (part, class) in parts {
                @let width = figures::ppm(*part, whole);
                rect class=(class) x=(left) y="0" width=(width) height="1" {}
                @let _end = { left += width; left };
            }
        }
    }
}

/// Means of the work rate over spans that do not overlap, oldest first: name, and hashes a second.
pub(crate) fn spans(work: &WorkWindows) -> [(&'static str, f64); 4] {
    let rate = |more: Work, less: Work, seconds: f64| more.0.saturating_sub(less.0) as f64 / seconds;
    [
        ("24 – 1 h ago", rate(work.h24, work.h1, 82_800.0)),
        ("60 – 15 min", rate(work.h1, work.m15, 2_700.0)),
        ("15 – 1 min", rate(work.m15, work.m1, 840.0)),
        (LATEST, rate(work.m1, Work(0), 60.0)),
    ]
}

/// The course of the work rate over a day.
pub(crate) fn course(work: &WorkWindows) -> Markup {
    let spans = spans(work);
    let bar = |(name, value): (&str, f64)| {
        let (number, prefix) = figures::scaled(value);
        Bar { value, title: format!("{name}: {number} {prefix}H/s"), faint: name != LATEST }
    };
    html! {
        figure.course {
            (bars(&spans.map(bar), "Mean hash rate over the last day, oldest first"))
            figcaption { @for (name, _) in spans { span { (name) } } }
        }
    }
}

fn decimal(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64) -> Bar {
        Bar { value, title: format!("<{value}>"), faint: false }
    }

    fn heights(svg: &str) -> Vec<&str> {
        svg.split(" height=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn bars_are_scaled_to_the_tallest() {
        let svg = bars(&[bar(50.0), bar(200.0), bar(0.001), bar(0.0)], "a <label>").into_string();
        assert_eq!(heights(&svg), ["25.00", "100.00", "2.00", "1.00"]);
        assert!(svg.contains("viewBox=\"0 0 40 100\"") && svg.contains("a &lt;label&gt;"), "{svg}");
        assert!(svg.contains("<title>&lt;50&gt;</title>"), "{svg}");
    }

    #[test]
    fn nothing_and_no_bars_are_drawn_without_fault() {
        assert_eq!(heights(&bars(&[bar(0.0)], "").into_string()), ["1.00"]);
        assert!(bars(&[], "").into_string().contains("viewBox=\"0 0 0 100\""));
        assert!(!bars(&[bar(f64::MAX), bar(1.0)], "").into_string().contains("NaN"));
    }

    #[test]
    fn a_split_fills_its_width() {
        let svg = split(&[(99, "paid"), (1, "fee"), (0, "refunded")], "").into_string();
        assert!(svg.contains("class=\"paid\" x=\"0\" y=\"0\" width=\"990000\""), "{svg}");
        assert!(svg.contains("class=\"fee\" x=\"990000\" y=\"0\" width=\"10000\""), "{svg}");
    }

    #[test]
    fn spans_do_not_overlap() {
        let work = WorkWindows { m1: Work(60), m15: Work(900), h1: Work(3600), h24: Work(3600), all: Work(9999) };
        let rates = spans(&work).map(|(_, rate)| rate);
        assert_eq!(rates, [0.0, 1.0, 1.0, 1.0]);
        let late = WorkWindows { m1: Work(120), m15: Work(60), ..WorkWindows::default() };
        assert_eq!(spans(&late).map(|(_, rate)| rate), [0.0, 0.0, 0.0, 2.0]);
    }
}
