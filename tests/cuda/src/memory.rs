//! Device and pinned memory: blocks of words at addresses that are used only once, so that an access after
//! the block was freed, or outside of every block, is always found.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Generic addresses of shared memory begin here.
pub(crate) const SHARED_WINDOW: u64 = 0x0100_0000_0000;
/// Generic addresses of local memory begin here.
pub(crate) const LOCAL_WINDOW: u64 = 0x0200_0000_0000;
/// Addresses of the first device's memory begin here, each further device's `DEVICE_SPAN` later.
pub(crate) const DEVICE_BASE: u64 = 0x2000_0000_0000;
/// Addresses of one device.
pub(crate) const DEVICE_SPAN: u64 = 1 << 40;
/// All devices' addresses end before this one; those of the host begin after it.
const DEVICE_END: u64 = 0x3000_0000_0000;
/// What device allocations are aligned to, and the least gap between two.
const DEVICE_ALIGN: u64 = 512;
/// What pinned memory is aligned to.
const PINNED_ALIGN: usize = 4096;

/// What fresh device memory is filled with.
pub(crate) const POISON_GLOBAL: u8 = 0xa5;
/// What shared memory is filled with before a block of threads begins.
pub(crate) const POISON_SHARED: u8 = 0xb6;
/// What local memory is filled with before a thread begins.
pub(crate) const POISON_LOCAL: u8 = 0xc7;

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Device,
    /// Memory of the host that devices can reach.
    Pinned,
    /// A variable of a module.
    Variable,
    /// A constant of a module.
    Constant,
}

/// One allocation. Its words are atomic because a program may race on them; nothing here depends on an order.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) base: u64,
    pub(crate) bytes: u64,
    pub(crate) sort: Sort,
    words: Box<[AtomicU32]>,
    /// Where the block begins in `words`; not 0 only for alignment of pinned memory.
    first: usize,
    freed: AtomicBool,
}

impl Block {
    fn new(base: u64, bytes: usize, sort: Sort) -> Self {
        let poison = if matches!(sort, Sort::Device | Sort::Pinned) { POISON_GLOBAL } else { 0 };
        let poison = u32::from_le_bytes([poison; 4]);
        let spare = if sort == Sort::Pinned { PINNED_ALIGN / 4 } else { 0 };
        let words: Box<[AtomicU32]> = (0..bytes.div_ceil(4) + spare).map(|_| AtomicU32::new(poison)).collect();
        let (mut base, mut first) = (base, 0);
        if sort == Sort::Pinned {
            let start = words.as_ptr().addr();
            let aligned = start.next_multiple_of(PINNED_ALIGN);
            first = (aligned - start) / 4;
            base = aligned as u64;
        }
        Self { base, bytes: bytes as u64, sort, words, first, freed: AtomicBool::new(false) }
    }

    /// Where the host reads and writes pinned memory.
    pub(crate) fn host_pointer(&self) -> *mut u8 {
        self.words[self.first].as_ptr().cast()
    }

    pub(crate) fn is_freed(&self) -> bool {
        self.freed.load(Relaxed)
    }

