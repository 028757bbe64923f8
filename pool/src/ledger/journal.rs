//! The journal: groups of entries on disk, append-only, each group framed, checksummed and chained.
//!
//! ```text
//! segment = magic[8] pool[16] first_seq:u64 previous_head[32] frame*
//! frame   = length:u32 crc32c:u32 first_seq:u64 count:u32 payload[length] head[32]
//! payload = (length:u16be entry)*
//! head    = BLAKE3(previous head || first_seq || count || payload)
//! ```
//! Integers are little-endian but for the entry lengths, which are as in a C2SP entry bundle. The
//! checksum covers all of the frame after itself. One writer appends a frame and waits for the disk
//! ([`Journal::append`]); what a crash leaves of an unfinished frame is cut at the next start.
//!
//! What the disk must do: after `fdatasync` returns, the bytes and the file's length are on stable
//! storage; after a directory's `fsync`, its names are. Sectors may otherwise be lost in any order.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::codec::CodecError;
use super::entry::Entry;

const MAGIC: &[u8; 8] = b"LODEJNL1";
const SEGMENT_HEADER_BYTES: usize = 64;
const FRAME_HEADER_BYTES: usize = 20;
const HEAD_BYTES: usize = 32;
/// Most payload bytes of a frame.
pub const FRAME_PAYLOAD_MAX: usize = 4 * 1024 * 1024;
/// A segment is closed once it passes this size.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The chain's hash at some point of the log.
pub type Head = [u8; 32];

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// Bytes that were once whole are not any more.
    #[error("{path} is damaged at byte {offset}, entry {seq}: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// The entry that begins there.
        seq: u64,
        /// What is wrong.
        what: String,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    |source| JournalError::Io { path, source }
}

/// A point in the log: how many entries came before, and the chain's hash over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Entries before this point.
    pub seq: u64,
    /// The chain's hash here.
    pub head: Head,
}

impl Position {
    const START: Position = Position { seq: 0, head: [0; 32] };
}

/// What a reading of the whole journal found.
#[derive(Debug)]
pub struct Scan {
    /// The end of the last whole group.
    pub end: Position,
    /// Bytes after it that a crash left, and the file that has them.
    pub torn: Option<(PathBuf, u64)>,
    /// The pool's id, from the segments' headers; `None` for an empty journal.
    pub pool: Option<[u8; 16]>,
    last: Option<(PathBuf, u64)>,
}

fn chain(previous: &Head, first_seq: u64, count: u32, payload: &[u8]) -> Head {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(&first_seq.to_le_bytes()).update(&count.to_le_bytes()).update(payload);
    *hasher.finalize().as_bytes()
}

/// Bytes of one frame.
fn frame(at: Position, entries: &[Vec<u8>]) -> (Vec<u8>, Position) {
    let payload_bytes: usize = entries.iter().map(|entry| entry.len() + 2).sum();
    let length = u32::try_from(payload_bytes).expect("a group is bounded by FRAME_PAYLOAD_MAX");
    let count = u32::try_from(entries.len()).expect("a group is bounded by FRAME_PAYLOAD_MAX");
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + payload_bytes + HEAD_BYTES);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&at.seq.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry is bounded by ENTRY_BYTES_MAX");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    let head = chain(&at.head, at.seq, count, &bytes[FRAME_HEADER_BYTES..]);
    bytes.extend_from_slice(&head);
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    (bytes, Position { seq: at.seq + u64::from(count), head })
}

/// A frame as found: its payload and the position after it.
struct Frame<'a> {
    payload: &'a [u8],
    count: u32,
    bytes: usize,
    end: Position,
}

fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("the caller has four bytes"))
}

/// Reads the frame at the start of `bytes`. `Err` says why there is none.
fn read_frame(bytes: &[u8], at: Position) -> Result<Frame<'_>, &'static str> {
    if bytes.len() < FRAME_HEADER_BYTES + HEAD_BYTES {
        return Err("a frame is cut off");
    }
    let length = le_u32(bytes) as usize;
    if length > FRAME_PAYLOAD_MAX {
        return Err("a frame is longer than any may be");
    }
    let whole = FRAME_HEADER_BYTES + length + HEAD_BYTES;
    let bytes = bytes.get(..whole).ok_or("a frame is cut off")?;
    if crc32c::crc32c(&bytes[8..]) != le_u32(&bytes[4..]) {
        return Err("a frame's checksum is wrong");
    }
    let first_seq = u64::from_le_bytes(*bytes[8..].first_chunk().expect("the header has 20 bytes"));
    let count = le_u32(&bytes[16..]);
    let payload = &bytes[FRAME_HEADER_BYTES..whole - HEAD_BYTES];
    if first_seq != at.seq {
        return Err("a frame does not follow the one before it");
    }
    let head = chain(&at.head, first_seq, count, payload);
    if head != bytes[whole - HEAD_BYTES..] {
        return Err("the hash chain is broken");
    }
    Ok(Frame { payload, count, bytes: whole, end: Position { seq: at.seq + u64::from(count), head } })
}

