//! Who is connected, and what was rejected since the pool started. In memory only: nothing here is
//! ever a figure of record.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use lode_protocol::ids::{AccountName, UserName};
use lode_protocol::{Algorithm, Difficulty};
use tokio::sync::watch;

/// Most rigs that are remembered while away.
const AWAY_MAX: usize = 100_000;

/// One rig.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rig {
    /// Connections that it is logged in on.
    pub connections: u32,
    /// What it hashes with and its difficulty, as told last.
    pub difficulty: Option<(Algorithm, Difficulty)>,
    /// Rejected shares by reason.
    pub rejected: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Inner {
    rigs: HashMap<AccountName, BTreeMap<String, Rig>>,
    count: usize,
    /// How many there were after those that are away were last forgotten.
    left: usize,
    connections: u64,
    online: u64,
    /// Logins by algorithm; a rig may have several.
    logins: BTreeMap<Algorithm, u64>,
    /// Connections that take units, by kind.
    takers: BTreeMap<String, u64>,
}

/// The registry. Its mutex is held for a few lines that never wait.
#[derive(Debug)]
pub struct Presence {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

impl Default for Presence {
    fn default() -> Presence {
        Presence { inner: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Presence {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
        result
    }

    /// A number that changes with every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A connection came.
    pub fn connected(&self) -> u64 {
        self.with(|inner| {
            inner.connections += 1;
            inner.connections
        })
    }

    /// A connection went.
    pub fn disconnected(&self) -> u64 {
        self.with(|inner| {
            inner.connections -= 1;
            inner.connections
        })
    }

    /// A rig logged in.
    pub fn online(&self, user: &UserName, algorithm: Algorithm) {
        self.with(|inner| {
            *inner.logins.entry(algorithm).or_default() += 1;
            let rig = inner.rig(user);
            rig.connections += 1;
            let first = rig.connections == 1;
            inner.online += u64::from(first);
        });
    }

    /// A connection of a rig went.
    pub fn offline(&self, user: &UserName, algorithm: Algorithm) {
        self.with(|inner| {
            *inner.logins.entry(algorithm).or_default() -= 1;
            let rig = inner.rig(user);
            rig.connections = rig.connections.saturating_sub(1);
            let last = rig.connections == 0;
            let nothing_to_tell = last && rig.rejected.is_empty();
            if last {
                rig.difficulty = None;
            }
            inner.online -= u64::from(last);
            if nothing_to_tell {
                inner.forget(user);
            }
        });
    }

    /// A rig's difficulty changed.
    pub fn difficulty(&self, user: &UserName, algorithm: Algorithm, difficulty: Difficulty) {
        self.with(|inner| inner.rig(user).difficulty = Some((algorithm, difficulty)));
    }

    /// A rig's share was rejected.
    pub fn rejected(&self, user: &UserName, reason: &'static str) {
        self.with(|inner| *inner.rig(user).rejected.entry(reason).or_insert(0) += 1);
    }

    /// At most `most` rigs of an account that are here or had a share rejected, those that are here
    /// first; and how many there are.
    #[must_use]
    pub fn rigs(&self, account: &AccountName, most: usize) -> (BTreeMap<String, Rig>, usize) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rigs) = inner.rigs.get(account) else { return (BTreeMap::new(), 0) };
        let (here, away): (Vec<_>, Vec<_>) = if rigs.len() <= most {
            (rigs.iter().collect(), Vec::new())
        } else {
            rigs.iter().take(4 * most).partition(|(_, rig)| rig.connections > 0)
        };
        let shown = here.into_iter().chain(away).take(most);
        (shown.map(|(name, rig)| (name.clone(), rig.clone())).collect(), rigs.len())
    }

    /// Whether a rig of this algorithm is logged in.
    #[must_use]
    pub fn has(&self, algorithm: Algorithm) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.logins.get(&algorithm).is_some_and(|&logins| logins > 0)
    }

    /// A connection takes units of these kinds, each named once.
    pub fn takes(&self, kinds: &[String]) {
        self.with(|inner| {
            for kind in kinds {
                *inner.takers.entry(kind.clone()).or_default() += 1;
            }
        });
    }

