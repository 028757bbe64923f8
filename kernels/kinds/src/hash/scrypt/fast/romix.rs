//! ROMix over any register that holds a row of one or more hashes, several such registers interleaved so that each one's
//! latency hides behind the others.
//!
//! Salsa20's 4x4 matrix is held as its four diagonals, one a row, so that a quarter round is the same operation on every
//! lane and going from columns to rows turns lanes around in a register. Everything is `inline(always)`: the caller's
//! instruction set applies.

use crate::hash::scrypt::reference::N;

/// Rows of a block: four for each half.
const ROWS: usize = 8;

/// Where a half's words stand in it: row and lane. The columns' diagonals, from the main one downwards.
const PLACES: [(usize, usize); 16] = {
    let mut places = [(0, 0); 16];
    let mut word = 0;
    while word < 16 {
        places[word] = ((word / 4 + 4 - word % 4) % 4, word % 4);
        word += 1;
    }
    places
};

/// A block of one hash in diagonal form; it fills two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(super) struct Block([[u32; 4]; ROWS]);

impl Block {
    pub(super) const ZERO: Self = Self([[0; 4]; ROWS]);

    /// The word at this place of the block as the definition has it.
    pub(super) fn word(&self, index: usize) -> u32 {
        let (row, lane) = PLACES[index % 16];
        self.0[index / 16 * 4 + row][lane]
    }

    /// As [`Self::word`], to be changed.
    pub(super) fn word_mut(&mut self, index: usize) -> &mut u32 {
        let (row, lane) = PLACES[index % 16];
        &mut self.0[index / 16 * 4 + row][lane]
    }
}

/// A register of one row each of `HASHES` hashes.
pub(super) trait Row: Copy {
    const HASHES: usize;

    /// The row that `row(hash)` answers for each hash.
    fn load<'a>(row: impl Fn(usize) -> &'a [u32; 4]) -> Self;
    /// Puts each hash's row in its place.
    fn store<'a>(self, rows: impl Iterator<Item = &'a mut [u32; 4]>);
    fn add(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// `self` xored with `other` rotated left. `RIGHT` is 32 less `LEFT`: Rust cannot compute it in a const argument yet.
    fn xor_rotated<const LEFT: i32, const RIGHT: i32>(self, other: Self) -> Self;
    /// Lanes 1, 2, 3, 0.
    fn turn_1(self) -> Self;
    /// Lanes 2, 3, 0, 1.
    fn turn_2(self) -> Self;
    /// Lanes 3, 0, 1, 2.
    fn turn_3(self) -> Self;
    /// Lane 0 of a hash's row.
    fn first_lane(self, hash: usize) -> u32;
    /// Asks for a block before it is needed.
    fn prefetch(block: &Block);
}

/// `REGISTERS` interleaved blocks.
type Interleaved<R, const REGISTERS: usize> = [[R; ROWS]; REGISTERS];

/// ROMix's table for the hashes that are mixed at once, with one entry more than anyone looks up.
pub(super) type Table<const HASHES: usize> = [[Block; HASHES]; N + 1];

/// Mixes the blocks of `HASHES` hashes in two groups that take turns: while one is mixed, the blocks that the other picked
/// come from memory.
#[inline(always)]
pub(super) fn mix<R: Row, const REGISTERS: usize, const HASHES: usize>(
    blocks: &mut [Block; HASHES],
    table: &mut Table<HASHES>,
) {
    const GROUPS: usize = 2;
    const { assert!(HASHES == GROUPS * REGISTERS * R::HASHES) };
    let hash_of = |group: usize, register: usize| (group * REGISTERS + register) * R::HASHES;
    let mut groups: [Interleaved<R, REGISTERS>; GROUPS] = std::array::from_fn(|group| {
        std::array::from_fn(|register| {
            let first = hash_of(group, register);
            std::array::from_fn(|row| R::load(|hash| &blocks[first + hash].0[row]))
        })
    });
    table[0] = *blocks;
    for entry in &mut table[1..] {
        for (group, state) in groups.iter_mut().enumerate() {
            block_mix(state, |register, row, value: R| {
                let first = hash_of(group, register);
                value.store(entry[first..first + R::HASHES].iter_mut().map(|block| &mut block.0[row]));
            });
        }
    }
    let mut picked = [0; HASHES];
    for (group, state) in groups.iter().enumerate() {
        pick(state, &mut picked[hash_of(group, 0)..hash_of(group + 1, 0)]);
    }
    for _ in 0..N {
        for (group, state) in groups.iter_mut().enumerate() {
            for (register, rows) in state.iter_mut().enumerate() {
                let first = hash_of(group, register);
                for (row, value) in rows.iter_mut().enumerate() {
                    *value = value.xor(R::load(|hash| &table[picked[first + hash]][first + hash].0[row]));
                }
            }
            block_mix(state, |_, _, _| {});
            let hashes = hash_of(group, 0)..hash_of(group + 1, 0);
            pick(state, &mut picked[hashes.clone()]);
            for hash in hashes {
                R::prefetch(&table[picked[hash]][hash]);
            }
        }
    }
    for (group, state) in groups.iter().enumerate() {
        for (register, rows) in state.iter().enumerate() {
            let first = hash_of(group, register);
            for (row, value) in rows.iter().enumerate() {
                value.store(blocks[first..first + R::HASHES].iter_mut().map(|block| &mut block.0[row]));
            }
        }
    }
}

