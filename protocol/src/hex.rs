//! Hexadecimal text to bytes and back, strictly: even length, exact size where one is wanted.

use std::fmt::Write as _;

/// Why a text is not the hex that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Two digits make a byte.
    #[error("odd number of hex digits ({0})")]
    OddLength(usize),
    /// A character that is not 0-9, a-f or A-F.
    #[error("not a hex digit at position {0}")]
    NotHex(usize),
    /// A field of fixed size.
    #[error("{found} hex digits where {wanted} are wanted")]
    WrongLength {
        /// Digits that were found.
        found: usize,
        /// Digits that the field takes.
        wanted: usize,
    },
    /// A field with an upper bound.
    #[error("{found} hex digits where at most {most} are taken")]
    TooLong {
        /// Digits that were found.
        found: usize,
        /// The bound.
        most: usize,
    },
}

fn digit(byte: u8, at: usize) -> Result<u8, HexError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(HexError::NotHex(at)),
    }
}

fn fill(text: &[u8], out: &mut [u8]) -> Result<(), HexError> {
    for (i, (pair, byte)) in text.chunks_exact(2).zip(out).enumerate() {
        *byte = digit(pair[0], 2 * i)? << 4 | digit(pair[1], 2 * i + 1)?;
    }
    Ok(())
}

/// Decodes exactly `N` bytes, in the order written.
///
/// # Errors
/// The text is not exactly `2 * N` hex digits.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    if text.len() != 2 * N {
        return Err(HexError::WrongLength { found: text.len(), wanted: 2 * N });
    }
    let mut out = [0; N];
    fill(text.as_bytes(), &mut out)?;
    Ok(out)
}

/// Decodes at most `most` bytes, in the order written.
///
/// # Errors
/// Odd length, a character that is not hex, or more than `2 * most` digits.
pub fn decode(text: &str, most: usize) -> Result<Vec<u8>, HexError> {
    if text.len() > 2 * most {
        return Err(HexError::TooLong { found: text.len(), most: 2 * most });
    }
    if !text.len().is_multiple_of(2) {
        return Err(HexError::OddLength(text.len()));
    }
    let mut out = vec![0; text.len() / 2];
    fill(text.as_bytes(), &mut out)?;
    Ok(out)
}

/// Decodes a 32-bit number written as exactly eight hex digits, most significant first.
///
/// # Errors
/// The text is not eight hex digits.
pub fn decode_u32_be(text: &str) -> Result<u32, HexError> {
    decode_array(text).map(u32::from_be_bytes)
}

/// Lower-case hex of `bytes`, in their order.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_both_cases_and_returns_lower() {
        assert_eq!(encode(&decode("00fFA9", 3).unwrap()), "00ffa9");
        assert_eq!(decode_u32_be("0000Abcd").unwrap(), 0xabcd);
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(decode("abc", 4), Err(HexError::OddLength(3)));
        assert_eq!(decode("abxz", 4), Err(HexError::NotHex(2)));
        assert_eq!(decode("0011", 1), Err(HexError::TooLong { found: 4, most: 2 }));
        assert_eq!(decode_u32_be("00"), Err(HexError::WrongLength { found: 2, wanted: 8 }));
        assert_eq!(decode_u32_be("+0000001"), Err(HexError::NotHex(0)));
        assert!(decode_array::<2>("éé").is_err());
    }
}
