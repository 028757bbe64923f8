//! Whether a submitted share proves its work. Pure: what was issued and what came decide.
//!
//! [`Claim::new`] makes the cheap checks and the header, [`Claim::judge`] the hash, which may be dear. Only the latter
//! makes a [`Credit`], and only a credit can be entered in the ledger as a share.

use lode_protocol::api::HashSpec;
use lode_protocol::header::{HEADER_BYTES, HeaderHash, Roll, roll_version};
use lode_protocol::ids::{JobId, UserName};
use lode_protocol::method::Submit;
use lode_protocol::{Algorithm, Difficulty, Rate, Rejection, Target, Work};

use crate::ledger::entry::ShareProof;

/// Proven work of a worker, ready to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    job: JobId,
    user: UserName,
    difficulty: Difficulty,
    work: Work,
    hash: HeaderHash,
    proof: ShareProof,
    solves: bool,
}

impl Credit {
    /// The job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Who proved it.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// What the job was issued with, not what the hash happens to reach.
    #[must_use]
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// What that is worth at the job's rate.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// The header's hash.
    #[must_use]
    pub fn hash(&self) -> &HeaderHash {
        &self.hash
    }

    /// What the header follows from.
    #[must_use]
    pub fn proof(&self) -> &ShareProof {
        &self.proof
    }

    /// Whether it meets the job's own target.
    #[must_use]
    pub fn solves(&self) -> bool {
        self.solves
    }
}

/// What came of a submitted share.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It proves its work; whether its header is new is for the ledger to say.
    Accepted(Credit),
    /// It does not.
    Rejected(Rejection),
}

/// What a connection was given to work on.
#[derive(Debug, Clone, Copy)]
pub struct Assignment<'a> {
    /// The job.
    pub job: JobId,
    /// Its template and target.
    pub spec: &'a HashSpec,
    /// The difficulty that it was issued with.
    pub difficulty: Difficulty,
    /// The connection's part of the extranonce.
    pub extranonce1: &'a [u8],
    /// Bytes of the miner's part.
    pub extranonce2_bytes: usize,
    /// The block version that it was issued with.
    pub version: u32,
    /// Version bits that may be rolled; 0 where that was not negotiated.
    pub version_mask: u32,
}

/// The hash of a header.
#[must_use]
pub fn hash_of(algorithm: Algorithm, header: &[u8; HEADER_BYTES]) -> HeaderHash {
    match algorithm {
        Algorithm::Sha256d => HeaderHash::sha256d(header),
        Algorithm::Scrypt => HeaderHash::from_be_bytes(lode_kinds::hash::Algorithm::Scrypt.hash(header)),
    }
}

/// Whether a hash takes so long that others would notice if it were made on a connection's task.
#[must_use]
pub fn is_dear(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::Sha256d => false,
        Algorithm::Scrypt => true,
    }
}

/// A share that is well formed and whose hash is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    job: JobId,
    user: UserName,
    rate: Rate,
    difficulty: Difficulty,
    target: Target,
    header: [u8; HEADER_BYTES],
    proof: ShareProof,
}

impl Claim {
    /// Makes all checks of `submit` that take no hash, by what its connection was given.
    ///
    /// # Errors
    /// What a miner may not choose so.
    pub fn new(assignment: &Assignment<'_>, user: &UserName, submit: &Submit) -> Result<Claim, Rejection> {
        let (header, proof) = header_of(assignment, submit)?;
        let (job, difficulty, target) = (assignment.job, assignment.difficulty, assignment.spec.target);
        Ok(Claim { job, user: user.clone(), rate: assignment.spec.rate, difficulty, target, header, proof })
    }

    /// Who claims it.
    #[must_use]
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The header that it stands for.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// Hashes the header and decides.
    #[must_use]
    pub fn judge(self) -> Verdict {
        let Claim { job, user, rate, difficulty, target, header, proof } = self;
        let hash = hash_of(rate.algorithm(), &header);
        if !Target::from_difficulty(difficulty).is_met_by(&hash) {
            let (algorithm, got, want) = (rate.algorithm(), Difficulty::of_hash(&hash), difficulty);
            return Verdict::Rejected(Rejection::LowDifficulty { algorithm, got, want });
        }
        let (work, solves) = (rate.work(difficulty.hashes()), target.is_met_by(&hash));
        Verdict::Accepted(Credit { job, user, difficulty, work, hash, proof, solves })
    }
}

