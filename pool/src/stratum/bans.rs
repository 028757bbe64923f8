//! Scores of peers that misbehave, by address (IPv6: by network of 64 bits). Points go down with
//! time, those for worthless shares with accepted ones too; at the limit the address is shut out for
//! a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::ledger::entry::Millis;

/// Most addresses that are remembered; the one quiet for longest is forgotten first.
pub const ADDRESSES_MAX: usize = 65_536;

/// What is held against a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A line that is no request, or one that is too long.
    Malformed,
    /// A request with wrong parameters.
    BadParameters,
    /// A share that was already counted, or does not reach its difficulty.
    WorthlessShare,
}

impl Offence {
    fn points(self) -> u64 {
        match self {
            Offence::Malformed => 10,
            Offence::BadParameters => 5,
            Offence::WorthlessShare => 2,
        }
    }
}

/// When a ban comes and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Points at which an address is shut out; 0 never bans.
    pub limit: u64,
    /// For how long.
    pub ban_ms: u64,
    /// Time after which one point is forgiven.
    pub forgive_ms: u64,
    /// Whether addresses of this machine are banned too.
    pub loopback: bool,
}

#[derive(Debug, Clone, Copy)]
struct Score {
    /// For what no miner sends: forgiven by time alone, since shares can be had cheaply.
    junk: u64,
    /// For worthless shares.
    worthless: u64,
    at: Millis,
    banned_until: Millis,
}

/// All scores. The mutex is held for a few lines that never wait.
#[derive(Debug)]
pub struct Bans {
    options: Options,
    scores: Mutex<HashMap<IpAddr, Score>>,
}

impl Bans {
    /// None yet.
    #[must_use]
    pub fn new(options: Options) -> Bans {
        Bans { options, scores: Mutex::default() }
    }

    /// What is held to account for an address.
    fn key(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        }
    }

    fn exempt(&self, address: IpAddr) -> bool {
        self.options.limit == 0 || (address.to_canonical().is_loopback() && !self.options.loopback)
    }

    /// Counts an offence. True if the address is banned from now on.
    pub fn offence(&self, address: IpAddr, offence: Offence, now: Millis) -> bool {
        if self.exempt(address) {
            return false;
        }
        let address = Bans::key(address);
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        if scores.len() >= ADDRESSES_MAX && !scores.contains_key(&address) {
            let quietest = scores.iter().min_by_key(|(_, score)| score.at.max(score.banned_until)).map(|(&ip, _)| ip);
            scores.remove(&quietest.expect("the map is full"));
        }
        let score = scores.entry(address).or_insert(Score { junk: 0, worthless: 0, at: now, banned_until: 0 });
        let forgiven = now.saturating_sub(score.at) / self.options.forgive_ms.max(1);
        score.junk = score.junk.saturating_sub(forgiven);
        score.worthless = score.worthless.saturating_sub(forgiven);
        let kind = if offence == Offence::WorthlessShare { &mut score.worthless } else { &mut score.junk };
        *kind = kind.saturating_add(offence.points());
        score.at = now;
        if score.junk + score.worthless < self.options.limit {
            return false;
        }
        (score.junk, score.worthless) = (0, 0);
        score.banned_until = now.saturating_add(self.options.ban_ms);
        true
    }

    /// Counts an accepted share, which takes back a point for a worthless one.
    pub fn accepted(&self, address: IpAddr) {
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(score) = scores.get_mut(&Bans::key(address)) {
            score.worthless = score.worthless.saturating_sub(1);
        }
    }

    /// Whether the address is shut out.
    #[must_use]
    pub fn is_banned(&self, address: IpAddr, now: Millis) -> bool {
        let scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        scores.get(&Bans::key(address)).is_some_and(|score| score.banned_until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { limit: 50, ban_ms: 1000, forgive_ms: 100, loopback: false };

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn five_malformed_lines_ban_for_a_time() {
        let bans = Bans::new(OPTIONS);
        let banned: Vec<bool> = (0..5).map(|_| bans.offence(ip(1), Offence::Malformed, 0)).collect();
        assert_eq!(banned, [false, false, false, false, true]);
        assert!(bans.is_banned(ip(1), 999));
        assert!(!bans.is_banned(ip(1), 1000));
        assert!(!bans.is_banned(ip(2), 0));
    }

    #[test]
    fn good_shares_and_time_forgive() {
        let bans = Bans::new(OPTIONS);
        for _ in 0..100 {
            assert!(!bans.offence(ip(1), Offence::WorthlessShare, 0));
            bans.accepted(ip(1));
            bans.accepted(ip(1));
        }
        for time in 0..100 {
            assert!(!bans.offence(ip(2), Offence::Malformed, time * 1000));
        }
    }

    #[test]
    fn junk_is_not_paid_off_with_shares() {
        let bans = Bans::new(OPTIONS);
        let banned = (0..5).any(|_| {
            (0..100).for_each(|_| bans.accepted(ip(1)));
            bans.offence(ip(1), Offence::Malformed, 0)
        });
        assert!(banned);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let bans = Bans::new(OPTIONS);
        let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for last in 0..5 {
            bans.offence(host(last), Offence::Malformed, 0);
        }
        assert!(bans.is_banned(host(99), 1));
        assert!(!bans.is_banned(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]), 1));
    }

    #[test]
    fn this_machine_is_never_banned_unless_configured() {
        let local = [127, 0, 0, 1].into();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let bans = Bans::new(OPTIONS);
        assert!((0..100).all(|_| !bans.offence(local, Offence::Malformed, 0)));
        assert!((0..100).all(|_| !bans.offence(mapped, Offence::Malformed, 0)));
        let strict = Bans::new(Options { loopback: true, ..OPTIONS });
        assert!((0..100).any(|_| strict.offence(local, Offence::Malformed, 0)));
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let bans = Bans::new(OPTIONS);
        for n in (0u32..).take(ADDRESSES_MAX + 10) {
            let outside = IpAddr::from((n | 0x0b00_0000).to_be_bytes());
            bans.offence(outside, Offence::WorthlessShare, u64::from(n));
        }
        assert_eq!(bans.scores.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
