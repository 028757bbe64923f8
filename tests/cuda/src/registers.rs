//! The registers of a warp: each register is a plane with one value a lane, so that an instruction is read
//! once for 32 threads.

use crate::ptx::syntax::Width;

/// Threads of a warp.
pub(crate) const LANES: usize = 32;

/// One 32-bit value a lane.
pub(crate) type Words = [u32; LANES];
/// One 64-bit value a lane.
pub(crate) type Doubles = [u64; LANES];

/// Where an instruction reads and writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slots {
    pub(crate) to: [u16; 4],
    pub(crate) from: [u16; 5],
}

/// An arithmetic instruction.
pub(crate) type Run = fn(&mut Registers, &Slots);

/// The planes of a warp. The first slots of words and doubles hold the program's constants; the slots after
/// them count from the window of the function that runs.
#[derive(Debug)]
pub(crate) struct Registers {
    words: Vec<Words>,
    doubles: Vec<Doubles>,
    predicates: Vec<u32>,
    fixed: (usize, usize),
    window: Window,
    /// Lanes that execute.
    pub(crate) active: u32,
    /// Whether no other lane has a use for its registers, so that all may be written.
    pub(crate) whole: bool,
}

/// First slots of a function's words, doubles and predicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) words: usize,
    pub(crate) doubles: usize,
    pub(crate) predicates: usize,
}

impl Registers {
    /// Registers for one function, with the constants filled in.
    pub(crate) fn new(words: &[u32], doubles: &[u64], room: Window) -> Self {
        let mut registers = Self {
            words: words.iter().map(|&value| [value; LANES]).collect(),
            doubles: doubles.iter().map(|&value| [value; LANES]).collect(),
            predicates: Vec::new(),
            fixed: (words.len(), doubles.len()),
            window: Window::default(),
            active: 0,
            whole: false,
        };
        registers.enter(Window::default(), room);
        registers
    }

    /// Moves to the window of a function that needs `room`.
    pub(crate) fn enter(&mut self, window: Window, room: Window) {
        self.window = window;
        let words = self.fixed.0 + window.words + room.words;
        let doubles = self.fixed.1 + window.doubles + room.doubles;
        let predicates = window.predicates + room.predicates;
        if self.words.len() < words {
            self.words.resize(words, [0; LANES]);
        }
        if self.doubles.len() < doubles {
            self.doubles.resize(doubles, [0; LANES]);
        }
        if self.predicates.len() < predicates {
            self.predicates.resize(predicates, 0);
        }
    }

    #[inline(always)]
    fn word_at(&self, slot: u16) -> usize {
        let slot = usize::from(slot);
        if slot < self.fixed.0 { slot } else { slot + self.window.words }
    }

    #[inline(always)]
    fn double_at(&self, slot: u16) -> usize {
        let slot = usize::from(slot);
        if slot < self.fixed.1 { slot } else { slot + self.window.doubles }
    }

    #[inline(always)]
    pub(crate) fn words(&self, slot: u16) -> &Words {
        &self.words[self.word_at(slot)]
    }

    #[inline(always)]
    pub(crate) fn doubles(&self, slot: u16) -> &Doubles {
        &self.doubles[self.double_at(slot)]
    }

    #[inline(always)]
    pub(crate) fn predicate(&self, slot: u16) -> u32 {
        self.predicates[self.window.predicates + usize::from(slot)]
    }

