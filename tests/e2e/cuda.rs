//! The miner on CUDA cards: found, tested, measured, and each failure of one named while the others work on.
//!
//! The cards are the stand-in's. The kernels on them are the PTX that is checked in, interpreted.

use std::path::Path;
use std::process::Command;

use lode_cuda_standin::library_dir;
use lode_tests::program;
use serde_json::Value;

/// The miner with three stand-in cards, a cache of its own, and whatever else the environment says.
fn miner(cache: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let mut command = Command::new(program("lode-miner"));
    command.args(arguments).env("LD_LIBRARY_PATH", library_dir()).env("LODE_CUDA_DEVICES", "3");
    command.env("LODE_CACHE_DIR", cache).envs(environment.iter().copied());
    let output = command.output().expect("the miner starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{environment:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{environment:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What `lode-miner devices` says of each card: nothing where its self-test passed, else why not.
fn cards(cache: &Path, environment: &[(&str, &str)]) -> Vec<Option<String>> {
    let listed = miner(cache, &["devices", "--json"], environment);
    let devices = listed["devices"].as_array().expect("a list");
    let cards = devices.iter().filter(|device| device["backend"] == "cuda");
    let outcome = |card: &Value| match &card["self_test"][0] {
        test if test["passed"] == true => None,
        test => Some(test["reason"].as_str().unwrap_or_else(|| panic!("no reason in {test}")).to_owned()),
    };
    cards.map(outcome).collect()
}

fn cards_with(fault: (&str, &str)) -> Vec<Option<String>> {
    let cache = tempfile::tempdir().expect("a directory");
    cards(cache.path(), &[fault])
}

#[test]
fn three_cards_are_listed_and_compute_what_the_reference_does() {
    let cache = tempfile::tempdir().expect("a directory");
    let listed = miner(cache.path(), &["devices", "--json"], &[("LODE_CUDA_DRIVER", "12020")]);
    let cards: Vec<&Value> = listed["devices"].as_array().expect("a list").iter().take(3).collect();
    for (index, card) in cards.into_iter().enumerate() {
        assert_eq!(card["id"], format!("cuda:{index}"), "{card}");
        assert_eq!(card["driver"], "CUDA driver API 12.2, compute capability 8.6", "{card}");
        assert_eq!(card["pci"], format!("0000:{:02x}:00.0", index + 1), "{card}");
        assert_eq!(card["self_test"][0]["passed"], true, "{card}");
    }
    let measured = miner(cache.path(), &["bench", "--json", "--device", "cuda:2", "--seconds", "1"], &[]);
    assert_eq!(measured[0]["device"], "cuda:2", "{measured}");
    assert!(measured[0]["rate"].as_f64().is_some_and(|rate| rate > 0.0), "{measured}");
}

#[test]
fn a_failure_that_passes_costs_a_card_nothing_but_its_context() {
    for fault in ["cuLaunchKernel:3:719@1", "cuEventQuery:5:700@1", "cuMemcpyDtoHAsync_v2:4:716@1"] {
        assert_eq!(cards_with(("LODE_CUDA_FAIL", fault)), [None, None, None], "{fault}");
    }
}

#[test]
fn a_card_that_fails_is_named_with_the_reason_and_the_others_work_on() {
    for (fault, says) in [
        ("cuDeviceGetName:1:999@1", "asking for the card's name"),
        ("cuCtxCreate_v3:*:46@1", "another program has the card to itself"),
        ("cuStreamCreate:1:999@1", "making a stream"),
        ("cuMemHostAlloc:1:2@1", "pinning host memory: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)"),
        (
            "cuMemAlloc_v2:*:2@1,cuMemAllocAsync:*:2@1",
            "not enough memory for what a launch finds: 4096 bytes are needed",
        ),
        ("cuModuleLoadData:*:222@1", "the driver is too old for these kernels"),
        ("cuModuleLoadData:*:218@1", "loading the kernel: a PTX JIT compilation failed"),
        ("cuLaunchKernel:3+:719@1", "CUDA_ERROR_LAUNCH_FAILED, 719); and in a new context: launching the kernel"),
        ("cuEventQuery:5+:700@1", "CUDA_ERROR_ILLEGAL_ADDRESS, 700); and in a new context: searching"),
    ] {
        let cards = cards_with(("LODE_CUDA_FAIL", fault));
        let reason = cards[1].as_deref().unwrap_or_else(|| panic!("{fault}: nothing was seen of it"));
        assert!(reason.contains(says), "{fault}: {reason}");
        assert_eq!([&cards[0], &cards[2]], [&None, &None], "{fault}");
    }
}

#[test]
fn a_card_that_vanishes_is_named_and_the_others_work_on() {
    let cards = cards_with(("LODE_CUDA_VANISH", "1:5"));
    let reason = cards[1].as_deref().expect("it is gone");
    assert!(reason.contains("; the card is gone"), "{reason}");
    assert_eq!([&cards[0], &cards[2]], [&None, &None]);
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let cache = tempfile::tempdir().expect("a directory");
    let entries = || -> Vec<_> {
        let entries = std::fs::read_dir(cache.path()).expect("the cache").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.to_string_lossy().contains("/cuda")).collect()
    };
    assert_eq!(cards(cache.path(), &[]), [None, None, None]);
    let kept = entries();
    assert!(!kept.is_empty(), "tuning is kept");
    for entry in &kept {
        std::fs::write(entry, "damaged").expect("the entry can be written");
    }
    assert_eq!(cards(cache.path(), &[]), [None, None, None]);
    assert_eq!(entries().len(), kept.len());
    for entry in &kept {
        assert_ne!(std::fs::read(entry).expect("an entry"), b"damaged");
    }
}

#[test]
fn a_card_older_than_the_ptx_says_what_it_needs() {
    let [Some(reason), ..] = &cards_with(("LODE_CUDA_CC", "6.1"))[..] else { panic!("it cannot run the PTX") };
    assert!(reason.contains("compute capability 6.1 needs NVRTC"), "{reason}");
}
