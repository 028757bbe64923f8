//! The store against a real directory: what survives, what is refused, and what is left behind.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lode_protocol::ids::JobId;
use tempfile::TempDir;

use super::index::{CHARGE_MIN, PART_KEPT_MS};
use super::tree::PIECE_BYTES;
use super::*;
use crate::clock::Clock;

const LIMITS: Limits = Limits {
    blob_bytes: 3 << 20,
    sponsor_bytes: 4 << 20,
    total_bytes: 6 << 20,
    uploads: 3,
    uploads_per_sponsor: 2,
    result_uploads: 2,
};

/// A data directory, and a clock that is set by hand.
struct Home {
    dir: TempDir,
    now: Arc<AtomicU64>,
}

impl Home {
    fn new() -> Home {
        Home { dir: tempfile::tempdir().unwrap(), now: Arc::default() }
    }

    fn open(&self) -> Blobs {
        let now = self.now.clone();
        Blobs::open(self.dir.path(), LIMITS, Clock::new(move || now.load(Ordering::Relaxed))).unwrap()
    }

    /// Files of what is arriving.
    fn parts(&self) -> Vec<PathBuf> {
        fs::read_dir(self.dir.path().join("blobs/part")).unwrap().map(|item| item.unwrap().path()).collect()
    }

    fn mark(&self, sponsor: &str, digest: &Digest) -> PathBuf {
        self.dir.path().join("blobs/owners").join(sponsor).join(digest.to_string())
    }
}

