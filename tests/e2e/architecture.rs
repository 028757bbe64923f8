//! The invariants of the layout, read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Rust files below a directory of the workspace, with their text.
fn sources(dir: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for item in fs::read_dir(&dir).expect("a directory of the workspace") {
            let path = item.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    assert!(!found.is_empty(), "{dir} has sources");
    found
}

/// Code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn files_with(dir: &str, words: &[&str]) -> Vec<String> {
    let has = |text: &str| words.iter().any(|word| code(text).contains(word));
    let mut files: Vec<String> = sources(dir).into_iter().filter(|(_, text)| has(text)).map(|(name, _)| name).collect();
    files.sort();
    files
}

fn ours(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
    let dependencies = text.split("[dependencies]").nth(1).expect("dependencies");
    let dependencies = dependencies.split("\n[").next().expect("a section");
    let names = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("lode-")).map(str::to_owned).collect()
}

#[test]
fn the_arrows_between_the_crates_are_those_of_the_readme() {
    assert_eq!(ours("protocol/Cargo.toml"), Vec::<String>::new());
    assert_eq!(ours("kernels/kinds/Cargo.toml"), Vec::<String>::new());
    assert_eq!(ours("kernels/Cargo.toml"), ["lode-kinds"]);
    assert_eq!(ours("dashboard/Cargo.toml"), ["lode-protocol"]);
    assert_eq!(ours("pool/Cargo.toml"), ["lode-dashboard", "lode-kinds", "lode-protocol"]);
    assert_eq!(ours("miner/Cargo.toml"), ["lode-kernels", "lode-kinds", "lode-protocol"]);
}

#[test]
fn protocol_does_no_io() {
    let io = ["std::net", "std::fs", "tokio::", "std::time::SystemTime", "Instant::now", "std::thread"];
    assert_eq!(files_with("protocol/src", &io), Vec::<String>::new());
}

#[test]
fn one_file_names_sled() {
    assert_eq!(files_with("pool/src", &["sled::"]), ["pool/src/ledger/store.rs"]);
}

#[test]
fn unsafe_code_has_its_addresses() {
    // The last two: the CUDA stand-in's entry points, and the tests that call them as a program does.
    let allowed = [
        "kernels/kinds/src/hash/sha256d/fast/",
        "kernels/kinds/src/hash/scrypt/fast/",
        "kernels/kinds/src/render/fast.rs",
        "kernels/kinds/src/hash/lanes/",
        "kernels/src/opencl",
        "kernels/src/cuda",
        "tests/cuda/src/api/",
        "tests/cuda/tests/",
    ];
    let crates = ["protocol", "kernels", "dashboard/src", "miner/src", "pool/src", "tests"];
    let files = crates.iter().flat_map(|dir| files_with(dir, &["allow(unsafe_code)", "expect(unsafe_code"]));
    for file in files.filter(|file| !file.ends_with("architecture.rs")) {
        assert!(allowed.iter().any(|place| file.starts_with(place)), "unsafe code in {file}");
    }
}

#[test]
fn only_the_programs_read_arguments_and_the_clock() {
    let words = ["std::env::args", "SystemTime::now"];
    let files =
        ["pool/src", "miner/src", "dashboard/src", "kernels/src", "protocol/src"].map(|dir| files_with(dir, &words));
    for file in files.concat() {
        assert!(file.ends_with("/main.rs"), "{file} reads arguments or the clock");
    }
}

#[test]
fn the_pool_has_no_device_code() {
    assert_eq!(files_with("pool/src", &["ocl::", "cudarc", "lode_kernels"]), Vec::<String>::new());
}