    #[inline(always)]
    pub(crate) fn put_words(&mut self, slot: u16, value: impl Fn(usize) -> u32) {
        let at = self.word_at(slot);
        let plane = &mut self.words[at];
        if self.whole {
            for (lane, place) in plane.iter_mut().enumerate() {
                *place = value(lane);
            }
        } else {
            for lane in Lanes(self.active) {
                plane[lane] = value(lane);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn put_doubles(&mut self, slot: u16, value: impl Fn(usize) -> u64) {
        let at = self.double_at(slot);
        let plane = &mut self.doubles[at];
        if self.whole {
            for (lane, place) in plane.iter_mut().enumerate() {
                *place = value(lane);
            }
        } else {
            for lane in Lanes(self.active) {
                plane[lane] = value(lane);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn set_word(&mut self, slot: u16, lane: usize, value: u32) {
        let at = self.word_at(slot);
        self.words[at][lane] = value;
    }

    #[inline(always)]
    pub(crate) fn set_double(&mut self, slot: u16, lane: usize, value: u64) {
        let at = self.double_at(slot);
        self.doubles[at][lane] = value;
    }

    /// Writes the active lanes' bits.
    #[inline(always)]
    pub(crate) fn put_predicate(&mut self, slot: u16, bits: u32) {
        let place = &mut self.predicates[self.window.predicates + usize::from(slot)];
        *place = *place & !self.active | bits & self.active;
    }
}

/// The lanes of a mask, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes(pub(crate) u32);

impl Iterator for Lanes {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let lane = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(lane as usize)
    }
}

/// How an operand's bits are read and written.
pub(crate) trait Kind {
    /// A lane's value.
    type Item: Copy;
    /// All lanes, copied out of the registers.
    type Plane: Copy;
    /// The registers that hold it.
    const WIDTH: Width;
    fn plane(registers: &Registers, slot: u16) -> Self::Plane;
    fn item(plane: &Self::Plane, lane: usize) -> Self::Item;
    fn put(registers: &mut Registers, slot: u16, value: impl Fn(usize) -> Self::Item);
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident: $item:ty, $width:ident, $planes:ty, $get:ident, $put:ident,
     |$bits:ident| $read:expr, |$value:ident| $write:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl Kind for $name {
            type Item = $item;
            type Plane = $planes;
            const WIDTH: Width = Width::$width;

            #[inline(always)]
            fn plane(registers: &Registers, slot: u16) -> $planes {
                *registers.$get(slot)
            }

            #[inline(always)]
            fn item(plane: &$planes, lane: usize) -> $item {
                let $bits = plane[lane];
                $read
            }

            #[inline(always)]
            fn put(registers: &mut Registers, slot: u16, value: impl Fn(usize) -> $item) {
                registers.$put(slot, |lane| {
                    let $value = value(lane);
                    $write
                });
            }
        }
    };
}

kind!(U32: u32, Word, Words, words, put_words, |bits| bits, |value| value);
kind!(I32: i32, Word, Words, words, put_words, |bits| bits.cast_signed(), |value| value.cast_unsigned());
kind!(
    /// Results that are not numbers become the one NaN of the hardware.
    F32: f32, Word, Words, words, put_words, |bits| f32::from_bits(bits), |value| canonical(value)
);
kind!(
    U16: u16, Half, Words, words, put_words, |bits| low_half(bits), |value| u32::from(value)
);
kind!(
    I16: i16, Half, Words, words, put_words, |bits| low_half(bits).cast_signed(), |value| u32::from(value.cast_unsigned())
);
kind!(U64: u64, Double, Doubles, doubles, put_doubles, |bits| bits, |value| value);
kind!(I64: i64, Double, Doubles, doubles, put_doubles, |bits| bits.cast_signed(), |value| value.cast_unsigned());
kind!(
    F64: f64, Double, Doubles, doubles, put_doubles, |bits| f64::from_bits(bits), |value| canonical_double(value)
);

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low_half(bits: u32) -> u16 {
    bits as u16
}

/// A predicate.
pub(crate) struct Bit;

impl Kind for Bit {
    type Item = bool;
    type Plane = u32;
    const WIDTH: Width = Width::Predicate;

    #[inline(always)]
    fn plane(registers: &Registers, slot: u16) -> u32 {
        registers.predicate(slot)
    }

    #[inline(always)]
    fn item(plane: &u32, lane: usize) -> bool {
        plane >> lane & 1 == 1
    }

    #[inline(always)]
    fn put(registers: &mut Registers, slot: u16, value: impl Fn(usize) -> bool) {
        let bits = (0..LANES).fold(0, |bits, lane| bits | u32::from(value(lane)) << lane);
        registers.put_predicate(slot, bits);
    }
}

/// Bits of the result of float arithmetic.
#[inline(always)]
pub(crate) fn canonical(value: f32) -> u32 {
    if value.is_nan() { 0x7fff_ffff } else { value.to_bits() }
}

#[inline(always)]
fn canonical_double(value: f64) -> u64 {
    if value.is_nan() { 0x7fff_ffff_ffff_ffff } else { value.to_bits() }
}