    /// The offset of `bytes` at an address, if all of them are inside.
    #[inline(always)]
    pub(crate) fn offset(&self, address: u64, bytes: u64) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        if offset <= self.bytes && bytes <= self.bytes - offset { usize::try_from(offset).ok() } else { None }
    }

    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        &self.words[self.first + offset / 4]
    }

    /// Reads 1, 2, 4 or 8 bytes at an offset that is a multiple of their number.
    #[inline(always)]
    pub(crate) fn load(&self, offset: usize, bytes: u8) -> u64 {
        let word = u64::from(self.word(offset).load(Relaxed));
        match bytes {
            4 => word,
            8 => word | u64::from(self.word(offset + 4).load(Relaxed)) << 32,
            _ => word >> (offset % 4 * 8) & ((1 << (8 * bytes)) - 1),
        }
    }

    /// Writes 1, 2, 4 or 8 bytes at an offset that is a multiple of their number.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the value is cut into words")]
    pub(crate) fn store(&self, offset: usize, bytes: u8, value: u64) {
        match bytes {
            4 => self.word(offset).store(value as u32, Relaxed),
            8 => {
                self.word(offset).store(value as u32, Relaxed);
                self.word(offset + 4).store((value >> 32) as u32, Relaxed);
            }
            _ => {
                let shift = offset % 4 * 8;
                let mask = ((1_u32 << (8 * bytes)) - 1) << shift;
                let bits = (value as u32) << shift & mask;
                let merge = |old: u32| Some(old & !mask | bits);
                self.word(offset).fetch_update(Relaxed, Relaxed, merge).expect("merging gives a value");
            }
        }
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) {
        let mut at = 0;
        while at < to.len() {
            let place = offset + at;
            if place.is_multiple_of(4) && to.len() - at >= 4 {
                to[at..at + 4].copy_from_slice(&self.word(place).load(Relaxed).to_le_bytes());
                at += 4;
            } else {
                to[at] = self.load(place, 1).to_le_bytes()[0];
                at += 1;
            }
        }
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        let mut at = 0;
        while at < from.len() {
            let place = offset + at;
            if let (true, Some(word)) = (place.is_multiple_of(4), from[at..].first_chunk::<4>()) {
                self.word(place).store(u32::from_le_bytes(*word), Relaxed);
                at += 4;
            } else {
                self.store(place, 1, u64::from(from[at]));
                at += 1;
            }
        }
    }
}

/// The blocks that exist, in the order of their addresses.
pub(crate) type Blocks = Arc<Vec<Arc<Block>>>;

/// The memory of a device's context, or the pinned memory of the host.
#[derive(Debug)]
pub(crate) struct Memory {
    state: Mutex<State>,
    limit: u64,
}

#[derive(Debug)]
struct State {
    blocks: Blocks,
    next: u64,
    used: u64,
}

/// Why memory was not allocated or freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryError {
    /// There is not so much.
    Full,
    /// No block begins there.
    Foreign,
}

impl Memory {
    /// Memory of up to `limit` bytes, with addresses from `next` on.
    pub(crate) fn new(limit: u64, next: u64) -> Self {
        Self { state: Mutex::new(State { blocks: Blocks::default(), next, used: 0 }), limit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a block, filled with poison or, for variables, with zeros.
    pub(crate) fn allocate(&self, bytes: usize, sort: Sort) -> Result<Arc<Block>, MemoryError> {
        let mut state = self.state();
        let used = state.used.saturating_add((bytes as u64).next_multiple_of(DEVICE_ALIGN));
        if used > self.limit {
            return Err(MemoryError::Full);
        }
        let block = Arc::new(Block::new(state.next, bytes, sort));
        state.used = used;
        if sort != Sort::Pinned {
            state.next += (bytes as u64).next_multiple_of(DEVICE_ALIGN) + DEVICE_ALIGN;
        }
        let blocks = Arc::make_mut(&mut state.blocks);
        let place = blocks.partition_point(|other| other.base < block.base);
        blocks.insert(place, Arc::clone(&block));
        Ok(block)
    }

    /// Removes the block that begins at an address.
    pub(crate) fn free(&self, address: u64, sorts: &[Sort]) -> Result<Arc<Block>, MemoryError> {
        let mut state = self.state();
        let found = state.blocks.binary_search_by_key(&address, |block| block.base);
        let place = found.map_err(|_| MemoryError::Foreign)?;
        if !sorts.contains(&state.blocks[place].sort) {
            return Err(MemoryError::Foreign);
        }
        let block = Arc::make_mut(&mut state.blocks).remove(place);
        state.used -= block.bytes.next_multiple_of(DEVICE_ALIGN);
        block.freed.store(true, Relaxed);
        Ok(block)
    }

    /// The blocks as they are now.
    pub(crate) fn blocks(&self) -> Blocks {
        Arc::clone(&self.state().blocks)
    }

    /// Bytes that are not allocated.
    pub(crate) fn available(&self) -> u64 {
        self.limit - self.state().used
    }

    /// The next address to be given out.
    pub(crate) fn next_address(&self) -> u64 {
        self.state().next
    }
}

/// The block that an address is in, or the last one before it.
pub(crate) fn search(blocks: &[Arc<Block>], address: u64) -> Option<usize> {
    blocks.partition_point(|block| block.base <= address).checked_sub(1)
}

/// The block that holds `bytes` at an address.
pub(crate) fn find(blocks: &[Arc<Block>], address: u64, bytes: u64) -> Option<&Arc<Block>> {
    let block = &blocks[search(blocks, address)?];
    block.offset(address, bytes).map(|_| block)
}

/// All that a kernel can reach: its context's memory and pinned memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) device: Blocks,
    pub(crate) pinned: Blocks,
}

impl View {
    /// The block of an access; `hint` is where the last one of the same instruction was found.
    #[inline(always)]
    pub(crate) fn find(&self, address: u64, bytes: u64, hint: &mut u32) -> Option<(&Block, usize)> {
        let device = &self.device[..];
        if let Some(block) = device.get(*hint as usize)
            && let Some(offset) = block.offset(address, bytes)
        {
            return Some((block, offset));
        }
        if address >= DEVICE_END {
            let block = find(&self.pinned, address, bytes)?;
            return Some((block, block.offset(address, bytes)?));
        }
        let at = search(device, address)?;
        *hint = u32::try_from(at).unwrap_or(0);
        let block = &device[at];
        Some((block, block.offset(address, bytes)?))
    }

