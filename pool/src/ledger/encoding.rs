//! The bytes of entries: a version, a kind, and the fields in order.

use lode_protocol::api::sponsor::REFERENCE_CHARS_MAX;
use lode_protocol::header::{EXTRANONCE_BYTES_MAX, HeaderHash};
use lode_protocol::ids::{AccountName, JobId, UserName, WorkerName};

use super::codec::{CodecError, Reader, Writer};
use super::entry::{Cause, Entry, Outcome, ShareProof, Void};
use super::terms::Terms;

/// Version of the entry encoding.
pub const ENTRY_VERSION: u8 = 1;
/// Version of all that came with range jobs, and the newest of any entry: openings have had more than one.
const RANGE_VERSION: u8 = 3;
/// Entries from this kind on came with range jobs.
const FIRST_RANGE_KIND: u8 = 12;
/// Most bytes of an entry, so that a 16-bit count holds it.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

impl Entry {
    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.byte(self.version());
        w.byte(self.kind());
        match self {
            Entry::PoolOpened { pool, at } => {
                w.array(pool);
                w.integer(*at);
            }
            Entry::SponsorCreated { sponsor, at } => {
                w.text(sponsor.as_str());
                w.integer(*at);
            }
            Entry::Deposit { sponsor, asset, amount, reference, at } => {
                w.text(sponsor.as_str());
                w.text(asset.as_str());
                w.integer(*amount);
                w.text(reference);
                w.integer(*at);
            }
            Entry::Escrow { job, sponsor, asset, amount } => {
                w.integer(job.0);
                w.text(sponsor.as_str());
                w.text(asset.as_str());
                w.integer(*amount);
            }
            Entry::JobOpened(terms) => terms.encode(&mut w),
            Entry::WorkerSeen { index, user } => {
                w.integer(*index);
                w.text(user.account.as_str());
                w.text(user.worker.as_str());
            }
            Entry::Share { job, worker, work, at, hash, proof } => {
                w.integer(job.0);
                w.integer(*worker);
                w.integer(*work);
                w.integer(*at);
                w.array(&hash.to_be_bytes());
                encode_proof(&mut w, proof);
            }
            Entry::CancelRequested { job, at, effective_at } => {
                w.integer(job.0);
                w.integer(*at);
                w.integer(*effective_at);
            }
            Entry::JobClosed { job, outcome, at } | Entry::JobEnding { job, outcome, at } => {
                w.integer(job.0);
                encode_outcome(&mut w, *outcome);
                w.integer(*at);
            }
            Entry::Payout { job, account, amount } | Entry::FeePaid { job, account, amount } => {
                w.integer(job.0);
                w.text(account.as_str());
                w.integer(*amount);
            }
            Entry::Fee { job, amount } | Entry::Refund { job, amount } => {
                w.integer(job.0);
                w.integer(*amount);
            }
            Entry::KeySeen { index, key } => {
                w.integer(*index);
                w.array(key);
            }
            Entry::Unit { job, worker, key, first, count, work, at, digest, duplicate } => {
                w.integer(job.0);
                w.integer(*worker);
                w.integer(*key);
                w.integer(*first);
                w.integer(*count);
                w.integer(*work);
                w.integer(*at);
                w.array(digest);
                w.byte(u8::from(*duplicate));
            }
            Entry::BatchClosed { batch, job, key, root, units, at } => {
                w.integer(*batch);
                w.integer(job.0);
                w.integer(*key);
                w.array(root);
                w.integer(*units);
                w.integer(*at);
            }
            Entry::BatchMatured { batch, at } => {
                w.integer(*batch);
                w.integer(*at);
            }
            Entry::BatchVoided { batch, void, at } => {
                w.integer(*batch);
                w.integer(void.first);
                w.integer(void.count);
                w.integer(void.element);
                w.integer(void.part);
                w.array(&void.expected);
                w.array(&void.found);
                w.byte(match void.cause {
                    Cause::Drawn => 0,
                    Cause::Mismatch => 1,
                });
                w.integer(*at);
            }
            Entry::SecretCommitted { number, hash: value, at }
            | Entry::SecretRevealed { number, secret: value, at } => {
                w.integer(*number);
                w.array(value);
                w.integer(*at);
            }
        }
        debug_assert!(w.0.len() <= ENTRY_BYTES_MAX, "every field is bounded");
        w.0
    }

    fn version(&self) -> u8 {
        match self {
            Entry::JobOpened(terms) => terms.version(),
            Entry::JobClosed { outcome: Outcome::Completed { .. } | Outcome::Quarantined, .. } => RANGE_VERSION,
            _ if self.kind() >= FIRST_RANGE_KIND => RANGE_VERSION,
            _ => ENTRY_VERSION,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Entry::PoolOpened { .. } => 0,
            Entry::SponsorCreated { .. } => 1,
            Entry::Deposit { .. } => 2,
            Entry::Escrow { .. } => 3,
            Entry::JobOpened(_) => 4,
            Entry::WorkerSeen { .. } => 5,
            Entry::Share { .. } => 6,
            Entry::CancelRequested { .. } => 7,
            Entry::JobClosed { .. } => 8,
            Entry::Payout { .. } => 9,
            Entry::Fee { .. } => 10,
            Entry::Refund { .. } => 11,
            Entry::KeySeen { .. } => FIRST_RANGE_KIND,
            Entry::Unit { .. } => 13,
            Entry::BatchClosed { .. } => 14,
            Entry::BatchMatured { .. } => 15,
            Entry::BatchVoided { .. } => 16,
            Entry::SecretCommitted { .. } => 17,
            Entry::SecretRevealed { .. } => 18,
            Entry::JobEnding { .. } => 19,
            Entry::FeePaid { .. } => 20,
        }
    }

    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// Another version, an unknown kind, or fields that are not of their form.
    pub fn decode(bytes: &[u8]) -> Result<Entry, CodecError> {
        let mut r = Reader(bytes);
        let version = r.byte("version")?;
        if !(ENTRY_VERSION..=RANGE_VERSION).contains(&version) {
            return Err(CodecError::Version(version, RANGE_VERSION));
        }
        let kind = r.byte("kind")?;
        let entry = decode_fields(version, kind, &mut r)?;
        r.finish()?;
        // One value has one encoding, and so one version.
        if entry.version() == version { Ok(entry) } else { Err(CodecError::Malformed("version")) }
    }
}

