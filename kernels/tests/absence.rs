//! A machine without OpenCL gets a reason, at once, and its CPU still works.
//!
//! What is missing is missing for a whole process, so each case runs this test binary again with another environment.

use std::process::Command;
use std::time::{Duration, Instant};

use lode_kernels::discover::survey;
use lode_kernels::opencl::loader::LIBRARY_VARIABLE;
use lode_kernels::{Backend, OpenOptions, discover};
use lode_kinds::hash::Algorithm;

const CHILD: &str = "LODE_TEST_ABSENCE_CHILD";

/// Prints why there is no OpenCL device, in the child process; does nothing when the tests run.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let absent = survey().absent.into_iter().find(|absent| absent.backend == Backend::OpenCl);
    println!("reason: {}", absent.expect("OpenCL is hidden from this process").reason);
    let error = discover(&["opencl".parse().unwrap()], Algorithm::Sha256d, &OpenOptions::default())
        .err()
        .expect("nothing matches");
    println!("{error}");
    let ids: Vec<_> = discover(&[], Algorithm::Sha256d, &OpenOptions::default())
        .unwrap()
        .devices
        .iter()
        .map(|device| device.info().id())
        .collect();
    println!("devices: {}", ids.join(" "));
}

fn survey_with(variable: &str, value: &str) -> String {
    let begin = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, "1").env(variable, value);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    assert!(text.contains("devices: cpu:0\n"), "{text}");
    text
}

#[test]
fn without_the_library_the_reason_says_so() {
    let text = survey_with(LIBRARY_VARIABLE, "/nonexistent/libOpenCL.so.1");
    assert!(text.contains("reason: no OpenCL library on this machine (/nonexistent/"), "{text}");
    assert!(text.contains("no device opencl on this machine: it has cpu:0 (no OpenCL library"), "{text}");
}

#[test]
fn a_library_that_is_none_is_refused() {
    let text = survey_with(LIBRARY_VARIABLE, "libc.so.6");
    assert!(text.contains("reason: the OpenCL library lacks clBuildProgram"), "{text}");
}

#[test]
fn without_a_driver_the_reason_says_so() {
    let text = survey_with("OCL_ICD_VENDORS", "/nonexistent");
    let reasons = ["no OpenCL driver on this machine", "no OpenCL library on this machine"];
    assert!(reasons.iter().any(|reason| text.contains(reason)), "{text}");
}
