//! `setp`: comparisons into predicates.

use super::{Operation, op};

/// The comparison of `lt.s32`; combining it with another predicate is the decoder's work.
pub(super) fn operation(modifiers: &str) -> Option<Operation> {
    let (relation, kind) = modifiers.split_once('.')?;
    match kind {
        "u16" | "b16" => u16(relation),
        "s16" => i16(relation),
        "u32" | "b32" => u32(relation),
        "s32" => i32(relation),
        "u64" | "b64" => u64(relation),
        "s64" => i64(relation),
        "f32" => float::f32(relation),
        "f64" => float::f64(relation),
        _ => None,
    }
}

macro_rules! integers {
    ($($name:ident $kind:ident),+) => {
        $(fn $name(relation: &str) -> Option<Operation> {
            Some(match relation {
                "eq" => op!(Bit; $kind a, $kind b => a == b),
                "ne" => op!(Bit; $kind a, $kind b => a != b),
                "lt" | "lo" => op!(Bit; $kind a, $kind b => a < b),
                "le" | "ls" => op!(Bit; $kind a, $kind b => a <= b),
                "gt" | "hi" => op!(Bit; $kind a, $kind b => a > b),
                "ge" | "hs" => op!(Bit; $kind a, $kind b => a >= b),
                _ => return None,
            })
        })+
    };
}

integers!(u16 U16, i16 I16, u32 U32, i32 I32, u64 U64, i64 I64);

mod float {
    use super::super::{Operation, op};

    macro_rules! floats {
        ($($name:ident $kind:ident),+) => {
            $(#[expect(clippy::float_cmp, clippy::neg_cmp_op_on_partial_ord, reason = "as the opcodes are defined")]
            pub(super) fn $name(relation: &str) -> Option<Operation> {
                Some(match relation {
                    "eq" => op!(Bit; $kind a, $kind b => a == b),
                    "ne" => op!(Bit; $kind a, $kind b => a != b && !a.is_nan() && !b.is_nan()),
                    "lt" => op!(Bit; $kind a, $kind b => a < b),
                    "le" => op!(Bit; $kind a, $kind b => a <= b),
                    "gt" => op!(Bit; $kind a, $kind b => a > b),
                    "ge" => op!(Bit; $kind a, $kind b => a >= b),
                    "equ" => op!(Bit; $kind a, $kind b => a == b || a.is_nan() || b.is_nan()),
                    "neu" => op!(Bit; $kind a, $kind b => a != b),
                    "ltu" => op!(Bit; $kind a, $kind b => !(a >= b)),
                    "leu" => op!(Bit; $kind a, $kind b => !(a > b)),
                    "gtu" => op!(Bit; $kind a, $kind b => !(a <= b)),
                    "geu" => op!(Bit; $kind a, $kind b => !(a < b)),
                    "num" => op!(Bit; $kind a, $kind b => !a.is_nan() && !b.is_nan()),
                    "nan" => op!(Bit; $kind a, $kind b => a.is_nan() || b.is_nan()),
                    _ => return None,
                })
            })+
        };
    }

    floats!(f32 F32, f64 F64);
}
