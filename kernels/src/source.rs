//! The kernels' sources, as a driver's compiler gets them: the dialect, then the kernel, as one string.

use lode_kinds::hash::Algorithm;

/// A kernel's name and source.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The function to launch.
    pub entry: &'static str,
    /// Its text, in the words of `device/dialect.h`: OpenCL C 1.2 or CUDA.
    pub text: &'static str,
}

impl Source {
    /// The kernel that scans with `algorithm`.
    #[must_use]
    pub const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256d => SHA256D,
            Algorithm::Scrypt => SCRYPT,
        }
    }
}

/// The scan with SHA-256d.
pub const SHA256D: Source = Source {
    entry: "sha256d_scan",
    text: concat!(include_str!("../device/dialect.h"), include_str!("../device/sha256d.cl")),
};

/// The scan with scrypt.
pub const SCRYPT: Source = Source {
    entry: "scrypt_scan",
    text: concat!(include_str!("../device/dialect.h"), include_str!("../device/scrypt.cl")),
};