    /// What is known of an address that no access may use.
    pub(crate) fn describe(&self, address: u64) -> String {
        let blocks = if address >= DEVICE_END { &self.pinned } else { &self.device };
        match search(blocks, address).map(|at| &blocks[at]) {
            Some(block) if address < block.base + block.bytes + DEVICE_ALIGN => {
                format!("{} bytes into the block of {} bytes at {:#x}", address - block.base, block.bytes, block.base)
            }
            _ => "not in any block".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_is_written_at_every_width_and_offset() {
        let memory = Memory::new(1 << 20, DEVICE_BASE);
        let block = memory.allocate(19, Sort::Device).unwrap();
        let mut model = vec![POISON_GLOBAL; 19];
        for (offset, bytes, value) in [(0, 8, 0x0123_4567_89ab_cdef_u64), (2, 2, 0xbeef), (7, 1, 0x42), (16, 2, 7)] {
            block.store(offset, bytes, value);
            model[offset..offset + usize::from(bytes)].copy_from_slice(&value.to_le_bytes()[..usize::from(bytes)]);
            let mut got = vec![0; 19];
            block.read(0, &mut got);
            assert_eq!(got, model);
            assert_eq!(block.load(offset, bytes), value);
        }
        block.write(3, b"abcdefgh");
        let mut got = [0; 8];
        block.read(3, &mut got);
        assert_eq!(&got, b"abcdefgh");
    }

    #[test]
    fn an_address_is_never_given_twice_and_the_limit_holds() {
        let memory = Memory::new(4096, DEVICE_BASE);
        let first = memory.allocate(1000, Sort::Device).unwrap().base;
        assert_eq!(memory.allocate(4096, Sort::Device).unwrap_err(), MemoryError::Full);
        assert_eq!(memory.available(), 4096 - 1024);
        assert_eq!(memory.free(first + 4, &[Sort::Device]).unwrap_err(), MemoryError::Foreign);
        memory.free(first, &[Sort::Device]).unwrap();
        assert_eq!(memory.free(first, &[Sort::Device]).unwrap_err(), MemoryError::Foreign);
        assert_ne!(memory.allocate(1000, Sort::Device).unwrap().base, first);
        let view = View { device: memory.blocks(), pinned: Blocks::default() };
        assert!(view.find(first, 4, &mut 0).is_none(), "freed");
    }

    #[test]
    fn pinned_memory_is_where_its_pointer_says() {
        let memory = Memory::new(u64::MAX, 0);
        let block = memory.allocate(100, Sort::Pinned).unwrap();
        assert_eq!(block.host_pointer().addr() as u64, block.base);
        assert!(block.base.is_multiple_of(PINNED_ALIGN as u64));
    }
}
