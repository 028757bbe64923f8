//! Reading a blob piece by piece; a piece that is damaged is never given out.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use lode_protocol::Digest;

use super::store::Blobs;
use super::tree::{PIECE_BYTES, Tree};
use super::{BlobError, io_error};

/// A range of a blob being read.
#[derive(Debug)]
pub struct Reading {
    blobs: Blobs,
    digest: Digest,
    file: File,
    tree: Arc<Tree>,
    left: Range<u64>,
}

impl Reading {
    pub(super) fn new(blobs: Blobs, digest: Digest, file: File, tree: Arc<Tree>, left: Range<u64>) -> Reading {
        Reading { blobs, digest, file, tree, left }
    }

    /// The next bytes, at most [`PIECE_BYTES`]; nothing at the end.
    ///
    /// # Errors
    /// The file is damaged, or the disk fails.
    pub fn next_bytes(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let (size, at) = (PIECE_BYTES as u64, self.left.start);
        let start = at - at % size;
        let end = (start + size).min(self.tree.bytes());
        let small = |bytes: u64| usize::try_from(bytes).expect("at most a piece");
        let mut piece = vec![0; small(end - start)];
        match self.file.read_exact_at(&mut piece, start) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(self.blobs.damaged(&self.digest)),
            read => read.map_err(io_error(self.blobs.path(&self.digest)))?,
        }
        if !self.tree.holds(start, &piece) {
            return Err(self.blobs.damaged(&self.digest));
        }
        let stop = end.min(self.left.end);
        self.left.start = stop;
        Ok(Some(Bytes::from(piece).slice(small(at - start)..small(stop - start))))
    }
}
