//! The program as it is started: exit codes, words, signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

mod scene;
use scene::triangle;

fn miner(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lode-miner"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn output(arguments: &str) -> Output {
    miner(arguments).output().unwrap()
}

#[test]
fn bad_usage_exits_with_2_and_names_the_option() {
    for (arguments, option) in [
        ("", "--url"),
        ("--url tcp://x:1 --user a", "--url"),
        ("--url stratum+tcp://x:1 --user a.b.c", "--user"),
        ("--url stratum+tcp://x:1 --user a --password d=0", "--password"),
        ("--url stratum+tcp://x:1 --user a --device gpu", "--device"),
        ("--url stratum+tcp://x:1 --user a --device cpu:7", "--device"),
        ("--url stratum+tcp://x:1 --user a --device cpu --intensity opencl:7=50", "--intensity"),
        ("--url stratum+tcp://x:1 --user a --device cpu --temp-limit 70 --temp-resume 70", "--temp-resume"),
        ("--url stratum+tcp://x:1 --user a --status 0.0.0.0:0", "--status"),
        ("bench --device cpu:7", "--device"),
    ] {
        let output = output(arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {words}");
        assert!(words.contains(option), "{arguments}: {words}");
    }
}

#[test]
fn devices_and_rates_come_as_json() {
    let listed = output("devices --json");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let devices = listed["devices"].as_array().unwrap();
    let cpu = devices.iter().find(|device| device["id"] == "cpu:0").expect("the CPU backend is always there");
    let passed = |algorithm: &str| serde_json::json!({"algorithm": algorithm, "passed": true});
    let algorithms = [passed("sha256d"), passed("scrypt")];
    let expected = serde_json::json!([
        {"kind": "hash", "passed": true, "algorithms": algorithms},
        {"kind": "render", "passed": true},
    ]);
    assert_eq!(cpu["self_test"], expected);

    let rows = output("bench --device cpu --seconds 1 --json");
    let rows: serde_json::Value = serde_json::from_slice(&rows.stdout).unwrap();
    for (row, kind, unit) in [(&rows[0], "hash", "H/s"), (&rows[1], "render", "paths/s")] {
        assert_eq!((row["kind"].as_str(), row["unit"].as_str()), (Some(kind), Some(unit)));
        assert_eq!(row["device"], "cpu:0");
        assert!(row["rate"].as_f64().unwrap() > 0.0);
    }
}

/// With every device opened, so that whatever a driver does with signals is done.
#[test]
fn the_first_signal_ends_it_with_a_summary() {
    let pool = TcpListener::bind("127.0.0.1:0").unwrap();
    for signal in ["-TERM", "-INT"] {
        let arguments = format!("--url stratum+tcp://{} --user a --device all", pool.local_addr().unwrap());
        let mut child = miner(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let connection = pool.accept().unwrap().0;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("self-test passed")), "a device is ready");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        let mut words = String::new();
        child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
        assert!(words.contains("DEVICE") && words.contains("ACCEPTED"), "{words}");
        drop(connection);
    }
}

#[test]
fn a_scene_is_rendered_the_same_on_every_device() {
    let directory = tempfile::tempdir().unwrap();
    let scene = directory.path().join("triangle.glb");
    std::fs::write(&scene, triangle()).unwrap();
    let picture = |device: &str| {
        let out = directory.path().join(format!("{device}.exr"));
        let sizes = "--width 40 --height 24 --samples 3 --denoise";
        let arguments = format!("render {} -o {} {sizes} --device {device}", scene.display(), out.display());
        let output = output(&arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code() == Some(0)).then(|| std::fs::read(out).unwrap()).ok_or(words)
    };
    let cpu = picture("cpu").unwrap();
    match picture("opencl") {
        Ok(opencl) => assert!(opencl == cpu, "the pictures differ"),
        Err(words) => println!("SKIPPED opencl: {words}"),
    }
    match picture("cuda") {
        Ok(cuda) => assert!(cuda == cpu, "the pictures differ"),
        Err(words) => assert!(words.contains("--device: no cuda on this machine"), "{words}"),
    }
    std::fs::write(&scene, "no scene").unwrap();
    let words = picture("cpu").unwrap_err();
    assert!(words.contains("triangle.glb") && words.contains("glTF"), "{words}");
}
