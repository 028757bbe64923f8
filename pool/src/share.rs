//! Whether a submitted share proves its work. A pure function of what was issued and what came.
//!
//! Only [`judge`] makes a [`Credit`], and only a credit can be entered in the ledger as a share.

use lode_protocol::api::HashSpec;
use lode_protocol::header::{HeaderHash, Roll, roll_version};
use lode_protocol::ids::{JobId, UserName};
use lode_protocol::method::Submit;
use lode_protocol::{Difficulty, Rejection, Target, Work};

use crate::ledger::entry::ShareProof;

/// Proven work of a worker, ready to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    job: JobId,
    user: UserName,
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

    /// How much: what the job was issued with, not what the hash happens to reach.
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

/// Judges `submit` by what its connection was given.
#[must_use]
pub fn judge(assignment: &Assignment<'_>, user: &UserName, submit: &Submit) -> Verdict {
    match header_of(assignment, submit) {
        Err(rejection) => Verdict::Rejected(rejection),
        Ok((header, proof)) => judge_header(assignment, user, &header, proof),
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

fn judge_header(assignment: &Assignment<'_>, user: &UserName, header: &[u8; 80], proof: ShareProof) -> Verdict {
    let hash = HeaderHash::of(header);
    if !Target::from_difficulty(assignment.difficulty).is_met_by(&hash) {
        let (got, want) = (Difficulty::of_hash(&hash), assignment.difficulty);
        return Verdict::Rejected(Rejection::LowDifficulty { got, want });
    }
    Verdict::Accepted(Credit {
        job: assignment.job,
        user: user.clone(),
        work: assignment.difficulty.work(),
        solves: assignment.spec.target.is_met_by(&hash),
        hash,
        proof,
    })
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
            work: Work(work),
            hash: HeaderHash::from_be_bytes(hash),
            proof: ShareProof { extranonce1: Vec::new(), extranonce2: Vec::new(), ntime: 0, nonce: 0, version: 0 },
            solves,
        }
    }
}
