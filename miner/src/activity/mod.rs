//! Whether others want the machine: its user, other programs on its cards, its battery.

mod battery;
mod bus;
mod foreign;
mod logind;
mod system;
mod x11;

pub use system::{Surroundings, SystemActivity};

use crate::location::Location;

/// Whether somebody uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Somebody does.
    Active,
    /// Nobody does.
    Absent,
    /// Nothing here can tell.
    Unknown,
}

/// What was seen at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The user.
    pub user: Presence,
    /// Whether the machine runs on its battery.
    pub on_battery: bool,
    /// For each device, the name of another program that keeps it busy.
    pub busy: Vec<Option<String>>,
}

/// What looks for others. The system is one way; tests have another.
pub trait Activity: Send {
    /// Looks once. May block for as long as a driver or a server does, so it is asked from a thread of its own.
    fn look(&mut self, devices: &[Location]) -> Seen;
}