/// Whether a whole frame begins anywhere in `bytes`, so that what stands before it is damage and
/// not the end. Looks at a frame's checksum only where its sequence number is plausible.
fn has_later_frame(bytes: &[u8], at: Position) -> bool {
    let plausible = at.seq..=at.seq.saturating_add(1 << 24);
    (1..bytes.len().saturating_sub(FRAME_HEADER_BYTES + HEAD_BYTES)).any(|start| {
        let rest = &bytes[start..];
        let seq = u64::from_le_bytes(*rest[8..].first_chunk().expect("the range leaves a header"));
        let whole = FRAME_HEADER_BYTES + le_u32(rest) as usize + HEAD_BYTES;
        plausible.contains(&seq)
            && whole <= rest.len()
            && whole <= FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX + HEAD_BYTES
            && crc32c::crc32c(&rest[8..whole]) == le_u32(&rest[4..])
    })
}

/// The segments of a journal, in order.
fn segments(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let mut paths = Vec::new();
    for item in dir.read_dir().map_err(io_error(dir))? {
        let path = item.map_err(io_error(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn segment_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}.journal"))
}

/// Reads a whole journal, giving each entry with its sequence number to `visit`.
///
/// # Errors
/// The disk fails, bytes are damaged before the end, or `visit` refuses an entry; the first such
/// place is named.
pub fn scan<E: std::fmt::Display>(
    dir: &Path,
    mut visit: impl FnMut(u64, Entry) -> Result<(), E>,
) -> Result<Scan, JournalError> {
    let paths = segments(dir)?;
    let mut scan = Scan { end: Position::START, torn: None, pool: None, last: None };
    for (index, path) in paths.iter().enumerate() {
        let is_last = index + 1 == paths.len();
        scan_segment(path, is_last, &mut scan, &mut visit)?;
    }
    Ok(scan)
}

fn scan_segment<E: std::fmt::Display>(
    path: &Path,
    is_last: bool,
    scan: &mut Scan,
    visit: &mut impl FnMut(u64, Entry) -> Result<(), E>,
) -> Result<(), JournalError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(io_error(path))?;
    let damaged = |offset: usize, seq: u64, what: String| JournalError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        seq,
        what,
    };
    // A crash between a segment's creation and its header's reaching the disk, which may have got
    // the file's new length first. Frames come only after that.
    let unborn = bytes.len() <= SEGMENT_HEADER_BYTES && bytes.iter().all(|&byte| byte == 0);
    if is_last && (unborn || bytes.len() < SEGMENT_HEADER_BYTES) {
        scan.torn = Some((path.to_owned(), 0));
        return Ok(());
    }
    let Some((header, _)) = bytes.split_first_chunk::<SEGMENT_HEADER_BYTES>() else {
        return Err(damaged(0, scan.end.seq, "the segment has no header".into()));
    };
    check_header(header, scan).map_err(|what| damaged(0, scan.end.seq, what))?;
    let mut offset = SEGMENT_HEADER_BYTES;
    while offset < bytes.len() {
        let found = match read_frame(&bytes[offset..], scan.end) {
            Ok(found) => found,
            Err(_) if is_last && !has_later_frame(&bytes[offset..], scan.end) => {
                scan.torn = Some((path.to_owned(), offset as u64));
                break;
            }
            Err(what) => return Err(damaged(offset, scan.end.seq, what.into())),
        };
        visit_payload(&found, scan.end.seq, visit).map_err(|(seq, what)| damaged(offset, seq, what))?;
        scan.end = found.end;
        offset += found.bytes;
    }
    scan.last = Some((path.to_owned(), offset as u64));
    Ok(())
}

