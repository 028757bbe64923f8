//! What is kept, whose it is, and how much room is left: pure, in memory, rebuilt from the disk at start.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lode_protocol::Digest;
use lode_protocol::ids::SponsorName;

use super::tree::Tree;
use super::{BlobError, Limits};
use crate::ledger::entry::Millis;

/// What the smallest blob counts for: its names on disk and in memory take room too, and so their
/// number is bounded with their bytes.
pub(super) const CHARGE_MIN: u64 = 16 << 10;
/// How long what arrived of an interrupted upload waits for the rest.
pub(super) const PART_KEPT_MS: Millis = 60 * 60 * 1000;

/// A tree that is computed by whoever needs it first; others wait for it.
pub(super) type TreeCell = Arc<Mutex<Option<Arc<Tree>>>>;

#[derive(Debug)]
struct Entry {
    bytes: u64,
    tree: TreeCell,
    damaged: bool,
}

/// What a sponsor holds.
#[derive(Debug, Default)]
struct Holdings {
    blobs: HashSet<Digest>,
    /// What these and its uploads count for.
    charged: u64,
    /// Uploads under way.
    uploads: usize,
}

/// What arrived of an upload that broke off.
#[derive(Debug)]
pub(super) struct Part {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How much arrived.
    pub(super) bytes: u64,
    /// What it counts for.
    pub(super) charged: u64,
    /// Since when it waits.
    pub(super) since: Millis,
}

#[derive(Debug)]
enum PartState {
    UnderWay,
    Waiting(Part),
}

/// A part's name.
pub(super) type PartKey = (SponsorName, Digest);

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    blobs: HashMap<Digest, Entry>,
    sponsors: HashMap<SponsorName, Holdings>,
    parts: HashMap<PartKey, PartState>,
    /// What blobs (each once) and uploads count for.
    charged: u64,
    uploads: usize,
}

/// What a blob of `bytes` counts for.
pub(super) fn charge(bytes: u64) -> u64 {
    bytes.max(CHARGE_MIN)
}

impl Index {
    /// Notes a blob that is on the disk.
    pub(super) fn found(&mut self, digest: Digest, bytes: u64) {
        self.put(digest, bytes, TreeCell::default());
    }

    /// Notes whose it is too; false if there is no such blob.
    pub(super) fn found_owner(&mut self, sponsor: &SponsorName, digest: Digest) -> bool {
        let Some(entry) = self.blobs.get(&digest) else { return false };
        let holdings = self.sponsors.entry(sponsor.clone()).or_default();
        if holdings.blobs.insert(digest) {
            holdings.charged += charge(entry.bytes);
        }
        true
    }

    fn put(&mut self, digest: Digest, bytes: u64, tree: TreeCell) {
        let new = self.blobs.insert(digest, Entry { bytes, tree, damaged: false });
        self.charged += charge(bytes);
        self.charged -= new.map_or(0, |old| charge(old.bytes));
    }

    /// Whether it is this sponsor's.
    pub(super) fn owns(&self, sponsor: &SponsorName, digest: &Digest) -> bool {
        self.sponsors.get(sponsor).is_some_and(|holdings| holdings.blobs.contains(digest))
    }

    /// Size and tree of a blob.
    pub(super) fn find(&self, digest: &Digest) -> Result<(u64, TreeCell), BlobError> {
        match self.blobs.get(digest) {
            None => Err(BlobError::Unknown(*digest)),
            Some(entry) if entry.damaged => Err(BlobError::Damaged(*digest)),
            Some(entry) => Ok((entry.bytes, entry.tree.clone())),
        }
    }

    /// Notes that the file is not what it should be, until it is uploaded again.
    pub(super) fn damaged(&mut self, digest: &Digest) {
        if let Some(entry) = self.blobs.get_mut(digest) {
            entry.damaged = true;
        }
    }

    /// Blobs and what they and uploads count for.
    pub(super) fn totals(&self) -> (usize, u64) {
        (self.blobs.len(), self.charged)
    }

