//! `mov` with its vectors, and `cvta`.

use super::Decoder;
use crate::memory::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::ptx::Refusal;
use crate::ptx::syntax::{Operand, Width};

type Guard = Option<(u32, bool)>;

impl Decoder<'_> {
    pub(super) fn move_value(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        match operands {
            // Read as a literal wherever it is an operand.
            [Operand::Register(register), _] if self.constants.contains_key(register) => Ok(()),
            [Operand::List(parts), whole] => self.take_apart(opcode, guard, parts, whole),
            [whole, Operand::List(parts)] => self.put_together(opcode, guard, whole, parts),
            _ => self.arithmetic(opcode, guard, operands),
        }
    }

    fn take_apart(&mut self, opcode: &str, guard: Guard, parts: &[Operand], whole: &Operand) -> Result<(), Refusal> {
        let (convert, shift, width, bits) = match (opcode, parts.len()) {
            ("mov.b64", 2) => ("cvt.u32.u64", "shr.u64", Width::Double, 32),
            ("mov.b64", 4) => ("cvt.u16.u64", "shr.u64", Width::Double, 16),
            ("mov.b32", 2) => ("cvt.u16.u32", "shr.u32", Width::Word, 16),
            _ => return self.unknown(opcode),
        };
        // Kept apart, in case that a part is the whole.
        let copy = Operand::Register(self.temporary(width));
        let plain = if width == Width::Double { "mov.b64" } else { "mov.b32" };
        self.arithmetic(plain, None, &[copy.clone(), whole.clone()])?;
        for (at, part) in (0_i64..).zip(parts) {
            if *part == Operand::Sink {
                continue;
            }
            let shifted = Operand::Register(self.temporary(width));
            self.arithmetic(shift, None, &[shifted.clone(), copy.clone(), Operand::Integer(at * bits)])?;
            self.arithmetic(convert, guard, &[part.clone(), shifted])?;
        }
        Ok(())
    }

    fn put_together(&mut self, opcode: &str, guard: Guard, whole: &Operand, parts: &[Operand]) -> Result<(), Refusal> {
        let (convert, shift, join, width, bits) = match (opcode, parts.len()) {
            ("mov.b64", 2) => ("cvt.u64.u32", "shl.b64", "or.b64", Width::Double, 32),
            ("mov.b64", 4) => ("cvt.u64.u16", "shl.b64", "or.b64", Width::Double, 16),
            ("mov.b32", 2) => ("cvt.u32.u16", "shl.b32", "or.b32", Width::Word, 16),
            _ => return self.unknown(opcode),
        };
        let mut sum = Operand::Integer(0);
        for (at, part) in (0_i64..).zip(parts) {
            let [wide, shifted, joined] = [(); 3].map(|()| Operand::Register(self.temporary(width)));
            self.arithmetic(convert, None, &[wide.clone(), part.clone()])?;
            self.arithmetic(shift, None, &[shifted.clone(), wide, Operand::Integer(at * bits)])?;
            self.arithmetic(join, None, &[joined.clone(), sum, shifted])?;
            sum = joined;
        }
        self.arithmetic(if width == Width::Double { "mov.b64" } else { "mov.b32" }, guard, &[whole.clone(), sum])
    }

    /// `cvta.shared.u64 d, a` and `cvta.to.shared.u64 d, a`.
    pub(super) fn convert_address(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let [result, address] = operands else { return self.refuse(format!("{opcode} without operands")) };
        let parts: Vec<&str> = opcode.split('.').collect();
        let (space, to_generic) = match parts[..] {
            [_, "to", space, "u64"] => (space, false),
            [_, space, "u64"] => (space, true),
            _ => return self.unknown(opcode),
        };
        let window = match space {
            "global" | "const" => 0,
            "shared" => SHARED_WINDOW,
            "local" => LOCAL_WINDOW,
            _ => return self.unknown(opcode),
        };
        let window = Operand::Integer(window.cast_signed());
        let opcode = if to_generic { "add.u64" } else { "sub.u64" };
        self.arithmetic(opcode, guard, &[result.clone(), address.clone(), window])
    }
}
