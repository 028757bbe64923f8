//! The path tracer on NVIDIA's cards: the stand-in driver, which interprets its PTX, yields the reference's bytes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lode_kernels::discover::survey;
use lode_kernels::{Backend, Device, OpenOptions, SelfTestFailure, self_test_kind};
use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use lode_kinds::render::{build, samples};
use serde_json::json;

/// What a child process does.
const CHILD: &str = "LODE_TEST_RENDER_CHILD";

/// Every feature of the path tracer, in elements of which some reach beyond the picture.
fn featured() -> Arc<Task> {
    let spec = json!({
        "width": 40, "height": 24, "samples": 5, "pass_samples": 2, "max_depth": 6, "seed": 11,
        "albedo": true, "normal": true, "depth": true,
    });
    let scene = build(&samples::every_feature()).unwrap();
    Arc::new(Task::parse(Kind::Render, &spec, vec![scene]).unwrap())
}

/// Another scene, whose lights nothing lets through.
fn boxed() -> Arc<Task> {
    let spec = json!({
        "width": 16, "height": 80, "samples": 1, "pass_samples": 1, "max_depth": 3, "seed": 5,
        "albedo": false, "normal": false, "depth": false,
    });
    let scene = build(&samples::cornell_box()).unwrap();
    Arc::new(Task::parse(Kind::Render, &spec, vec![scene]).unwrap())
}

fn card(options: &OpenOptions) -> Box<dyn Device> {
    let found = survey().found.into_iter().find(|candidate| candidate.info().backend == Backend::Cuda);
    found.expect("a card").open(options).unwrap()
}

fn agrees(device: &mut dyn Device, task: &Task, elements: std::ops::Range<u64>) {
    let mut out = vec![1, 2, 3];
    device.run(elements.clone(), &mut out).unwrap();
    let expected: Vec<u8> = [1, 2, 3].into_iter().chain(elements.clone().flat_map(|at| task.element(at))).collect();
    assert_eq!(out.len(), expected.len(), "{elements:?}");
    let differ = out.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(differ == 0, "elements {elements:?}: {differ} of {} bytes differ", out.len());
}

fn search(device: &mut dyn Device, algorithm: Algorithm) {
    let (scan, nonces) = (Scan::new(algorithm, &[7; 80], [0x3f; 32]), Nonces::new(1000, 20).unwrap());
    let mut found = Vec::new();
    device.scan(&scan, nonces, &mut found).unwrap();
    assert!(found.iter().copied().eq(nonces.iter().filter(|nonce| scan.meets(*nonce))), "{algorithm}");
}

/// Does what the parent asks for, in a process that finds the stand-in; does nothing when the tests run.
#[test]
fn child() {
    match std::env::var(CHILD).as_deref() {
        Err(_) => {}
        Ok("agree") => agree(),
        Ok("memory") => memory(),
        Ok("self-test") => match self_test_kind(card(&OpenOptions::default()).as_mut(), Kind::Render) {
            Ok(()) => println!("passed"),
            Err(SelfTestFailure::Device { error, .. }) => panic!("{error}"),
            Err(failure) => println!("failed: {failure}"),
        },
        Ok("once") => {
            let (mut device, task) = (card(&OpenOptions::default()), featured());
            device.load(&task).unwrap_or_else(|error| panic!("{error}"));
            let mut out = Vec::new();
            device.run(1..2, &mut out).unwrap_or_else(|error| panic!("{error}"));
            println!("agrees: {}", out == task.element(1));
        }
        Ok(other) => panic!("no task {other}"),
    }
}

