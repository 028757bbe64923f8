//! Every device of this machine finds what the reference finds.

use std::process::Command;
use std::sync::Arc;

use lode_kernels::discover::{Survey, survey};
use lode_kernels::{Backend, Device, OpenOptions, self_test_kind};
use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use lode_kinds::render::model::Model;
use lode_kinds::render::{build, samples};

/// SplitMix64, seeded, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()[0]
    }

    fn scan(&mut self, algorithm: Algorithm, zero_bits: usize) -> Scan {
        let header = std::array::from_fn(|_| self.byte());
        let mut target: [u8; 32] = std::array::from_fn(|_| self.byte());
        for bit in 0..zero_bits {
            target[bit / 8] &= !(0x80 >> (bit % 8));
        }
        Scan::new(algorithm, &header, target)
    }
}

/// The one backend to check, in a child process.
const ONLY: &str = "LODE_TEST_BACKEND";

/// CUDA on the stand-in driver, which interprets the kernels: the same tests, in a process that finds its library.
#[test]
fn cuda_agrees_on_the_stand_in() {
    if std::env::var_os(ONLY).is_some() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("cuda.log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--test-threads=1"])
        .env(ONLY, "cuda")
        .env("LD_LIBRARY_PATH", lode_cuda_standin::library_dir())
        .env("LODE_CUDA_LOG", &log)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.matches("checking cuda:0").count() >= 5, "{text}");
    assert_eq!(std::fs::read_to_string(log).unwrap_or_default(), "", "the stand-in saw a mistake: {text}");
}

