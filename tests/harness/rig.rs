//! A real miner: the program itself, with a key and a cache of its own.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use lode_cuda_standin::library_dir;

use crate::pool::{Home, Pool};
use crate::program;

/// A `lode-miner`. Killed when dropped.
#[derive(Debug)]
pub struct Rig(Child);

impl Rig {
    /// On these devices; CUDA's are those of the stand-in driver.
    #[must_use]
    pub fn start(home: &Home, pool: &Pool, user: &str, devices: &[&str]) -> Rig {
        let devices: Vec<&str> = devices.iter().flat_map(|device| ["--device", device]).collect();
        Rig::start_with(home, &devices, pool.stratum, user)
    }

    /// With these options, at this address. Its key is the one that `user` has in this home.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_with(home: &Home, options: &[&str], stratum: SocketAddr, user: &str) -> Rig {
        let mut command = Command::new(program("lode-miner"));
        command.args(["--url", &format!("stratum+tcp://{stratum}"), "--user", user]).args(options);
        command.env("LD_LIBRARY_PATH", library_dir()).env("LODE_CACHE_DIR", home.data().join("miner-cache"));
        let own = home.beside("rigs").join(user);
        command.env("XDG_CONFIG_HOME", own.join("config")).env("XDG_CACHE_HOME", own.join("cache"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Rig(child.expect("the miner's program can be started"))
    }

    /// Ends it at once, as a power switch would end the program.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(mut self) {
        self.0.kill().expect("a child can be killed");
        self.0.wait().expect("a child can be waited for");
    }

    /// Stops it, and gives what it says of its run.
    ///
    /// # Panics
    /// It ends otherwise.
    #[must_use]
    pub fn stop(mut self) -> String {
        let status = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(status.expect("kill can be started").success());
        let mut said = String::new();
        self.0.stdout.take().expect("its output is piped").read_to_string(&mut said).expect("text");
        let status = self.0.wait().expect("a child can be waited for");
        assert!(status.success(), "the miner ended with {status}");
        said
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // It may have ended already, which is no fault of the test.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
