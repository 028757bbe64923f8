//! What the arithmetic opcodes do: one row of a table an opcode, in [`integer`], [`float`], [`compare`] and
//! [`convert`].

mod compare;
mod convert;
mod float;
mod integer;
#[cfg(test)]
mod tests;

use crate::ptx::syntax::Width;
use crate::registers::Run;

/// An arithmetic opcode: its result's and operands' registers, and what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// The result's, then the operands'.
    pub(crate) shape: &'static [Width],
    pub(crate) run: Run,
    /// A faster way where the last operand is a constant.
    pub(crate) fixed: Option<Run>,
}

/// The operation of an opcode; a 16-bit result register may take what a 32-bit one would.
pub(crate) fn operation(opcode: &str, result: Option<Width>) -> Option<Operation> {
    let (name, modifiers) = opcode.split_once('.')?;
    match name {
        "cvt" => convert::operation(modifiers, result),
        "setp" => compare::operation(modifiers),
        _ => integer::operation(opcode).or_else(|| float::operation(opcode)),
    }
}

/// `op!(result kind; kind a, kind b => expression)`.
macro_rules! op {
    ($out:ident; $($kind:ident $name:ident),+ => $body:expr) => {
        $crate::alu::Operation {
            shape: &[
                <$crate::registers::$out as $crate::registers::Kind>::WIDTH,
                $(<$crate::registers::$kind as $crate::registers::Kind>::WIDTH),+
            ],
            run: |registers, slots| {
                let mut from = slots.from.iter();
                $(let $name = <$crate::registers::$kind as $crate::registers::Kind>::plane(
                    registers,
                    *from.next().expect("at most five operands"),
                );)+
                <$crate::registers::$out as $crate::registers::Kind>::put(registers, slots.to[0], #[inline(always)] |lane| {
                    $(let $name = <$crate::registers::$kind as $crate::registers::Kind>::item(&$name, lane);)+
                    $body
                });
            },
            fixed: None,
        }
    };
}
pub(crate) use op;
