//! What is kept, whose it is, and how much room is left: pure, in memory, rebuilt from the disk at start.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lode_protocol::Digest;
use lode_protocol::ids::JobId;

use super::owner::{Owner, Queue, Quota};
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
    /// How many owners it has.
    owners: usize,
}

/// What an owner holds.
#[derive(Debug, Default)]
struct Holdings {
    blobs: HashSet<Digest>,
    /// What these and its uploads count for.
    charged: u64,
    /// Uploads under way.
    uploads: usize,
}

impl Holdings {
    fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.uploads == 0 && self.charged == 0
    }
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
pub(super) type PartKey = (Owner, Digest);

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    blobs: HashMap<Digest, Entry>,
    owners: HashMap<Owner, Holdings>,
    parts: HashMap<PartKey, PartState>,
    /// What blobs (each once) and uploads count for.
    charged: u64,
    /// Uploads of sponsors under way.
    uploads: usize,
    /// Uploads of results under way.
    result_uploads: usize,
    /// What owners are to have in all, once everything that they wait for is here.
    promised: HashMap<Owner, u64>,
    /// Units that name a blob as their result, where a count was begun.
    claims: HashMap<(JobId, Digest), usize>,
    /// Guests that are here, and the number of the next.
    guests: HashSet<u64>,
    /// Sponsors that guests are charged to.
    patrons: HashMap<u64, Owner>,
    next_guest: u64,
}

/// What a blob of `bytes` counts for.
pub(crate) fn charge(bytes: u64) -> u64 {
    bytes.max(CHARGE_MIN)
}

impl Index {
    /// Notes a blob that is on the disk.
    pub(super) fn found(&mut self, digest: Digest, bytes: u64) {
        self.put(digest, bytes, TreeCell::default());
    }

    /// Notes whose it is too; false if there is no such blob.
    pub(super) fn found_owner(&mut self, owner: &Owner, digest: Digest) -> bool {
        let Some(entry) = self.blobs.get_mut(&digest) else { return false };
        let holdings = self.owners.entry(owner.clone()).or_default();
        if holdings.blobs.insert(digest) {
            holdings.charged += charge(entry.bytes);
            entry.owners += 1;
        }
        true
    }

    /// Takes an owner from a blob; whether it was the last, and the blob is forgotten.
    pub(super) fn lose_owner(&mut self, owner: &Owner, digest: &Digest) -> bool {
        let Some(holdings) = self.owners.get_mut(owner) else { return false };
        let (true, Some(entry)) = (holdings.blobs.remove(digest), self.blobs.get_mut(digest)) else { return false };
        holdings.charged -= charge(entry.bytes);
        entry.owners -= 1;
        if let Owner::Job(job) = owner {
            self.claims.remove(&(*job, *digest));
        }
        let (last, bytes) = (entry.owners == 0, entry.bytes);
        self.forget_if_empty(owner);
        if last {
            self.blobs.remove(digest);
            self.charged -= charge(bytes);
        }
        last
    }

    /// Counts a unit whose result a job's blob is; `new` where the job has it for that alone.
    pub(super) fn claim(&mut self, job: JobId, digest: Digest, new: bool) {
        // What it had already, e.g. as an input or from before a restart, is never counted down to nothing.
        *self.claims.entry((job, digest)).or_insert(usize::from(!new)) += 1;
    }

    /// Counts a unit less; whether it was the last, and nothing else needs the blob.
    pub(super) fn unclaim(&mut self, job: JobId, digest: Digest) -> bool {
        let Some(count) = self.claims.get_mut(&(job, digest)) else { return false };
        *count = count.saturating_sub(1);
        *count == 0
    }

    fn forget_if_empty(&mut self, owner: &Owner) {
        if self.owners.get(owner).is_some_and(Holdings::is_empty) {
            self.owners.remove(owner);
        }
    }

    /// Takes out the blobs that are nobody's.
    pub(super) fn take_orphans(&mut self) -> Vec<Digest> {
        let orphans: Vec<_> = self.blobs.extract_if(|_, entry| entry.owners == 0).collect();
        self.charged -= orphans.iter().map(|(_, entry)| charge(entry.bytes)).sum::<u64>();
        orphans.into_iter().map(|(digest, _)| digest).collect()
    }

