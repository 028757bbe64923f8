//! Bounded lines: the framing of stratum V1.
//!
//! A line ends with `\n` (a `\r` before it is dropped). A line over the bound is an error once, and
//! the codec then stays failed, since what follows cannot be told apart from the rest of that line.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Most bytes of a line, its end not counted.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Why no more lines come from a peer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The peer sent more than the bound without an end of line.
    #[error("line over {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Splits a byte stream into lines of at most [`LINE_BYTES_MAX`] bytes; encodes by appending `\n`.
#[derive(Debug, Default)]
pub struct LineCodec {
    /// Bytes already searched for an end of line.
    searched: usize,
    failed: bool,
}

impl Decoder for LineCodec {
    type Item = Bytes;
    type Error = LineError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, LineError> {
        if self.failed {
            buffer.clear();
            return Ok(None);
        }
        let end = buffer[self.searched..].iter().position(|&byte| byte == b'\n').map(|at| at + self.searched);
        let length = end.unwrap_or(buffer.len());
        if length > LINE_BYTES_MAX {
            self.failed = true;
            return Err(LineError::TooLong);
        }
        let Some(end) = end else {
            self.searched = buffer.len();
            return Ok(None);
        };
        self.searched = 0;
        let mut line = buffer.split_to(end);
        buffer.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        }
        Ok(Some(line.freeze()))
    }

    /// A last line without its end is dropped: it may be half of one.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, LineError> {
        let line = self.decode(buffer)?;
        if line.is_none() {
            buffer.clear();
        }
        Ok(line)
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for LineCodec {
    type Error = LineError;

    fn encode(&mut self, line: T, buffer: &mut BytesMut) -> Result<(), LineError> {
        buffer.extend_from_slice(line.as_ref());
        buffer.extend_from_slice(b"\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(codec: &mut LineCodec, buffer: &mut BytesMut) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| codec.decode(buffer).unwrap()).map(|line| line.to_vec()).collect()
    }

    #[test]
    fn the_bound_is_exact_and_final() {
        let mut buffer = BytesMut::from(&vec![b'x'; LINE_BYTES_MAX][..]);
        let mut codec = LineCodec::default();
        assert!(codec.decode(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(b"\n");
        assert_eq!(codec.decode(&mut buffer).unwrap().unwrap().len(), LINE_BYTES_MAX);

        buffer.extend_from_slice(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert!(matches!(codec.decode(&mut buffer), Err(LineError::TooLong)));
        buffer.extend_from_slice(b"\nafter\n");
        assert!(codec.decode(&mut buffer).unwrap().is_none());
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_line_cut_off_by_the_end_is_dropped() {
        let mut codec = LineCodec::default();
        let mut buffer = BytesMut::from(&b"whole\r\nhalf"[..]);
        assert_eq!(codec.decode_eof(&mut buffer).unwrap().unwrap(), "whole");
        assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn packets_do_not_matter(lines in prop::collection::vec("[a-z]{0,40}", 0..20), cut in 1usize..30) {
            let mut sent = BytesMut::new();
            for line in &lines {
                LineCodec::default().encode(line, &mut sent).unwrap();
            }
            let (mut codec, mut buffer, mut got) = (LineCodec::default(), BytesMut::new(), Vec::new());
            for packet in sent.chunks(cut) {
                buffer.extend_from_slice(packet);
                got.extend(drain(&mut codec, &mut buffer));
            }
            let want: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(got, want);
        }
    }
}
