//! The bytes of ledger entries: variable-length integers, counted texts, fixed arrays.
//!
//! One value has one encoding: a longer one than needed, a text that is not UTF-8 or a byte left
//! over is an error, so equal entries have equal bytes and a hash of them means something.

/// Why bytes are not what was to be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("entry ends within {0}")]
    Short(&'static str),
    /// An integer that is too large for its field, or not in its shortest form.
    #[error("{0} is not a shortest-form integer of its size")]
    Integer(&'static str),
    /// A text or list over its bound, or not UTF-8.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// Bytes after the last field.
    #[error("{0} bytes left over")]
    LeftOver(usize),
    /// An entry of another version.
    #[error("entry version {0}, this program reads version {1}")]
    Version(u8, u8),
    /// An entry of a kind that this version does not have.
    #[error("entry kind {0} is unknown")]
    Kind(u8),
}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// LEB128: seven bits a byte, least significant first.
    pub(super) fn integer(&mut self, value: impl Into<u128>) {
        let mut value: u128 = value.into();
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                return self.byte(low);
            }
            self.byte(low | 0x80);
        }
    }

    pub(super) fn array<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

/// Takes fields off a slice.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self, name: &'static str) -> Result<u8, CodecError> {
        let (&first, rest) = self.0.split_first().ok_or(CodecError::Short(name))?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn u128(&mut self, name: &'static str) -> Result<u128, CodecError> {
        let mut value = 0u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte(name)?;
            let low = u128::from(byte & 0x7f);
            // The last byte carries what is left of 128 bits, and is zero only if it is the first.
            if shift > 126 || (shift == 126 && low > 3) || (byte == 0 && shift > 0) {
                return Err(CodecError::Integer(name));
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    pub(super) fn integer<T: TryFrom<u128>>(&mut self, name: &'static str) -> Result<T, CodecError> {
        T::try_from(self.u128(name)?).map_err(|_| CodecError::Integer(name))
    }

    pub(super) fn array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], CodecError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(CodecError::Short(name))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn bytes(&mut self, name: &'static str, most: usize) -> Result<&'a [u8], CodecError> {
        let length: usize = self.integer(name)?;
        if length > most {
            return Err(CodecError::Malformed(name));
        }
        let (first, rest) = self.0.split_at_checked(length).ok_or(CodecError::Short(name))?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn text(&mut self, name: &'static str, most: usize) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes(name, most)?).map_err(|_| CodecError::Malformed(name))
    }

    /// A text of a type that reads itself.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<T, CodecError> {
        self.text(name, 256)?.parse().map_err(|_| CodecError::Malformed(name))
    }

    pub(super) fn finish(self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::LeftOver(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(value in any::<u128>(), small in any::<u16>()) {
            for value in [value, u128::from(small), value >> 64, u128::MAX] {
                let mut writer = Writer::default();
                writer.integer(value);
                let mut reader = Reader(&writer.0);
                prop_assert_eq!(reader.u128("value").unwrap(), value);
                reader.finish().unwrap();
            }
        }

        #[test]
        fn what_reads_writes_the_same(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut reader = Reader(&bytes);
            if let Ok(value) = reader.u128("value") {
                let mut writer = Writer::default();
                writer.integer(value);
                prop_assert_eq!(&writer.0[..], &bytes[..bytes.len() - reader.0.len()]);
            }
        }
    }
}