fn name(text: &str) -> Owner {
    Owner::Sponsor(text.parse().unwrap())
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// Bytes that differ from place to place and with `seed`.
fn content(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

const ONCE: Delivery = Delivery::Once { expected: None };

fn upload(blobs: &Blobs, sponsor: &str, delivery: Delivery, bytes: &[u8]) -> Result<Stored, BlobError> {
    let mut upload = blobs.begin(&name(sponsor), delivery, None)?;
    for piece in bytes.chunks(100_001) {
        upload.write(piece)?;
    }
    upload.finish()
}

fn read(blobs: &Blobs, digest: &Digest, range: std::ops::Range<u64>) -> Result<Vec<u8>, BlobError> {
    let mut reading = blobs.read(digest, range)?;
    let mut found = Vec::new();
    while let Some(piece) = reading.next_bytes()? {
        assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

#[track_caller]
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_was_uploaded_is_there_in_this_life_and_the_next() {
    let home = Home::new();
    let mut blobs = home.open();
    let sizes = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 17];
    for size in sizes {
        let bytes = content(1, size);
        let stored = upload(&blobs, "acme", ONCE, &bytes).unwrap();
        assert_eq!(stored, Stored { digest: digest_of(&bytes), bytes: size as u64, new: true });
        let again = upload(&blobs, "acme", Delivery::Once { expected: Some(stored.digest) }, &bytes).unwrap();
        assert_eq!(again, Stored { new: false, ..stored });
    }
    for _ in 0..2 {
        for size in sizes {
            let bytes = content(1, size);
            let digest = digest_of(&bytes);
            assert!(blobs.owns(&name("acme"), &digest) && !blobs.owns(&name("other"), &digest));
            assert_eq!(blobs.bytes(&digest).unwrap(), size as u64);
            assert_eq!(read(&blobs, &digest, 0..size as u64).unwrap(), bytes);
            let (from, to) = (size / 3, size - size / 5);
            assert_eq!(read(&blobs, &digest, from as u64..to as u64).unwrap(), bytes[from..to]);
            assert_eq!(fs::metadata(blobs.path(&digest)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(home.parts(), Vec::<PathBuf>::new());
        blobs = home.open();
    }
    assert!(matches!(blobs.bytes(&digest_of(b"other")), Err(BlobError::Unknown(_))));
    assert!(matches!(blobs.read(&digest_of(b"other"), 0..0), Err(BlobError::Unknown(_))));
}

#[test]
fn the_same_content_is_one_file_charged_to_each() {
    let home = Home::new();
    let blobs = home.open();
    let bytes = content(2, 100_000);
    let one = upload(&blobs, "acme", ONCE, &bytes).unwrap();
    let other = upload(&blobs, "other", ONCE, &bytes).unwrap();
    assert!(one.new && other.new, "neither learns that the other has it");
    assert_eq!(blobs.index().totals(), (1, 100_000));
    let blobs = home.open();
    assert!(blobs.owns(&name("acme"), &one.digest) && blobs.owns(&name("other"), &one.digest));
    assert_eq!(blobs.index().totals(), (1, 100_000));
    // Both have 100,000 of their 4 MiB less.
    let rest = LIMITS.sponsor_bytes - 100_000;
    let quota = Quota::of_sponsor(&LIMITS);
    for sponsor in ["acme", "other"] {
        assert!(blobs.index().reserve(&name(sponsor), rest + 1, &quota, &LIMITS).is_err());
    }
    blobs.index().reserve(&name("acme"), rest, &quota, &LIMITS).unwrap();
}

#[test]
fn limits_are_named_and_refused_uploads_leave_nothing() {
    let home = Home::new();
    let blobs = home.open();
    let acme = name("acme");
    let before = blobs.index().totals();
    // By what is announced, and by what comes.
    let announced = blobs.begin(&acme, ONCE, Some(LIMITS.blob_bytes + 1)).unwrap_err();
    assert_eq!(announced.to_string(), "a blob has at most 3145728 bytes");
    let too_large = content(3, 3 * (1 << 20) + 1);
    assert!(matches!(upload(&blobs, "acme", ONCE, &too_large), Err(BlobError::TooLarge(3_145_728))));
    assert_eq!((blobs.index().totals(), home.parts().len()), (before, 0));
    // The sponsor's: 4 MiB.
    upload(&blobs, "acme", ONCE, &content(4, 3 << 20)).unwrap();
    let full = upload(&blobs, "acme", ONCE, &content(5, (1 << 20) + 1)).unwrap_err();
    assert!(
        full.to_string().starts_with("a sponsor's blobs and uploads have at most 4194304 bytes; yours have 4"),
        "{full}"
    );
    let full = blobs.begin(&acme, ONCE, Some((1 << 20) + 1)).unwrap_err();
    assert!(full.to_string().ends_with("yours have 3145728"), "{full}");
    assert_eq!((blobs.index().totals(), home.parts().len()), ((1, 3 << 20), 0));
    // Everyone's: 6 MiB, which uploads under way have a part of.
    let holder = blobs.begin(&name("other"), ONCE, Some(2 << 20)).unwrap();
    let full = blobs.begin(&name("third"), ONCE, Some((1 << 20) + 1)).unwrap_err();
    assert_eq!(full.to_string(), "all blobs and uploads of this pool have at most 6291456 bytes; they have 5242880");
    drop(holder);
    upload(&blobs, "third", ONCE, &content(6, (1 << 20) + 1)).unwrap();
    assert_eq!(home.parts().len(), 0);
}

#[test]
fn the_smallest_blobs_are_bounded_in_number() {
    let home = Home::new();
    let blobs = home.open();
    let most = LIMITS.sponsor_bytes / CHARGE_MIN;
    for seed in 0..most {
        upload(&blobs, "acme", ONCE, &content(seed, 1 + usize::try_from(seed).unwrap())).unwrap();
    }
    assert!(matches!(upload(&blobs, "acme", ONCE, b"one more"), Err(BlobError::Full(_))));
    let blobs = home.open();
    assert!(matches!(upload(&blobs, "acme", ONCE, b"one more"), Err(BlobError::Full(_))), "also after a start");
}

#[test]
fn uploads_at_a_time_are_bounded() {
    let home = Home::new();
    let blobs = home.open();
    let begin = |sponsor: &str| blobs.begin(&name(sponsor), ONCE, None);
    let held = [begin("acme").unwrap(), begin("acme").unwrap()];
    let busy = begin("acme").unwrap_err().to_string();
    assert_eq!(busy, "2 uploads of yours are under way, the most; try again when one has ended");
    let third = begin("other").unwrap();
    assert!(begin("fourth").unwrap_err().to_string().starts_with("3 uploads are under way"));
    drop((held, third));
    let again = [begin("acme").unwrap(), begin("acme").unwrap()];
    drop(again);
    assert_eq!((blobs.index().totals(), home.parts().len()), ((0, 0), 0));
}

#[test]
fn another_digest_than_expected_is_refused_by_name_and_leaves_nothing() {
    let home = Home::new();
    let blobs = home.open();
    let (expected, found) = (digest_of(b"this"), digest_of(b"that"));
    for delivery in [Delivery::Once { expected: Some(expected) }, Delivery::Resumable { digest: expected, offset: 0 }] {
        let error = upload(&blobs, "acme", delivery, b"that").unwrap_err().to_string();
        assert!(error.contains(&expected.to_string()) && error.contains(&found.to_string()), "{error}");
    }
    assert_eq!((blobs.index().totals(), home.parts().len()), ((0, 0), 0));
    assert_eq!(blobs.arrived(&name("acme"), &expected), 0);
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    let home = Home::new();
    let blobs = home.open();
    let acme = name("acme");
    let bytes = content(7, 2 * PIECE_BYTES + 5);
    let digest = digest_of(&bytes);
    let at = |offset: u64| Delivery::Resumable { digest, offset };
    let mut first = blobs.begin(&acme, at(0), Some(bytes.len() as u64)).unwrap();
    first.write(&bytes[..300_000]).unwrap();
    assert!(matches!(blobs.begin(&acme, at(0), None), Err(BlobError::UnderWay(_))));
    assert_eq!(blobs.arrived(&acme, &digest), 0, "it has not broken off");
    drop(first);
    assert_eq!((blobs.arrived(&acme, &digest), blobs.arrived(&name("other"), &digest)), (300_000, 0));
    assert_eq!(blobs.index().totals(), (0, 300_000), "what was announced beyond is given back");
    let beyond = blobs.begin(&acme, at(300_001), None).unwrap_err();
    assert!(matches!(beyond, BlobError::Offset { offset: 300_001, arrived: 300_000 }), "{beyond}");
    // A little less than what arrived, whose rest was wrong.
    let mut second = blobs.begin(&acme, at(290_000), None).unwrap();
    second.write(b"wrong").unwrap();
    drop(second);
    let mut third = blobs.begin(&acme, at(290_000), Some(bytes.len() as u64 - 290_000)).unwrap();
    third.write(&bytes[290_000..]).unwrap();
    assert_eq!(third.finish().unwrap(), Stored { digest, bytes: bytes.len() as u64, new: true });
    assert_eq!(read(&blobs, &digest, 0..bytes.len() as u64).unwrap(), bytes);
    assert_eq!((blobs.index().totals(), home.parts().len()), ((1, bytes.len() as u64), 0));
}

#[test]
fn what_waits_too_long_for_its_rest_is_cleared() {
    let home = Home::new();
    let blobs = home.open();
    let digest = digest_of(b"never whole");
    let delivery = Delivery::Resumable { digest, offset: 0 };
    let mut part = blobs.begin(&name("acme"), delivery, None).unwrap();
    part.write(&content(8, 50_000)).unwrap();
    drop(part);
    home.now.store(PART_KEPT_MS - 1, Ordering::Relaxed);
    drop(blobs.begin(&name("other"), ONCE, None).unwrap());
    assert_eq!((blobs.arrived(&name("acme"), &digest), home.parts().len()), (50_000, 1));
    home.now.store(PART_KEPT_MS, Ordering::Relaxed);
    drop(blobs.begin(&name("other"), ONCE, None).unwrap());
    assert_eq!((blobs.arrived(&name("acme"), &digest), home.parts().len()), (0, 0));
    assert_eq!(blobs.index().totals(), (0, 0));
}

#[test]
fn a_crash_leaves_nothing_half() {
    let home = Home::new();
    let bytes = content(9, 70_000);
    let kept = upload(&home.open(), "acme", ONCE, &bytes).unwrap().digest;
    // What a process that was killed leaves: a part, and an owner's name whose blob was not named yet.
    let part = home.dir.path().join("blobs/part/0123");
    let lost = digest_of(b"lost");
    fs::write(&part, b"half").unwrap();
    fs::write(home.mark("acme", &lost), b"").unwrap();
    let blobs = home.open();
    assert!(!part.exists() && !home.mark("acme", &lost).exists());
    assert!(!blobs.owns(&name("acme"), &lost) && blobs.owns(&name("acme"), &kept));
    assert_eq!(read(&blobs, &kept, 0..70_000).unwrap(), bytes);
    // The name that was taken back gives no right to what another uploads later.
    upload(&blobs, "other", ONCE, b"lost").unwrap();
    assert!(!home.open().owns(&name("acme"), &lost));
}

#[test]
fn strange_files_are_left_alone() {
    let home = Home::new();
    let digest = upload(&home.open(), "acme", ONCE, b"x").unwrap().digest;
    let text = digest.to_string();
    let dir = home.dir.path().join("blobs");
    let misplaced = if text.starts_with("00") { "01" } else { "00" };
    fs::create_dir_all(dir.join(misplaced)).unwrap();
    fs::create_dir(dir.join("owners/not a name")).unwrap();
    let strange = [dir.join(&text[..2]).join("notes.txt"), dir.join(misplaced).join(&text), dir.join("owners/acme/x")];
    for path in &strange {
        fs::write(path, b"hello").unwrap();
    }
    let blobs = home.open();
    assert_eq!((blobs.bytes(&digest).unwrap(), blobs.index().totals()), (1, (1, CHARGE_MIN)));
    assert!(strange.iter().all(|path| path.exists()));
}

#[test]
fn damage_is_noticed_before_a_byte_of_it_is_given_and_mended_by_an_upload() {
    let home = Home::new();
    let bytes = content(10, 3 * PIECE_BYTES);
    let all = 0..bytes.len() as u64;
    let blobs = home.open();
    let digest = upload(&blobs, "acme", ONCE, &bytes).unwrap().digest;
    upload(&blobs, "other", ONCE, &bytes).unwrap();
    let path = blobs.path(&digest);
    // While it is being read: the pieces before are right, the damaged one never comes.
    let mut reading = blobs.read(&digest, all.clone()).unwrap();
    assert_eq!(reading.next_bytes().unwrap().unwrap(), bytes[..PIECE_BYTES]);
    flip(&path, PIECE_BYTES + 5);
    assert!(matches!(reading.next_bytes(), Err(BlobError::Damaged(_))));
    // From then on it is refused, also where it is right, until it is uploaded again.
    assert!(matches!(blobs.read(&digest, 0..1), Err(BlobError::Damaged(_))));
    assert!(matches!(blobs.bytes(&digest), Err(BlobError::Damaged(_))));
    upload(&blobs, "acme", ONCE, &bytes).unwrap();
    assert_eq!(read(&blobs, &digest, all.clone()).unwrap(), bytes);
    assert!(blobs.owns(&name("other"), &digest));
    // Before a life's first read of it, anywhere; by length too, and by absence.
    for damage in [0, 1, 2] {
        let blobs = home.open();
        match damage {
            0 => flip(&path, bytes.len() - 1),
            1 => OpenOptions::new().write(true).open(&path).unwrap().set_len(all.end - 1).unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        assert!(matches!(read(&blobs, &digest, 0..1), Err(BlobError::Damaged(_))), "damage {damage}");
        upload(&blobs, "other", ONCE, &bytes).unwrap();
        assert_eq!(read(&blobs, &digest, all.clone()).unwrap(), bytes);
    }
    // Shorter in the midst of a read.
    let mut reading = blobs.read(&digest, all.clone()).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(matches!(reading.next_bytes(), Err(BlobError::Damaged(_))));
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let home = Home::new();
    let blobs = home.open();
    let resumable = Delivery::Resumable { digest: digest_of(b"x"), offset: 0 };
    for delivery in [ONCE, resumable] {
        let mut upload = blobs.begin(&name("acme"), delivery, None).unwrap();
        upload.write(b"x").unwrap();
        upload.replace_file(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert!(matches!(upload.write(b"y"), Err(BlobError::DiskFull)));
        drop(upload);
        assert_eq!((blobs.index().totals(), home.parts().len()), ((0, 0), 0));
        assert_eq!(blobs.arrived(&name("acme"), &digest_of(b"x")), 0);
    }
}

#[test]
fn a_blob_that_cannot_be_named_is_nobodys() {
    let home = Home::new();
    let blobs = home.open();
    let digest = digest_of(b"x");
    // A file stands where its directory should be.
    let shelf = home.dir.path().join("blobs").join(&digest.to_string()[..2]);
    fs::write(&shelf, b"").unwrap();
    assert!(matches!(upload(&blobs, "acme", ONCE, b"x"), Err(BlobError::Io { .. })));
    assert!(!blobs.owns(&name("acme"), &digest) && !home.mark("acme", &digest).exists());
    assert_eq!((blobs.index().totals(), home.parts().len()), ((0, 0), 0));
    fs::remove_file(&shelf).unwrap();
    assert!(upload(&blobs, "acme", ONCE, b"x").unwrap().new);
}

#[test]
fn two_uploads_of_the_same_end_at_the_same_time() {
    let home = Home::new();
    let blobs = home.open();
    let bytes = content(11, 100_000);
    let acme = name("acme");
    let mut both = [blobs.begin(&acme, ONCE, None).unwrap(), blobs.begin(&acme, ONCE, None).unwrap()];
    both.iter_mut().for_each(|upload| upload.write(&bytes).unwrap());
    let threads = both.map(|upload| std::thread::spawn(move || upload.finish().unwrap().new));
    let new = threads.map(|thread| thread.join().unwrap());
    assert_eq!(new.iter().filter(|new| **new).count(), 1, "one of them is the first");
    assert_eq!((blobs.index().totals(), home.parts().len()), ((1, 100_000), 0));
}

fn job(number: u64) -> Owner {
    Owner::Job(JobId(number))
}

/// The blobs that are on the disk.
fn on_disk(home: &Home) -> std::collections::BTreeSet<String> {
    let shelves = fs::read_dir(home.dir.path().join("blobs")).unwrap().map(|item| item.unwrap());
    let shelves = shelves.filter(|item| item.file_name().len() == 2);
    let blobs = shelves.flat_map(|shelf| fs::read_dir(shelf.path()).unwrap());
    blobs.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_blob_lasts_as_long_as_its_last_owner() {
    let home = Home::new();
    let blobs = home.open();
    let bytes = content(20, 50_000);
    let digest = blobs.put(&name("acme"), &bytes).unwrap().digest;
    assert!(blobs.adopt(&job(1), &digest).unwrap() && !blobs.adopt(&job(1), &digest).unwrap());
    assert!(matches!(blobs.adopt(&job(1), &digest_of(b"other")), Err(BlobError::Unknown(_))));
    let blobs = home.open();
    assert!(blobs.owns(&job(1), &digest) && blobs.owns(&name("acme"), &digest) && !blobs.owns(&job(2), &digest));
    assert_eq!(blobs.jobs(), [JobId(1)]);
    blobs.release(&name("acme"), &digest).unwrap();
    blobs.release(&name("acme"), &digest).unwrap();
    assert_eq!((blobs.load(&digest).unwrap(), blobs.index().totals()), (bytes, (1, 50_000)));
    blobs.index().reserve(&name("acme"), LIMITS.sponsor_bytes, &Quota::of_sponsor(&LIMITS), &LIMITS).unwrap();
    let blobs = home.open();
    assert!(!blobs.owns(&name("acme"), &digest));
    let mut reading = blobs.read(&digest, 0..50_000).unwrap();
    blobs.release_all(&job(1)).unwrap();
    assert!(reading.next_bytes().unwrap().is_some(), "who reads it reads to the end");
    assert!(matches!(blobs.bytes(&digest), Err(BlobError::Unknown(_))));
    for blobs in [blobs, home.open()] {
        assert_eq!((blobs.room(), blobs.jobs().len()), (LIMITS.total_bytes, 0));
        assert_eq!(blobs.index().totals(), (0, 0));
    }
    assert!(on_disk(&home).is_empty() && !home.dir.path().join("blobs/jobs/j1").exists());
}

#[test]
fn what_a_guest_has_goes_with_it_unless_someone_takes_it_over() {
    let home = Home::new();
    let blobs = home.open();
    let guest = blobs.guest();
    let [kept, left] =
        [content(21, 30_000), content(22, 40_000)].map(|bytes| blobs.put(&guest.owner(), &bytes).unwrap());
    blobs.adopt(&job(7), &kept.digest).unwrap();
    // What breaks off of a guest's upload goes too, and what is under way when it leaves comes to nothing.
    let delivery = |digest| Delivery::Resumable { digest, offset: 0 };
    let mut part = blobs.begin(&guest.owner(), delivery(digest_of(b"xyz")), None).unwrap();
    part.write(b"x").unwrap();
    drop(part);
    let mut under_way = blobs.begin(&guest.owner(), delivery(digest_of(b"x")), None).unwrap();
    let mut broken = blobs.begin(&guest.owner(), delivery(digest_of(b"y")), None).unwrap();
    under_way.write(b"x").unwrap();
    broken.write(b"y").unwrap();
    let owner = guest.owner();
    drop(guest);
    assert!(matches!(under_way.finish(), Err(BlobError::Unknown(_))));
    drop(broken);
    assert!(matches!(blobs.adopt(&owner, &kept.digest), Err(BlobError::Unknown(_))));
    assert!(matches!(blobs.bytes(&left.digest), Err(BlobError::Unknown(_))));
    assert_eq!((blobs.index().totals(), home.parts().len()), ((1, 30_000), 0));
    assert_eq!(blobs.index().owners().count(), 1, "nothing is remembered of it");
    assert_eq!(home.open().load(&kept.digest).unwrap(), content(21, 30_000));
}

#[test]
fn a_crash_leaves_no_blob_that_is_nobodys_and_no_owner_without_its_blob() {
    let home = Home::new();
    let blobs = home.open();
    let guest = blobs.guest();
    let lost = blobs.put(&guest.owner(), &content(23, 30_000)).unwrap().digest;
    // A result whose owner's name was made, but that never came to its shelf; one that lost its last name, but was not
    // removed yet; and a name that came back from the dead.
    let given_up = blobs.put(&job(3), &content(24, 20_000)).unwrap().digest;
    let mark = |job: &str, digest: &Digest| home.dir.path().join("blobs/jobs").join(job).join(digest.to_string());
    fs::remove_file(mark("j3", &given_up)).unwrap();
    fs::write(mark("j3", &digest_of(b"never")), b"").unwrap();
    // The process is killed: nobody takes leave.
    std::mem::forget(guest);
    let blobs = home.open();
    assert_eq!((blobs.index().totals(), on_disk(&home).len()), ((0, 0), 0));
    assert!(blobs.jobs().is_empty() && !mark("j3", &digest_of(b"never")).exists());
    assert!(matches!(blobs.bytes(&lost), Err(BlobError::Unknown(_))));
}

#[test]
fn results_are_bounded_by_what_a_miner_holds_and_wait_in_their_own_line() {
    let home = Home::new();
    let blobs = home.open();
    let guest = blobs.guest();
    let owner = guest.owner();
    let quota = Quota { blob_bytes: 100_000, bytes: 200_000, uploads: 2, queue: Queue::Results };
    let begin = |bytes| blobs.begin_within(&owner, quota, ONCE, Some(bytes));
    assert!(matches!(begin(100_001), Err(BlobError::TooLarge(100_000))));
    // Sponsors' uploads take no place of theirs, nor the other way round.
    let sponsors = ["a", "b", "c"].map(|sponsor| blobs.begin(&name(sponsor), ONCE, None).unwrap());
    let first = begin(100_000).unwrap();
    let second = begin(100_000).unwrap();
    let full = begin(0).unwrap_err().to_string();
    assert_eq!(full, "2 uploads of yours are under way, the most; try again when one has ended");
    let other = blobs.guest();
    let busy = blobs.begin_within(&other.owner(), quota, ONCE, None).unwrap_err().to_string();
    assert!(busy.starts_with("2 uploads are under way"), "{busy}");
    drop((first, second, sponsors));
    // So many bytes, until they are given up.
    let upload = |seed| {
        let mut upload = begin(100_000)?;
        upload.write(&content(seed, 100_000))?;
        upload.finish()
    };
    let submitted = upload(30).unwrap();
    upload(31).unwrap();
    let full = upload(32).unwrap_err().to_string();
    assert_eq!(full, "the results of a connection have at most 200000 bytes; yours have 200000");
    blobs.adopt(&job(1), &submitted.digest).unwrap();
    guest.release(&submitted.digest).unwrap();
    upload(32).unwrap();
    // The pool's own are bounded by the room for all only.
    let large = content(33, 5 << 20);
    blobs.put(&job(2), &large).unwrap();
    assert!(matches!(blobs.put(&job(2), &content(34, 1 << 20)), Err(BlobError::Full(_))));
}

mod histories {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(usize, u64),
        Adopt(usize, u64),
        Release(usize, u64),
        ReleaseAll(usize),
        NewGuest(usize),
        Kill,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (who, what) = (|| 0usize..6, || 0u64..4);
        let step = prop_oneof![
            4 => (who(), what()).prop_map(|(who, what)| Step::Put(who, what)),
            4 => (who(), what()).prop_map(|(who, what)| Step::Adopt(who, what)),
            4 => (who(), what()).prop_map(|(who, what)| Step::Release(who, what)),
            1 => who().prop_map(Step::ReleaseAll),
            1 => (0usize..2).prop_map(Step::NewGuest),
            1 => Just(Step::Kill),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_disk_has_what_someone_has_and_nothing_else(steps in steps()) {
            let home = Home::new();
            let mut blobs = home.open();
            let mut guests = [blobs.guest(), blobs.guest()];
            let fixed = [name("a"), name("b"), job(1), job(2)];
            // Owners by place: two sponsors, two jobs, two guests.
            let mut model: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
            for step in steps {
                let owner = |who: usize| fixed.get(who).cloned().unwrap_or_else(|| guests[who - 4].owner());
                let known = |model: &BTreeMap<usize, BTreeSet<u64>>, what| model.values().any(|has| has.contains(&what));
                let bytes = |what: u64| content(what, 100);
                match step {
                    Step::Put(who, what) => {
                        let stored = blobs.put(&owner(who), &bytes(what)).unwrap();
                        prop_assert_eq!(stored.new, model.entry(who).or_default().insert(what));
                    }
                    Step::Adopt(who, what) => match blobs.adopt(&owner(who), &digest_of(&bytes(what))) {
                        Ok(new) => prop_assert_eq!(new, known(&model, what) && model.entry(who).or_default().insert(what)),
                        Err(_) => prop_assert!(!known(&model, what)),
                    },
                    Step::Release(who, what) => {
                        blobs.release(&owner(who), &digest_of(&bytes(what))).unwrap();
                        model.entry(who).or_default().remove(&what);
                    }
                    Step::ReleaseAll(who) => {
                        blobs.release_all(&owner(who)).unwrap();
                        model.remove(&who);
                    }
                    Step::NewGuest(which) => {
                        guests[which] = blobs.guest();
                        model.remove(&(which + 4));
                    }
                    Step::Kill => {
                        std::mem::forget(guests);
                        blobs = home.open();
                        guests = [blobs.guest(), blobs.guest()];
                        model.retain(|who, _| *who < 4);
                    }
                }
                let all: BTreeSet<String> = model.values().flatten().map(|&what| digest_of(&content(what, 100)).to_string()).collect();
                prop_assert_eq!(blobs.index().totals(), (all.len(), all.len() as u64 * CHARGE_MIN));
                prop_assert_eq!(&on_disk(&home), &all);
                for (who, has) in &model {
                    let owner = fixed.get(*who).cloned().unwrap_or_else(|| guests[who - 4].owner());
                    prop_assert!((0..4).all(|what| blobs.owns(&owner, &digest_of(&content(what, 100))) == has.contains(&what)));
                }
            }
        }
    }
}

#[test]
fn room_that_is_kept_for_a_job_is_no_sponsors_and_its_file_needs_none() {
    let home = Home::new();
    let blobs = home.open();
    let (job, owner) = (JobId(7), Owner::Job(JobId(7)));
    assert_eq!(blobs.reserve((6 << 20) + 1).unwrap_err(), 6 << 20);
    let room = blobs.reserve(5 << 20).unwrap();
    assert_eq!(blobs.reserve((1 << 20) + 1).unwrap_err(), 1 << 20);
    blobs.promise(job, 5 << 20);
    drop(room);
    assert!(matches!(upload(&blobs, "acme", ONCE, &content(1, 2 << 20)), Err(BlobError::Full(_))));
    blobs.put(&owner, &content(2, 3 << 20)).unwrap();
    // What has come of it is not kept twice.
    assert_eq!(blobs.reserve((1 << 20) + 1).unwrap_err(), 1 << 20);
    blobs.put(&owner, &content(3, 3 << 20)).unwrap();
    assert!(matches!(blobs.put(&owner, &content(4, 1 << 20)), Err(BlobError::Full(_))));
    let mut file = blobs.begin_within(&owner, Quota::FILE, ONCE, Some(7 << 20)).unwrap();
    file.write(&content(4, 7 << 20)).unwrap();
    file.finish().unwrap();
    assert_eq!(blobs.room(), 0);
    blobs.forget_promise(job);
    blobs.release_all(&owner).unwrap();
    upload(&blobs, "acme", ONCE, &content(1, 2 << 20)).unwrap();
}

#[test]
fn a_result_stays_while_any_unit_or_the_job_itself_needs_it() {
    let home = Home::new();
    let blobs = home.open();
    let (job, owner, guest) = (JobId(7), Owner::Job(JobId(7)), blobs.guest());
    let result = blobs.put(&guest.owner(), b"result").unwrap().digest;
    let input = blobs.put(&guest.owner(), b"input").unwrap().digest;
    blobs.adopt(&owner, &input).unwrap();
    for digest in [&result, &result, &input] {
        blobs.claim(job, digest).unwrap();
    }
    blobs.unclaim(job, &result).unwrap();
    assert!(blobs.owns(&owner, &result));
    for digest in [&result, &input] {
        blobs.unclaim(job, digest).unwrap();
    }
    assert!(!blobs.owns(&owner, &result));
    assert!(blobs.owns(&owner, &input) && blobs.owns(&guest.owner(), &result));
}

#[test]
fn what_is_made_of_a_sponsors_blobs_counts_among_them() {
    let home = Home::new();
    let blobs = home.open();
    upload(&blobs, "acme", ONCE, &content(1, 1 << 20)).unwrap();
    let [first, second] = [0, 1].map(|_| blobs.guest_of(&"acme".parse().unwrap()));
    blobs.put(&first.owner(), &content(2, 2 << 20)).unwrap();
    let over = content(3, (1 << 20) + 1);
    assert!(matches!(blobs.put(&second.owner(), &over), Err(BlobError::Full(_))));
    blobs.put(&blobs.guest_of(&"other".parse().unwrap()).owner(), &over).unwrap();
    drop(first);
    blobs.put(&second.owner(), &over).unwrap();
}
