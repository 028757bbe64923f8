//! Float opcodes. All are correctly rounded and keep denormals; those that are not (`.approx`, `.full`,
//! `.ftz`) are refused before they come here.

use super::{Operation, op};

pub(super) fn operation(opcode: &str) -> Option<Operation> {
    Some(match opcode {
        "add.rn.f32" | "add.f32" => op!(F32; F32 a, F32 b => a + b),
        "sub.rn.f32" | "sub.f32" => op!(F32; F32 a, F32 b => a - b),
        "mul.rn.f32" | "mul.f32" => op!(F32; F32 a, F32 b => a * b),
        "div.rn.f32" => op!(F32; F32 a, F32 b => a / b),
        "rcp.rn.f32" => op!(F32; F32 a => 1.0 / a),
        "sqrt.rn.f32" => op!(F32; F32 a => a.sqrt()),
        "fma.rn.f32" => op!(F32; F32 a, F32 b, F32 c => a.mul_add(b, c)),
        "abs.f32" => op!(U32; U32 a => a & 0x7fff_ffff),
        "neg.f32" => op!(U32; U32 a => a ^ 0x8000_0000),
        "copysign.f32" => op!(U32; U32 a, U32 b => a & 0x8000_0000 | b & 0x7fff_ffff),
        "min.f32" => op!(F32; F32 a, F32 b => smaller(a, b)),
        "max.f32" => op!(F32; F32 a, F32 b => -smaller(-a, -b)),
        "add.rn.f64" | "add.f64" => op!(F64; F64 a, F64 b => a + b),
        "sub.rn.f64" | "sub.f64" => op!(F64; F64 a, F64 b => a - b),
        "mul.rn.f64" | "mul.f64" => op!(F64; F64 a, F64 b => a * b),
        "div.rn.f64" => op!(F64; F64 a, F64 b => a / b),
        "sqrt.rn.f64" => op!(F64; F64 a => a.sqrt()),
        "fma.rn.f64" => op!(F64; F64 a, F64 b, F64 c => a.mul_add(b, c)),
        "abs.f64" => op!(U64; U64 a => a & (u64::MAX >> 1)),
        "neg.f64" => op!(U64; U64 a => a ^ (1 << 63)),
        _ => return None,
    })
}

/// The smaller number; -0 is below +0, and a number is below none.
fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        b
    } else if b.is_nan() || a < b || a == b && a.is_sign_negative() {
        a
    } else {
        b
    }
}
