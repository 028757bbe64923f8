//! Each opcode against arithmetic written another way, on edge values and seeded random ones.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the casts are what the opcodes are compared with"
)]

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::operation;
use crate::ptx::syntax::Width;
use crate::registers::{LANES, Registers, Slots, Window};

mod rounding;

const SEED: u64 = 0x10de;

/// Rounds of 32 inputs for each opcode.
const ROUNDS: usize = 40;

const EDGES: [u64; 24] = [
    0,
    1,
    2,
    3,
    31,
    32,
    33,
    63,
    64,
    255,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
    // Floats: 1, the largest, a denormal, and one that is no number.
    0x3f80_0000,
    0x7f7f_ffff,
    0x0000_0003,
    0x7fc0_0001,
];

fn input(random: &mut StdRng) -> u64 {
    match random.random_range(0..4) {
        0 => EDGES[random.random_range(0..EDGES.len())],
        1 => random.random_range(0..70),
        2 => u64::from(random.random_range(-4.0e9_f32..5.0e9).to_bits()),
        _ => random.next_u64(),
    }
}

/// Runs an opcode on up to four operands a lane, and compares each active lane's result; the other lanes keep
/// theirs.
fn check(opcode: &str, result: Option<Width>, expected: impl Fn([u64; 4]) -> u64) {
    let operation = operation(opcode, result).unwrap_or_else(|| panic!("{opcode} is not known"));
    let mut random = StdRng::seed_from_u64(SEED);
    let room = Window { words: 8, doubles: 8, predicates: 8 };
    for round in 0..ROUNDS {
        let active = if round % 2 == 0 { u32::MAX } else { random.next_u32() };
        // Constants are the last operand's word, for the faster way that some opcodes have.
        let constant = input(&mut random) as u32;
        let mut registers = Registers::new(&[constant], &[], room);
        let mut slots = Slots { to: [7; 4], from: [1, 2, 3, 4, 5] };
        let mut inputs = [[0; 4]; LANES];
        let operands = operation.shape.len() - 1;
        for (operand, &width) in operation.shape[1..].iter().enumerate() {
            for lane in inputs.iter_mut() {
                lane[operand] = match width {
                    Width::Predicate => input(&mut random) & 1,
                    Width::Half => input(&mut random) & 0xffff,
                    Width::Word => input(&mut random) & 0xffff_ffff,
                    Width::Double => input(&mut random),
                };
            }
            let slot = slots.from[operand];
            (registers.active, registers.whole) = (u32::MAX, true);
            match width {
                Width::Predicate => {
                    let bits = (0..LANES).fold(0, |bits, lane| bits | (inputs[lane][operand] as u32) << lane);
                    registers.put_predicate(slot, bits);
                }
                Width::Half | Width::Word => registers.put_words(slot, |lane| inputs[lane][operand] as u32),
                Width::Double => registers.put_doubles(slot, |lane| inputs[lane][operand]),
            }
        }
        let mut run = operation.run;
        if let (Some(fixed), true) = (operation.fixed, round % 3 == 0) {
            run = fixed;
            slots.from[operands - 1] = 0;
            inputs.iter_mut().for_each(|lane| lane[operands - 1] = u64::from(constant));
        }
        registers.put_words(7, |_| 0x5555);
        registers.put_doubles(7, |_| 0x5555);
        registers.put_predicate(7, 0);
        (registers.active, registers.whole) = (active, active == u32::MAX);
        run(&mut registers, &slots);
        for (lane, inputs) in inputs.iter().enumerate() {
            let got = match operation.shape[0] {
                Width::Predicate => u64::from(registers.predicate(7) >> lane & 1),
                Width::Half | Width::Word => u64::from(registers.words(7)[lane]),
                Width::Double => registers.doubles(7)[lane],
            };
            let untouched = if operation.shape[0] == Width::Predicate { 0 } else { 0x5555 };
            let expected = if active >> lane & 1 == 1 { expected(*inputs) } else { untouched };
            assert_eq!(got, expected, "{opcode} of {inputs:x?} in lane {lane}, seed {SEED}");
        }
    }
}

/// Opcodes on words.
fn words(opcode: &str, expected: impl Fn(u32, u32, u32) -> u32) {
    check(opcode, Some(Width::Word), |[a, b, c, _]| u64::from(expected(a as u32, b as u32, c as u32)));
}

fn signed(opcode: &str, expected: impl Fn(i32, i32, i32) -> i32) {
    words(opcode, |a, b, c| expected(a as i32, b as i32, c as i32) as u32);
}

