//! A real pool: the program itself, on free ports, with a data directory that outlives it.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program;

/// Any port of this machine that is free.
const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A data directory and the configuration that goes with it.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// An empty directory with this configuration.
    ///
    /// # Panics
    /// The disk fails.
    #[must_use]
    pub fn new(config: &str) -> Home {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(dir.path().join("lode.toml"), config).expect("a file can be written");
        Home { dir }
    }

    /// The pool's data directory.
    #[must_use]
    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Where others than the pool may keep what is theirs.
    #[must_use]
    pub fn beside(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("lode.toml")
    }

    fn command(&self, stratum: SocketAddr, http: SocketAddr) -> Command {
        let mut command = Command::new(program("lode-pool"));
        command.arg("serve").arg("--config").arg(self.config()).arg("--data").arg(self.data());
        command.args(["--stratum", &stratum.to_string(), "--http", &http.to_string()]);
        command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()));
        command.stdout(Stdio::piped());
        command
    }

    /// Starts a pool here, on free ports, and waits until it serves.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(&self) -> Pool {
        self.start_at(FREE, FREE)
    }

    /// The same with a listener for scrypt miners.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_with_scrypt(&self) -> Pool {
        let mut command = self.command(FREE, FREE);
        command.args(["--scrypt", &FREE.to_string()]);
        self.run(command)
    }

    /// The same on these ports.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_at(&self, stratum: SocketAddr, http: SocketAddr) -> Pool {
        self.run(self.command(stratum, http))
    }

    fn run(&self, mut command: Command) -> Pool {
        let mut child = command.spawn().expect("the pool's program can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the pool prints where it is");
        let bound: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the pool did not start: {line:?}"));
        let printed = |name: &str| bound[name].as_str().and_then(|text| text.parse().ok());
        let address = |name: &str| printed(name).expect("an address");
        let token = std::fs::read_to_string(self.data().join("admin.token")).expect("the pool made a token");
        Pool {
            child,
            stratum: address("stratum"),
            scrypt: printed("scrypt"),
            http: address("http"),
            admin: token.trim().to_owned(),
        }
    }

    /// Starts a pool that is expected to refuse; gives what it says.
    ///
    /// # Panics
    /// It starts.
    #[must_use]
    pub fn start_refused(&self) -> String {
        let output = self.command(FREE, FREE).output().expect("the pool's program can be started");
        assert!(!output.status.success(), "the pool started");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Audits the ledger offline: whether all holds, and the report.
    ///
    /// # Panics
    /// The audit prints no report.
    #[must_use]
    pub fn audit(&self) -> (bool, Value) {
        audit(&self.data())
    }
}

/// Audits the ledger of a data directory.
///
/// # Panics
/// The audit prints no report.
#[must_use]
pub fn audit(data: &Path) -> (bool, Value) {
    let output = Command::new(program("lode-pool"))
        .args(["audit", "--json", "--data"])
        .arg(data)
        .output()
        .expect("the pool's program can be started");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), report["ok"], "the exit code says what the report says");
    (output.status.success(), report)
}

/// A pool that runs. Killed when dropped.
#[derive(Debug)]
pub struct Pool {
    child: Child,
    /// Where miners connect.
    pub stratum: SocketAddr,
    /// Where scrypt miners connect, if anywhere.
    pub scrypt: Option<SocketAddr>,
    /// Where the API is.
    pub http: SocketAddr,
    /// The operator's token.
    pub admin: String,
}

impl Pool {
    /// Ends it at once, as a power switch would end the program.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks it to stop.
    ///
    /// # Panics
    /// There is no `kill` on this system.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(status.expect("kill can be started").success());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It cannot be waited for.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Asks it to stop and waits for a clean end.
    ///
    /// # Panics
    /// It ends otherwise.
    pub fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "the pool ended with {status}");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // It may have ended already, which is no fault of the test.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
