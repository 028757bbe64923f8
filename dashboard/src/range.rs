//! `Range` and its companions (RFC 9110, sections 13 and 14) for content that never changes under its name.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

/// What of the content is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing: the client has it already.
    Known,
    /// Bytes that are not there.
    Outside,
}

/// What a request wants of `bytes` of the tag `etag`. A range that does not read, or several at once,
/// count as none, as the RFC allows.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, bytes: u64) -> Wanted {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let known =
        |list: &str| list.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag);
    if text(header::IF_NONE_MATCH).is_some_and(known) {
        return Wanted::Known;
    }
    // A range is of the very content that the client has a part of.
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag) {
        return Wanted::Whole;
    }
    text(header::RANGE).and_then(|range| part(range, bytes)).unwrap_or(Wanted::Whole)
}

fn part(text: &str, bytes: u64) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    let range = match (first, last) {
        ("", last) => bytes.saturating_sub(number(last)?)..bytes,
        (first, "") => number(first)?..bytes,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(bytes)
        }
    };
    Some(if range.is_empty() { Wanted::Outside } else { Wanted::Part(range) })
}

/// Decimal digits; more than a number can have count as the most.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(pairs: &[(HeaderName, &str)], bytes: u64) -> Wanted {
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("is a header value")));
        wanted(&pairs.collect(), "\"e\"", bytes)
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=3-", Wanted::Part(3..10)),
            ("Bytes= 3-5", Wanted::Part(3..6)),
            ("bytes=3-99999999999999999999999", Wanted::Part(3..10)),
            ("bytes=-4", Wanted::Part(6..10)),
            ("bytes=-40", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=99999999999999999999-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=5-3", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("rows=1-2", Wanted::Whole),
        ] {
            assert_eq!(want(&[(header::RANGE, text)], 10), expected, "{text}");
        }
        assert_eq!(want(&[(header::RANGE, "bytes=0-")], 0), Wanted::Outside);
        assert_eq!(want(&[(header::RANGE, "bytes=-5")], 0), Wanted::Outside);
        assert_eq!(want(&[], 10), Wanted::Whole);
    }

    #[test]
    fn conditions() {
        let range = (header::RANGE, "bytes=1-2");
        assert_eq!(want(&[range.clone(), (header::IF_RANGE, "\"e\"")], 10), Wanted::Part(1..3));
        assert_eq!(want(&[range.clone(), (header::IF_RANGE, "\"f\"")], 10), Wanted::Whole);
        assert_eq!(want(&[range.clone(), (header::IF_RANGE, "W/\"e\"")], 10), Wanted::Whole);
        for known in ["\"e\"", "\"f\", \"e\"", "W/\"e\"", "*"] {
            assert_eq!(want(&[range.clone(), (header::IF_NONE_MATCH, known)], 10), Wanted::Known, "{known}");
        }
        assert_eq!(want(&[(header::IF_NONE_MATCH, "\"f\"")], 10), Wanted::Whole);
    }
}
