//! A stand-in for NVIDIA's driver library, for tests on machines without a card.
//!
//! A program that loads `libcuda.so.1` from [`library_dir`] finds devices whose kernels are interpreted from
//! their PTX. Streams are asynchronous, each with a thread of its own; every access to memory is checked, and
//! fresh memory is poisoned. What the program does wrong goes to standard error and to `LODE_CUDA_LOG`, and
//! gives the error that a card would give. The environment chooses the simulated machine and the calls that
//! fail: the variables are the fields of `config::Config`.
//!
//! It runs what kernels here are made of, and refuses at load, with the line, what it does not know: nothing
//! is skipped. `.approx`, `.full` and `.ftz` arithmetic is refused too, because it differs between cards.

mod alu;
mod api;
mod config;
mod context;
mod device;
mod driver;
mod exec;
mod faults;
mod memory;
mod module;
mod program;
mod ptx;
mod registers;
mod result;
mod stream;

use std::path::PathBuf;

/// File name of the library that this crate is built as.
const BUILT: &str = "liblode_cuda_standin.so";

/// A directory that holds the stand-in as `libcuda.so.1`, for the `LD_LIBRARY_PATH` of a program that is started:
/// the loader reads it only then.
///
/// # Panics
/// The library was not built beside the running test.
#[must_use]
pub fn library_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    let beside = program.ancestors().skip(1).take(2);
    let found = beside.flat_map(|dir| [dir.join(BUILT), dir.join("deps").join(BUILT)]).find(|path| path.exists());
    let library = found.unwrap_or_else(|| panic!("{BUILT} is not beside {}", program.display()));
    let dir = library.with_file_name("cuda-standin");
    std::fs::create_dir_all(&dir).expect("the build directory is writable");
    let link = dir.join("libcuda.so.1");
    if std::fs::read_link(&link).ok().as_ref() != Some(&library) {
        // Another test may do the same at the same time: each renames a link of its own into place.
        let own = dir.join(format!("link-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::os::unix::fs::symlink(&library, &own).expect("the build directory is writable");
        std::fs::rename(&own, &link).expect("both are in one directory");
    }
    dir
}
