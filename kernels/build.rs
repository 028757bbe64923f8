//! Gives the linker an empty archive for the `-lOpenCL` that the OpenCL bindings ask for. Their functions are defined in
//! `src/opencl/loader.rs`, which finds the real library when the program runs; none is needed to build.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(directory.join("libOpenCL.a"), b"!<arch>\n").expect("OUT_DIR is writable");
    println!("cargo::rustc-link-search=native={}", directory.display());
}