fn agree() {
    let mut device = card(&OpenOptions::default());
    device.can(Kind::Render).unwrap();
    let error = device.run(0..1, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "cuda:0: no task is loaded");
    let (featured, boxed) = (featured(), boxed());
    assert_eq!((featured.elements(), boxed.elements()), (18, 5));
    device.load(&featured).unwrap();
    agrees(device.as_mut(), &featured, 0..18);
    agrees(device.as_mut(), &featured, 7..7);
    // More elements than a first launch has, so that launches follow each other and the last one is short.
    device.load(&boxed).unwrap();
    agrees(device.as_mut(), &boxed, 0..5);
    device.load(&boxed).unwrap();
    agrees(device.as_mut(), &boxed, 4..5);
    // Searches in between, one of which takes the card's memory.
    search(device.as_mut(), Algorithm::Sha256d);
    agrees(device.as_mut(), &boxed, 1..2);
    search(device.as_mut(), Algorithm::Scrypt);
    agrees(device.as_mut(), &boxed, 2..3);
    println!("agrees");
}

/// A card that may use little memory says what a task takes, and works on.
fn memory() {
    let featured = featured();
    let limit = featured.memory_bytes();
    let mut device = card(&OpenOptions { memory_max: Some(limit), ..OpenOptions::default() });
    let error = device.load(&featured).unwrap_err().to_string();
    let words = "cuda:0: not enough memory for the scene, its results and the kernel's stacks: ";
    assert!(error.starts_with(words) && error.ends_with(&format!(", {limit} can be had")), "{error}");
    assert!(device.run(0..1, &mut Vec::new()).is_err());
    search(device.as_mut(), Algorithm::Sha256d);
    println!("agrees");
}

/// What a child says on the stand-in, and what the stand-in says of it.
fn on_the_stand_in(task: &str, environment: &[(&str, &str)]) -> (bool, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("cuda.log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, task)
        .env("LD_LIBRARY_PATH", lode_cuda_standin::library_dir())
        .env("LODE_CUDA_LOG", &log)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text, read(&log))
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

#[test]
fn the_stand_in_renders_what_the_reference_renders() {
    for (task, says) in [("agree", "agrees\n"), ("memory", "agrees\n"), ("self-test", "passed\n")] {
        let (success, text, log) = on_the_stand_in(task, &[]);
        assert!(success && text.contains(says), "{text}");
        assert_eq!(log, "", "the stand-in saw a mistake: {text}");
    }
}

#[test]
fn the_self_test_refuses_a_card_that_computes_wrongly() {
    for patch in [
        "0f3EA2F983=>0f3EA2F984",    // 1/pi and the next float
        "1664525=>1664527",          // the random numbers' multiplier
        "sqrt.rn.f32=>mov.f32",      // no roots
        "setp.geu.f32=>setp.gt.f32", // where rays graze, or are not numbers
    ] {
        let (success, text, _) = on_the_stand_in("self-test", &[("LODE_CUDA_PATCH", patch)]);
        assert!(success && text.contains("failed: self-test vector"), "{patch}: {text}");
    }
}

#[test]
fn a_failure_that_passes_is_got_over_and_another_is_told() {
    for fault in
        ["cuLaunchKernel:1:719", "cuMemcpyHtoDAsync_v2:1:716", "cuMemcpyDtoHAsync_v2:1:716", "cuEventQuery:3:700"]
    {
        let (success, text, _) = on_the_stand_in("once", &[("LODE_CUDA_FAIL", fault)]);
        assert!(success && text.contains("agrees: true"), "{fault}: {text}");
    }
    for (fault, says) in [
        ("cuLaunchKernel:*:719", "CUDA_ERROR_LAUNCH_FAILED, 719); and in a new context: launching the kernel"),
        ("cuMemcpyHtoDAsync_v2:*:716", "and in a new context: copying the scene"),
        ("cuMemAlloc_v2:3+:2,cuMemAllocAsync:3+:2", "not enough memory for the scene"),
        ("cuMemHostAlloc:3+:2", "pinning host memory: out of memory"),
        ("cuModuleLoadData:*:222", "the driver is too old for these kernels"),
    ] {
        let (success, text, _) = on_the_stand_in("once", &[("LODE_CUDA_FAIL", fault)]);
        assert!(!success && text.contains(says), "{fault}: {text}");
    }
}