fn each_device(mut check: impl FnMut(&mut dyn Device)) {
    let Survey { found, absent } = survey();
    for absent in absent {
        println!("SKIPPED {}: {}", absent.backend, absent.reason);
    }
    let only = std::env::var(ONLY).ok();
    for candidate in found {
        if only.as_deref().is_some_and(|backend| backend != candidate.info().backend.name()) {
            continue;
        }
        let id = candidate.info().id();
        let mut device = candidate.open(&OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        println!("checking {id}");
        check(device.as_mut());
        assert_eq!(device.hardware_errors(), 0, "{id}");
    }
}

fn agrees(device: &mut dyn Device, scan: &Scan, nonces: Nonces) {
    let mut found = vec![1, 2, 3];
    device.scan(scan, nonces, &mut found).unwrap();
    let expected: Vec<u32> = [1, 2, 3].into_iter().chain(nonces.iter().filter(|nonce| scan.meets(*nonce))).collect();
    assert!(found == expected, "{}: {scan:?} {nonces:?}", device.info().id());
}

#[test]
fn every_device_passes_its_self_test() {
    each_device(|device| {
        for &kind in Kind::ALL {
            self_test_kind(device, kind).unwrap_or_else(|failure| panic!("{}: {failure}", device.info().id()));
        }
    });
}

#[test]
fn every_device_agrees_with_the_reference() {
    each_device(|device| {
        let mut random = Random(5);
        for zero_bits in [0, 1, 5, 8, 9, 16, 31, 32, 33, 256] {
            let scan = random.scan(Algorithm::Sha256d, zero_bits);
            for count in [0, 1, 3, 4, 5, 7, 8, 9, 255, 256, 257, 1000] {
                let last = u32::MAX - (count.max(1) - 1);
                for start in [0, 0x1234_5678, last] {
                    agrees(device, &scan, Nonces::new(start, u64::from(count)).unwrap());
                }
            }
        }
    });
}

#[test]
fn every_device_agrees_with_the_reference_on_scrypt() {
    each_device(|device| {
        let mut random = Random(6);
        for (zero_bits, count) in [(0, 13), (1, 1), (2, 25), (5, 60), (9, 24), (33, 8), (256, 5)] {
            let scan = random.scan(Algorithm::Scrypt, zero_bits);
            for start in [0, 0x1234_5678, u32::MAX - (count - 1)] {
                agrees(device, &scan, Nonces::new(start, u64::from(count)).unwrap());
            }
        }
        agrees(device, &random.scan(Algorithm::Scrypt, 0), Nonces::new(7, 0).unwrap());
    });
}

#[test]
fn no_hit_is_lost_when_more_are_found_than_a_device_can_report_at_once() {
    each_device(|device| {
        let everything = Scan::new(Algorithm::Sha256d, &[3; 80], [0xff; 32]);
        for count in [1022, 1023, 1024, 1025, 5000, 70_000] {
            let last = u32::MAX - (count - 1);
            for start in [0, last] {
                let nonces = Nonces::new(start, u64::from(count)).unwrap();
                let mut found = Vec::new();
                device.scan(&everything, nonces, &mut found).unwrap();
                assert!(found.iter().copied().eq(nonces.iter()), "{}: {nonces:?}", device.info().id());
            }
        }
    });
}

#[test]
fn the_genesis_block_is_found_in_a_long_scan() {
    let mut header = [0; 80];
    header[0] = 1;
    let root = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d";
    for (i, byte) in header[36..76].iter_mut().enumerate() {
        *byte = u8::from_str_radix(&root[2 * i..2 * i + 2], 16).unwrap();
    }
    let mut target = [0; 32];
    target[4..6].copy_from_slice(&[0xff, 0xff]);
    let scan = Scan::new(Algorithm::Sha256d, &header, target);
    each_device(|device| {
        // The stand-in tries some ten thousand nonces a second.
        let around: u32 = if device.info().backend == Backend::Cuda { 10_000 } else { 1_000_000 };
        let nonces = Nonces::new(2_083_236_893 - around, 2 * u64::from(around)).unwrap();
        let mut found = Vec::new();
        device.scan(&scan, nonces, &mut found).unwrap();
        assert_eq!(found, [2_083_236_893]);
    });
}

fn task(model: &Model, [width, height]: [u32; 2], [samples, pass_samples]: [u32; 2], max_depth: u32) -> Arc<Task> {
    let section = serde_json::json!({
        "width": width, "height": height, "samples": samples, "pass_samples": pass_samples, "max_depth": max_depth,
        "seed": 5, "albedo": max_depth > 4, "normal": max_depth > 4, "depth": max_depth > 2,
    });
    let scene = build(model).expect("a made scene can be built");
    Arc::new(Task::parse(Kind::Render, &section, vec![scene]).expect("a section"))
}

#[test]
fn every_device_renders_what_the_reference_renders() {
    let every = samples::every_feature();
    let empty = Model { triangles: Vec::new(), ..every.clone() };
    each_device(|device| {
        let id = device.info().id();
        if let Err(reason) = device.can(Kind::Render) {
            println!("SKIPPED {id}: {reason}");
            return;
        }
        let mut tasks = vec![
            task(&every, [1, 1], [3, 2], 6),
            task(&every, [17, 1], [1, 1], 6),
            task(&samples::cornell_box(), [16, 16], [2, 2], 8),
            task(&empty, [16, 16], [1, 1], 1),
        ];
        // The stand-in takes a millisecond for a path.
        if device.info().backend != Backend::Cuda {
            tasks.extend([
                task(&every, [40, 24], [5, 2], 6),
                task(&every, [33, 65], [64, 64], 3),
                task(&samples::cornell_box(), [100, 70], [130, 44], 64),
            ]);
        }
        for task in &tasks {
            device.load(task).unwrap_or_else(|error| panic!("{error}"));
            let (elements, most) = (task.elements(), task.elements() - 1);
            for range in [0..elements, 0..0, most..elements, 0..1, most / 2..elements] {
                let mut got = vec![7];
                device.run(range.clone(), &mut got).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(got.len(), 1 + usize::try_from(range.end - range.start).unwrap() * task.element_bytes());
                for (element, bytes) in range.zip(got[1..].chunks_exact(task.element_bytes())) {
                    // Some elements whole, of the others a part.
                    if element % 7 < 2 {
                        assert!(bytes == task.element(element), "{id}: element {element} of {elements}");
                    } else {
                        let part = u32::try_from(element % 256).unwrap();
                        let at = task.part_range(part);
                        assert!(bytes[at] == task.part(element, part), "{id}: part {part} of element {element}");
                    }
                }
            }
            // The same task again costs nothing and changes nothing.
            device.load(task).unwrap();
            let mut again = Vec::new();
            device.run(0..1, &mut again).unwrap();
            assert!(again == task.element(0), "{id}");
        }
    });
}
