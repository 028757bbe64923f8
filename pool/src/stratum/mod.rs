//! The stratum server: sockets, sessions, and what they share.

pub mod accept;
pub mod bans;
pub mod connection;
pub mod extranonce;
pub mod judges;
pub mod presence;
pub mod session;
mod tags;

use std::sync::Arc;

use crate::clock::Clock;
use crate::jobs::book::Book;
use crate::ledger::writer::Ledger;

/// What every connection uses.
#[derive(Debug)]
pub struct Shared {
    /// Who works on what.
    pub book: Book,
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