fn decode_fields(version: u8, kind: u8, r: &mut Reader<'_>) -> Result<Entry, CodecError> {
    Ok(match kind {
        0 => Entry::PoolOpened { pool: r.array("pool id")?, at: r.integer("time")? },
        1 => Entry::SponsorCreated { sponsor: r.parsed("sponsor")?, at: r.integer("time")? },
        2 => Entry::Deposit {
            sponsor: r.parsed("sponsor")?,
            asset: r.parsed("asset")?,
            amount: r.integer("amount")?,
            reference: r.text("reference", REFERENCE_CHARS_MAX)?.to_owned(),
            at: r.integer("time")?,
        },
        3 => Entry::Escrow {
            job: JobId(r.integer("job")?),
            sponsor: r.parsed("sponsor")?,
            asset: r.parsed("asset")?,
            amount: r.integer("amount")?,
        },
        4 => Entry::JobOpened(Box::new(Terms::decode(version, r)?)),
        5 => {
            let index = r.integer("worker number")?;
            let (account, worker): (AccountName, WorkerName) = (r.parsed("account")?, r.parsed("worker")?);
            Entry::WorkerSeen { index, user: UserName { account, worker } }
        }
        6 => Entry::Share {
            job: JobId(r.integer("job")?),
            worker: r.integer("worker number")?,
            work: r.integer("work")?,
            at: r.integer("time")?,
            hash: HeaderHash::from_be_bytes(r.array("hash")?),
            proof: decode_proof(r)?,
        },
        7 => Entry::CancelRequested {
            job: JobId(r.integer("job")?),
            at: r.integer("time")?,
            effective_at: r.integer("time of effect")?,
        },
        8 => Entry::JobClosed { job: JobId(r.integer("job")?), outcome: decode_outcome(r)?, at: r.integer("time")? },
        9 => {
            Entry::Payout { job: JobId(r.integer("job")?), account: r.parsed("account")?, amount: r.integer("amount")? }
        }
        10 => Entry::Fee { job: JobId(r.integer("job")?), amount: r.integer("amount")? },
        11 => Entry::Refund { job: JobId(r.integer("job")?), amount: r.integer("amount")? },
        _ => return decode_range(kind, r),
    })
}

