//! The entries of the ledger, and their bytes.
//!
//! An entry begins with a version and a kind. Its cause is within it (a deposit's reference, a
//! share's header hash, a job's id), so that the fold can tell a repetition from something new.
//! Times are milliseconds since 1970, UTC.

use lode_protocol::api::sponsor::REFERENCE_CHARS_MAX;
use lode_protocol::header::{EXTRANONCE_BYTES_MAX, HeaderHash};
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName, UserName, WorkerName};
use serde::{Deserialize, Serialize};

use super::codec::{CodecError, Reader, Writer};
pub use super::terms::{AuditPolicy, Effort, IdempotencyDigest, RangeTerms, Scheme, Shape, Terms};

/// Version of the entry encoding.
pub const ENTRY_VERSION: u8 = 1;
/// The newest version of any entry: openings have had more than one.
const VERSION_MAX: u8 = 3;
/// Most bytes of an entry, so that a 16-bit count holds it.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// What a share chose within its template; with the job's spec, the header follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareProof {
    /// The connection's part of the coinbase.
    pub extranonce1: Vec<u8>,
    /// The miner's part.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header version.
    pub version: u32,
}

/// Why a job closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A share met the job's target.
    Solved,
    /// Its sponsor ended it and the notice has passed.
    Cancelled,
    /// Its deadline passed.
    Expired,
    /// The work that the budget buys was proven without a solution.
    Exhausted,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The first entry of every ledger.
    PoolOpened {
        /// Random; tells this pool's ledger from every other.
        pool: [u8; 16],
        /// When.
        at: Millis,
    },
    /// A sponsor came to be.
    SponsorCreated {
        /// Its name.
        sponsor: SponsorName,
        /// When.
        at: Millis,
    },
    /// Money came in from outside, for a sponsor.
    Deposit {
        /// For whom.
        sponsor: SponsorName,
        /// What.
        asset: AssetName,
        /// How much.
        amount: u128,
        /// What it came by; counted once for each sponsor.
        reference: String,
        /// When.
        at: Millis,
    },
    /// A job's budget went from its sponsor into escrow. [`Entry::JobOpened`] follows at once.
    Escrow {
        /// The job.
        job: JobId,
        /// Whose money.
        sponsor: SponsorName,
        /// What.
        asset: AssetName,
        /// How much.
        amount: u128,
    },
    /// A job opened with these terms.
    JobOpened(Box<Terms>),
    /// A rig was seen for the first time and got a number.
    WorkerSeen {
        /// Its number, counted from 0.
        index: u32,
        /// Whose rig.
        user: UserName,
    },
    /// Proven work.
    Share {
        /// The job.
        job: JobId,
        /// The rig's number.
        worker: u32,
        /// Work that it proves: the expected hashes of the difficulty that it was issued with, at the rate of the job's
        /// terms.
        work: u128,
        /// When it was accepted.
        at: Millis,
        /// Hash of its header.
        hash: HeaderHash,
        /// What the header follows from.
        proof: ShareProof,
    },
    /// A sponsor asked for the end of its job.
    CancelRequested {
        /// The job.
        job: JobId,
        /// When it was asked.
        at: Millis,
        /// When it takes effect.
        effective_at: Millis,
    },
    /// A job closed. What its terms make of the escrow follows at once: payouts, fee, refund.
    JobClosed {
        /// The job.
        job: JobId,
        /// Why.
        outcome: Outcome,
        /// When.
        at: Millis,
    },
    /// Escrow to an account.
    Payout {
        /// The job.
        job: JobId,
        /// Who earned it.
        account: AccountName,
        /// How much.
        amount: u128,
    },
    /// Escrow to the pool.
    Fee {
        /// The job.
        job: JobId,
        /// How much.
        amount: u128,
    },
    /// Escrow back to the sponsor.
    Refund {
        /// The job.
        job: JobId,
        /// How much.
        amount: u128,
    },
}

impl Entry {
    /// The entry's name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Entry::PoolOpened { .. } => "pool opened",
            Entry::SponsorCreated { .. } => "sponsor created",
            Entry::Deposit { .. } => "deposit",
            Entry::Escrow { .. } => "escrow",
            Entry::JobOpened(_) => "job opened",
            Entry::WorkerSeen { .. } => "worker seen",
            Entry::Share { .. } => "share",
            Entry::CancelRequested { .. } => "cancel requested",
            Entry::JobClosed { .. } => "job closed",
            Entry::Payout { .. } => "payout",
            Entry::Fee { .. } => "fee",
            Entry::Refund { .. } => "refund",
        }
    }

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
            Entry::JobClosed { job, outcome, at } => {
                w.integer(job.0);
                w.byte(match outcome {
                    Outcome::Solved => 0,
                    Outcome::Cancelled => 1,
                    Outcome::Expired => 2,
                    Outcome::Exhausted => 3,
                });
                w.integer(*at);
            }
            Entry::Payout { job, account, amount } => {
                w.integer(job.0);
                w.text(account.as_str());
                w.integer(*amount);
            }
            Entry::Fee { job, amount } | Entry::Refund { job, amount } => {
                w.integer(job.0);
                w.integer(*amount);
            }
        }
        debug_assert!(w.0.len() <= ENTRY_BYTES_MAX, "every field is bounded");
        w.0
    }

    fn version(&self) -> u8 {
        match self {
            Entry::JobOpened(terms) => terms.version(),
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
        }
    }

    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// Another version, an unknown kind, or fields that are not of their form.
    pub fn decode(bytes: &[u8]) -> Result<Entry, CodecError> {
        let mut r = Reader(bytes);
        let version = r.byte("version")?;
        if !(ENTRY_VERSION..=VERSION_MAX).contains(&version) {
            return Err(CodecError::Version(version, VERSION_MAX));
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
        8 => Entry::JobClosed {
            job: JobId(r.integer("job")?),
            outcome: match r.byte("outcome")? {
                0 => Outcome::Solved,
                1 => Outcome::Cancelled,
                2 => Outcome::Expired,
                3 => Outcome::Exhausted,
                _ => return Err(CodecError::Malformed("outcome")),
            },
            at: r.integer("time")?,
        },
        9 => {
            Entry::Payout { job: JobId(r.integer("job")?), account: r.parsed("account")?, amount: r.integer("amount")? }
        }
        10 => Entry::Fee { job: JobId(r.integer("job")?), amount: r.integer("amount")? },
        11 => Entry::Refund { job: JobId(r.integer("job")?), amount: r.integer("amount")? },
        other => return Err(CodecError::Kind(other)),
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

    use lode_protocol::Algorithm;
    use proptest::prelude::*;

    use crate::ledger::cost::CostMap;

    pub(crate) fn one_of_each() -> Vec<Entry> {
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
