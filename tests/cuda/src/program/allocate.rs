//! Gives registers their slots. PTX has as many registers as its compiler liked; a slot is used again once
//! its register is dead, so that a warp's planes stay in the cache.

use super::draft::{Body, Value, slot_number};
use super::{Instruction, Step, UNGUARDED};
use crate::ptx::Refusal;
use crate::ptx::syntax::Width;
use crate::registers::{Slots, Window};

/// A stretch of instructions with one way in and one way out.
#[derive(Debug, Default)]
struct Block {
    first: usize,
    /// One past its last instruction.
    end: usize,
    next: Vec<usize>,
    live_in: Bits,
    live_out: Bits,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn set(&mut self, bit: u32) {
        self.0[bit as usize / 64] |= 1 << (bit % 64);
    }

    fn clear(&mut self, bit: u32) {
        self.0[bit as usize / 64] &= !(1 << (bit % 64));
    }

    /// Adds what `other` has, and says whether that changed anything.
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            changed |= *other & !*own != 0;
            *own |= other;
        }
        changed
    }

    fn members(&self) -> impl Iterator<Item = usize> + '_ {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        self.0.iter().enumerate().flat_map(move |(at, &word)| bits(word).map(move |bit| 64 * at + bit))
    }
}

/// Instructions with slots, and how many slots of each sort they need.
pub(super) fn allocate(body: &Body, fixed: (usize, usize)) -> Result<(Vec<Instruction>, Window), Refusal> {
    let spans = spans(body);
    let (slots, room) = assign(body, &spans, fixed)?;
    let slot = |value: &Value| match *value {
        Value::Register(register) => slots[register as usize],
        Value::FixedWord(slot) | Value::FixedDouble(slot) => slot,
    };
    let code = body.drafts.iter().map(|draft| {
        let mut packed = Slots::default();
        for (place, register) in packed.to.iter_mut().zip(&draft.to) {
            *place = slots[*register as usize];
        }
        for (place, value) in packed.from.iter_mut().zip(&draft.from) {
            *place = slot(value);
        }
        let (guard, negated) = draft.guard.map_or((UNGUARDED, false), |(guard, not)| (slots[guard as usize], not));
        Instruction { step: draft.step, slots: packed, guard, negated }
    });
    Ok((code.collect(), room))
}

fn uses(body: &Body, at: usize) -> impl Iterator<Item = u32> + '_ {
    let draft = &body.drafts[at];
    let from = draft.from.iter().filter_map(|value| match value {
        Value::Register(register) => Some(*register),
        _ => None,
    });
    // A guarded instruction leaves the old result where its guard does not hold.
    let kept = if draft.guard.is_some() { &draft.to[..] } else { &[] };
    from.chain(draft.guard.map(|(guard, _)| guard)).chain(kept.iter().copied())
}

fn blocks(body: &Body) -> Vec<Block> {
    let count = body.drafts.len();
    let mut leads = vec![false; count + 1];
    leads[0] = true;
    let targets = |at: usize| -> Vec<usize> {
        match body.drafts[at].step {
            Step::Branch(target) => vec![target as usize],
            Step::BranchIndex(table) => body.tables[table as usize].iter().map(|&target| target as usize).collect(),
            _ => Vec::new(),
        }
    };
    let ends = |at: usize| {
        matches!(body.drafts[at].step, Step::Branch(_) | Step::BranchIndex(_) | Step::Return | Step::Exit | Step::Trap)
    };
    for at in 0..count {
        if ends(at) {
            leads[at + 1] = true;
            for target in targets(at) {
                leads[target] = true;
            }
        }
    }
    let firsts: Vec<usize> = (0..count).filter(|&at| leads[at]).collect();
    let mut block_of = vec![0; count];
    for (number, &first) in firsts.iter().enumerate() {
        let end = firsts.get(number + 1).copied().unwrap_or(count);
        block_of[first..end].fill(number);
    }
    let mut found = Vec::new();
    for (number, &first) in firsts.iter().enumerate() {
        let end = firsts.get(number + 1).copied().unwrap_or(count);
        let mut next: Vec<usize> = targets(end - 1).into_iter().map(|target| block_of[target]).collect();
        if (!ends(end - 1) || body.drafts[end - 1].guard.is_some()) && end < count {
            next.push(block_of[end]);
        }
        let registers = body.widths.len();
        found.push(Block { first, end, next, live_in: Bits::new(registers), live_out: Bits::new(registers) });
    }
    found
}

/// From where to where each register's value may be needed.
fn spans(body: &Body) -> Vec<Option<(usize, usize)>> {
    let mut spans: Vec<Option<(usize, usize)>> = vec![None; body.widths.len()];
    if body.drafts.is_empty() {
        return spans;
    }
    let mut blocks = blocks(body);
    loop {
        let mut changed = false;
        for number in (0..blocks.len()).rev() {
            let mut live = std::mem::take(&mut blocks[number].live_out);
            for next in blocks[number].next.clone() {
                if next == number {
                    live.join(&blocks[number].live_in);
                } else {
                    live.join(&blocks[next].live_in);
                }
            }
            blocks[number].live_out = live.clone();
            for at in (blocks[number].first..blocks[number].end).rev() {
                for &register in &body.drafts[at].to {
                    live.clear(register);
                }
                for register in uses(body, at) {
                    live.set(register);
                }
            }
            changed |= blocks[number].live_in.join(&live);
        }
        if !changed {
            break;
        }
    }
    let mut reach = |register: usize, at: usize| {
        let span = spans[register].get_or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    };
    for block in &blocks {
        block.live_in.members().for_each(|register| reach(register, block.first));
        block.live_out.members().for_each(|register| reach(register, block.end - 1));
        for at in block.first..block.end {
            uses(body, at).chain(body.drafts[at].to.iter().copied()).for_each(|register| reach(register as usize, at));
        }
    }
    spans
}

/// Slots by the linear-scan method: registers in the order in which they come alive, each in a slot whose
/// register before it is dead.
fn assign(body: &Body, spans: &[Option<(usize, usize)>], fixed: (usize, usize)) -> Result<(Vec<u16>, Window), Refusal> {
    let mut order: Vec<(usize, usize, usize)> =
        spans.iter().enumerate().filter_map(|(register, span)| span.map(|(from, to)| (from, to, register))).collect();
    order.sort_unstable();
    let mut slots = vec![0; spans.len()];
    // Of predicates, words and doubles: how many slots there are, and of each the end of its last register.
    let mut used = [0; 3];
    let mut free: [std::collections::BinaryHeap<std::cmp::Reverse<(usize, usize)>>; 3] = Default::default();
    for (from, to, register) in order {
        let (sort, first) = match body.widths[register] {
            Width::Predicate => (0, 0),
            Width::Half | Width::Word => (1, fixed.0),
            Width::Double => (2, fixed.1),
        };
        // A value that ends where another begins keeps its slot: vector loads write one plane after another.
        let dead = free[sort].peek().is_some_and(|least| least.0.0 < from);
        let slot = match if dead { free[sort].pop() } else { None } {
            Some(least) => least.0.1,
            None => {
                used[sort] += 1;
                used[sort] - 1
            }
        };
        free[sort].push(std::cmp::Reverse((to, slot)));
        slots[register] = slot_number(first + slot)?;
    }
    Ok((slots, Window { predicates: used[0], words: used[1], doubles: used[2] }))
}
