//! The kernels' sources, as a driver's compiler gets them: the dialect, then the kernel, as one string.

/// A kernel's name and source.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The function to launch.
    pub entry: &'static str,
    /// Its text, in the words of `device/dialect.h`: OpenCL C 1.2 or CUDA.
    pub text: &'static str,
}

/// The scan of kind `hash` with algorithm sha256d.
pub const SHA256D: Source = Source {
    entry: "sha256d_scan",
    text: concat!(include_str!("../device/dialect.h"), include_str!("../device/sha256d.cl")),
};

/// The scan of kind `hash` with algorithm scrypt.
pub const SCRYPT: Source = Source {
    entry: "scrypt_scan",
    text: concat!(include_str!("../device/dialect.h"), include_str!("../device/scrypt.cl")),
};
