//! Instructions before registers have slots.

use std::collections::HashMap;

use super::Step;
use crate::ptx::Refusal;
use crate::ptx::syntax::Width;

/// A register by number, or a fixed slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Register(u32),
    FixedWord(u16),
    FixedDouble(u16),
}

/// An instruction whose registers have no slots yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) step: Step,
    pub(super) guard: Option<(u32, bool)>,
    pub(super) to: Vec<u32>,
    pub(super) from: Vec<Value>,
    pub(super) line: u32,
}

/// Values of the fixed slots, each once.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    pub(super) words: Vec<u32>,
    pub(super) doubles: Vec<u64>,
    word_slots: HashMap<u32, u16>,
    double_slots: HashMap<u64, u16>,
}

impl Fixed {
    pub(super) fn word(&mut self, value: u32) -> Result<Value, Refusal> {
        if let Some(&slot) = self.word_slots.get(&value) {
            return Ok(Value::FixedWord(slot));
        }
        let slot = slot_number(self.words.len())?;
        self.words.push(value);
        self.word_slots.insert(value, slot);
        Ok(Value::FixedWord(slot))
    }

    pub(super) fn double(&mut self, value: u64) -> Result<Value, Refusal> {
        if let Some(&slot) = self.double_slots.get(&value) {
            return Ok(Value::FixedDouble(slot));
        }
        let slot = slot_number(self.doubles.len())?;
        self.doubles.push(value);
        self.double_slots.insert(value, slot);
        Ok(Value::FixedDouble(slot))
    }
}

/// A slot's number.
///
/// # Errors
/// There are more than an instruction can name.
pub(super) fn slot_number(count: usize) -> Result<u16, Refusal> {
    // The last is the mark of no guard.
    u16::try_from(count).ok().filter(|&slot| slot < u16::MAX).ok_or_else(|| Refusal::new(0, "too many registers"))
}

/// A function's instructions; branch targets count from its first.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) drafts: Vec<Draft>,
    /// The widths of the registers, by number, with those that the decoder added.
    pub(super) widths: Vec<Width>,
    /// Tables of branch targets.
    pub(super) tables: Vec<Vec<u32>>,
}
