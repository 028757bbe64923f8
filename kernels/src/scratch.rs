//! scrypt's scratch memory on a device.

/// Words of one hash's table.
const TABLE_WORDS: usize = 32 * 1024;
/// Work items for each compute unit of a GPU that hide its memory's latency.
pub(crate) const ITEMS_PER_UNIT: usize = 2048;

/// Words of scratch memory of an item that mixes `hashes` at a time and keeps every `gap`th block.
pub(crate) fn words(hashes: u64, gap: u32) -> usize {
    usize::try_from(hashes).expect("few hashes") * TABLE_WORDS / gap as usize
}

/// Items whose scratch memory fits into one buffer, and into nine tenths of the memory that may be used.
pub(crate) fn items_max(hashes: u64, gap: u32, buffer_bytes: u64, memory_bytes: u64) -> usize {
    let bytes = buffer_bytes.min(memory_bytes / 10 * 9);
    usize::try_from(bytes / (4 * words(hashes, gap) as u64)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_128_kib_and_a_gap_divides_it() {
        assert_eq!([words(1, 1) * 4, words(1, 4) * 4, words(6, 1) * 4], [131_072, 32_768, 786_432]);
        assert_eq!(items_max(1, 1, 1 << 30, 8 << 30), 8192);
        assert_eq!(items_max(1, 2, 8 << 30, 1 << 30), 14_745);
        assert_eq!(items_max(1, 1, 1000, 1000), 0);
    }
}
