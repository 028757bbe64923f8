//! What a session has its connection do.

use lode_protocol::ids::UserName;
use lode_protocol::rpc::Id;
use lode_protocol::{Difficulty, Rejection};

use super::bans::Offence;
use super::ranges::RangeAction;
use crate::share::{Claim, Credit};

/// What the connection is to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Answer a request, in the order of the requests.
    Reply(String),
    /// Send a notification at once.
    Notify(String),
    /// Find a search space for this client, then call [`Session::subscribed`](super::session::Session::subscribed).
    Subscribe {
        /// What to answer.
        id: Id,
        /// The session that it wants back.
        session: Option<String>,
    },
    /// Enter a share, then answer and call [`Session::credited`](super::session::Session::credited).
    Enter {
        /// What to answer.
        id: Id,
        /// The share.
        credit: Box<Credit>,
    },
    /// Judge a share, elsewhere since it takes long, and go on as with [`Action::Enter`] or [`Action::Refused`]. Where
    /// it does not come to be in the ledger, call [`Session::forget`](super::session::Session::forget).
    Judge {
        /// What to answer.
        id: Id,
        /// The share.
        claim: Box<Claim>,
    },
    /// A share was refused; its answer is an [`Action::Reply`] of its own.
    Refused {
        /// Whose.
        user: UserName,
        /// Why.
        rejection: Rejection,
    },
    /// A worker logged in.
    LoggedIn(UserName),
    /// The difficulty changed.
    Difficulty(Difficulty),
    /// Something is held against the peer.
    Offence(Offence),
    /// Something is to be done for range work.
    Range(RangeAction),
}
