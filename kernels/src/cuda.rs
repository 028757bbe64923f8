//! Whether NVIDIA's driver is here. Nothing runs on it yet.
#![allow(unsafe_code)] // opens the driver's library

const DRIVER: &str = "libcuda.so.1";

/// Why there is no CUDA device.
pub(crate) fn absence() -> String {
    // SAFETY: the driver's library is opened and closed; nothing of it is called.
    match unsafe { libloading::Library::new(DRIVER) } {
        Ok(_) => "NVIDIA driver found, but this build has no CUDA backend".to_owned(),
        Err(_) => format!("no NVIDIA driver ({DRIVER}) on this machine"),
    }
}
