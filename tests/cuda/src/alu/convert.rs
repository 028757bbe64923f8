//! `cvt`: conversions between types.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the casts are what these opcodes do"
)]

use super::{Operation, op};
use crate::ptx::syntax::Width;

/// The conversion of `rzi.s32.f32`, into a result register of a width.
pub(super) fn operation(modifiers: &str, result: Option<Width>) -> Option<Operation> {
    let parts: Vec<&str> = modifiers.split('.').collect();
    match parts[..] {
        [to, from] if !from.starts_with('f') && !to.starts_with('f') => integers(to, from, result),
        ["f32", "f16"] => Some(op!(F32; U16 a => from_half(a))),
        ["rn", "f16", "f32"] => Some(op!(U16; F32 a => to_half(a))),
        ["f64", "f32"] => Some(op!(F64; F32 a => f64::from(a))),
        ["rn", "f32", "f64"] => Some(op!(F32; F64 a => a as f32)),
        ["sat", "f32", "f32"] => Some(op!(F32; F32 a => if a > 0.0 { a.min(1.0) } else { 0.0 })),
        [rounding, "f32", "f32"] => round_to_integral(rounding),
        ["rn", "f32", from] => to_float(from),
        [rounding, to, "f32"] => to_integer(rounding, to),
        _ => None,
    }
}

macro_rules! integers_from {
    ($kind:ident, $source:ty, $to:expr, $result:expr) => {
        match ($to, $result) {
            ("u8", Some(Width::Half)) => op!(U16; $kind a => u16::from(a as $source as u8)),
            ("s8", Some(Width::Half)) => op!(I16; $kind a => i16::from(a as $source as i8)),
            ("u8", _) => op!(U32; $kind a => u32::from(a as $source as u8)),
            ("s8", _) => op!(I32; $kind a => i32::from(a as $source as i8)),
            ("u16" | "b16" | "s16", Some(Width::Half)) => op!(U16; $kind a => a as $source as u16),
            ("u16" | "b16", _) => op!(U32; $kind a => u32::from(a as $source as u16)),
            ("s16", _) => op!(I32; $kind a => i32::from(a as $source as i16)),
            ("u32" | "s32" | "b32", _) => op!(U32; $kind a => a as $source as u32),
            ("u64" | "s64" | "b64", _) => op!(U64; $kind a => a as $source as u64),
            _ => return None,
        }
    };
}

fn integers(to: &str, from: &str, result: Option<Width>) -> Option<Operation> {
    Some(match from {
        "u8" => integers_from!(U32, u8, to, result),
        "s8" => integers_from!(U32, i8, to, result),
        "u16" | "b16" => integers_from!(U32, u16, to, result),
        "s16" => integers_from!(U32, i16, to, result),
        "u32" | "b32" => integers_from!(U32, u32, to, result),
        "s32" => integers_from!(U32, i32, to, result),
        "u64" | "b64" => integers_from!(U64, u64, to, result),
        "s64" => integers_from!(U64, i64, to, result),
        _ => return None,
    })
}

fn to_float(from: &str) -> Option<Operation> {
    Some(match from {
        "u8" => op!(F32; U32 a => f32::from(a as u8)),
        "s8" => op!(F32; U32 a => f32::from(a as i8)),
        "u16" => op!(F32; U32 a => f32::from(a as u16)),
        "s16" => op!(F32; U32 a => f32::from(a as i16)),
        "u32" => op!(F32; U32 a => a as f32),
        "s32" => op!(F32; I32 a => a as f32),
        "u64" => op!(F32; U64 a => a as f32),
        "s64" => op!(F32; I64 a => a as f32),
        _ => return None,
    })
}

fn round_to_integral(rounding: &str) -> Option<Operation> {
    Some(match rounding {
        "rzi" => op!(F32; F32 a => a.trunc()),
        "rni" => op!(F32; F32 a => a.round_ties_even()),
        "rmi" => op!(F32; F32 a => a.floor()),
        "rpi" => op!(F32; F32 a => a.ceil()),
        _ => return None,
    })
}

/// Out of range is the nearest end of the range; no number is 0, or the top bit alone in 64 bits.
macro_rules! rounded {
    ($round:ident, $to:expr) => {
        match $to {
            "u16" => op!(U16; F32 a => a.$round() as u16),
            "s16" => op!(I16; F32 a => a.$round() as i16),
            "u32" => op!(U32; F32 a => a.$round() as u32),
            "s32" => op!(I32; F32 a => a.$round() as i32),
            "u64" => op!(U64; F32 a => if a.is_nan() { 1 << 63 } else { a.$round() as u64 }),
            "s64" => op!(I64; F32 a => if a.is_nan() { i64::MIN } else { a.$round() as i64 }),
            _ => return None,
        }
    };
}

fn to_integer(rounding: &str, to: &str) -> Option<Operation> {
    Some(match rounding {
        "rzi" => rounded!(trunc, to),
        "rni" => rounded!(round_ties_even, to),
        "rmi" => rounded!(floor, to),
        "rpi" => rounded!(ceil, to),
        _ => return None,
    })
}

/// Every half is a float.
fn from_half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, bits & 0x3ff);
    let size = match exponent {
        0 => f32::from(fraction) / 16_777_216.0,
        31 if fraction == 0 => f32::INFINITY,
        31 => return f32::NAN,
        _ => f32::from(fraction | 0x400) * 2_f32.powi(i32::from(exponent) - 25),
    };
    if sign == 1 { -size } else { size }
}

/// The nearest half, ties to even.
fn to_half(value: f32) -> u16 {
    let sign = u16::from(value.is_sign_negative()) << 15;
    let size = value.abs();
    if value.is_nan() {
        return 0x7fff;
    }
    if size >= 65520.0 {
        return sign | 0x7c00;
    }
    // Halves are the multiples of `unit` up to the next power of two; the sum of a normal's exponent field
    // and its rounded fraction carries into the exponent by itself.
    let exponent = ((size.to_bits() >> 23) as i32 - 127).max(-14);
    let unit = 2_f32.powi(exponent - 10);
    let count = (size / unit).round_ties_even() as u16;
    let field = (exponent + 14) as u16;
    sign | ((field << 10) + count)
}
