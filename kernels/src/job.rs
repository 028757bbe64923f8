//! What a launch is told of its search, in the words of the kernels' `Job` structs.

use lode_kinds::hash::{Algorithm, Scan, scrypt, sha256d};

/// A search's constants, as its kernel takes them by value, and the test that the kernel makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    words: Vec<u32>,
    filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Sha256d(sha256d::Prepared),
    Scrypt(scrypt::Prepared),
}

impl Job {
    /// The constants of `scan`.
    #[must_use]
    pub(crate) fn new(scan: &Scan) -> Self {
        match scan.algorithm() {
            Algorithm::Sha256d => sha256d(sha256d::Prepared::new(scan)),
            Algorithm::Scrypt => scrypt(scrypt::Prepared::new(scan)),
        }
    }

    /// The kernel's struct, word by word.
    #[must_use]
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// Whether a sound device reports the nonce of this hash (big-endian).
    #[must_use]
    pub(crate) fn passes(&self, hash: &[u8; 32]) -> bool {
        match self.filter {
            Filter::Sha256d(prepared) => prepared.passes(sha256d::Prepared::last_state_word(hash)),
            Filter::Scrypt(prepared) => prepared.passes(scrypt::Prepared::top_word(hash)),
        }
    }
}

fn sha256d(fixed: sha256d::Prepared) -> Job {
    Job { words: fixed.device_words().to_vec(), filter: Filter::Sha256d(fixed) }
}

fn scrypt(fixed: scrypt::Prepared) -> Job {
    let words = [&fixed.head[..], &fixed.tail, &fixed.midstate, &[fixed.top]].concat();
    Job { words, filter: Filter::Scrypt(fixed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_always_passes_and_few_others_do() {
        for algorithm in Algorithm::ALL {
            let mut target = [0xff; 32];
            target[0] = 0x1f;
            let scan = Scan::new(*algorithm, &[9; 80], target);
            let job = Job::new(&scan);
            let (mut hits, mut passing) = (0, 0);
            for nonce in 0..400 {
                let passes = job.passes(&scan.header_hash(nonce));
                assert!(passes || !scan.meets(nonce), "{algorithm}: nonce {nonce} would be lost");
                hits += u32::from(scan.meets(nonce));
                passing += u32::from(passes);
            }
            assert!(hits > 20 && passing < 120, "{algorithm}: {hits} hits, {passing} pass");
        }
    }
}
