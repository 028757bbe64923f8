//! A blob's digest with the digests of its pieces below it, so that any piece can be checked by itself.
//!
//! BLAKE3 is a binary tree over the bytes. Kept here is its layer of [`PIECE_BYTES`]: 32 bytes for each
//! piece, from which the blob's own digest follows.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use lode_protocol::Digest;

/// Bytes of a piece: what is read, checked and sent at once. A power of two times BLAKE3's chunk, so
/// that each piece is a whole subtree.
pub const PIECE_BYTES: usize = 256 << 10;

/// The pieces of a blob, each by its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    bytes: u64,
    pieces: Vec<ChainingValue>,
}

/// Computes the digest and the tree of bytes that come one after another.
#[derive(Debug)]
pub struct TreeHasher {
    pieces: Vec<ChainingValue>,
    current: Hasher,
    /// Bytes that `current` has taken.
    filled: usize,
}

/// Where piece `index` begins.
fn start_of(index: usize) -> u64 {
    index as u64 * PIECE_BYTES as u64
}

fn hasher_at(start: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start);
    hasher
}

/// Splits nodes as BLAKE3 does: on the left the most that make a whole subtree.
fn halves(nodes: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    nodes.split_at(nodes.len().div_ceil(2).next_power_of_two())
}

fn node(nodes: &[ChainingValue]) -> ChainingValue {
    match nodes {
        [one] => *one,
        _ => {
            let (left, right) = halves(nodes);
            merge_subtrees_non_root(&node(left), &node(right), Mode::Hash)
        }
    }
}

impl Default for TreeHasher {
    fn default() -> TreeHasher {
        TreeHasher { pieces: Vec::new(), current: Hasher::new(), filled: 0 }
    }
}

impl TreeHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // A full piece is closed only when more follows: a blob of one piece has its root there.
            if self.filled == PIECE_BYTES {
                self.close_piece();
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.filled));
            self.current.update(now);
            self.filled += now.len();
            bytes = rest;
        }
    }

    fn close_piece(&mut self) {
        self.pieces.push(self.current.finalize_non_root());
        self.current = hasher_at(start_of(self.pieces.len()));
        self.filled = 0;
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        start_of(self.pieces.len()) + self.filled as u64
    }

    /// The digest of all bytes, and their tree.
    #[must_use]
    pub fn finish(mut self) -> (Digest, Tree) {
        let bytes = self.bytes();
        if self.pieces.is_empty() {
            let root = *self.current.finalize().as_bytes();
            return (Digest(root), Tree { bytes, pieces: vec![root] });
        }
        self.close_piece();
        let (left, right) = halves(&self.pieces);
        let root = merge_subtrees_root(&node(left), &node(right), Mode::Hash);
        (Digest(*root.as_bytes()), Tree { bytes, pieces: self.pieces })
    }
}

impl Tree {
    /// Bytes of the whole blob.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether `piece` is what belongs at byte `start`, where a piece begins.
    #[must_use]
    pub fn holds(&self, start: u64, piece: &[u8]) -> bool {
        let mut hasher = hasher_at(start);
        hasher.update(piece);
        match self.pieces.as_slice() {
            [root] => start == 0 && hasher.finalize().as_bytes() == root,
            pieces => {
                let index = usize::try_from(start / PIECE_BYTES as u64).ok();
                let wanted = index.and_then(|index| pieces.get(index));
                !piece.is_empty() && wanted == Some(&hasher.finalize_non_root())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| u8::try_from(at * at % 251).unwrap()).collect()
    }

    #[test]
    fn the_root_is_the_digest_that_everyone_computes_and_each_piece_is_checked() {
        const P: usize = PIECE_BYTES;
        for count in [0, 1, 1023, 1024, 1025, P - 1, P, P + 1, 2 * P, 2 * P + 7, 3 * P, 5 * P - 1, 7 * P + 3, 9 * P] {
            let whole = bytes(count);
            // In parts that fit nothing, and in one.
            for step in [100_003, count.max(1)] {
                let mut hasher = TreeHasher::default();
                whole.chunks(step).for_each(|part| hasher.update(part));
                assert_eq!(hasher.bytes(), count as u64);
                let (digest, tree) = hasher.finish();
                assert_eq!(digest.0, *blake3::hash(&whole).as_bytes(), "{count} bytes");
                for (index, piece) in whole.chunks(P).enumerate() {
                    assert!(tree.holds(start_of(index), piece), "piece {index} of {count} bytes");
                    assert!(!tree.holds(start_of(index + 1), piece), "a piece counts in its place only");
                    let mut wrong = piece.to_vec();
                    *wrong.last_mut().unwrap() ^= 1;
                    assert!(!tree.holds(start_of(index), &wrong) && !tree.holds(start_of(index), &piece[1..]));
                }
            }
        }
    }
}
