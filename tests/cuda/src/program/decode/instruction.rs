//! Arithmetic, comparisons and control flow.

use std::collections::HashMap;

use super::super::opcode;
use super::super::{Call, Special, Step, Vote};
use super::{Decoder, Value};
use crate::alu;
use crate::ptx::Refusal;
use crate::ptx::syntax::{Operand, Width};

type Guard = Option<(u32, bool)>;

impl<'a> Decoder<'a> {
    /// Any opcode of the tables of [`alu`].
    pub(super) fn arithmetic(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let [result, operands @ ..] = operands else { return self.refuse(format!("{opcode} without operands")) };
        let width = match result {
            Operand::Register(register) => Some(self.body.widths[*register as usize]),
            Operand::Sink => None,
            other => return self.refuse(format!("{opcode} into {other:?}")),
        };
        let Some(operation) = alu::operation(opcode, width) else {
            return self.refuse(format!("the opcode {opcode} is not known to this driver"));
        };
        if operands.len() + 1 != operation.shape.len() {
            return self.refuse(format!("{opcode} with {} operands", operands.len() + 1));
        }
        let to = match result {
            Operand::Register(register) => *register,
            _ => self.temporary(operation.shape[0]),
        };
        let narrow = width == Some(Width::Half) && operation.shape[0] == Width::Word;
        if !fits(self.body.widths[to as usize], operation.shape[0]) || narrow {
            return self.refuse(format!("{opcode} into a register of another width"));
        }
        let mut from = Vec::new();
        for (operand, &width) in operands.iter().zip(&operation.shape[1..]) {
            from.push(self.value(operand, width)?);
        }
        let is_fixed = matches!(from.last(), Some(Value::FixedWord(_)));
        let run = operation.fixed.filter(|_| is_fixed).unwrap_or(operation.run);
        self.emit(Step::Arithmetic(run), guard, vec![to], from);
        Ok(())
    }

    /// `setp.lt.and.s32 p|q, a, b, !c`.
    pub(super) fn compare(&mut self, opcode: &str, guard: Guard, operands: &[Operand]) -> Result<(), Refusal> {
        let parts: Vec<&str> = opcode.split('.').collect();
        let (plain, combine) = match parts[..] {
            [_, relation, kind] => (format!("setp.{relation}.{kind}"), None),
            [_, relation, combine @ ("and" | "or" | "xor"), kind] => (format!("setp.{relation}.{kind}"), Some(combine)),
            _ => return self.refuse(format!("the opcode {opcode} is not known to this driver")),
        };
        let (result, a, b, third) = match (operands, combine) {
            ([result, a, b], None) => (result, a, b, None),
            ([result, a, b, third], Some(combine)) => (result, a, b, Some((combine, third))),
            _ => return self.refuse(format!("{opcode} with {} operands", operands.len())),
        };
        if let (Operand::Register(_), None) = (result, third) {
            return self.arithmetic(&plain, guard, &[result.clone(), a.clone(), b.clone()]);
        }
        let (first, second) = match result {
            Operand::Pair(first, second) => (&**first, Some(&**second)),
            first => (first, None),
        };
        let holds = Operand::Register(self.temporary(Width::Predicate));
        // The guard is left out where a result could change it in between; temporaries may be written anyway.
        self.arithmetic(&plain, None, &[holds.clone(), a.clone(), b.clone()])?;
        let third = third.map(|(combine, third)| (format!("{combine}.pred"), third));
        let mut results = Vec::new();
        for (result, negated) in [(Some(first), false), (second, true)] {
            let Some(result) = result.filter(|result| **result != Operand::Sink) else { continue };
            let mut value = holds.clone();
            if negated {
                value = Operand::Register(self.temporary(Width::Predicate));
                self.arithmetic("not.pred", None, &[value.clone(), holds.clone()])?;
            }
            if let Some((combine, third)) = &third {
                let combined = Operand::Register(self.temporary(Width::Predicate));
                self.arithmetic(combine, None, &[combined.clone(), value, (*third).clone()])?;
                value = combined;
            }
            results.push((result.clone(), value));
        }
        if let [(Operand::Register(first), _), _] = results[..]
            && guard.is_some_and(|(register, _)| register == first)
        {
            return self.refuse("a comparison guarded by its own first result");
        }
        for (result, value) in results {
            self.arithmetic("mov.pred", guard, &[result, value])?;
        }
        Ok(())
    }

