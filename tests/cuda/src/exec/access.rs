//! What a warp's loads and stores reach, and the checks that each of them passes.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::Wrong;
use crate::memory::{Block, LOCAL_WINDOW, SHARED_WINDOW, Sort, View};
use crate::program::{Access, Atomic, MemorySpace, Update};
use crate::ptx::syntax::Space;
use crate::registers::{LANES, Lanes, Registers, Slots};

/// Bytes of a window.
const WINDOW: u64 = 1 << 32;

/// The memory of a block of threads.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    view: &'a View,
    params: &'a [u8],
    pub(super) shared: Vec<u8>,
    /// Of each instruction, where in the view its last access was.
    hints: Vec<u32>,
}

/// Where one access goes.
enum Target<'a> {
    Block(&'a Block, usize),
    Shared(usize),
    Local(usize),
    Param(usize),
}

impl<'a> Reach<'a> {
    pub(super) fn new(view: &'a View, params: &'a [u8], shared: usize, instructions: usize) -> Self {
        Self { view, params, shared: vec![0; shared], hints: vec![0; instructions + 1] }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a warp that an access needs")]
    #[inline]
    pub(super) fn load(
        &mut self,
        registers: &mut Registers,
        local: &mut [u8],
        stack: u64,
        frame: u64,
        access: &Access,
        slots: &Slots,
        at: u32,
    ) -> Result<(), (Wrong, usize)> {
        let addresses = addresses(registers, access, slots);
        if access.space == MemorySpace::State(Space::Global) && access.bytes == 4 && !access.double && access.count == 1
        {
            return self.load_words(registers, &addresses, slots.to[0], at);
        }
        let bytes = u64::from(access.bytes);
        for lane in Lanes(registers.active) {
            let size = bytes * u64::from(access.count);
            let address = addresses[lane];
            let target = self.target(access.space, address, size, stack, frame, lane, at);
            let target = target.map_err(|wrong| (wrong, lane))?;
            for (element, &slot) in (0_usize..).zip(&slots.to[..usize::from(access.count)]) {
                let step = element * usize::from(access.bytes);
                let value = match target {
                    Target::Block(block, offset) => block.load(offset + step, access.bytes),
                    Target::Shared(offset) => from_bytes(&self.shared[offset + step..], access.bytes),
                    Target::Local(offset) => from_bytes(&local[offset + step..], access.bytes),
                    Target::Param(offset) => from_bytes(&self.params[offset + step..], access.bytes),
                };
                set(registers, access, slot, lane, value);
            }
        }
        Ok(())
    }

    /// Plain words of global memory: the most common load.
    #[expect(clippy::cast_possible_truncation, reason = "four bytes were asked for")]
    fn load_words(
        &mut self,
        registers: &mut Registers,
        addresses: &[u64; LANES],
        slot: u16,
        at: u32,
    ) -> Result<(), (Wrong, usize)> {
        let mut values = [0; LANES];
        for lane in Lanes(registers.active) {
            let address = addresses[lane];
            if !address.is_multiple_of(4) {
                return Err((Wrong::Alignment(address), lane));
            }
            let hint = &mut self.hints[at as usize];
            let (block, offset) = self.view.find(address, 4, hint).ok_or((Wrong::Address(address), lane))?;
            values[lane] = block.load(offset, 4) as u32;
        }
        registers.put_words(slot, |lane| values[lane]);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a warp that an access needs")]
    #[inline]
    pub(super) fn store(
        &mut self,
        registers: &mut Registers,
        local: &mut [u8],
        stack: u64,
        frame: u64,
        access: &Access,
        slots: &Slots,
        at: u32,
    ) -> Result<(), (Wrong, usize)> {
        let addresses = addresses(registers, access, slots);
        let bytes = u64::from(access.bytes);
        for lane in Lanes(registers.active) {
            let size = bytes * u64::from(access.count);
            let address = addresses[lane];
            let target = self.target(access.space, address, size, stack, frame, lane, at);
            let target = target.map_err(|wrong| (wrong, lane))?;
            for (element, &slot) in (0_usize..).zip(&slots.from[1..=usize::from(access.count)]) {
                let step = element * usize::from(access.bytes);
                let value =
                    if access.double { registers.doubles(slot)[lane] } else { u64::from(registers.words(slot)[lane]) };
                match target {
                    Target::Block(block, _) if block.sort == Sort::Constant => {
                        return Err((Wrong::Address(address), lane));
                    }
                    Target::Block(block, offset) => block.store(offset + step, access.bytes, value),
                    Target::Shared(offset) => to_bytes(&mut self.shared[offset + step..], access.bytes, value),
                    Target::Local(offset) => to_bytes(&mut local[offset + step..], access.bytes, value),
                    Target::Param(_) => return Err((Wrong::Address(address), lane)),
                }
            }
        }
        Ok(())
    }

    /// Lanes take their turns in order.
    pub(super) fn atomic(
        &mut self,
        registers: &mut Registers,
        atomic: &Atomic,
        slots: &Slots,
        at: u32,
    ) -> Result<(), (Wrong, usize)> {
        let access = &atomic.access;
        let addresses = addresses(registers, access, slots);
        for lane in Lanes(registers.active) {
            let address = addresses[lane];
            let target = self.target(access.space, address, u64::from(access.bytes), 0, 0, lane, at);
            let target = target.map_err(|wrong| (wrong, lane))?;
            let operand = |slot: u16| {
                if access.double { registers.doubles(slot)[lane] } else { u64::from(registers.words(slot)[lane]) }
            };
            let (first, second) = (operand(slots.from[1]), operand(slots.from[2]));
            let update = |old: u64| updated(atomic.update, old, first, second, access.bytes);
            let old = match target {
                Target::Block(block, _) if block.sort == Sort::Constant => {
                    return Err((Wrong::Address(address), lane));
                }
                Target::Block(block, offset) => update_block(block, offset, access.bytes, update),
                Target::Shared(offset) => {
                    let place = &mut self.shared[offset..];
                    let old = from_bytes(place, access.bytes);
                    to_bytes(place, access.bytes, update(old));
                    old
                }
                Target::Local(_) | Target::Param(_) => return Err((Wrong::Address(address), lane)),
            };
            if atomic.result {
                set(registers, access, slots.to[0], lane, old);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a warp that an access needs")]
    #[inline(always)]
    fn target(
        &mut self,
        space: MemorySpace,
        address: u64,
        size: u64,
        stack: u64,
        frame: u64,
        lane: usize,
        at: u32,
    ) -> Result<Target<'a>, Wrong> {
        if !address.is_multiple_of(size) {
            return Err(Wrong::Alignment(address));
        }
        let inside = |offset: u64, room: u64| {
            let fits = offset <= room && size <= room - offset;
            if fits {
                usize::try_from(offset).map_err(|_| Wrong::Address(address))
            } else {
                Err(Wrong::Address(address))
            }
        };
        let lane_base = || lane * usize::try_from(stack).expect("a stack is small");
        let (space, offset) = match space {
            MemorySpace::Frame => return Ok(Target::Local(lane_base() + inside(frame + address, stack)?)),
            MemorySpace::State(Space::Generic) if address.wrapping_sub(SHARED_WINDOW) < WINDOW => {
                (Space::Shared, address - SHARED_WINDOW)
            }
            MemorySpace::State(Space::Generic) if address.wrapping_sub(LOCAL_WINDOW) < WINDOW => {
                (Space::Local, address - LOCAL_WINDOW)
            }
            MemorySpace::State(space) => (space, address),
        };
        match space {
            Space::Shared => Ok(Target::Shared(inside(offset, self.shared.len() as u64)?)),
            Space::Local => Ok(Target::Local(lane_base() + inside(offset, stack)?)),
            Space::Param => Ok(Target::Param(inside(offset, self.params.len() as u64)?)),
            Space::Generic | Space::Global | Space::Const => {
                let hint = &mut self.hints[at as usize];
                let (block, offset) = self.view.find(address, size, hint).ok_or(Wrong::Address(address))?;
                Ok(Target::Block(block, offset))
            }
        }
    }
}

#[inline(always)]
fn addresses(registers: &Registers, access: &Access, slots: &Slots) -> [u64; LANES] {
    let mut addresses = [0; LANES];
    if access.wide {
        for (address, base) in addresses.iter_mut().zip(registers.doubles(slots.from[0])) {
            *address = base.wrapping_add_signed(access.offset);
        }
    } else {
        for (address, &base) in addresses.iter_mut().zip(registers.words(slots.from[0])) {
            *address = u64::from(base).wrapping_add_signed(access.offset);
        }
    }
    addresses
}

/// Writes a loaded value, its sign extended to the register's width.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the value has the access's bytes")]
fn set(registers: &mut Registers, access: &Access, slot: u16, lane: usize, value: u64) {
    let spare = 64 - 8 * u32::from(access.bytes);
    let value = if access.signed { ((value << spare).cast_signed() >> spare).cast_unsigned() } else { value };
    if access.double {
        registers.set_double(slot, lane, value);
    } else if access.half {
        registers.set_word(slot, lane, value as u32 & 0xffff);
    } else {
        registers.set_word(slot, lane, value as u32);
    }
}

#[inline(always)]
fn from_bytes(place: &[u8], bytes: u8) -> u64 {
    match (bytes, place.first_chunk::<4>()) {
        (4, Some(word)) => u64::from(u32::from_le_bytes(*word)),
        _ => {
            let mut word = [0; 8];
            word[..usize::from(bytes)].copy_from_slice(&place[..usize::from(bytes)]);
            u64::from_le_bytes(word)
        }
    }
}

#[inline(always)]
fn to_bytes(place: &mut [u8], bytes: u8, value: u64) {
    place[..usize::from(bytes)].copy_from_slice(&value.to_le_bytes()[..usize::from(bytes)]);
}

/// Updates of two words are not done by one instruction of the host; they take turns here.
static DOUBLE_UPDATES: Mutex<()> = Mutex::new(());

#[expect(clippy::cast_possible_truncation, reason = "a word is updated")]
fn update_block(block: &Block, offset: usize, bytes: u8, update: impl Fn(u64) -> u64) -> u64 {
    if bytes == 4 {
        let next = |old: u32| Some(update(u64::from(old)) as u32);
        return u64::from(block.word(offset).fetch_update(Relaxed, Relaxed, next).expect("an update gives a value"));
    }
    let _turn = DOUBLE_UPDATES.lock().unwrap_or_else(PoisonError::into_inner);
    let old = block.load(offset, 8);
    block.store(offset, 8, update(old));
    old
}

fn updated(update: Update, old: u64, first: u64, second: u64, bytes: u8) -> u64 {
    let spare = 64 - 8 * u32::from(bytes);
    let signed = |value: u64| (value << spare).cast_signed();
    let new = match update {
        Update::Add => old.wrapping_add(first),
        Update::Exchange => first,
        Update::Compare => {
            if old == first {
                second
            } else {
                old
            }
        }
        Update::Increment => {
            if old >= first {
                0
            } else {
                old + 1
            }
        }
        Update::Decrement => {
            if old == 0 || old > first {
                first
            } else {
                old - 1
            }
        }
        Update::Min => old.min(first),
        Update::Max => old.max(first),
        Update::SignedMin => {
            if signed(first) < signed(old) {
                first
            } else {
                old
            }
        }
        Update::SignedMax => {
            if signed(first) > signed(old) {
                first
            } else {
                old
            }
        }
        Update::And => old & first,
        Update::Or => old | first,
        Update::Xor => old ^ first,
    };
    new << spare >> spare
}
