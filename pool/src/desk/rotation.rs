//! When a secret is made, and when it is published. Pure but for the vault.

use std::collections::BTreeMap;

use super::secrets::{Secret, SecretFileError, Vault};
use crate::ledger::draw::commitment;
use crate::ledger::entry::Millis;

/// A committed secret that is not published.
#[derive(Debug)]
struct Held {
    secret: Option<Secret>,
    committed_at: Millis,
}

/// The secrets that are in use.
#[derive(Debug)]
pub(super) struct Rotation {
    vault: Vault,
    period_ms: u64,
    held: BTreeMap<u64, Held>,
    /// The next, whose commitment was asked for.
    next: Option<Secret>,
}

impl Rotation {
    /// From what the ledger has: number, commitment, time of each that is not published.
    pub(super) fn new(
        vault: Vault,
        period_ms: u64,
        committed: impl Iterator<Item = (u64, [u8; 32], Millis)>,
    ) -> Rotation {
        let mut held = BTreeMap::new();
        for (number, hash, committed_at) in committed {
            let secret = vault.read(&hash).unwrap_or_else(|error| {
                tracing::error!(%error, "a secret cannot be read");
                None
            });
            if secret.is_none() {
                tracing::error!(
                    number,
                    "the secret of audits is gone from the audit directory: what closed under it is drawn at random, and it can never be published"
                );
            }
            held.insert(number, Held { secret, committed_at });
        }
        Rotation { vault, period_ms, held, next: None }
    }

    /// The secret to commit now, if one is due: none is in use, or the one in use is old or lost.
    pub(super) fn due(&mut self, now: Millis) -> Result<Option<Secret>, SecretFileError> {
        let current = self.held.last_key_value().map(|(_, held)| held);
        let old = |held: &Held| held.secret.is_none() || now.saturating_sub(held.committed_at) >= self.period_ms;
        if current.is_some_and(|held| !old(held)) {
            return Ok(None);
        }
        if self.next.is_none() {
            let known: Vec<[u8; 32]> =
                self.held.values().filter_map(|held| held.secret.as_ref().map(commitment)).collect();
            let left = self.vault.unused(&|hash| known.contains(hash))?;
            self.next = Some(left.map_or_else(|| self.vault.make(), Ok)?);
        }
        Ok(self.next)
    }

    /// The one that was due is committed.
    pub(super) fn committed(&mut self, number: u64, now: Millis) {
        let secret = self.next.take();
        self.held.insert(number, Held { secret, committed_at: now });
    }

    /// The one that was due had been committed before, and its number is not known: another is made.
    pub(super) fn spent(&mut self) {
        if let Some(secret) = self.next.take()
            && let Err(error) = self.vault.forget(&commitment(&secret))
        {
            tracing::warn!(%error, "a used secret stays in the audit directory");
        }
    }

    /// The secret that a batch is drawn with. One that is lost is made up: its draw cannot be repeated by others.
    pub(super) fn of(&mut self, number: u64) -> Secret {
        self.held.get(&number).and_then(|held| held.secret).unwrap_or_else(rand::random)
    }

    /// Secrets that are not in use any more and not published.
    pub(super) fn past(&self) -> impl Iterator<Item = (u64, Secret)> + '_ {
        let current = self.held.last_key_value().map(|(number, _)| *number);
        let past = self.held.iter().filter(move |(number, _)| Some(**number) != current);
        past.filter_map(|(number, held)| Some((*number, held.secret?)))
    }

    /// One is published.
    pub(super) fn published(&mut self, number: u64) {
        let Some(secret) = self.held.remove(&number).and_then(|held| held.secret) else { return };
        if let Err(error) = self.vault.forget(&commitment(&secret)) {
            tracing::warn!(%error, "a published secret stays in the audit directory");
        }
    }
}