    /// What an owner has.
    pub(super) fn blobs_of(&self, owner: &Owner) -> Vec<Digest> {
        self.owners.get(owner).map(|holdings| holdings.blobs.iter().copied().collect()).unwrap_or_default()
    }

    /// Everyone who has something.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.keys()
    }

    /// Lets a guest in.
    pub(super) fn new_guest(&mut self) -> u64 {
        let number = self.next_guest;
        self.next_guest += 1;
        self.guests.insert(number);
        number
    }

    /// Charges what a guest has to a sponsor.
    pub(super) fn charge_to(&mut self, number: u64, sponsor: Owner) {
        self.patrons.insert(number, sponsor);
    }

    /// What a sponsor has, and what is made of it.
    fn charged_with_guests(&self, sponsor: &Owner) -> u64 {
        let charged = |owner: &Owner| self.owners.get(owner).map_or(0, |holdings| holdings.charged);
        let guests = self.patrons.iter().filter(|(_, patron)| *patron == sponsor);
        charged(sponsor) + guests.map(|(number, _)| charged(&Owner::Guest(*number))).sum::<u64>()
    }

    /// Whether an owner is one that still may be given something.
    pub(super) fn is_here(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Guest(number) => self.guests.contains(number),
            Owner::Sponsor(_) | Owner::Job(_) => true,
        }
    }

    /// Sees a guest out; gives the files of what arrived of its uploads. Its blobs are still to be released.
    pub(super) fn lose_guest(&mut self, number: u64) -> Vec<PathBuf> {
        self.guests.remove(&number);
        self.promised.remove(&Owner::Guest(number));
        self.patrons.remove(&number);
        let of_guest =
            |key: &PartKey, state: &PartState| key.0 == Owner::Guest(number) && matches!(state, PartState::Waiting(_));
        let left: Vec<_> = self.parts.extract_if(|key, state| of_guest(key, state)).collect();
        self.give_up(left)
    }

    /// Gives the room of parts back; gives their files.
    fn give_up(&mut self, parts: Vec<(PartKey, PartState)>) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for (key, state) in parts {
            if let PartState::Waiting(part) = state {
                self.release(&key.0, part.charged);
                paths.push(part.path);
            }
        }
        paths
    }

    fn put(&mut self, digest: Digest, bytes: u64, tree: TreeCell) {
        let owners = self.blobs.get(&digest).map_or(0, |old| old.owners);
        let new = self.blobs.insert(digest, Entry { bytes, tree, damaged: false, owners });
        self.charged += charge(bytes);
        self.charged -= new.map_or(0, |old| charge(old.bytes));
    }

    /// Whether it is this owner's.
    pub(super) fn owns(&self, owner: &Owner, digest: &Digest) -> bool {
        self.owners.get(owner).is_some_and(|holdings| holdings.blobs.contains(digest))
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

    /// What those that were promised room do not have yet.
    fn owed(&self) -> u64 {
        let owed = |(owner, bytes): (&Owner, &u64)| {
            bytes.saturating_sub(self.owners.get(owner).map_or(0, |holdings| holdings.charged))
        };
        self.promised.iter().map(owed).fold(0, u64::saturating_add)
    }

    /// Room that is neither taken nor promised.
    pub(super) fn free(&self, limits: &Limits) -> u64 {
        limits.total_bytes.saturating_sub(self.charged).saturating_sub(self.owed())
    }

    /// Keeps room for an owner until it has so many bytes in all, whether there is so much or not.
    pub(super) fn promise(&mut self, owner: &Owner, bytes: u64) {
        self.promised.insert(owner.clone(), bytes);
    }

    /// Keeps no room for an owner any more.
    pub(super) fn forget_promise(&mut self, owner: &Owner) {
        self.promised.remove(owner);
    }

    /// Counts one more upload.
    pub(super) fn enter(&mut self, owner: &Owner, quota: &Quota, limits: &Limits) -> Result<(), BlobError> {
        let here = self.owners.get(owner).map_or(0, |holdings| holdings.uploads);
        if here >= quota.uploads {
            return Err(BlobError::Busy(format!("{here} uploads of yours are under way, the most")));
        }
        let (under_way, most) = match quota.queue {
            Queue::Sponsors => (&mut self.uploads, limits.uploads),
            Queue::Results => (&mut self.result_uploads, limits.result_uploads),
            Queue::Own | Queue::Owed => (&mut 0, usize::MAX),
        };
        if *under_way >= most {
            return Err(BlobError::Busy(format!("{under_way} uploads are under way, the most")));
        }
        *under_way += 1;
        self.holdings(owner).uploads += 1;
        Ok(())
    }

    /// Counts one upload less.
    pub(super) fn leave(&mut self, owner: &Owner, quota: &Quota) {
        match quota.queue {
            Queue::Sponsors => self.uploads -= 1,
            Queue::Results => self.result_uploads -= 1,
            Queue::Own | Queue::Owed => {}
        }
        self.holdings(owner).uploads -= 1;
        self.forget_if_empty(owner);
    }

    fn holdings(&mut self, owner: &Owner) -> &mut Holdings {
        self.owners.entry(owner.clone()).or_default()
    }

    /// Takes room for `more` of an upload.
    pub(super) fn reserve(
        &mut self,
        owner: &Owner,
        more: u64,
        quota: &Quota,
        limits: &Limits,
    ) -> Result<(), BlobError> {
        let (held, taken) = (self.holdings(owner).charged, self.charged);
        let patron = if let Owner::Guest(number) = owner { self.patrons.get(number) } else { None };
        let total = match quota.queue {
            // What is promised to jobs is not a sponsor's.
            Queue::Sponsors => taken.saturating_add(self.owed()),
            Queue::Own if patron.is_some() => taken.saturating_add(self.owed()),
            Queue::Results | Queue::Own | Queue::Owed => taken,
        };
        let fits = |held: u64, most: u64| held.checked_add(more).is_some_and(|sum| sum <= most);
        if let Some(patron) = patron {
            let (held, most) = (self.charged_with_guests(patron), limits.sponsor_bytes);
            if !fits(held, most) {
                return Err(BlobError::Full(format!(
                    "a sponsor's blobs, with what was made of them for quotes of the last minutes, have at most {most} \
                     bytes; yours have {held}"
                )));
            }
        }
        if !fits(held, quota.bytes) {
            let most = quota.bytes;
            return Err(BlobError::Full(match owner {
                Owner::Sponsor(_) => {
                    format!("a sponsor's blobs and uploads have at most {most} bytes; yours have {held}")
                }
                _ => format!("the results of a connection have at most {most} bytes; yours have {held}"),
            }));
        }
        if quota.queue != Queue::Owed && !fits(total, limits.total_bytes) {
            let most = limits.total_bytes;
            let kept = match total - taken {
                0 => String::new(),
                kept => format!(", and {kept} are kept for the results of open jobs"),
            };
            return Err(BlobError::Full(format!(
                "all blobs and uploads of this pool have at most {most} bytes; they have {taken}{kept}"
            )));
        }
        self.holdings(owner).charged += more;
        self.charged += more;
        Ok(())
    }

    /// Gives room back.
    pub(super) fn release(&mut self, owner: &Owner, bytes: u64) {
        self.holdings(owner).charged -= bytes;
        self.charged -= bytes;
        self.forget_if_empty(owner);
    }

    /// Turns an upload's room into a blob; whether it is new to this owner.
    pub(super) fn settle(&mut self, owner: &Owner, digest: Digest, tree: Tree, reserved: u64) -> bool {
        let bytes = tree.bytes();
        self.release(owner, reserved);
        self.put(digest, bytes, Arc::new(Mutex::new(Some(Arc::new(tree)))));
        let new = !self.owns(owner, &digest);
        self.found_owner(owner, digest);
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
        self.give_up(expired)
    }
}
