//! The terms of a job, fixed when it opens, and their bytes.

use std::sync::Arc;

use lode_protocol::Algorithm;
use lode_protocol::api::job::JOB_NAME_CHARS_MAX;
use lode_protocol::ids::{AssetName, JobId, SponsorName};
use lode_protocol::ratecard::{Rate, RateCard};
use serde::{Deserialize, Serialize};

use super::codec::{CodecError, Reader, Writer};
use super::cost::CostMap;
use super::entry::Millis;

/// The rate card before any that has more than sha256d; a search under it is of sha256d.
const SHA256D_CARD: u32 = 1;
/// Version of the opening of a search under that card.
const SHA256D_VERSION: u8 = 1;
/// Version of the opening of any other search: it names its algorithm.
const SEARCH_VERSION: u8 = 2;
/// Version of the opening of a range job.
const RANGE_VERSION: u8 = 3;

/// Most bytes of one element's result.
pub const ELEMENT_BYTES_MAX: u32 = 1 << 26;
/// Most units of a batch.
pub const BATCH_UNITS_MAX: u32 = 1024;
/// Most parts of a unit that are recomputed.
pub const AUDIT_PARTS_MAX: u32 = 4096;

/// How a pot is divided. The name is part of a job's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In proportion to the work of each account within the job.
    Prop,
}

/// What a job's work is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// An endless space of nonces; a share is a lucky hash.
    Search {
        /// What is hashed with.
        algorithm: Algorithm,
        /// Work until a solution, on average.
        work_expected: u128,
    },
    /// Elements, each to be done once; a share is a unit of them.
    Range(RangeTerms),
}

/// What a range job adds to the terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeTerms {
    /// The work of each element. Kept in a record of its own in the store.
    #[serde(skip, default = "CostMap::absent")]
    pub cost: Arc<CostMap>,
    /// How results are checked.
    pub policy: AuditPolicy,
    /// Bytes of each element's result.
    pub element_bytes: u32,
    /// Parts of an element that can be recomputed alone.
    pub parts_per_element: u32,
    /// BLAKE3 of the canonical JSON of the job's sections.
    pub prepared: [u8; 32],
}

/// How the results of a range job are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPolicy {
    /// Units of a batch that are drawn; all of them where it has fewer.
    pub units: u32,
    /// Parts that are recomputed of each unit drawn.
    pub parts: u32,
    /// Units that close a batch.
    pub batch_units: u32,
    /// Milliseconds after its first unit that close a batch.
    pub batch_ms: u64,
    /// Clean batches of a key before its units are drawn and not all taken.
    pub clean_batches: u32,
}

impl AuditPolicy {
    /// The usual policy, with so many parts drawn of a unit.
    #[must_use]
    pub fn usual(parts: u32) -> AuditPolicy {
        AuditPolicy { units: 2, parts, batch_units: 64, batch_ms: 600_000, clean_batches: 20 }
    }

    fn is_in_range(&self) -> bool {
        (1..=BATCH_UNITS_MAX).contains(&self.units)
            && (1..=BATCH_UNITS_MAX).contains(&self.batch_units)
            && (1..=AUDIT_PARTS_MAX).contains(&self.parts)
            && self.batch_ms > 0
    }
}

/// The terms of a job, fixed when it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Its id.
    pub job: JobId,
    /// Who pays.
    pub sponsor: SponsorName,
    /// What people see.
    pub name: String,
    /// Kind of work.
    pub kind: String,
    /// Digest of the spec (BLAKE3); the spec itself is the sponsor's and stays out of the ledger.
    pub spec: [u8; 32],
    /// What amounts are counted in.
    pub asset: AssetName,
    /// What is in escrow.
    pub budget: u128,
    /// How the pot is divided.
    pub scheme: Scheme,
    /// The pool's fee, in basis points of what is earned.
    pub fee_bps: u16,
    /// Version of the rate card that work is counted by.
    pub rate_card: u32,
    /// Work that the budget buys; for a range job that of all its elements.
    pub work_quoted: u128,
    /// What the work is made of.
    pub shape: Shape,
    /// When it opened.
    pub opened_at: Millis,
    /// When it expires.
    pub deadline_at: Millis,
    /// What makes a repeated submission harmless.
    pub idempotency: Option<IdempotencyDigest>,
}

/// A sponsor's idempotency key and the body it came with, both as digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyDigest {
    /// BLAKE3 of sponsor and key, its first half.
    pub key: [u8; 16],
    /// BLAKE3 of the body.
    pub body: [u8; 32],
}

/// What proven work was made of, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort<'a> {
    /// Hashes of this algorithm.
    Hashes(Algorithm),
    /// Elements of this kind.
    Elements(&'a str),
}