    /// What ends or joins the ways of threads.
    pub(super) fn control(
        &mut self,
        opcode: &str,
        operands: &'a [Operand],
        tables: &HashMap<&'a str, u32>,
    ) -> Result<(), Refusal> {
        let mut from = Vec::new();
        let mut to = Vec::new();
        let step = match (opcode, operands) {
            ("ret" | "ret.uni", []) if !self.function.entry => Step::Return,
            ("ret" | "ret.uni" | "exit", []) => Step::Exit,
            ("trap", []) => Step::Trap,
            (
                "bar.sync" | "barrier.sync" | "barrier.sync.aligned" | "bar.cta.sync",
                [Operand::Integer(number @ 0..16)],
            ) => Step::Barrier(u32::try_from(*number).expect("it is below 16")),
            ("bar.warp.sync", [_]) => Step::WarpBarrier,
            ("brx.idx" | "brx.idx.uni", [index, Operand::Symbol(name, 0)]) => {
                from.push(self.value(index, Width::Word)?);
                let Some(&table) = tables.get(name.as_str()) else { return self.refuse(format!("no table {name}")) };
                Step::BranchIndex(table)
            }
            ("call" | "call.uni", _) => Step::Call(self.call(operands)?),
            (_, [result, value, lane, clamp, mask]) if opcode.starts_with("shfl") => {
                let Some(mode) = opcode::shuffle(opcode) else { return self.unknown(opcode) };
                let (result, valid) = match result {
                    Operand::Pair(result, valid) => (&**result, self.result(valid, Width::Predicate)?),
                    result => (result, self.temporary(Width::Predicate)),
                };
                to.extend([self.result(result, Width::Word)?, valid]);
                for operand in [value, lane, clamp, mask] {
                    from.push(self.value(operand, Width::Word)?);
                }
                Step::Shuffle(mode)
            }
            (_, [result, operands @ ..]) if opcode.starts_with("vote") || opcode.starts_with("activemask") => {
                let Some(mode) = opcode::vote(opcode) else { return self.unknown(opcode) };
                let width = if matches!(mode, Vote::Ballot | Vote::Active) { Width::Word } else { Width::Predicate };
                to.push(self.result(result, width)?);
                if mode != Vote::Active {
                    let [predicate, _mask] = operands else { return self.unknown(opcode) };
                    from.push(self.value(predicate, Width::Predicate)?);
                }
                Step::Vote(mode)
            }
            _ => return self.refuse(format!("{opcode} with these operands is not known to this driver")),
        };
        self.emit(step, None, to, from);
        Ok(())
    }

    pub(super) fn unknown<T>(&self, opcode: &str) -> Result<T, Refusal> {
        self.refuse(format!("the opcode {opcode} is not known to this driver"))
    }

    /// The register that an operand names as a result.
    pub(super) fn result(&mut self, operand: &Operand, width: Width) -> Result<u32, Refusal> {
        match operand {
            Operand::Register(register) if fits(self.body.widths[*register as usize], width) => Ok(*register),
            Operand::Sink => Ok(self.temporary(width)),
            other => self.refuse(format!("a result into {other:?}")),
        }
    }

    fn call(&mut self, operands: &[Operand]) -> Result<u32, Refusal> {
        let (results, name, arguments) = match operands {
            [Operand::List(results), Operand::Symbol(name, 0), Operand::List(arguments)] => {
                (&results[..], name, &arguments[..])
            }
            [Operand::List(results), Operand::Symbol(name, 0)] => (&results[..], name, &[][..]),
            [Operand::Symbol(name, 0), Operand::List(arguments)] => (&[][..], name, &arguments[..]),
            [Operand::Symbol(name, 0)] => (&[][..], name, &[][..]),
            _ => return self.refuse("a call through a pointer"),
        };
        let Some(&callee) = self.numbers.get(name.as_str()) else {
            return self.refuse(format!("the function {name} is not defined in this module"));
        };
        let function = self.functions[callee];
        if function.entry || function.params.len() != arguments.len() || function.returns.len() != results.len() {
            return self.refuse(format!("a call of {name} with other parameters than it has"));
        }
        let mut call = Call { callee, ..Call::default() };
        let theirs = |name: &str| self.layouts[callee].0[name];
        let passed = |operand: &Operand| match operand {
            Operand::Symbol(name, 0) => self.frame.get(name).copied(),
            _ => None,
        };
        for (argument, param) in arguments.iter().zip(&function.params) {
            let Some((from, bytes)) = passed(argument) else { return self.refuse("an argument not in .param") };
            call.arguments.push((from, theirs(&param.name).0, bytes.min(param.size)));
        }
        for (result, returned) in results.iter().zip(&function.returns) {
            let Some((to, bytes)) = passed(result) else { return self.refuse("a result not in .param") };
            call.results.push((theirs(&returned.name).0, to, bytes.min(returned.size)));
        }
        self.calls.push(call);
        Ok(u32::try_from(self.calls.len() - 1).expect("a text of less than 2^32 calls"))
    }

