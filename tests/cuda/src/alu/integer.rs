//! Integer, logic and move opcodes.
#![expect(clippy::cast_possible_truncation, reason = "low halves are what these opcodes are about")]

use super::{Operation, op};
use crate::registers::{Kind as _, U32};

pub(super) fn operation(opcode: &str) -> Option<Operation> {
    Some(match opcode {
        "mov.b16" | "mov.u16" | "mov.s16" => op!(U16; U16 a => a),
        "mov.b32" | "mov.u32" | "mov.s32" | "mov.f32" => op!(U32; U32 a => a),
        "mov.b64" | "mov.u64" | "mov.s64" | "mov.f64" => op!(U64; U64 a => a),
        "mov.pred" => op!(Bit; Bit a => a),

        "add.u16" | "add.s16" => op!(U16; U16 a, U16 b => a.wrapping_add(b)),
        "add.u32" | "add.s32" => op!(U32; U32 a, U32 b => a.wrapping_add(b)),
        "add.u64" | "add.s64" => op!(U64; U64 a, U64 b => a.wrapping_add(b)),
        "add.sat.s32" => op!(I32; I32 a, I32 b => a.saturating_add(b)),
        "sub.u16" | "sub.s16" => op!(U16; U16 a, U16 b => a.wrapping_sub(b)),
        "sub.u32" | "sub.s32" => op!(U32; U32 a, U32 b => a.wrapping_sub(b)),
        "sub.u64" | "sub.s64" => op!(U64; U64 a, U64 b => a.wrapping_sub(b)),
        "sub.sat.s32" => op!(I32; I32 a, I32 b => a.saturating_sub(b)),
        "neg.s16" => op!(I16; I16 a => a.wrapping_neg()),
        "neg.s32" => op!(I32; I32 a => a.wrapping_neg()),
        "neg.s64" => op!(I64; I64 a => a.wrapping_neg()),
        "abs.s16" => op!(I16; I16 a => a.wrapping_abs()),
        "abs.s32" => op!(I32; I32 a => a.wrapping_abs()),
        "abs.s64" => op!(I64; I64 a => a.wrapping_abs()),

        "mul.lo.u16" | "mul.lo.s16" => op!(U16; U16 a, U16 b => a.wrapping_mul(b)),
        "mul.lo.u32" | "mul.lo.s32" => op!(U32; U32 a, U32 b => a.wrapping_mul(b)),
        "mul.lo.u64" | "mul.lo.s64" => op!(U64; U64 a, U64 b => a.wrapping_mul(b)),
        "mul.hi.u32" => op!(U32; U32 a, U32 b => ((u64::from(a) * u64::from(b)) >> 32) as u32),
        "mul.hi.s32" => op!(I32; I32 a, I32 b => ((i64::from(a) * i64::from(b)) >> 32) as i32),
        "mul.hi.u64" => op!(U64; U64 a, U64 b => ((u128::from(a) * u128::from(b)) >> 64) as u64),
        "mul.hi.s64" => op!(I64; I64 a, I64 b => ((i128::from(a) * i128::from(b)) >> 64) as i64),
        "mul.wide.u16" => op!(U32; U16 a, U16 b => u32::from(a) * u32::from(b)),
        "mul.wide.s16" => op!(I32; I16 a, I16 b => i32::from(a) * i32::from(b)),
        "mul.wide.u32" => op!(U64; U32 a, U32 b => u64::from(a) * u64::from(b)),
        "mul.wide.s32" => op!(I64; I32 a, I32 b => i64::from(a) * i64::from(b)),
        "mad.lo.u16" | "mad.lo.s16" => op!(U16; U16 a, U16 b, U16 c => a.wrapping_mul(b).wrapping_add(c)),
        "mad.lo.u32" | "mad.lo.s32" => op!(U32; U32 a, U32 b, U32 c => a.wrapping_mul(b).wrapping_add(c)),
        "mad.lo.u64" | "mad.lo.s64" => op!(U64; U64 a, U64 b, U64 c => a.wrapping_mul(b).wrapping_add(c)),
        "mad.hi.u32" => {
            op!(U32; U32 a, U32 b, U32 c => (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c))
        }
        "mad.hi.s32" => {
            op!(I32; I32 a, I32 b, I32 c => (((i64::from(a) * i64::from(b)) >> 32) as i32).wrapping_add(c))
        }
        "mad.wide.u32" => op!(U64; U32 a, U32 b, U64 c => (u64::from(a) * u64::from(b)).wrapping_add(c)),
        "mad.wide.s32" => op!(I64; I32 a, I32 b, I64 c => (i64::from(a) * i64::from(b)).wrapping_add(c)),
        "sad.u32" => op!(U32; U32 a, U32 b, U32 c => a.abs_diff(b).wrapping_add(c)),
        "sad.s32" => op!(U32; I32 a, I32 b, U32 c => a.abs_diff(b).wrapping_add(c)),
        "dp4a.u32.u32" => op!(U32; U32 a, U32 b, U32 c => dot(a, b, c)),
        "dp4a.s32.s32" => op!(I32; I32 a, I32 b, I32 c => signed_dot(a, b, c)),

        // Hardware leaves division by zero open; all ones is what cards were seen to give.
        "div.u16" => op!(U16; U16 a, U16 b => a.checked_div(b).unwrap_or(u16::MAX)),
        "div.s16" => op!(I16; I16 a, I16 b => if b == 0 { -1 } else { a.wrapping_div(b) }),
        "div.u32" => op!(U32; U32 a, U32 b => a.checked_div(b).unwrap_or(u32::MAX)),
        "div.s32" => op!(I32; I32 a, I32 b => if b == 0 { -1 } else { a.wrapping_div(b) }),
        "div.u64" => op!(U64; U64 a, U64 b => a.checked_div(b).unwrap_or(u64::MAX)),
        "div.s64" => op!(I64; I64 a, I64 b => if b == 0 { -1 } else { a.wrapping_div(b) }),
        "rem.u16" => op!(U16; U16 a, U16 b => a.checked_rem(b).unwrap_or(a)),
        "rem.s16" => op!(I16; I16 a, I16 b => if b == 0 { a } else { a.wrapping_rem(b) }),
        "rem.u32" => op!(U32; U32 a, U32 b => a.checked_rem(b).unwrap_or(a)),
        "rem.s32" => op!(I32; I32 a, I32 b => if b == 0 { a } else { a.wrapping_rem(b) }),
        "rem.u64" => op!(U64; U64 a, U64 b => a.checked_rem(b).unwrap_or(a)),
        "rem.s64" => op!(I64; I64 a, I64 b => if b == 0 { a } else { a.wrapping_rem(b) }),

        "min.u16" => op!(U16; U16 a, U16 b => a.min(b)),
        "min.s16" => op!(I16; I16 a, I16 b => a.min(b)),
        "min.u32" => op!(U32; U32 a, U32 b => a.min(b)),
        "min.s32" => op!(I32; I32 a, I32 b => a.min(b)),
        "min.u64" => op!(U64; U64 a, U64 b => a.min(b)),
        "min.s64" => op!(I64; I64 a, I64 b => a.min(b)),
        "max.u16" => op!(U16; U16 a, U16 b => a.max(b)),
        "max.s16" => op!(I16; I16 a, I16 b => a.max(b)),
        "max.u32" => op!(U32; U32 a, U32 b => a.max(b)),
        "max.s32" => op!(I32; I32 a, I32 b => a.max(b)),
        "max.u64" => op!(U64; U64 a, U64 b => a.max(b)),
        "max.s64" => op!(I64; I64 a, I64 b => a.max(b)),

        "and.pred" => op!(Bit; Bit a, Bit b => a & b),
        "or.pred" => op!(Bit; Bit a, Bit b => a | b),
        "xor.pred" => op!(Bit; Bit a, Bit b => a ^ b),
        "not.pred" => op!(Bit; Bit a => !a),
        "and.b16" => op!(U16; U16 a, U16 b => a & b),
        "or.b16" => op!(U16; U16 a, U16 b => a | b),
        "xor.b16" => op!(U16; U16 a, U16 b => a ^ b),
        "not.b16" => op!(U16; U16 a => !a),
        "and.b32" => op!(U32; U32 a, U32 b => a & b),
        "or.b32" => op!(U32; U32 a, U32 b => a | b),
        "xor.b32" => op!(U32; U32 a, U32 b => a ^ b),
        "not.b32" => op!(U32; U32 a => !a),
        "and.b64" => op!(U64; U64 a, U64 b => a & b),
        "or.b64" => op!(U64; U64 a, U64 b => a | b),
        "xor.b64" => op!(U64; U64 a, U64 b => a ^ b),
        "not.b64" => op!(U64; U64 a => !a),
        "lop3.b32" => op!(U32; U32 a, U32 b, U32 c, U32 table => logic(a, b, c, table)),

        "selp.b16" | "selp.u16" | "selp.s16" => op!(U16; U16 a, U16 b, Bit p => if p { a } else { b }),
        "selp.b32" | "selp.u32" | "selp.s32" | "selp.f32" => op!(U32; U32 a, U32 b, Bit p => if p { a } else { b }),
        "selp.b64" | "selp.u64" | "selp.s64" | "selp.f64" => op!(U64; U64 a, U64 b, Bit p => if p { a } else { b }),

        "shl.b16" => op!(U16; U16 a, U32 n => if n < 16 { a << n } else { 0 }),
        "shl.b32" => with_fixed(op!(U32; U32 a, U32 n => a.checked_shl(n).unwrap_or(0)), |registers, slots| {
            let (a, n) = (U32::plane(registers, slots.from[0]), registers.words(slots.from[1])[0]);
            let keep = if n < 32 { u32::MAX } else { 0 };
            registers.put_words(slots.to[0], |lane| a[lane] << (n & 31) & keep);
        }),
        "shl.b64" => op!(U64; U64 a, U32 n => a.checked_shl(n).unwrap_or(0)),
        "shr.u16" | "shr.b16" => op!(U16; U16 a, U32 n => if n < 16 { a >> n } else { 0 }),
        "shr.s16" => op!(I16; I16 a, U32 n => a >> n.min(15)),
        "shr.u32" | "shr.b32" => {
            with_fixed(op!(U32; U32 a, U32 n => a.checked_shr(n).unwrap_or(0)), |registers, slots| {
                let (a, n) = (U32::plane(registers, slots.from[0]), registers.words(slots.from[1])[0]);
                let keep = if n < 32 { u32::MAX } else { 0 };
                registers.put_words(slots.to[0], |lane| a[lane] >> (n & 31) & keep);
            })
        }
        "shr.s32" => op!(I32; I32 a, U32 n => a >> n.min(31)),
        "shr.u64" | "shr.b64" => op!(U64; U64 a, U32 n => a.checked_shr(n).unwrap_or(0)),
        "shr.s64" => op!(I64; I64 a, U32 n => a >> n.min(63)),
        "shf.l.wrap.b32" => {
            with_fixed(op!(U32; U32 a, U32 b, U32 n => funnel(a, b, 32 - (n & 31))), |registers, slots| {
                let (a, b) = (U32::plane(registers, slots.from[0]), U32::plane(registers, slots.from[1]));
                let n = registers.words(slots.from[2])[0] & 31;
                registers.put_words(slots.to[0], |lane| b[lane] << n | a[lane] >> 1 >> (31 - n));
            })
        }
        "shf.r.wrap.b32" => with_fixed(op!(U32; U32 a, U32 b, U32 n => funnel(a, b, n & 31)), |registers, slots| {
            let (a, b) = (U32::plane(registers, slots.from[0]), U32::plane(registers, slots.from[1]));
            let n = registers.words(slots.from[2])[0] & 31;
            registers.put_words(slots.to[0], |lane| a[lane] >> n | b[lane] << 1 << (31 - n));
        }),
        "shf.l.clamp.b32" => op!(U32; U32 a, U32 b, U32 n => funnel(a, b, 32 - n.min(32))),
        "shf.r.clamp.b32" => op!(U32; U32 a, U32 b, U32 n => funnel(a, b, n.min(32))),

        "prmt.b32" => op!(U32; U32 a, U32 b, U32 selector => permute(a, b, selector)),
        "bfe.u32" => op!(U32; U32 a, U32 at, U32 len => field(a.into(), at, len, 31, false) as u32),
        "bfe.s32" => op!(U32; U32 a, U32 at, U32 len => field(a.into(), at, len, 31, true) as u32),
        "bfe.u64" => op!(U64; U64 a, U32 at, U32 len => field(a, at, len, 63, false)),
        "bfe.s64" => op!(U64; U64 a, U32 at, U32 len => field(a, at, len, 63, true)),
        "bfi.b32" => op!(U32; U32 a, U32 b, U32 at, U32 len => insert(a.into(), b.into(), at, len) as u32),
        "bfi.b64" => op!(U64; U64 a, U64 b, U32 at, U32 len => insert(a, b, at, len)),
        "popc.b32" => op!(U32; U32 a => a.count_ones()),
        "popc.b64" => op!(U32; U64 a => a.count_ones()),
        "clz.b32" => op!(U32; U32 a => a.leading_zeros()),
        "clz.b64" => op!(U32; U64 a => a.leading_zeros()),
        "brev.b32" => op!(U32; U32 a => a.reverse_bits()),
        "brev.b64" => op!(U64; U64 a => a.reverse_bits()),
        "bfind.u32" => op!(U32; U32 a => a.checked_ilog2().unwrap_or(u32::MAX)),
        "bfind.s32" => op!(U32; U32 a => (a ^ sign(a)).checked_ilog2().unwrap_or(u32::MAX)),
        "bfind.u64" => op!(U32; U64 a => a.checked_ilog2().unwrap_or(u32::MAX)),
        "bfind.shiftamt.u32" => op!(U32; U32 a => a.checked_ilog2().map_or(u32::MAX, |bit| 31 - bit)),
        _ => return None,
    })
}

