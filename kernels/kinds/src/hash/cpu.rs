//! A scan on one thread of the CPU, by the fastest path that this CPU has for the algorithm.

use super::sha256d::fast::Path;
use super::{Algorithm, Nonces, Scan};

/// Appends to `hits` the nonces of the range that are hits, in order.
pub fn scan(scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) {
    match scan.algorithm() {
        Algorithm::Sha256d => Path::best().scan(scan, nonces, hits),
        Algorithm::Scrypt => hits.extend(nonces.iter().filter(|nonce| scan.meets(*nonce))),
    }
}

/// What people are told of the paths taken: `sha-ni`.
#[must_use]
pub fn path_names() -> String {
    Path::best().to_string()
}