    /// An operand to be read from registers of a width.
    pub(super) fn value(&mut self, operand: &Operand, width: Width) -> Result<Value, Refusal> {
        match operand {
            Operand::Register(register) => {
                if let Some(literal) = self.constants.get(register).cloned() {
                    return self.value(&literal, width);
                }
                if fits(self.body.widths[*register as usize], width) {
                    return Ok(Value::Register(*register));
                }
                self.refuse("an operand of another width than its opcode's")
            }
            Operand::Negated(register) if width == Width::Predicate => {
                let temporary = self.temporary(Width::Predicate);
                let operands = [Operand::Register(temporary), Operand::Register(*register)];
                self.arithmetic("not.pred", None, &operands)?;
                Ok(Value::Register(temporary))
            }
            Operand::Integer(number) => match width {
                Width::Half => self.fixed.word(low_word(*number) & 0xffff),
                Width::Word => self.fixed.word(low_word(*number)),
                Width::Double => self.fixed.double(number.cast_unsigned()),
                Width::Predicate => self.predicate(*number != 0),
            },
            Operand::Float(bits) if width == Width::Word => self.fixed.word(*bits),
            Operand::Double(bits) if width == Width::Double => self.fixed.double(*bits),
            Operand::Special(name) => self.special(name, width),
            Operand::Symbol(name, addend) => self.address_of(name, *addend, width),
            other => self.refuse(format!("the operand {other:?} is not taken here")),
        }
    }

    /// A predicate that is the same in every lane: a comparison of constants.
    fn predicate(&mut self, holds: bool) -> Result<Value, Refusal> {
        let temporary = self.temporary(Width::Predicate);
        let operands = [Operand::Register(temporary), Operand::Integer(0), Operand::Integer(i64::from(!holds))];
        self.arithmetic("setp.eq.u32", None, &operands)?;
        Ok(Value::Register(temporary))
    }

    fn special(&mut self, name: &str, width: Width) -> Result<Value, Refusal> {
        let axis = match name.split('.').nth(1) {
            Some("x") => 0,
            Some("y") => 1,
            Some("z") => 2,
            _ => 3,
        };
        let special = match name.split('.').next().unwrap_or(name) {
            "%tid" if axis < 3 => Special::Thread(axis),
            "%ntid" if axis < 3 => Special::Threads(axis),
            "%ctaid" if axis < 3 => Special::Block(axis),
            "%nctaid" if axis < 3 => Special::Blocks(axis),
            "%laneid" => Special::Lane,
            "%warpid" => Special::Warp,
            "WARP_SZ" => Special::WarpSize,
            "%clock" => Special::Clock,
            "%clock64" | "%globaltimer" => Special::Clock64,
            _ => return self.refuse(format!("the register {name} is not known to this driver")),
        };
        let own = if special == Special::Clock64 { Width::Double } else { Width::Word };
        if !fits(own, width) {
            return self.refuse(format!("{name} as an operand of another width"));
        }
        let temporary = self.temporary(own);
        self.emit(Step::Special(special), None, vec![temporary], Vec::new());
        Ok(Value::Register(temporary))
    }

    /// The address of a variable, as the state space's own instructions take it.
    pub(super) fn address_of(&mut self, name: &str, addend: i64, width: Width) -> Result<Value, Refusal> {
        if name == "WARP_SZ" {
            return self.special(name, width);
        }
        let known = self.addresses.get(name).or_else(|| self.shared.get(name)).or_else(|| self.params.get(name));
        if let Some(&address) = known {
            let address = address.wrapping_add_signed(addend);
            return match width {
                Width::Double => self.fixed.double(address),
                Width::Word if u32::try_from(address).is_ok() => self.fixed.word(low_word(address.cast_signed())),
                _ => self.refuse(format!("the address of {name} in a register that is too small")),
            };
        }
        let step = match self.frame.get(name) {
            Some(&(offset, _)) => Step::FrameAddress(offset),
            None if self.dynamic.contains(&name) => Step::Special(Special::DynamicShared),
            None => return self.refuse(format!("{name} is not defined")),
        };
        let temporary = self.temporary(Width::Double);
        self.emit(step, None, vec![temporary], Vec::new());
        let mut value = Operand::Register(temporary);
        if addend != 0 {
            let sum = Operand::Register(self.temporary(Width::Double));
            self.arithmetic("add.u64", None, &[sum.clone(), value, Operand::Integer(addend)])?;
            value = sum;
        }
        if width == Width::Word {
            let low = Operand::Register(self.temporary(Width::Word));
            self.arithmetic("cvt.u32.u64", None, &[low.clone(), value])?;
            value = low;
        }
        self.value(&value, width)
    }
}

/// Whether a register can be read or written as one of a width.
fn fits(register: Width, asked: Width) -> bool {
    register == asked || matches!((register, asked), (Width::Half, Width::Word) | (Width::Word, Width::Half))
}

#[expect(clippy::cast_possible_truncation, reason = "literals are written with any sign, and their low bits count")]
fn low_word(number: i64) -> u32 {
    number as u32
}