fn doubles(opcode: &str, expected: impl Fn(u64, u64, u64) -> u64) {
    check(opcode, Some(Width::Double), |[a, b, c, _]| expected(a, b, c));
}

fn halves(opcode: &str, expected: impl Fn(u16, u16) -> u16) {
    check(opcode, Some(Width::Half), |[a, b, ..]| u64::from(expected(a as u16, b as u16)));
}

fn floats(opcode: &str, expected: impl Fn(f32, f32, f32) -> f32) {
    words(opcode, |a, b, c| {
        let result = expected(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
        if result.is_nan() { 0x7fff_ffff } else { result.to_bits() }
    });
}

fn comparison(opcode: &str, expected: impl Fn(u64, u64) -> bool) {
    check(opcode, None, |[a, b, ..]| u64::from(expected(a, b)));
}

#[test]
fn sums_and_products() {
    let wide = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let wide_signed = |a: u32, b: u32| i64::from(a as i32) * i64::from(b as i32);
    words("add.s32", |a, b, _| (u64::from(a) + u64::from(b)) as u32);
    words("sub.u32", |a, b, _| (i64::from(a) - i64::from(b)) as u32);
    words("mul.lo.s32", |a, b, _| wide(a, b) as u32);
    words("mul.hi.u32", |a, b, _| (wide(a, b) >> 32) as u32);
    words("mul.hi.s32", |a, b, _| (wide_signed(a, b) >> 32) as u32);
    words("mad.lo.s32", |a, b, c| (u128::from(wide(a, b)) + u128::from(c)) as u32);
    words("mad.hi.u32", |a, b, c| ((wide(a, b) >> 32) + u64::from(c)) as u32);
    words("mad.hi.s32", |a, b, c| ((wide_signed(a, b) >> 32) + i64::from(c as i32)) as u32);
    check("mul.wide.u32", None, |[a, b, ..]| wide(a as u32, b as u32));
    check("mul.wide.s32", None, |[a, b, ..]| wide_signed(a as u32, b as u32) as u64);
    check("mad.wide.u32", None, |[a, b, c, _]| (u128::from(wide(a as u32, b as u32)) + u128::from(c)) as u64);
    check("mad.wide.s32", None, |[a, b, c, _]| (i128::from(wide_signed(a as u32, b as u32)) + i128::from(c)) as u64);
    doubles("add.s64", |a, b, _| (u128::from(a) + u128::from(b)) as u64);
    doubles("sub.s64", |a, b, _| (i128::from(a) - i128::from(b)) as u64);
    doubles("mul.lo.s64", |a, b, _| (u128::from(a) * u128::from(b)) as u64);
    doubles("mul.hi.u64", |a, b, _| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    doubles("mul.hi.s64", |a, b, _| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
    doubles("mad.lo.s64", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    halves("add.s16", |a, b| (u32::from(a) + u32::from(b)) as u16);
    halves("mul.lo.s16", |a, b| (u32::from(a) * u32::from(b)) as u16);
    check("mul.wide.u16", None, |[a, b, ..]| a * b);
    check("mul.wide.s16", None, |[a, b, ..]| u64::from((i32::from(a as i16) * i32::from(b as i16)) as u32));
    words("sad.u32", |a, b, c| ((i64::from(a) - i64::from(b)).unsigned_abs() + u64::from(c)) as u32);
    signed("sad.s32", |a, b, c| ((i64::from(a) - i64::from(b)).abs() + i64::from(c)) as i32);
    words("dp4a.u32.u32", |a, b, c| {
        (0..4).fold(c, |sum, at| sum.wrapping_add((a >> (8 * at) & 255) * (b >> (8 * at) & 255)))
    });
}

#[test]
fn quotients_and_remainders() {
    words("div.u32", |a, b, _| (u128::from(a) << 64).checked_div(u128::from(b) << 64).map_or(u32::MAX, |q| q as u32));
    words("rem.u32", |a, b, _| if b == 0 { a } else { a % b });
    signed("div.s32", |a, b, _| if b == 0 { -1 } else { (i64::from(a) / i64::from(b)) as i32 });
    signed("rem.s32", |a, b, _| if b == 0 { a } else { (i64::from(a) % i64::from(b)) as i32 });
    doubles("div.u64", |a, b, _| (u128::from(a) << 64).checked_div(u128::from(b) << 64).map_or(u64::MAX, |q| q as u64));
    doubles("rem.u64", |a, b, _| if b == 0 { a } else { a % b });
    doubles("div.s64", |a, b, _| if b == 0 { u64::MAX } else { (i128::from(a as i64) / i128::from(b as i64)) as u64 });
    doubles("rem.s64", |a, b, _| if b == 0 { a } else { (i128::from(a as i64) % i128::from(b as i64)) as u64 });
}

#[test]
fn minima_maxima_and_signs() {
    words("min.u32", |a, b, _| if a < b { a } else { b });
    words("max.u32", |a, b, _| if a < b { b } else { a });
    signed("min.s32", |a, b, _| if a < b { a } else { b });
    signed("max.s32", |a, b, _| if a < b { b } else { a });
    doubles("min.s64", |a, b, _| if (a as i64) < b as i64 { a } else { b });
    doubles("max.u64", |a, b, _| if a < b { b } else { a });
    words("neg.s32", |a, _, _| (!a).wrapping_add(1));
    words("abs.s32", |a, _, _| if a >> 31 == 1 { (!a).wrapping_add(1) } else { a });
    doubles("neg.s64", |a, _, _| (!a).wrapping_add(1));
    halves("neg.s16", |a, _| (!a).wrapping_add(1));
}

#[test]
fn bits_and_shifts() {
    words("and.b32", |a, b, _| a & b);
    words("or.b32", |a, b, _| a | b);
    words("xor.b32", |a, b, _| a ^ b);
    words("not.b32", |a, _, _| u32::MAX - a);
    doubles("xor.b64", |a, b, _| a ^ b);
    words("shl.b32", |a, n, _| if n > 31 { 0 } else { a << n });
    words("shr.u32", |a, n, _| if n > 31 { 0 } else { a >> n });
    signed("shr.s32", |a, n, _| a >> (n as u32).min(31));
    check("shl.b64", None, |[a, n, ..]| if n > 63 { 0 } else { a << n });
    check("shr.u64", None, |[a, n, ..]| if n > 63 { 0 } else { a >> n });
    check("shr.s64", None, |[a, n, ..]| (a as i64 >> n.min(63)) as u64);
    check("shr.u16", None, |[a, n, ..]| if n > 15 { 0 } else { a >> n });
    check("shr.s16", None, |[a, n, ..]| u64::from((a as i16 >> n.min(15)) as u16));
    let funnel = |a: u32, b: u32| u128::from(b) << 32 | u128::from(a);
    words("shf.l.wrap.b32", |a, b, n| ((funnel(a, b) << (n % 32)) >> 32) as u32);
    words("shf.r.wrap.b32", |a, b, n| (funnel(a, b) >> (n % 32)) as u32);
    words("shf.l.clamp.b32", |a, b, n| ((funnel(a, b) << n.min(32)) >> 32) as u32);
    words("shf.r.clamp.b32", |a, b, n| (funnel(a, b) >> n.min(32)) as u32);
    words("popc.b32", |a, _, _| (0..32).map(|bit| a >> bit & 1).sum());
    check("popc.b64", None, |[a, ..]| (0..64).map(|bit| a >> bit & 1).sum());
    words("clz.b32", |a, _, _| (0..32).take_while(|bit| a << bit >> 31 == 0).count() as u32);
    check("clz.b64", None, |[a, ..]| (0..64).take_while(|bit| a << bit >> 63 == 0).count() as u64);
    words("brev.b32", |a, _, _| (0..32).fold(0, |sum, bit| sum | (a >> bit & 1) << (31 - bit)));
    doubles("brev.b64", |a, _, _| (0..64).fold(0, |sum, bit| sum | (a >> bit & 1) << (63 - bit)));
    words("bfind.u32", |a, _, _| (0..32).rev().find(|bit| a >> bit & 1 == 1).unwrap_or(u32::MAX));
    words("bfind.shiftamt.u32", |a, _, _| (0..32).find(|bit| a << bit >> 31 == 1).unwrap_or(u32::MAX));
    halves("and.b16", |a, b| a & b);
    for opcode in ["selp.b32", "selp.u32", "selp.f32"] {
        words(opcode, |a, b, p| if p == 1 { a } else { b });
    }
    check("selp.u16", Some(Width::Half), |[a, b, p, _]| if p == 1 { a } else { b });
    for opcode in ["mov.u32", "mov.f32", "mov.b32"] {
        words(opcode, |a, _, _| a);
    }
    doubles("mov.u64", |a, _, _| a);
    comparison("mov.pred", |a, _| a == 1);
    comparison("not.pred", |a, _| a == 0);
    comparison("and.pred", |a, b| a + b == 2);
    comparison("or.pred", |a, b| a + b > 0);
    comparison("xor.pred", |a, b| a + b == 1);
    check("selp.b64", None, |[a, b, p, _]| if p == 1 { a } else { b });
}

#[test]
fn fields_bytes_and_tables() {
    // As the ISA's own description counts bits.
    let extract = |a: u64, at: u64, len: u64, top: u64, signed: bool| {
        let (at, len) = (at & 255, len & 255);
        let sign = if !signed || len == 0 { 0 } else { a >> (at + len - 1).min(top) & 1 };
        (0..=top)
            .fold(0, |sum, bit| sum | (if bit < len && at + bit <= top { a >> (at + bit) & 1 } else { sign }) << bit)
    };
    check("bfe.u32", None, |[a, at, len, _]| extract(a, at, len, 31, false));
    check("bfe.s32", None, |[a, at, len, _]| extract(a, at, len, 31, true));
    check("bfe.u64", None, |[a, at, len, _]| extract(a, at, len, 63, false));
    check("bfe.s64", None, |[a, at, len, _]| extract(a, at, len, 63, true));
    let insert = |a: u64, b: u64, at: u64, len: u64, top: u64| {
        let (at, len) = (at & 255, len & 255);
        (0..len)
            .filter(|bit| at + bit <= top && *bit < 64)
            .fold(b, |sum, bit| sum & !(1 << (at + bit)) | (a >> bit & 1) << (at + bit))
    };
    check("bfi.b32", None, |[a, b, at, len]| insert(a, b, at, len, 31));
    check("bfi.b64", None, |[a, b, at, len]| insert(a, b, at, len, 63));
    words("prmt.b32", |a, b, selector| {
        let bytes: Vec<u8> = a.to_le_bytes().into_iter().chain(b.to_le_bytes()).collect();
        let pick = |place: usize| {
            let choice = selector >> (4 * place) & 15;
            let byte = bytes[(choice & 7) as usize];
            if choice < 8 {
                byte
            } else if byte < 128 {
                0
            } else {
                255
            }
        };
        u32::from_le_bytes([pick(0), pick(1), pick(2), pick(3)])
    });
    check("lop3.b32", None, |[a, b, c, table]| {
        (0..32).fold(0, |sum, bit| {
            let row = (a >> bit & 1) * 4 + (b >> bit & 1) * 2 + (c >> bit & 1);
            sum | (table >> row & 1) << bit
        })
    });
}

#[test]
fn floats_are_those_of_rust() {
    floats("add.rn.f32", |a, b, _| a + b);
    floats("sub.rn.f32", |a, b, _| a - b);
    floats("mul.rn.f32", |a, b, _| a * b);
    floats("div.rn.f32", |a, b, _| a / b);
    floats("rcp.rn.f32", |a, _, _| 1.0 / a);
    floats("sqrt.rn.f32", |a, _, _| a.sqrt());
    floats("fma.rn.f32", f32::mul_add);
    words("neg.f32", |a, _, _| (-f32::from_bits(a)).to_bits());
    words("abs.f32", |a, _, _| f32::from_bits(a).abs().to_bits());
    let total = |a: f32, b: f32, least: bool| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a.total_cmp(&b).is_lt() == least => a,
        _ => b,
    };
    floats("min.f32", |a, b, _| total(a, b, true));
    floats("max.f32", |a, b, _| total(a, b, false));
    doubles("fma.rn.f64", |a, b, c| {
        let result = f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c));
        if result.is_nan() { 0x7fff_ffff_ffff_ffff } else { result.to_bits() }
    });
}

#[test]
fn conversions() {
    check("cvt.u32.u64", Some(Width::Word), |[a, ..]| a & 0xffff_ffff);
    check("cvt.u64.u32", None, |[a, ..]| a);
    check("cvt.s64.s32", None, |[a, ..]| i64::from(a as i32) as u64);
    check("cvt.s32.s8", Some(Width::Word), |[a, ..]| u64::from(i32::from(a as i8) as u32));
    check("cvt.s16.s8", Some(Width::Half), |[a, ..]| u64::from(i16::from(a as i8) as u16));
    check("cvt.u16.u32", Some(Width::Half), |[a, ..]| a & 0xffff);
    check("cvt.u32.u8", Some(Width::Word), |[a, ..]| a & 0xff);
    check("cvt.rn.f32.u32", None, |[a, ..]| u64::from((a as f32).to_bits()));
    check("cvt.rn.f32.s32", None, |[a, ..]| u64::from((a as i32 as f32).to_bits()));
    check("cvt.rn.f32.u64", None, |[a, ..]| u64::from((a as f32).to_bits()));
    check("cvt.rn.f32.s64", None, |[a, ..]| u64::from((a as i64 as f32).to_bits()));
    words("cvt.rzi.u32.f32", |a, _, _| f32::from_bits(a) as u32);
    words("cvt.rzi.s32.f32", |a, _, _| f32::from_bits(a) as i32 as u32);
    words("cvt.rmi.s32.f32", |a, _, _| f32::from_bits(a).floor() as i32 as u32);
    words("cvt.rni.s32.f32", |a, _, _| f32::from_bits(a).round_ties_even() as i32 as u32);
    check("cvt.rzi.s64.f32", None, |[a, ..]| {
        let value = f32::from_bits(a as u32);
        if value.is_nan() { 1 << 63 } else { value as i64 as u64 }
    });
    floats("cvt.rzi.f32.f32", |a, _, _| a.trunc());
    floats("cvt.rmi.f32.f32", |a, _, _| a.floor());
    floats("cvt.rpi.f32.f32", |a, _, _| a.ceil());
    floats("cvt.rni.f32.f32", |a, _, _| a.round_ties_even());
}

#[test]
fn halves_of_floats_go_there_and_back() {
    let run = |opcode: &str, width: Width, value: u32| {
        let operation = operation(opcode, Some(width)).unwrap();
        let mut registers = Registers::new(&[], &[], Window { words: 2, ..Window::default() });
        (registers.active, registers.whole) = (1, false);
        registers.set_word(0, 0, value);
        (operation.run)(&mut registers, &Slots { to: [1; 4], from: [0; 5] });
        registers.words(1)[0]
    };
    let float = |half: u32| run("cvt.f32.f16", Width::Word, half);
    let half = |float: u32| run("cvt.rn.f16.f32", Width::Half, float);
    assert_eq!(float(0x3c00), 1.0_f32.to_bits());
    assert_eq!(float(0x0001), 2_f32.powi(-24).to_bits());
    assert_eq!(float(0x7bff), 65504.0_f32.to_bits());
    for bits in 0..0x1_0000_u32 {
        let whole = bits & 0x7c00 != 0x7c00 || bits & 0x3ff == 0;
        assert_eq!(half(float(bits)), if whole { bits } else { 0x7fff }, "{bits:#x}");
        // Halfway to the next half goes to the even one, and a little more goes up.
        if bits & 0x7fff < 0x7bff {
            let middle = f32::midpoint(f32::from_bits(float(bits)), f32::from_bits(float(bits + 1)));
            assert_eq!(half(middle.to_bits()), bits + (bits & 1), "above {bits:#x}");
            assert_eq!(half(middle.to_bits() + 1), bits + 1, "past the middle above {bits:#x}");
        }
    }
    assert_eq!(half(65520.0_f32.to_bits()), 0x7c00);
}

#[test]
fn comparisons() {
    comparison("setp.eq.s32", |a, b| a as u32 == b as u32);
    comparison("setp.ne.s64", |a, b| a != b);
    comparison("setp.lt.s32", |a, b| (a as i32) < b as i32);
    comparison("setp.lt.u32", |a, b| (a as u32) < b as u32);
    comparison("setp.ge.u64", |a, b| a >= b);
    comparison("setp.gt.s64", |a, b| a as i64 > b as i64);
    comparison("setp.le.s16", |a, b| a as i16 <= b as i16);
    comparison("setp.eq.s16", |a, b| a == b);
    comparison("setp.ne.s16", |a, b| a != b);
    comparison("setp.eq.b32", |a, b| a == b);
    comparison("setp.ne.s32", |a, b| a != b);
    comparison("setp.ge.u32", |a, b| a as u32 >= b as u32);
    let ordered = |a: u64, b: u64| f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32));
    comparison("setp.lt.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_lt));
    comparison("setp.le.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_le));
    comparison("setp.eq.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_eq));
    comparison("setp.gt.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_gt));
    comparison("setp.ge.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_ge));
    comparison("setp.gtu.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_gt));
    comparison("setp.leu.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_le));
    comparison("setp.equ.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_eq));
    comparison("setp.ne.f32", |a, b| ordered(a, b).is_some_and(std::cmp::Ordering::is_ne));
    comparison("setp.neu.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_ne));
    comparison("setp.geu.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_ge));
    comparison("setp.ltu.f32", |a, b| ordered(a, b).is_none_or(std::cmp::Ordering::is_lt));
    comparison("setp.num.f32", |a, b| ordered(a, b).is_some());
    comparison("setp.nan.f32", |a, b| ordered(a, b).is_none());
}