impl Terms {
    /// The terms of a job whose escrow is in and whose opening comes next.
    pub(super) fn unopened(job: JobId, sponsor: &SponsorName, asset: &AssetName, budget: u128) -> Terms {
        Terms {
            job,
            sponsor: sponsor.clone(),
            name: String::new(),
            kind: String::new(),
            spec: [0; 32],
            asset: asset.clone(),
            budget,
            scheme: Scheme::Prop,
            fee_bps: 0,
            rate_card: 0,
            work_quoted: 0,
            shape: Shape::Search { algorithm: Algorithm::Sha256d, work_expected: 0 },
            opened_at: 0,
            deadline_at: 0,
            idempotency: None,
        }
    }

    /// Whether these are such terms; an opened job has a positive quote.
    pub(super) fn is_unopened(&self) -> bool {
        self.work_quoted == 0
    }

    /// What a search hashes with; `None` for a range job.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.shape {
            Shape::Search { algorithm, .. } => Some(algorithm),
            Shape::Range(_) => None,
        }
    }

    /// What a range job adds; `None` for a search.
    #[must_use]
    pub fn range(&self) -> Option<&RangeTerms> {
        match &self.shape {
            Shape::Search { .. } => None,
            Shape::Range(range) => Some(range),
        }
    }

    /// Work until a search is solved, on average; the whole work of a range job.
    #[must_use]
    pub fn work_expected(&self) -> u128 {
        match self.shape {
            Shape::Search { work_expected, .. } => work_expected,
            Shape::Range(_) => self.work_quoted,
        }
    }

    /// What its work is made of.
    #[must_use]
    pub fn effort(&self) -> Effort<'_> {
        self.algorithm().map_or(Effort::Elements(&self.kind), Effort::Hashes)
    }

    /// What a hash is worth under these terms; `None` where no card that this program knows says so, and for a range
    /// job.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        RateCard::of_version(self.rate_card)?.rate(self.algorithm()?)
    }

    /// What is out of range in these terms, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.work_quoted == 0 || self.budget == 0 || self.fee_bps > 10_000 {
            return Some("has terms out of range");
        }
        let Shape::Range(range) = &self.shape else {
            return self.rate().is_none().then_some("is counted by a rate card that does not have its algorithm");
        };
        if RateCard::of_version(self.rate_card).is_none_or(|card| card.operations(&self.kind).is_none()) {
            return Some("is counted by a rate card that does not have its kind");
        }
        if self.work_quoted != range.cost.total() {
            return Some("quotes another work than its elements have");
        }
        let sizes = (1..=ELEMENT_BYTES_MAX).contains(&range.element_bytes) && range.parts_per_element > 0;
        (!sizes || !range.policy.is_in_range()).then_some("has terms out of range")
    }

    /// Version of the entry that opens with these terms.
    pub(super) fn version(&self) -> u8 {
        match self.shape {
            Shape::Search { .. } if self.rate_card <= SHA256D_CARD => SHA256D_VERSION,
            Shape::Search { .. } => SEARCH_VERSION,
            Shape::Range(_) => RANGE_VERSION,
        }
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.integer(self.job.0);
        w.text(self.sponsor.as_str());
        w.text(&self.name);
        w.text(&self.kind);
        w.array(&self.spec);
        w.text(self.asset.as_str());
        w.integer(self.budget);
        w.byte(match self.scheme {
            Scheme::Prop => 0,
        });
        w.integer(self.fee_bps);
        w.integer(self.rate_card);
        match &self.shape {
            Shape::Search { algorithm, work_expected } => {
                if self.rate_card > SHA256D_CARD {
                    w.byte(match algorithm {
                        Algorithm::Sha256d => 0,
                        Algorithm::Scrypt => 1,
                    });
                }
                w.integer(self.work_quoted);
                w.integer(*work_expected);
            }
            Shape::Range(range) => {
                w.integer(self.work_quoted);
                range.encode(w);
            }
        }
        w.integer(self.opened_at);
        w.integer(self.deadline_at);
        w.byte(u8::from(self.idempotency.is_some()));
        if let Some(digest) = &self.idempotency {
            w.array(&digest.key);
            w.array(&digest.body);
        }
    }

    pub(super) fn decode(version: u8, r: &mut Reader<'_>) -> Result<Terms, CodecError> {
        let job = JobId(r.integer("job")?);
        let sponsor = r.parsed("sponsor")?;
        // A character takes at most four bytes.
        let name = r.text("name", 4 * JOB_NAME_CHARS_MAX)?.to_owned();
        let kind = r.text("kind", 32)?.to_owned();
        let spec = r.array("spec digest")?;
        let asset = r.parsed("asset")?;
        let budget = r.integer("budget")?;
        let scheme = match r.byte("scheme")? {
            0 => Scheme::Prop,
            _ => return Err(CodecError::Malformed("scheme")),
        };
        let fee_bps = r.integer("fee")?;
        let rate_card = r.integer("rate card")?;
        let algorithm = if version == SEARCH_VERSION { decode_algorithm(r)? } else { Algorithm::Sha256d };
        let work_quoted = r.integer("work quoted")?;
        let shape = if version == RANGE_VERSION {
            Shape::Range(RangeTerms::decode(r)?)
        } else {
            Shape::Search { algorithm, work_expected: r.integer("work expected")? }
        };
        let (opened_at, deadline_at) = (r.integer("opening time")?, r.integer("deadline")?);
        let idempotency = match r.byte("idempotency flag")? {
            0 => None,
            1 => Some(IdempotencyDigest { key: r.array("idempotency key")?, body: r.array("idempotency body")? }),
            _ => return Err(CodecError::Malformed("idempotency flag")),
        };
        Ok(Terms {
            job,
            sponsor,
            name,
            kind,
            spec,
            asset,
            budget,
            scheme,
            fee_bps,
            rate_card,
            work_quoted,
            shape,
            opened_at,
            deadline_at,
            idempotency,
        })
    }
}