    /// Counts one more upload.
    pub(super) fn enter(&mut self, sponsor: &SponsorName, limits: &Limits) -> Result<(), BlobError> {
        let holdings = self.sponsors.entry(sponsor.clone()).or_default();
        if holdings.uploads >= limits.uploads_per_sponsor {
            return Err(BlobError::Busy(format!("{} uploads of yours are under way, the most", holdings.uploads)));
        }
        if self.uploads >= limits.uploads {
            return Err(BlobError::Busy(format!("{} uploads are under way, the most", self.uploads)));
        }
        holdings.uploads += 1;
        self.uploads += 1;
        Ok(())
    }

    /// Counts one upload less.
    pub(super) fn leave(&mut self, sponsor: &SponsorName) {
        self.uploads -= 1;
        self.holdings(sponsor).uploads -= 1;
    }

    fn holdings(&mut self, sponsor: &SponsorName) -> &mut Holdings {
        self.sponsors.entry(sponsor.clone()).or_default()
    }

    /// Takes room for `more` of an upload.
    pub(super) fn reserve(&mut self, sponsor: &SponsorName, more: u64, limits: &Limits) -> Result<(), BlobError> {
        let (held, total) = (self.holdings(sponsor).charged, self.charged);
        let fits = |held: u64, most: u64| held.checked_add(more).is_some_and(|sum| sum <= most);
        if !fits(held, limits.sponsor_bytes) {
            let most = limits.sponsor_bytes;
            let text = format!("a sponsor's blobs and uploads have at most {most} bytes; yours have {held}");
            return Err(BlobError::Full(text));
        }
        if !fits(total, limits.total_bytes) {
            let most = limits.total_bytes;
            return Err(BlobError::Full(format!(
                "all blobs and uploads of this pool have at most {most} bytes; they have {total}"
            )));
        }
        self.holdings(sponsor).charged += more;
        self.charged += more;
        Ok(())
    }

    /// Gives room back.
    pub(super) fn release(&mut self, sponsor: &SponsorName, bytes: u64) {
        self.holdings(sponsor).charged -= bytes;
        self.charged -= bytes;
    }

    /// Turns an upload's room into a blob; whether it is new to this sponsor.
    pub(super) fn settle(&mut self, sponsor: &SponsorName, digest: Digest, tree: Tree, reserved: u64) -> bool {
        let bytes = tree.bytes();
        self.release(sponsor, reserved);
        self.put(digest, bytes, Arc::new(Mutex::new(Some(Arc::new(tree)))));
        let new = !self.owns(sponsor, &digest);
        self.found_owner(sponsor, digest);
        new
    }

    /// Begins a part, or goes on with what waits of it, which is given.
    pub(super) fn take_part(&mut self, key: &PartKey, offset: u64) -> Result<Option<Part>, BlobError> {
        if matches!(self.parts.get(key), Some(PartState::UnderWay)) {
            return Err(BlobError::UnderWay(key.1));
        }
        let arrived = self.arrived(key);
        if offset > arrived {
            return Err(BlobError::Offset { offset, arrived });
        }
        match self.parts.insert(key.clone(), PartState::UnderWay) {
            Some(PartState::Waiting(part)) => Ok(Some(part)),
            _ => Ok(None),
        }
    }

    /// Keeps what arrived of a part for later.
    pub(super) fn keep_part(&mut self, key: PartKey, part: Part) {
        self.parts.insert(key, PartState::Waiting(part));
    }

    /// Forgets a part; its room is given back by whoever held it.
    pub(super) fn drop_part(&mut self, key: &PartKey) {
        self.parts.remove(key);
    }

    /// Bytes that wait for the rest.
    pub(super) fn arrived(&self, key: &PartKey) -> u64 {
        match self.parts.get(key) {
            Some(PartState::Waiting(part)) => part.bytes,
            _ => 0,
        }
    }

    /// Takes out the parts that waited too long and gives their room back; gives the files to remove.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<PathBuf> {
        let late = |state: &PartState| match state {
            PartState::Waiting(part) => now.saturating_sub(part.since) >= PART_KEPT_MS,
            PartState::UnderWay => false,
        };
        let expired: Vec<(PartKey, PartState)> = self.parts.extract_if(|_, state| late(state)).collect();
        let mut paths = Vec::new();
        for (key, state) in expired {
            if let PartState::Waiting(part) = state {
                self.release(&key.0, part.charged);
                paths.push(part.path);
            }
        }
        paths
    }
}