fn header_of(assignment: &Assignment<'_>, submit: &Submit) -> Result<([u8; 80], ShareProof), Rejection> {
    let template = &assignment.spec.template;
    let (found, wanted) = (submit.extranonce2.len(), assignment.extranonce2_bytes);
    if found != wanted {
        return Err(Rejection::Other(format!("extranonce2: {found} bytes where {wanted} are wanted")));
    }
    if !template.allows_ntime(submit.ntime) {
        return Err(Rejection::Other(format!("ntime {:08x} is out of range", submit.ntime)));
    }
    let version = match submit.version_bits {
        None => assignment.version,
        Some(_) if assignment.version_mask == 0 => {
            return Err(Rejection::Other("version rolling was not negotiated".into()));
        }
        Some(bits) => roll_version(assignment.version, bits, assignment.version_mask)
            .map_err(|error| Rejection::Other(error.to_string()))?,
    };
    let roll = Roll {
        extranonce1: assignment.extranonce1,
        extranonce2: &submit.extranonce2,
        ntime: submit.ntime,
        nonce: submit.nonce,
        version,
    };
    let proof = ShareProof {
        extranonce1: assignment.extranonce1.to_vec(),
        extranonce2: submit.extranonce2.clone(),
        ntime: submit.ntime,
        nonce: submit.nonce,
        version,
    };
    Ok((template.header(&roll), proof))
}

/// The header that a share in the ledger stands for, from its job's spec.
#[must_use]
pub fn header_of_proof(spec: &HashSpec, proof: &ShareProof) -> [u8; 80] {
    spec.template.header(&Roll {
        extranonce1: &proof.extranonce1,
        extranonce2: &proof.extranonce2,
        ntime: proof.ntime,
        nonce: proof.nonce,
        version: proof.version,
    })
}

#[cfg(test)]
impl Credit {
    /// A credit for tests of what comes after the judgement; its hash proves any work up to 2^64.
    pub(crate) fn made_up(job: JobId, user: &str, number: u64, work: u128, solves: bool) -> Credit {
        let mut hash = [0; 32];
        hash[24..].copy_from_slice(&number.to_be_bytes());
        Credit {
            job,
            user: user.parse().expect("a user name"),
            difficulty: Difficulty::from_hashes(lode_protocol::Hashes(work)),
            work: Work(work),
            hash: HeaderHash::from_be_bytes(hash),
            proof: ShareProof { extranonce1: Vec::new(), extranonce2: Vec::new(), ntime: 0, nonce: 0, version: 0 },
            solves,
        }
    }
}

#[cfg(test)]
mod tests {
    use lode_protocol::RateCard;
    use lode_protocol::header::{PrevHash, Template};
    use lode_protocol::{Hashes, hex};

    use super::*;

    /// Litecoin's first block: its hash is Python's `hashlib.scrypt` of the header, reversed.
    const HASH: &str = "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00";
    const ROOT: &str = "97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9";
    /// `0xffff * 2^240` over the hash, by Python.
    const HASHES: u128 = 3_323_698;

    fn claim(hashes: u128, nonce: u32) -> Claim {
        let mut header = [0; HEADER_BYTES];
        let mut root: [u8; 32] = hex::decode_array(ROOT).unwrap();
        root.reverse();
        header[..4].copy_from_slice(&1u32.to_le_bytes());
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&1_317_972_665u32.to_le_bytes());
        header[72..76].copy_from_slice(&0x1e0f_fff0u32.to_le_bytes());
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        Claim {
            job: JobId(1),
            user: "alice.rig".parse().unwrap(),
            rate: RateCard::CURRENT.rate(Algorithm::Scrypt).unwrap(),
            difficulty: Difficulty::from_hashes(Hashes(hashes)),
            target: Target::from_compact(0x1e0f_fff0).unwrap(),
            header,
            proof: ShareProof { extranonce1: Vec::new(), extranonce2: Vec::new(), ntime: 0, nonce, version: 1 },
        }
    }

    #[test]
    fn a_scrypt_block_proves_its_hashes_at_the_cards_rate_and_not_one_more() {
        let Verdict::Accepted(credit) = claim(HASHES, 2_084_524_493).judge() else { panic!("refused") };
        assert_eq!((credit.hash().to_string().as_str(), credit.solves()), (HASH, true));
        assert_eq!(credit.work(), Work(HASHES * lode_protocol::ratecard::SCRYPT_WORK_PER_HASH));
        let verdict = claim(HASHES + 1, 2_084_524_493).judge();
        let Verdict::Rejected(rejection) = verdict else { panic!("accepted") };
        // Both as scrypt miners write them: 3323698 and 3323699 over 65536.
        let text = "low difficulty share of 50.715606689453125, wanted 50.71562194824219";
        assert_eq!((rejection.code(), rejection.to_string().as_str()), (23, text));
        assert!(matches!(claim(HASHES, 2_084_524_494).judge(), Verdict::Rejected(_)));
    }

    #[test]
    fn each_algorithm_judges_by_its_own_hash() {
        let template = Template {
            version: 1,
            prev_hash: PrevHash::from_stratum_bytes([0; 32]),
            coinbase1: vec![1],
            coinbase2: vec![2],
            merkle_branch: Vec::new(),
            nbits: 0x1e0f_fff0,
            ntime: 1_317_972_665,
        };
        let roll = Roll { extranonce1: &[3; 4], extranonce2: &[4; 4], ntime: template.ntime, nonce: 5, version: 1 };
        let header = template.header(&roll);
        let hashes = Algorithm::ALL.map(|algorithm| hash_of(algorithm, &header));
        assert_eq!(hashes[0], HeaderHash::sha256d(&header));
        assert_ne!(hashes[0], hashes[1]);
    }
}