/// The entries that came with range jobs.
fn decode_range(kind: u8, r: &mut Reader<'_>) -> Result<Entry, CodecError> {
    Ok(match kind {
        FIRST_RANGE_KIND => Entry::KeySeen { index: r.integer("key number")?, key: r.array("key")? },
        13 => Entry::Unit {
            job: JobId(r.integer("job")?),
            worker: r.integer("worker number")?,
            key: r.integer("key number")?,
            first: r.integer("first element")?,
            count: r.integer("elements")?,
            work: r.integer("work")?,
            at: r.integer("time")?,
            digest: r.array("digest")?,
            duplicate: decode_flag("duplicate flag", r)?,
        },
        14 => Entry::BatchClosed {
            batch: r.integer("batch")?,
            job: JobId(r.integer("job")?),
            key: r.integer("key number")?,
            root: r.array("root")?,
            units: r.integer("units")?,
            at: r.integer("time")?,
        },
        15 => Entry::BatchMatured { batch: r.integer("batch")?, at: r.integer("time")? },
        16 => Entry::BatchVoided {
            batch: r.integer("batch")?,
            void: Void {
                first: r.integer("first element")?,
                count: r.integer("elements")?,
                element: r.integer("element")?,
                part: r.integer("part")?,
                expected: r.array("expected digest")?,
                found: r.array("found digest")?,
                cause: if decode_flag("cause", r)? { Cause::Mismatch } else { Cause::Drawn },
            },
            at: r.integer("time")?,
        },
        17 => Entry::SecretCommitted {
            number: r.integer("secret's number")?,
            hash: r.array("hash")?,
            at: r.integer("time")?,
        },
        18 => Entry::SecretRevealed {
            number: r.integer("secret's number")?,
            secret: r.array("secret")?,
            at: r.integer("time")?,
        },
        19 => Entry::JobEnding { job: JobId(r.integer("job")?), outcome: decode_outcome(r)?, at: r.integer("time")? },
        20 => Entry::FeePaid {
            job: JobId(r.integer("job")?),
            account: r.parsed("account")?,
            amount: r.integer("amount")?,
        },
        other => return Err(CodecError::Kind(other)),
    })
}

fn decode_flag(name: &'static str, r: &mut Reader<'_>) -> Result<bool, CodecError> {
    match r.byte(name)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Malformed(name)),
    }
}

fn encode_outcome(w: &mut Writer, outcome: Outcome) {
    w.byte(match outcome {
        Outcome::Solved => 0,
        Outcome::Cancelled => 1,
        Outcome::Expired => 2,
        Outcome::Exhausted => 3,
        Outcome::Completed { .. } => 4,
        Outcome::Quarantined => 5,
    });
    if let Outcome::Completed { result } = outcome {
        w.array(&result);
    }
}

fn decode_outcome(r: &mut Reader<'_>) -> Result<Outcome, CodecError> {
    Ok(match r.byte("outcome")? {
        0 => Outcome::Solved,
        1 => Outcome::Cancelled,
        2 => Outcome::Expired,
        3 => Outcome::Exhausted,
        4 => Outcome::Completed { result: r.array("digest of the result")? },
        5 => Outcome::Quarantined,
        _ => return Err(CodecError::Malformed("outcome")),
    })
}

fn encode_proof(w: &mut Writer, proof: &ShareProof) {
    w.bytes(&proof.extranonce1);
    w.bytes(&proof.extranonce2);
    w.array(&proof.ntime.to_be_bytes());
    w.array(&proof.nonce.to_be_bytes());
    w.array(&proof.version.to_be_bytes());
}

