//! The units that this rig holds of its pool's: from the assignment over the devices to the pool's answer.
//!
//! It owns what is known of each unit, and the transfers under way; what it wants said to the pool it gives as
//! [`Word`]s. The devices take units from the [`Board`].

mod shelf;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use lode_kernels::DeviceInfo;
use lode_kinds::{Kind, Shape};
use lode_protocol::Digest;
use lode_protocol::ids::UnitId;
use lode_protocol::key::SecretKey;
use lode_protocol::method::configure::SLOTS_MAX;
use lode_protocol::method::{Assign, ReleaseReason};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::blobs::{Blobs, Place, TransferError};
use crate::board::Board;
use crate::session::Offer;
use crate::unit::Unit;
use shelf::Shelf;

/// Most bytes of a unit's inputs: they are in memory while the task is made, whatever the devices have. A render job's
/// scenes have no more together.
pub const INPUT_BYTES_MAX: u64 = lode_kinds::render::BYTES_MAX;
/// Most bytes of a unit's result: it is in memory until the pool has it.
pub const RESULT_BYTES_MAX: usize = 1 << 30;

/// Something to say to the pool.
#[derive(Debug)]
pub enum Word {
    /// A unit is done; the pool has its result.
    Submit(UnitId, Digest),
    /// A unit comes back undone.
    Release(Back),
}

/// A unit that comes back, and why.
#[derive(Debug)]
pub struct Back {
    /// Which unit.
    pub unit: UnitId,
    /// Why, for the pool.
    pub reason: ReleaseReason,
    /// Why, for people.
    pub text: String,
    /// Whether the pool does not take the session's token any more, so that only a new session helps.
    pub token_over: bool,
}

impl Back {
    fn new(unit: UnitId, reason: ReleaseReason, text: String) -> Back {
        Back { unit, reason, text, token_over: false }
    }

    /// After a transfer that failed; `text` says which.
    fn after(unit: UnitId, text: &str, error: &TransferError) -> Back {
        let back = Back::new(unit, ReleaseReason::Failed, format!("{text}: {error}"));
        Back { token_over: error.is_token_over(), ..back }
    }
}

/// Where a unit is.
#[derive(Debug)]
enum Held {
    /// Its inputs are on their way.
    Coming(CancellationToken),
    /// It waits for a device or is with one.
    Ready(Arc<Unit>),
    /// Its result is on its way, computed by this device.
    Going(Arc<Unit>, usize),
    /// The pool has been told.
    Submitted(Arc<Unit>, usize),
}

/// A transfer that is over.
#[derive(Debug)]
pub enum Moved {
    /// A unit's task is made, or why not.
    Prepared(UnitId, Result<Box<Unit>, Back>),
    /// A unit's result is with the pool, or why not.
    Delivered(UnitId, Result<Digest, TransferError>),
    /// Nobody wanted it any more.
    Dropped,
}

/// The units.
pub struct Ranges {
    key: Option<SecretKey>,
    /// Whether the rig searches too.
    searches: bool,
    /// What each device does of range work, and its memory where that is known.
    devices: Vec<(Vec<Kind>, Option<u64>)>,
    board: Arc<Board>,
    blobs: Blobs,
    shelf: Arc<tokio::sync::Mutex<Shelf>>,
    place: Option<Arc<Place>>,
    held: BTreeMap<UnitId, Held>,
    transfers: JoinSet<Moved>,
}

impl Ranges {
    /// Of a rig with these devices and what they do, each with at most `memory_max` bytes. Without a `key` there is no
    /// range work.
    #[must_use]
    pub fn new(
        key: Option<SecretKey>,
        devices: &[(&DeviceInfo, &[Kind])],
        memory_max: Option<u64>,
        board: Arc<Board>,
        blobs: Blobs,
    ) -> Ranges {
        let searches = devices.iter().any(|(_, kinds)| kinds.contains(&Kind::Hash));
        let of_device = |(info, kinds): &(&DeviceInfo, &[Kind])| {
            let ranges = kinds.iter().copied().filter(|kind| kind.shape() == Shape::Range).collect();
            (ranges, [info.memory_bytes, memory_max].into_iter().flatten().min())
        };
        let devices = devices.iter().map(of_device).collect();
        Ranges {
            key,
            searches,
            devices,
            board,
            blobs,
            shelf: Arc::default(),
            place: None,
            held: BTreeMap::new(),
            transfers: JoinSet::new(),
        }
    }

