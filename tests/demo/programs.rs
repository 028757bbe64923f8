//! The programs that are started and stopped: one pool, one miner.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use lode_tests::program;
use serde_json::Value;

use crate::Failure;

/// What `lode-demo` was asked for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) stratum: String,
    pub(crate) http: String,
    pub(crate) device: Option<String>,
    pub(crate) difficulty: f64,
    pub(crate) once: bool,
}

/// Both programs, while they run.
#[derive(Debug)]
pub(crate) struct Programs {
    pool: Child,
    miner: Child,
    pub(crate) http_address: String,
    pub(crate) device: String,
}

/// The device to show: an OpenCL device where one passes its self-test, else whatever is best.
fn choose_device() -> Result<String, Failure> {
    let output = Command::new(program("lode-miner")).args(["devices", "--json"]).output();
    let output = output.map_err(|error| format!("lode-miner devices: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(if text.contains("\"opencl") { "opencl".into() } else { "all".into() })
}

/// An address that this machine reaches a listener by.
fn local(address: &str) -> String {
    address.replace("0.0.0.0", "127.0.0.1")
}

impl Programs {
    /// Starts the pool, waits until it serves, and starts a miner at it.
    pub(crate) fn start(settings: &Settings) -> Result<Programs, Failure> {
        let device = settings.device.clone().map_or_else(choose_device, Ok)?;
        let mut pool = Command::new(program("lode-pool"));
        pool.arg("serve").arg("--data").arg(&settings.data);
        pool.args(["--stratum", &settings.stratum, "--http", &settings.http]);
        pool.env("RUST_LOG", "warn").stdout(Stdio::piped());
        let mut pool = pool.spawn().map_err(|error| format!("lode-pool: {error}"))?;
        let mut line = String::new();
        let stdout = pool.stdout.take().ok_or("lode-pool has no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("lode-pool: {error}"))?;
        let bound: Value =
            serde_json::from_str(&line).map_err(|_| "lode-pool did not start; see what it says above")?;
        let address = |name: &str| bound[name].as_str().map(local).ok_or(format!("lode-pool did not say its {name}"));
        let (stratum, http_address) = (address("stratum")?, address("http")?);
        let log = settings.data.join("miner.log");
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let miner = Command::new(program("lode-miner"))
            .args(["--url", &format!("stratum+tcp://{stratum}"), "--user", "demo-miner.rig1", "--device", &device])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("lode-miner: {error}"));
        match miner {
            Ok(miner) => Ok(Programs { pool, miner, http_address, device }),
            Err(failure) => {
                end(&mut pool);
                Err(failure)
            }
        }
    }

    /// Where a browser finds the pool.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.http_address)
    }

    /// That both still run.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        for (name, child) in [("lode-pool", &mut self.pool), ("lode-miner", &mut self.miner)] {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("{name} ended with {status}"));
            }
        }
        Ok(())
    }

    /// Stops both, the miner first, and says whether both ended well.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        for (name, child) in [("lode-miner", &mut self.miner), ("lode-pool", &mut self.pool)] {
            terminate(child);
            let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
            if !status.success() {
                return Err(format!("{name} ended with {status}"));
            }
        }
        Ok(())
    }

    /// Waits for the end that Ctrl-C brings to every program of the terminal.
    pub(crate) fn wait(mut self) -> Result<(), Failure> {
        let status = self.pool.wait().map_err(|error| format!("lode-pool: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("lode-pool ended with {status}")) }
    }
}

fn terminate(child: &Child) {
    // The wait that follows tells whether it worked.
    Command::new("kill").arg(child.id().to_string()).status().ok();
}

fn end(child: &mut Child) {
    terminate(child);
    child.wait().ok();
}

impl Drop for Programs {
    fn drop(&mut self) {
        for child in [&mut self.miner, &mut self.pool] {
            if matches!(child.try_wait(), Ok(None)) {
                end(child);
            }
        }
    }
}