/// The entries that the blocks pick.
#[inline(always)]
fn pick<R: Row, const REGISTERS: usize>(state: &Interleaved<R, REGISTERS>, picked: &mut [usize]) {
    for (rows, picked) in state.iter().zip(picked.chunks_exact_mut(R::HASHES)) {
        for (hash, picked) in picked.iter_mut().enumerate() {
            *picked = rows[ROWS / 2].first_lane(hash) as usize % N;
        }
    }
}

/// BlockMix of every block. `on_row` gets each register's rows as they come to be: the register's number, the row's, the row.
#[inline(always)]
fn block_mix<R: Row, const REGISTERS: usize>(
    state: &mut Interleaved<R, REGISTERS>,
    mut on_row: impl FnMut(usize, usize, R),
) {
    salsa20_8::<R, REGISTERS, 0, 4>(state, &mut on_row);
    salsa20_8::<R, REGISTERS, 4, 0>(state, &mut on_row);
}

/// The half of each block that begins at row `AT` becomes Salsa20/8 of itself xored with the half at `OTHER`.
#[inline(always)]
fn salsa20_8<R: Row, const REGISTERS: usize, const AT: usize, const OTHER: usize>(
    state: &mut Interleaved<R, REGISTERS>,
    on_row: &mut impl FnMut(usize, usize, R),
) {
    let mut x = [[state[0][0]; 4]; REGISTERS];
    for (x, rows) in x.iter_mut().zip(state.iter_mut()) {
        for row in 0..4 {
            rows[AT + row] = rows[AT + row].xor(rows[OTHER + row]);
            x[row] = rows[AT + row];
        }
    }
    // Going from columns to rows and back is the same turn of b, c and d. Those of c, which the first step does not read,
    // wait until after it, so that the CPU's few shuffling ports serve b and d first.
    for x in &mut x {
        x[2] = x[2].turn_2();
    }
    for _ in 0..4 {
        quarter_rounds(&mut x);
        quarter_rounds(&mut x);
    }
    for x in &mut x {
        x[2] = x[2].turn_2();
    }
    for (register, (x, rows)) in x.iter().zip(state.iter_mut()).enumerate() {
        for row in 0..4 {
            rows[AT + row] = rows[AT + row].add(x[row]);
            on_row(register, AT + row, rows[AT + row]);
        }
    }
}

#[inline(always)]
fn quarter_rounds<R: Row, const REGISTERS: usize>(x: &mut [[R; 4]; REGISTERS]) {
    for x in x.iter_mut() {
        x[1] = x[1].xor_rotated::<7, 25>(x[0].add(x[3]));
    }
    for x in x.iter_mut() {
        x[2] = x[2].turn_2();
    }
    for x in x.iter_mut() {
        x[2] = x[2].xor_rotated::<9, 23>(x[1].add(x[0]));
    }
    for x in x.iter_mut() {
        x[3] = x[3].xor_rotated::<13, 19>(x[2].add(x[1]));
    }
    for x in x.iter_mut() {
        x[0] = x[0].xor_rotated::<18, 14>(x[3].add(x[2]));
    }
    for x in x.iter_mut() {
        (x[1], x[3]) = (x[3].turn_1(), x[1].turn_3());
    }
}