    /// Kinds of range work that a device at least does.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let does = |kind: &Kind| self.devices.iter().any(|(kinds, _)| kinds.contains(kind));
        Kind::ALL.iter().copied().filter(does).collect()
    }

    /// What to offer a pool, if anything. For each device a unit to do and one that waits, so that none stands still
    /// while results go and inputs come.
    #[must_use]
    pub fn offer(&self) -> Option<Offer> {
        let (key, kinds) = (self.key.clone()?, self.kinds());
        let able = self.devices.iter().filter(|(kinds, _)| !kinds.is_empty()).count();
        let slots = u32::try_from(2 * able).unwrap_or(u32::MAX).min(SLOTS_MAX);
        (slots > 0).then_some(Offer { key, kinds, slots, only: !self.searches })
    }

    /// How many units are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held.len()
    }

    /// How many units' results are on their way or not answered for.
    #[must_use]
    pub fn open(&self) -> usize {
        self.held.values().filter(|held| matches!(held, Held::Going(..) | Held::Submitted(..))).count()
    }

    /// The pool takes our work and has its blobs here.
    pub fn granted(&mut self, place: Place) {
        self.place = Some(Arc::new(place));
    }

    /// Takes a unit, or says why not.
    pub fn assigned(&mut self, assign: Assign) -> Option<Word> {
        let back = |reason, text: String| Some(Word::Release(Back::new(assign.unit.clone(), reason, text)));
        if self.held.contains_key(&assign.unit) {
            debug!("unit {} is here already", assign.unit);
            return None;
        }
        if self.held.len() >= SLOTS_MAX as usize {
            return back(ReleaseReason::Failed, format!("{SLOTS_MAX} units are here already"));
        }
        let Some(kind) = assign.kind.parse::<Kind>().ok().filter(|kind| self.kinds().contains(kind)) else {
            return back(ReleaseReason::Unsupported, format!("no device does {}", assign.kind));
        };
        let bytes = assign.inputs.iter().fold(0_u64, |sum, input| sum.saturating_add(input.bytes));
        if bytes > INPUT_BYTES_MAX {
            return back(ReleaseReason::Memory, format!("inputs have at most {INPUT_BYTES_MAX} bytes"));
        }
        if self.able(kind, bytes).is_empty() {
            return back(ReleaseReason::Memory, format!("no device has {bytes} bytes for the inputs"));
        }
        let Some(place) = self.place.clone() else {
            return back(ReleaseReason::Failed, "there is no place to have blobs from".to_owned());
        };
        let (dropped, id) = (CancellationToken::new(), assign.unit.clone());
        self.held.insert(id.clone(), Held::Coming(dropped.clone()));
        let (shelf, blobs) = (Arc::clone(&self.shelf), self.blobs.clone());
        self.transfers.spawn(async move {
            let prepared = shelf::prepare(&shelf, &blobs, &place, kind, assign, dropped.clone());
            dropped.run_until_cancelled(prepared).await.map_or(Moved::Dropped, |unit| Moved::Prepared(id, unit))
        });
        None
    }

    /// The next transfer that is over; for ever, if none is under way. May be cancelled without losing one.
    pub async fn moved(&mut self) -> Moved {
        match self.transfers.join_next().await {
            Some(Ok(moved)) => moved,
            Some(Err(error)) => {
                if error.is_panic() {
                    warn!("a transfer crashed: {error}");
                }
                Moved::Dropped
            }
            None => pending().await,
        }
    }

    /// Goes on after a transfer.
    pub fn take(&mut self, moved: Moved) -> Option<Word> {
        match moved {
            Moved::Dropped => None,
            Moved::Prepared(id, prepared) => {
                if !matches!(self.held.get(&id), Some(Held::Coming(_))) {
                    return None;
                }
                match prepared {
                    Ok(unit) => self.ready(Arc::new(*unit)),
                    Err(back) => self.give_back(back),
                }
            }
            Moved::Delivered(id, delivered) => {
                let Some(Held::Going(unit, device)) = self.held.remove(&id) else { return None };
                match delivered {
                    Ok(digest) => {
                        self.held.insert(id.clone(), Held::Submitted(unit, device));
                        Some(Word::Submit(id, digest))
                    }
                    Err(error) => Some(Word::Release(Back::after(id, "the result could not be delivered", &error))),
                }
            }
        }
    }

    /// Puts a unit up for the devices.
    fn ready(&mut self, unit: Arc<Unit>) -> Option<Word> {
        let back = |reason, text| Some(Back::new(unit.id.clone(), reason, text));
        let (kind, memory) = (unit.kind(), unit.task.memory_bytes());
        let able = self.able(kind, memory);
        let fault = if unit.count() == 0 || unit.elements.end > unit.task.elements() {
            back(ReleaseReason::Impossible, format!("the section has {} elements", unit.task.elements()))
        } else if unit.result_bytes().is_none_or(|bytes| bytes > RESULT_BYTES_MAX) {
            back(ReleaseReason::Memory, format!("a result has at most {RESULT_BYTES_MAX} bytes"))
        } else if self.able(kind, 0).is_empty() {
            back(ReleaseReason::Unsupported, format!("no device does {kind}"))
        } else if able.is_empty() {
            back(ReleaseReason::Memory, format!("no device has {memory} bytes for the task"))
        } else {
            None
        };
        match fault {
            Some(fault) => self.give_back(fault),
            None => {
                self.held.insert(unit.id.clone(), Held::Ready(Arc::clone(&unit)));
                self.board.add_unit(unit, able);
                None
            }
        }
    }

    /// The devices that do this kind and have so much memory.
    fn able(&self, kind: Kind, memory: u64) -> Vec<usize> {
        let fits =
            |(kinds, most): &(Vec<Kind>, Option<u64>)| kinds.contains(&kind) && most.is_none_or(|most| memory <= most);
        let places = self.devices.iter().enumerate().filter(|(_, device)| fits(device));
        places.map(|(place, _)| place).collect()
    }

    fn give_back(&mut self, back: Back) -> Option<Word> {
        let held = self.held.remove(&back.unit)?;
        cancel(&held);
        self.board.withdraw_unit(&back.unit);
        Some(Word::Release(back))
    }

    /// A device has computed a unit: its result goes to the pool, unless nobody wants it any more.
    pub fn computed(&mut self, device: usize, unit: Arc<Unit>, bytes: Vec<u8>) {
        let wanted = matches!(self.held.get(&unit.id), Some(Held::Ready(held)) if Arc::ptr_eq(held, &unit));
        let Some(place) = self.place.clone().filter(|_| wanted) else { return };
        self.held.insert(unit.id.clone(), Held::Going(Arc::clone(&unit), device));
        let blobs = self.blobs.clone();
        self.transfers.spawn(async move {
            let delivered = unit.dropped.run_until_cancelled(deliver(&blobs, &place, Bytes::from(bytes))).await;
            delivered.map_or(Moved::Dropped, |delivered| Moved::Delivered(unit.id.clone(), delivered))
        });
    }

    /// No device is left that could do this unit.
    pub fn orphaned(&mut self, unit: &Unit, text: String) -> Option<Word> {
        self.give_back(Back::new(unit.id.clone(), ReleaseReason::Failed, text))
    }

    /// A device does no more of a kind, or nothing more.
    pub fn lost(&mut self, device: usize, kind: Option<Kind>, text: &str) -> Vec<Word> {
        let mut orphans = Vec::new();
        if kind.is_none() {
            orphans.extend(self.board.unit_failed(device));
        }
        let of_kind = |unit: &Unit| kind.is_none_or(|kind| unit.kind() == kind);
        orphans.extend(self.board.exclude(device, of_kind));
        self.devices[device].0.retain(|does| kind.is_some_and(|kind| kind != *does));
        orphans.iter().filter_map(|unit| self.orphaned(unit, text.to_owned())).collect()
    }

    /// The pool takes a unit back. Whether it was held.
    pub fn revoked(&mut self, unit: &UnitId) -> bool {
        // The answer to a submit comes all the same.
        if matches!(self.held.get(unit), Some(Held::Submitted(..)) | None) {
            return false;
        }
        let held = self.held.remove(unit);
        held.iter().for_each(cancel);
        self.board.withdraw_unit(unit);
        true
    }

    /// The pool has answered for a unit: which it was, and the device that computed it.
    pub fn answered(&mut self, unit: &UnitId) -> Option<(Arc<Unit>, usize)> {
        match self.held.remove(unit)? {
            Held::Submitted(unit, device) => Some((unit, device)),
            other => {
                self.held.insert(unit.clone(), other);
                None
            }
        }
    }

    /// The rig stops: gives back what no device will do any more. Results on their way go on.
    pub fn stopping(&mut self) -> Vec<Word> {
        self.give_back_all(|held| matches!(held, Held::Coming(_) | Held::Ready(_)))
    }

    /// The rig has stopped: gives back what is left.
    pub fn stopped(&mut self) -> Vec<Word> {
        self.give_back_all(|held| !matches!(held, Held::Submitted(..)))
    }

    fn give_back_all(&mut self, which: impl Fn(&Held) -> bool) -> Vec<Word> {
        let chosen: Vec<UnitId> = self.held.iter().filter(|(_, held)| which(held)).map(|(id, _)| id.clone()).collect();
        let back = |unit| Back::new(unit, ReleaseReason::Stopping, String::new());
        chosen.into_iter().filter_map(|unit| self.give_back(back(unit))).collect()
    }

    /// The session is over: its units are worth nothing any more.
    pub fn clear(&mut self) {
        for (id, held) in std::mem::take(&mut self.held) {
            cancel(&held);
            self.board.withdraw_unit(&id);
        }
        self.transfers.abort_all();
        self.transfers.detach_all();
        self.place = None;
    }
}