fn decode_algorithm(r: &mut Reader<'_>) -> Result<Algorithm, CodecError> {
    match r.byte("algorithm")? {
        0 => Ok(Algorithm::Sha256d),
        1 => Ok(Algorithm::Scrypt),
        _ => Err(CodecError::Malformed("algorithm")),
    }
}

impl RangeTerms {
    fn encode(&self, w: &mut Writer) {
        let AuditPolicy { units, parts, batch_units, batch_ms, clean_batches } = self.policy;
        for count in [units, parts, batch_units, clean_batches, self.element_bytes, self.parts_per_element] {
            w.integer(count);
        }
        w.integer(batch_ms);
        w.array(&self.prepared);
        self.cost.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<RangeTerms, CodecError> {
        let (units, parts) = (r.integer("units drawn")?, r.integer("parts drawn")?);
        let (batch_units, clean_batches) = (r.integer("units of a batch")?, r.integer("clean batches")?);
        let (element_bytes, parts_per_element) = (r.integer("bytes of an element")?, r.integer("parts of an element")?);
        let batch_ms = r.integer("time of a batch")?;
        let policy = AuditPolicy { units, parts, batch_units, batch_ms, clean_batches };
        let prepared = r.array("sections' digest")?;
        let cost = Arc::new(CostMap::decode(r)?);
        Ok(RangeTerms { cost, policy, element_bytes, parts_per_element, prepared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> RangeTerms {
        RangeTerms {
            cost: Arc::new(CostMap::new(4, 2, 2, 1, vec![1, 2, 3, 4]).unwrap()),
            policy: AuditPolicy::usual(16),
            element_bytes: 8,
            parts_per_element: 256,
            prepared: [1; 32],
        }
    }

    fn terms(range: RangeTerms) -> Terms {
        let (sponsor, asset) = ("s".parse().unwrap(), "C".parse().unwrap());
        let unopened = Terms::unopened(JobId(1), &sponsor, &asset, 100);
        let card = (1..).map_while(RateCard::of_version).find(|card| card.operations("render").is_some());
        Terms {
            kind: "render".into(),
            rate_card: card.unwrap().version(),
            work_quoted: range.cost.total(),
            shape: Shape::Range(range),
            ..unopened
        }
    }

    #[test]
    fn each_term_of_a_range_job_has_its_bounds() {
        assert_eq!(terms(range()).fault(), None);
        let policy = AuditPolicy::usual(16);
        let policies = [
            AuditPolicy { units: 0, ..policy },
            AuditPolicy { units: BATCH_UNITS_MAX + 1, ..policy },
            AuditPolicy { batch_units: 0, ..policy },
            AuditPolicy { batch_units: BATCH_UNITS_MAX + 1, ..policy },
            AuditPolicy { parts: 0, ..policy },
            AuditPolicy { parts: AUDIT_PARTS_MAX + 1, ..policy },
            AuditPolicy { batch_ms: 0, ..policy },
        ];
        let ranges = policies.map(|policy| RangeTerms { policy, ..range() }).into_iter().chain([
            RangeTerms { element_bytes: 0, ..range() },
            RangeTerms { element_bytes: ELEMENT_BYTES_MAX + 1, ..range() },
            RangeTerms { parts_per_element: 0, ..range() },
        ]);
        for range in ranges {
            assert!(terms(range.clone()).fault().is_some(), "{range:?}");
        }
        let good = terms(range());
        let others = [
            Terms { work_quoted: 9, ..good.clone() },
            Terms { kind: "hash".into(), ..good.clone() },
            Terms { rate_card: 2, ..good.clone() },
            Terms { budget: 0, ..good.clone() },
            Terms { fee_bps: 10_001, ..good },
        ];
        for terms in others {
            assert!(terms.fault().is_some(), "{terms:?}");
        }
    }
}