fn check_header(header: &[u8; SEGMENT_HEADER_BYTES], scan: &mut Scan) -> Result<(), String> {
    if !header.starts_with(MAGIC) {
        return Err("this is not a journal of this version".into());
    }
    let pool: [u8; 16] = *header[8..].first_chunk().expect("the header has 64 bytes");
    if *scan.pool.get_or_insert(pool) != pool {
        return Err("the segment is of another pool".into());
    }
    let expected = [&scan.end.seq.to_le_bytes()[..], &scan.end.head].concat();
    if header[24..] != expected[..] {
        return Err("the segment does not follow the one before it".into());
    }
    Ok(())
}

fn visit_payload<E: std::fmt::Display>(
    frame: &Frame<'_>,
    first_seq: u64,
    visit: &mut impl FnMut(u64, Entry) -> Result<(), E>,
) -> Result<(), (u64, String)> {
    let mut rest = frame.payload;
    for seq in first_seq..first_seq + u64::from(frame.count) {
        let fail = |what: String| (seq, what);
        let (length, after) = rest.split_first_chunk().ok_or_else(|| fail("the group ends early".into()))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, after) = after.split_at_checked(length).ok_or_else(|| fail("the group ends early".into()))?;
        let entry = Entry::decode(bytes).map_err(|error: CodecError| fail(error.to_string()))?;
        visit(seq, entry).map_err(|error| fail(error.to_string()))?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err((first_seq, "the group has bytes left over".into())) }
}

/// Makes a directory's names durable.
///
/// # Errors
/// The disk fails.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    pool: [u8; 16],
    path: PathBuf,
    file: File,
    bytes: u64,
    end: Position,
}

impl Journal {
    /// Opens the journal that `scan` read, cutting what a crash left of an unfinished group; or
    /// makes an empty one for `new_pool` where there is none. All that was read is on stable
    /// storage when this returns: a process that was killed may have written its last group, or
    /// made its last segment, without having waited for the disk, and answers are given by it from
    /// here on.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(dir: &Path, scan: &Scan, new_pool: [u8; 16]) -> Result<Journal, JournalError> {
        if let Some((path, offset)) = &scan.torn {
            cut(path, *offset).map_err(io_error(path))?;
        }
        sync_dir(dir).map_err(io_error(dir))?;
        let pool = scan.pool.unwrap_or(new_pool);
        let Some((path, bytes)) = scan.last.clone() else {
            return Journal::create_segment(dir, pool, scan.end);
        };
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().append(true).open(&path)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(io_error(&path))?;
        Ok(Journal { dir: dir.to_owned(), pool, path, file, bytes, end: scan.end })
    }

    fn create_segment(dir: &Path, pool: [u8; 16], end: Position) -> Result<Journal, JournalError> {
        let path = segment_path(dir, end.seq);
        let header = [&MAGIC[..], &pool, &end.seq.to_le_bytes(), &end.head].concat();
        let create = || -> io::Result<File> {
            let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
            file.write_all(&header)?;
            file.sync_all()?;
            sync_dir(dir)?;
            Ok(file)
        };
        let file = create().map_err(io_error(&path))?;
        Ok(Journal { dir: dir.to_owned(), pool, path, file, bytes: SEGMENT_HEADER_BYTES as u64, end })
    }

    /// The pool's id, as the segments' headers have it.
    #[must_use]
    pub fn pool(&self) -> [u8; 16] {
        self.pool
    }

    /// The end of the log.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// Appends one group and returns once it is on disk.
    ///
    /// # Errors
    /// The disk fails. Nothing may be appended afterwards: what is on disk is then unknown until
    /// the next start reads it.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<Position, JournalError> {
        if self.bytes >= SEGMENT_BYTES {
            *self = Journal::create_segment(&self.dir, self.pool, self.end)?;
        }
        let (bytes, end) = frame(self.end, entries);
        let write = |file: &mut File| -> io::Result<()> {
            file.write_all(&bytes)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(io_error(&self.path))?;
        self.bytes += bytes.len() as u64;
        self.end = end;
        Ok(end)
    }
}