fn with_fixed(operation: Operation, fixed: crate::registers::Run) -> Operation {
    Operation { fixed: Some(fixed), ..operation }
}

/// The low word of `b:a` shifted right by 0 to 32.
#[inline(always)]
fn funnel(a: u32, b: u32, n: u32) -> u32 {
    ((u64::from(b) << 32 | u64::from(a)) >> n) as u32
}

fn sign(a: u32) -> u32 {
    (a.cast_signed() >> 31).cast_unsigned()
}

fn dot(a: u32, b: u32, c: u32) -> u32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    a.iter().zip(b).fold(c, |sum, (&a, b)| sum.wrapping_add(u32::from(a) * u32::from(b)))
}

fn signed_dot(a: i32, b: i32, c: i32) -> i32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    let product = |a: u8, b: u8| i32::from(a.cast_signed()) * i32::from(b.cast_signed());
    a.iter().zip(b).fold(c, |sum, (&a, b)| sum.wrapping_add(product(a, b)))
}

/// Bit `4 * a + 2 * b + c` of the table, for each bit.
#[inline(always)]
fn logic(a: u32, b: u32, c: u32, table: u32) -> u32 {
    let side = |bit: u32, value: u32| if bit == 0 { !value } else { value };
    let mut result = 0;
    for row in 0..8 {
        let all = side(row & 4, a) & side(row & 2, b) & side(row & 1, c);
        result |= all & 0_u32.wrapping_sub(table >> row & 1);
    }
    result
}

fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    let mut result = 0;
    for place in 0..4 {
        let choice = selector >> (4 * place) & 15;
        let byte = (bytes >> (8 * (choice & 7))) as u8;
        let byte = if choice & 8 == 0 { byte } else { (byte.cast_signed() >> 7).cast_unsigned() };
        result |= u32::from(byte) << (8 * place);
    }
    result
}

fn field(a: u64, at: u32, len: u32, top: u32, signed: bool) -> u64 {
    let (at, len) = (at & 255, len & 255);
    let sign = signed && len > 0 && a >> (at + len - 1).min(top) & 1 == 1;
    let bits = if at > top { 0 } else { a >> at };
    let kept = len.min((top + 1).saturating_sub(at));
    let mask = 1_u64.checked_shl(kept).map_or(u64::MAX, |bit| bit - 1);
    bits & mask | if sign { !mask } else { 0 }
}

fn insert(a: u64, b: u64, at: u32, len: u32) -> u64 {
    let (at, len) = (at & 255, len & 255);
    let mask = 1_u64.checked_shl(len).map_or(u64::MAX, |bit| bit - 1).checked_shl(at).unwrap_or(0);
    b & !mask | a.checked_shl(at).unwrap_or(0) & mask
}
