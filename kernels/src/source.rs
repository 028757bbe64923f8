//! The kernels' sources, as a driver's compiler gets them: the dialect, then the kernel, as one string.

use lode_kinds::hash::Algorithm;

use crate::search::FOUND_MAX;

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

/// The path tracer. `VEC` is 8 for CPUs and 1 for GPUs; its arguments and results are described where it begins.
pub const RENDER: Source =
    Source { entry: "render", text: concat!(include_str!("../device/dialect.h"), include_str!("../device/render.cl")) };

/// A kernel as code of CUDA's virtual machine, which the driver compiles for its card.
#[derive(Clone, Copy, Debug)]
pub struct Ptx {
    /// What it was made from.
    pub source: Source,
    /// The macros that it was made with, beside those of every kernel.
    pub defines: &'static [&'static str],
    /// Its file in `ptx/`, made by `scripts/ptx.sh`.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Ptx {
    /// The oldest cards that it runs on, as NVRTC calls them: compute capability 7.5.
    pub const ARCHITECTURE: &str = "compute_75";

    /// Every PTX there is.
    pub const ALL: &[Self] = &[
        Self { source: SHA256D, defines: &["STEPS=16"], file: "sha256d.ptx", text: include_str!("../ptx/sha256d.ptx") },
        Self {
            source: SCRYPT,
            defines: &["LOOKUP_GAP=1"],
            file: "scrypt-1.ptx",
            text: include_str!("../ptx/scrypt-1.ptx"),
        },
        Self {
            source: SCRYPT,
            defines: &["LOOKUP_GAP=2"],
            file: "scrypt-2.ptx",
            text: include_str!("../ptx/scrypt-2.ptx"),
        },
        Self {
            source: SCRYPT,
            defines: &["LOOKUP_GAP=4"],
            file: "scrypt-4.ptx",
            text: include_str!("../ptx/scrypt-4.ptx"),
        },
        Self { source: RENDER, defines: &[], file: "render.ptx", text: include_str!("../ptx/render.ptx") },
    ];

    /// What was made from `source` with `defines`, if that is kept.
    #[must_use]
    pub fn of(source: &Source, defines: &[String]) -> Option<&'static Self> {
        Self::ALL.iter().find(|ptx| ptx.source.text == source.text && ptx.defines == defines)
    }
}

/// What NVRTC is told for every kernel. `architecture` is a virtual one for PTX (`compute_75`), a real one for machine
/// code (`sm_89`); `defines` are macros of this kernel alone.
#[must_use]
pub fn nvrtc_options(architecture: &str, defines: &[impl AsRef<str>]) -> Vec<String> {
    let mut options = vec![
        format!("--gpu-architecture={architecture}"),
        "--std=c++14".to_owned(),
        "--fmad=false".to_owned(), // fused where a kernel says so, and nowhere else
        format!("--define-macro=FOUND_MAX={FOUND_MAX}u"),
    ];
    options.extend(defines.iter().map(|define| format!("--define-macro={}", define.as_ref())));
    options
}
