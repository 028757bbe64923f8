//! Secrets of draws: committed before the batches that they draw from, revealed once all of those are resolved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::batch::Void;
use super::draw::{commitment, draw};
use super::entry::Millis;
use super::terms::RangeTerms;

/// A secret of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its number, counted from 0.
    pub number: u64,
    /// [`commitment`] of it.
    pub hash: [u8; 32],
    /// When that was told.
    pub committed_at: Millis,
    /// The secret, once it is told.
    pub revealed: Option<[u8; 32]>,
}

/// A batch that is void by a part that was drawn, kept until its draw can be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnVoid {
    /// The batch.
    pub batch: u64,
    /// Its root.
    pub root: [u8; 32],
    /// First element and count of each of its units.
    pub units: Vec<(u64, u32)>,
    /// Whether all of them were to be checked.
    pub all: bool,
    /// By which terms.
    pub terms: RangeTerms,
    /// The part that was wrong.
    pub void: Void,
}

impl DrawnVoid {
    /// Whether `secret` draws the part that was wrong.
    #[must_use]
    pub fn is_drawn_by(&self, secret: &[u8; 32]) -> bool {
        let DrawnVoid { root, units, all, terms, void, .. } = self;
        draw(secret, root, units, *all, terms).iter().any(|pick| {
            units[pick.unit] == (void.first, void.count) && (pick.element, pick.part) == (void.element, void.part)
        })
    }
}

/// Why a secret cannot be revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// There is no such secret that is not told yet.
    #[error("no secret that is still to be revealed has this hash")]
    Unknown,
    /// It is the newest, which batches may still close under.
    #[error("it is still in use")]
    Current,
    /// A batch under it has no verdict.
    #[error("a batch under it is unresolved")]
    Unresolved,
    /// It does not draw what a batch was voided by.
    #[error("it does not draw the part that batch {0} was voided by")]
    NotDrawn(u64),
}

/// All secrets, and what is still open under them.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    list: Vec<Secret>,
    unresolved: BTreeMap<u64, u64>,
    drawn: BTreeMap<u64, Vec<DrawnVoid>>,
}

impl Secrets {
    /// All secrets, by number.
    #[must_use]
    pub fn all(&self) -> &[Secret] {
        &self.list
    }

    /// The secret that batches close under now.
    #[must_use]
    pub fn current(&self) -> Option<&Secret> {
        self.list.last()
    }

    /// Voids by draws of secrets that are not told yet: the secret's number and each of them.
    pub fn undrawn(&self) -> impl Iterator<Item = (u64, &DrawnVoid)> {
        self.drawn.iter().flat_map(|(number, voids)| voids.iter().map(move |void| (*number, void)))
    }

    /// The secret with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Secret> {
        self.list.get(usize::try_from(number).ok()?)
    }

    /// Whether a secret that was ever committed has this hash.
    pub(super) fn has(&self, hash: &[u8; 32]) -> bool {
        self.list.iter().any(|secret| secret.hash == *hash)
    }

    /// Adds a secret; false where `number` is not the next or the hash was there before.
    pub(super) fn commit(&mut self, number: u64, hash: [u8; 32], committed_at: Millis) -> bool {
        if usize::try_from(number) != Ok(self.list.len()) || self.has(&hash) {
            return false;
        }
        self.list.push(Secret { number, hash, committed_at, revealed: None });
        true
    }

    /// The number of a secret that may be told now.
    pub(super) fn check(&self, secret: &[u8; 32]) -> Result<u64, RevealError> {
        let hash = commitment(secret);
        let found = self.list.iter().find(|known| known.hash == hash && known.revealed.is_none());
        let number = found.ok_or(RevealError::Unknown)?.number;
        if self.current().is_some_and(|current| current.number == number) {
            return Err(RevealError::Current);
        }
        if self.unresolved.contains_key(&number) {
            return Err(RevealError::Unresolved);
        }
        let voids = self.drawn.get(&number).into_iter().flatten();
        match voids.into_iter().find(|void| !void.is_drawn_by(secret)) {
            Some(void) => Err(RevealError::NotDrawn(void.batch)),
            None => Ok(number),
        }
    }

    /// Takes a secret that [`Secrets::check`] lets be told.
    pub(super) fn reveal(&mut self, number: u64, secret: [u8; 32]) {
        let place = usize::try_from(number).expect("check found it");
        self.list[place].revealed = Some(secret);
        self.drawn.remove(&number);
    }

    /// A batch closed under the secret.
    pub(super) fn closed(&mut self, number: u64) {
        *self.unresolved.entry(number).or_default() += 1;
    }

    /// A batch under the secret has a verdict.
    pub(super) fn resolved(&mut self, number: u64) {
        if let Some(count) = self.unresolved.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.unresolved.remove(&number);
            }
        }
    }

    /// Keeps a void until its draw can be made again.
    pub(super) fn voided(&mut self, number: u64, void: DrawnVoid) {
        self.drawn.entry(number).or_default().push(void);
    }
}