/// Cuts a file at `offset`, or removes it where nothing of it is left. What is cut is kept beside
/// it: should it have been acknowledged once, as a store that is ahead would tell, it is all there is.
fn cut(path: &Path, offset: u64) -> io::Result<()> {
    if offset == 0 {
        return std::fs::remove_file(path);
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let kept = File::create(path.with_extension("torn")).and_then(|mut torn| io::copy(&mut file, &mut torn));
    if let Err(error) = kept {
        tracing::warn!(path = %path.display(), %error, "what is cut off the journal's end could not be kept");
    }
    file.set_len(offset)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn entry(at: u64) -> Entry {
        Entry::PoolOpened { pool: [1; 16], at }
    }

    fn read(dir: &Path) -> Result<(Vec<u64>, Scan), JournalError> {
        let mut times = Vec::new();
        let scan = scan(dir, |_, entry| {
            if let Entry::PoolOpened { at, .. } = entry {
                times.push(at);
            }
            Ok::<_, Infallible>(())
        })?;
        Ok((times, scan))
    }

    fn open(dir: &Path) -> Journal {
        let (_, scan) = read(dir).unwrap();
        Journal::open(dir, &scan, [5; 16]).unwrap()
    }

    fn fill(dir: &Path, groups: u64) -> Vec<u64> {
        let mut journal = open(dir);
        for group in 0..groups {
            journal.append(&[entry(2 * group).encode(), entry(2 * group + 1).encode()]).unwrap();
        }
        (0..2 * groups).collect()
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let times = fill(dir.path(), 3);
        let (found, scan) = read(dir.path()).unwrap();
        assert_eq!((found, scan.end.seq, scan.torn), (times, 6, None));
        assert_eq!(scan.pool, Some([5; 16]));
        let end = open(dir.path()).append(&[entry(99).encode()]).unwrap();
        assert_eq!(read(dir.path()).unwrap().1.end, end);
    }

    #[test]
    fn every_cut_of_the_file_keeps_a_whole_number_of_groups() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 4);
        let path = segment_path(dir.path(), 0);
        let whole = std::fs::read(&path).unwrap();
        let group = (whole.len() - SEGMENT_HEADER_BYTES) / 4;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (times, scan) = read(dir.path()).unwrap();
            let groups = length.saturating_sub(SEGMENT_HEADER_BYTES) / group;
            assert_eq!(times.len(), 2 * groups, "cut at {length}");
            let mut journal = Journal::open(dir.path(), &scan, [5; 16]).unwrap();
            journal.append(&[entry(7).encode()]).unwrap();
            assert_eq!(read(dir.path()).unwrap().0.len(), 2 * groups + 1, "appended after a cut at {length}");
        }
    }

    #[test]
    fn zeros_or_junk_after_the_end_are_cut_too() {
        let dir = tempfile::tempdir().unwrap();
        for junk in [vec![0; 500], vec![0xa5; 500]] {
            std::fs::remove_file(segment_path(dir.path(), 0)).ok();
            let times = fill(dir.path(), 2);
            let mut file = OpenOptions::new().append(true).open(segment_path(dir.path(), 0)).unwrap();
            file.write_all(&junk).unwrap();
            assert_eq!(read(dir.path()).unwrap().0, times);
            assert_eq!(open(dir.path()).end().seq, 4);
            assert_eq!(read(dir.path()).unwrap().1.torn, None);
            assert_eq!(std::fs::read(dir.path().join("00000000000000000000.torn")).unwrap(), junk);
        }
    }

    #[test]
    fn a_new_segment_of_which_only_the_length_reached_the_disk_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let times = fill(dir.path(), 2);
        for length in [0, 10, SEGMENT_HEADER_BYTES] {
            std::fs::write(segment_path(dir.path(), 4), vec![0; length]).unwrap();
            assert_eq!(read(dir.path()).unwrap().0, times);
            assert_eq!(open(dir.path()).end().seq, 4);
            assert_eq!(segments(dir.path()).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_group_is_damage_and_never_an_end() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 3);
        let path = segment_path(dir.path(), 0);
        let whole = std::fs::read(&path).unwrap();
        let last_group = whole.len() - (whole.len() - SEGMENT_HEADER_BYTES) / 3;
        for offset in 0..last_group {
            let mut bytes = whole.clone();
            bytes[offset] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let found = read(dir.path());
            // The id in the first segment's header is checked against the first entry by the fold.
            let in_pool_id = (8..24).contains(&offset);
            assert_eq!(found.is_ok(), in_pool_id, "flip at {offset}");
        }
    }

    #[test]
    fn a_segment_of_another_pool_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(one.path(), 1);
        let (_, scan) = read(one.path()).unwrap();
        Journal::create_segment(two.path(), [6; 16], scan.end).unwrap();
        let name = segment_path(Path::new(""), scan.end.seq);
        std::fs::copy(two.path().join(&name), one.path().join(&name)).unwrap();
        assert!(matches!(read(one.path()), Err(JournalError::Damaged { .. })));
    }
}
