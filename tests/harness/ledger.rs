//! What a ledger holds, read from its journal as any tool could.

use std::convert::Infallible;
use std::path::Path;

use lode_pool::ledger::entry::{Entry, ShareProof};
use lode_pool::ledger::journal;
use lode_pool::ledger::writer::journal_dir;

/// All entries of a data directory's journal.
///
/// # Panics
/// It is damaged.
#[must_use]
pub fn entries(data: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let read = journal::scan(&journal_dir(data), |_, entry| {
        entries.push(entry);
        Ok::<_, Infallible>(())
    });
    read.expect("a journal that reads");
    entries
}

/// What the headers of its shares follow from, in order.
#[must_use]
pub fn proofs(data: &Path) -> Vec<ShareProof> {
    let shares = entries(data).into_iter().filter_map(|entry| match entry {
        Entry::Share { proof, .. } => Some(proof),
        _ => None,
    });
    shares.collect()
}