fn decode_proof(r: &mut Reader<'_>) -> Result<ShareProof, CodecError> {
    Ok(ShareProof {
        extranonce1: r.bytes("extranonce1", EXTRANONCE_BYTES_MAX)?.to_vec(),
        extranonce2: r.bytes("extranonce2", EXTRANONCE_BYTES_MAX)?.to_vec(),
        ntime: u32::from_be_bytes(r.array("ntime")?),
        nonce: u32::from_be_bytes(r.array("nonce")?),
        version: u32::from_be_bytes(r.array("version")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use lode_protocol::ids::{AssetName, SponsorName};

    use lode_protocol::Algorithm;
    use proptest::prelude::*;

    use crate::ledger::cost::CostMap;
    use crate::ledger::entry::{AuditPolicy, IdempotencyDigest, RangeTerms, Scheme, Shape, Terms};

    fn one_of_each() -> Vec<Entry> {
        let sponsor: SponsorName = "acme".parse().unwrap();
        let asset: AssetName = "CREDIT".parse().unwrap();
        let terms = Terms {
            job: JobId(1),
            sponsor: sponsor.clone(),
            name: "käse".into(),
            kind: "hash".into(),
            spec: [3; 32],
            asset: asset.clone(),
            budget: 1 << 90,
            scheme: Scheme::Prop,
            fee_bps: 100,
            rate_card: 1,
            work_quoted: u128::MAX,
            shape: Shape::Search { algorithm: Algorithm::Sha256d, work_expected: 7 },
            opened_at: 1,
            deadline_at: 2,
            idempotency: Some(IdempotencyDigest { key: [1; 16], body: [2; 32] }),
        };
        let scrypt = Shape::Search { algorithm: Algorithm::Scrypt, work_expected: 7 };
        let range = RangeTerms {
            cost: Arc::new(CostMap::new(30, 10, 6, 4, vec![1, 2, 3, 4, 5, 1 << 40]).unwrap()),
            policy: AuditPolicy::usual(16),
            element_bytes: 3072,
            parts_per_element: 256,
            prepared: [8; 32],
        };
        let proof = ShareProof { extranonce1: vec![1; 4], extranonce2: vec![2; 4], ntime: 3, nonce: 4, version: 5 };
        let hash = HeaderHash::from_be_bytes([9; 32]);
        vec![
            Entry::PoolOpened { pool: [7; 16], at: 1_790_000_000_000 },
            Entry::SponsorCreated { sponsor: sponsor.clone(), at: 5 },
            Entry::Deposit { sponsor: sponsor.clone(), asset: asset.clone(), amount: 5, reference: "r".into(), at: 6 },
            Entry::Escrow { job: JobId(1), sponsor, asset, amount: 5 },
            Entry::JobOpened(Box::new(terms.clone())),
            Entry::JobOpened(Box::new(Terms { rate_card: 2, ..terms.clone() })),
            Entry::JobOpened(Box::new(Terms { rate_card: 2, shape: scrypt, ..terms.clone() })),
            Entry::JobOpened(Box::new(Terms { rate_card: 2, shape: Shape::Range(range), ..terms })),
            Entry::WorkerSeen { index: 0, user: "alice.rig".parse().unwrap() },
            Entry::Share { job: JobId(1), worker: 0, work: 1 << 40, at: 7, hash, proof },
            Entry::CancelRequested { job: JobId(1), at: 8, effective_at: 9 },
            Entry::JobClosed { job: JobId(1), outcome: Outcome::Exhausted, at: 10 },
            Entry::Payout { job: JobId(1), account: "alice".parse().unwrap(), amount: 3 },
            Entry::Fee { job: JobId(1), amount: 1 },
            Entry::Refund { job: JobId(1), amount: 1 },
            Entry::JobClosed { job: JobId(1), outcome: Outcome::Completed { result: [4; 32] }, at: 10 },
            Entry::JobClosed { job: JobId(1), outcome: Outcome::Quarantined, at: 10 },
            Entry::KeySeen { index: 300, key: [5; 32] },
            Entry::Unit {
                job: JobId(1),
                worker: 2,
                key: 300,
                first: 1 << 30,
                count: 40,
                work: 1 << 60,
                at: 11,
                digest: [6; 32],
                duplicate: true,
            },
            Entry::BatchClosed { batch: 1 << 40, job: JobId(1), key: 300, root: [7; 32], units: 64, at: 12 },
            Entry::BatchMatured { batch: 3, at: 13 },
            Entry::BatchVoided {
                batch: 3,
                void: Void {
                    first: 1 << 30,
                    count: 40,
                    element: (1 << 30) + 39,
                    part: 255,
                    expected: [8; 32],
                    found: [9; 32],
                    cause: Cause::Mismatch,
                },
                at: 14,
            },
            Entry::SecretCommitted { number: 1, hash: [1; 32], at: 15 },
            Entry::SecretRevealed { number: 1, secret: [2; 32], at: 16 },
            Entry::JobEnding { job: JobId(1), outcome: Outcome::Expired, at: 17 },
            Entry::FeePaid { job: JobId(1), account: "alice".parse().unwrap(), amount: 3 },
        ]
    }

    #[test]
    fn each_kind_round_trips_and_no_prefix_of_it_reads() {
        for entry in one_of_each() {
            let bytes = entry.encode();
            assert_eq!(Entry::decode(&bytes), Ok(entry));
            for end in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..end]).is_err());
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert_eq!(Entry::decode(&longer), Err(CodecError::LeftOver(1)));
        }
    }

    /// Written before any card had more than sha256d: version 1, kind 4, and what the fields below say, by hand.
    #[test]
    fn an_opening_from_before_scrypt_reads_as_sha256d_and_keeps_its_bytes() {
        let mut old = vec![1, 4, 9, 4];
        old.extend(b"acme");
        old.extend([3]);
        old.extend(b"job");
        old.extend([4]);
        old.extend(b"hash");
        old.extend([3; 32]);
        old.extend([6]);
        old.extend(b"CREDIT");
        // Budget 300, scheme, fee 100, card 1, quoted 5, expected 1, opened 7, deadline 8, no idempotency.
        old.extend([0xac, 2, 0, 100, 1, 5, 1, 7, 8, 0]);
        let Ok(Entry::JobOpened(terms)) = Entry::decode(&old) else { panic!("{:?}", Entry::decode(&old)) };
        assert_eq!(
            (terms.algorithm(), terms.rate_card, terms.budget, terms.work_quoted),
            (Some(Algorithm::Sha256d), 1, 300, 5)
        );
        assert_eq!(terms.rate().map(|rate| rate.work_per_hash()), Some(lode_protocol::Work(1)));
        assert_eq!(Entry::JobOpened(terms.clone()).encode(), old);
        // Under card 2 the same bytes are no entry: it would not say what is hashed with.
        let card = old.len() - 6;
        old[card] = 2;
        assert!(Entry::decode(&old).is_err());
        let shape = Shape::Search { algorithm: Algorithm::Scrypt, work_expected: 1 };
        let new = Entry::JobOpened(Box::new(Terms { rate_card: 2, shape, ..*terms })).encode();
        assert_eq!((new[0], &new[card..card + 2]), (2, &[2, 1][..]));
        // And nothing but such an opening is of version 2.
        assert_eq!(Entry::decode(&[2, 1, 1, b'a', 5]), Err(CodecError::Malformed("version")));
    }

    #[test]
    fn a_share_is_small() {
        let share = one_of_each().into_iter().find(|entry| entry.name() == "share").unwrap();
        assert!(share.encode().len() < 80, "{} bytes", share.encode().len());
    }

    proptest! {
        #[test]
        fn what_reads_writes_the_same_and_nothing_panics(kind in 0u8..22, body in prop::collection::vec(any::<u8>(), 0..120), version in 1u8..4) {
            let bytes = [&[version, kind], &body[..]].concat();
            if let Ok(entry) = Entry::decode(&bytes) {
                prop_assert_eq!(entry.encode(), bytes);
            }
        }
    }
}