fn cancel(held: &Held) {
    match held {
        Held::Coming(dropped) => dropped.cancel(),
        Held::Ready(unit) | Held::Going(unit, _) | Held::Submitted(unit, _) => unit.dropped.cancel(),
    }
}

async fn deliver(blobs: &Blobs, place: &Place, bytes: Bytes) -> Result<Digest, TransferError> {
    let all = bytes.clone();
    let digest = Digest(*spawn_blocking(move || blake3::hash(&all)).await?.as_bytes());
    blobs.deliver(place, digest, bytes).await?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use lode_kernels::Backend;
    use lode_protocol::Work;
    use lode_protocol::ids::JobId;
    use lode_protocol::method::AssignInput;
    use serde_json::Value;

    use super::*;
    use crate::blobs::Cache;
    use crate::dial::{Dial, Dialing};
    use crate::url::PoolUrl;

    struct NoNetwork;

    impl Dial for NoNetwork {
        fn dial(&self, _: &PoolUrl) -> Dialing {
            Box::pin(pending())
        }
    }

    /// Of a rig with one device that renders and has so much memory.
    fn ranges(memory_bytes: Option<u64>) -> Ranges {
        let (backend, name, driver) = (Backend::Cpu, String::new(), String::new());
        let info =
            DeviceInfo { backend, index: 0, name, memory_bytes, compute_units: 1, driver, is_cpu: true, pci: None };
        let blobs = Blobs::new(Cache::none(), Arc::new(NoNetwork));
        let mut ranges = Ranges::new(None, &[(&info, &[Kind::Render][..])], None, Arc::default(), blobs);
        let pool = "stratum+tcp://pool.example:3333".parse().expect("an address");
        ranges.granted(Place::at_port(&pool, 80, "token".to_owned()));
        ranges
    }

    fn assign(inputs: &[u64]) -> Assign {
        Assign {
            unit: "u".parse().expect("a unit's id"),
            job: JobId(1),
            section: 0,
            kind: Kind::Render.name().to_owned(),
            spec: Value::Null,
            inputs: inputs.iter().map(|bytes| AssignInput { digest: Digest([0xab; 32]), bytes: *bytes }).collect(),
            first: 0,
            count: 1,
            work: Work(1),
            ttl_s: 30,
        }
    }

    #[tokio::test]
    async fn inputs_are_bounded_whatever_is_known_of_the_memory() {
        for (memory, inputs, fits) in [
            (None, &[INPUT_BYTES_MAX][..], true),
            (None, &[INPUT_BYTES_MAX + 1], false),
            (None, &[1 << 50], false),
            (None, &[INPUT_BYTES_MAX, 1], false),
            (None, &[u64::MAX, u64::MAX], false),
            (Some(u64::MAX), &[INPUT_BYTES_MAX + 1], false),
            (Some(1000), &[1000], true),
            (Some(1000), &[500, 501], false),
        ] {
            let mut ranges = ranges(memory);
            let released = match ranges.assigned(assign(inputs)) {
                Some(Word::Release(back)) => Some(back.reason),
                Some(Word::Submit(..)) | None => None,
            };
            assert_eq!(released, (!fits).then_some(ReleaseReason::Memory), "{inputs:?} with {memory:?}");
            assert_eq!(ranges.count(), usize::from(fits), "{inputs:?} with {memory:?}");
        }
    }
}
