//! What lanes ask of the hardware and of each other: special registers, shuffles and votes.

use super::warp::Place;
use crate::program::{Shuffle, Special, Vote};
use crate::registers::{Lanes, Registers, Slots};

/// Writes a special register; `first` is the number of the warp's first thread.
pub(super) fn special_register(registers: &mut Registers, special: Special, slot: u16, first: u32, place: &Place) {
    let [x, y, _] = place.threads;
    let word = |lane: u32| {
        let thread = first + lane;
        match special {
            Special::Thread(0) => thread % x,
            Special::Thread(1) => thread / x % y,
            Special::Thread(_) => thread / x / y,
            Special::Threads(axis) => place.threads[axis],
            Special::Block(axis) => place.block[axis],
            Special::Blocks(axis) => place.blocks[axis],
            Special::Lane => lane,
            Special::Warp => first / 32,
            Special::WarpSize => 32,
            Special::Clock | Special::Clock64 | Special::DynamicShared => 0,
        }
    };
    match special {
        Special::Clock64 => {
            let now = clock();
            registers.put_doubles(slot, |_| now);
        }
        Special::DynamicShared => registers.put_doubles(slot, |_| place.dynamic_shared),
        Special::Clock => {
            let [a, b, c, d, ..] = clock().to_le_bytes();
            let now = u32::from_le_bytes([a, b, c, d]);
            registers.put_words(slot, |_| now);
        }
        _ => registers.put_words(slot, |lane| word(lane_number(lane))),
    }
}

/// `shfl.sync`: values of other lanes, and whether there was one to take.
pub(super) fn shuffle(registers: &mut Registers, mode: Shuffle, slots: &Slots) {
    let value = *registers.words(slots.from[0]);
    let lane_operand = *registers.words(slots.from[1]);
    let clamp = *registers.words(slots.from[2]);
    let active = registers.active;
    let source = |lane: usize| -> (usize, bool) {
        let own = lane_number(lane);
        let (given, clamp, segment) = (lane_operand[lane] & 31, clamp[lane] & 31, clamp[lane] >> 8 & 31);
        let top = own & segment | clamp & !segment;
        let bottom = own & segment;
        let (from, inside) = match mode {
            Shuffle::Up => (own.wrapping_sub(given), own >= given && own - given >= top),
            Shuffle::Down => (own + given, own + given <= top),
            Shuffle::Butterfly => (own ^ given, own ^ given <= top),
            Shuffle::Index => (bottom | given & !segment, bottom | given & !segment <= top),
        };
        if inside { (from as usize, true) } else { (lane, false) }
    };
    let mut valid = 0;
    for lane in Lanes(active) {
        valid |= u32::from(source(lane).1) << lane;
    }
    registers.put_words(slots.to[0], |lane| value[source(lane).0]);
    registers.put_predicate(slots.to[1], valid);
}

/// `vote.sync` and `activemask`.
pub(super) fn vote(registers: &mut Registers, mode: Vote, slots: &Slots) {
    let active = registers.active;
    let yes = if mode == Vote::Active { active } else { registers.predicate(slots.from[0]) & active };
    let holds = match mode {
        Vote::Ballot | Vote::Active => return registers.put_words(slots.to[0], |_| yes),
        Vote::All => yes == active,
        Vote::Any => yes != 0,
        Vote::Uniform => yes == 0 || yes == active,
    };
    registers.put_predicate(slots.to[0], if holds { u32::MAX } else { 0 });
}

pub(super) fn lane_number(lane: usize) -> u32 {
    u32::try_from(lane).expect("one of 32")
}

/// Nanoseconds since the first call, for `%clock64`.
fn clock() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
