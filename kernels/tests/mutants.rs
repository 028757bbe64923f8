//! What guards against broken kernels, seen to work: each mutant is a kernel with one fault.
//!
//! A wrong result fails the self-test, a stray access or a race is in Oclgrind's log. The unbroken kernels pass both.

use std::path::Path;
use std::process::Command;

use lode_kernels::discover::survey;
use lode_kernels::source::Source;
use lode_kernels::{Backend, Device, OpenOptions, SelfTestFailure, self_test};
use lode_kinds::hash::{Algorithm, Nonces, Scan};

/// A fault: what of the kernel's text is replaced by what.
struct Mutant {
    name: &'static str,
    of: Algorithm,
    from: &'static str,
    to: &'static str,
}

impl Mutant {
    fn source(&self) -> Source {
        let whole = Source::of(self.of);
        assert!(whole.text.contains(self.from), "{}: the kernel has no {:?}", self.name, self.from);
        Source { text: whole.text.replacen(self.from, self.to, 1).leak(), ..whole }
    }
}

/// Faults that change results.
const WRONG: [Mutant; 4] = [
    Mutant { name: "a round constant", of: Algorithm::Sha256d, from: "0x72be5d74u", to: "0x72be5d75u" },
    Mutant { name: "a rotation", of: Algorithm::Scrypt, from: "a##i + d##i, 7)", to: "a##i + d##i, 6)" },
    Mutant {
        name: "a filter that lets all pass",
        of: Algorithm::Sha256d,
        from: "BSWAP32(numbers)) & job.filter",
        to: "BSWAP32(numbers)) & 0u",
    },
    Mutant { name: "the range's end", of: Algorithm::Sha256d, from: "first <= last_offset", to: "first < last_offset" },
];

/// Faults that a lucky run may hide, and a checker must not.
const STRAY: [Mutant; 3] = [
    Mutant {
        name: "a write past the end",
        of: Algorithm::Sha256d,
        from: "found[1u + slot]",
        to: "found[1u + FOUND_MAX + slot]",
    },
    Mutant {
        name: "a race",
        of: Algorithm::Sha256d,
        from: "u32 slot = ATOMIC_INC(found);",
        to: "u32 slot = found[0]; found[0] = slot + 1u;",
    },
    Mutant {
        name: "an uninitialised value",
        of: Algorithm::Sha256d,
        from: "BSWAP32(numbers)) & job.filter",
        to: "(BSWAP32(numbers) | found[FOUND_MAX])) & job.filter",
    },
];

/// The kernels that the process was told to run, by the mutant's name.
fn chosen(algorithm: Algorithm) -> Source {
    let name = std::env::var(MUTANT).unwrap_or_default();
    let mutant = WRONG.iter().chain(&STRAY).find(|mutant| mutant.name == name && mutant.of == algorithm);
    mutant.map_or(Source::of(algorithm), Mutant::source)
}

/// The mutant that a child process runs.
const MUTANT: &str = "LODE_TEST_MUTANT";
/// What a child process does: `self-test` or `small-scan`.
const CHILD: &str = "LODE_TEST_MUTANTS_CHILD";

fn open() -> Option<Box<dyn Device>> {
    let options = OpenOptions { sources: chosen, ..OpenOptions::default() };
    let found = survey().found.into_iter().find(|candidate| candidate.info().backend == Backend::OpenCl)?;
    Some(found.open(&options).unwrap())
}

/// Does what the parent asks for, in a process of its own: mutants and drivers are chosen by the environment.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let Some(mut device) = open() else {
        println!("no device");
        return;
    };
    println!("on {}", device.info().name);
    match task.as_str() {
        "self-test" => match Algorithm::ALL.iter().try_for_each(|algorithm| self_test(device.as_mut(), *algorithm)) {
            Ok(()) => println!("passed"),
            Err(SelfTestFailure::Device { error, .. }) => panic!("{error}"),
            Err(failure) => println!("failed: {failure}"),
        },
        "small-scan" => {
            // A fault that is in one algorithm's kernel needs no look at the other's.
            let algorithms = if std::env::var(MUTANT).is_ok_and(|name| name.is_empty()) { 2 } else { 1 };
            for (algorithm, count) in [(Algorithm::Sha256d, 40), (Algorithm::Scrypt, 2)].into_iter().take(algorithms) {
                let (scan, nonces) = (Scan::new(algorithm, &[7; 80], [0x3f; 32]), Nonces::new(1000, count).unwrap());
                let mut found = Vec::new();
                device.scan(&scan, nonces, &mut found).unwrap();
                println!("agrees: {}", found.iter().copied().eq(nonces.iter().filter(|nonce| scan.meets(*nonce))));
            }
        }
        other => panic!("no task {other}"),
    }
}

fn run(task: &str, mutant: &str, environment: &[(&str, &Path)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, task)
        .env(MUTANT, mutant)
        .envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{mutant}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_self_test_refuses_every_wrong_kernel() {
    let whole = run("self-test", "", &[]);
    if whole.contains("no device") {
        println!("SKIPPED: no OpenCL device");
        return;
    }
    assert!(whole.contains("passed"), "{whole}");
    for mutant in &WRONG {
        let text = run("self-test", mutant.name, &[]);
        assert!(text.contains("failed: self-test vector"), "{} goes unseen: {text}", mutant.name);
    }
}

/// Where Oclgrind's driver is on Debian; it installs no entry in the list of drivers.
const OCLGRIND: &str = "/usr/lib/oclgrind/liboclgrind-rt-icd.so";

/// What Oclgrind says of a run, and what the run says.
fn under_oclgrind(mutant: &str) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("oclgrind.log");
    std::fs::write(directory.path().join("oclgrind.icd"), OCLGRIND).unwrap();
    let environment = [
        ("OCL_ICD_VENDORS", directory.path()),
        ("OCLGRIND_LOG", &log),
        ("OCLGRIND_DATA_RACES", Path::new("1")),
        ("OCLGRIND_UNINITIALIZED", Path::new("1")),
        ("OCLGRIND_MAX_ERRORS", Path::new("5")),
    ];
    let text = run("small-scan", mutant, &environment);
    assert!(text.contains("on Oclgrind"), "{text}");
    (std::fs::read_to_string(log).unwrap_or_default(), text)
}

#[test]
fn oclgrind_finds_nothing_in_the_kernels_and_something_in_every_stray_one() {
    if !Path::new(OCLGRIND).exists() {
        println!("SKIPPED: no Oclgrind ({OCLGRIND})");
        return;
    }
    let (log, text) = under_oclgrind("");
    assert_eq!(log, "", "{text}");
    assert!(text.contains("agrees: true") && !text.contains("agrees: false"), "{text}");
    for mutant in &STRAY {
        let (log, text) = under_oclgrind(mutant.name);
        assert!(!log.is_empty(), "{} goes unseen: {text}", mutant.name);
        println!("{}: {}", mutant.name, log.lines().find(|line| !line.trim().is_empty()).unwrap_or_default());
    }
}
