//! Loads, stores and atomic operations.

use super::super::opcode;
use super::super::{Access, MemorySpace, Step};
use super::{Decoder, Value};
use crate::ptx::Refusal;
use crate::ptx::syntax::{Operand, Space, Width};

type Guard = Option<(u32, bool)>;

impl Decoder<'_> {
    pub(super) fn load(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let (Some(mut access), [results, address]) = (opcode::access(opcode), operands) else {
            return self.unknown(opcode);
        };
        let results = vector(results);
        let mut to = Vec::new();
        self.data_registers(opcode, &mut access, &results)?;
        for result in &results {
            to.push(match result {
                Operand::Register(register) => *register,
                _ => self.temporary(data_width(&access)),
            });
        }
        let from = self.address(address, &mut access)?;
        self.emit(Step::Load(access), guard, to, vec![from]);
        Ok(())
    }

    pub(super) fn store(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let (Some(mut access), [address, values]) = (opcode::access(opcode), operands) else {
            return self.unknown(opcode);
        };
        let values = vector(values);
        self.data_registers(opcode, &mut access, &values)?;
        if access.space == MemorySpace::State(Space::Const) {
            return self.refuse("a store into .const");
        }
        let mut from = vec![self.address(address, &mut access)?];
        for value in &values {
            from.push(self.value(value, data_width(&access))?);
        }
        self.emit(Step::Store(access), guard, Vec::new(), from);
        Ok(())
    }

    pub(super) fn atomic(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let Some(mut atomic) = opcode::atomic(opcode) else { return self.unknown(opcode) };
        let width = data_width(&atomic.access);
        let mut to = Vec::new();
        let mut rest = operands;
        if let (true, [result, others @ ..]) = (atomic.result, operands) {
            to.push(self.result(result, width)?);
            rest = others;
        }
        let [address, values @ ..] = rest else { return self.unknown(opcode) };
        let expected = if atomic.update == super::super::Update::Compare { 2 } else { 1 };
        if values.len() != expected {
            return self.refuse(format!("{opcode} with {} operands", operands.len()));
        }
        let mut from = vec![self.address(address, &mut atomic.access)?];
        for value in values {
            from.push(self.value(value, width)?);
        }
        let space = atomic.access.space;
        if !matches!(space, MemorySpace::State(Space::Generic | Space::Global | Space::Shared)) {
            return self.refuse(format!("{opcode} in a space without atomic operations"));
        }
        self.emit(Step::Atomic(atomic), guard, to, from);
        Ok(())
    }

    /// Finds the width of the data registers, which must be one.
    fn data_registers(&self, opcode: &str, access: &mut Access, data: &[Operand]) -> Result<(), Refusal> {
        if data.len() != usize::from(access.count) || access.count > 1 && access.bytes * access.count > 16 {
            return self.refuse(format!("{opcode} with {} elements", data.len()));
        }
        let widths = data.iter().filter_map(|operand| match operand {
            Operand::Register(register) => Some(self.body.widths[*register as usize]),
            _ => None,
        });
        let mut widths: Vec<Width> = widths.collect();
        widths.dedup();
        let width = match widths[..] {
            [] if access.bytes == 8 => Width::Double,
            [] => Width::Word,
            [width] => width,
            _ => return self.refuse(format!("{opcode} with registers of several widths")),
        };
        access.double = width == Width::Double;
        access.half = width == Width::Half;
        let room = if access.double {
            8
        } else if access.half {
            2
        } else {
            4
        };
        if width == Width::Predicate || room < access.bytes {
            return self.refuse(format!("{opcode} with registers that are too small"));
        }
        Ok(())
    }

    /// The address register; names are resolved, and those of the frame turned into offsets in it.
    fn address(&mut self, operand: &Operand, access: &mut Access) -> Result<Value, Refusal> {
        let Operand::Address(base, offset) = operand else { return self.refuse("an operand that is no address") };
        access.offset = *offset;
        match &**base {
            Operand::Symbol(name, 0) => {
                if let Some(&(place, _)) = self.frame.get(name) {
                    access.space = MemorySpace::Frame;
                    access.offset = access.offset.wrapping_add_unsigned(place);
                    return self.fixed.double(0);
                }
                self.address_of(name, 0, Width::Double)
            }
            Operand::Register(register) if self.body.widths[*register as usize] == Width::Word => {
                access.wide = false;
                self.value(base, Width::Word)
            }
            Operand::Register(_) | Operand::Integer(_) => self.value(base, Width::Double),
            other => self.refuse(format!("an address of {other:?}")),
        }
    }
}

fn vector(operand: &Operand) -> Vec<Operand> {
    match operand {
        Operand::List(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn data_width(access: &Access) -> Width {
    if access.double {
        Width::Double
    } else if access.half {
        Width::Half
    } else {
        Width::Word
    }
}
