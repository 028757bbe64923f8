//! A scan on one thread of the CPU, by the fastest path that this CPU has for the algorithm.

use super::{Algorithm, Nonces, Scan, scrypt, sha256d};

/// Appends to `hits` the nonces of the range that are hits, in order.
pub fn scan(scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) {
    match scan.algorithm() {
        Algorithm::Sha256d => sha256d::fast::Path::best().scan(scan, nonces, hits),
        Algorithm::Scrypt => scrypt::fast::Path::best().scan(scan, nonces, hits),
    }
}

/// What people are told of the paths taken: `sha-ni, scrypt avx2`.
#[must_use]
pub fn path_names() -> String {
    format!("{}, scrypt {}", sha256d::fast::Path::best(), scrypt::fast::Path::best())
}
