//! The stratum server: sockets, sessions, and what they share.

pub mod accept;
pub mod action;
pub mod bans;
pub mod connection;
pub mod extranonce;
pub mod judges;
pub mod passes;
pub mod presence;
pub mod ranges;
mod seat;
pub mod session;
mod tags;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::jobs::book::Book;
use crate::jobs::range::hall::Hall;
use crate::ledger::writer::Ledger;

/// What every connection uses.
#[derive(Debug)]
pub struct Shared {
    /// Who works on what.
    pub book: Book,
    /// Who works on which unit.
    pub hall: Hall,
    /// Where results are kept.
    pub blobs: Blobs,
    /// Tokens of those who do range work.
    pub passes: Arc<passes::Passes>,
    /// What they are offered.
    pub offer: ranges::Offer,
    /// Where shares go.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
    /// Search spaces.
    pub extranonces: Arc<extranonce::Extranonces>,
    /// Who misbehaves.
    pub bans: bans::Bans,
    /// Who is here.
    pub presence: presence::Presence,
    /// Where dear hashes are made.
    pub judges: judges::Judges,
    /// How many may be here.
    pub limits: accept::Limits,
    /// How many are, on all listeners together.
    pub doors: Arc<accept::Doors>,
}