    /// A connection that took units went.
    pub fn leaves(&self, kinds: &[String]) {
        self.with(|inner| {
            for kind in kinds {
                if let Some(takers) = inner.takers.get_mut(kind) {
                    *takers -= 1;
                }
            }
            inner.takers.retain(|_, takers| *takers > 0);
        });
    }

    /// Whether a connection takes units of this kind.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).takers.contains_key(kind)
    }

    /// Connections, and rigs logged in.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.connections, inner.online)
    }
}

impl Inner {
    fn rig(&mut self, user: &UserName) -> &mut Rig {
        let known = self.rigs.get(&user.account).is_some_and(|rigs| rigs.contains_key(user.worker.as_str()));
        if !known {
            // Looked at again only once as many have come as were left, all of which may be here.
            if self.count >= AWAY_MAX.max(2 * self.left) {
                self.forget_away();
            }
            self.count += 1;
        }
        self.rigs.entry(user.account.clone()).or_default().entry(user.worker.to_string()).or_default()
    }

    fn forget(&mut self, user: &UserName) {
        let Some(rigs) = self.rigs.get_mut(&user.account) else { return };
        if rigs.remove(user.worker.as_str()).is_some() {
            self.count -= 1;
        }
        if rigs.is_empty() {
            self.rigs.remove(&user.account);
        }
    }

    fn forget_away(&mut self) {
        for rigs in self.rigs.values_mut() {
            rigs.retain(|_, rig| rig.connections > 0);
        }
        self.rigs.retain(|_, rigs| !rigs.is_empty());
        self.count = self.rigs.values().map(BTreeMap::len).sum();
        self.left = self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm::{Scrypt, Sha256d};
    use super::*;

    #[test]
    fn rigs_come_and_go() {
        let presence = Presence::default();
        let user: UserName = "alice.rig".parse().unwrap();
        presence.online(&user, Sha256d);
        presence.online(&user, Sha256d);
        presence.difficulty(&user, Sha256d, Difficulty::one(Sha256d));
        presence.rejected(&user, "stale");
        assert_eq!(presence.counts(), (0, 1));
        assert!(presence.has(Sha256d) && !presence.has(Scrypt));
        presence.offline(&user, Sha256d);
        assert_eq!(presence.rigs(&user.account, 9).0["rig"].connections, 1);
        presence.offline(&user, Sha256d);
        let rig = &presence.rigs(&user.account, 9).0["rig"];
        assert_eq!((rig.connections, rig.difficulty, rig.rejected["stale"]), (0, None, 1));
        assert_eq!(presence.counts(), (0, 0));
        assert!(!presence.has(Sha256d));
    }

    #[test]
    fn kinds_are_there_as_long_as_a_connection_takes_them() {
        let presence = Presence::default();
        let kinds = ["render".to_owned(), "infer".to_owned()];
        presence.takes(&kinds);
        presence.takes(&kinds[..1]);
        presence.leaves(&kinds);
        assert!(presence.has_kind("render") && !presence.has_kind("infer"));
        presence.leaves(&kinds[..1]);
        assert!(!presence.has_kind("render"));
    }

    #[test]
    fn many_rigs_that_are_all_here_are_not_gone_through_at_each_login() {
        let presence = Presence::default();
        for n in 0..AWAY_MAX + 5_000 {
            presence.online(&format!("a.r{n}").parse().unwrap(), Sha256d);
        }
        assert_eq!(presence.inner.lock().unwrap().left, AWAY_MAX, "gone through once");
        assert_eq!(presence.counts().1, AWAY_MAX as u64 + 5_000);
    }

    #[test]
    fn the_number_remembered_is_bounded() {
        let presence = Presence::default();
        for n in 0..AWAY_MAX + 5 {
            let user = format!("a{n}.r").parse().unwrap();
            presence.online(&user, Sha256d);
            presence.rejected(&user, "stale");
            presence.offline(&user, Sha256d);
        }
        assert!(presence.inner.lock().unwrap().count <= AWAY_MAX);
        let quiet = "quiet.r".parse().unwrap();
        presence.online(&quiet, Sha256d);
        presence.offline(&quiet, Sha256d);
        assert_eq!(presence.rigs(&quiet.account, 9).1, 0, "one that did nothing is not remembered");
    }
}
