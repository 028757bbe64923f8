//! A machine whose NVIDIA driver cannot be used gets a reason, and its CPU still works.
//!
//! A process finds a library where it found it first, so each case runs this test binary again with another library path.

use std::path::{Path, PathBuf};
use std::process::Command;

use lode_kernels::discover::survey;
use lode_kernels::{Backend, OpenOptions, discover};
use lode_kinds::hash::Algorithm;

const CHILD: &str = "LODE_TEST_CUDA_CHILD";

/// Prints why there is no CUDA device, in the child process; does nothing when the tests run.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let absent = survey().absent.into_iter().find(|absent| absent.backend == Backend::Cuda);
    println!("reason: {}", absent.map_or_else(|| "there is a card".to_owned(), |absent| absent.reason));
    match discover(&["cuda".parse().unwrap()], Algorithm::Sha256d, &OpenOptions::default()) {
        Ok(_) => println!("a card was opened"),
        Err(error) => println!("{error}"),
    }
    let devices = discover(&["cpu".parse().unwrap()], Algorithm::Sha256d, &OpenOptions::default()).unwrap().devices;
    println!("devices: {}", devices[0].info().id());
}

/// What the child says where `driver` is found as NVIDIA's driver.
fn with_driver(driver: &Path) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    // The first name that is looked for.
    std::os::unix::fs::symlink(driver, directory.path().join("libcuda.so")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, "1").env("LD_LIBRARY_PATH", directory.path());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("devices: cpu:0\n"), "{stdout}");
    (stdout, stderr)
}

/// A library that is surely here: the one that this process has loaded.
fn some_library() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
    path.expect("this program is linked with the C library").into()
}

#[test]
fn a_driver_that_lacks_a_function_is_not_called() {
    let (stdout, stderr) = with_driver(&some_library());
    let reason = "the NVIDIA driver is too old: it lacks cuCtxCreate_v3, which R470 and later have";
    assert!(stdout.contains(&format!("reason: {reason}\n")), "{stdout}");
    assert!(stdout.contains("no device cuda on this machine: it has "), "{stdout}");
    assert!(stdout.contains(&format!("({reason})")), "{stdout}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_file_that_is_no_library_is_no_driver() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (stdout, stderr) = with_driver(file.path());
    // A machine with a driver of its own has that one.
    assert!(
        stdout.contains("reason: no NVIDIA driver (libcuda.so.1) on this machine\n")
            || stdout.contains("reason: there is a card\n"),
        "{stdout}"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
}
